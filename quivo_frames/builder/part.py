"""Verb: a part of the orders -> its tables, handed over, and a receipt. Floor 6.

A part is made by whichever process is free, here or on another machine, and what it makes depends on nothing else: made
twice, it is the same. What stands in a receipt is small; the tables stay where they were handed over to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import polars as pl

from quivo_frames.builder import drift
from quivo_frames.builder.inputs import Part
from quivo_frames.dataset.commit import Delivered, Destination
from quivo_frames.dataset.folder_writer import put_aside
from quivo_frames.dataset.manifest import BUILDING
from quivo_frames.errors import DatasetError, QuivoError
from quivo_frames.flattening import reconcile
from quivo_frames.flattening.flatten import BATCH, Flattener, without_collection
from quivo_frames.flattening.validate import validate
from quivo_frames.model.frames import Frames
from quivo_frames.model.privacy import Concealer, Level
from quivo_frames.model.records import RawOrder
from quivo_frames.model.tables import TABLES

BATCH_BYTES = 32 * 2**20
"""Bytes of JSON in a batch, at the most but for one order: large orders come in smaller ones."""
TRIES = 3
"""How often a part is tried by the same worker, when what fails may be a matter of the moment."""

Keep = Callable[[int, Frames], object]
"""Takes the tables of a part, by its number."""


class Receipt(NamedTuple):
    """What became of a part: how many orders came in and went into the tables, and which failed."""

    number: int
    came: int
    written: int
    failures: pl.DataFrame
    tally: reconcile.Tally
    profile: drift.Profile


def make(conceals: Concealer, keep: Keep, part: Part) -> Receipt:
    """Flattens and checks a part, conceals what shall be concealed, and hands over its tables."""
    flattener = Flattener()
    batches: list[Frames] = []
    origins: dict[int, RawOrder] = {}
    sample: dict[int, bytes] = {}
    came = 0
    with without_collection():
        for batch in _batches(part.read()):
            batches.append(flattener.flatten(batch, origins))
            sample |= reconcile.sample(batch, first=part.number == came == 0)
            came += len(batch)
    frames = validate(Frames.concat(batches), origins)
    tally = reconcile.count(sample, frames)
    if conceals.level is not Level.FULL:
        concealed = {name: frame.select(conceals.select(TABLES[name])) for name, frame in frames.items()}
        frames = Frames(concealed, frames.failures, frames.noticed)
    keep(part.number, frames)
    return Receipt(part.number, came, frames.orders.height, frames.failures, tally, drift.profile(frames))


def deliver(conceals: Concealer, to: Destination, parts: list[Part]) -> tuple[Receipt, Delivered]:
    """Makes some parts that follow one another, as `make` does, and delivers them as one file a table.

    Raises:
        QuivoError: the parts cannot be made: which, why, and what to do.
    """
    told = f"Part {parts[0].number} of the build ({_told(parts)})"
    tries = TRIES
    while True:
        try:
            with TemporaryDirectory(prefix="quivo-frames-") as folder:  # of a worker that is killed it may stay
                aside = Path(folder, BUILDING, "parts")
                aside.mkdir(parents=True)
                receipt = merged(make(conceals, partial(put_aside, aside), part) for part in parts)
                return receipt, to.deliver(parts[0].number, aside, conceals)
        except QuivoError as error:
            raise type(error)(f"{told} cannot be made. {error}") from error
        except (Exception, pl.exceptions.PanicException) as error:
            tries -= 1
            if not tries:
                raise DatasetError(
                    f"{told} failed each of {TRIES} times ({type(error).__name__}). Build it with one job on one "
                    "machine to see whether the orders or the worker is to blame: more memory for each worker helps "
                    "if it is a MemoryError."
                ) from error


def merged(receipts: Iterable[Receipt]) -> Receipt:
    """The receipt of several parts together, in order."""
    numbers, came, written, failures, tallies, profiles = zip(*receipts, strict=True)
    tally = reconcile.Tally(*(sum(counts) for counts in zip(*tallies, strict=True)))
    return Receipt(numbers[0], sum(came), sum(written), pl.concat(failures), tally, drift.merged(profiles))


def nothing() -> Receipt:
    """The receipt of no part: what others are added to."""
    none = Frames.of({})
    return Receipt(-1, 0, 0, none.failures, reconcile.Tally(0, 0, 0), drift.profile(none))


def _told(parts: list[Part]) -> str:
    names = list(dict.fromkeys(piece.source.name for part in parts for piece in part.pieces))
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


def _batches(orders: Iterator[RawOrder]) -> Iterator[list[RawOrder]]:
    batch: list[RawOrder] = []
    size = 0
    for order in orders:
        batch.append(order)
        size += len(order.body)
        if len(batch) == BATCH or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
