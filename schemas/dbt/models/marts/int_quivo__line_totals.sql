-- One row an order: its lines and pieces, and how many of them were shipped. Lines that cannot be told apart count as one.
-- Which row belongs to which line is read from lines and line_rows, and not worked out here.
with moved as (
    select
        rows_of_line.line_key,
        {{ quivo_frames.count_if("rows_of_line.states = 'ordered' and rows_of_line.quantity is null") }} as unstated_ordered,
        {{ quivo_frames.count_if("rows_of_line.states = 'planned' and rows_of_line.matched_by like 'bundle%'") }} as planned_as_part,
        {{ quivo_frames.count_if(quivo_frames.visible('positions.bundled_by') ~ ' is not null') }} as ordered_as_part,
        {{ quivo_frames.sum_if('rows_of_line.quantity', "rows_of_line.states = 'shipped' and rows_of_line.quantity > 0") }} as shipped
    from {{ ref('stg_quivo__line_rows') }} as rows_of_line
    left join {{ ref('stg_quivo__order_positions') }} as positions
        on positions.order_position_key = rows_of_line.found_key and rows_of_line.states = 'ordered'
    group by rows_of_line.line_key
),

asked as (
    select
        order_id,
        coalesce(pool_key, line_key) as line_key,
        sum(case when ordered > 0 then ordered else 0 end) as ordered,
        {{ quivo_frames.count_if('counted_by is null') }} > 0 as asks_goods,
        {{ quivo_frames.count_if(adapter.quote('open') ~ ' is null') }} = 0 as both_known
    from {{ ref('stg_quivo__lines') }}
    where order_position_key is not null and (counted_by is null or counted_by = 'no goods')
    group by order_id, coalesce(pool_key, line_key)
),

known as (
    select
        asked.order_id,
        asked.ordered,
        moved.shipped,
        asked.both_known,
        -- Of a line that the plan counts as a part of a bundle, and the order does not, the ordered quantity is not known.
        (moved.unstated_ordered = 0 or not asked.asks_goods)
            and (moved.planned_as_part = 0 or moved.ordered_as_part > 0) as ordered_known
    from asked
    join moved on moved.line_key = asked.line_key
),

counted as (
    select order_id, ordered, shipped, ordered_known, both_known and ordered_known as both_known
    from known
    where ordered > 0 or not ordered_known
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
from counted
group by order_id
