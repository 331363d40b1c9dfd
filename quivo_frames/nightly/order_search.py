"""Which orders a sync refetches: those that changed since the watermark, those of webhook events, and those it owes.

The search index lags behind the orders, so each search looks back `overlap` further than the one before began. Most
orders that come again so have been fetched since their change. An order is covered, and not fetched again, if it was
fetched after the last search began, and changed in the older half of the overlap: the newer half allows for clocks
that differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain

import polars as pl

from quivo_frames.archive.archive import Archive
from quivo_frames.errors import ConfigError
from quivo_frames.fetch.client import Client
from quivo_frames.model.records import Outcome
from quivo_frames.nightly.event_files import read_new_events
from quivo_frames.nightly.sync_state import SearchResult, SyncState
from quivo_frames.settings.durations import parse_duration
from quivo_frames.settings.project import EVERYTHING, Project


def search_orders(
    project: Project, client: Client, archive: Archive, state: SyncState, now: datetime
) -> tuple[SearchResult, list[str]]:
    """The orders that are to be refetched, and what could not be read of the events, as sentences.

    Raises:
        ConfigError: Quivo refuses the query, or a place of events does not exist.
        LoginError, Unreachable, UnexpectedResponse: the list cannot be read to its end.
    """
    events = read_new_events(project.find.events, state.events)
    watermark = None if state.searched_at is None else min(state.searched_at, now)
    since = _look_back(project, watermark, now)
    found = [*client.find(project.find.query, since=since)]
    fetched = _read_fetch_times(archive)
    covered = _covered_orders(project, client, found, fetched, since, watermark)
    failed = [*_failed_orders(archive)]
    wanted = dict.fromkeys(chain((one for one in found if one not in covered), events.order_ids, failed))
    wanted |= dict.fromkeys(state.postponed)
    recent = _fetched_recently(project, fetched, now)
    search = SearchResult(
        searched_at=now,
        since=since,
        order_ids=tuple(one for one in wanted if one not in recent),
        postponed=tuple(one for one in wanted if one in recent),
        events=events.marks,
        found=len(found),
        from_events=len(set(events.order_ids)),
        failed_before=len(failed),
        covered=len(covered),
    )
    return search, events.problems


def _read_fetch_times(archive: Archive) -> pl.DataFrame:
    """When each order of the archive was fetched last: order_id and fetched_at; no rows if there is no archive."""
    none = pl.DataFrame(schema={"order_id": pl.Int64, "fetched_at": pl.Datetime("us", "UTC")})
    if not archive.path.exists():
        return none
    return pl.concat([none, *(part.select(none.columns) for part in archive.index_newest())])


def _look_back(project: Project, watermark: datetime | None, now: datetime) -> datetime | None:
    if watermark is None and project.find.first == EVERYTHING:
        return None
    back = project.find.first if watermark is None else project.find.overlap
    try:
        return (watermark or now) - (parse_duration(back) or timedelta())
    except OverflowError:
        raise ConfigError(f'{back} ago is before the year 1. Give less in quivo.toml, or first = "all".') from None


def _covered_orders(
    project: Project, client: Client, found: list[int], fetched: pl.DataFrame, since: datetime | None,
    watermark: datetime | None,
) -> set[int]:  # fmt: skip
    """Those of the orders found that were fetched after the change by which they were found."""
    if watermark is None or since is None:
        return set()
    candidates = set(found) & _fetched_since(fetched, watermark)
    if candidates:
        middle = since + (watermark - since) / 2
        candidates.difference_update(client.find(project.find.query, since=middle))
    return candidates


def _fetched_recently(project: Project, fetched: pl.DataFrame, now: datetime) -> set[int]:
    max_age = parse_duration(project.refetch.max_age or "0s")
    return _fetched_since(fetched, now - max_age) if max_age else set()


def _fetched_since(fetched: pl.DataFrame, moment: datetime) -> set[int]:
    return set(fetched.filter(pl.col("fetched_at") >= moment)["order_id"])


def _failed_orders(archive: Archive) -> Iterator[int]:
    """The orders whose last request failed, but for those that Quivo does not know."""
    if archive.path.exists():
        yield from archive.failures().filter(pl.col("outcome") != Outcome.UNKNOWN)["order_id"]
