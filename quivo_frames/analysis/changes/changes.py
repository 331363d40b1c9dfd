"""Verb: the answers of an archive -> what changed in the orders from one refetch to the next. Floor 6.

Its rooms: sightings (answers, flattened), identity (which row is which), free_values (free-form values that are equal),
differences (rows of changes), statuses (transitions), telling (lines to read).

What changed is what the tables say: how an answer is spelled, the order of its fields and lists, and whether a field
without a value is missing, null or empty, is no change.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import polars as pl

from quivo_frames.analysis.changes import differences, sightings, statuses
from quivo_frames.analysis.changes.differences import CHANGES, FIRST, KEY_BEFORE, MOVED, STATUSES, UNREADABLE
from quivo_frames.analysis.changes.sentences import describe_changes
from quivo_frames.archive.archive import Archive
from quivo_frames.errors import ConfigError

__all__ = ["CHANGES", "UNREADABLE", "changes", "describe_changes", "history", "transitions"]

ArchiveLike = Archive | str | os.PathLike[str]


def history(archive: ArchiveLike, order_id: int, *, personal: bool = True) -> pl.DataFrame:
    """What changed in one order from each of its answers to the next, as `changes` tells it.

    Raises:
        ConfigError: there is no good answer about the order, or no archive.
        ArchiveError: an answer is damaged.
    """
    opened = _open_archive(archive)
    if not any(True for _ in opened.responses([order_id])):
        raise ConfigError(f"{opened.path} has no good answer about order {order_id}: check the number, or refetch it.")
    return changes(opened, order_ids=[order_id], personal=personal)


def changes(
    archive: ArchiveLike,
    since: datetime | None = None,
    order_ids: Iterable[int] | None = None,
    *,
    personal: bool = True,
) -> pl.DataFrame:
    """What changed in orders from each good answer to the next, a row a change, by order, time, table and row.

    Columns: order_id; seen_at, when the newer answer arrived, and before_at, when the older value was last seen (UTC);
    table, column, path (JSON path) and key of the value, in the newer answer, of what went in the older one; kind;
    before and after. The kinds are

        changed      another value in a row that is still there, or a value where none was, or none any more
        added        a row that was not there; one row, `after` is the JSON of its own fields, without its lists
        removed      a row that is not there any more; `before` likewise
        unreadable   an answer that the tables cannot hold, `after` says why; the next one is compared with the last
                     readable one, so that no change is lost

    Rows of lists of plain values, and attributes of free-form objects, are their values: they have a column.
    Values are the text that stands in JSON, texts and times without their quotes; null is no value.

    Lists are compared without their order: rows are the same if their ids are (`analysis.changes.identity.IDENTITY_COLUMNS`), else if their
    content is, else if their place is. A handling unit that is in another unit now went in one place and came in the
    other. Free-form attributes are compared one by one, their values as JSON; the column itself is told only where it
    holds more than they say: what is no object, or a key twice.

    `since` (no zone: UTC) tells what was seen since then. `personal` set to False puts a word in the place of personal
    values.

    Raises:
        ConfigError: there is no archive.
        ArchiveError: an answer is damaged.
    """
    opened = _open_archive(archive)
    moment = since if since is None or since.tzinfo else since.replace(tzinfo=UTC)
    parts, unsure = [_NOTHING], []
    for found in _compare_in_windows(opened, moment, order_ids, personal=personal):
        told = found.filter(~pl.col("kind").is_in([FIRST, MOVED])).select(CHANGES.keys())
        if moment is not None:
            early = told.filter(pl.col("seen_at") < moment)
            unsure += early["order_id"].to_list()  # the answer before cannot be read: the one before that is needed
            told = told.filter(pl.col("seen_at") >= moment)
        parts.append(told)
    if unsure:
        again = pl.col("order_id").is_in(unsure)
        whole = changes(opened, order_ids=unsure, personal=personal).filter(pl.col("seen_at") >= moment)
        parts = [pl.concat(parts).filter(~again), whole]
        return pl.concat(parts).sort("order_id", maintain_order=True)
    return pl.concat(parts)


def transitions(
    archive: ArchiveLike, since: datetime | None = None, order_ids: Iterable[int] | None = None
) -> pl.DataFrame:
    """The changes of statuses, a row a transition, as seen by refetches, not as it happened.

    Between two answers a status may have had other values, and it became what it is at any time between them. Columns:
    order_id, table, key (in the newer answer; of a fulfillment order that went, in the older one) and column of the
    status; before and after, null where the fulfillment order came or went; since, when the old status was first seen
    (null where there was none; where it is that of the first answer it may be older); last_seen_before; seen_at, when
    the new one was first seen (all UTC); and lasted, the time from `since` to `seen_at`, so long it was in the old
    status, as far as known.

    `since` (no zone: UTC) tells those seen since then; their times count from the first answer all the same.

    Raises:
        ConfigError: there is no archive.
        ArchiveError: an answer is damaged.
    """
    opened = _open_archive(archive)
    ids = None if order_ids is None else list(order_ids)
    if since is not None:
        since = since if since.tzinfo else since.replace(tzinfo=UTC)
        recent = changes(opened, since, ids, personal=False)
        ids = recent.filter(pl.col("table").is_in(list(STATUSES)))["order_id"].unique().to_list()
    parts = [
        found.filter(pl.col("kind").is_in([FIRST, MOVED]) | statuses.is_status_change())
        for found in _compare_in_windows(opened, None, ids, personal=False)
    ]
    found = statuses.status_transitions(
        pl.concat([_NOTHING.with_columns(pl.lit(None, pl.String).alias(KEY_BEFORE)), *parts])
    )
    return found if since is None else found.filter(pl.col("seen_at") >= since)


_NOTHING = pl.DataFrame(schema=CHANGES)


def _compare_in_windows(
    archive: Archive, since: datetime | None, order_ids: Iterable[int] | None, *, personal: bool
) -> Iterator[pl.DataFrame]:
    for window in sightings.flatten_in_windows(sightings.distinct_versions(archive.responses(order_ids, since))):
        yield differences.compare_window(window, personal=personal)


def _open_archive(archive: ArchiveLike) -> Archive:
    return archive if isinstance(archive, Archive) else Archive(archive)
