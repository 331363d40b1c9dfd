-- One row an order: its lines and pieces, and how many of them were shipped. Lines that cannot be told apart count as one.
-- Which row belongs to which line is read from lines and line_rows, and not worked out here.
with moved as (
    select
        line_key,
        count(case when states = 'ordered' then 1 end) - count(case when states = 'ordered' then quantity end) as unstated_ordered,
        count(case when states = 'shipped' then 1 end) as shipped_rows,
        count(case when states = 'shipped' then 1 end) - count(case when states = 'shipped' then quantity end) as unstated_shipped,
        sum(case when states = 'shipped' and quantity > 0 then quantity else 0 end) as shipped
    from {{ ref('stg_quivo__line_rows') }}
    group by line_key
),

asked as (
    select
        order_id,
        coalesce(pool_key, line_key) as line_key,
        sum(case when ordered > 0 then ordered else 0 end) as ordered,
        max(sku) as sku,
        min(case when {{ adapter.quote('open') }} is null then 0 else 1 end) = 1 as both_known
    from {{ ref('stg_quivo__lines') }}
    where order_position_key is not null and counted_by is null
    group by order_id, coalesce(pool_key, line_key)
),

-- Orders of which it is not known what was shipped: a shipment lists no lines, or rows of one may be of any line.
in_doubt as (
    select order_id
    from asked
    group by order_id
    having {{ quivo_frames.count_if('both_known') }} = 0
),

known as (
    select
        asked.order_id,
        asked.ordered,
        moved.shipped,
        asked.both_known and moved.unstated_ordered = 0 and moved.unstated_shipped = 0 as both_known,
        case
            when moved.unstated_ordered > 0 then false
            when asked.both_known then true
            -- If it is not the shipped quantity that is unknown, it is the ordered one.
            else moved.unstated_shipped > 0 or in_doubt.order_id is not null
                or (moved.shipped_rows = 0 and asked.sku is null)
        end as ordered_known
    from asked
    join moved on moved.line_key = asked.line_key
    left join in_doubt on in_doubt.order_id = asked.order_id
)

select
    order_id,
    count(*) as lines,
    {{ quivo_frames.sum_if('ordered', 'ordered_known') }} as pieces,
    {{ quivo_frames.count_if('both_known') }} as known_lines,
    {{ quivo_frames.count_if('both_known and shipped >= ordered') }} as filled_lines,
    {{ quivo_frames.sum_if('ordered', 'both_known') }} as known_pieces,
    {{ quivo_frames.sum_if('case when shipped < ordered then shipped else ordered end', 'both_known') }} as filled_pieces,
    case
        when {{ quivo_frames.count_if('both_known and shipped < ordered') }} > 0 then false
        when {{ quivo_frames.count_if('both_known') }} = count(*) then true
    end as in_full
from known
where ordered > 0 or not ordered_known
group by order_id
