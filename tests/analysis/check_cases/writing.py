"""Cases of the check of how identifiers are written."""

from tests.support.fair_order import GONE, SSCC, CheckCase

_PLACES = [
    "handlingUnits.0.sscc",
    "fulfillmentOrders.0.shipments.0.sscc",
    *(f"handlingUnits.0.handlingPositions.{place}.sscc" for place in (0, 1)),
]

CASES = {
    "written_differently": CheckCase(
        fires={"handlingUnits.0.sscc": f"(00)  {SSCC}"},
        row="1001/0",
        quiet={"handlingUnits.0.sscc": SSCC},
        missing=dict.fromkeys(_PLACES, GONE) | {"ssccLabel": GONE},
    ),
}
