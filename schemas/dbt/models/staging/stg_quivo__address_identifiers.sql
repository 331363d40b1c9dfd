select
    cast(address_identifier_key as varchar) as address_identifier_key,
    cast(order_id as bigint) as order_id,
    cast(ordinal as bigint) as ordinal,
    cast(identifier as varchar) as identifier,
    cast(type as varchar) as type
from {{ source('quivo', 'address_identifiers') }}
