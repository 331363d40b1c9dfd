select
    groups.grouped_by,
    groups.group_value,
    groups.group_key,
    count(facts.delivery_date) as delivered,
    {{ quivo_frames.count_if('facts.proven and facts.delivery_date is not null') }} as proven,
    {{ quivo_frames.share_of(
        quivo_frames.count_if('facts.proven and facts.delivery_date is not null'), 'count(facts.delivery_date)'
    ) }} as rate,
    {{ quivo_frames.percentile(0.5, 'facts.pod_days') }} as p50,
    {{ quivo_frames.percentile(0.9, 'facts.pod_days') }} as p90
from {{ ref('int_quivo__groups_of_shipments') }} as groups
join {{ ref('fct_quivo__shipments') }} as facts on facts.shipment_key = groups.shipment_key
group by groups.grouped_by, groups.group_value, groups.group_key
