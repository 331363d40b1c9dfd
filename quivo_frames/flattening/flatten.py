"""Verb: orders as bytes -> 18 tables, failures and notes. No I/O. Floor 5.

Orders are whole: a value that its column cannot hold makes the order a failure and takes it out of every table.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from quivo_frames.flattening.batch import OrderBatch
from quivo_frames.flattening.decode import OrderDecoder, read_identity
from quivo_frames.flattening.latest import find_superseded_positions, make_identity_frame, note_repeated_orders
from quivo_frames.model.frames import Frames
from quivo_frames.model.records import RawOrder

ORDERS_PER_BATCH = 2_000
"""Orders flattened at a time: fewer pay the fixed cost of a query too often, more take memory for nothing."""

ORDERS_PER_ROUND = 250
"""Orders decoded and gathered at a time: their memory serves the next ones, and stays in the processor's cache."""


def flatten(orders: Iterable[bytes | str | RawOrder]) -> Frames:
    """The 18 tables of some orders in memory, with failures and notes.

    Takes the JSON of one order an item, as received. An order that comes twice is taken once: the newest answer.
    For more orders than memory holds, use `build`.
    """
    raws = [_to_raw_order(number, order) for number, order in enumerate(orders)]
    peeks = [read_identity(raw.body) for raw in raws]
    rows = [(seen.order_id, raw.fetched_at, seen.last_modified) for seen, raw in zip(peeks, raws, strict=True)]
    losers = find_superseded_positions(make_identity_frame(rows))
    taken = [raw for place, raw in enumerate(raws) if place not in losers]
    flattener = Flattener()
    parts = (flattener.flatten_batch(taken[start : start + ORDERS_PER_BATCH]) for start in range(0, len(taken), ORDERS_PER_BATCH))
    return Frames.concat([Frames.of({}, notes=note_repeated_orders(losers)), *parts])


def _to_raw_order(number: int, order: bytes | str | RawOrder) -> RawOrder:
    if isinstance(order, RawOrder):
        return order
    body = order.encode("utf-8", "surrogatepass") if isinstance(order, str) else order
    return RawOrder(body, None, None, "memory", f"item {number}")


class Flattener:
    """Flattens batch after batch; what it learns about unknown fields in one batch makes the next one faster."""

    def __init__(self) -> None:
        self._decoder = OrderDecoder()

    def flatten_batch(self, raws: Sequence[RawOrder], origins: dict[int, RawOrder] | None = None) -> Frames:
        """The tables of one batch, in which no order comes twice; `origins` is told where each order was read."""
        origins = {} if origins is None else origins
        batch = OrderBatch(self._decoder, origins)
        with pause_garbage_collection():
            for start in range(0, len(raws), ORDERS_PER_ROUND):
                batch.add_orders(raws[start : start + ORDERS_PER_ROUND])
            batch.make_tables()
        refused = batch.find_failures()
        lost = set(refused)
        frames = Frames.of(batch.tables, [*batch.decode_failures, *refused.values()])
        return Frames(frames.without_orders(lost) if lost else frames, frames.failures, batch.collect_notes(lost))


@contextmanager
def pause_garbage_collection() -> Iterator[None]:
    """Spares the garbage collector the orders that it would walk in vain, again and again: a tenth of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
