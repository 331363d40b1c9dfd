"""Reads the answers of orders in order of time and flattens them window by window, in flat memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

import polars as pl

from quivo_frames.flattening.flatten import ORDERS_PER_BATCH, Flattener
from quivo_frames.model.records import Failure, RawOrder
from quivo_frames.model.tables import ORDER_ID, TABLES

NUMBER = "$number"
"""The column with the number of the answer of a row, as a window may hold several answers of one order."""


class WindowLimits(NamedTuple):
    """How many answers are compared at a time: fewer pay fixed costs more often, more take memory without a gain."""

    answers: int = 4_000
    body_bytes: int = 32 * 2**20
    """A window ends with the answer that reaches this."""


class AnswerVersion(NamedTuple):
    """An answer, and when it was first and last seen: consecutive equal answers are one version."""

    raw: RawOrder
    first: datetime
    last: datetime


class UnreadableAnswer(NamedTuple):
    """An answer that the tables cannot hold: its number in the window, and why."""

    number: int
    table: str | None
    column: str | None
    path: str
    message: str


class AnswerWindow(NamedTuple):
    """Some versions of answers, their tables with the NUMBER of each row's answer, and the unreadable ones."""

    seen: list[AnswerVersion]
    tables: Mapping[str, pl.DataFrame]
    unreadable: list[UnreadableAnswer]
    begun: bool
    """Whether the first version was in the previous window too, and is repeated for comparison only."""


def distinct_versions(responses: Iterable[RawOrder]) -> Iterator[AnswerVersion]:
    """Merges consecutive equal responses of an order; responses come by order and time."""
    held: AnswerVersion | None = None
    for raw in responses:
        assert raw.fetched_at is not None  # archives always record it
        if held and (held.raw.order_id, held.raw.body) == (raw.order_id, raw.body):
            held = held._replace(last=raw.fetched_at)
            continue
        if held:
            yield held
        held = AnswerVersion(raw, raw.fetched_at, raw.fetched_at)
    if held:
        yield held


def flatten_in_windows(
    seen: Iterable[AnswerVersion],
    limits: WindowLimits = WindowLimits(),  # noqa: B008 - immutable
) -> Iterator[AnswerWindow]:
    """Flattens all versions; the last readable one of an order is repeated in the next window if the order goes on."""
    flattener = Flattener()
    last: AnswerVersion | None = None
    for chunk in _split_into_windows(seen, limits):
        begun = last is not None and last.raw.order_id == chunk[0].raw.order_id
        here = [last, *chunk] if last and begun else chunk
        tables, unreadable = _flatten_window(flattener, here)
        yield AnswerWindow(here, tables, unreadable, begun)
        lost = {one.number for one in unreadable}
        of_last = (n for n in range(len(here) - 1, -1, -1) if here[n].raw.order_id == here[-1].raw.order_id)
        last = next((here[n] for n in of_last if n not in lost), None)


def _split_into_windows(seen: Iterable[AnswerVersion], limits: WindowLimits) -> Iterator[list[AnswerVersion]]:
    chunk: list[AnswerVersion] = []
    size = 0
    for one in seen:
        chunk.append(one)
        size += len(one.raw.body)
        if len(chunk) == limits.answers or size >= limits.body_bytes:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _flatten_window(
    flattener: Flattener, seen: list[AnswerVersion]
) -> tuple[dict[str, pl.DataFrame], list[UnreadableAnswer]]:  # fmt: skip
    """The tables of all versions. A batch may hold an order only once, so the n-th versions are in the n-th batches."""
    batches: list[list[int]] = []
    place = 0
    for number, one in enumerate(seen):
        place = place + 1 if number and one.raw.order_id == seen[number - 1].raw.order_id else 0
        if place == len(batches):
            batches.append([])
        batches[place].append(number)
    parts: dict[str, list[pl.DataFrame]] = {name: [] for name in TABLES}
    unreadable = []
    for batch in (
        each[start : start + ORDERS_PER_BATCH] for each in batches for start in range(0, len(each), ORDERS_PER_BATCH)
    ):
        numbers = {seen[number].raw.order_id: number for number in batch}
        frames = flattener.flatten_batch([seen[number].raw for number in batch])
        lost = {row["order_id"]: Failure(**row) for row in frames.failures.iter_rows(named=True)}
        named = pl.DataFrame({ORDER_ID.name: list(numbers), NUMBER: list(numbers.values())}, schema=_NUMBERED)
        for name, frame in frames.items():
            parts[name].append(frame.join(named, on=ORDER_ID.name, how="inner", maintain_order="left"))
        there = set(parts["orders"][-1][NUMBER])
        for order_id, number in numbers.items():
            if number not in there:
                unreadable.append(_unreadable_because(number, order_id, lost.get(order_id)))
    return {name: pl.concat(frames) for name, frames in parts.items()}, unreadable


_NUMBERED = {ORDER_ID.name: ORDER_ID.dtype, NUMBER: pl.UInt32()}


def _unreadable_because(number: int, order_id: int | None, lost: Failure | None) -> UnreadableAnswer:
    if lost is None:
        message = f"Order {order_id}: the answer is about another order, so it cannot be compared. Refetch the order."
        return UnreadableAnswer(number, None, None, "$.orderId", message)
    return UnreadableAnswer(number, lost.table, lost.column, lost.path, lost.message)
