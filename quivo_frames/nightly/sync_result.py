"""What a sync did, and what is new since the last one; and what the next one would do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl

from quivo_frames.analysis.changes.changes import transitions
from quivo_frames.analysis.checks.check import Severity
from quivo_frames.analysis.checks.memory import NEW
from quivo_frames.display.text import format_count, noun_for, terminal_lines
from quivo_frames.errors import QuivoError
from quivo_frames.model.records import Outcome
from quivo_frames.nightly.sync_state import SearchResult, SyncState

if TYPE_CHECKING:
    from quivo_frames.analysis.checks.findings import Findings
    from quivo_frames.archive.archive import Archive
    from quivo_frames.dataset.dataset import Dataset
    from quivo_frames.fetch.run import Run

T = TypeVar("T")
_MOST_SHOWN = 10
_STATUS_TABLES = {"orders": "order status", "fulfillment_orders": "status of fulfillment orders"}


@dataclass
class SyncPlan:
    """What a sync would refetch; `problems` are what could not be read of the events."""

    search: SearchResult
    max_requests: int
    is_interrupted: bool = False
    problems: Sequence[str] = ()

    def facts(self) -> dict[str, Any]:
        """The plan as a dict of plain values."""
        return {
            **_search_facts(self.search), "max_requests": self.max_requests, "interrupted": self.is_interrupted,
            "problems": [*self.problems],
        }  # fmt: skip

    def __str__(self) -> str:
        requests = f"{format_count(len(self.search.order_ids), 'order')} would be refetched"
        limit = f" (quivo.toml allows {self.max_requests:,} at a time)"
        first = "An interrupted sync goes on first: what it had found, it would ask for. Then sync searches again. "
        start = first if self.is_interrupted else ""
        return terminal_lines([f"{start}{_describe_search(self.search)}", f"{requests}{limit}.", *self.problems])


@dataclass
class SyncResult:
    """What a sync did: its search, its runs, the tables, the findings, and what went wrong beside that.

    New is what came since the last complete sync, also by one that was interrupted; `before` is the state that this
    sync found. `written` are the files that were written, `notices` what to know of them.
    """

    search: SearchResult
    runs: Sequence[Run]
    archive: Archive = field(repr=False)
    tables: Dataset = field(repr=False)
    before: SyncState = field(repr=False)
    problems: list[str]
    findings: Findings | None = None
    written: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def attempt(self, consequence: str, step: Callable[[], T]) -> T | None:
        """What a step returns; None if it fails, which is a problem then."""
        try:
            return step()
        except QuivoError as error:
            self.problems.append(f"{consequence}: {error}")
            return None

    def record_written(self, file: str, notices: Sequence[str]) -> None:
        """Keep that a file was written, and what the user should know of it."""
        self.written.append(file)
        self.notices += [notice for notice in notices if notice not in self.notices]

    @property
    def since(self) -> datetime | None:
        """When the last complete sync had its answers; None: this is the first."""
        return self.before.completed_at

    @property
    def _news_begin(self) -> datetime | None:
        return self.before.completed_at or self.before.first_began

    @cached_property
    def failures(self) -> pl.DataFrame:
        """The orders whose last request failed since then, with the columns of `Archive.attempts`."""
        return self.archive.failures().filter(pl.col("at") >= self._news_begin)

    @cached_property
    def status_changes(self) -> pl.DataFrame:
        """Transitions of statuses that were first seen since then: table, before, after, and how many (`count`)."""
        seen = transitions(self.archive, self._news_begin).filter(pl.col("table").is_in([*_STATUS_TABLES]))
        changed = seen.filter(pl.col("before").is_not_null(), pl.col("after").is_not_null())
        counted = changed.group_by("table", "before", "after").agg(count=pl.len())
        return counted.sort("table", "count", "before", "after", descending=[True, True, False, False])

    @cached_property
    def new_findings(self) -> pl.DataFrame:
        """The findings that were not there when the last complete sync audited; all of them in the first one."""
        if self.findings is None:
            return pl.DataFrame(schema={"severity": pl.String})
        found, audited = self.findings.unaccepted(), self.before.audited_as_of
        return found if audited is None else found.filter((pl.col("first_seen") > audited) | (pl.col("status") == NEW))

    @cached_property
    def _fetched_orders(self) -> pl.DataFrame:
        """The orders that were fetched since then, and whether each of them is new to the archive."""
        fetched = self.archive.attempts().filter(outcome=Outcome.FETCHED).group_by("order_id")
        times = fetched.agg(first=pl.col("at").min(), last=pl.col("at").max())
        return times.filter(pl.col("last") >= self._news_begin).select(
            "order_id", is_new=pl.col("first") >= self._news_begin
        )

    @property
    def new_orders(self) -> int:
        """How many orders are in the archive that were not before."""
        return int(self._fetched_orders["is_new"].sum())

    @property
    def needs_attention(self) -> bool:
        """Whether orders failed, something could not be written, or a finding is an error that nobody has accepted."""
        failed = self.failures.height + self.tables.manifest["orders"]["failed"]
        errors = self.findings.counts()[Severity.ERROR] if self.findings is not None else 0
        return bool(failed or self.problems or errors)

    def facts(self) -> dict[str, Any]:
        """The result as a dict of plain values."""
        findings = None if self.findings is None else self.findings.facts()
        return {
            "since": None if self.since is None else self.since.isoformat(),
            "search": _search_facts(self.search),
            "runs": [run.facts() for run in self.runs],
            "new_orders": self.new_orders,
            "fetched_orders": self._fetched_orders.height,
            "failures": self.failures.select("order_id", "outcome", "message").to_dicts(),
            "status_changes": self.status_changes.to_dicts(),
            "tables": {"folder": self.tables.address, **self.tables.manifest["orders"]},
            "findings": findings,
            "new_findings": dict(self.new_findings.group_by("severity").len().iter_rows()),
            "written": self.written,
            "notices": self.notices,
            "problems": self.problems,
        }

    def __str__(self) -> str:
        since = f"since {self.since:%Y-%m-%d %H:%M} UTC" if self.since else "(the first sync)"
        return terminal_lines([
            _describe_search(self.search), *map(str, self.runs), self._describe_tables(), "", f"What is new {since}:",
            *(f"  {line}" for line in self._describe_news()),
            *([""] if self.written or self.problems or self.notices else []),
            *(f"Written: {file}" for file in self.written), *self.notices, *self.problems,
        ])  # fmt: skip

    def _describe_tables(self) -> str:
        orders = self.tables.manifest["orders"]
        failed = f"; {orders['failed']:,} could not be built: `quivo-frames build` says why" if orders["failed"] else ""
        return f"Tables in {self.tables.address}: {format_count(orders['out'], 'order')}{failed}"

    def _describe_news(self) -> list[str]:
        new, again = self.new_orders, self._fetched_orders.height - self.new_orders
        lines = [f"orders: {new:,} new, {again:,} known {noun_for(again, 'one was', 'ones were')} refetched"]
        for table, name in _STATUS_TABLES.items():
            rows = self.status_changes.filter(pl.col("table") == table).select("before", "after", "count").rows()
            shown = [f"{before} -> {after} {count:,}" for before, after, count in rows[:_MOST_SHOWN]]
            lines += [f"{name}: {', '.join(shown)}"] if shown else []
        lines += self._describe_findings()
        failed = self.failures.select("order_id", "message").head(_MOST_SHOWN).rows()
        lines += [f"failures: {self.failures.height:,}"] if failed else ["failures: none"]
        lines += [f"  order {order_id}: {message}" for order_id, message in failed]
        return lines

    def _describe_findings(self) -> list[str]:
        if self.findings is None:
            return []
        counts = dict(self.new_findings.group_by("severity").len().iter_rows())
        of_each = ", ".join(f"{counts[name]:,} {name}" for name in map(str, Severity) if name in counts)
        standing = self.findings.unaccepted().height - self.new_findings.height
        new = f"{self.new_findings.height:,} new" + (f" ({of_each})" if of_each else "")
        return [f"findings: {new}, {standing:,} standing, {self.findings.resolved.height:,} resolved"]


def _search_facts(search: SearchResult) -> dict[str, Any]:
    return {
        "searched_at": search.searched_at.isoformat(),
        "since": search.since and search.since.isoformat(),
        "found": search.found,
        "from_events": search.from_events,
        "failed_before": search.failed_before,
        "covered": search.covered,
        "postponed": len(search.postponed),
        "to_refetch": len(search.order_ids),
    }


def _describe_search(search: SearchResult) -> str:
    besides = (
        (search.from_events, "of new events"),
        (search.failed_before, "that had failed"),
        (-search.covered, "fetched since their change"),
        (-len(search.postponed), "fetched recently"),
    )
    more = "".join(f", {'less' if count < 0 else 'and'} {abs(count):,} {what}" for count, what in besides if count)
    since = f" changed since {search.since:%Y-%m-%d %H:%M} UTC" if search.since else " found"
    return f"{format_count(search.found, 'order')}{since}{more}"
