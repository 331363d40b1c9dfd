"""The JSON of orders -> 18 tables, failures and notes, in memory.

An order is in all of its tables or in none: a value that its column cannot hold makes the whole order a failure.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike

from quivo_frames.display.text import type_with_article
from quivo_frames.errors import ConfigError
from quivo_frames.flattening.batch import OrderBatch
from quivo_frames.flattening.decode import OrderDecoder, read_identity
from quivo_frames.flattening.latest import (
    find_orders_of_two_sellers,
    find_superseded_positions,
    make_identity_frame,
    note_repeated_orders,
)
from quivo_frames.model.frames import Frames
from quivo_frames.model.records import RawOrder

ORDERS_PER_BATCH = 2_000
"""Orders flattened at a time: fewer pay the fixed cost of a query too often, more take memory for nothing."""
ORDERS_PER_ROUND = 250
"""Orders decoded and collected at a time: the next ones reuse their memory, and it stays in the processor's cache."""


def flatten(orders: Iterable[bytes | str | RawOrder]) -> Frames:
    """The 18 tables of some orders in memory, with failures and notes.

    Takes the JSON of one order an item, as received. Of an order that comes more than once the newest answer is taken.
    For more orders than memory holds, use `build`.

    Raises:
        ConfigError: `orders` is not a list of JSON texts, such as a dict, one text, or a path.
    """
    if isinstance(orders, str | bytes | bytearray | PathLike | Mapping) or not isinstance(orders, Iterable):
        raise _wrong_type("got", orders, "[json.dumps(order)]")
    raws = [_to_raw_order(position, order) for position, order in enumerate(orders)]
    identities = make_identity_frame([(raw.fetched_at, read_identity(raw.body)) for raw in raws])
    superseded_positions = find_superseded_positions(identities)
    newest = [raw for position, raw in enumerate(raws) if position not in superseded_positions]
    flattener = Flattener()
    batches = (newest[start : start + ORDERS_PER_BATCH] for start in range(0, len(newest), ORDERS_PER_BATCH))
    of_two_sellers = find_orders_of_two_sellers(identities) if superseded_positions else []
    notes = Frames.of({}, notes=note_repeated_orders(superseded_positions, of_two_sellers))
    return Frames.concat([notes, *map(flattener.flatten_batch, batches)])


def _to_raw_order(position: int, order: bytes | str | RawOrder) -> RawOrder:
    if isinstance(order, RawOrder):
        return order
    if not isinstance(order, str | bytes):
        raise _wrong_type(f"item {position} is", order, "json.dumps(order)")
    body = order.encode("utf-8", "surrogatepass") if isinstance(order, str) else order
    return RawOrder(body, None, None, "memory", f"item {position}")


def _wrong_type(found: str, value: object, instead_of_dict: str) -> ConfigError:
    cure = "Give a list of texts or bytes."
    if isinstance(value, Mapping):
        cure = f"Give {instead_of_dict} or the bytes as received."
    elif isinstance(value, str | bytes | PathLike):
        cure = "Give [text] for the JSON of one order; for orders in a file or an archive, use build."
    return ConfigError(
        f"flatten takes the JSON texts of orders, one a list item; {found} {type_with_article(value)}. {cure}"
    )


class Flattener:
    """Flattens batch after batch; the unknown fields that it learns in one make the next ones faster."""

    def __init__(self, orders_per_round: int = ORDERS_PER_ROUND) -> None:
        self._decoder = OrderDecoder()
        self._orders_per_round = orders_per_round

    def flatten_batch(self, raws: Sequence[RawOrder], origins: dict[int, RawOrder] | None = None) -> Frames:
        """The tables of one batch, in which no order comes twice.

        `origins` receives, by order id, where each order was read: the RawOrder without its body.
        """
        batch = OrderBatch(self._decoder, {} if origins is None else origins)
        with pause_garbage_collection():
            for start in range(0, len(raws), self._orders_per_round):
                batch.add_orders(raws[start : start + self._orders_per_round])
            batch.make_tables()
        failures = batch.find_failures()
        failed_ids = set(failures)
        frames = Frames.of(batch.tables, [*batch.decode_failures, *failures.values()])
        tables = frames.without_orders(failed_ids) if failed_ids else frames
        return Frames(tables, frames.failures, batch.collect_notes(failed_ids))


@contextmanager
def pause_garbage_collection() -> Iterator[None]:
    """Keeps the garbage collector from walking all decoded orders again and again: saves a tenth of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
