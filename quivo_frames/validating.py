"""Verb: tables -> the orders whose rows break a rule. Only here: pandera. Floor 3.

Schemas are strict: exact columns in exact order, exact dtypes, nothing converted. They are checked on eager frames,
since on lazy ones pandera looks at the schema alone.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaErrors

from quivo_frames.errors import Failure
from quivo_frames.frames import Frames
from quivo_frames.response import RawOrder
from quivo_frames.tables import TABLES, Column, Table, table
from quivo_frames.wording import failure

_VALUE_TYPES = ["string", "number", "boolean", "null", "object", "array"]


@functools.cache
def schema(name: str) -> pa.DataFrameSchema:
    """The pandera schema of a table, for one's own frames: `qf.schema("shipments").validate(frame)`.

    Give it eager frames: on a LazyFrame pandera checks dtypes only. With `lazy=True` it tells all errors at once; its
    messages show values of the frame, which may be personal data.

    Raises:
        ConfigError: there is no such table.
    """
    described = table(name)
    return _schema(described, described.columns)


@functools.cache
def _asking(name: str) -> pa.DataFrameSchema:
    """The part of a schema that asks for more than dtypes: these are compared for all columns at once.

    Pandera takes 0.3 ms for a column, whatever it asks; that is as much as flattening 1,000 orders takes for it.
    """
    described = table(name)
    return _schema(described, [column for column in described.columns if column.required or _checks(column)])


def _schema(described: Table, columns: Iterable[Column]) -> pa.DataFrameSchema:
    made = {
        column.name: pa.Column(
            column.dtype,
            checks=_checks(column),
            nullable=not column.required,
            unique=column.name == described.key,
            description=column.sentence,
        )
        for column in columns
    }
    return pa.DataFrameSchema(made, strict=True, ordered=True, coerce=False, name=described.name)


def _checks(column: Column) -> list[pa.Check]:
    if column.name in ("ordinal", "depth") and not column.path:
        return [pa.Check.ge(0, error="0 or more")]
    if column.name == "value_type":
        return [pa.Check.isin(_VALUE_TYPES, error=f"one of {', '.join(_VALUE_TYPES)}")]
    return []


class Violation(NamedTuple):
    """A value that breaks a rule: its table, row, column and rule, and what the rule expects."""

    table: Table
    row: int
    column: Column
    rule: str
    expected: str


def violations(frames: Mapping[str, pl.DataFrame]) -> Iterator[Violation]:
    """Every value that breaks a rule: of its own table first, then the references between tables.

    Raises:
        SchemaErrors: a table has other columns or dtypes than it must.
    """
    for described in TABLES.values():
        yield from _own_violations(described, frames[described.name])
    for described in TABLES.values():
        frame = frames[described.name]
        for column, to_table, to_column in described.references:
            values = frame[column]
            missing = ~(values.is_in(frames[to_table][to_column].implode()) | values.is_null())
            if missing.any():
                for row in missing.arg_true().to_list():
                    yield Violation(described, row, described.column(column), "reference", to_table)


def _own_violations(described: Table, frame: pl.DataFrame) -> Iterator[Violation]:
    if list(frame.schema.items()) != list(described.schema.items()):
        schema(described.name).validate(frame, lazy=True)
    asking = _asking(described.name)
    try:
        asking.validate(frame.select(*asking.columns), lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
        if cases["index"].null_count():  # not a value but the shape of the frame
            raise
        for column, check, row in cases.select("column", "check", "index").iter_rows():
            rule = {"not_nullable": "required", "field_uniqueness": "unique"}.get(check, "allowed")
            yield Violation(described, row, described.column(column), rule, check if rule == "allowed" else "")


def validate(frames: Frames, origins: Mapping[int, RawOrder]) -> Frames:
    """The same tables without the orders that break a rule; each of these is a failure.

    `origins` tells where each order was read. Orders leave as a whole, so that references stay whole.
    """
    found: dict[int, Failure] = {}
    for described, row, column, rule, expected in violations(frames):
        rows = frames[described.name]
        order_id = rows["order_id"][row]
        if order_id in found:
            continue
        if order_id not in origins:  # a fault of this package, and no order to blame for it
            raise AssertionError(f"{described.name} has a row of order {order_id}, which was not read")
        key, got = rows[described.key][row], rows[column.name][row]
        path = described.json_path(column, key)
        found[order_id] = failure(
            origins[order_id], "validate", rule, path,
            order_id=order_id, column=(described, column), expected=expected, got=got,
        )  # fmt: skip
    if not found:
        return frames
    failures = Frames.of({}, found.values()).failures
    return Frames(frames.without(found), pl.concat([frames.failures, failures]), frames.notes)
