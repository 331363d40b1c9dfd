select
    groups.grouped_by,
    groups.group_value,
    groups.group_key,
    count(facts.delivery_window) as shipments,
    {{ quivo_frames.count_if("facts.delivery_window = 'within'") }} as within,
    {{ quivo_frames.count_if("facts.delivery_window = 'early'") }} as early,
    {{ quivo_frames.count_if("facts.delivery_window = 'late'") }} as late,
    {{ quivo_frames.share_of(
        quivo_frames.count_if("facts.delivery_window = 'within'"), 'count(facts.delivery_window)'
    ) }} as rate
from {{ ref('int_quivo__groups_of_shipments') }} as groups
join {{ ref('fct_quivo__shipments') }} as facts on facts.shipment_key = groups.shipment_key
group by groups.grouped_by, groups.group_value, groups.group_key
