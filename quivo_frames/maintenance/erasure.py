"""Erase orders from an archive, from datasets, and from what these were exported to; a receipt says what was done."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from quivo_frames.archive.archive import Archive
from quivo_frames.builder import drift
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.dataset.exports import RecordedExport
from quivo_frames.dataset.folder_writer import DatasetWriter, RetainedRows
from quivo_frames.dataset.manifest import EXPORTS
from quivo_frames.dataset.manifest_facts import DELTA
from quivo_frames.display.text import terminal_lines
from quivo_frames.errors import ConfigError, DatasetError, ExportError, QuivoError
from quivo_frames.model.frames import Frames
from quivo_frames.model.privacy import PrivacyFilter
from quivo_frames.model.tables import ORDER_ID
from quivo_frames.storage.atomic import OutputKind, refuse_output_file, write_file_atomically
from quivo_frames.storage.urls import is_remote

_KEEP_AWAY_ADVICE = "A later refetch brings an order back: leave its id out, or have its data removed at Quivo as well."
_RAW_EXPORT_ADVICE = (
    "Where `quivo-frames export-raw` wrote the archive's answers, do it again: that replaces them as a whole."
)


@dataclass
class ErasureReceipt:
    """What was erased, when and where, without personal data."""

    reason: str
    order_ids: list[int]
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    archive: str = ""
    responses: int = 0
    attempts: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    """By folder of tables: how many rows were removed."""
    exports: list[str] = field(default_factory=list)
    """Exports that the orders were erased from."""
    left: list[str] = field(default_factory=list)
    """What could not be erased, and has to be by hand or by another try."""

    def facts(self) -> dict[str, Any]:
        """The receipt as plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        what = f"{len(self.order_ids):,} orders: {self.responses:,} answers {self.reason} in {self.archive}"
        lines = [f"{count:,} rows taken out of {folder}" for folder, count in self.rows.items()]
        lines += [f"Erased from {export}" for export in self.exports]
        lines += [f"LEFT, to be erased by hand: {reason}" for reason in self.left]
        return terminal_lines(
            [f"{what}, {self.attempts:,} lines of its ledger", *lines, _KEEP_AWAY_ADVICE, _RAW_EXPORT_ADVICE]
        )

    @staticmethod
    def require_writable(file: Path) -> None:
        """Refuses a file that no receipt can be written to, before anything is erased.

        Raises:
            ConfigError: the file cannot be written.
        """
        try:
            refuse_output_file(file, _RECEIPTS)
        except ConfigError as error:
            raise ConfigError(f"The receipt cannot be written, so nothing was erased. {error}") from error
        target = file.resolve()
        if not all(os.access(path, os.R_OK | os.W_OK) for path in (target, target.parent) if path.exists()):
            raise ConfigError(f"The receipt cannot be written to {file}. Nothing was erased. Give another --receipt.")

    def write(self, file: Path) -> None:
        """Adds the receipt to a file, a line of JSON each, for its owner alone.

        Raises:
            ExportError: the disk refuses; the message has the receipt.
        """
        receipt = json.dumps(self.facts())
        try:
            write_file_atomically(file, f"{receipt}\n".encode(), _RECEIPTS, append=True)
        except QuivoError as error:
            kept = f"What was erased stays erased. Keep the receipt from here: {receipt}"
            raise ExportError(f"{error} {kept}") from error


def _is_receipt_file(file: Path) -> bool:
    with file.open("rb") as stream:
        first = stream.readline(_MAX_RECEIPT)
    try:
        return set(json.loads(first)) >= {"reason", "order_ids", "at", "archive"}
    except (ValueError, TypeError, RecursionError):
        return False


_MAX_RECEIPT = 2**26
"""Bytes of a line that can be a receipt: one of millions of orders."""
_RECEIPTS = OutputKind("file of receipts", _is_receipt_file, (".ndjson", ".jsonl", ".json", ".txt", ".log"))


