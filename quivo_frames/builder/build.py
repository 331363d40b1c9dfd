"""The second step of the work: archives and files of orders -> a dataset. Floor 7.

Orders are built in parts: a part is flattened, checked and put aside by whichever process is free, and tells in a
receipt what became of it. Then each table is put together from the parts, in their order. So memory stays flat for any
number of orders, and the dataset is the same however many processes made it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Any

import polars as pl

from quivo_frames.archive.archive import Archive
from quivo_frames.builder import drift
from quivo_frames.builder.executors.connect import workers
from quivo_frames.builder.executors.local import Crew, Workers
from quivo_frames.builder.incremental import Renewal, renewable, renewal
from quivo_frames.builder.inputs import Input, Inputs, Source, sources
from quivo_frames.builder.part import Receipt, deliver, make, merged, nothing
from quivo_frames.dataset.commit import Deliveries
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.dataset.folder_writer import DatasetWriter, put_aside
from quivo_frames.dataset.manifest import DELTA, PARQUET
from quivo_frames.display.progress import bar
from quivo_frames.errors import REPORT_IT, ConfigError, Fault
from quivo_frames.flattening.latest import repeated
from quivo_frames.model.frames import add_up, report
from quivo_frames.model.privacy import Concealer, Level, concealer
from quivo_frames.model.tables import LINEAGES, ORDER_ID
from quivo_frames.model.time import When, instant
from quivo_frames.storage.urls import is_remote

PART = 10_000
"""Orders that are checked and put aside at a time: the knee of speed against memory."""
PART_BYTES = 128 * 2**20
"""Bytes of JSON in a part, at the most but for one order: large orders come in smaller ones."""
TOGETHER = 10
"""Parts that are delivered as one file a table, at the most: fewer and larger files for those who read them."""
_MAKING = "quivo_frames.builder.part"
"""What other processes begin with."""
WORTH_A_PROCESS = 48 * 2**20
"""Bytes of JSON for which another process is worth its start of half a second."""


def build(
    inputs: Input | Sequence[Input],
    out: str | os.PathLike[str],
    *,
    full: bool = False,
    as_of: When | None = None,
    privacy: str = Level.FULL,
    jobs: int | None = None,
    executor: object = None,
    form: str = PARQUET,
    progress: bool | None = None,
) -> Dataset:
    """The dataset in the folder `out`, made from archives, raw exports of them, files of orders and folders of these.

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

    `executor` (a Dask client, a SparkSession, or anything with the `map` of concurrent.futures) shares the work instead
    of `jobs`. It must be able to read the inputs and to write to `out`, which may be an address of an object store
    (s3://, gs://, az://). Tables that are made so have several files each; made of the very same answers as those that
    are there, they are left as they are. `form` is parquet, or delta: then each table is a Delta table as well.

    Raises:
        ConfigError: an input cannot be read, a setting is wrong or missing, or `out` holds something else.
        ArchiveError: an answer in an archive is damaged.
        DatasetError: the tables cannot be written, or another build into `out` was first.
        LostWorker: another process was ended from outside.
        Fault: the tables would not hold what the orders say; quivo_frames is to blame.
    """
    given = [inputs] if isinstance(inputs, str | os.PathLike | Archive) else list(inputs)
    conceals = concealer(privacy)
    if form not in (PARQUET, DELTA):
        raise ConfigError(
            f"Tables are not built as {form!r}. Build them as {PARQUET} or {DELTA}, and export from there."
        )
    if executor is not None and jobs is not None:
        raise ConfigError("An executor shares the work, or processes of this machine: leave out one of the two.")
    found = sources(given, None if as_of is None else instant(as_of))
    recipe = {"version": version("quivo_frames"), "privacy": conceals.facts()}
    if executor is None and form == PARQUET and not is_remote(os.fspath(out)):
        return _here(found, out, conceals, recipe, full=full, jobs=jobs, progress=progress)
    crew = Crew(jobs, 1 + _size(found) // WORTH_A_PROCESS, _MAKING) if executor is None else None
    with Deliveries(os.fspath(out), conceals, form) as deliveries, crew or nullcontext(workers(executor)) as sharing:
        return _anywhere(found, deliveries, conceals, recipe, sharing, full=full, progress=progress)


def _here(
    found: Sequence[Source], out: str | os.PathLike[str], conceals: Concealer, recipe: Mapping[str, Any], *,
    full: bool, jobs: int | None, progress: bool | None,
) -> Dataset:  # fmt: skip
    """Builds with processes of this machine into a folder of its disk: one file a table."""
    with DatasetWriter(out, conceals) as writer:
        orders, renewed = _renewal(writer, found, recipe, full=full)
        size = _size(found) if renewed is None else int(renewed.wanted["size"].sum())
        with Crew(jobs, most=1 + size // WORTH_A_PROCESS, module=_MAKING) as crew:
            orders = orders or Inputs(found)
            kept = renewed and renewed.kept
            with bar("build", renewed.wanted.height if renewed else orders.taken, progress) as progress_bar:
                receipts = [nothing()]
                for receipt in _made(orders, renewed, writer, conceals, crew):
                    receipts.append(receipt)
                    progress_bar.update(receipt.came)
            writer.put_together(crew.share, kept)
        made = merged(sorted(receipts, key=lambda receipt: receipt.number))
        failures, profile = made.failures, made.profile
        if kept is not None:
            failures = pl.concat([kept.rows("failures").collect(), failures])
            profile = drift.renewed(kept.before.manifest["profile"], kept.gone, profile, writer.lazy)
        noticed = writer.noticed(kept)
        answers = None if orders.answers is None else orders.answers.select(list(LINEAGES["answers"].schema))
        lineage = {} if answers is None else {"answers": answers, "noticed": noticed}
        summed_up = _summed_up(writer, orders, recipe, made, failures, profile, noticed)
        return writer.finish(*summed_up, lineage)


def _anywhere(
    found: Sequence[Source], deliveries: Deliveries, conceals: Concealer, recipe: Mapping[str, Any], sharing: Workers,
    *, full: bool, progress: bool | None,
) -> Dataset:  # fmt: skip
    """Builds with workers that may be on other machines: parts are delivered, and committed together."""
    orders = Inputs(found)
    of = orders.digest(json.dumps(recipe))
    if not full and (same := deliveries.standing(of)):
        return same
    parts = orders.parts(PART, PART_BYTES, sharing.size)
    together = min(TOGETHER, -(-len(parts) // sharing.size))
    shares = [parts[start : start + together] for start in range(0, len(parts), together)]
    receipts = [nothing()]
    with bar("build", orders.taken, progress) as progress_bar:
        for receipt, delivered in sharing.share(partial(deliver, conceals, deliveries.destination(of)), shares):
            receipts.append(receipt)
            deliveries.take(delivered)
            progress_bar.update(receipt.came)
    made = merged(sorted(receipts, key=lambda receipt: receipt.number))
    noticed = deliveries.noticed()
    summed_up = _summed_up(deliveries, orders, {**recipe, "of": of}, made, made.failures, made.profile, noticed)
    return deliveries.finish(*summed_up)


def _size(found: Sequence[Source]) -> int:
    return sum(source.size() for source in found)


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
        return [make(conceals, lambda _, frames: writer.keep(frames), parts[0])]
    return crew.share(partial(make, conceals, partial(put_aside, writer.aside)), parts)


def _summed_up(
    writer: DatasetWriter | Deliveries, orders: Inputs, recipe: Mapping[str, Any], made: Receipt,
    failures: pl.DataFrame, profile: drift.Profile, noticed: pl.DataFrame,
) -> tuple[dict[str, Any], pl.DataFrame, pl.DataFrame]:  # fmt: skip
    """What the manifest says of a build, the failures and the notes; `failures` and so on are of all orders."""
    # Between levels of privacy, a column may be empty because that was asked for.
    same = writer.before.get("privacy", {"level": Level.FULL}) == recipe["privacy"]
    changes = drift.changes(writer.before.get("profile", {}) if same else {}, profile)
    notes = [add_up(noticed), report("notes", repeated(orders.losers)), report("notes", changes)]
    facts = {**recipe, **_facts(writer, orders, made, failures), "profile": profile}
    return facts, failures.sort(ORDER_ID.name, nulls_last=True, maintain_order=True), pl.concat(notes)


def _facts(writer: DatasetWriter | Deliveries, orders: Inputs, made: Receipt, failures: pl.DataFrame) -> dict[str, Any]:
    """What the manifest says of a build.

    Raises:
        Fault: orders got lost, or came from nowhere.
    """
    there, failed = writer.rows("orders"), made.failures.height
    if made.came != made.written + failed or orders.taken != there + failures.height:
        raise Fault(
            f"{made.came} of {orders.taken} orders were read, {made.written} made and {failed} failed, but {there} are "
            f"in the tables and {failures.height} in the failures. {REPORT_IT}"
        )
    return {
        "built_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": [{"name": name, "orders": count} for name, count in orders.counts.items()],
        "orders": {"in": orders.taken, "out": there, "failed": failures.height, "superseded": len(orders.losers)},
        "made": made.came,
        "counted": made.tally._asdict(),
    }
