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
    {%- set file = quivo_frames.file_of_table(folder, table.name) -%}
    {%- do run_query('create or replace view "' ~ table.schema ~ '"."' ~ table.name ~ "\" as from read_parquet('" ~ file ~ "', hive_partitioning = false)") -%}
  {%- endfor -%}
{%- endif -%}
{% endmacro %}

{# The file of a table, for a literal of SQL: a build has the derived tables in a folder of their own. #}
{% macro file_of_table(folder, table) %}
{%- set found = [] -%}
{%- for place in [table ~ '.parquet', 'derived/' ~ table ~ '.parquet'] -%}
  {%- set file = (folder ~ '/' ~ place) | replace("'", "''") -%}
  {%- if run_query("select count(*) from glob('" ~ file ~ "')").columns[0].values()[0] > 0 -%}{%- do found.append(file) -%}{%- endif -%}
{%- endfor -%}
{%- if not found -%}
  {{ exceptions.raise_compiler_error("quivo_folder is '" ~ folder ~ "', and there is no " ~ table ~ ".parquet in it. Set it to the folder of tables that quivo-frames build wrote, with its derived tables, or to an export to parquet; the path starts where dbt runs.") }}
{%- endif -%}
{{ return(found[0]) }}
{% endmacro %}
