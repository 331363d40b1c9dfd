"""Compares the answers of an archive: what changed in the orders from one refetch to the next.

A change is a change of the tables. How JSON is formatted, the order of fields and lists, and whether a field without a
value is missing, null or empty, make no difference.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import datetime

import polars as pl

from quivo_frames.analysis.changes import answer_windows, differences, statuses
from quivo_frames.analysis.changes.answer_windows import WindowLimits
from quivo_frames.analysis.changes.differences import CHANGES, FIRST, IS_TOUCH, KEY_BEFORE, MOVED, STATUSES, UNREADABLE
from quivo_frames.analysis.changes.sentences import describe_changes
from quivo_frames.archive.archive import Archive
from quivo_frames.errors import ConfigError
from quivo_frames.model.time import InstantLike, parse_beginning

__all__ = ["CHANGES", "UNREADABLE", "changes", "describe_changes", "history", "transitions"]

ArchiveLike = Archive | str | os.PathLike[str]


def history(archive: ArchiveLike, order_id: int, *, personal: bool = True) -> pl.DataFrame:
    """What changed in one order from each of its answers to the next; the columns are those of `changes`.

    Raises:
        ConfigError: there is no good answer about the order, or no archive.
        ArchiveError: a stored answer is damaged.
    """
    opened = _open_archive(archive)
    if not any(True for _ in opened.responses([order_id])):
        raise ConfigError(f"{opened.path} has no good answer about order {order_id}: check the number, or refetch it.")
    return changes(opened, order_ids=[order_id], personal=personal)


def changes(
    archive: ArchiveLike,
    since: InstantLike | None = None,
    order_ids: Iterable[int] | None = None,
    *,
    personal: bool = True,
) -> pl.DataFrame:
    """What changed in orders from each good answer to the next: one row per change, by order, time, table and row.

    Columns: order_id; seen_at, when the newer answer arrived, and before_at, when the older value was last seen (UTC);
    table, column, path (JSON path) and key of the value in the newer answer, for removed rows in the older one; kind;
    before and after. The kinds are

        changed      a value of a row that is in both answers was replaced, set or emptied
        added        a new row; `after` is the JSON of its own fields, without its lists
        removed      a row that is gone; `before` is the JSON of its own fields, without its lists
        unreadable   an answer that the tables cannot hold, `after` says why; the next one is compared with the last
                     readable one, so that no change is lost

    Rows of lists of plain values, and attributes of free-form objects, have one value each: `column` names it.
    Values are the text in the JSON, strings and times without their quotes; null means no value.

    Lists are compared without regard to order: rows are the same if their ids are equal
    (`analysis.changes.identity.IDENTITY_COLUMNS`), otherwise if their content is, otherwise if their place is. A
    handling unit that moved into another unit is removed in one place and added in the other. Free-form attributes are
    compared one by one, their values as JSON; the column that holds the whole object is reported only if it holds what
    the attributes do not: a value that is not an object, or a key twice.

    That Quivo touched an order (`last_modified`) is no change by itself: it is left out where nothing else changed.

    `since` (an instant, a day or a text such as `7d`; without a zone: UTC) selects what was seen since then. With
    `personal=False`, a placeholder stands for each personal value.

    Raises:
        ConfigError: there is no archive.
        ArchiveError: a stored answer is damaged.
    """
    return _without_mere_touches(find_changes(_open_archive(archive), since, order_ids, personal=personal))


def _without_mere_touches(found: pl.DataFrame) -> pl.DataFrame:
    """The changes without those of `last_modified` where nothing else of the order changed at that time."""
    return found.filter(~IS_TOUCH.all().over("order_id", "seen_at")) if found.height else found


def find_changes(
    archive: Archive,
    since: InstantLike | None = None,
    order_ids: Iterable[int] | None = None,
    *,
    personal: bool,
    limits: WindowLimits = WindowLimits(),  # noqa: B008 - immutable
) -> pl.DataFrame:
    """Same as `changes`, with the limits of how many answers are compared at a time."""
    since = _as_utc(since)
    parts, incomplete = [_NO_CHANGES], []
    for window in _compare_in_windows(archive, since, order_ids, limits, personal=personal):
        found = window.filter(~pl.col("kind").is_in([FIRST, MOVED])).select(CHANGES.keys())
        if since is not None:
            # The archive gives one answer before `since`. If that is unreadable, the one before it is needed.
            incomplete += found.filter(pl.col("seen_at") < since)["order_id"].to_list()
            found = found.filter(pl.col("seen_at") >= since)
        parts.append(found)
    if not incomplete:
        return pl.concat(parts)
    complete = find_changes(archive, None, incomplete, personal=personal, limits=limits)
    others = pl.concat(parts).filter(~pl.col("order_id").is_in(incomplete))
    return pl.concat([others, complete.filter(pl.col("seen_at") >= since)]).sort("order_id", maintain_order=True)


def transitions(
    archive: ArchiveLike, since: InstantLike | None = None, order_ids: Iterable[int] | None = None
) -> pl.DataFrame:
    """Status transitions, one row each, as refetches saw them, which is later than they happened.

    Between two answers a status may have had other values, and it may have changed at any time between them. Columns:
    order_id, table, key (in the newer answer; of a removed fulfillment order, in the older one) and column of the
    status; before and after, null if the fulfillment order was added or removed; since, when the old status was first
    seen (null if there was none; if it is the time of the first answer, the status may be older); last_seen_before;
    seen_at, when the new status was first seen (all UTC); and lasted, the time from `since` to `seen_at`: how long the
    old status lasted, as far as known.

    `since` (without a zone: UTC) selects those seen since then; their durations still count from the first answer.

    Raises:
        ConfigError: there is no archive.
        ArchiveError: a stored answer is damaged.
    """
    return find_transitions(_open_archive(archive), since, order_ids)


def find_transitions(
    archive: Archive,
    since: InstantLike | None = None,
    order_ids: Iterable[int] | None = None,
    limits: WindowLimits = WindowLimits(),  # noqa: B008 - immutable
) -> pl.DataFrame:
    """Same as `transitions`, with the limits of how many answers are compared at a time."""
    since, ids = _as_utc(since), None if order_ids is None else list(order_ids)
    if since is not None:
        recent = find_changes(archive, since, ids, personal=False, limits=limits)
        ids = recent.filter(pl.col("table").is_in(list(STATUSES)))["order_id"].unique().to_list()
    parts = [
        found.filter(pl.col("kind").is_in([FIRST, MOVED]) | statuses.is_status_change())
        for found in _compare_in_windows(archive, None, ids, limits, personal=False)
    ]
    found = statuses.status_transitions(
        pl.concat([_NO_CHANGES.with_columns(pl.lit(None, pl.String).alias(KEY_BEFORE)), *parts])
    )
    return found if since is None else found.filter(pl.col("seen_at") >= since)


_NO_CHANGES = pl.DataFrame(schema=CHANGES)


def _compare_in_windows(
    archive: Archive,
    since: datetime | None,
    order_ids: Iterable[int] | None,
    limits: WindowLimits,
    *,
    personal: bool,
) -> Iterator[pl.DataFrame]:
    versions = answer_windows.distinct_versions(archive.responses(order_ids, since))
    for window in answer_windows.flatten_in_windows(versions, limits):
        yield differences.compare_window(window, personal=personal)


def _as_utc(moment: InstantLike | None) -> datetime | None:
    return None if moment is None else parse_beginning(moment)


def _open_archive(archive: ArchiveLike) -> Archive:
    return archive if isinstance(archive, Archive) else Archive(archive)
