"""Verb: orders as bytes -> 18 tables, failures and notes. No I/O. Floor 5.

Orders are whole: a value that its column cannot hold makes the order a failure and takes it out of every table.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import polars as pl

from quivo_frames.batch import Batch
from quivo_frames.errors import Note
from quivo_frames.frames import Frames
from quivo_frames.order import Kind
from quivo_frames.reading import read
from quivo_frames.response import RawOrder
from quivo_frames.wire import OrderDecoder, peek
from quivo_frames.wording import note

BATCH = 2_500
"""Orders flattened at a time: fewer pay the fixed cost of a query too often, more take memory for nothing."""

INDEX = {"order_id": pl.Int64(), "fetched_at": pl.Datetime("us", "UTC"), "last_modified": pl.String()}
"""What tells which of two answers about an order is the newer one; a row an answer."""

ROUND = 250
"""Orders decoded and gathered at a time: their memory serves the next ones, and stays in the processor's cache."""


def flatten(orders: Iterable[bytes | str | RawOrder]) -> Frames:
    """The 18 tables of some orders in memory, with failures and notes.

    Takes the JSON of one order an item, as received. An order that comes twice is taken once: the newest answer.
    For more orders than memory holds, use `build`.
    """
    raws = [_raw(number, order) for number, order in enumerate(orders)]
    peeks = [peek(raw.body) for raw in raws]
    rows = [(seen.order_id, raw.fetched_at, seen.last_modified) for seen, raw in zip(peeks, raws, strict=True)]
    losers = superseded(pl.DataFrame(rows, schema=INDEX, orient="row"))
    taken = [raw for place, raw in enumerate(raws) if place not in losers]
    flattener = Flattener()
    parts = (flattener.flatten(taken[start : start + BATCH]) for start in range(0, len(taken), BATCH))
    return Frames.concat([Frames.of({}, notes=repeated(losers)), *parts])


def _raw(number: int, order: bytes | str | RawOrder) -> RawOrder:
    if isinstance(order, RawOrder):
        return order
    body = order.encode("utf-8", "surrogatepass") if isinstance(order, str) else order
    return RawOrder(body, None, None, "memory", f"item {number}")


def superseded(index: pl.DataFrame) -> dict[int, int]:
    """Places of the answers that a newer answer about the same order replaces, with the orders' ids.

    `index` has the columns of INDEX and a row an answer. Of each order wins the newest fetched_at, then the newest
    last_modified, then the later place. Answers without a readable id replace nothing.
    """
    frame = index.with_row_index("place")
    repeats = frame.filter(pl.col("order_id").is_not_null() & pl.col("order_id").is_duplicated())
    if repeats.is_empty():
        return {}
    modified = read(Kind.INSTANT, repeats["last_modified"].to_list()).column
    ranked = repeats.with_columns(last_modified=modified).sort("fetched_at", "last_modified", "place")
    losers = ranked.filter(pl.col("place") != pl.col("place").last().over("order_id")).sort("place")
    return dict(losers.select("place", "order_id").iter_rows())


def repeated(losers: Mapping[int, int]) -> list[Note]:
    """The note about orders that came more than once."""
    return [note("repeated_order", "$.orderId", len(losers), next(iter(losers.values())))] if losers else []


class Flattener:
    """Flattens batch after batch; what it learns about unknown fields in one batch makes the next one faster."""

    def __init__(self) -> None:
        self._decoder = OrderDecoder()

    def flatten(self, raws: Sequence[RawOrder], origins: dict[int, RawOrder] | None = None) -> Frames:
        """The tables of one batch, in which no order comes twice; `origins` is told where each order was read."""
        origins = {} if origins is None else origins
        batch = Batch(self._decoder, origins)
        with _no_collection():
            for start in range(0, len(raws), ROUND):
                batch.take(raws[start : start + ROUND])
            batch.make()
        refused = batch.refused()
        lost = set(refused)
        frames = Frames.of(batch.tables, [*batch.undecoded, *refused.values()], batch.notes(lost))
        return Frames(frames.without(lost), frames.failures, frames.notes) if lost else frames


@contextmanager
def _no_collection() -> Iterator[None]:
    """Spares the collector 50,000 objects that it would walk in vain, again and again: a tenth of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
