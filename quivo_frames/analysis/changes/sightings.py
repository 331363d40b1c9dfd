"""Noun: the answers of orders in order of time, flattened window by window, each in the tables under a number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

import polars as pl

from quivo_frames.flattening.flatten import BATCH, Flattener
from quivo_frames.model.records import Failure, RawOrder
from quivo_frames.model.tables import ORDER_ID, TABLES

NUMBER = "$number"
"""The column that tells whose answer a row is of, for a window may hold many answers of one order."""
WINDOW = 4_000
"""Answers that are compared at a time: fewer pay the fixed costs too often, more take memory for nothing."""
WINDOW_BYTES = 32 * 2**20
"""Their bytes at the most, but for one answer."""


class Sighting(NamedTuple):
    """An answer, and when it was last seen so: equal answers one after the other are one."""

    raw: RawOrder
    first: datetime
    last: datetime


class Unreadable(NamedTuple):
    """An answer that the tables cannot hold, by its number in the window, and why."""

    number: int
    table: str | None
    column: str | None
    path: str
    message: str


class Window(NamedTuple):
    """Some sightings, their tables with a NUMBER beside each row, and those that are in no table."""

    seen: list[Sighting]
    tables: Mapping[str, pl.DataFrame]
    unreadable: list[Unreadable]
    begun: bool
    """Whether the first one was in the window before, too, and is there for the next to be compared with."""


def sighted(responses: Iterable[RawOrder]) -> Iterator[Sighting]:
    """Responses by order and time, equal ones one after the other taken together."""
    held: Sighting | None = None
    for raw in responses:
        assert raw.fetched_at is not None  # an archive knows
        if held and (held.raw.order_id, held.raw.body) == (raw.order_id, raw.body):
            held = held._replace(last=raw.fetched_at)
            continue
        if held:
            yield held
        held = Sighting(raw, raw.fetched_at, raw.fetched_at)
    if held:
        yield held


def windows(seen: Iterable[Sighting]) -> Iterator[Window]:
    """All sightings, flattened, in flat memory; the last readable one of an order may begin the next window as well."""
    flattener = Flattener()
    last: Sighting | None = None
    for chunk in _chunks(seen):
        begun = last is not None and last.raw.order_id == chunk[0].raw.order_id
        here = [last, *chunk] if last and begun else chunk
        tables, unreadable = _flattened(flattener, here)
        yield Window(here, tables, unreadable, begun)
        lost = {one.number for one in unreadable}
        of_last = (n for n in range(len(here) - 1, -1, -1) if here[n].raw.order_id == here[-1].raw.order_id)
        last = next((here[n] for n in of_last if n not in lost), None)


def _chunks(seen: Iterable[Sighting]) -> Iterator[list[Sighting]]:
    chunk: list[Sighting] = []
    size = 0
    for one in seen:
        chunk.append(one)
        size += len(one.raw.body)
        if len(chunk) == WINDOW or size >= WINDOW_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _flattened(
    flattener: Flattener, seen: list[Sighting]
) -> tuple[dict[str, pl.DataFrame], list[Unreadable]]:  # fmt: skip
    """The tables of all sightings; a batch holds each order once, so the second ones of orders are in the second."""
    batches: list[list[int]] = []
    place = 0
    for number, one in enumerate(seen):
        place = place + 1 if number and one.raw.order_id == seen[number - 1].raw.order_id else 0
        if place == len(batches):
            batches.append([])
        batches[place].append(number)
    parts: dict[str, list[pl.DataFrame]] = {name: [] for name in TABLES}
    unreadable = []
    for batch in (each[start : start + BATCH] for each in batches for start in range(0, len(each), BATCH)):
        numbers = {seen[number].raw.order_id: number for number in batch}
        frames = flattener.flatten([seen[number].raw for number in batch])
        lost = {row["order_id"]: Failure(**row) for row in frames.failures.iter_rows(named=True)}
        named = pl.DataFrame({ORDER_ID.name: list(numbers), NUMBER: list(numbers.values())}, schema=_NUMBERED)
        for name, frame in frames.items():
            parts[name].append(frame.join(named, on=ORDER_ID.name, how="inner", maintain_order="left"))
        there = set(parts["orders"][-1][NUMBER])
        for order_id, number in numbers.items():
            if number not in there:
                unreadable.append(_why(number, order_id, lost.get(order_id)))
    return {name: pl.concat(frames) for name, frames in parts.items()}, unreadable


_NUMBERED = {ORDER_ID.name: ORDER_ID.dtype, NUMBER: pl.UInt32()}


def _why(number: int, order_id: int | None, lost: Failure | None) -> Unreadable:
    if lost is None:
        message = f"Order {order_id}: the answer is about another order, so it cannot be compared. Refetch the order."
        return Unreadable(number, None, None, "$.orderId", message)
    return Unreadable(number, lost.table, lost.column, lost.path, lost.message)
