"""The quick check says of every frame what pandera says, which is asked only where it says no."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable

import polars as pl
import pytest
from pandera.errors import SchemaErrors

from quivo_frames.flattening.flatten import flatten
from quivo_frames.flattening.validate import find_violations, passes_quick_check, schema
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import order_json
from tests.support.depth import IS_DEEP, sampled
from tests.support.paths import ROOT

GOOD = flatten([order_json(number) for number in range(1, 61)])
DRAWS = 60 if IS_DEEP else 6
Damage = Callable[[pl.DataFrame, random.Random], pl.DataFrame]


def set_cell(frame: pl.DataFrame, column: str, chance: random.Random, value: object) -> pl.DataFrame:
    """The frame with another value in some rows of a column."""
    rows = chance.sample(range(frame.height), min(frame.height, chance.choice([1, 1, 2])))
    changed = pl.Series(column, [value if at in rows else old for at, old in enumerate(frame[column])], strict=False)
    return frame.with_columns(changed.cast(frame.schema[column], strict=False))


def forget_value(frame: pl.DataFrame, chance: random.Random) -> pl.DataFrame:
    return set_cell(frame, chance.choice(frame.columns), chance, None)


def forget_required(frame: pl.DataFrame, chance: random.Random) -> pl.DataFrame:
    described = next(table for table in TABLES.values() if table.columns[0].name == frame.columns[0])
    return set_cell(frame, chance.choice([c.name for c in described.columns if c.required]), chance, None)


def repeat_value(frame: pl.DataFrame, chance: random.Random) -> pl.DataFrame:
    column = chance.choice([frame.columns[0], chance.choice(frame.columns)])
    return set_cell(frame, column, chance, frame[column][-1] if frame.height else None)


def repeat_rows(frame: pl.DataFrame, chance: random.Random) -> pl.DataFrame:
    return pl.concat([frame, frame.sample(min(2, frame.height), seed=chance.randrange(99))])


def strange_number(frame: pl.DataFrame, chance: random.Random) -> pl.DataFrame:
    numbers = [name for name, dtype in frame.schema.items() if dtype.is_numeric()]
    column = chance.choice([*numbers, *(name for name in ("ordinal", "depth") if name in numbers)])
    values = [0, -1, -(2**62), 2**62] if frame.schema[column].is_integer() else [0, -1, float("nan"), float("inf")]
    return set_cell(frame, column, chance, chance.choice(values))


def strange_text(frame: pl.DataFrame, chance: random.Random) -> pl.DataFrame:
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    column = chance.choice([*texts, *(["value_type"] * 9 if "value_type" in texts else [])])
    return set_cell(frame, column, chance, chance.choice(["", "String", "string ", "null", "array", "date", "\x00"]))


def other_dtype(frame: pl.DataFrame, chance: random.Random) -> pl.DataFrame:
    column = chance.choice(frame.columns)
    others = {
        pl.Int64: [pl.Int32, pl.UInt64, pl.Float64, pl.String], pl.String: [pl.Categorical, pl.Binary],
        pl.Float64: [pl.Float32], pl.Boolean: [pl.Int8, pl.String], pl.Date: [pl.Datetime("us"), pl.String],
        pl.Datetime: [pl.Datetime("us"), pl.Datetime("ns", "UTC"), pl.Datetime("us", "Europe/Vienna")],
        pl.Decimal: [pl.Decimal(18, 2), pl.Decimal(38, 4), pl.Float64],
    }  # fmt: skip
    dtype = chance.choice(others.get(frame.schema[column].base_type(), [pl.String]))
    return frame.with_columns(pl.col(column).cast(dtype, strict=False))


def other_shape(frame: pl.DataFrame, chance: random.Random) -> pl.DataFrame:
    column = chance.choice(frame.columns)
    return chance.choice([
        frame.drop(column),
        frame.with_columns(extra=pl.lit(1)),
        frame.rename({column: f"{column}_"}),
        frame.select(sorted(frame.columns)),
        frame.select([*frame.columns[1:], frame.columns[0]]),
    ])  # fmt: skip


VALUES: list[Damage] = [
    forget_value, forget_required, repeat_value, repeat_rows, strange_number, strange_text,
]  # fmt: skip
SHAPES: list[Damage] = [other_dtype, other_shape]
STARTS: list[Damage] = [
    lambda frame, _: frame, lambda frame, _: frame[:8], lambda frame, _: frame[:1], lambda frame, _: frame.clear(),
]  # fmt: skip


def satisfies_pandera(name: str, frame: pl.DataFrame) -> bool:
    try:
        schema(name).validate(frame, lazy=True)
    except SchemaErrors:
        return False
    return True


@pytest.mark.drawn
@pytest.mark.parametrize("name", TABLES)
def test_the_quick_check_says_what_pandera_says(name: str) -> None:
    chance = random.Random(name)
    said = []
    for draw in range(DRAWS):
        frame = chance.choice(STARTS)(GOOD[name], chance)
        for damage in chance.choices(VALUES, k=chance.choice([0, 1, 1, 2])) if draw else [forget_required]:
            frame = damage(frame, chance)
        if chance.random() < 0.2:
            frame = chance.choice(SHAPES)(frame, chance)
        passes = passes_quick_check(TABLES[name], frame)
        assert passes == satisfies_pandera(name, frame), frame
        said.append(passes)
    assert len(set(said)) == 2 or not IS_DEEP  # or nothing was compared


@pytest.mark.long
@pytest.mark.parametrize("name", TABLES)
def test_each_rule_is_one_of_the_quick_check_as_of_pandera(name: str) -> None:
    chance, table, frame = random.Random(0), TABLES[name], GOOD[name][:8]
    assert passes_quick_check(table, frame)
    assert passes_quick_check(table, frame.clear())
    cases = [(column.name, None) for column in table.columns]
    cases += [(table.key, frame[table.key][0]), *((each, -1) for each in ("ordinal", "depth") if each in frame.columns)]
    cases += [("value_type", "date")] if name == "custom_attributes" else []
    for column, value in cases:
        changed = set_cell(pl.concat([frame[:1], frame]) if value == frame[column][0] else frame, column, chance, value)
        assert passes_quick_check(table, changed) == satisfies_pandera(name, changed), (column, value)
        if not passes_quick_check(table, changed):
            assert any(found.table is table for found in find_violations({**GOOD, name: changed})), (column, value)


@pytest.mark.drawn
def test_references_are_compared_as_sets_of_python_compare_them() -> None:
    chance = random.Random(5)
    references = [(table, reference) for table in TABLES.values() for reference in table.references]
    for table, reference in sampled(references):
        for draw in range(max(3, DRAWS // 3)):
            frames = dict(GOOD)
            parents = GOOD[reference.to_table]
            if draw % 3 == 0:
                keys = parents[reference.to_column].sample(2, seed=draw)
                frames[reference.to_table] = parents.filter(~pl.col(reference.to_column).is_in(keys.implode()))
            elif draw % 3 == 1:
                frames[reference.to_table] = set_cell(parents, reference.to_column, chance, None)
            else:
                value = chance.choice([None, 7, "7/7"])
                frames[table.name] = set_cell(GOOD[table.name], reference.column, chance, value)
            known = set(frames[reference.to_table][reference.to_column])
            lost = [
                at
                for at, key in enumerate(frames[table.name][reference.column])
                if key is not None and key not in known
            ]
            found = [
                violation.row
                for violation in find_violations(frames)
                if (violation.table, violation.column.name, violation.rule, violation.expected)
                == (table, reference.column, "reference", reference.to_table)
            ]
            assert found == lost


@pytest.mark.long
def test_pandera_is_loaded_only_for_a_table_that_breaks_a_rule() -> None:
    code = """
import sys, polars as pl
from quivo_frames.flattening.flatten import flatten
from quivo_frames.flattening.validate import validate_frames, find_violations
from quivo_frames.standin.orders import order_json
frames = flatten([order_json(number) for number in range(1, 21)])
assert validate_frames(frames, {}) is frames
print("pandera" in sys.modules, "pydantic" in sys.modules)
broken = {**frames, "shipments": frames.shipments.with_columns(ordinal=pl.lit(-1, pl.Int64))}
print({found.rule for found in find_violations(broken)}, "pandera" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "False False\n{'allowed'} True\n"
