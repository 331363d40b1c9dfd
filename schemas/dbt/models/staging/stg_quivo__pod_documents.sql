select
    cast(pod_document_key as varchar) as pod_document_key,
    cast(order_id as bigint) as order_id,
    cast(shipment_key as varchar) as shipment_key,
    cast(fulfillment_order_id as bigint) as fulfillment_order_id,
    cast(shipment_id as bigint) as shipment_id,
    cast(ordinal as bigint) as ordinal,
    cast(file_name as varchar) as file_name,
    cast(file_key as varchar) as file_key,
    cast(url_link as varchar) as url_link,
    cast(mime_type as varchar) as mime_type
from {{ source('quivo', 'pod_documents') }}
