-- An order without a row in the overview or the milestones, or with several, would be missing, or be counted twice.
select orders.order_id
from {{ ref('stg_quivo__orders') }} as orders
left join {{ ref('fct_quivo__orders') }} as facts on facts.order_id = orders.order_id
left join {{ ref('fct_quivo__milestones') }} as milestones on milestones.order_id = orders.order_id
group by orders.order_id
having count(facts.order_id) <> 1 or count(milestones.order_id) <> 1
