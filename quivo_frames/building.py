"""The second step of the work: archives and files of orders -> a dataset. Floor 6.

Orders are built in parts: a part is flattened, checked and put aside by whichever process is free, and tells in a
receipt what became of it. Then each table is put together from the parts, in their order. So memory stays flat for any
number of orders, and the dataset is the same however many processes made it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple

import polars as pl

from quivo_frames import conserving, drift
from quivo_frames.archive import Archive
from quivo_frames.books import When, instant
from quivo_frames.concealing import Concealer, Level, concealer
from quivo_frames.crew import Crew
from quivo_frames.dataset import Dataset, DatasetWriter, Kept, put_aside
from quivo_frames.errors import REPORT_IT, Fault
from quivo_frames.flattening import BATCH, Flattener, without_collection
from quivo_frames.frames import Frames, add_up, report
from quivo_frames.progress import bar
from quivo_frames.renewing import Renewal, renewable, renewal
from quivo_frames.response import RawOrder
from quivo_frames.sources import Input, Inputs, Part, Source, sources
from quivo_frames.superseding import repeated
from quivo_frames.tables import LINEAGES, ORDER_ID, TABLES
from quivo_frames.validating import validate

PART = 10_000
"""Orders that are checked and put aside at a time: the knee of speed against memory."""
PART_BYTES, BATCH_BYTES = 128 * 2**20, 32 * 2**20
"""Bytes of JSON in a part and in a batch, at the most but for one order: large orders come in smaller ones."""
WORTH_A_PROCESS = 48 * 2**20
"""Bytes of JSON for which another process is worth its start of half a second."""


class Receipt(NamedTuple):
    """What became of a part: how many orders came in and went into the tables, and which failed."""

    number: int
    came: int
    written: int
    failures: pl.DataFrame
    tally: conserving.Tally
    profile: drift.Profile


def build(
    inputs: Input | Sequence[Input],
    out: str | os.PathLike[str],
    *,
    full: bool = False,
    as_of: When | None = None,
    privacy: str = Level.FULL,
    jobs: int | None = None,
    progress: bool | None = None,
) -> Dataset:
    """The dataset in the folder `out`, made from archives, files of orders and folders of them.

    Of an order that is there more than once the newest good answer is taken: the newest fetched_at, for files without
    it the newest last_modified, else the later one. Orders that the tables cannot hold are told in `failures`; no older
    answer takes their place. A dataset that `out` holds already is replaced once the new one is complete. If it was
    made from the same archives, only the orders whose answer is another now are made anew, and the tables come out as
    if all were; `full` makes all anew.

    `as_of` (an instant, or a day, which means its end; UTC) leaves out the answers of archives that came later: the
    tables as they were known then. `privacy` is full, pseudonym (personal texts become pseudonyms, under the key
    QUIVO_PSEUDONYM_KEY) or none (personal values become null). `jobs` processes share the work, this one among them,
    None: as many as the machine has cores; the tables are the same for any number. `progress` shows a bar on stderr;
    None: on a terminal and in a notebook.

    Raises:
        ConfigError: an input cannot be read, a setting is wrong or missing, or `out` holds something else.
        ArchiveError: an answer in an archive is damaged.
        DatasetError: the tables cannot be written.
        LostWorker: another process was ended from outside.
        Fault: the tables would not hold what the orders say; quivo_frames is to blame.
    """
    given = [inputs] if isinstance(inputs, str | os.PathLike | Archive) else list(inputs)
    conceals = concealer(privacy)
    found = sources(given, None if as_of is None else instant(as_of))
    recipe = {"version": version("quivo_frames"), "privacy": conceals.facts()}
    with DatasetWriter(out, conceals) as writer:
        orders, renewed = _renewal(writer, found, recipe, full=full)
        size = sum(source.size() for source in found) if renewed is None else int(renewed.wanted["size"].sum())
        with Crew(jobs, most=1 + size // WORTH_A_PROCESS, module=__name__) as crew:
            orders = orders or Inputs(found)
            kept = renewed and renewed.kept
            with bar("build", renewed.wanted.height if renewed else orders.taken, progress) as progress_bar:
                receipts = [_nothing()]
                for receipt in _made(orders, renewed, writer, conceals, crew):
                    receipts.append(receipt)
                    progress_bar.update(receipt.came)
            writer.put_together(crew.share, kept)
        receipts.sort(key=lambda receipt: receipt.number)
        return _finished(writer, orders, kept, receipts, recipe)


def _renewal(
    writer: DatasetWriter, found: Sequence[Source], recipe: Mapping[str, Any], *, full: bool
) -> tuple[Inputs | None, Renewal | None]:
    """The orders, if they were looked at, and what is to be made anew; None for all."""
    before = writer.dataset()
    named = [source.name for source in found]
    if full or before is None or [source["name"] for source in before.manifest["inputs"]] != named:
        return None, None
    if not renewable(before, recipe):
        return None, None
    orders = Inputs(found)
    return orders, renewal(before, orders.answers, by_id=len(found) == 1)


def _made(
    orders: Inputs, renewed: Renewal | None, writer: DatasetWriter, conceals: Concealer, crew: Crew
) -> Iterable[Receipt]:
    """Makes all parts, and gives their receipts as they come."""
    if renewed is None:
        parts = orders.parts(PART, PART_BYTES, crew.size)
    else:
        parts = orders.picks(renewed.wanted, PART, PART_BYTES)
    if len(parts) == 1:
        return [_make(conceals, lambda _, frames: writer.keep(frames), parts[0])]
    return crew.share(partial(_make, conceals, partial(put_aside, writer.aside)), parts)


def _finished(
    writer: DatasetWriter, orders: Inputs, kept: Kept | None, receipts: Sequence[Receipt], recipe: Mapping[str, Any]
) -> Dataset:
    """The dataset in its place, when its tables are put together."""
    failures = pl.concat([receipt.failures for receipt in receipts])
    profile = drift.merged(receipt.profile for receipt in receipts)
    if kept is not None:
        failures = pl.concat([kept.rows("failures").collect(), failures])
        profile = drift.renewed(kept.before.manifest["profile"], kept.gone, profile, writer.lazy)
    failures = failures.sort(ORDER_ID.name, nulls_last=True, maintain_order=True)
    noticed = writer.noticed(kept)
    # Between levels of privacy, a column may be empty because that was asked for.
    same = writer.before.get("privacy", {"level": Level.FULL}) == recipe["privacy"]
    changes = drift.changes(writer.before.get("profile", {}) if same else {}, profile)
    told = [add_up(noticed), report("notes", repeated(orders.losers)), report("notes", changes)]
    answers = None if orders.answers is None else orders.answers.select(list(LINEAGES["answers"].schema))
    lineage = {} if answers is None else {"answers": answers, "noticed": noticed}
    facts = {**recipe, **_facts(writer, orders, receipts, failures), "profile": profile}
    return writer.finish(facts, failures, pl.concat(told), lineage)


def _facts(
    writer: DatasetWriter, orders: Inputs, receipts: Sequence[Receipt], failures: pl.DataFrame
) -> dict[str, Any]:
    """What the manifest says of a build.

    Raises:
        Fault: orders got lost, or came from nowhere.
    """
    made = [(receipt.came, receipt.written, receipt.failures.height) for receipt in receipts]
    came, written, failed = (sum(counts) for counts in zip(*made, strict=True))
    there = writer.rows("orders")
    if came != written + failed or orders.taken != there + failures.height:
        raise Fault(
            f"{came} of {orders.taken} orders were read, {written} made and {failed} failed, but {there} are in the "
            f"tables and {failures.height} in the failures. {REPORT_IT}"
        )
    tallies = zip(*(receipt.tally for receipt in receipts), strict=True)
    return {
        "built_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": [{"name": name, "orders": count} for name, count in orders.counts.items()],
        "orders": {"in": orders.taken, "out": there, "failed": failures.height, "superseded": len(orders.losers)},
        "made": came,
        "counted": {name: sum(counts) for name, counts in zip(conserving.Tally._fields, tallies, strict=True)},
    }


def _make(conceals: Concealer, keep: Callable[[int, Frames], object], part: Part) -> Receipt:
    """Flattens and checks a part, conceals what shall be concealed, and hands over its tables."""
    flattener = Flattener()
    batches: list[Frames] = []
    origins: dict[int, RawOrder] = {}
    sample: dict[int, bytes] = {}
    came = 0
    with without_collection():
        for batch in _batches(part.read()):
            batches.append(flattener.flatten(batch, origins))
            sample |= conserving.sample(batch, first=part.number == came == 0)
            came += len(batch)
    frames = validate(Frames.concat(batches), origins)
    tally = conserving.count(sample, frames)
    if conceals.level is not Level.FULL:
        concealed = {name: frame.select(conceals.select(TABLES[name])) for name, frame in frames.items()}
        frames = Frames(concealed, frames.failures, frames.noticed)
    keep(part.number, frames)
    return Receipt(part.number, came, frames.orders.height, frames.failures, tally, drift.profile(frames))


def _nothing() -> Receipt:
    """The receipt of no part: what others are added to."""
    none = Frames.of({})
    return Receipt(-1, 0, 0, none.failures, conserving.Tally(0, 0, 0), drift.profile(none))


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
