"""The second step of the work: archives and files of orders -> a dataset. Floor 6.

Orders are built in parts: a part is flattened, checked and put aside by whichever process is free, and tells in a
receipt what became of it. Then each table is put together from the parts, in their order. So memory stays flat for any
number of orders, and the dataset is the same however many processes made it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple

import polars as pl

from quivo_frames import conserving, drift
from quivo_frames.archive import Archive
from quivo_frames.crew import Crew
from quivo_frames.dataset import Dataset, DatasetWriter, put_aside
from quivo_frames.errors import REPORT_IT, Fault
from quivo_frames.flattening import BATCH, Flattener, without_collection
from quivo_frames.frames import Frames, add_up, report
from quivo_frames.progress import bar
from quivo_frames.response import RawOrder
from quivo_frames.sources import Input, Inputs, Part, Reader, sources
from quivo_frames.superseding import repeated
from quivo_frames.validating import validate

PART = 10_000
"""Orders that are checked and put aside at a time: the knee of speed against memory."""
PART_BYTES, BATCH_BYTES = 128 * 2**20, 32 * 2**20
"""Bytes of JSON in a part and in a batch, at the most but for one order: large orders come in smaller ones."""
WORTH_A_PROCESS = 48 * 2**20
"""Bytes of JSON for which another process is worth its start of half a second."""


class Receipt(NamedTuple):
    """What became of a part: how many orders came in and went into the tables, which failed, and what was noticed."""

    number: int
    came: int
    written: int
    failures: pl.DataFrame
    notes: pl.DataFrame
    tally: conserving.Tally
    profile: drift.Profile


def build(
    inputs: Input | Sequence[Input],
    out: str | os.PathLike[str],
    *,
    jobs: int | None = None,
    progress: bool | None = None,
) -> Dataset:
    """The dataset in the folder `out`, made from archives, files of orders and folders of them.

    Of an order that is there more than once the newest good answer is taken: the newest fetched_at, for files without
    it the newest last_modified, else the later one. Orders that the tables cannot hold are told in `failures`; no older
    answer takes their place. A dataset that `out` holds already is replaced once the new one is complete. `jobs`
    processes share the work, this one among them, None: as many as the machine has cores; the tables are the same for
    any number. `progress` shows a bar on stderr; None: on a terminal and in a notebook.

    Raises:
        ConfigError: an input cannot be read, or `out` holds something else.
        ArchiveError: an answer in an archive is damaged.
        DatasetError: the tables cannot be written.
        LostWorker: another process was ended from outside.
        Fault: the tables would not hold what the orders say; quivo_frames is to blame.
    """
    given = [inputs] if isinstance(inputs, str | os.PathLike | Archive) else list(inputs)
    found = sources(given)
    worth = 1 + sum(source.size() for source in found) // WORTH_A_PROCESS
    with DatasetWriter(out) as writer, Crew(jobs, most=worth, module=__name__) as crew:
        orders = Inputs(found)
        with bar("build", orders.taken, progress) as progress_bar:
            receipts = []
            for receipt in _made(orders, writer, crew):
                receipts.append(receipt)
                progress_bar.update(receipt.came)
        receipts.sort(key=lambda receipt: receipt.number)
        failures = pl.concat([receipt.failures for receipt in receipts])
        notes = add_up(pl.concat([report("notes", repeated(orders.losers)), *(receipt.notes for receipt in receipts)]))
        facts = _facts(orders, receipts)
        changes = drift.changes(writer.before.get("profile", {}), facts["profile"])
        return writer.finish(facts, failures, pl.concat([notes, report("notes", changes)]), crew.share)


def _made(orders: Inputs, writer: DatasetWriter, crew: Crew) -> Iterable[Receipt]:
    """Makes all parts, and gives their receipts as they come."""
    parts = orders.parts(PART, PART_BYTES, crew.size)
    if len(parts) == 1:
        return [_make(orders.reader, lambda _, frames: writer.keep(frames), parts[0])]
    return crew.share(partial(_make, orders.reader, partial(put_aside, writer.aside)), parts)


def _facts(orders: Inputs, receipts: Sequence[Receipt]) -> dict[str, Any]:
    """What the manifest says of a build.

    Raises:
        Fault: orders got lost, or came from nowhere.
    """
    came, written, failed = (
        sum(counts) for counts in zip(*((r.came, r.written, r.failures.height) for r in receipts), strict=True)
    )
    if not orders.taken == came == written + failed:
        raise Fault(f"{orders.taken} orders in, but {written} in the tables and {failed} failed. {REPORT_IT}")
    tallies = zip(*(receipt.tally for receipt in receipts), strict=True)
    return {
        "version": version("quivo_frames"),
        "built_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": [{"name": name, "orders": count} for name, count in orders.counts.items()],
        "orders": {"in": came, "out": written, "failed": failed, "superseded": len(orders.losers)},
        "profile": drift.merged(receipt.profile for receipt in receipts),
        "counted": {name: sum(counts) for name, counts in zip(conserving.Tally._fields, tallies, strict=True)},
    }


def _make(reader: Reader, keep: Callable[[int, Frames], object], part: Part) -> Receipt:
    """Flattens and checks a part, and hands over its tables."""
    flattener = Flattener()
    batches: list[Frames] = []
    origins: dict[int, RawOrder] = {}
    sample: dict[int, bytes] = {}
    came = 0
    with without_collection():
        for batch in _batches(reader.read(part)):
            batches.append(flattener.flatten(batch, origins))
            sample |= conserving.sample(batch, first=part.start == came == 0)
            came += len(batch)
    frames = validate(Frames.concat(batches), origins)
    tally = conserving.count(sample, frames)
    keep(part.number, frames)
    profile = drift.profile(frames)
    return Receipt(part.number, came, frames.orders.height, frames.failures, frames.notes, tally, profile)


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
