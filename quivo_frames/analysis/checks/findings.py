"""The findings of an audit: a polars frame that shows a summary by check."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import polars as pl

from quivo_frames.analysis.checks.check import Severity
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.display.html import html_table
from quivo_frames.display.text import format_count, terminal_text
from quivo_frames.export.frame_file import refuse_frame_file, write_frame_file
from quivo_frames.model.tables import table_of_named_tuple


class Finding(NamedTuple):
    """One row of the findings: something that is, or may be, wrong in one row of the tables."""

    check: Annotated[str, "The check that found it."]
    severity: Annotated[str, "error: it went wrong; warning: it may have; info: worth knowing."]
    order_id: Annotated[int, "The order."]
    row_key: Annotated[str, "Key of the row in its table; of orders, the order's id."]
    table: Annotated[str, "The table of the row."]
    message: Annotated[str, "What was found, in plain words."]
    evidence: Annotated[str | None, "The values that were compared, by name."]
    reference: Annotated[str, "The rule or standard that the check follows."]


FINDINGS = table_of_named_tuple("findings", "thing that an audit found in a row", Finding)
"""The columns of the findings."""


class Findings(pl.DataFrame):
    """The findings of an audit: a polars frame, worst first, that prints as a summary by check.

    Columns: check, severity, order_id, row_key, table, message, evidence, reference. `as_of` is the instant for which
    the orders were audited.
    """

    as_of: datetime | None = None
    personal: bool = False
    """Whether personal values are among the evidence."""
    dataset: Dataset | None = None
    """The dataset that was audited: it remembers where findings are saved, so that orders can be erased there."""
    notices: Sequence[str] = ()
    """Sentences about a report of these findings that users should read."""

    def by_check(self) -> pl.DataFrame:
        """One row per check, worst first: severity, check, findings, orders, and the message of one finding."""
        counted = self.group_by("severity", "check", maintain_order=True).agg(
            findings=pl.len(), orders=pl.col("order_id").n_unique(), example=pl.col("message").first()
        )
        return counted.sort(_severity_rank(), "orders", descending=[False, True], maintain_order=True)

    def counts(self) -> dict[Severity, int]:
        """How many findings there are of each severity."""
        found = dict(self.group_by("severity").len().iter_rows())
        return {severity: found.get(str(severity), 0) for severity in Severity}

    def filter(self, *predicates: Any, **constraints: Any) -> Findings:
        """Filters as any frame does, and returns `Findings`."""
        found = Findings(super().filter(*predicates, **constraints))
        found.as_of, found.personal, found.dataset = self.as_of, self.personal, self.dataset
        return found

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

    def facts(self) -> dict[str, Any]:
        """The summary for programs: as_of, the number of findings and of orders, and findings by severity and check."""
        counts = {str(severity): count for severity, count in self.counts().items()}
        return {
            "as_of": None if self.as_of is None else self.as_of.isoformat(),
            "findings": self.height,
            "orders": self["order_id"].n_unique(),
            **counts,
            "checks": self.by_check().to_dicts(),
        }

    def headline(self) -> str:
        """How many findings there are, in a sentence."""
        as_of = f", as of {self.as_of:%Y-%m-%d %H:%M} UTC" if self.as_of else ""
        if self.is_empty():
            return f"No findings{as_of}"
        of_each = ", ".join(
            format_count(count, severity, "info" if severity == "info" else None)
            for severity, count in self.counts().items()
        )
        orders = format_count(self["order_id"].n_unique(), "order")
        return f"{format_count(self.height, 'finding')} in {orders}{as_of}: {of_each}"

    def __repr__(self) -> str:
        lines = [self.headline()]
        for severity, check, findings, orders, example in self.by_check().iter_rows():
            lines.append(f"  {severity:<8}{check:<28}{findings:>8,} in {orders:>7,} orders  {terminal_text(example)}")
        return "\n".join(lines)

    __str__ = __repr__

    def _repr_html_(self, *, _from_series: bool = False) -> str:
        return html_table(
            self.headline(), self.by_check().iter_rows(), ("severity", "check", "findings", "orders", "example")
        )


def _severity_rank() -> pl.Expr:
    return pl.col("severity").replace_strict([*map(str, Severity)], [*range(len(Severity))], return_dtype=pl.Int8)


def sort_findings(found: pl.DataFrame, as_of: datetime, *, personal: bool) -> Findings:
    """All findings, worst first, then by check and order; personal values join the evidence, or are left out."""
    if personal:
        found = found.with_columns(evidence=pl.concat_str("evidence", "personal", separator=", ", ignore_nulls=True))
    ordered = found.sort(_severity_rank(), "check", "order_id", "row_key", maintain_order=True)
    findings = Findings(ordered.select(FINDINGS.schema.keys()))
    findings.as_of, findings.personal = as_of, personal
    return findings
