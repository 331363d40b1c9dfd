"""Cases of the checks of what the data says about itself."""

from tests.support.fair_order import GONE, CheckCase

_PLACES = [f"deliveryAddress.{name}" for name in ("name1", "email")] + ["invoiceAddress.name1"]
_MASKED = {"piiDataRemoved": True} | dict.fromkeys(_PLACES, "***")

CASES = {
    "order_error": CheckCase(
        fires={"entityErrors": [{"errorCode": "E17", "errorMessage": "of nobody's business"}]},
        row="1001/0",
        quiet={"entityErrors": []},
        missing={"entityErrors": None},
    ),
    "unknown_country": CheckCase(
        fires={"invoiceAddress.country": "YU"},  # Serbia, Montenegro, Croatia?
        row="1001",
        quiet={"invoiceAddress.country": "gb", "deliveryAddress.country": "XK"},
        missing={"invoiceAddress.country": "", "deliveryAddress.country": GONE},
    ),
    "country_not_coded": CheckCase(
        fires={"invoiceAddress.country": "Österreich"},
        row="1001",
        quiet={"invoiceAddress.country": "at"},
        missing={"invoiceAddress.country": " ", "deliveryAddress.country": GONE},
    ),
    "unknown_currency": CheckCase(
        fires={"currency": "EURO"},
        row="1001",
        quiet={"currency": "jpy"},
        missing={"currency": None},
    ),
    "weight_total_differs": CheckCase(
        fires={"positions.0.totalWeight": 1.5},
        row="1001/0",
        quiet={"positions.0.totalWeight": 3.1},
        missing={"positions.0.totalWeight": 1.5, "positions.0.unitWeight": GONE},
    ),
    "personal_data_left": CheckCase(
        fires=_MASKED | {"invoiceAddress.name1": "Anna"},
        row="1001",
        quiet=_MASKED,
        missing={"piiDataRemoved": GONE},  # then nobody said that it is gone
    ),
}
