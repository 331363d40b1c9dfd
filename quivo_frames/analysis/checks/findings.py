"""The findings of an audit: a polars frame that shows a summary by check."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import polars as pl

from quivo_frames.analysis.checks.check import EVIDENCE, Severity
from quivo_frames.analysis.checks.coverage import RUN_SCHEMA, SKIPPED
from quivo_frames.analysis.checks.memory import NEW, RESOLVED_SCHEMA, STANDING
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.display.html import html_table
from quivo_frames.display.text import format_count, noun_for, terminal_text
from quivo_frames.export.formats import WorkbookSheet
from quivo_frames.export.frame_file import refuse_frame_file, with_flat_lists, write_frame_file
from quivo_frames.model.tables import table_of_named_tuple

ACCEPTED = "accepted"
"""The status of findings that somebody accepted for a time."""
_MOST_SKIPPED = 6
"""Of so many skipped checks the summary gives the reason."""


class Finding(NamedTuple):
    """One row of the findings: something that is, or may be, wrong in one row of the tables.

    The value at risk is a net amount. Findings of quantities: the line's amount (total_net_amount, else unit price
    times quantity), times the share of the pieces that `expected` and `actual` differ by. Other findings about lines:
    the line's amount. A row of another table belongs to the ordered line of its SKU, if the order has only one such.
    Findings of time, promises and tracing about orders, fulfillment orders and shipments: all lines of the order. Null
    where an amount is not known, for findings that are only worth knowing (info), and for labels, amounts and codes
    that are wrong, as these put no goods at risk.
    """

    finding: Annotated[str, "Name of the finding, the same in every audit: the check and the key of the row."]
    check: Annotated[str, "The check that found it."]
    severity: Annotated[str, "error: it went wrong; warning: it may have; info: worth knowing."]
    order_id: Annotated[int, "The order."]
    order_identifier: Annotated[str | None, "Identifier of the order, presumably the shop's."]
    seller: Annotated[str | None, "Name of the seller, else the number."]
    warehouse: Annotated[
        str | None, "Warehouse of the row's fulfillment order, else the only one of the order, else the order's own."
    ]
    carrier: Annotated[str | None, "Carrier of the row's shipment, else the only one of the order."]
    sku: Annotated[str | None, "The SKU that it is about."]
    table: Annotated[str, "The table of the row."]
    key: Annotated[str, "Key of the row in its table; of orders, the order's id."]
    expected: Annotated[float | None, "The number that should be: pieces, an amount, a weight."]
    actual: Annotated[float | None, "The number that is."]
    days_late: Annotated[float | None, "How long after the promise, or in the wrong order, it happened.", "days"]
    value_at_risk: Annotated[Decimal | None, "Net amount of the goods that it is about.", "currency of the order"]
    currency: Annotated[str | None, "Currency of the order."]
    message: Annotated[str, "What was found, in plain words."]
    evidence: Annotated[str | None, "The values that were compared, by name: a list; in .csv and .xlsx a text."]
    reference: Annotated[str, "The rule or standard that the check follows."]
    status: Annotated[str, "new: not found by the last audit of the dataset; standing: it was; accepted: until a day."]
    found_at: Annotated[datetime, "The instant for which the orders were audited.", "UTC"]
    first_seen: Annotated[datetime, "That of the first audit of the dataset that found it.", "UTC"]


FINDINGS = table_of_named_tuple("findings", "thing that an audit found in a row", Finding)
"""The columns of the findings, as they are written to flat files."""
FINDINGS_SCHEMA = {**FINDINGS.schema, "evidence": EVIDENCE}
"""The columns of the findings and their types."""


class Findings(pl.DataFrame):
    """The findings of an audit: a polars frame, worst first, that prints as a summary by check.

    The columns are those of `Finding`. What is derived from it, such as `findings.filter(severity="error")`, is a plain
    polars frame and shows its rows. `as_of` is the instant for which the orders were audited, `checks` a frame of the
    checks that ran or were skipped, and why; `resolved` has what the last audit of the dataset found, at `since`, and
    this one did not.
    """

    as_of: datetime | None = None
    personal: bool = False
    """Whether personal values are among the evidence."""
    dataset: Dataset | None = None
    """The dataset that was audited: it remembers where findings are saved, so that orders can be erased there."""
    checks: pl.DataFrame = pl.DataFrame(schema=RUN_SCHEMA)
    """One row per check: severity, outcome (ran or skipped), reason, judged (how many orders), findings."""
    resolved: pl.DataFrame = pl.DataFrame(schema=RESOLVED_SCHEMA)
    """What the last audit found and this one did not, of the checks that ran."""
    since: datetime | None = None
    """The instant of the last audit of the dataset; None if there was none."""
    left_out: int = 0
    """How many standing findings are left out, as only new ones were asked for."""
    notices: Sequence[str] = ()
    """Sentences about the audit, or a report of it, that users should read."""

    @classmethod
    def _from_pydf(cls, py_df: Any) -> Any:
        """What polars derives from the findings is a plain frame: the summary is that of the whole audit."""
        return pl.DataFrame._from_pydf(py_df)

    def unaccepted(self) -> pl.DataFrame:
        """The findings that nobody has accepted."""
        return self.filter(pl.col("status") != ACCEPTED)

    def by_check(self) -> pl.DataFrame:
        """One row per check, worst first: severity, check, findings, orders, and the message of the worst finding.

        Accepted findings are not counted.
        """
        counted = self.unaccepted().group_by("severity", "check", maintain_order=True).agg(
            findings=pl.len(), orders=pl.col("order_id").n_unique(), example=pl.col("message").first()
        )  # fmt: skip
        return counted.sort(severity_rank(), "orders", descending=[False, True], maintain_order=True)

    def counts(self) -> dict[Severity, int]:
        """How many findings there are of each severity, without the accepted ones."""
        found = dict(self.unaccepted().group_by("severity").len().iter_rows())
        return {severity: found.get(str(severity), 0) for severity in Severity}

    def write(self, file: str | os.PathLike[str]) -> None:
        """Writes all findings to a .parquet, .csv, .ndjson or .xlsx file that its owner alone can read.

        Raises:
            ConfigError: the name has another ending, or something else is there than earlier findings.
            ExportError: the file cannot be written.
        """
        self.save(file)

    def save(self, file: str | os.PathLike[str]) -> list[str]:
        """As `write`; returns sentences that users should read."""
        path = Path(file)
        refuse_frame_file(path, FINDINGS)
        notices = self.dataset.outputs.record_saved_file(path, FINDINGS.name) if self.dataset else []
        return [*write_frame_file(self, path, FINDINGS), *notices]

    def as_sheet(self) -> WorkbookSheet:
        """The findings as a sheet of an Excel export: `tables.export("excel", file, sheets=[findings])`.

        Numbers have 15 digits, as in Excel.
        """
        rows = with_flat_lists(self).with_columns(pl.selectors.float().round_sig_figs(15))
        return WorkbookSheet(FINDINGS, rows, self.personal)

    def facts(self) -> dict[str, Any]:
        """The summary for programs: as_of, the numbers of findings, of orders, by severity, by status and by check.

        Accepted findings are counted in `accepted` only.
        """
        open_findings = self.unaccepted()
        return {
            "as_of": None if self.as_of is None else self.as_of.isoformat(),
            "findings": open_findings.height,
            "orders": open_findings["order_id"].n_unique(),
            **{str(severity): count for severity, count in self.counts().items()},
            **self._count_statuses(),
            "resolved": self.resolved.height,
            "since": None if self.since is None else self.since.isoformat(),
            "checks": self.by_check().to_dicts(),
            "skipped": dict(self._skipped_checks()),
        }

    def _count_statuses(self) -> dict[str, int]:
        found = dict(self.group_by("status").len().iter_rows())
        return {status: found.get(status, 0) for status in (NEW, STANDING, ACCEPTED)}

    def _skipped_checks(self) -> Iterator[tuple[str, str]]:
        return self.checks.filter(outcome=SKIPPED).select("check", "reason").iter_rows()

    def headline(self) -> str:
        """How many findings there are, in a sentence."""
        as_of = f", as of {self.as_of:%Y-%m-%d %H:%M} UTC" if self.as_of else ""
        accepted = f"; {count:,} accepted" if (count := self._count_statuses()[ACCEPTED]) else ""
        counts = self.counts()
        if not sum(counts.values()):
            return f"No findings{as_of}{accepted}"
        of_each = ", ".join(
            format_count(count, severity, "info" if severity == "info" else None) for severity, count in counts.items()
        )
        orders = format_count(self.unaccepted()["order_id"].n_unique(), "order")
        return f"{format_count(sum(counts.values()), 'finding')} in {orders}{as_of}: {of_each}{accepted}"

    def progress_sentence(self) -> str:
        """How many findings are new, standing and resolved, in a sentence; empty if there was no audit before."""
        if self.since is None:
            return ""
        count = self._count_statuses()
        progress = (
            f"{count[NEW]:,} new, {count[STANDING] + self.left_out:,} standing, {self.resolved.height:,} resolved"
        )
        return f"{progress} since {self.since:%Y-%m-%d %H:%M} UTC"

    def skipped_sentence(self) -> str:
        """The checks that could not look, and why, in a sentence; empty if all could."""
        skipped = [f"{check} ({reason})" for check, reason in self._skipped_checks()]
        more = len(skipped) - _MOST_SKIPPED
        shown = skipped[:_MOST_SKIPPED] + ([f"and {more:,} more"] if more > 0 else [])
        return f"Skipped: {', '.join(shown)}" if skipped else ""

    def _summary_remarks(self) -> list[str]:
        return [text for text in (self.progress_sentence(), self.skipped_sentence()) if text]

    def __repr__(self) -> str:
        lines = [self.headline()]
        for severity, check, findings, orders, example in self.by_check().iter_rows():
            count = f"{findings:>8,} in {orders:>7,} {noun_for(orders, 'order'):<6}"
            lines.append(f"  {severity:<8}{check:<28}{count}  {terminal_text(example)}")
        return "\n".join([*lines, *self._summary_remarks()])

    __str__ = __repr__

    def _repr_html_(self, *, _from_series: bool = False) -> str:
        head = ("severity", "check", "findings", "orders", "example")
        return html_table(self.headline(), self.by_check().iter_rows(), head, self._summary_remarks())


def severity_rank() -> pl.Expr:
    """The place of a finding's severity, from 0 for the worst."""
    return pl.col("severity").replace_strict([*map(str, Severity)], [*range(len(Severity))], return_dtype=pl.Int8)


def sort_worst_first(found: pl.DataFrame) -> pl.DataFrame:
    """Findings, worst first: severity, then days late, then value at risk, then age (`placed`), then order and key."""
    return found.sort(
        severity_rank(), "days_late", "value_at_risk", "placed", "order_id", "key", "check", nulls_last=True,
        descending=[False, True, True, False, False, False, False], maintain_order=True,
    )  # fmt: skip


def mark_accepted(found: pl.DataFrame, names: Collection[str]) -> pl.DataFrame:
    """The findings, of which those with these names are accepted."""
    is_accepted = pl.col("finding").is_in(pl.Series(list(names), dtype=pl.String).implode())
    return found.with_columns(status=pl.when(is_accepted).then(pl.lit(ACCEPTED)).otherwise("status"))
