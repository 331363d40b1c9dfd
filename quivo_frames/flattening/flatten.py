"""Verb: orders as bytes -> 18 tables, failures and notes. No I/O. Floor 5.

Orders are whole: a value that its column cannot hold makes the order a failure and takes it out of every table.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from quivo_frames.flattening.batch import Batch
from quivo_frames.flattening.decode import OrderDecoder, peek
from quivo_frames.flattening.latest import indexed, repeated, superseded
from quivo_frames.model.frames import Frames
from quivo_frames.model.records import RawOrder

BATCH = 2_000
"""Orders flattened at a time: fewer pay the fixed cost of a query too often, more take memory for nothing."""

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
    losers = superseded(indexed(rows))
    taken = [raw for place, raw in enumerate(raws) if place not in losers]
    flattener = Flattener()
    parts = (flattener.flatten(taken[start : start + BATCH]) for start in range(0, len(taken), BATCH))
    return Frames.concat([Frames.of({}, notes=repeated(losers)), *parts])


def _raw(number: int, order: bytes | str | RawOrder) -> RawOrder:
    if isinstance(order, RawOrder):
        return order
    body = order.encode("utf-8", "surrogatepass") if isinstance(order, str) else order
    return RawOrder(body, None, None, "memory", f"item {number}")


class Flattener:
    """Flattens batch after batch; what it learns about unknown fields in one batch makes the next one faster."""

    def __init__(self) -> None:
        self._decoder = OrderDecoder()

    def flatten(self, raws: Sequence[RawOrder], origins: dict[int, RawOrder] | None = None) -> Frames:
        """The tables of one batch, in which no order comes twice; `origins` is told where each order was read."""
        origins = {} if origins is None else origins
        batch = Batch(self._decoder, origins)
        with without_collection():
            for start in range(0, len(raws), ROUND):
                batch.take(raws[start : start + ROUND])
            batch.make()
        refused = batch.refused()
        lost = set(refused)
        frames = Frames.of(batch.tables, [*batch.undecoded, *refused.values()])
        return Frames(frames.without(lost) if lost else frames, frames.failures, batch.noticed(lost))


@contextmanager
def without_collection() -> Iterator[None]:
    """Spares the garbage collector the orders that it would walk in vain, again and again: a tenth of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
