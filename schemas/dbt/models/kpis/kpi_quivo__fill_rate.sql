with counted as (
    select
        groups.grouped_by,
        groups.group_value,
        groups.group_key,
        {{ quivo_frames.sum_if('facts.known_lines', 'facts.done and not facts.called_off') }} as lines,
        {{ quivo_frames.sum_if('facts.filled_lines', 'facts.done and not facts.called_off') }} as lines_filled,
        {{ quivo_frames.sum_if('facts.known_pieces', 'facts.done and not facts.called_off') }} as pieces,
        {{ quivo_frames.sum_if('facts.filled_pieces', 'facts.done and not facts.called_off') }} as pieces_filled
    from {{ ref('int_quivo__groups_of_orders') }} as groups
    join {{ ref('fct_quivo__orders') }} as facts on facts.order_id = groups.order_id
    group by groups.grouped_by, groups.group_value, groups.group_key
)

select
    grouped_by,
    group_value,
    group_key,
    lines,
    lines_filled,
    {{ quivo_frames.share_of('lines_filled', 'lines') }} as line_rate,
    pieces,
    pieces_filled,
    {{ quivo_frames.share_of('pieces_filled', 'pieces') }} as piece_rate
from counted
