"""The findings as pages list them: with what is accepted now and what is resolved, filtered and counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from quivo_frames.analysis.checks.accepted import AcceptedFinding
from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.analysis.checks.check import Severity
from quivo_frames.analysis.checks.findings import ACCEPTED, FINDINGS_SCHEMA, Findings, mark_accepted
from quivo_frames.analysis.checks.memory import NEW, STANDING
from quivo_frames.analysis.report.sheets import UNKNOWN
from quivo_frames.analysis.text_columns import format_columns
from quivo_frames.model.tables import cast_to_schema

RESOLVED = "resolved"
"""The status of what the last audit found, and is not found any more."""
STATUSES = {
    NEW: "not found before the last audit", STANDING: "found by an earlier audit already",
    ACCEPTED: "accepted until a day", RESOLVED: "found by the last audit, and not any more",
}  # fmt: skip
"""The statuses of findings, and what they mean."""
EVERY_STATUS = "all"
"""Chosen in place of a status to see all of them."""
OPEN = (NEW, STANDING)
"""The statuses of what is to be looked at: shown unless another one is chosen."""
FACETS = ("severity", "status", "check", "seller", "warehouse", "carrier")
"""What findings are filtered by."""
PER_PAGE = 50
_PLACES = ("seller", "warehouse", "carrier")


class FacetValue(NamedTuple):
    """A value that findings can be filtered by, and how many there are, given the other filters."""

    value: str
    findings: int


class FindingList:
    """All findings of a state of the tables, worst first, then those that are resolved."""

    def __init__(
        self, findings: Findings, orders: pl.DataFrame, accepted: Mapping[str, AcceptedFinding]
    ) -> None:  # fmt: skip
        self.given = accepted
        """What the file of accepted findings had."""
        self.accepted = _accepted_now(findings, accepted)
        """The findings that are accepted for now, by name."""
        status = pl.when(_is_new(findings)).then(pl.lit(NEW)).otherwise(pl.lit(STANDING)).alias("status")
        self.findings = Findings(mark_accepted(findings.with_columns(status), self.accepted))
        """The findings of the audit, of which those that are accepted now are marked."""
        self.findings.as_of, self.findings.since = findings.as_of, findings.since
        self.findings.resolved, self.findings.checks = findings.resolved, findings.checks
        self.rows = pl.concat([self.findings.select(*FINDINGS_SCHEMA), _resolved_rows(findings.resolved, orders)])
        """Findings and resolved ones, with the columns of findings."""
        texts = pl.col(_PLACES).fill_null(UNKNOWN).cast(pl.Categorical)
        coded = {"severity": [*map(str, Severity)], "check": [*CHECKS], "status": [*STATUSES]}
        codes = [pl.col(name).cast(pl.Enum(values)) for name, values in coded.items()]
        self._index = self.rows.select(*codes, texts, "order_id").with_row_index("place")
        self._counts = self._index.group_by(FACETS).agg(findings=pl.len())

    def filter_places(self, chosen: Mapping[str, str]) -> pl.DataFrame:
        """The places of the findings that filters leave, worst first, and their orders: place, order_id."""
        return self._index.filter(_fits(chosen)).select("place", "order_id")

    def count_values(self, chosen: Mapping[str, str]) -> dict[str, list[FacetValue]]:
        """The values of each filter with the numbers of findings that the other filters leave, the most first.

        Severities and statuses are in their order, and values that were chosen are there, also with no finding.
        """
        found = {}
        for facet in FACETS:
            others = {**chosen, facet: EVERY_STATUS if facet == "status" else ""}
            rows = self._counts.filter(_fits(others))
            counted = rows.group_by(pl.col(facet).cast(pl.String)).agg(pl.col("findings").sum())
            numbers = {value: 0 for value in [chosen.get(facet)] if value and value != EVERY_STATUS}
            numbers |= dict(counted.sort("findings", facet, descending=[True, False]).iter_rows())
            order = {"severity": [*map(str, Severity)], "status": [*STATUSES]}.get(facet)
            names = [name for name in order if name in numbers] if order else list(numbers)
            found[facet] = [FacetValue(name, numbers[name]) for name in names]
        return found

    def find_by_name(self, name: str) -> dict[str, object] | None:
        """The finding of a name that an audit finds now; None if there is none."""
        rows = self.findings.filter(finding=name)
        return rows.row(0, named=True) if rows.height else None


def _accepted_now(findings: Findings, accepted: Mapping[str, AcceptedFinding]) -> dict[str, AcceptedFinding]:
    """What is accepted at the time of the audit: until its last day is over."""
    today = findings.as_of.date() if findings.as_of else None
    return {name: one for name, one in accepted.items() if today is None or today <= one.until}


def _is_new(findings: Findings) -> pl.Expr:
    """Whether a finding is new: to the last audit, or, where that was an audit of this very state, by that audit."""
    is_new = pl.col("status") == NEW
    is_audited = findings.since == findings.as_of and findings.filter(is_new).is_empty()
    return pl.col("first_seen") == findings.as_of if is_audited else is_new


def _resolved_rows(resolved: pl.DataFrame, orders: pl.DataFrame) -> pl.DataFrame:
    """What is resolved, with the columns of findings."""
    joined = resolved.join(
        orders.select("order_id", "order_identifier", pl.col(_PLACES).cast(pl.String)),
        on="order_id",
        how="left",
        maintain_order="left",
    )
    references = {name: check.reference for name, check in CHECKS.items()}
    filled = joined.filter(pl.col("check").is_in(list(CHECKS))).with_columns(
        message=format_columns("Order {}: not found any more.", "order_id"), status=pl.lit(RESOLVED),
        reference=pl.col("check").replace_strict(references, return_dtype=pl.String), found_at="last_seen",
    )  # fmt: skip
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in FINDINGS_SCHEMA.items() if name not in filled.columns]
    return filled.with_columns(missing).select(cast_to_schema(FINDINGS_SCHEMA))


def _fits(chosen: Mapping[str, str]) -> pl.Expr:
    """Whether a finding is one of those that filters leave."""
    given = {name: value for name, value in chosen.items() if value and name in FACETS}
    status = given.pop("status", "")
    fits = [pl.col(name).cast(pl.String) == value for name, value in given.items()]
    if status != EVERY_STATUS:
        fits.append(pl.col("status").cast(pl.String).is_in([status] if status else list(OPEN)))
    return pl.all_horizontal(pl.lit(value=True), *fits)
