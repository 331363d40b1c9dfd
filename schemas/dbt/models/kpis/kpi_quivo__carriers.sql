{%- set on_time = 'facts.' ~ quivo_frames.on_time_column() %}
select
    groups.grouped_by,
    groups.group_value,
    groups.group_key,
    facts.carrier,
    count(*) as shipments,
    count(facts.delivery_date) as delivered,
    {{ quivo_frames.percentile(0.5, 'facts.transit_days') }} as transit_p50,
    {{ quivo_frames.percentile(0.9, 'facts.transit_days') }} as transit_p90,
    {{ quivo_frames.share_of(quivo_frames.count_if(on_time), 'count(' ~ on_time ~ ')') }} as on_time_rate,
    {{ quivo_frames.share_of(quivo_frames.count_if('facts.tracked'), 'count(*)') }} as tracked_rate,
    {{ quivo_frames.share_of(
        quivo_frames.count_if('facts.proven and facts.delivery_date is not null'), 'count(facts.delivery_date)'
    ) }} as proven_rate
from {{ ref('int_quivo__groups_of_shipments') }} as groups
join {{ ref('fct_quivo__shipments') }} as facts on facts.shipment_key = groups.shipment_key
group by groups.grouped_by, groups.group_value, groups.group_key, facts.carrier
