-- Each shipment that counts in its groups.
{%- set own = {'month': 'placed_month', 'week': 'placed_week', 'day': 'placed_day', 'seller': 'seller', 'country': 'country',
    'warehouse': 'warehouse', 'carrier': 'carrier'} %}
with found as (
    select shipment_key, 'all' as grouped_by, cast(null as {{ dbt.type_string() }}) as group_value from {{ ref('fct_quivo__shipments') }}
    {%- for name, column in own.items() %}
    union all
    select shipment_key, '{{ name }}', {{ column }} from {{ ref('fct_quivo__shipments') }}
    {%- endfor %}
)

select shipment_key, grouped_by, group_value, grouped_by || ':' || coalesce(group_value, '') as group_key
from found
