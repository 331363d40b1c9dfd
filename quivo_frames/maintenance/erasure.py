"""Erase orders from an archive, from datasets, and from what these were exported to; a receipt says what was done."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import msgspec
import polars as pl

from quivo_frames.analysis.checks.memory import FindingsMemory
from quivo_frames.archive.archive import Archive
from quivo_frames.archive.erasures import ERASED, erased_orders
from quivo_frames.archive.maintenance import UnfinishedErasure
from quivo_frames.builder import drift
from quivo_frames.builder.build_settings import DEFAULT_SETTINGS
from quivo_frames.builder.order_index import Partition
from quivo_frames.builder.partition import PartTask, build_unit
from quivo_frames.builder.plan import BuildPlan, merge_units
from quivo_frames.dataset.commit import BuiltParts, DatasetCommit
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.dataset.exports import RecordedExport
from quivo_frames.dataset.folder_commit import FolderCommit
from quivo_frames.dataset.manifest import EXPORTS, MANIFEST
from quivo_frames.dataset.manifest_facts import DELTA, PARQUET
from quivo_frames.dataset.parts import Part, read_layout
from quivo_frames.dataset.place_commit import PlaceCommit
from quivo_frames.errors import ConfigError, DatasetError, QuivoError
from quivo_frames.export.order_traces import find_order_traces
from quivo_frames.flattening.order_text import find_order_text
from quivo_frames.maintenance.receipt import ErasureReceipt
from quivo_frames.maintenance.remaining_copies import explain_copies_of_tables, explain_saved_files
from quivo_frames.model.frames import Frames
from quivo_frames.model.privacy import PrivacyFilter
from quivo_frames.model.tables import LINEAGE_TABLES, ORDER_ID, TABLES
from quivo_frames.storage.leftovers import remove_leftovers, remove_temporary_leftovers
from quivo_frames.storage.path_names import check_path
from quivo_frames.storage.urls import is_remote


def forget(
    order_ids: Iterable[int],
    archive: str | os.PathLike[str] | Archive | None = None,
    tables: Sequence[str | os.PathLike[str]] = (),
) -> ErasureReceipt:
    """Erases orders from an archive, from folders of tables, and from what these were exported to.

    Afterwards none of these files holds a byte of them. What cannot be reached now is listed in `left` of the receipt;
    calling this again erases it later. There it also names files that still hold the orders: those that the tables were
    built from, and those that were saved from them or from the archive, such as reports and raw exports. Not reached
    are backups, copies, and the free space of a disk. A later refetch leaves the orders out, unless it fetches them
    `again`.

    Raises:
        ConfigError: there is no such archive, or no tables, or neither was given; nothing was erased.
        DatasetError: tables are damaged; nothing was erased.
        ArchiveError: the archive cannot be written, or the list of what was saved from it is damaged.
    """
    if archive is None and not tables:
        raise ConfigError("Give what to erase orders from: an archive, tables, or both.")
    folders = {folder if is_remote(os.fspath(folder)) else check_path(folder).resolve(): folder for folder in tables}
    datasets = [_open_intact(folder) for folder in folders.values()]  # all must be there before anything is erased
    receipt = ErasureReceipt("erased", sorted(set(order_ids)))
    if archive is not None:
        opened = archive if isinstance(archive, Archive) else Archive(archive)
        receipt.archive = str(opened.path)
        opened.outputs.read()  # raises before anything is erased
        known = {order_id for _, order_id, _, reason in erased_orders(opened.path) if reason == ERASED}
        receipt.erased_before = len(known & set(receipt.order_ids))
        try:
            receipt.responses, receipt.attempts = opened.erase(receipt.order_ids)
        except UnfinishedErasure as error:
            receipt.responses, receipt.attempts = error.counts
            receipt.note_left(receipt.archive, error)
    for dataset in datasets:
        try:
            if not is_remote(dataset.address):
                FindingsMemory(dataset.place).forget_orders(receipt.order_ids)
            _erase_from_tables(dataset, receipt)
        except QuivoError as error:
            receipt.note_left(f"{dataset.address} and its exports", error)
        else:
            _erase_from_exports(dataset, receipt)
        receipt.left += explain_copies_of_tables(dataset, receipt.order_ids, receipt.archive)
    if archive is not None:
        receipt.left += explain_saved_files(opened.outputs, receipt.order_ids)
    remove_temporary_leftovers()
    return receipt


def honour_removed(archive: str | os.PathLike[str] | Archive) -> ErasureReceipt:
    """Removes personal values from older answers about orders whose newest answer says that Quivo removed them.

    Everything else of these answers stays. Unknown fields count as personal; of answers that are no order, nothing
    stays. The newest answer stays as it was received.

    Raises:
        ConfigError: there is no such archive.
        ArchiveError: it cannot be written.
    """
    opened = archive if isinstance(archive, Archive) else Archive(archive)
    receipt = ErasureReceipt("blanked", list(_ids_removed_at_quivo(opened)), archive=str(opened.path))
    try:
        receipt.responses = opened.remove_personal_values(receipt.order_ids)
    except UnfinishedErasure as error:
        receipt.responses = error.counts.responses
        receipt.note_left(receipt.archive, error)
    return receipt


class _RemovalFlag(msgspec.Struct, rename="camel"):
    pii_data_removed: bool | None = None


def _ids_removed_at_quivo(archive: Archive) -> Iterator[int]:
    decoder = msgspec.json.Decoder(_RemovalFlag)
    for raw in archive.newest():
        if b"piiDataRemoved" not in raw.body or raw.order_id is None:
            continue
        try:
            flagged = decoder.decode(find_order_text(raw.body).text).pii_data_removed
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            continue
        if flagged:
            yield raw.order_id


def _open_intact(folder: str | os.PathLike[str]) -> Dataset:
    """The dataset of a folder, whose files are all undamaged.

    Raises:
        DatasetError: there is none, or a file is damaged.
    """
    dataset = Dataset.open(folder)
    dataset.exports()
    for file in dataset.damaged_files():
        raise DatasetError(f"{file} is damaged. Nothing was erased. Build the tables again with --full first.")
    return dataset


def _erase_from_tables(dataset: Dataset, receipt: ErasureReceipt) -> None:
    """Removes orders from tables, and notes how many rows they had.

    Tables that were exported are written again in the way that they were exported. Of others the parts that may hold
    the orders are. Files of earlier versions of Delta tables that hold them are removed: those versions cannot be read
    any more.
    """
    ids, address = receipt.order_ids, dataset.address
    if dataset.origin:
        receipt.rows[address] = dataset.rewrite_without(ids)
        return
    is_delta = dataset.manifest.get("form") == DELTA
    kind = FolderCommit if _has_table_files(dataset) else PlaceCommit
    with kind(
        address, PrivacyFilter(dataset.level), DELTA if is_delta else PARQUET, derived=bool(dataset.derived)
    ) as commit:
        built = _build_without(dataset, ids, commit)
        failures = dataset.failures.filter(~pl.col(ORDER_ID.name).is_in(ids).fill_null(value=False))
        example = pl.when(~pl.col(ORDER_ID.name).is_in(ids)).then(ORDER_ID.name)
        notes = dataset.notes.with_columns(example.alias(ORDER_ID.name))
        kept = _answers_without(dataset, ids)
        facts, before = _facts_without(dataset, built, failures.height), dataset.counts()
        after = commit.commit_dataset(facts, built, failures, notes, kept).counts()
        receipt.rows[address] = sum(before[name] - after[name] for name in (*TABLES, "failures"))
        if isinstance(commit, PlaceCommit) and is_delta and (count := commit.remove_earlier_versions(ids)):
            receipt.earlier_versions[address] = count


def _answers_without(dataset: Dataset, order_ids: Sequence[int]) -> pl.DataFrame | None:
    """The answers that the other orders were built from; None if they are not known as fully as now.

    Earlier versions kept less about them. Then the next build is a full one.
    """
    answers = dataset.lineage("answers")
    if answers is None or answers.collect_schema().names() != list(LINEAGE_TABLES["answers"].schema):
        return None
    return answers.filter(~pl.col(ORDER_ID.name).is_in(order_ids)).collect()


def _has_table_files(dataset: Dataset) -> bool:
    """Whether tables have one file each, as far as one file takes all orders; earlier versions do not say."""
    if is_remote(dataset.address) or dataset.manifest.get("form") == DELTA:
        return False
    in_one = [file.rpartition("/")[2] for file in dataset.files("orders")] == ["orders.parquet"]
    return bool(dataset.manifest.get("files", "tables" if in_one else "parts") == "tables")


def _build_without(dataset: Dataset, order_ids: Sequence[int], commit: DatasetCommit) -> BuiltParts:
    """The parts of a dataset without some orders: those that may hold one are rewritten."""
    layout = read_layout(dataset)
    is_foreign = layout.writer != pl.__version__  # whose row groups cannot be joined to others
    planned: list[Part | PartTask] = []
    for number, part in enumerate(_count_without(dataset, layout.parts, order_ids)):
        may_hold = any(piece.may_hold(order_ids) for piece in part.pieces.values())
        task = PartTask(Partition(number, []), part.file_number, part, order_ids, is_rewritten=is_foreign)
        planned.append(task if may_hold or is_foreign else part)
    units = BuildPlan(planned, pl.Series(dtype=pl.Int64)).cut_units(commit.has_table_files, commit.earlier_files)
    build = partial(build_unit, DEFAULT_SETTINGS, PrivacyFilter(dataset.level), commit.open_destination(None))
    built = {unit.first_task: build(unit).built for unit in units if unit.list_tasks()}
    return commit.join_parts(merge_units(units, built), map)


def _count_without(dataset: Dataset, parts: Sequence[Part], order_ids: Sequence[int]) -> Iterator[Part]:
    """The parts, with how many orders each has left, as far as its answers are known."""
    answers = dataset.lineage("answers")
    if answers is None:
        yield from parts
        return
    is_kept = ~answers.select(ORDER_ID.name).collect().to_series().is_in(order_ids)
    start = 0
    for part in parts:
        yield part._replace(order_count=int(is_kept.slice(start, part.order_count).sum()))
        start += part.order_count


def _facts_without(dataset: Dataset, built: BuiltParts, failed: int) -> dict[str, Any]:
    """What the manifest says of the dataset now, of which `failed` orders are in no table."""
    out = sum(part.count_rows("orders") for part in built.parts)
    about_files = ("tables", "derived", "lineage", "of", "read_until")  # nor is it what these answers would give
    facts = {name: fact for name, fact in dataset.manifest.items() if name not in about_files}
    facts["orders"] = {**facts["orders"], "in": out + failed, "out": out, "failed": failed}
    no_rows = drift.profile_tables(Frames.of({}))
    facts["profile"] = drift.merge_profiles([no_rows, *(part.profile for part in built.parts)])
    return facts


def _erase_from_exports(dataset: Dataset, receipt: ErasureReceipt) -> None:
    """Removes orders from what a dataset was exported to, and from what was exported and saved from there."""
    current = Dataset.open(dataset.address)  # as it is without them
    try:
        current.outputs.forget_orders(receipt.order_ids)
    except QuivoError as error:
        receipt.note_left(current.outputs.file, error)
    for export in current.exports():
        _erase_from_export(current, export, receipt)
        if export.path and (export.path / MANIFEST).exists():
            try:
                exported = Dataset.open(export.path)
                FindingsMemory(exported.place).forget_orders(receipt.order_ids)
                _erase_from_exports(exported, receipt)
                receipt.left += explain_saved_files(exported.outputs, receipt.order_ids)
            except QuivoError as error:
                receipt.note_left(f"{export} and its exports", error)


def _erase_from_export(dataset: Dataset, export: RecordedExport, receipt: ErasureReceipt) -> None:
    """Removes orders from the target of an export that may hold them, and what killed exports left beside it."""
    try:
        leftovers = remove_leftovers(export.path) if export.path else []
        if export.path and not export.path.exists():
            if leftovers:
                receipt.exports.append(f"what was left of an export to {export} that was cut off")
            elif not export.begun:
                receipt.left.append(
                    f"{export} is not there any more. If it was moved, erase it there; if it was deleted, delete its "
                    f"entry from {dataset.place.uri(EXPORTS)}."
                )
            return
        may_hold_orders = export.path is None or find_order_traces(export.path, receipt.order_ids).may_hold_orders
        if may_hold_orders or (export.begun and not export.is_replaced_as_a_whole):
            dataset.write_export(export, receipt.order_ids)
    except (OSError, QuivoError) as error:
        receipt.note_left(str(export), error)
    else:
        if may_hold_orders or leftovers:
            receipt.exports.append(str(export))
