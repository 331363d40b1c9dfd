"""One order of a dataset, with its lines, its events and its findings; it shows itself as a page."""

from __future__ import annotations

import html
import io
import os
import shutil
from functools import cached_property
from pathlib import Path

import polars as pl

from quivo_frames.analysis.checks.audit import CHECKS, audit
from quivo_frames.analysis.checks.findings import Findings, severity_rank
from quivo_frames.analysis.checks.limits import Limits, read_limits
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.analysis.order_page import order_as_json, print_order, read_order, without_personal_columns
from quivo_frames.analysis.order_search import find_order_id
from quivo_frames.analysis.order_timeline import find_entries
from quivo_frames.analysis.report.order_blocks import order_blocks
from quivo_frames.analysis.report.sheets import format_minute
from quivo_frames.analysis.terminal_sheets import open_console
from quivo_frames.analysis.unit_trees import unit_parts
from quivo_frames.dataset.dataset import Dataset, TablesOrFolder, as_tables
from quivo_frames.display.html import html_table
from quivo_frames.errors import ConfigError
from quivo_frames.model.carriers import carrier_of
from quivo_frames.model.frames import Frames

_PAGE_WIDTH = 100
"""Characters of a page where nobody knows how wide the terminal is."""
_MOST_EVENTS = 50
"""At most this many events are in the page of a notebook."""


class SingleOrder:
    """One order: `order.tables` has its rows, `order.lines` its lines, `order.findings` what an audit finds in it.

    It shows its days, findings, events, lines and handling units, without personal values; `order.json()` has all.
    """

    def __init__(self, dataset: Dataset, order_id: int, limits: Limits, accepted: Path | None = None) -> None:
        self.dataset = dataset
        self.order_id = order_id
        self._limits = limits
        self._accepted = accepted
        self._view = OrderView(dataset.whole)

    @cached_property
    def tables(self) -> Frames:
        """The rows of the order, in all tables."""
        return read_order(self.dataset, self.order_id)

    @cached_property
    def lines(self) -> pl.DataFrame:
        """Its lines with their pieces: ordered, planned, shipped and packed."""
        return self._own_view.matched_lines.collect()

    @cached_property
    def events(self) -> pl.DataFrame:
        """What happened, in the order of time, UTC: at, event, how many times, and of what."""
        return find_entries(without_personal_columns(self.tables))

    @cached_property
    def findings(self) -> Findings:
        """What an audit finds in the order, worst first; checks that compare orders look at all of them."""
        crossing = [name for name, check in CHECKS.items() if check.crosses_orders]
        alone = audit(self._own_view, skip=crossing, limits=self._limits, accepted=self._accepted, remember=False)
        across = audit(self._view, only=crossing, limits=self._limits, accepted=self._accepted, remember=False)
        both = pl.concat([alone, across.filter(pl.col("order_id") == self.order_id)])
        findings = Findings(both.sort(severity_rank(), maintain_order=True))
        findings.as_of, findings.dataset = self._view.as_of, alone.dataset
        return findings

    @cached_property
    def carriers(self) -> list[str]:
        """The carriers of its shipments."""
        sent = self.tables.shipments.select(carrier_of(self._view.usual_providers)).to_series()
        return sent.unique(maintain_order=True).to_list()

    def json(self) -> str:
        """The whole order as one indented JSON document, with its personal and secret values."""
        return order_as_json(self.tables)

    @cached_property
    def _own_view(self) -> OrderView:
        return self._view.only_orders([self.order_id])

    def __repr__(self) -> str:
        page = io.StringIO()
        width = shutil.get_terminal_size((_PAGE_WIDTH, 24)).columns
        print_order(self.tables, self.findings, self.carriers, file=page, width=width)
        return "\n".join(line.rstrip() for line in page.getvalue().splitlines())

    def _repr_html_(self) -> str:
        (block,) = order_blocks(self._own_view, self.findings, [self.order_id])
        parts = [f"<h3>Order {block.order_id}</h3><p>{html.escape(block.about)}</p>"]
        if block.findings:
            parts.append(html_table("Findings", block.findings, ("check", "severity", "what"), [block.more_findings]))
        parts.append(html_table("Dates (UTC)", block.dates))
        happened = self.events.select("at", "event", "times", "fulfillment_orders", "shipments").head(_MOST_EVENTS)
        rows = [(format_minute(at).removesuffix(" UTC"), *others) for at, *others in happened.iter_rows()]
        heads = ("when (UTC)", "what", "times", "fulfillment order", "shipment")
        parts.append(html_table("Timeline", rows, heads))
        parts.append(
            html_table("Lines", block.lines.rows, [head.words for head in block.lines.heads], [block.lines.note])
        )
        if units := self._unit_text():
            parts.append(f"<p><b>Handling units</b></p><pre>{html.escape(units)}</pre>")
        return "".join(parts)

    def _unit_text(self) -> str:
        """The handling units as trees in plain text."""
        frames, text = without_personal_columns(self.tables), io.StringIO()
        console = open_console(text, _PAGE_WIDTH)
        for part in unit_parts(frames["handling_units"], frames["handling_positions"]):
            console.print(part)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def order(
    tables: TablesOrFolder, wanted: int | str, *, limits: Limits | str | os.PathLike[str] | None = None,
    accepted: str | os.PathLike[str] | None = None,
) -> SingleOrder:  # fmt: skip
    """One order, by its number, identifier, reference, customer's purchase order, a tracking number or an SSCC.

        order = qf.order("tables", "SHOP-4711")         # or tables.order(100001)
        order.findings

    `tables` is the folder of a dataset or a `Dataset`. `limits` and `accepted` are those of `audit`.

    Raises:
        ConfigError: no order is called so, or several are; or these are no tables of a dataset.
        DatasetError: the dataset is incomplete, or of another version.
    """
    dataset = as_tables(tables)
    if not isinstance(dataset, Dataset):
        raise ConfigError("An order is shown from a dataset: give its folder, or what qf.open or qf.build return.")
    with_limits = limits if isinstance(limits, Limits) else read_limits(limits) if limits else Limits()
    return SingleOrder(dataset, find_order_id(dataset, wanted), with_limits, Path(accepted) if accepted else None)
