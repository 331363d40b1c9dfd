"""The page of one order, for a terminal.

Columns that may be personal or secret are removed first, before anything reads the rows. Values are printed as plain
text: markup in them has no effect, and control characters are escaped. Of long lists the first entries are shown, and
how many more there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import chain
from typing import IO

import msgspec
import polars as pl
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from quivo_frames.analysis.checks.findings import ACCEPTED, Findings
from quivo_frames.analysis.order_lines import QUANTITY_TABLES, read_order_lines
from quivo_frames.analysis.order_search import explain_nothing_found
from quivo_frames.analysis.order_timeline import holder_text, timeline_parts
from quivo_frames.analysis.page_parts import (
    MAX_CHILDREN,
    MAX_SECTION_LINES,
    Row,
    add_id_column,
    hidden_part,
    join_known,
    new_grid,
    plain_texts,
    unbreakable_texts,
)
from quivo_frames.analysis.terminal_sheets import open_console
from quivo_frames.analysis.unit_trees import unit_parts
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.display.text import terminal_text
from quivo_frames.errors import ConfigError
from quivo_frames.flattening.unflatten import unflatten
from quivo_frames.model.carriers import stated_carrier
from quivo_frames.model.frames import Frames
from quivo_frames.model.order import Privacy
from quivo_frames.model.tables import TABLES, row_noun


def read_order(dataset: Dataset, order_id: int) -> Frames:
    """The tables of one order of a dataset.

    Raises:
        ConfigError: the order is not in the dataset, or it failed.
    """
    tables = dataset.only([order_id]).collect()
    if tables.failures.height or tables.orders.is_empty():
        raise ConfigError(explain_nothing_found(dataset, str(order_id)))
    return tables


def order_as_json(tables: Mapping[str, pl.DataFrame]) -> str:
    """The whole order as one indented JSON document, with its personal and secret values."""
    return msgspec.json.format(next(unflatten(tables))).decode()


def print_order(
    tables: Mapping[str, pl.DataFrame], found: Findings | None = None, carriers: Sequence[str] | None = None, *,
    file: IO[str] | None = None, width: int | None = None,
) -> None:  # fmt: skip
    """Prints the page of one order, with what an audit found in it, if that is known; in color only on a terminal.

    `carriers` are those of its shipments, where not all shipments name theirs.
    """
    console = open_console(file, width)
    for part in _page_parts(without_personal_columns(tables), found, carriers):
        console.print(part)


def without_personal_columns(tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The tables without the columns that may be personal or secret."""
    return {
        name: tables[name].select(column.name for column in table.columns if column.privacy is Privacy.NONE)
        for name, table in TABLES.items()
    }


def _page_parts(
    frames: Mapping[str, pl.DataFrame], found: Findings | None, carriers: Sequence[str] | None
) -> Iterator[RenderableType]:  # fmt: skip
    order = frames["orders"].row(0, named=True)
    yield Text.assemble(("Order ", "bold"), (terminal_text(order["order_id"]), "bold"))
    yield _indent_part(_facts_grid(order, frames, carriers))
    if found is not None:
        yield from _section_parts("Findings", finding_parts(found))
    yield from _section_parts("Timeline", timeline_parts(frames))
    yield from _section_parts("Lines", _line_parts(frames))
    yield from _section_parts("Handling units", unit_parts(frames["handling_units"], frames["handling_positions"]))
    yield Text("\nPersonal and secret values are not shown here; --json prints everything.", style="dim")


def _section_parts(title: str, parts: Iterable[RenderableType]) -> Iterator[RenderableType]:
    given = list(parts)
    yield Text(f"\n{title}" if given else f"\n{title}: none", style="bold")
    yield from map(_indent_part, given)


def _indent_part(part: RenderableType) -> RenderableType:
    return Padding(part, (0, 0, 0, 2))


