{%- set pieces = ['ordered', 'planned', 'shipped', 'packed', 'reversed'] %}
with counted as (
    select
        order_id,
        {%- for what in pieces %}
        sum({{ what }}) as {{ what }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('fct_quivo__order_lines') }}
    group by order_id
)

select orders.order_id
from {{ ref('fct_quivo__orders') }} as orders
left join counted on counted.order_id = orders.order_id
where
    {%- for what in pieces %}
    orders.{{ what }} <> coalesce(counted.{{ what }}, 0){{ ' or' if not loop.last }}
    {%- endfor %}
