{# Values are at least, and at most, a number; null is in range. A test that finds the others. #}
{% test within_range(model, column_name, at_least, at_most=none) %}
select {{ column_name }} as outside
from {{ model }}
where {{ column_name }} < {{ at_least }}{% if at_most is not none %} or {{ column_name }} > {{ at_most }}{% endif %}
{% endtest %}
