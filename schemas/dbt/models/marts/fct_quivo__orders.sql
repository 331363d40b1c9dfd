-- The overview of each order, and what the key figures ask of it: whether it is done, in full and on time.
with shipped as (
    select
        order_id,
        nullif(count(distinct warehouse_id), 0) as shipping_warehouses,
        {%- for promise in quivo_frames.promises() %}
        {{ quivo_frames.every('on_time_' ~ promise.name) }} as on_time_{{ promise.name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from (
        select facts.*, coalesce(held.warehouse_id, placed.warehouse_id) as warehouse_id
        from {{ ref('fct_quivo__shipments') }} as facts
        join {{ ref('int_quivo__placed') }} as placed on placed.order_id = facts.order_id
        left join {{ ref('stg_quivo__fulfillment_orders') }} as held on held.fulfillment_order_key = facts.fulfillment_order_key
    ) as shipments
    group by order_id
),

orders as (
    select
        overview.order_id,
        milestones.called_off,
        milestones.known_at as answered_at,
        placed.known_at,
        placed.seller as seller_group,
        placed.placed_month,
        placed.placed_week,
        placed.placed_day,
        overview.placed,
        overview.shipped_last,
        overview.delivered_last,
        overview.completed_at,
        overview.latest_delivery_date,
        overview.latest_ship_date,
        overview.shipments,
        shipped.shipping_warehouses,
        coalesce(totals.lines, 0) as counted_lines,
        coalesce(totals.pieces, 0) as counted_pieces,
        coalesce(totals.known_lines, 0) as known_lines,
        coalesce(totals.filled_lines, 0) as filled_lines,
        coalesce(totals.known_pieces, 0) as known_pieces,
        coalesce(totals.filled_pieces, 0) as filled_pieces,
        totals.in_full,
        overview.completed_at is not null
            or coalesce({{ quivo_frames.microseconds_between('overview.shipped_last', 'placed.known_at') }} > 14 * 86400000000, false)
            as done,
        {%- for promise in quivo_frames.promises() %}
        shipped.on_time_{{ promise.name }},
        {%- endfor %}
        clock.as_of,
        clock.time_zone,
        clock.day_zone
    from {{ ref('stg_quivo__overview') }} as overview
    join {{ ref('stg_quivo__milestones') }} as milestones on milestones.order_id = overview.order_id
    join {{ ref('int_quivo__placed') }} as placed on placed.order_id = overview.order_id
    left join shipped on shipped.order_id = overview.order_id
    left join {{ ref('int_quivo__line_totals') }} as totals on totals.order_id = overview.order_id
    cross join {{ ref('int_quivo__clock') }} as clock
),

outstanding as (
    select
        *,
        not done and not called_off and (shipments = 0 or coalesce(not in_full, false)) as outstanding
    from orders
),

-- The clock of the warehouses, without a calendar: all hours of all days count.
on_the_way as (
    select
        *,
        case when not outstanding then {{ quivo_frames.clock_hours_between('placed', 'shipped_last', 'time_zone') }} end as hours_to_ship,
        {{ quivo_frames.clock_hours_between('placed', 'known_at', 'time_zone') }} as hours_waited,
        -- The day that is on; as of a midnight, the day that ends with it.
        cast(case when {{ quivo_frames.is_utc_midnight('as_of') }}
            then {{ quivo_frames.utc_time(dbt.dateadd('microsecond', -1, 'as_of')) }}
            else {{ quivo_frames.local_time(dbt.dateadd('microsecond', -1, 'as_of'), 'time_zone') }} end as date) as today
    from outstanding
)

select
    overview.*,
    facts.seller_group,
    facts.placed_month,
    facts.placed_week,
    facts.placed_day,
    facts.called_off,
    facts.answered_at,
    facts.known_at,
    facts.done,
    facts.outstanding,
    facts.in_full,
    {%- for promise in quivo_frames.promises() %}
    case
        when not facts.outstanding then facts.on_time_{{ promise.name }}
        when not facts.on_time_{{ promise.name }} then false
        {%- if promise.is_day %}
        when {{ quivo_frames.day_less_tolerance('facts.known_at', 'facts.day_zone') }} > facts.{{ promise.name }} then false
        {%- endif %}
    end as on_time_{{ promise.name }},
    {%- endfor %}
    facts.shipping_warehouses,
    facts.counted_lines,
    facts.counted_pieces,
    facts.known_lines,
    facts.filled_lines,
    facts.known_pieces,
    facts.filled_pieces,
    case when not facts.called_off then facts.hours_to_ship end as hours_to_ship,
    case
        when facts.called_off then null
        when facts.outstanding and facts.hours_waited > 24 then false
        else facts.hours_to_ship <= 24
    end as shipped_within_24_hours,
    coalesce(
        facts.outstanding
            and {{ quivo_frames.microseconds_between(quivo_frames.clock_time('facts.placed', 'facts.time_zone'), 'cast(' ~ dbt.dateadd('day', 1, 'facts.today') ~ ' as timestamp)') }} >= 24 * 3600000000,
        false
    ) as at_risk
from on_the_way as facts
join {{ ref('stg_quivo__overview') }} as overview on overview.order_id = facts.order_id
