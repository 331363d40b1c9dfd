{#
  With the variable quivo_folder: makes views over the parquet files of a dataset, in the schema of the sources, before
  anything is built. For DuckDB alone; other databases load the files by means of their own.
#}
{% macro open_folder() %}
{%- set folder = var('quivo_folder', '') -%}
{%- if folder and execute -%}
  {%- if target.type != 'duckdb' -%}
    {{ exceptions.raise_compiler_error("quivo_folder is for DuckDB alone. Load the parquet files into " ~ target.type ~ ", and set quivo_schema to where they are.") }}
  {%- endif -%}
  {%- for table in graph.sources.values() if table.package_name == 'quivo_frames' and table.source_name == 'quivo' -%}
    {%- if loop.first %}{% do run_query('create schema if not exists "' ~ table.schema ~ '"') %}{% endif -%}
    {%- set place = ('derived/' if table.config.meta.get('derived') else '') ~ table.name ~ '.parquet' -%}
    {%- set file = (folder ~ '/' ~ place) | replace("'", "''") -%}
    {%- do run_query('create or replace view "' ~ table.schema ~ '"."' ~ table.name ~ "\" as from read_parquet('" ~ file ~ "')") -%}
  {%- endfor -%}
{%- endif -%}
{% endmacro %}
