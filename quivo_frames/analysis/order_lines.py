"""The lines of one order to read side by side: ordered, planned, shipped and packed, as the audit counts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl
import polars.selectors as cs

from quivo_frames.analysis.line_matching import LineMatches, match_lines
from quivo_frames.analysis.line_quantities import count_pieces_by_line
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
_SKUS = ("ordered_sku", "sku", "seller_sku", "warehouse_sku")
_DESCRIBING = (*_SKUS, "position_identifier", "lot", "name", "quantity")
"""The columns that say what a row is about."""
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


class OrderLines(NamedTuple):
    """The first lines of an order, and how many there are."""

    lines: list[OrderLine]
    total: int


def read_order_lines(tables: Mapping[str, pl.DataFrame], most: int | None = None) -> OrderLines:
    """The lines of one order as `line_matching` finds them, and the ordered lines that it leaves out of bundles.

    Ordered lines come first, in their order, and then those that nobody ordered; at most `most` of all these.
    """
    matches = match_lines(OrderView(tables).__getitem__)
    counts = count_pieces_by_line(matches)
    left_out = dict(matches.left_out.select("key", "is_part").iter_rows())
    line_of = dict(matches.rows["ordered"].select("key", "line").iter_rows())
    ordered = tables["order_positions"]
    places: dict[int | str, None] = dict.fromkeys(  # the keys of rows that are left out, and numbers of lines
        key if key in left_out else line_of[key] for key in ordered["order_position_key"]
    )
    places |= dict.fromkeys(counts["line"])
    chosen = list(places)[:most]
    lines = pl.Series([place for place in chosen if isinstance(place, int)], dtype=counts["line"].dtype).implode()
    counted = {row["line"]: row for row in counts.filter(pl.col("line").is_in(lines)).iter_rows(named=True)}
    members = _rows_by_line(tables, matches, lines)
    keys = pl.Series([place for place in chosen if isinstance(place, str)], dtype=pl.String).implode()
    alone = {
        row["order_position_key"]: row
        for row in ordered.filter(pl.col("order_position_key").is_in(keys)).iter_rows(named=True)
    }
    described = [
        _describe_left_out(alone[place], is_part=left_out[place])
        if isinstance(place, str)
        else _describe_matched(members[place], counted[place])
        for place in chosen
    ]
    return OrderLines(described, len(places))


def _describe_left_out(row: Row, *, is_part: bool) -> OrderLine:
    quantities = {"ordered": _quantity_text([row], row["quantity"])}
    return _describe_line([row], _LEFT_OUT[is_part], dict.fromkeys(QUANTITY_TABLES, "–") | quantities)


def _describe_matched(rows: Mapping[str, Sequence[Row]], counts: Row) -> OrderLine:
    ordered, quantities = rows["ordered"], _quantity_texts(rows, counts)
    if ordered:
        note = f"({len(ordered)} lines that cannot be told apart)" if len(ordered) > 1 else ""
        return _describe_line(ordered, note, quantities)
    described = _describe_line([row for several in rows.values() for row in several], _STRANGER, quantities)
    return described._replace(skus=(counts["sku"],)) if counts["sku"] else described


def displayed_sku(row: Row) -> str | None:
    """The first SKU that a row states: the ordered one, its own, the seller's, the warehouse's."""
    return next((row[name] for name in _SKUS if row.get(name) is not None), None)


def _rows_by_line(
    tables: Mapping[str, pl.DataFrame], matches: LineMatches, lines: pl.Series
) -> dict[int, dict[str, list[Row]]]:  # fmt: skip
    """The rows of the tables by the number of their line, and by kind of quantity, for some lines."""
    members: dict[int, dict[str, list[Row]]] = {}
    for kind, table in QUANTITY_TABLES.items():
        placed = matches.rows[kind].select("line", "key").filter(pl.col("line").is_in(lines))
        rows = tables[table].select(primary_key_of(table), cs.by_name(*_DESCRIBING, require_all=False))
        found = placed.join(rows, left_on="key", right_on=primary_key_of(table), how="left", maintain_order="left")
        for row in found.iter_rows(named=True):
            members.setdefault(row["line"], {each: [] for each in QUANTITY_TABLES})[kind].append(row)
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
