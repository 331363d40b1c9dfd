"""The answer about an order as JSON: as received, from the archive; else built again from the tables."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import NamedTuple

from quivo_frames.analysis.report.sheets import format_minute
from quivo_frames.archive.archive import Archive
from quivo_frames.errors import ArchiveError, ConfigError
from quivo_frames.explorer.order_rows import OrderRows, Row
from quivo_frames.flattening.unflatten import unflatten
from quivo_frames.model.privacy import remove_personal_fields
from quivo_frames.model.records import RawOrder

_FINGERPRINT_BYTES = 8


class OrderAnswer(NamedTuple):
    """The JSON of an order, without personal values if they may not be shown."""

    body: bytes
    origin: str
    """Where it is from, in a sentence."""


class ArchivedAnswers(NamedTuple):
    """The good answers about an order that the archive has, oldest first."""

    received: list[RawOrder]
    problem: str = ""
    """Why the archive cannot be read, in a sentence."""

    def built_from(self, recorded: Row | None) -> RawOrder | None:
        """The answer that the tables were built from."""
        if recorded is None:
            return None
        return next(
            (raw for raw in reversed(self.received)
             if raw.fetched_at == recorded["fetched_at"] and fingerprint_of(raw.body) == recorded["fingerprint"]),
            None,
        )  # fmt: skip


def fingerprint_of(body: bytes) -> int:
    """The fingerprint by which a build records an answer."""
    return int.from_bytes(hashlib.sha256(body).digest()[:_FINGERPRINT_BYTES], "big", signed=True)


def read_archived_answers(archive: Archive | None, order_id: int) -> ArchivedAnswers:
    """What an archive has of an order; where it cannot be read, why."""
    if archive is None:
        return ArchivedAnswers([])
    try:
        return ArchivedAnswers(list(archive.responses([order_id])))
    except (ArchiveError, ConfigError) as error:
        return ArchivedAnswers([], str(error))


def find_answer(rows: OrderRows, archived: ArchivedAnswers) -> OrderAnswer:
    """The answer that the rows were built from, as received; else the rows as JSON again."""
    raw = archived.built_from(rows.answer)
    if raw is not None:
        origin = f"As Quivo answered at {_instant(raw.fetched_at)}, from the archive: the tables were built from it."
        body = raw.body
    else:
        body = next(unflatten(rows.complete))
        origin = (
            f"Built again from the tables, as {_reason(rows, archived)}: without unknown fields, numbers and times in "
            "the tables' own spelling, and nothing where a value was empty."
        )
    if rows.personal:
        return OrderAnswer(body, origin)
    return OrderAnswer(remove_personal_fields(body), f"{origin} Personal, secret and unknown values are not shown.")


def _instant(at: datetime | None) -> str:
    return format_minute(at)


def _reason(rows: OrderRows, archived: ArchivedAnswers) -> str:
    if archived.problem:
        return "the archive cannot be read"
    if rows.answer is None:
        return "these tables do not say which answer they were built from"
    return "the archive with the answer is not known here" if not archived.received else "the archive has it no more"
