"""What a tool reads: one state of the tables, whole, without what an assistant may not see."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as StillRunning
from dataclasses import replace
from datetime import date
from typing import TypeVar

import polars as pl

from quivo_frames.assistant.plain_values import Refusal
from quivo_frames.assistant.sql_tables import SqlTables
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.errors import DatasetError
from quivo_frames.explorer.background import REBUILT_MEANWHILE
from quivo_frames.explorer.finding_list import FindingList
from quivo_frames.explorer.snapshot import ExplorerOptions, Snapshot, SnapshotKeeper
from quivo_frames.model.derived import dataset_tables
from quivo_frames.model.order import Privacy
from quivo_frames.model.tables import REPORT_TABLES, Table

Result = TypeVar("Result")
SECONDS_TO_WAIT = 45
"""How long a call waits for what is worked out once for a state of the tables: clients give up after a minute."""


class TableState:
    """One state of the tables, during one call."""

    def __init__(self, snapshot: Snapshot, sql_tables: Callable[[TableState], SqlTables]) -> None:
        self.snapshot = snapshot
        self._sql_tables = sql_tables

    @property
    def dataset(self) -> Dataset:
        """The dataset in this state."""
        return self.snapshot.dataset

    @property
    def shows_personal(self) -> bool:
        """Whether personal and secret values may be seen."""
        return self.snapshot.options.personal

    @property
    def sql_tables(self) -> SqlTables:
        """The tables for SQL."""
        return self._sql_tables(self)

    def visible_tables(self) -> dict[str, Table]:
        """The tables with the columns that may be seen: those of orders, derived ones, failures and notes."""
        known = dataset_tables(derived=bool(self.dataset.derived)) | REPORT_TABLES
        return {name: self._visible_table(table) for name, table in known.items()}

    def _visible_table(self, table: Table) -> Table:
        columns = tuple(one for one in table.columns if self.shows_personal or one.privacy is Privacy.NONE)
        return replace(table, columns=columns)

    def read_table(self, name: str) -> pl.LazyFrame:
        """A table with the columns that may be seen."""
        return self.dataset.lazy(name).select(self.visible_tables()[name].schema.keys())

    def choose_orders(
        self, *, seller: str = "", warehouse: str = "", status: str = "", since: date | None = None,
        until: date | None = None, ids: Collection[int] = (),
    ) -> Dataset:  # fmt: skip
        """The orders that meet all conditions; none, where a name is that of no order."""
        chosen = self.dataset.where(
            seller=seller or None, warehouse=warehouse or None, status=status or None, since=since, until=until,
            ids=list(ids) or None,
        )  # fmt: skip
        return self.dataset.with_conditions(chosen.conditions, allow_unknown=True)

    def list_findings(self) -> FindingList:
        """What an audit finds in all orders.

        Raises:
            Refusal: the audit is still running.
        """
        wait_for(self.snapshot.findings, "The audit of all orders")
        listed = self.snapshot.list_findings()
        assert listed is not None
        return listed


def wait_for(work: Future[Result], what: str) -> Result:
    """What is worked out in the background.

    Raises:
        Refusal: it takes longer than a call waits.
        DatasetError: it was given up, as the tables were rebuilt.
    """
    try:
        return work.result(SECONDS_TO_WAIT)
    except StillRunning as error:
        raise Refusal(f"{what} is still being worked out. Ask again in a minute.") from error
    except CancelledError as error:
        raise DatasetError(REBUILT_MEANWHILE) from error


class StateKeeper:
    """Gives each call one state of the tables: of tables that were rebuilt, the new one."""

    def __init__(self, dataset: Dataset, options: ExplorerOptions) -> None:
        self._keeper = SnapshotKeeper(dataset, options)
        self._lock = threading.Lock()
        self._copied: tuple[Snapshot, SqlTables] | None = None

    def read_one_state(self, work: Callable[[TableState], Result]) -> Result:
        """What `work` reads, all of it from one state of the tables.

        Raises:
            DatasetError: the tables are being replaced, for longer than a call waits.
        """
        return self._keeper.read_one_state(lambda snapshot: work(TableState(snapshot, self._copy_tables)))

    def _copy_tables(self, state: TableState) -> SqlTables:
        """The copy for SQL, made when it is first needed; that of an earlier state is removed."""
        with self._lock:
            if self._copied is None or self._copied[0] is not state.snapshot:
                if self._copied is not None:
                    self._copied[1].close()
                    self._copied = None
                frames = {name: state.read_table(name) for name in state.visible_tables()}
                self._copied = state.snapshot, SqlTables.copy_frames(frames, state.snapshot.stop_request)
            return self._copied[1]

    def close(self) -> None:
        """Remove what was kept on the disk."""
        self._keeper.close()
        with self._lock:
            if self._copied is not None:
                self._copied[1].close()
