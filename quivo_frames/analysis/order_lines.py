"""The lines of one order to read side by side: ordered, planned, shipped and packed, as the audit counts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from quivo_frames.analysis.line_matching import LineMatches, count_pieces_by_line, match_lines
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.model.tables import primary_key_of

Row = Mapping[str, Any]
QUANTITY_TABLES = {
    "ordered": "order_positions",
    "planned": "fulfillment_positions",
    "shipped": "shipment_positions",
    "packed": "handling_positions",
}
"""The kinds of quantity, and the table of the rows that are counted for each."""
_STRANGER = "(of no single ordered line)"
_LEFT_OUT = {True: "(part: see its bundle)", False: "(bundle: see its parts)"}


class OrderLine(NamedTuple):
    """A line of an order; of lines that cannot be told apart (a pool), all of them together."""

    identifiers: tuple[str, ...]
    skus: tuple[str, ...]
    lots: tuple[str, ...]
    article: str
    quantities: Mapping[str, str]
    """By kind: the pieces, `?` if they are not known, `3 + ?` if they are known in part, `–` if there are none."""


def read_order_lines(tables: Mapping[str, pl.DataFrame]) -> list[OrderLine]:
    """The lines of one order as `line_matching` finds them, and the ordered lines that it leaves out of bundles.

    Ordered lines come first, in their order, and then those that nobody ordered.
    """
    matches = match_lines(OrderView(tables).__getitem__)
    counts = {row["line"]: row for row in count_pieces_by_line(matches).iter_rows(named=True)}
    members = _rows_by_line(tables, matches)
    left_out = dict(matches.left_out.select("key", "is_part").iter_rows())
    line_of = {row["order_position_key"]: line for line, rows in members.items() for row in rows["ordered"]}
    found: dict[int | str, OrderLine] = {}
    for row in tables["order_positions"].iter_rows(named=True):
        key = row["order_position_key"]
        if key in left_out:
            note, quantities = _LEFT_OUT[left_out[key]], {"ordered": _quantity_text([row], row["quantity"])}
            found[key] = _describe_line([row], note, dict.fromkeys(QUANTITY_TABLES, "–") | quantities)
        elif (line := line_of[key]) not in found:
            rows = members[line]["ordered"]
            note = f"({len(rows)} lines that cannot be told apart)" if len(rows) > 1 else ""
            found[line] = _describe_line(rows, note, _quantity_texts(members[line], counts[line]))
    for line in (line for line in counts if line not in found):
        rows = [row for several in members[line].values() for row in several]
        described = _describe_line(rows, _STRANGER, _quantity_texts(members[line], counts[line]))
        sku = counts[line]["sku"]
        found[line] = described._replace(skus=(sku,)) if sku else described
    return list(found.values())


def displayed_sku(row: Row) -> str | None:
    """The first SKU that a row states: the ordered one, its own, the seller's, the warehouse's."""
    names = ("ordered_sku", "sku", "seller_sku", "warehouse_sku")
    return next((row[name] for name in names if row.get(name) is not None), None)


def _rows_by_line(tables: Mapping[str, pl.DataFrame], matches: LineMatches) -> dict[int, dict[str, list[Row]]]:
    """The rows of the tables by the number of their line, and by kind of quantity."""
    members: dict[int, dict[str, list[Row]]] = {}
    for kind, table in QUANTITY_TABLES.items():
        rows = {row[primary_key_of(table)]: row for row in tables[table].iter_rows(named=True)}
        for line, key in matches.rows[kind].select("line", "key").iter_rows():
            members.setdefault(line, {each: [] for each in QUANTITY_TABLES})[kind].append(rows[key])
    return members


def _describe_line(rows: Sequence[Row], note: str, quantities: Mapping[str, str]) -> OrderLine:
    identifiers, lots, names = (_distinct_texts(rows, name) for name in ("position_identifier", "lot", "name"))
    skus = tuple(dict.fromkeys(sku for row in rows if (sku := displayed_sku(row))))
    return OrderLine(identifiers, skus, lots, " ".join(filter(None, (", ".join(names), note))), quantities)


def _distinct_texts(rows: Sequence[Row], name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row[name] for row in rows if row.get(name)))


def _quantity_texts(rows: Mapping[str, Sequence[Row]], counts: Row) -> dict[str, str]:
    return {kind: _quantity_text(rows[kind], counts[kind]) for kind in QUANTITY_TABLES}


def _quantity_text(rows: Sequence[Row], counted: int | None) -> str:
    """What the audit counted in some rows; if that is not known, what the rows state at least."""
    if counted is not None:
        return str(counted) if rows else "–"
    stated = sum(row["quantity"] or 0 for row in rows)
    return f"{stated} + ?" if stated else "?"
