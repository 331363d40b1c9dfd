"""Noun: tables <-> a folder of parquet files with a manifest. Only here: the files of a dataset. Floor 4.

    DIR/<table>.parquet      one file a table; sentence, unit and privacy class in the field metadata
    DIR/failures.parquet     orders that are in no table, and why
    DIR/notes.parquet        readings that needed a decision, and fields that nobody knows
    DIR/manifest.json        written last: version, inputs, counts, rows, size and sha256 of each file
    DIR/exports.json         where the tables were exported to, so that orders can be erased there as well

A dataset is written beside the one it replaces, in a hidden folder, and moved over it file by file when all of it is on
the disk. The manifest goes first and comes last, so that a reader meets the old dataset, the new one, or a message.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Any, NamedTuple, Self

import polars as pl
from filelock import FileLock, Timeout

from quivo_frames.arrow import arrow_schema
from quivo_frames.concealing import Concealer, Level, concealer
from quivo_frames.disk import new_file
from quivo_frames.errors import ConfigError, DatasetError
from quivo_frames.exporting import Exported, Form, Outgoing, form_of, write
from quivo_frames.faces import face
from quivo_frames.frames import Frames, report
from quivo_frames.tables import ORDER_ID, REPORTS, SCHEMA_VERSION, TABLES, Table, table

MANIFEST = "manifest.json"
EXPORTS = "exports.json"
ROW_GROUP = 30_720
"""Rows a row group at the most, a multiple of the 2,048 that DuckDB reads at a time; a merge holds as many of them."""
_BUILDING = ".building"
_LOCK = ".lock"
_PART_SUFFIX = ".arrow"
ASIDE_BATCH = 1_024
"""Rows of a part that are read back at a time: what a merge holds grows with it, too."""

Share = Callable[[Callable[[str], tuple[str, dict[str, Any]]], Sequence[str]], Iterable[tuple[str, dict[str, Any]]]]
"""Applies a function to each of some names, in any order."""


class Export(NamedTuple):
    """One place that the tables were written to, and how."""

    form: Form
    out: str
    privacy: Level
    by_month: bool


class Dataset(Mapping[str, pl.DataFrame]):
    """The 18 tables of a folder: `dataset.shipments` is read when asked for, `dataset.scan.shipments` is lazy.

    `failures` has a row for each order that is in no table, `notes` one for each kind of thing noticed.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Dataset:
        """The dataset in a folder, its manifest read and its files looked at.

        Raises:
            ConfigError: there is no dataset.
            DatasetError: it is incomplete, or of a later version.
        """
        path = Path(folder)
        manifest = _manifest(path)
        if manifest is None:
            if (path / _BUILDING).exists():
                raise DatasetError(f"{path} is being built, or a build of it was cut off. Wait, or build it again.")
            raise ConfigError(f"{path} is not a dataset of quivo_frames: there is no {MANIFEST} in it.")
        if manifest["schema_version"] > SCHEMA_VERSION:
            raise DatasetError(f"{path} was built by a later version of quivo_frames. Install it, or build again.")
        for name, facts in manifest["tables"].items():
            file = path / facts["file"]
            if not file.is_file() or file.stat().st_size != facts["bytes"]:
                raise DatasetError(f"{file} is missing or not the file of {name} that was built. Build it again.")
        return cls(path, manifest)

    def lazy(self, name: str) -> pl.LazyFrame:
        """A table, `failures` or `notes` as a LazyFrame.

        Raises:
            ConfigError: there is no such table.
            DatasetError: the folder holds another dataset by now.
        """
        if name not in REPORTS:
            table(name)
        if _manifest(self.folder) != self.manifest:
            raise DatasetError(f"{self.folder} was built anew since it was opened. Open it again.")
        return pl.scan_parquet(self.folder / self.manifest["tables"][name]["file"])

    @property
    def scan(self) -> Scan:
        """The tables as LazyFrames: `dataset.scan.shipments`."""
        return Scan(self)

    def only(self, order_ids: Iterable[int]) -> Frames:
        """The rows of some orders alone, in memory; their failures too, but no notes, which are not told by order.

        Raises:
            DatasetError: the folder holds another dataset by now.
        """
        wanted = pl.col(ORDER_ID.name).is_in(pl.Series(list(order_ids), dtype=pl.Int64).implode())
        names = [*TABLES, "failures"]
        *tables, failures = pl.collect_all([self.lazy(name).filter(wanted) for name in names])
        return Frames(dict(zip(TABLES, tables, strict=True)), failures, report("notes", ()))

    def export(
        self, to: str, out: str | os.PathLike[str], *, privacy: str | None = None, by_month: bool = False
    ) -> Exported:
        """The tables, written to `out` as `to` says: parquet, delta, duckdb, excel or csv.

        `out` is a file or a folder, for parquet and delta also an address of an object store. What an earlier export
        left there is replaced; in Delta the rows of these orders are, and other orders stay. `privacy` is full,
        pseudonym or none, not less than the tables have already; None: as they are. `by_month` (parquet) gives each
        month of the order date a folder. The dataset remembers its exports, so that orders can be erased from them.

        Raises:
            ConfigError: the place holds something else, or a setting or a library is missing.
            ExportError: the place cannot be written; what it held is untouched.
        """
        return self.write_out(Export(form_of(to), _absolute(out), self.concealed_as(privacy), by_month))

    def concealed_as(self, privacy: str | None) -> Level:
        """The level of privacy of an export: what was asked for, or what the tables have.

        Raises:
            ConfigError: the tables do not have any more what it would show.
        """
        levels = list(Level)
        if privacy is not None and privacy not in levels:
            raise ConfigError(f"There is no level of privacy {privacy!r}. The levels are: {', '.join(levels)}.")
        asked = self.level if privacy is None else Level(privacy)
        if levels.index(asked) < levels.index(self.level):
            raise ConfigError(
                f"The tables of {self.folder} were built with --privacy {self.level}: there is nothing in them for "
                f"--privacy {asked}. Build them so first."
            )
        return asked

    @property
    def level(self) -> Level:
        """How much of the personal values the tables hold."""
        return Level(self.manifest.get("privacy", {}).get("level", Level.FULL))

    def write_out(self, export: Export, erased: Sequence[int] = ()) -> Exported:
        """The tables, written as an export says, and remembered; nothing of the orders `erased` stays behind.

        Raises:
            ConfigError, ExportError: as for `export`.
        """
        conceals = concealer(export.privacy) if export.privacy is not self.level else Concealer()
        described = {name: Concealer(export.privacy).described(table) for name, table in TABLES.items()}
        tables = {name: self.lazy(name).select(conceals.select(TABLES[name])) for name in TABLES}
        outgoing = Outgoing(tables, described, self.name, self.manifest["version"], erased)
        exported = write(outgoing, export.form, export.out, by_month=export.by_month)
        same = (export.form, export.out)
        self._remember([*(known for known in self.exports() if (known.form, known.out) != same), export])
        return exported

    @property
    def name(self) -> str:
        """What tells this state of the tables from another: the same tables have the same name."""
        digests = [facts["sha256"] for name, facts in self.manifest["tables"].items() if name in TABLES]
        return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]

    def exports(self) -> list[Export]:
        """The exports that were written from the tables of this folder, in order of time."""
        try:
            known = json.loads((self.folder / EXPORTS).read_bytes())
        except FileNotFoundError:
            return []
        return [Export(Form(one["form"]), one["out"], Level(one["privacy"]), one["by_month"]) for one in known]

    def _remember(self, exports: Sequence[Export]) -> None:
        with new_file(self.folder / EXPORTS, is_ours=Path.is_file) as file:
            file.write_text(json.dumps([export._asdict() for export in exports], indent=2), encoding="utf-8")

    @property
    def failures(self) -> pl.DataFrame:
        """The orders that are in no table, and why."""
        return self.lazy("failures").collect()

    @property
    def notes(self) -> pl.DataFrame:
        """Readings that needed a decision, and fields that nobody knows."""
        return self.lazy("notes").collect()

    def __getitem__(self, name: str) -> pl.DataFrame:
        return self.lazy(name).collect()

    def __contains__(self, name: object) -> bool:
        return name in TABLES

    def __getattr__(self, name: str) -> pl.DataFrame:
        if name in TABLES:
            return self[name]
        raise AttributeError(f"There is no table {name!r}. The tables are: {', '.join(TABLES)}.")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *TABLES]

    def __iter__(self) -> Iterator[str]:
        return iter(TABLES)

    def __len__(self) -> int:
        return len(TABLES)

    def counts(self) -> dict[str, int]:
        """Rows of each table, then of failures and notes."""
        return {name: facts["rows"] for name, facts in self.manifest["tables"].items()}

    def __repr__(self) -> str:
        rows = "\n".join(f"  {name:<24}{count:>12,}" for name, count in self.counts().items())
        return f"{self.folder}: {self._headline()}\n{rows}"

    def _headline(self) -> str:
        orders = self.manifest["orders"]
        return f"{orders['in']:,} orders in, {orders['out']:,} in the tables, {orders['failed']:,} failed"

    def _repr_html_(self) -> str:
        grains = ((name, f"one row per {table.grain}") for name, table in (TABLES | REPORTS).items())
        rows = ((name, grain, self.counts()[name]) for name, grain in grains)
        return face(f"{self.folder.name}: {self._headline()}", rows, ("table", "grain", "rows"))


