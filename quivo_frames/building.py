"""The second step of the work: archives and files of orders -> a dataset. Floor 6.

Orders flow through in batches that are flattened and parts that are checked and written, so that memory stays flat for
any number of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Protocol

import polars as pl

from quivo_frames import files
from quivo_frames.archive import Archive
from quivo_frames.dataset import Dataset, DatasetWriter
from quivo_frames.errors import ConfigError
from quivo_frames.flattening import BATCH, INDEX, Flattener, repeated, superseded
from quivo_frames.frames import Frames
from quivo_frames.progress import bar
from quivo_frames.response import RawOrder
from quivo_frames.validating import validate
from quivo_frames.wire import peek

PART = 10_000
"""Orders that are checked and written at a time: the knee of speed against memory."""
_INDEXED = 50_000
_ARCHIVES = (".sqlite", ".db")

Input = str | os.PathLike[str] | Archive


_Entry = tuple[int | None, datetime | None, str | None]


class _Source(Protocol):
    """Something that orders are read from, the same ones as often as asked."""

    name: str

    def index(self) -> Iterator[_Entry]: ...

    def read(self) -> Iterator[RawOrder]: ...


class _File:
    def __init__(self, path: Path) -> None:
        self.path, self.name = path, str(path)

    def index(self) -> Iterator[_Entry]:
        for raw in files.read(self.path):
            found = peek(raw.body)
            yield found.order_id, None, found.last_modified

    def read(self) -> Iterator[RawOrder]:
        return files.read(self.path)


class _Archived:
    def __init__(self, archive: Archive) -> None:
        self.archive, self.name = archive, str(archive.path)
        self.last = archive.last()  # a refetch may go on while we read

    def index(self) -> Iterator[_Entry]:
        return ((order_id, at, None) for order_id, at in self.archive.index(last=self.last))

    def read(self) -> Iterator[RawOrder]:
        return self.archive.newest(last=self.last)


def build(inputs: Input | Sequence[Input], out: str | os.PathLike[str], *, progress: bool | None = None) -> Dataset:
    """The dataset in the folder `out`, made from archives, files of orders and folders of them.

    Of an order that is there more than once the newest good answer is taken: the newest fetched_at, for files without
    it the newest last_modified, else the later one. Orders that the tables cannot hold are told in `failures`; no older
    answer takes their place. A dataset that `out` holds already is replaced once the new one is complete. `progress`
    shows a bar on stderr; None: on a terminal and in a notebook.

    Raises:
        ConfigError: an input cannot be read, or `out` holds something else.
        ArchiveError: an answer in an archive is damaged.
        DatasetError: the tables cannot be written.
    """
    given = [inputs] if isinstance(inputs, str | os.PathLike | Archive) else list(inputs)
    sources = [source for one in given for source in _sources(one)]
    with DatasetWriter(out) as writer:
        reader = _Reader(sources)
        failed = written = 0
        with bar("build", reader.taken, progress) as progress_bar:
            for part in _parts(reader, progress_bar.update):
                writer.add(part)
                failed += part.failures.height
                written += part.orders.height
        if reader.taken != failed + written:  # a fault of this package, and the tables would be wrong
            raise AssertionError(f"{reader.taken} orders in, but {written} in the tables and {failed} failed")
        facts = {
            "version": version("quivo_frames"),
            "built_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "inputs": [{"name": name, "orders": count} for name, count in reader.counts.items()],
            "orders": {"in": reader.taken, "out": written, "failed": failed, "superseded": len(reader.losers)},
        }
        return writer.finish(facts)


def _sources(one: Input) -> list[_Source]:
    if isinstance(one, Archive):
        return [_Archived(one)]
    path = Path(one)
    if path.is_file() and (path.suffix.lower() in _ARCHIVES or _is_sqlite(path)):
        return [_Archived(Archive(path))]
    return [_File(file) for file in files.find(path)]


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\x00"
    except OSError as error:
        raise ConfigError(f"The file {path} cannot be read: {error.strerror}.") from error


class _Reader:
    """The orders of all sources, without those that a newer answer replaces."""

    def __init__(self, sources: Sequence[_Source]) -> None:
        self._sources = sources
        self.counts = {source.name: 0 for source in sources}
        index = pl.concat([pl.DataFrame(schema=INDEX), *self._index()])
        self.losers = superseded(index)
        self.taken = index.height - len(self.losers)

    def _index(self) -> Iterator[pl.DataFrame]:
        entries = self._entries()
        while chunk := list(islice(entries, _INDEXED)):
            yield pl.DataFrame(chunk, schema=INDEX, orient="row")

    def _entries(self) -> Iterator[_Entry]:
        for source in self._sources:
            for entry in source.index():
                self.counts[source.name] += 1
                yield entry

    def __iter__(self) -> Iterator[RawOrder]:
        place = 0
        for source in self._sources:
            start = place
            for raw in source.read():
                if place not in self.losers:
                    yield raw
                place += 1
            if place - start != self.counts[source.name]:
                raise ConfigError(f"{source.name} was changed while it was read. Build again when it is complete.")


def _parts(reader: _Reader, tell: Callable[[int], object]) -> Iterator[Frames]:
    """Checked parts, the note about repeated orders in the first."""
    orders = iter(reader)
    notes = Frames.of({}, notes=repeated(reader.losers))
    while (part := _part(islice(orders, PART), tell)) is not None:
        yield Frames.concat([notes, part])
        notes = Frames.of({})


def _part(orders: Iterator[RawOrder], tell: Callable[[int], object]) -> Frames | None:
    flattener = Flattener()
    batches: list[Frames] = []
    origins: dict[int, RawOrder] = {}
    while batch := list(islice(orders, BATCH)):
        batches.append(flattener.flatten(batch, origins))
        tell(len(batch))
    return validate(Frames.concat(batches), origins) if batches else None