def forget(
    order_ids: Iterable[int],
    archive: str | os.PathLike[str] | Archive,
    tables: Sequence[str | os.PathLike[str]] = (),
) -> ErasureReceipt:
    """Erases orders from an archive, from folders of tables, and from what these were exported to.

    Afterwards none of these files holds a byte of them. What cannot be reached now is listed in `left` of the receipt;
    calling this again erases it later. Not reached are backups, copies, the free space of a disk, and what
    `Archive.export` wrote: exporting again replaces that.

    Raises:
        ConfigError: there is no such archive, or no tables; nothing was erased.
        DatasetError: tables are damaged; nothing was erased.
        ArchiveError: the archive cannot be written.
    """
    folders = {folder if is_remote(os.fspath(folder)) else Path(folder).resolve(): folder for folder in tables}
    datasets = [_open_intact(folder) for folder in folders.values()]  # all must be there before anything is erased
    opened = archive if isinstance(archive, Archive) else Archive(archive)
    receipt = ErasureReceipt("erased", sorted(set(order_ids)), archive=str(opened.path))
    receipt.responses, receipt.attempts = opened.erase(receipt.order_ids)
    for dataset in datasets:
        try:
            receipt.rows[dataset.address] = _erase_from_tables(dataset, receipt.order_ids)
        except QuivoError as error:
            receipt.left.append(f"{dataset.address} and its exports: {error}")
            continue
        for export in dataset.exports():
            _erase_from_export(Dataset.open(dataset.address), export, receipt)
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
    receipt.responses = opened.remove_personal_values(receipt.order_ids)
    return receipt


class _RemovalFlag(msgspec.Struct, rename="camel"):
    pii_data_removed: bool | None = None


def _ids_removed_at_quivo(archive: Archive) -> Iterator[int]:
    decoder = msgspec.json.Decoder(_RemovalFlag)
    for raw in archive.newest():
        if b"piiDataRemoved" not in raw.body or raw.order_id is None:
            continue
        try:
            flagged = decoder.decode(raw.body).pii_data_removed
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


def _erase_from_tables(dataset: Dataset, order_ids: Sequence[int]) -> int:
    """Removes orders from the tables of a folder, and returns how many rows they had.

    Raises:
        DatasetError: the tables are in an object store, or Delta tables; those have to be built again.
    """
    if is_remote(dataset.address) or dataset.manifest.get("form") == DELTA:
        raise DatasetError(
            "build these tables again, from the archive or from a raw export that is made after this; where they are "
            "Delta tables, VACUUM them then, for their earlier versions. Export again what was exported from them."
        )
    with DatasetWriter(dataset.address, PrivacyFilter(dataset.level)) as writer:
        order = dataset.scan.orders.select(ORDER_ID.name).collect().with_row_index("place")
        retained = RetainedRows(dataset, order_ids, order)
        writer.take_single_partition(Frames.of({}))
        writer.write_tables(map, retained)
        no_rows = drift.profile_tables(Frames.of({}))
        facts = {name: fact for name, fact in dataset.manifest.items() if name not in ("tables", "lineage")}
        facts["profile"] = drift.update_profile(
            dataset.manifest["profile"], retained.replaced_rows, no_rows, writer.scan_table
        )
        removed = {"out": retained.replaced_rows.orders.height, "failed": retained.replaced_rows.failures.height}
        removed["in"] = sum(removed.values())
        facts["orders"] = {name: count - removed.get(name, 0) for name, count in facts["orders"].items()}
        example = pl.when(~pl.col(ORDER_ID.name).is_in(list(order_ids))).then(ORDER_ID.name)
        notes = dataset.notes.with_columns(example.alias(ORDER_ID.name))
        lineage = {name: retained.scan_retained(name).collect() for name in dataset.manifest["lineage"]}
        writer.commit_dataset(facts, retained.scan_retained("failures").collect(), notes, lineage)
    return sum(retained.replaced_rows.counts().values())


def _erase_from_export(dataset: Dataset, export: RecordedExport, receipt: ErasureReceipt) -> None:
    if "://" not in export.out and not Path(export.out).exists():
        receipt.left.append(
            f"{export.out} ({export.form}) is not there any more. If it was moved, erase it there; if it was deleted, "
            f"delete its entry from {dataset.place.uri(EXPORTS)}."
        )
        return
    try:
        dataset.write_export(export, receipt.order_ids)
    except QuivoError as error:
        receipt.left.append(f"{export.out} ({export.form}): {error}")
    else:
        receipt.exports.append(f"{export.out} ({export.form})")
