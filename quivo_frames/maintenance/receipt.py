"""The receipt of an erasure: what was erased, when and where, without personal data."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from quivo_frames.display.text import format_count, terminal_lines
from quivo_frames.errors import ConfigError, DatasetError, QuivoError, is_caused_by_full_disk
from quivo_frames.storage.atomic import OutputKind, explain_disk_error, refuse_output_file, write_file_atomically
from quivo_frames.storage.own_json import decode_own_json

_KEEP_AWAY_ADVICE = "A later refetch leaves these orders out, unless it is given --again."
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
    erased_before: int = 0
    """How many of the orders had been erased from the archive already."""
    rows: dict[str, int] = field(default_factory=dict)
    """By folder of tables: how many rows were removed."""
    earlier_versions: dict[str, int] = field(default_factory=dict)
    """By place of Delta tables: how many files of earlier versions held the orders and were removed."""
    exports: list[str] = field(default_factory=list)
    """Exports that the orders were erased from."""
    left: list[str] = field(default_factory=list)
    """What could not be erased, and has to be by hand or by another try."""
    disk_is_full = False  # without a type, as it is no part of the receipt
    """Whether a full disk is a reason for what is left."""

    def note_left(self, where: str, error: Exception) -> None:
        """Note that a place still holds the orders, because of an error."""
        cause = explain_disk_error(error) if isinstance(error, OSError) else str(error)
        self.left.append(f"{where}: {cause}")
        self.disk_is_full |= is_caused_by_full_disk(error)

    def facts(self) -> dict[str, Any]:
        """The receipt as plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        what = format_count(len(self.order_ids), "order")
        advice = []
        if self.archive:
            what += (
                f": {format_count(self.responses, 'answer')} {self.reason} in {self.archive}, "
                f"{format_count(self.attempts, 'line')} of its ledger"
            )
            what += f"; {self.erased_before:,} had been erased before" if self.erased_before else ""
            advice = [_RAW_EXPORT_ADVICE if self.reason == "blanked" else _KEEP_AWAY_ADVICE]
        lines = [f"{format_count(count, 'row')} taken out of {folder}" for folder, count in self.rows.items()]
        lines += [
            f"{format_count(count, 'file')} of earlier versions of the Delta tables in {place} removed: those versions "
            "cannot be read any more"
            for place, count in self.earlier_versions.items()
        ]
        lines += [f"Erased from {export}" for export in self.exports]
        lines += [f"LEFT, to be erased by hand: {reason}" for reason in self.left]
        return terminal_lines([what, *lines, *advice])

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
            ConfigError: something else is there than earlier receipts.
            ExportError: the disk refuses. The message has the receipt, in both cases.
        """
        receipt = json.dumps(self.facts())
        try:
            write_file_atomically(file, f"{receipt}\n".encode(), _RECEIPTS, append=True)
        except QuivoError as error:
            kept = f"What was erased stays erased. Keep the receipt from here: {receipt}"
            raise type(error)(f"{error} {kept}") from error


def _is_receipt_file(file: Path) -> bool:
    with file.open("rb") as stream:
        first = stream.readline(_MAX_RECEIPT)
    try:
        return bool(decode_own_json(first, _EarlierReceipt, str(file), ""))
    except DatasetError:
        return False


class _EarlierReceipt(msgspec.Struct):
    """What every receipt has had, in each version."""

    reason: str
    order_ids: list[int]
    at: str
    archive: str


_MAX_RECEIPT = 2**26
"""Bytes of a line that can be a receipt: one of millions of orders."""
_RECEIPTS = OutputKind("file of receipts", _is_receipt_file, (".ndjson", ".jsonl", ".json", ".txt", ".log"))
