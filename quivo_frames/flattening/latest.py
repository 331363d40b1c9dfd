"""Of several answers about the same order, which ones the newest supersedes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import polars as pl

from quivo_frames.flattening.convert import convert_column
from quivo_frames.model.messages import describe_note
from quivo_frames.model.order import Kind
from quivo_frames.model.records import Note
from quivo_frames.model.tables import DTYPES

_INSTANT = DTYPES[Kind.INSTANT]
IDENTITY_SCHEMA = {"order_id": pl.Int64(), "fetched_at": _INSTANT, "last_modified": _INSTANT}
"""Which order an answer is about, and how new it is: one row an answer."""


def make_identity_frame(entries: Sequence[tuple[int | None, datetime | None, str | None]]) -> pl.DataFrame:
    """A frame of IDENTITY_SCHEMA from the order id, the time and `lastModified` (as text) of each answer."""
    order_ids, fetched, modified = zip(*entries, strict=True) if entries else ((), (), ())
    instants = convert_column(Kind.INSTANT, modified).values
    columns = {"order_id": order_ids, "fetched_at": fetched, "last_modified": instants}
    return pl.DataFrame(columns, schema=IDENTITY_SCHEMA)


def has_repeated_ids(order_ids: pl.Series) -> bool:
    """Whether an id occurs more than once; nulls do not count."""
    ids = order_ids.drop_nulls()
    if ids.is_sorted():  # as in an archive: comparing neighbours needs no hash table of all ids
        return bool((ids.diff() == 0).any())
    return bool(ids.is_duplicated().any())


def find_superseded_positions(identities: pl.DataFrame) -> dict[int, int]:
    """The position of each answer that a newer one about the same order supersedes -> the id of that order.

    `identities` has the columns of IDENTITY_SCHEMA, one row an answer. The answer with the newest fetched_at wins, then
    the newest last_modified, then the last position. Answers without a readable id supersede nothing.
    """
    if not has_repeated_ids(identities["order_id"]):
        return {}
    position, order_id = pl.col("position"), pl.col("order_id")
    answers = identities.with_row_index("position")
    repeated = answers.filter(order_id.is_not_null() & order_id.is_duplicated())
    by_age = repeated.sort("fetched_at", "last_modified", "position")
    superseded = by_age.filter(position != position.last().over("order_id")).sort("position")
    return dict(superseded.select("position", "order_id").iter_rows())


def note_repeated_orders(superseded_positions: Mapping[int, int]) -> list[Note]:
    """The note about orders that came more than once, if any did."""
    if not superseded_positions:
        return []
    example = next(iter(superseded_positions.values()))
    return [describe_note("repeated_order", "$.orderId", len(superseded_positions), example)]
