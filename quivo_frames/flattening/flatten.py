"""The JSON of orders -> 18 tables, failures and notes, in memory.

An order is in all of its tables or in none: a value that its column cannot hold makes the whole order a failure.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from os import PathLike

import polars as pl

from quivo_frames.display.text import type_with_article
from quivo_frames.errors import ConfigError
from quivo_frames.flattening.batch import OrderBatch
from quivo_frames.flattening.compiled import CompiledBatch
from quivo_frames.flattening.core_choice import compiled_core
from quivo_frames.flattening.decode import OrderDecoder, read_identity
from quivo_frames.flattening.latest import (
    find_orders_of_two_sellers,
    find_superseded_positions,
    make_identity_frame,
    note_repeated_orders,
)
from quivo_frames.model.frames import Frames, report_frame
from quivo_frames.model.records import Failure, RawOrder
from quivo_frames.model.tables import ORDER_ID, TABLES

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
        self.read_in_python = 0
        """How many orders the compiled core did not read."""

    def flatten_batch(self, raws: Sequence[RawOrder], origins: dict[int, RawOrder] | None = None) -> Frames:
        """The tables of one batch, in which no order comes twice; failures are sorted as the orders.

        `origins` receives, by order id, where each order was read: the RawOrder without its body.
        """
        origins = {} if origins is None else origins
        core = compiled_core()
        if core is None:
            return _merge_batches([self._flatten_in_python(list(enumerate(raws)), origins)])
        batch = CompiledBatch(core, raws, origins)
        if not batch.odd_places:
            return _merge_batches([batch])
        odd = self._flatten_in_python([(place, raws[place]) for place in batch.odd_places], origins)
        return _merge_batches([batch, odd])

    def _flatten_in_python(self, placed: Sequence[tuple[int, RawOrder]], origins: dict[int, RawOrder]) -> OrderBatch:
        self.read_in_python += len(placed)
        batch = OrderBatch(self._decoder, origins)
        with pause_garbage_collection():
            for start in range(0, len(placed), self._orders_per_round):
                batch.add_orders(placed[start : start + self._orders_per_round])
            batch.make_tables()
        return batch


def _merge_batches(batches: Sequence[CompiledBatch | OrderBatch]) -> Frames:
    """The tables of the orders that did not fail, with failures and notes, all sorted by the places of the orders."""
    places: dict[int, int] = {}
    tables: list[Mapping[str, pl.DataFrame]] = []
    failures: list[tuple[int, Failure]] = []
    notes: list[pl.DataFrame] = []
    for batch in batches:
        places |= batch.places
        failed = batch.find_failures()
        frames = Frames.of(batch.tables)
        tables.append(frames.without_orders(failed) if failed else frames)
        failures += batch.decode_failures
        failures += [(batch.places[order_id], failure) for order_id, failure in failed.items()]
        kept = [order_id for order_id in batch.places if order_id not in failed]
        notes.append(batch.findings.collect_notes(batch.tables, kept))
    merged = {name: _merge_by_place([some[name] for some in tables], places) for name in TABLES}
    in_order = [failure for _, failure in sorted(failures, key=itemgetter(0))]
    return Frames(merged, report_frame("failures", in_order), _merge_by_place(notes, places))


def _merge_by_place(parts: Sequence[pl.DataFrame], places: Mapping[int, int]) -> pl.DataFrame:
    filled = [part for part in parts if part.height] or parts[:1]
    if len(filled) == 1:
        return filled[0]
    numbered = pl.DataFrame({ORDER_ID.name: list(places), "place": list(places.values())})
    rows = pl.concat(filled).join(numbered, on=ORDER_ID.name, how="left", maintain_order="left")
    return rows.sort("place", maintain_order=True).drop("place")


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
