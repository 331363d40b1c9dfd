"""Cases of the checks of quantities."""

from tests.fair_order import GONE, Case

_FIRST = "fulfillmentOrders.0.shipments.0"
_LESS = {f"{_FIRST}.positions.0.quantity": 1}  # of the 2 pieces of A

CASES = {
    "short_shipped": Case(
        fires=_LESS,
        row="1001/0",
        quiet=_LESS | {"completedAt": GONE, f"{_FIRST}.shipDate": "2026-10-10T12:00:00Z"},  # the rest may follow
        missing=_LESS | {"positions.0.quantity": GONE},
    ),
}
