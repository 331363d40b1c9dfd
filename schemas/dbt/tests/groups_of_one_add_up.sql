-- An order has one month, week, day, seller and country: over these, the groups add up to all orders.
select groups.grouped_by
from {{ ref('kpi_quivo__volume') }} as groups
cross join (select orders, pieces, shipments from {{ ref('kpi_quivo__volume') }} where grouped_by = 'all') as whole
where groups.grouped_by in ('month', 'week', 'day', 'seller', 'country')
group by groups.grouped_by, whole.orders, whole.pieces, whole.shipments
having sum(groups.orders) <> whole.orders or sum(groups.pieces) <> whole.pieces or sum(groups.shipments) <> whole.shipments
