-- Up to when everything is known, and the zone in which days are meant: the one of the variable quivo_time_zone; instead of
-- UTC, the one in which most days are written as instants, such as 2026-03-06T23:00Z for 7 March in Vienna.
{%- set zones = ['Europe/Vienna', 'Europe/London', 'Europe/Athens'] %}
{%- set columns = [
    ('orders', 'order_date'), ('shipments', 'expected_delivery_date'), ('shipments', 'delivery_window_start_time'),
    ('shipments', 'delivery_window_end_time'), ('shipments', 'carrier_pick_up_date'), ('shipments', 'ship_date'),
    ('shipments', 'delivery_date'), ('shipments', 'pod_date'), ('shipment_positions', 'expiration_date'),
] %}
{%- set zone = var('quivo_time_zone', 'UTC') %}

with answers as (
    select
        max({{ quivo_frames.real_instant('fetched_at') }}) as last_answer,
        max({{ quivo_frames.real_instant('last_modified') }}) as last_change
    from {{ ref('stg_quivo__orders') }}
),

midnights as (
    {%- for table, column in columns %}
    {%- set place = loop.index0 %}
    {%- for day_zone in zones %}
    select
        {{ place }} as place,
        {{ loop.index0 }} as zone_place,
        '{{ day_zone }}' as day_zone,
        count(instant) as known,
        {{ quivo_frames.count_if(quivo_frames.is_utc_midnight('instant')) }} as in_utc,
        {%- set local = quivo_frames.local_time('instant', "'" ~ day_zone ~ "'") %}
        {{ quivo_frames.count_if(dbt.date_trunc('day', local) ~ ' = ' ~ local) }} as in_zone
    from (select {{ quivo_frames.real_instant(column) }} as instant from {{ ref('stg_quivo__' ~ table) }}) as instants_of_{{ column }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

most as (
    select
        day_zone,
        row_number() over (order by in_zone desc, place, zone_place) as rank
    from midnights
    where in_zone > in_utc and in_zone >= 5 and in_zone >= 0.9 * known
)

select
    coalesce(answers.last_answer, answers.last_change, {{ dbt.current_timestamp() }}) as as_of,
    '{{ zone }}' as time_zone,
    {% if zone == 'UTC' %}coalesce(most.day_zone, 'UTC'){% else %}'{{ zone }}'{% endif %} as day_zone
from answers
left join most on most.rank = 1
