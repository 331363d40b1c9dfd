{# Counts and shares, in words that all databases know. #}

{% macro count_if(condition) %}count(case when {{ condition }} then 1 end){% endmacro %}

{% macro sum_if(value, condition) %}cast(coalesce(sum(case when {{ condition }} then {{ value }} end), 0) as bigint){% endmacro %}

{# The share of a part in a whole, 0 to 1; null if the whole is 0. #}
{% macro share_of(part, whole) %}cast({{ part }} as double precision) / nullif({{ whole }}, 0){% endmacro %}

{# Of truths that may be null: false if one is false, else null if one is null, else true. #}
{% macro every(condition) %}
case when {{ quivo_frames.count_if('not (' ~ condition ~ ')') }} > 0 then false
    when count(*) = count({{ condition }}) then true end
{%- endmacro %}

{# A text; null where nothing of it can be seen. #}
{% macro visible(text) %}case when trim({{ text }}) <> '' then {{ text }} end{% endmacro %}

{# A name of a carrier as it is compared: trimmed, in upper case; null where it is blank, or says that it is not known. #}
{% macro carrier_text(text) %}nullif(nullif(upper(trim({{ text }})), ''), 'UNKNOWN'){% endmacro %}

{# Names of promises, in their order, with the event that keeps each, and whether it is a day of the order. #}
{% macro promises() %}
{{ return([
    {'name': 'latest_delivery_date', 'kept_by': 'delivery_date', 'is_day': true},
    {'name': 'expected_delivery_date', 'kept_by': 'delivery_date', 'is_day': false},
    {'name': 'delivery_window_end_time', 'kept_by': 'delivery_date', 'is_day': false},
    {'name': 'latest_ship_date', 'kept_by': 'ship_date', 'is_day': true},
]) }}
{% endmacro %}

{# Whether what happened at an instant was later than a promise. #}
{% macro is_late(happened, promise, zone) %}
{%- if promise.is_day -%}
({{ quivo_frames.day_less_tolerance(happened, zone) }} > {{ promise.name }})
{%- else -%}
({{ quivo_frames.is_later(happened, promise.name, zone) }})
{%- endif -%}
{% endmacro %}

{# The promise that perfect orders, carriers and the SLA are measured by. #}
{% macro on_time_column() %}
{%- set known = quivo_frames.promises() | map(attribute='name') | list -%}
{%- set against = var('quivo_on_time_against', 'latest_delivery_date') -%}
{%- if against not in known -%}
{{ exceptions.raise_compiler_error("quivo_on_time_against is '" ~ against ~ "'. Write one of: " ~ known | join(', ') ~ ".") }}
{%- endif -%}
on_time_{{ against }}
{%- endmacro %}
