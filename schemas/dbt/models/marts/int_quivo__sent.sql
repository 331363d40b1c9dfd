-- The shipments that count: those that were not reversed, and do not list returned goods alone; with their carrier.
with returns as (
    select shipment_key
    from {{ ref('stg_quivo__shipment_positions') }}
    group by shipment_key
    having {{ quivo_frames.count_if('quantity < 0') }} = count(*)
),

named as (
    select
        {{ quivo_frames.carrier_text('provider_name') }} as name,
        {{ quivo_frames.carrier_text('provider') }} as carrier,
        count(*) as shipments
    from {{ ref('stg_quivo__shipments') }}
    group by 1, 2
),

usual as (
    select name, carrier, row_number() over (partition by name order by shipments desc, carrier) as rank
    from named
    where name is not null and carrier is not null
)

select
    shipments.shipment_key,
    shipments.order_id,
    shipments.fulfillment_order_key,
    coalesce({{ quivo_frames.carrier_text('shipments.provider') }}, usual.carrier, 'unknown') as carrier
from {{ ref('stg_quivo__shipments') }} as shipments
left join usual on usual.name = {{ quivo_frames.carrier_text('shipments.provider_name') }} and usual.rank = 1
where not coalesce(shipments.reversed, false)
    and not exists (select 1 from returns where returns.shipment_key = shipments.shipment_key)
