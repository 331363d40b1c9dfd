-- The shipments that count, each with its groups, and whether it kept its promises.
with shipments as (
    select
        sent.shipment_key,
        sent.order_id,
        sent.fulfillment_order_key,
        placed.seller,
        coalesce(names.warehouse, cast(coalesce(held.warehouse_id, placed.warehouse_id) as {{ dbt.type_string() }})) as warehouse,
        sent.carrier,
        placed.country,
        placed.placed_month,
        placed.placed_week,
        placed.placed_day,
        {%- for column in ['ship_date', 'delivery_date', 'pod_date', 'expected_delivery_date', 'delivery_window_start_time'] %}
        {{ quivo_frames.real_instant('given.' ~ column) }} as {{ column }},
        {%- endfor %}
        {{ quivo_frames.real_instant('given.delivery_window_end_time') }} as window_end,
        overview.latest_delivery_date,
        overview.latest_ship_date,
        placed.known_at,
        coalesce(given.is_untracked, false) as is_untracked,
        {{ quivo_frames.visible('given.tracking_number') }} is not null
            or {{ quivo_frames.visible('given.tracking_link') }} is not null
            or exists (select 1 from {{ ref('stg_quivo__tracking_numbers') }} as more where more.shipment_key = sent.shipment_key)
            or exists (select 1 from {{ ref('stg_quivo__tracking_links') }} as more where more.shipment_key = sent.shipment_key)
            as tracked,
        {{ quivo_frames.real_instant('given.pod_date') }} is not null
            or exists (select 1 from {{ ref('stg_quivo__pod_documents') }} as more where more.shipment_key = sent.shipment_key)
            as proven,
        clock.day_zone
    from {{ ref('int_quivo__sent') }} as sent
    join {{ ref('stg_quivo__shipments') }} as given on given.shipment_key = sent.shipment_key
    join {{ ref('int_quivo__placed') }} as placed on placed.order_id = sent.order_id
    join {{ ref('stg_quivo__overview') }} as overview on overview.order_id = sent.order_id
    left join {{ ref('stg_quivo__fulfillment_orders') }} as held on held.fulfillment_order_key = sent.fulfillment_order_key
    left join {{ ref('int_quivo__warehouse_names') }} as names
        on names.warehouse_id = coalesce(held.warehouse_id, placed.warehouse_id)
    cross join {{ ref('int_quivo__clock') }} as clock
),

-- A window until midnight ends on the day on which it began.
windows as (
    select
        *,
        case when {{ quivo_frames.is_midnight('window_end', 'day_zone') }}
                and not {{ quivo_frames.is_midnight('delivery_window_start_time', 'day_zone') }}
            then {{ dbt.dateadd('microsecond', -1, 'window_end') }} else window_end end as delivery_window_end_time
    from shipments
),

late as (
    select
        *,
        {%- for promise in quivo_frames.promises() %}
        {{ quivo_frames.is_late('coalesce(' ~ promise.kept_by ~ ', known_at)', promise, 'day_zone') }} as late_{{ promise.name }},
        {%- endfor %}
        {{ quivo_frames.is_later('delivery_window_start_time', 'delivery_date', 'day_zone', tolerated=false) }} as before_window,
        {{ quivo_frames.is_later('delivery_date', 'delivery_window_end_time', 'day_zone') }} as after_window
    from windows
)

select
    shipment_key,
    order_id,
    fulfillment_order_key,
    seller,
    warehouse,
    carrier,
    country,
    placed_month,
    placed_week,
    placed_day,
    ship_date,
    delivery_date,
    pod_date,
    {{ quivo_frames.days_between('ship_date', 'delivery_date') }} as transit_days,
    {{ quivo_frames.days_between('delivery_date', 'pod_date') }} as pod_days,
    tracked,
    proven,
    {%- for promise in quivo_frames.promises() %}
    case
        when {{ promise.kept_by }} is not null then not late_{{ promise.name }}
        {%- if promise.kept_by == 'ship_date' %}
        when late_{{ promise.name }} then false
        {%- else %}
        when late_{{ promise.name }} and not is_untracked then false
        {%- endif %}
    end as on_time_{{ promise.name }},
    {%- endfor %}
    case
        when delivery_date is null or delivery_window_start_time is null or delivery_window_end_time is null then null
        when delivery_window_start_time > delivery_window_end_time then null
        when before_window then 'early'
        when after_window then 'late'
        else 'within'
    end as delivery_window
from late