def _facts_grid(
    order: Row, frames: Mapping[str, pl.DataFrame], carriers: Sequence[str] | None
) -> RenderableType:  # fmt: skip
    held = frames["fulfillment_orders"].select("warehouse_id", "warehouse_name").iter_rows()
    at = [(order["warehouse_id"], None), *held]
    named = {number: name for number, name in at if name is not None}
    warehouses = dict.fromkeys(join_known(number, named.get(number, name)) for number, name in at)
    sent = frames["shipments"]
    stated = sent.select(stated_carrier()).to_series().unique(maintain_order=True).to_list()
    facts = {
        "status": join_known(order["order_status"]),
        "identifier": join_known(order["order_identifier"]),
        "reference": join_known(order["order_reference"]),
        "seller": join_known(order["seller_id"], order["seller_name"]),
        "shop": join_known(order["shop_id"], order["shop_system_name"] or order["shop_system"]),
        "warehouse": ", ".join(plain_texts([*filter(None, warehouses)])),
        "carrier": ", ".join(plain_texts(stated if carriers is None else carriers)),
        "to be shipped": _promised_days(order["earliest_ship_date"], order["latest_ship_date"]),
        "to be delivered": _promised_days(order["earliest_delivery_date"], order["latest_delivery_date"]),
    }
    grid = Grid.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, fact in facts.items():
        grid.add_row(name, Text(fact or "–"))
    return grid


def _promised_days(first: date | None, last: date | None) -> str:
    if first and last:
        return f"{first}" if first == last else f"{first} to {last}"
    return f"by {last}" if last else f"from {first}" if first else ""


def finding_parts(found: Findings) -> Iterator[RenderableType]:
    """What an audit found in the order, worst first, each with the values that the check saw."""
    for row in found.head(MAX_SECTION_LINES).iter_rows(named=True):
        accepted = " (accepted)" if row["status"] == ACCEPTED else ""
        words = terminal_text(row["message"].partition(": ")[2])
        yield Text.assemble((f"{row['severity']} {row['check']}", "bold"), f"{accepted}: {words}")
        seen = ", ".join(f"{value['name']} {terminal_text(value['value'])}" for value in row["evidence"])
        if seen:
            yield Padding(Text(f"saw {seen}", style="dim"), (0, 0, 0, 2))
    if hidden := hidden_part(found.height - MAX_SECTION_LINES, "finding"):
        yield hidden


def _line_parts(frames: Mapping[str, pl.DataFrame]) -> Iterator[RenderableType]:
    """The lines with their quantities side by side, and what is not counted in them."""
    lines, total = read_order_lines(frames, MAX_SECTION_LINES)
    if not lines:
        return
    grid = new_grid()
    ids = {"line": [line.identifiers for line in lines], "SKU": [line.skus for line in lines]}
    if any(line.lots for line in lines):
        ids["lot"] = [line.lots for line in lines]
    for name, several in ids.items():
        add_id_column(grid, name, chain.from_iterable(map(unbreakable_texts, several)))
    grid.add_column("article", overflow="fold")
    kinds = [kind for kind, table in QUANTITY_TABLES.items() if kind != "packed" or frames[table].height]
    for kind in kinds:
        grid.add_column(kind, justify="right", min_width=len(kind))
    for place, line in enumerate(lines):
        texts = [", ".join(plain_texts(several[place])) for several in ids.values()]
        counts = [line.quantities[kind] for kind in kinds]
        style = "" if len({*counts} - {"–"}) < 2 else "yellow"
        grid.add_row(*map(Text, (*texts, terminal_text(line.article))), *counts, style=style)
    yield grid
    if hidden := hidden_part(total - len(lines), "line"):
        yield hidden
    for kind, name, flag in (("planned", "fulfillment_orders", "cancelled"), ("shipped", "shipments", "reversed")):
        gone = frames[name].filter(pl.col(flag))
        for number in gone.head(MAX_CHILDREN).select(holder_text(TABLES[name], gone.columns, name)).to_series():
            yield Text(f"Not counted as {kind}: {row_noun(name)} {terminal_text(number)}, which was {flag}.")
        if hidden := hidden_part(gone.height - MAX_CHILDREN, f"{flag} {row_noun(name)}"):
            yield hidden