class Scan:
    """The tables of a dataset as LazyFrames, by name."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def __getattr__(self, name: str) -> pl.LazyFrame:
        if name in TABLES or name in REPORTS:
            return self._dataset.lazy(name)
        raise AttributeError(f"There is no table {name!r}. The tables are: {', '.join(TABLES)}.")

    def __dir__(self) -> list[str]:
        return [*TABLES, *REPORTS]


class DatasetWriter:
    """Puts a dataset together from parts, and in its place when it is complete.

    Raises:
        ConfigError: the folder holds something that is not a dataset.
        DatasetError: the disk is full or refuses, or another build works on the same folder.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._building = self.folder / _BUILDING
        self.aside = self._building / token_hex(4)  # of this build alone: a lost process of another finds no place
        """Where parts are put aside, and files wait until all are there."""
        self.before = _manifest(self.folder) or {}
        """The manifest of the dataset that is replaced."""
        self._only: Frames | None = None
        self._moving = False
        self._lock = FileLock(self.folder / _LOCK, mode=0o600)

    def __enter__(self) -> Self:
        with _disk(self.folder):
            _refuse_foreign(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire(timeout=0)
            except Timeout as error:
                raise DatasetError(f"Another build is writing to {self.folder}. Wait until it has ended.") from error
            shutil.rmtree(self._building, ignore_errors=True)
            self._building.mkdir(mode=0o700)
            self.aside.mkdir(mode=0o700)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._moving:  # else it stays, and says of a folder without a manifest that a build was cut off
            shutil.rmtree(self._building, ignore_errors=True)
        (self.folder / _LOCK).unlink(missing_ok=True)
        self._lock.release()
        if kind is not None and self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def keep(self, only: Frames) -> None:
        """Takes the only part there is: nothing needs to be put aside for it."""
        self._only = only

    def finish(self, facts: Mapping[str, Any], failures: pl.DataFrame, notes: pl.DataFrame, share: Share) -> Dataset:
        """The dataset of what was kept or put aside, in its place; `facts` go into the manifest.

        `share` says who puts the tables together from their parts: `map` is this process alone.
        """
        with _disk(self.folder):
            if self._only is not None:
                written = {name: _write(self.aside, TABLES[name], frame) for name, frame in self._only.items()}
            else:
                # The largest first: whoever is free takes the next one, and all end at about the same time.
                names = sorted(TABLES, key=lambda name: -sum(part.stat().st_size for part in _parts(self.aside, name)))
                written = dict(share(partial(_put_together, self.aside), names))
            tables = {name: written[name] for name in TABLES}
            for name, frame in {"failures": failures, "notes": notes}.items():
                tables[name] = _write(self.aside, REPORTS[name], frame)
            self._move({"dataset": "quivo_frames", "schema_version": SCHEMA_VERSION, **facts, "tables": tables})
        return Dataset.open(self.folder)

    def _move(self, manifest: Mapping[str, Any]) -> None:
        text = json.dumps(manifest, indent=2, ensure_ascii=False)
        new = self.aside / MANIFEST
        new.write_text(text, encoding="utf-8")
        new.chmod(0o600)
        self._moving = True
        (self.folder / MANIFEST).unlink(missing_ok=True)
        names = [facts["file"] for facts in manifest["tables"].values()]
        for name in (*names, MANIFEST):
            (self.aside / name).replace(self.folder / name)
        self._moving = False


def put_aside(aside: Path, number: int, frames: Frames) -> None:
    """Keeps a part on the disk until all are there, for polars cannot add to a parquet file; any process may do it.

    A part that is put aside twice is there once.
    """
    with _disk(aside.parent.parent):
        for name, frame in frames.items():
            if not frame.is_empty():
                part = _part(aside, name, number)
                part.parent.mkdir(exist_ok=True, mode=0o700)
                frame.write_ipc(part, compression="lz4", record_batch_size=ASIDE_BATCH)


def _part(aside: Path, name: str, number: int) -> Path:
    return aside / name / f"{number:06d}{_PART_SUFFIX}"


def _parts(aside: Path, name: str) -> list[Path]:
    return sorted((aside / name).glob(f"*{_PART_SUFFIX}"))


def _put_together(aside: Path, name: str) -> tuple[str, dict[str, Any]]:
    """Writes a table from its parts; its name, and what the manifest says of its file."""
    parts = _parts(aside, name)
    rows = pl.scan_ipc(parts) if parts else TABLES[name].empty().lazy()
    with _disk(aside.parent.parent):
        facts = _write(aside, TABLES[name], rows)
        shutil.rmtree(aside / name, ignore_errors=True)
    return name, facts


def _write(aside: Path, described: Table, rows: pl.DataFrame | pl.LazyFrame) -> dict[str, Any]:
    file = aside / f"{described.name}.parquet"
    # Level 1 takes a tenth of the time off, and adds a twentieth to the size.
    rows.lazy().sink_parquet(file, row_group_size=ROW_GROUP, arrow_schema=arrow_schema(described), compression_level=1)
    file.chmod(0o600)
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    count = rows.height if isinstance(rows, pl.DataFrame) else pl.scan_parquet(file).select(pl.len()).collect().item()
    return {"file": file.name, "rows": count, "bytes": file.stat().st_size, "sha256": digest}


def _absolute(out: str | os.PathLike[str]) -> str:
    """Where an export goes, so that it is found again from any folder."""
    place = os.fspath(out)
    return place if "://" in place else str(Path(place).absolute())


def _manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a folder; None if there is none of ours."""
    try:
        found = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("dataset") == "quivo_frames" else None


def _refuse_foreign(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file. Give a folder for the tables.")
    if not folder.is_dir() or _manifest(folder) is not None or (folder / _BUILDING).exists():
        return
    strangers = sorted(entry.name for entry in folder.iterdir() if entry.name != _LOCK)
    if strangers:
        raise ConfigError(
            f"The folder {folder} is not empty and holds no dataset (there is {strangers[0]}, for one). "
            "Nothing was written. Give an empty or a new folder."
        )


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """Troubles of the disk as messages."""
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
        reason = "the disk is full" if full else getattr(error, "strerror", None) or str(error).splitlines()[0]
        kept = " The earlier tables are still there." if _manifest(folder) else ""
        raise DatasetError(
            f"The tables cannot be written to {folder}: {reason}.{kept} "
            "Make room or give another folder, and build again."
        ) from error
