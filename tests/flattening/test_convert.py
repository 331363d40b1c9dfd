"""Columns of JSON values become Series exactly; values that cannot be held are reported."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import msgspec
import polars as pl
import pytest

from quivo_frames.flattening.convert import ConvertedColumn, convert_column, convert_columns, pack_values, unpack_column
from quivo_frames.model.order import Kind
from quivo_frames.model.tables import DTYPES

INSTANTS = ["2026-03-05T14:48:12Z", "2026-03-05T14:48:12.123456+02:00", None]
COLUMNS: dict[str, tuple[Kind, list[Any]]] = {
    "text": (Kind.TEXT, ["a", "", None]),
    "id": (Kind.INT64, [1, 2**63 - 1, None]),
    "whole": (Kind.INT64, [2.0, 7, None]),
    "half": (Kind.INT64, [2.5, 2**63, 3]),
    "rank": (Kind.INT32, [2**31, -(2**31), None]),
    "flag": (Kind.FLAG, [True, False, None]),
    "measure": (Kind.MEASURE, [1, 0.1, None]),
    "instant": (Kind.INSTANT, INSTANTS),
    "naive": (Kind.INSTANT, ["2026-03-05T14:48:12", "2026-03-05", ""]),
    "nanoseconds": (Kind.INSTANT, ["2026-03-05T14:48:12.1234567Z", None, None]),
    "no instant": (Kind.INSTANT, ["soon", "2026-02-31T00:00:00Z", "2026-03-05T14:48:12Z"]),
    "year 0": (Kind.INSTANT, ["0000-01-01T00:00:00Z", "0001-01-01T00:00:00+02:00", "9999-12-31T23:59:59-01:00"]),
    "day": (Kind.DAY, ["2024-02-29", None, "0001-01-01"]),
    "odd day": (Kind.DAY, ["2026-03-05T01:00:00Z", "2026-02-29", "0000-01-01"]),
    "money": (Kind.MONEY, [msgspec.Raw(b"1.10"), msgspec.Raw(b"null"), msgspec.Raw()]),
    "odd money": (Kind.MONEY, [msgspec.Raw(b"1.00005"), msgspec.Raw(b"1e3"), msgspec.Raw(b'"1"')]),
    "large money": (Kind.MONEY, [msgspec.Raw(b"99999999999999.9999"), msgspec.Raw(b"1e15"), msgspec.Raw(b"1e999999999")]),
    "json": (Kind.JSON, [msgspec.Raw(b'{"a": 1.10}'), msgspec.Raw(b"null"), msgspec.Raw()]),
}  # fmt: skip


def read_together(columns: dict[str, tuple[Kind, list[Any]]], *, rounds: int = 1) -> dict[str, ConvertedColumn]:
    """Packed in several rounds, then unpacked and converted together, as a table is."""
    return convert_columns(
        {
            name: (kind, unpack_column(kind, [pack_values(kind, values[n::rounds]) for n in range(rounds)]))
            for name, (kind, values) in columns.items()
        }
    )


def test_values_packed_in_several_rounds_are_those_of_one() -> None:
    split = read_together(COLUMNS, rounds=3)
    whole = read_together(COLUMNS)
    for name in COLUMNS:
        assert split[name].values.to_list() == whole[name].values.to_list(), name
        assert split[name][1:] == whole[name][1:], name


def test_all_columns_of_a_table_are_read_as_each_alone() -> None:
    together = read_together(COLUMNS)
    assert list(together) == list(COLUMNS)
    for name, (kind, values) in COLUMNS.items():
        alone = convert_column(kind, values)
        assert together[name].values.to_list() == alone.values.to_list(), name
        assert together[name].values.dtype == alone.values.dtype == DTYPES[kind], name
        assert together[name][1:] == alone[1:], name


@pytest.mark.parametrize("kind", list(Kind))
def test_a_column_of_nothing_has_its_dtype(kind: Kind) -> None:
    nothing = [msgspec.Raw()] * 3 if kind in (Kind.MONEY, Kind.JSON) else [None] * 3
    for reading in (convert_column(kind, nothing), read_together({"x": (kind, nothing)})["x"]):
        assert reading.values.dtype == DTYPES[kind]
        assert reading.values.to_list() == [None, None, None]
        assert not reading.rejected
        assert not reading.noted


def test_bad_values_are_told_by_rule_with_their_places_and_are_null() -> None:
    reading = convert_column(Kind.INT64, [1, 2.5, None, 2**63, 3.0, -0.5])
    assert reading.values.to_list() == [1, None, None, None, 3, None]
    assert reading.rejected == {"not_whole": [1, 5], "out_of_range": [3]}
    money = [msgspec.Raw(text) for text in (b"1", b'"1"', b"1e15", b"true", b"[]")]
    assert convert_column(Kind.MONEY, money).rejected == {"wrong_type": [1, 3, 4], "out_of_range": [2]}
    assert convert_column(Kind.INSTANT, ["x", "2026-01-01T00:00:00Z", "y"]).rejected == {"not_an_instant": [0, 2]}


def test_decisions_are_told_by_kind_with_their_places() -> None:
    reading = convert_column(Kind.INSTANT, ["2026-01-01", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.1234567", ""])
    assert reading.noted == {
        "digits_past_microseconds": [2],
        "no_time_zone": [2],
        "day_for_instant": [0],
        "empty_text": [3],
    }
    assert reading.values[2] == datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)


def test_random_money_is_what_decimal_arithmetic_says() -> None:
    dice = random.Random(1)
    texts = [
        f"{dice.choice(['', '-'])}{dice.randrange(10 ** dice.randrange(1, 15))}.{dice.randrange(10**6):0{dice.randrange(1, 9)}d}"
        for _ in range(3000)
    ]
    texts += [f"{dice.randrange(1, 10**6)}e{dice.randrange(-12, 7)}" for _ in range(500)]
    reading = convert_column(Kind.MONEY, [msgspec.Raw(text.encode()) for text in texts])
    wanted = [Decimal(text).quantize(Decimal("0.0001"), rounding=ROUND_HALF_EVEN) for text in texts]
    assert reading.values.to_list() == wanted
    changed = [place for place, text in enumerate(texts) if Decimal(text) != wanted[place]]
    assert reading.noted == {"rounded_money": changed}
    assert not reading.rejected


def test_random_instants_are_what_the_standard_library_says() -> None:
    dice = random.Random(2)
    texts = []
    for _ in range(2000):
        moment = datetime.fromtimestamp(dice.randrange(-(10**10), 10**10), UTC)
        fraction = f".{dice.randrange(10**6):06d}" if dice.random() < 0.5 else ""
        hours, minutes = dice.randrange(0, 15), dice.choice([0, 15, 30, 45])
        zone = dice.choice(["Z", f"+{hours:02}:{minutes:02}", f"-{hours:02}{minutes:02}", f"+{hours:02}"])
        texts.append(f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}{zone}".rjust(20, "0"))
    reading = convert_column(Kind.INSTANT, texts)
    wanted = [datetime.fromisoformat(text).astimezone(UTC) for text in texts]
    assert not reading.rejected
    assert reading.noted == {"placeholder_date": [place for place, read in enumerate(wanted) if read.year < 1902]}
    assert reading.values.to_list() == wanted


def test_days_are_read_alone_and_out_of_timestamps() -> None:
    reading = convert_column(Kind.DAY, ["2026-03-05", "2026-03-05T23:59:59.5+01:00", None])
    assert reading.values.to_list() == [date(2026, 3, 5), date(2026, 3, 5), None]
    assert reading.noted == {"instant_for_day": [1]}


def test_free_form_text_stays_as_it_was_written() -> None:
    raws = [msgspec.Raw(text) for text in (b'{ "a" : 1.10 }', b'"null"', b"[1,\t2]", b"null", '"é😀"'.encode())]
    assert convert_column(Kind.JSON, raws).values.to_list() == ['{ "a" : 1.10 }', '"null"', "[1,\t2]", None, '"é😀"']


def test_a_number_of_a_measure_may_be_whole() -> None:
    column = convert_column(Kind.MEASURE, [3, 0.1, None]).values
    assert column.dtype == pl.Float64
    assert column.to_list() == [3.0, 0.1, None]
