"""Noun: a dataset whose files are delivered from anywhere: named by content and place, and there once committed.

    OUT/<table>/<run>-<number>-<digest>.parquet    the rows of one part
    OUT/manifest.json                              written last, if nobody else wrote it meanwhile: it names the files

A part that is delivered twice is the same file. What no manifest names is never read, and the next commit removes it.
Of two runs at a time, the one that commits first wins: the other finds another manifest than it began with, and gives
up. So of all that was there before a commit, nothing can be named by a later one: a run that may still commit has read
the new manifest first, and its files have names that nobody had before.

As Delta Lake, each table has its log in addition, one commit a run, children first and `orders` last: nothing commits
several tables at once. The manifest comes after them, and until then says that the tables before are the ones that are
whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, NamedTuple, Self

import polars as pl

from quivo_frames.dataset import manifest as manifests
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.dataset.folder_writer import NOTICED, alone, put_together, refuse_stranger, rows_aside, write
from quivo_frames.dataset.manifest import DELTA, MANIFEST, Files, Written
from quivo_frames.errors import DatasetError, QuivoError
from quivo_frames.export.formats import Form, room_of
from quivo_frames.model.frames import add_up
from quivo_frames.model.privacy import Concealer
from quivo_frames.model.tables import LINEAGES, ORDER_ID, REPORTS, TABLES
from quivo_frames.storage import urls
from quivo_frames.storage.place import Folder, Place, place

_SPAN = (pl.col(ORDER_ID.name).min(), pl.col(ORDER_ID.name).max().alias("greatest"))


class Delivered(NamedTuple):
    """What was delivered of a part: its file of each table that it has rows of, and its notes, added up.

    `ids` are the least and the greatest id of an order in each file.
    """

    number: int
    files: Mapping[str, Written]
    noticed: pl.DataFrame
    ids: Mapping[str, tuple[int | None, int | None]]

    def logged(self, table: str) -> tuple[str, int, int, tuple[int | None, int | None]]:
        """What the log of a table says of its file: the name in the folder of the table, rows, bytes and ids."""
        file = self.files[table]
        return Path(file.file).name, file.rows, file.bytes, self.ids[table]


class Destination(NamedTuple):
    """Where the parts of a run are delivered; small enough to be sent along with each."""

    place: Place
    run: str

    def deliver(self, number: int, aside: Path, conceals: Concealer) -> Delivered:
        """Writes what was put aside in a folder as one file a table; the first part has one of each table.

        Raises:
            ConfigError: access to the place was refused.
            DatasetError: it cannot be written.
        """
        noticed = add_up(rows_aside(aside, NOTICED).collect())
        described = {name: conceals.described(table) for name, table in TABLES.items()}
        filled = [name for name in TABLES if number == 0 or (aside / name).exists()]
        written = dict(put_together(aside, described, name) for name in filled)
        files = [pl.scan_parquet(aside / file.file, glob=False) for file in written.values()]
        ids = [frame.row(0) for frame in pl.collect_all([rows.select(*_SPAN) for rows in files])]
        put = {name: self._put(name, number, aside, written[name]) for name in filled}
        return Delivered(number, put, noticed, dict(zip(written, ids, strict=True)))

    def _put(self, table: str, number: int, aside: Path, file: Written) -> Written:
        name = f"{table}/{self.run}-{number:06d}-{file.sha256[:16]}.parquet"
        with _told(self.place):
            self.place.write(name, (aside / file.file).read_bytes())
        return file._replace(file=name)

    def put(self, table: str, frame: pl.DataFrame) -> Written:
        """Writes `failures` or `notes`."""
        with TemporaryDirectory(prefix="quivo-frames-") as folder:
            file = write(Path(folder, "rows.parquet"), REPORTS[table], frame.lazy())
            return self._put(table, 0, Path(folder), file)


class Deliveries:
    """Puts a dataset together from what was delivered, and commits it.

    Raises:
        ConfigError: the place holds something that is not a dataset, or cannot be written by whom we are.
        DatasetError: it cannot be written, or another build was first.
    """

    def __init__(self, out: str, conceals: Concealer, form: str) -> None:
        self.place = place(out)
        self._form = form
        self._described = {name: conceals.described(table) for name, table in TABLES.items()}
        self._privacy = " ".join(conceals.facts().values())
        self._entered = ExitStack()
        self._delivered: list[Delivered] = []

    def __enter__(self) -> Self:
        with _told(self.place), ExitStack() as entered:
            self._look()  # before anything is written
            if isinstance(self.place, Folder):
                entered.enter_context(alone(self.place.path))
                self._look()
            if self._form == DELTA:
                room_of(Form.DELTA).targets(self.place.address, self._described, self._privacy)
            self._entered = entered.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered.close()

    def _look(self) -> None:
        self._standing = self.place.read(MANIFEST)
        self.before = manifests.parsed(self._standing) or {}
        """The manifest of the dataset that is replaced."""
        if self.before:
            manifests.refuse_other_form(self.before, self._form, self.place.address)
        else:
            refuse_stranger(self.place)

    def standing(self, of: str | None) -> Dataset | None:
        """The dataset that is there, if it was made in this form of the very answers `of`, and is whole."""
        if of is None or self.before.get("of") != of or manifests.is_announced(self._standing):
            return None
        try:
            with _told(self.place):
                found = Dataset.open(self.place.address)
                return found if found.manifest == self.before and not any(found.damaged()) else None
        except QuivoError:
            return None

    def destination(self, of: str | None) -> Destination:
        """Where to deliver a run; the same input beside the same standing tables has the same names there."""
        name = f"{of or token_hex(8)} {self._form} {json.dumps(self.before.get('tables'))}"
        self._to = Destination(self.place, hashlib.sha256(name.encode()).hexdigest()[:12])
        return self._to

    def take(self, delivered: Delivered) -> None:
        """Takes note of a part."""
        self._delivered.append(delivered)

    def _parts(self, name: str) -> list[Delivered]:
        in_order = sorted(self._delivered, key=lambda part: part.number)
        return [part for part in in_order if name in part.files]

    def _files(self, name: str) -> Files:
        return [part.files[name] for part in self._parts(name)]

    def rows(self, name: str) -> int:
        """How many rows a table has that was delivered."""
        return manifests.rows(self._files(name))

    def noticed(self) -> pl.DataFrame:
        """The notes of the parts, each added up."""
        in_order = sorted(self._delivered, key=lambda part: part.number)
        return pl.concat([LINEAGES[NOTICED].empty(), *(part.noticed for part in in_order)])

    def finish(self, facts: Mapping[str, Any], failures: pl.DataFrame, notes: pl.DataFrame) -> Dataset:
        """Commits the dataset: it takes the place of the one before, unless that is gone already."""
        tables = {name: self._files(name) for name in TABLES}
        tables |= {name: [self._to.put(name, frame)] for name, frame in {"failures": failures, "notes": notes}.items()}
        manifest = manifests.text({**facts, "form": self._form}, tables, {})
        with _told(self.place):
            there = [entry.name for entry in self.place.entries()]  # what comes after the swap may be of the next run
            if self._form == DELTA:
                self._commit_logs(facts["version"])
            if not self.place.swap(MANIFEST, manifest, self._standing):
                raise self._late()
            named = {file.file for file in manifests.named(manifests.parsed(manifest))}
            self.place.remove([name for name in there if name not in named and self._is_left(name)])
        return Dataset.open(self.place.address)

    def _is_left(self, name: str) -> bool:
        """Whether a file is of no use that the manifest does not name: a log of Delta Lake may name it."""
        return manifests.is_ours(name) and not (self._form == DELTA and name.partition("/")[0] in TABLES)

    def _commit_logs(self, version: str) -> None:
        """Commits each table to its log.

        Before the first, the manifest that stands is told which run is about to: of those that saw the same one, one
        can. A later run may do so as well, for this one may be dead: from then on, none but that goes on.
        """
        delta = room_of(Form.DELTA)
        logs = delta.opened(self.place.address, self._described, self._privacy)  # before others can be about to
        announced = manifests.announced(self._standing, self._form, self._to.run)
        if not self.place.swap(MANIFEST, announced, self._standing):
            raise self._late()
        self._standing = announced
        files = {name: [delta.Added(*part.logged(name)) for part in self._parts(name)] for name in TABLES}
        still = partial(self._stands, announced)
        if not delta.commit(logs, files, version, self._privacy, still):
            raise self._late()

    def _stands(self, manifest: bytes) -> bool:
        return self.place.read(MANIFEST) == manifest

    def _late(self) -> DatasetError:
        what = "ended first, and its tables stand"
        if manifests.is_announced(self.place.read(MANIFEST)):
            what = "was first to commit its tables; they stand when it has ended, or when it was cut off and done again"
        return DatasetError(
            f"Another build into {self.place.address} {what}. What this one wrote beside "
            "them is never read. Build again if these inputs are the newer ones."
        )


def _told(where: Place) -> Any:
    after = "The earlier tables are still there, if there were any."
    return urls.told(f"The tables cannot be written to {where.address}", "build again", after, DatasetError)
