"""Cases of the checks of amounts."""

from tests.support.fair_order import GONE, CheckCase

_CASH = {"cashOnDeliveryAmount": 36.0, "cashOnDeliveryCurrency": "EUR"}

CASES = {
    "net_total_differs": CheckCase(
        fires={"positions.0.totalNetAmount": 20.02},
        row="1001/0",
        quiet={"positions.0.totalNetAmount": 20.01},  # two pieces, each rounded by half a cent
        missing={"positions.0.totalNetAmount": 20.02, "positions.0.unitNetPrice": GONE},
    ),
    "gross_total_differs": CheckCase(
        fires={"positions.0.totalGrossAmount": 12.0},
        row="1001/0",
        quiet={"positions.0.totalGrossAmount": 23.99},
        missing={"positions.0.totalGrossAmount": 12.0, "positions.0.quantity": GONE},
        also=frozenset({"gross_below_net"}),
    ),
    "line_discount": CheckCase(
        fires={"positions.0.totalNetAmount": 18.0, "positions.0.totalGrossAmount": 21.6},
        row="1001/0",
        quiet={"positions.0.totalNetAmount": 18.0},  # and gross as before: no discount
        missing={
            "positions.0.totalNetAmount": 18.0,
            "positions.0.totalGrossAmount": 21.6,
            "positions.0.quantity": GONE,
        },
    ),
    "gross_below_net": CheckCase(
        fires={"positions.1.unitGrossPrice": 9.0, "positions.1.totalGrossAmount": 9.0},
        row="1001/1",
        quiet={"positions.1.unitGrossPrice": 10.0, "positions.1.totalGrossAmount": 10.0},
        missing={
            "positions.1.unitGrossPrice": 9.0,
            "positions.1.totalGrossAmount": GONE,
            "positions.1.unitNetPrice": GONE,
        },
    ),
    "cash_without_currency": CheckCase(
        fires=_CASH | {"cashOnDeliveryCurrency": ""},
        row="1001",
        quiet={"cashOnDeliveryAmount": 0, "cashOnDeliveryCurrency": None},
        missing={},
    ),
    "mixed_currencies": CheckCase(
        fires=_CASH | {"cashOnDeliveryCurrency": "CZK"},
        row="1001",
        quiet=_CASH | {"cashOnDeliveryCurrency": "eur"},
        missing=_CASH | {"cashOnDeliveryCurrency": "CZK", "currency": GONE},
    ),
}
