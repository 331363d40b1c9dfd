"""Of several answers about the same order, which ones the newest supersedes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import polars as pl

from quivo_frames.flattening.convert import convert_column
from quivo_frames.flattening.decode import OrderIdentity
from quivo_frames.model.messages import describe_note
from quivo_frames.model.order import Kind
from quivo_frames.model.records import Note
from quivo_frames.model.tables import DTYPES

_INSTANT = DTYPES[Kind.INSTANT]
IDENTITY_SCHEMA = {"order_id": pl.Int64(), "fetched_at": _INSTANT, "last_modified": _INSTANT}
"""Which order an answer is about, and how new it is: one row an answer."""


SELLER = "seller_id"
"""A further column of identities, where sellers are known."""


def make_identity_frame(entries: Sequence[tuple[datetime | None, OrderIdentity]]) -> pl.DataFrame:
    """A frame of IDENTITY_SCHEMA from the time and the identity of each answer; and SELLER, if one is known."""
    instants = convert_column(Kind.INSTANT, [found.last_modified for _, found in entries]).values
    columns = {
        "order_id": [found.order_id for _, found in entries],
        "fetched_at": [fetched_at for fetched_at, _ in entries],
        "last_modified": instants,
    }
    frame = pl.DataFrame(columns, schema=IDENTITY_SCHEMA)
    sellers = pl.Series(SELLER, [found.seller_id for _, found in entries], dtype=pl.Int64)
    return frame if sellers.null_count() == sellers.len() else frame.with_columns(sellers)


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


def find_orders_of_two_sellers(identities: pl.DataFrame) -> list[int]:
    """The ids of orders that came with different sellers, as far as these are known."""
    if SELLER not in identities.columns:
        return []
    known = identities.drop_nulls(["order_id", SELLER])
    sellers = known.filter(pl.col("order_id").is_duplicated()).group_by("order_id").agg(pl.col(SELLER).n_unique())
    return sellers.filter(pl.col(SELLER) > 1)["order_id"].sort().to_list()


def note_repeated_orders(superseded_positions: Mapping[int, int], of_two_sellers: Sequence[int]) -> list[Note]:
    """The notes about orders that came more than once, if any did, and about those of several sellers."""
    notes = []
    for kind, order_ids in (
        ("repeated_order", list(superseded_positions.values())), ("repeated_order_of_two_sellers", of_two_sellers)
    ):  # fmt: skip
        if order_ids:
            notes.append(describe_note(kind, "$.orderId", len(order_ids), order_ids[0]))
    return notes
