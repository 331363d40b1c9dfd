"""The shipments of one order by fulfillment order, and its handling units as a tree, with the state of their SSCCs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import polars as pl

from quivo_frames.analysis.checks.packing import gs1_check_digit, has_18_digits
from quivo_frames.analysis.identifiers import sscc_digits
from quivo_frames.analysis.order_lines import displayed_sku
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.display.text import format_count, terminal_text
from quivo_frames.explorer.order_cells import value_text
from quivo_frames.explorer.order_places import Cell
from quivo_frames.explorer.order_rows import OrderRows, carriers_of_shipments

MOST_SHIPMENTS, MOST_UNITS, MOST_CONTENTS, MOST_UNIT_LEVELS = 50, 150, 20, 30
_UNIT, _PARENT = "handling_unit_key", "parent_handling_unit_key"


class SsccState(NamedTuple):
    """An SSCC, and whether its check digit is right."""

    text: str
    words: str
    is_wrong: bool


class ShownShipment(NamedTuple):
    """A shipment."""

    row: Cell
    name: str
    carrier: str
    tracking: list[str]
    shipped: str
    expected: str
    delivered: str
    proven: str
    sscc: SsccState | None
    facts: str
    is_reversed: bool


class ShownFulfillment(NamedTuple):
    """A fulfillment order with its shipments."""

    row: Cell
    name: str
    warehouse: str
    status: str
    created: str
    lines: int
    is_cancelled: bool
    shipments: list[ShownShipment]


class UnitEvent(NamedTuple):
    """A step through the tree of handling units: a unit begins, ends, or how much is left out."""

    role: str
    """open, close or more."""
    row: Cell | None = None
    label: str = ""
    sscc: SsccState | None = None
    facts: str = ""
    contents: list[tuple[Cell, str]] = []  # noqa: RUF012 - never changed
    more: int = 0
    """How many content lines, or units, are not shown."""
    is_open: bool = True


def sscc_states(ssccs: pl.Series) -> list[SsccState | None]:
    """The state of each SSCC; None where there is none."""
    digits = sscc_digits(pl.col("sscc"))
    is_long = has_18_digits(digits)
    number = pl.when(is_long).then(digits).cast(pl.Int64)
    frame = pl.DataFrame({"sscc": ssccs}).with_columns(
        digits=digits, is_long=is_long, given=number % 10, right=gs1_check_digit(number // 10)
    )
    return [_sscc_state(row) for row in frame.iter_rows(named=True)]


def _sscc_state(row: dict[str, Any]) -> SsccState | None:
    if row["digits"] is None:
        return None
    text = value_text(row["sscc"])
    if not row["is_long"]:
        return SsccState(text, "not 18 digits", is_wrong=True)
    if row["given"] != row["right"]:
        return SsccState(text, f"check digit {row['given']}, should be {row['right']}", is_wrong=True)
    return SsccState(text, "check digit right", is_wrong=False)


def show_fulfillments(dataset: Dataset, rows: OrderRows) -> tuple[list[ShownFulfillment], int]:
    """The fulfillment orders with their shipments, and how many shipments are left out."""
    sent, held = rows.tables["shipments"], rows.tables["fulfillment_orders"]
    shown = sent.head(MOST_SHIPMENTS)
    states = sscc_states(shown["sscc"])
    carriers = carriers_of_shipments(dataset, shown)
    tracking = _tracking_of(rows) if rows.personal else {}
    shipments: dict[str, list[ShownShipment]] = {}
    for row, state, carrier in zip(shown.iter_rows(named=True), states, carriers, strict=True):
        found = tracking.get(row["shipment_key"], [])
        shipments.setdefault(row["fulfillment_order_key"], []).append(_show_shipment(row, state, carrier, found))
    lines = dict(rows.tables["fulfillment_positions"].group_by("fulfillment_order_key").len().iter_rows())
    listed = held.head(MOST_SHIPMENTS)
    return [
        ShownFulfillment(
            Cell("fulfillment_orders", row["fulfillment_order_key"]),
            _name_of(row, "fulfillment_order_id", "fulfillment_order_identifier", "fulfillment_order_key"),
            _texts(row, "warehouse_name", "warehouse_id"), _texts(row, "fulfillment_status"),
            _minute(row["fulfillment_order_created"]), lines.get(row["fulfillment_order_key"], 0),
            bool(row["cancelled"]), shipments.get(row["fulfillment_order_key"], []),
        )
        for row in listed.iter_rows(named=True)
    ], max(sent.height - shown.height, held.height - listed.height, 0)  # fmt: skip


def _tracking_of(rows: OrderRows) -> dict[str, list[str]]:
    """The tracking numbers of each shipment, each once."""
    pairs = pl.concat(
        rows.tables[name].select("shipment_key", "tracking_number") for name in ("shipments", "tracking_numbers")
    ).drop_nulls()
    found: dict[str, list[str]] = {}
    for key, number in pairs.unique(maintain_order=True).iter_rows():
        found.setdefault(key, []).append(value_text(number))
    return found


def _show_shipment(row: dict[str, Any], state: SsccState | None, carrier: str, tracking: list[str]) -> ShownShipment:
    sizes = [f"{row[f'{side}_value']:g}" for side in ("length", "width", "height") if row[f"{side}_value"] is not None]
    facts = [
        format_count(row["number_of_pallets"], "pallet") if row["number_of_pallets"] else "",
        format_count(row["number_of_parcels"], "parcel") if row["number_of_parcels"] else "",
        f"gross weight {row['gross_weight']:g}" if row["gross_weight"] is not None else "",
        f"{' × '.join(sizes)} {terminal_text(row['length_unit'] or '')}".strip() if sizes else "",
        "travels without tracking" if row["is_untracked"] else "",
    ]
    return ShownShipment(
        Cell("shipments", row["shipment_key"]), _name_of(row, "shipment_id", "shipment_identifier", "shipment_key"),
        terminal_text(carrier), tracking, _minute(row["ship_date"]), _minute(row["expected_delivery_date"]),
        _minute(row["delivery_date"]), _minute(row["pod_date"]), state, ", ".join(filter(None, facts)),
        bool(row["reversed"]),
    )  # fmt: skip


def _name_of(row: dict[str, Any], *names: str) -> str:
    return terminal_text(next(row[name] for name in names if row[name] is not None))


def _texts(row: dict[str, Any], *names: str) -> str:
    return next((terminal_text(row[name]) for name in names if row[name] is not None), "")


def _minute(at: Any) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at is not None else ""


def walk_units(rows: OrderRows) -> Iterator[UnitEvent]:
    """The handling units from the outermost inwards: each begins, has its contents, then its inner units, and ends."""
    units = rows.tables["handling_units"].head(MOST_UNITS)
    if units.is_empty():
        return
    inner = Counter(rows.tables["handling_units"][_PARENT].to_list())
    states = dict(zip(units[_UNIT], sscc_states(units["sscc"]), strict=True))
    shipped_as = dict(rows.tables["shipments"].drop_nulls("sscc").select(
        sscc_digits(pl.col("sscc")), "gross_weight").drop_nulls().iter_rows())  # fmt: skip
    weights = _weights_of_contents(rows)
    contents: dict[str, list[dict[str, Any]]] = {}
    for row in rows.tables["handling_positions"].iter_rows(named=True):
        contents.setdefault(row[_UNIT], []).append(row)
    digits = units.select(sscc_digits(pl.col("sscc"))).to_series().to_list()
    by_key = {row[_UNIT]: (row, shipped_as.get(own)) for row, own in zip(units.to_dicts(), digits, strict=True)}
    children: dict[str | None, list[str]] = {}
    for key, (row, _) in by_key.items():
        children.setdefault(row[_PARENT], []).append(key)
    yield from _walk_inside(None, 0, children, by_key, states, contents, weights, inner)


def _walk_inside(
    parent: str | None, level: int, children: dict[str | None, list[str]],
    by_key: dict[str, tuple[dict[str, Any], float | None]], states: dict[str, SsccState | None],
    contents: dict[str, list[dict[str, Any]]], weights: dict[str, float | None], inner: Counter[str | None],
) -> Iterator[UnitEvent]:  # fmt: skip
    shown = children.get(parent, []) if level < MOST_UNIT_LEVELS else []
    for key in shown:
        row, gross = by_key[key]
        inside = contents.get(key, [])
        facts = [
            f"{len(inside):,} content {'line' if len(inside) == 1 else 'lines'}" if inside else "",
            f"{inner[key]:,} inner {'unit' if inner[key] == 1 else 'units'}" if inner[key] else "",
            f"pieces weigh {weights[key]:g}" if weights.get(key) is not None else "",
            f"shipped with gross weight {gross:g}" if gross is not None else "",
            _texts(row, "carrier"),
        ]
        yield UnitEvent(
            "open", Cell("handling_units", key), _texts(row, "type", "handling_unit_identifier") or "unit",
            states[key], ", ".join(filter(None, facts)),
            [(Cell("handling_positions", line["handling_position_key"]), _content_text(line))
             for line in inside[:MOST_CONTENTS]],
            max(len(inside) - MOST_CONTENTS, 0), level < 2,
        )  # fmt: skip
        yield from _walk_inside(key, level + 1, children, by_key, states, contents, weights, inner)
        yield UnitEvent("close")
    if inner[parent] > len(shown):
        yield UnitEvent("more", more=inner[parent] - len(shown))


def _content_text(row: dict[str, Any]) -> str:
    line = row["position_identifier"]
    quantity = "?" if row["quantity"] is None else f"{row['quantity']:,}"
    sku = displayed_sku(row)
    return f"{quantity} × {terminal_text(sku) if sku is not None else '(no SKU)'}" + (
        f", line {terminal_text(line)}" if line is not None else ""
    )


def _weights_of_contents(rows: OrderRows) -> dict[str, float | None]:
    """By unit, the weight of the pieces in it by the unit weights of their ordered lines; None if one is not known."""
    of_line = rows.tables["order_positions"].select(line_key="order_position_key", weight="unit_weight")
    packed = rows.derived["line_rows"].filter(states="packed").join(of_line, on="line_key", how="left")
    weighed = packed.select(handling_position_key="found_key", weighs=pl.col("weight") * pl.col("quantity"))
    lines = rows.tables["handling_positions"].join(weighed, on="handling_position_key", how="left")
    known = lines.group_by(_UNIT).agg(pl.when(pl.col("weighs").null_count() == 0).then(pl.col("weighs").sum().round(3)))
    return dict(known.iter_rows())
