-- The name of each seller, with its number where two share one.
with names as (
    select
        orders.seller_id,
        max(case when overview.seller <> cast(orders.seller_id as {{ dbt.type_string() }}) then overview.seller end) as name
    from {{ ref('stg_quivo__orders') }} as orders
    join {{ ref('stg_quivo__overview') }} as overview on overview.order_id = orders.order_id
    where orders.seller_id is not null
    group by orders.seller_id
)

select
    seller_id,
    case
        when name is null then cast(seller_id as {{ dbt.type_string() }})
        when count(*) over (partition by name) > 1
            then name || ' (' || cast(seller_id as {{ dbt.type_string() }}) || ')'
        else name
    end as seller
from names
