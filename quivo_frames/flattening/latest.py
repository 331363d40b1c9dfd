"""Verb: answers about the same order -> those that a newer one replaces. Floor 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import polars as pl

from quivo_frames.flattening.convert import convert_column
from quivo_frames.model.messages import describe_note
from quivo_frames.model.order import Kind
from quivo_frames.model.records import Note

IDENTITY_SCHEMA = {"order_id": pl.Int64(), "fetched_at": pl.Datetime("us", "UTC"), "last_modified": pl.Datetime("us", "UTC")}
"""What tells which of two answers about an order is the newer one; a row an answer."""


def make_identity_frame(entries: Sequence[tuple[int | None, datetime | None, str | None]]) -> pl.DataFrame:
    """The order, the time of the answer and `lastModified` as text of some answers, as a frame of INDEX."""
    order_ids, fetched, modified = zip(*entries, strict=True) if entries else ((), (), ())
    instants = convert_column(Kind.INSTANT, modified).values
    return pl.DataFrame({"order_id": order_ids, "fetched_at": fetched, "last_modified": instants}, schema=IDENTITY_SCHEMA)


def has_repeated_ids(order_ids: pl.Series) -> bool:
    """Whether an id comes more than once; null is none."""
    ids = order_ids.drop_nulls()
    if ids.is_sorted():  # as those of one archive: neighbours tell, and no table of all ids is made
        return bool((ids.diff() == 0).any())
    return bool(ids.is_duplicated().any())


def find_superseded_positions(identities: pl.DataFrame) -> dict[int, int]:
    """Places of the answers that a newer answer about the same order replaces, with the orders' ids.

    `index` has the columns of INDEX and a row an answer. Of each order wins the newest fetched_at, then the newest
    last_modified, then the later place. Answers without a readable id replace nothing.
    """
    if not has_repeated_ids(identities["order_id"]):
        return {}
    frame = identities.with_row_index("place")
    again = frame.filter(pl.col("order_id").is_not_null() & pl.col("order_id").is_duplicated())
    ranked = again.sort("fetched_at", "last_modified", "place")
    losers = ranked.filter(pl.col("place") != pl.col("place").last().over("order_id")).sort("place")
    return dict(losers.select("place", "order_id").iter_rows())


def note_repeated_orders(superseded_positions: Mapping[int, int]) -> list[Note]:
    """The note about orders that came more than once."""
    return [describe_note("repeated_order", "$.orderId", len(superseded_positions), next(iter(superseded_positions.values())))] if superseded_positions else []
