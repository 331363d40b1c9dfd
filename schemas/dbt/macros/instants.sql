{#
  What an instant of an order tells, as quivo_frames reads it: nothing if it is a placeholder, a day if it is a midnight.
  What differs from one database to another is in the macros that are dispatched; a project can replace them by macros of
  its own named <adapter>__<macro>.
#}

{# The clock of a time zone at an instant, as a timestamp without one. #}
{% macro local_time(instant, zone) %}{{ return(adapter.dispatch('local_time', 'quivo_frames')(instant, zone)) }}{% endmacro %}

{% macro default__local_time(instant, zone) %}timezone({{ zone }}, {{ instant }}){% endmacro %}

{% macro utc_time(instant) %}{{ quivo_frames.local_time(instant, "'UTC'") }}{% endmacro %}

{# Microseconds from one instant to another. #}
{% macro microseconds_between(earlier, later) %}{{ return(adapter.dispatch('microseconds_between', 'quivo_frames')(earlier, later)) }}{% endmacro %}

{% macro default__microseconds_between(earlier, later) %}cast(extract(epoch from ({{ later }} - {{ earlier }})) * 1000000 as bigint){% endmacro %}

{% macro duckdb__microseconds_between(earlier, later) %}(epoch_us({{ later }}) - epoch_us({{ earlier }})){% endmacro %}

{# A timestamp as a month (2026-02), a week of ISO 8601 (2026-W07) or a day. #}
{% macro calendar_text(timestamp, period) %}{{ return(adapter.dispatch('calendar_text', 'quivo_frames')(timestamp, period)) }}{% endmacro %}

{% macro default__calendar_text(timestamp, period) %}
{%- set written = {'month': 'YYYY-MM', 'week': 'IYYY-"W"IW', 'day': 'YYYY-MM-DD'} -%}
to_char({{ timestamp }}, '{{ written[period] }}')
{%- endmacro %}

{% macro duckdb__calendar_text(timestamp, period) %}
{%- set written = {'month': '%Y-%m', 'week': '%G-W%V', 'day': '%Y-%m-%d'} -%}
strftime({{ timestamp }}, '{{ written[period] }}')
{%- endmacro %}

{# A value between the smaller and the larger values of rows: half (0.5), nine of ten (0.9). #}
{% macro percentile(share, value) %}percentile_cont({{ share }}) within group (order by {{ value }}){% endmacro %}

{# An instant; null if it stands for "no date": before 1902, from 9000, midnight of 1970-01-01 in any time zone. #}
{% macro real_instant(instant) %}
{%- set utc = quivo_frames.utc_time(instant) -%}
case when not ({{ utc }} < timestamp '1902-01-01 00:00:00' or {{ utc }} >= timestamp '9000-01-01 00:00:00'
    or ({{ utc }} between timestamp '1969-12-31 10:00:00' and timestamp '1970-01-01 12:00:00'
        and extract(minute from {{ utc }}) in (0, 15, 30, 45) and {{ dbt.date_trunc('minute', utc) }} = {{ utc }}))
    then {{ instant }} end
{%- endmacro %}

{# Whether an instant is a midnight in UTC, which is how a day without a time is written. #}
{% macro is_utc_midnight(instant) %}
{%- set utc = quivo_frames.utc_time(instant) -%}
({{ dbt.date_trunc('day', utc) }} = {{ utc }})
{%- endmacro %}

{# Whether an instant is a midnight, in UTC or in a time zone. #}
{% macro is_midnight(instant, zone) %}
{%- set local = quivo_frames.local_time(instant, zone) -%}
({{ quivo_frames.is_utc_midnight(instant) }} or {{ dbt.date_trunc('day', local) }} = {{ local }})
{%- endmacro %}

{# The clock of a time zone at an instant; at a midnight in UTC, which is a day without a time, that midnight. #}
{% macro clock_time(instant, zone) %}
case when {{ quivo_frames.is_utc_midnight(instant) }} then {{ quivo_frames.utc_time(instant) }}
    else {{ quivo_frames.local_time(instant, zone) }} end
{%- endmacro %}

{% macro day_of(instant, zone) %}cast({{ quivo_frames.clock_time(instant, zone) }} as date){% endmacro %}

{# The day of an instant less the tolerance; of a day without a time, less its whole days alone. #}
{% macro day_less_tolerance(instant, zone) %}
{%- set minutes = var('quivo_tolerance_minutes', 0) | int -%}
case when {{ quivo_frames.is_midnight(instant, zone) }}
    then cast({{ dbt.dateadd('day', -(minutes // 1440), quivo_frames.day_of(instant, zone)) }} as date)
    else {{ quivo_frames.day_of(dbt.dateadd('minute', -minutes, instant), zone) }} end
{%- endmacro %}

{# Whether an instant is later than another by more than the tolerance; if one of them is a day, on a later day. #}
{% macro is_later(instant, other, zone, tolerated=true) %}
{%- set minutes = (var('quivo_tolerance_minutes', 0) | int) if tolerated else 0 -%}
{%- set day = quivo_frames.day_less_tolerance(instant, zone) if tolerated else quivo_frames.day_of(instant, zone) -%}
case when {{ quivo_frames.is_midnight(instant, zone) }} or {{ quivo_frames.is_midnight(other, zone) }}
    then {{ day }} > {{ quivo_frames.day_of(other, zone) }} and {{ instant }} > {{ other }}
    else {{ quivo_frames.microseconds_between(other, instant) }} > {{ minutes * 60000000 }} end
{%- endmacro %}

{# Days from one instant to another; null if one is missing, or if they are in the wrong order. #}
{% macro days_between(earlier, later) %}
{%- set spent = quivo_frames.microseconds_between(earlier, later) -%}
case when {{ spent }} >= 0 then cast({{ spent }} as double precision) / 86400000000 end
{%- endmacro %}

{# Hours by the clock of a time zone from one instant to another; null if they are in the wrong order. #}
{% macro clock_hours_between(earlier, later, zone) %}
{%- set start = quivo_frames.clock_time(earlier, zone) -%}
{%- set end = quivo_frames.clock_time(later, zone) -%}
case when {{ earlier }} <= {{ later }}
    then greatest(cast({{ quivo_frames.microseconds_between(start, end) }} as double precision) / 3600000000, 0) end
{%- endmacro %}
