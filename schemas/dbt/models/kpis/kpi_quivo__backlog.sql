{%- set ages = [('0-1 days', none, 1), ('1-3 days', 1, 3), ('3-7 days', 3, 7), ('7-14 days', 7, 14), ('14+ days', 14, none)] %}
with waiting as (
    select
        order_id,
        outstanding,
        known_pieces - filled_pieces as missing_pieces,
        {{ quivo_frames.microseconds_between('placed', 'known_at') }} as waited
    from {{ ref('fct_quivo__orders') }}
)

{% for age, start, end in ages %}
{%- set these = ['waiting.outstanding', 'waiting.waited is not null'] %}
{%- if start is not none %}{% do these.append('waiting.waited >= ' ~ start ~ ' * 86400000000') %}{% endif %}
{%- if end is not none %}{% do these.append('waiting.waited < ' ~ end ~ ' * 86400000000') %}{% endif -%}
select
    groups.grouped_by,
    groups.group_value,
    groups.group_key,
    '{{ age }}' as age,
    {{ quivo_frames.count_if(these | join(' and ')) }} as orders,
    {{ quivo_frames.sum_if('waiting.missing_pieces', these | join(' and ')) }} as pieces
from {{ ref('int_quivo__groups_of_orders') }} as groups
join waiting on waiting.order_id = groups.order_id
group by groups.grouped_by, groups.group_value, groups.group_key
{%- if not loop.last %}
union all
{% endif %}
{%- endfor %}
