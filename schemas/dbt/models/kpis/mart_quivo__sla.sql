-- The key figures of service side by side, one row a group. Each is computed in the model of its KPI.
select
    volume.grouped_by,
    volume.group_value,
    volume.group_key,
    volume.orders,
    volume.lines,
    volume.pieces,
    volume.shipments,
    perfect.rate as perfect_order_rate,
    promised.judged as on_time_judged,
    promised.rate as on_time_rate,
    filled.line_rate as line_fill_rate,
    filled.piece_rate as piece_fill_rate,
    complete.rate as ship_complete_rate,
    to_ship.within_rate as shipped_within_24_hours_rate,
    shipped.p50 as days_to_ship_p50,
    shipped.p90 as days_to_ship_p90,
    delivered.p50 as days_to_delivery_p50,
    delivered.p90 as days_to_delivery_p90,
    to_ship.{{ adapter.quote('open') }} as open_orders,
    to_ship.at_risk as open_orders_at_risk,
    split.rate as split_rate,
    windows.rate as delivery_window_rate,
    proof.rate as proven_rate
from {{ ref('kpi_quivo__volume') }} as volume
left join {{ ref('kpi_quivo__perfect_order') }} as perfect on perfect.group_key = volume.group_key
left join {{ ref('kpi_quivo__on_time') }} as promised
    on promised.group_key = volume.group_key and 'on_time_' || promised.reference = '{{ quivo_frames.on_time_column() }}'
left join {{ ref('kpi_quivo__fill_rate') }} as filled on filled.group_key = volume.group_key
left join {{ ref('kpi_quivo__ship_complete') }} as complete on complete.group_key = volume.group_key
left join {{ ref('kpi_quivo__order_to_ship') }} as to_ship on to_ship.group_key = volume.group_key
left join {{ ref('kpi_quivo__cycle_time') }} as shipped
    on shipped.group_key = volume.group_key and shipped.stage = 'order to ship'
left join {{ ref('kpi_quivo__cycle_time') }} as delivered
    on delivered.group_key = volume.group_key and delivered.stage = 'order to delivery'
left join {{ ref('kpi_quivo__split_shipments') }} as split on split.group_key = volume.group_key
left join {{ ref('kpi_quivo__delivery_window') }} as windows on windows.group_key = volume.group_key
left join {{ ref('kpi_quivo__pod_lag') }} as proof on proof.group_key = volume.group_key
