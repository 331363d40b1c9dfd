-- The pieces of each order in the tables, and those in its lines: listed, planned, shipped or reversed, packed.
with stated as (
    select order_id, 'listed' as what, sum(quantity) as pieces
    from {{ ref('stg_quivo__order_positions') }}
    group by order_id
    union all
    select positions.order_id, 'planned', sum(positions.quantity)
    from {{ ref('stg_quivo__fulfillment_positions') }} as positions
    left join {{ ref('stg_quivo__fulfillment_orders') }} as held
        on held.fulfillment_order_key = positions.fulfillment_order_key
    where not coalesce(held.cancelled, false)
    group by positions.order_id
    union all
    select order_id, 'moved', sum(quantity)
    from {{ ref('stg_quivo__shipment_positions') }}
    group by order_id
    union all
    select order_id, 'packed', sum(quantity)
    from {{ ref('stg_quivo__handling_positions') }}
    group by order_id
),

counted as (
    {%- for what, pieces in [('listed', 'listed'), ('planned', 'planned'), ('moved', 'shipped + reversed'), ('packed', 'packed')] %}
    select order_id, '{{ what }}' as what, sum({{ pieces }}) as pieces
    from {{ ref('fct_quivo__order_lines') }}
    group by order_id
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    coalesce(stated.order_id, counted.order_id) as order_id,
    coalesce(stated.what, counted.what) as what,
    coalesce(stated.pieces, 0) as in_the_tables,
    coalesce(counted.pieces, 0) as in_the_lines
from stated
full outer join counted on counted.order_id = stated.order_id and counted.what = stated.what
where coalesce(stated.pieces, 0) <> coalesce(counted.pieces, 0)
