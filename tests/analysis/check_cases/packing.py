"""Cases of the checks of handling units."""

from tests.support.fair_order import GONE, OTHER_SSCC, SSCC, THIRD_SSCC, CheckCase

_FIRST = "fulfillmentOrders.0.shipments.0"
_PACKED = "handlingUnits.0.handlingPositions"
_CARTON = {"handlingUnits.0.type": "CARTON", f"{_FIRST}.numberOfPallets": GONE, f"{_FIRST}.numberOfParcels": 2}
_B = {"sku": "B", "positionIdentifier": "L1", "quantity": 1}
_OF_UNITS_AROUND = [{"sscc": SSCC}, {"sscc": OTHER_SSCC}, {"sscc": THIRD_SSCC}]
_B_UNPACKED = {f"{_PACKED}.1": GONE}


def _marked(sscc: object) -> dict[str, object]:
    """The pallet has this SSCC, wherever it is told."""
    return {
        "handlingUnits.0.sscc": sscc,
        f"{_PACKED}.0.sscc": sscc,
        f"{_PACKED}.1.sscc": sscc,
        f"{_FIRST}.sscc": sscc,
    }


def _second_pallet(**more: object) -> dict[str, object]:
    return {f"{_FIRST}.numberOfPallets": 2, "handlingUnits.1": {"type": "PALLET", **more}}


CASES = {
    "sscc_malformed": CheckCase(
        fires=_marked("0" + SSCC),
        row="1001/0",
        quiet=_marked("(00)" + SSCC),  # with its application identifier
        missing=_marked(GONE),
    ),
    "sscc_check_digit": CheckCase(
        fires=_marked(SSCC[:-1] + "9"),
        row="1001/0",
        quiet=_marked(OTHER_SSCC),
        missing=_marked(GONE),
    ),
    "sscc_twice": CheckCase(
        fires=_B_UNPACKED | _second_pallet(sscc=SSCC, handlingPositions=[_B]),
        row="1001/1",
        quiet=_B_UNPACKED | _second_pallet(sscc=OTHER_SSCC, handlingPositions=[_B]),
        missing=_B_UNPACKED | _second_pallet(handlingPositions=[_B]),
    ),
    "sscc_on_two_orders": CheckCase(
        fires=[{}, {}],
        row="1002/0",
        quiet=[{}, _marked(OTHER_SSCC)],
        missing=[{}, _marked(GONE)],
    ),
    "sscc_disagrees": CheckCase(
        fires={f"{_PACKED}.0.sscc": OTHER_SSCC},
        row="1001/0/0",
        quiet={
            "handlingUnits.0.handlingPositions": GONE,
            "handlingUnits.0.childHandlingUnits": [
                {
                    "sscc": OTHER_SSCC,
                    "childHandlingUnits": [{"sscc": THIRD_SSCC, "handlingPositions": _OF_UNITS_AROUND}],
                }
            ],
        },
        missing={f"{_PACKED}.0.sscc": OTHER_SSCC, "handlingUnits.0.sscc": GONE},
    ),
    "empty_unit": CheckCase(
        fires=_second_pallet(sscc=OTHER_SSCC),
        row="1001/1",
        quiet=_B_UNPACKED | _second_pallet(sscc=OTHER_SSCC, childHandlingUnits=[{"handlingPositions": [_B]}]),
        missing=_second_pallet(sscc=OTHER_SSCC) | {_PACKED: GONE},
    ),
    "unpacked_line": CheckCase(
        fires=_B_UNPACKED,
        row="1001/1",
        quiet=_B_UNPACKED | {f"{_FIRST}.positions.1": GONE, "fulfillmentOrders.0.shipments.1": {"positions": [_B]}},
        missing=_B_UNPACKED | {f"{_PACKED}.0.quantity": GONE},
    ),
    "sscc_missing": CheckCase(
        fires=_marked(GONE),
        row="1001",
        quiet=_marked(GONE) | {"handlingUnits.0.sscc": SSCC},
        missing=_marked(GONE) | {"ssccLabel": GONE},
    ),
    "pallets_differ": CheckCase(
        fires={f"{_FIRST}.numberOfPallets": 2},
        row="1001",
        quiet=_B_UNPACKED | _second_pallet(sscc=OTHER_SSCC, handlingPositions=[_B]),
        missing={f"{_FIRST}.numberOfPallets": 2, "handlingUnits.0.type": GONE},
    ),
    "parcels_differ": CheckCase(
        fires=_CARTON,
        row="1001",
        quiet=_CARTON | {"handlingUnits.0.type": "PALLET"},  # of two parcels, say
        missing=_CARTON | {"handlingUnits.0.type": GONE},
    ),
    "too_light": CheckCase(
        fires={f"{_FIRST}.grossWeight": 4.2},  # of 3 pieces of 1.5
        row="1001/0/0",
        quiet={f"{_FIRST}.grossWeight": 4.4},
        missing={f"{_FIRST}.grossWeight": 4.2, "positions.0.unitWeight": GONE},
    ),
    "too_heavy": CheckCase(
        fires={f"{_FIRST}.grossWeight": 19},
        row="1001/0/0",
        quiet={f"{_FIRST}.grossWeight": 18},
        missing={f"{_FIRST}.grossWeight": 19, "positions.0.unitWeight": GONE},
    ),
}
