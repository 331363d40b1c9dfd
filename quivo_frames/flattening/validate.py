"""Verb: tables -> the orders whose rows break a rule. Only here: pandera. Floor 3.

Schemas are strict: exact columns in exact order, exact dtypes, nothing converted. They are checked on eager frames,
since on lazy ones pandera looks at the schema alone.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaError, SchemaErrors

from quivo_frames.model.frames import Frames
from quivo_frames.model.messages import describe_failure
from quivo_frames.model.records import Failure, RawOrder
from quivo_frames.model.tables import TABLES, Column, Table, table_named

_VALUE_TYPES = ["string", "number", "boolean", "null", "object", "array"]


@functools.cache
def schema(name: str) -> pa.DataFrameSchema:
    """The pandera schema of a table, for one's own frames: `qf.schema("shipments").validate(frame)`.

    Give it eager frames: on a LazyFrame pandera checks dtypes only. With `lazy=True` it tells all errors at once; its
    messages show values of the frame, which may be personal data.

    Raises:
        ConfigError: there is no such table.
    """
    columns = {
        column.name: pa.Column(
            column.dtype,
            checks=[limit[0]] if (limit := _value_limit(column)) else [],
            nullable=not column.required,
            unique=column.name == table_named(name).key,
            description=column.sentence,
        )
        for column in table_named(name).columns
    }
    return pa.DataFrameSchema(columns, strict=True, ordered=True, coerce=False, name=name)


def _value_limit(column: Column) -> tuple[pa.Check, pl.Expr] | None:
    """What the values of a column are limited to: as a check of pandera, and as an expression."""
    value = pl.col(column.name)
    if column.name in ("ordinal", "depth") and not column.path:
        return pa.Check.ge(0, error="0 or more"), value >= 0
    if column.name == "value_type":
        return pa.Check.isin(_VALUE_TYPES, error=f"one of {', '.join(_VALUE_TYPES)}"), value.is_in(_VALUE_TYPES)
    return None


@functools.cache
def _quick_schema(name: str) -> pa.DataFrameSchema:
    """All that the schema of a table asks of its values, as one check that tells yes or no.

    Pandera takes 1.5 ms for each column it asks something of, as long as 20 orders take; a yes takes it once.
    """
    asked = [pl.col(column.name).is_not_null() for column in table_named(name).columns if column.required]
    asked += [limit[1] for column in table_named(name).columns if (limit := _value_limit(column))]
    asked.append(pl.col(table_named(name).key).is_unique())
    return pa.DataFrameSchema(
        checks=[pa.Check(lambda data: data.lazyframe.select(pl.all_horizontal(asked)))], name=name
    )


class Violation(NamedTuple):
    """A value that breaks a rule: its table, row, column and rule, and what the rule expects."""

    table: Table
    row: int
    column: Column
    rule: str
    expected: str


def find_violations(frames: Mapping[str, pl.DataFrame]) -> Iterator[Violation]:
    """Every value that breaks a rule: of its own table first, then the references between tables.

    Raises:
        SchemaErrors: a table has other columns or dtypes than it must.
    """
    for described in TABLES.values():
        yield from _find_violations_within(described, frames[described.name])
    for described in TABLES.values():
        frame = frames[described.name]
        for column, to_table, to_column in described.references:
            values = frame[column]
            missing = ~(values.is_in(frames[to_table][to_column].implode()) | values.is_null())
            if missing.any():
                for row in missing.arg_true().to_list():
                    yield Violation(described, row, described.column(column), "reference", to_table)


def _find_violations_within(described: Table, frame: pl.DataFrame) -> Iterator[Violation]:
    try:
        if list(frame.schema.items()) == list(described.schema.items()) and _passes_quick_check(described, frame):
            return
        schema(described.name).validate(frame, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
        if cases["index"].null_count():  # not a value but the shape of the frame
            raise
        for column, check, row in cases.select("column", "check", "index").iter_rows():
            rule = {"not_nullable": "required", "field_uniqueness": "unique"}.get(check, "allowed")
            yield Violation(described, row, described.column(column), rule, check if rule == "allowed" else "")


def _passes_quick_check(described: Table, frame: pl.DataFrame) -> bool:
    try:
        _quick_schema(described.name).validate(frame)
    except SchemaError:
        return False
    return True


def validate_frames(frames: Frames, origins: Mapping[int, RawOrder]) -> Frames:
    """The same tables without the orders that break a rule; each of these is a failure.

    `origins` tells where each order was read. Orders leave as a whole, so that references stay whole.
    """
    found: dict[int, Failure] = {}
    for described, row, column, rule, expected in find_violations(frames):
        rows = frames[described.name]
        order_id = rows["order_id"][row]
        if order_id in found:
            continue
        if order_id not in origins:  # a fault of this package, and no order to blame for it
            raise AssertionError(f"{described.name} has a row of order {order_id}, which was not read")
        key, got = rows[described.key][row], rows[column.name][row]
        path = described.json_path(column, key)
        found[order_id] = describe_failure(
            origins[order_id], "validate", rule, path,
            order_id=order_id, column=(described, column), expected=expected, got=got,
        )  # fmt: skip
    if not found:
        return frames
    failures = Frames.of({}, found.values()).failures
    return Frames(frames.without_orders(found), pl.concat([frames.failures, failures]), frames.order_notes)
