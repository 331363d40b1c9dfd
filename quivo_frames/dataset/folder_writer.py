"""Noun: a dataset in the making: parts put aside, tables put together from them, and all moved into place at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Any, Self

import polars as pl
from filelock import FileLock, Timeout

from quivo_frames.dataset import manifest as manifests
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.dataset.manifest import BUILDING, LINEAGE, LOCK, MANIFEST, PARQUET, Files, Written
from quivo_frames.errors import ConfigError, DatasetError, QuivoError
from quivo_frames.model.frames import Frames
from quivo_frames.model.privacy import Concealer
from quivo_frames.model.tables import LINEAGES, ORDER_ID, REPORTS, TABLES, Table
from quivo_frames.storage.atomic import OWNER, reason, settle
from quivo_frames.storage.parquet import sink
from quivo_frames.storage.place import Place, place

ASIDE_BATCH = 1_024
"""Rows of a part that are read back at a time: what a merge holds grows with it, too."""
_PART_SUFFIX = ".arrow"
NOTICED = "noticed"
_DESCRIBED = {**TABLES, **LINEAGES}

Share = Callable[[Callable[[str], tuple[str, Written]], Sequence[str]], Iterable[tuple[str, Written]]]
"""Applies a function to each of some names, in any order."""


class DatasetWriter:
    """Puts a dataset together from parts, and in its place when it is complete.

    Raises:
        ConfigError: the folder holds something that is not a dataset.
        DatasetError: the disk is full or refuses, or another build works on the same folder.
    """

    def __init__(self, folder: str | os.PathLike[str], conceals: Concealer = Concealer()) -> None:  # noqa: B008 - frozen
        self.folder = Path(folder)
        self._described = {name: conceals.described(table) for name, table in TABLES.items()}
        self._building = self.folder / BUILDING
        self.aside = self._building / token_hex(4)  # of this build alone: a lost process of another finds no place
        """Where parts are put aside, and files wait until all are there."""
        self.before = manifests.read(place(folder)) or {}
        """The manifest of the dataset that is replaced."""
        self._only: Frames | None = None
        self._written: dict[str, Files] = {}
        self._moving = False
        self._entered = ExitStack()

    def __enter__(self) -> Self:
        with _disk(self.folder):
            _refuse_foreign(self.folder)
            manifests.refuse_other_form(self.before, PARQUET, str(self.folder))
            self._entered.enter_context(alone(self.folder))
            shutil.rmtree(self._building, ignore_errors=True)
            self._building.mkdir(mode=0o700)
            self.aside.mkdir(mode=0o700)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._moving:  # else it stays, and says of a folder without a manifest that a build was cut off
            shutil.rmtree(self._building, ignore_errors=True)
        self._entered.close()

    def keep(self, only: Frames) -> None:
        """Takes the only part there is: nothing needs to be put aside for it."""
        self._only = only

    def put_together(self, share: Share, kept: Kept | None = None) -> None:
        """Makes the tables from what was kept or put aside, and from what stays of the dataset before.

        `share` says who does it, without `kept`: `map` is this process alone.
        """
        with _disk(self.folder):
            if self._only is not None or kept is not None:
                with ThreadPoolExecutor(2) as pool:  # one waits for the disk while another packs
                    self._written = dict(pool.map(partial(self._renewed, kept), TABLES))
            else:
                # The largest first: whoever is free takes the next one, and all end at about the same time.
                names = sorted(TABLES, key=lambda name: -sum(part.stat().st_size for part in _parts(self.aside, name)))
                written = share(partial(put_together, self.aside, self._described), names)
                self._written = {name: [file] for name, file in written}

    def _renewed(self, kept: Kept | None, name: str) -> tuple[str, Files]:
        """Writes a table from the only part and from what stays; where the same rows come back, its files stay."""
        rows = self._rows(name)
        if kept is not None:
            if kept.order is None and rows.collect().equals(kept.gone[name]):
                return name, manifests.files(kept.before.manifest["tables"][name])
            rows = kept.merged(name, rows)
        return name, [write(self.aside / f"{name}.parquet", self._described[name], rows)]

    def _rows(self, name: str) -> pl.LazyFrame:
        """The rows of a table, or of `noticed`, that were kept or put aside."""
        if self._only is not None:
            return (self._only.noticed if name == NOTICED else self._only[name]).lazy()
        return rows_aside(self.aside, name)

    def dataset(self) -> Dataset | None:
        """The dataset that is replaced, if it is whole."""
        try:
            return Dataset.open(self.folder)
        except QuivoError:
            return None

    def rows(self, name: str) -> int:
        """How many rows a table has that was put together."""
        return manifests.rows(self._written[name])

    def lazy(self, name: str) -> pl.LazyFrame:
        """A table that was put together."""
        places = ((self.aside / file.file, self.folder / file.file) for file in self._written[name])
        return pl.scan_parquet([new if new.exists() else old for new, old in places], glob=False)

    def noticed(self, kept: Kept | None = None) -> pl.DataFrame:
        """The notes of each order by itself, of those that were made and those that stay."""
        new = self._rows(NOTICED).collect()
        return kept.merged(NOTICED, new.lazy()).collect() if kept else new

    def finish(
        self,
        facts: Mapping[str, Any],
        failures: pl.DataFrame,
        notes: pl.DataFrame,
        lineage: Mapping[str, pl.DataFrame],
    ) -> Dataset:
        """The dataset of the tables that were put together, in its place; `facts` go into the manifest.

        `lineage` is what the next build needs to renew this one, empty if it cannot.
        """
        with _disk(self.folder):
            tables = {name: self._written[name] for name in TABLES}
            for name, frame in {"failures": failures, "notes": notes}.items():
                tables[name] = [write(self.aside / f"{name}.parquet", REPORTS[name], frame.lazy())]
            known = {name: f"{LINEAGE}/{name}.parquet" for name in lineage}
            (self.aside / LINEAGE).mkdir(mode=0o700)
            of_lineage = {
                name: [write(self.aside / file, _DESCRIBED[name], lineage[name].lazy())._replace(file=file)]
                for name, file in known.items()
            }
            self._move(manifests.text(facts, tables, of_lineage))
        return Dataset.open(self.folder)

    def _move(self, manifest: bytes) -> None:
        new = self.aside / MANIFEST
        new.write_bytes(manifest)
        new.chmod(OWNER)
        self._moving = True
        (self.folder / MANIFEST).unlink(missing_ok=True)
        names = [file.file for file in manifests.named(manifests.parsed(manifest))]
        for name in (*(name for name in names if (self.aside / name).exists()), MANIFEST):
            (self.folder / name).parent.mkdir(mode=0o700, exist_ok=True)
            (self.aside / name).replace(self.folder / name)
        left = {entry.name for entry in place(self.folder).entries() if manifests.is_ours(entry.name)} - set(names)
        place(self.folder).remove(name for name in left if not name.startswith(f"{BUILDING}/"))
        self._moving = False


class Kept:
    """What stays of the dataset that is replaced: all rows but those of some orders.

    `order` has the orders of the new dataset with their places (order_id, place); None: they stand by their ids.
    """

    def __init__(self, before: Dataset, replaced: Sequence[int], order: pl.DataFrame | None = None) -> None:
        self.before, self.order = before, order
        self.gone = before.only(replaced)
        """The rows that do not stay."""
        self._replaced = pl.Series(replaced, dtype=pl.Int64).implode()

    def rows(self, name: str) -> pl.LazyFrame:
        """The rows of a table, of `failures` or of the lineage that stay."""
        found = self.before.lineage(name) if name in LINEAGES else self.before.lazy(name)
        assert found is not None, "without lineage nothing is kept"
        return found.filter(~pl.col(ORDER_ID.name).is_in(self._replaced))

    def merged(self, name: str, new: pl.LazyFrame) -> pl.LazyFrame:
        """The rows that stay and new ones, each order in its place."""
        if self.order is None:
            return self.rows(name).merge_sorted(new, ORDER_ID.name)
        stays, comes = (
            rows.join(self.order.lazy(), on=ORDER_ID.name, how="left", maintain_order="left")
            for rows in (self.rows(name), new)
        )
        return stays.merge_sorted(comes, "place").drop("place")


def put_aside(aside: Path, number: int, frames: Frames) -> None:
    """Keeps a part on the disk until all are there, for polars cannot add to a parquet file; any process may do it.

    A part that is put aside twice is there once.
    """
    with _disk(aside.parent.parent):
        for name, frame in {**frames, NOTICED: frames.noticed}.items():
            if not frame.is_empty():
                part = _part(aside, name, number)
                part.parent.mkdir(exist_ok=True, mode=0o700)
                frame.write_ipc(part, compression="lz4", record_batch_size=ASIDE_BATCH)


def _part(aside: Path, name: str, number: int) -> Path:
    return aside / name / f"{number:06d}{_PART_SUFFIX}"


def _parts(aside: Path, name: str) -> list[Path]:
    return sorted((aside / name).glob(f"*{_PART_SUFFIX}"))


def rows_aside(aside: Path, name: str) -> pl.LazyFrame:
    """The rows of a table, or of `noticed`, that were put aside."""
    parts = _parts(aside, name)
    return pl.scan_ipc(parts) if parts else _DESCRIBED[name].empty().lazy()


def put_together(aside: Path, described: Mapping[str, Table], name: str) -> tuple[str, Written]:
    """Writes a table from its parts; its name, and its file."""
    with _disk(aside.parent.parent):
        file = write(aside / f"{name}.parquet", described[name], rows_aside(aside, name))
        shutil.rmtree(aside / name, ignore_errors=True)
    return name, file


def write(file: Path, described: Table, rows: pl.LazyFrame) -> Written:
    """Writes a table to a file of the disk, for its owner alone."""
    count = sink(rows, file, described)
    settle(file)
    digest = place(file.parent).digest(file.name)
    assert digest is not None
    return Written(file.name, count, file.stat().st_size, digest)


def _refuse_foreign(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file. Give a folder for the tables.")
    if not folder.is_dir() or manifests.read(place(folder)) is not None or (folder / BUILDING).exists():
        return
    refuse_stranger(place(folder))


def refuse_stranger(where: Place) -> None:
    """Leaves alone a place without a manifest that somebody else has put files into.

    Raises:
        ConfigError: it is one.
    """
    if (name := manifests.stranger(where)) is not None:
        raise ConfigError(
            f"{where.address} is not empty and holds no dataset (there is {name}, for one). "
            "Nothing was written. Give an empty or a new place."
        )


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Only one build at a time works on a folder of this machine.

    Raises:
        DatasetError: another one does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, mode=OWNER)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise DatasetError(f"Another build is writing to {folder}. Wait until it has ended.") from error
    try:
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)
        lock.release()
        with suppress(OSError):  # it stays, unless it is empty
            folder.rmdir()


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """Troubles of the disk as messages."""
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        kept = " The earlier tables are still there." if manifests.read(place(folder)) else ""
        raise DatasetError(
            f"The tables cannot be written to {folder}: {reason(error)}.{kept} "
            "Make room or give another folder, and build again."
        ) from error
