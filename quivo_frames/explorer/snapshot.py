"""One state of a dataset, whole: what the pages show is read from it, or is said to be of another state.

What takes long at the first look (the index of search terms, the audit, the figures of the report) is worked out once
for each state, in the background, one after the other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl

from quivo_frames.analysis.checks.findings import Findings
from quivo_frames.analysis.checks.limits import Limits
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.archive.archive import Archive
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.errors import DatasetError
from quivo_frames.explorer.accepted_file import AcceptedFindings
from quivo_frames.explorer.background import OverviewFigures, StopRequest, audit_in_other_process, draw_in_other_process
from quivo_frames.explorer.finding_list import FindingList
from quivo_frames.explorer.order_list import read_order_list
from quivo_frames.explorer.search_terms import SearchTerms
from quivo_frames.explorer.shortages import Shortages, count_uncertain_lines, read_shortages
from quivo_frames.model.order import Privacy
from quivo_frames.model.tables import TABLES

if TYPE_CHECKING:
    from quivo_frames.explorer.overview_content import OverviewContent

Result = TypeVar("Result")

_SECONDS_TO_WAIT = 10.0
"""How long a request waits for a build that is just replacing the tables: renaming files takes less."""
_SECONDS_TO_REMOVE = 8.0
"""How long the end waits for an index that is being made: it is given up at its next part, of 100,000 orders."""


@dataclass(frozen=True)
class ExplorerOptions:
    """What the explorer shows besides the tables, and how it judges them."""

    personal: bool = False
    limits: Limits = Limits()  # noqa: RUF009 - immutable
    accepted: Path | None = None
    """The TOML file of accepted findings, which may not be there yet; None: nothing can be accepted."""
    archive: Archive | None = None
    """The archive that knows earlier answers of the orders."""
    on_time_against: str = "latest_delivery_date"
    begins_at_once: bool = True
    """Whether what takes long is begun with each state of the tables; else when it is first asked for."""


class Snapshot:
    """One state of a dataset."""

    def __init__(self, dataset: Dataset, options: ExplorerOptions) -> None:
        self.dataset, self.options = dataset, options
        self.order_list = read_order_list(dataset)
        """All orders, as lists filter, sort and count them."""
        self.stop_request = StopRequest()
        """Set when this state is given up."""
        self._worker = ThreadPoolExecutor(1, "quivo-explorer")
        self._begun: dict[Callable[[], Any], Future[Any]] = {}
        self._lock_of_work = threading.Lock()
        self.accepted = AcceptedFindings(options.accepted)
        """What the file of accepted findings has now."""
        self._lock = threading.Lock()
        self._listed: FindingList | None = None
        self._overview: tuple[FindingList, OverviewContent] | None = None
        if options.begins_at_once:
            for work in (self._index_terms, self._audit, self._draw):
                self._begin(work)

    @property
    def search_terms(self) -> Future[SearchTerms]:
        """What orders are searched by; done when it can be used."""
        return self._begin(self._index_terms)

    @property
    def findings(self) -> Future[Findings]:
        """What an audit finds in all orders, worst first; done when it is known."""
        return self._begin(self._audit)

    @property
    def figures(self) -> Future[OverviewFigures]:
        """The figures and charts of the report, of all orders; done when they are known."""
        return self._begin(self._draw)

    def _begin(self, work: Callable[[], Result]) -> Future[Result]:
        """What `work` is to make, begun once, when the work that was begun before it is done."""
        with self._lock_of_work:
            if work not in self._begun:
                try:
                    self._begun[work] = self._worker.submit(work)
                except RuntimeError:  # the state was closed: given up, like what had been begun
                    self._begun[work] = Future()
                    self._begun[work].cancel()
            return self._begun[work]

    def _index_terms(self) -> SearchTerms:
        return SearchTerms.index_dataset(self.dataset, self.stop_request, personal=self.options.personal)

    def _audit(self) -> Findings:
        return audit_in_other_process(self.view, self.options.limits, self.stop_request, personal=self.options.personal)

    def _draw(self) -> OverviewFigures:
        return draw_in_other_process(self.view, self.options.limits, self.options.on_time_against, self.stop_request)

    def list_findings(self) -> FindingList | None:
        """The findings, of which those that are accepted now are marked, and the resolved ones; None until it is known.

        Raises:
            QuivoError: they cannot be worked out.
        """
        if not self.findings.done() or self.findings.cancelled():
            return None
        accepted = self.accepted.read()
        with self._lock:
            if self._listed is None or self._listed.given is not accepted:
                self._listed = FindingList(self.findings.result(), self.orders, accepted)
            return self._listed

    def describe_overview(self) -> OverviewContent | None:
        """The figures of all orders, with what is behind each; None until they are known.

        Raises:
            QuivoError: they cannot be worked out.
        """
        listed = self.list_findings()
        if listed is None or not self.figures.done() or self.figures.cancelled():
            return None
        from quivo_frames.explorer.overview_content import describe_overview  # takes time to load

        with self._lock:
            if self._overview is None or self._overview[0] is not listed:
                content = describe_overview(self.figures.result(), listed, self.orders.height)
                self._overview = listed, content
            return self._overview[1]

    @property
    def orders(self) -> pl.DataFrame:
        """One row an order, with what lists of orders show, filter and sort by."""
        return self.order_list.rows

    @cached_property
    def shortages(self) -> Shortages:
        """The lines with open pieces."""
        return Shortages(read_shortages(self.dataset))

    @cached_property
    def uncertain_lines(self) -> int:
        """How many lines have pieces of which it is not known whether they are open."""
        return count_uncertain_lines(self.dataset)

    @property
    def known_findings(self) -> Findings | None:
        """The findings of the audit, the accepted ones marked; None while it is not done, or if it failed."""
        begun = self._begun.get(self._audit)
        is_done = begun is not None and begun.done() and not begun.cancelled() and begun.exception() is None
        listed = self.list_findings() if is_done else None
        return None if listed is None else listed.findings

    @cached_property
    def view(self) -> OrderView:
        """All orders, for analyses."""
        return OrderView(self.dataset)

    @cached_property
    def facts_of_columns(self) -> dict[str, list[dict[str, Any]]]:
        """What the dictionary says of the columns of tables that were looked up."""
        return {}

    def table(self, name: str) -> pl.LazyFrame:
        """A table, a derived one, failures or notes, without the columns that may not be shown."""
        rows = self.dataset.lazy(name)
        if name not in TABLES or self.options.personal:
            return rows
        return rows.select(column.name for column in TABLES[name].columns if column.privacy is Privacy.NONE)

    def is_current(self) -> bool:
        """Whether the dataset is still in this state."""
        try:
            self.dataset.lazy("orders")  # which looks at the manifest
        except DatasetError:
            return False
        return True

    def close(self) -> None:
        """Give up what is not worked out yet, and remove what was kept on the disk, as soon as nobody works with it."""
        self.stop_request.set()
        self._worker.shutdown(wait=False, cancel_futures=True)
        if (terms := self._begun.get(self._index_terms)) is not None:
            terms.add_done_callback(_remove_terms)

    def wait_for_removal(self) -> None:
        """Wait until what was kept on the disk is removed, after `close`."""
        if (terms := self._begun.get(self._index_terms)) is not None:
            wait([terms], _SECONDS_TO_REMOVE)


def _remove_terms(terms: Future[SearchTerms]) -> None:
    if not terms.cancelled() and terms.exception() is None:
        terms.result().close()


class SnapshotKeeper:
    """Gives requests the current state of a dataset: a dataset that was rebuilt is read again, as a whole."""

    def __init__(self, dataset: Dataset, options: ExplorerOptions) -> None:
        self._dataset, self._options = dataset, options
        self._lock = threading.Lock()
        self._snapshot = Snapshot(dataset, options)

    def read_one_state(self, work: Callable[[Snapshot], Result]) -> Result:
        """What `work` reads, all of it from one state of the dataset.

        Raises:
            DatasetError: the dataset is being replaced, for longer than a request waits.
        """
        deadline = time.monotonic() + _SECONDS_TO_WAIT
        while True:
            snapshot = self._current_snapshot(deadline)
            try:
                result = work(snapshot)
            except (DatasetError, OSError, pl.exceptions.PolarsError):
                if snapshot.is_current() or time.monotonic() > deadline:
                    raise
                continue  # its files were replaced while they were read
            if snapshot.is_current():
                return result
            if time.monotonic() > deadline:
                raise DatasetError(f"The tables of {self._dataset.address} are being rebuilt.")

    def _current_snapshot(self, deadline: float) -> Snapshot:
        with self._lock:
            while not self._snapshot.is_current():
                try:
                    opened = Dataset.open(self._dataset.address)
                    slice_of_it = opened.with_conditions(self._dataset.conditions, allow_unknown=True)
                    renewed = Snapshot(slice_of_it, self._options)
                except (DatasetError, OSError, pl.exceptions.PolarsError):
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.1)  # a build is renaming its files
                    continue
                self._snapshot.close()
                self._snapshot = renewed
            return self._snapshot

    def close(self) -> None:
        """Remove what was kept on the disk."""
        self._snapshot.close()
        self._snapshot.wait_for_removal()
