"""Verb: a column of wire values -> a polars Series of its dtype, exactly, or told which values it cannot hold. Floor 2.

Values are packed while they are in the processor's cache, a few hundred at a time, and read by whole columns. The usual
case is one vectorised step and one comparison; values that are not usual are looked at one by one, so that the decision
about each is written in plain Python.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, NamedTuple, cast

import polars as pl

from quivo_frames.model.order import Kind
from quivo_frames.model.tables import DTYPES


class ConvertedColumn(NamedTuple):
    """The column, the places whose values it cannot hold (by rule), and the places that needed a decision (by kind)."""

    values: pl.Series
    rejected: dict[str, list[int]]
    noted: dict[str, list[int]]


_SECONDS = r"^\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\d"
_ZONE = r"(Z|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)"
_INSTANT = rf"{_SECONDS}(\.\d{{1,6}})?{_ZONE}$"
_LONG_FRACTION = rf"{_SECONDS}\.\d{{7,9}}{_ZONE}?$"
_NAIVE = rf"{_SECONDS}(\.\d{{1,9}})?$"
_DAY = r"^\d{4}-\d\d-\d\d$"
_YEAR = r"(000[1-9]|00[1-9]\d|0[1-9]\d\d|[1-9]\d{3})"
_USUAL_FORMS = {
    Kind.INSTANT: rf"^{_YEAR}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ$",
    Kind.DAY: rf"^{_YEAR}-\d\d-\d\d$",
    Kind.MONEY: r"^-?\d{1,14}(\.\d{1,4})?$",
}
_RAW_KINDS = (Kind.MONEY, Kind.JSON)
_PARSED_KINDS = (*_RAW_KINDS, Kind.INSTANT, Kind.DAY)
_PACKED_DTYPES = {Kind.INSTANT: pl.String(), Kind.DAY: pl.String()}
_MISSING_TEXTS = ["", "null"]
"""A raw JSON value that is missing, or null."""
_FIRST_INSTANT, _LAST_INSTANT = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
_FOUR_DECIMALS = Decimal("0.0001")
_SEPARATOR = b"\x1e"  # JSON text cannot hold it


PackedValues = pl.Series | str
"""Some wire values of one column; raw JSON values as one text."""


def pack_values(kind: Kind, values: Sequence[Any]) -> PackedValues:
    """Some wire values of a column, exactly, in the form that takes the least time to make and to keep."""
    if kind in _RAW_KINDS:
        return _SEPARATOR.join(values).decode()  # a sixth of the time of a text per value
    try:
        return pl.Series(values, dtype=_PACKED_DTYPES.get(kind, DTYPES[kind]), strict=True)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):  # numbers that may be no integers
        return pl.Series([None if value is None else repr(value) for value in values], dtype=pl.String)


def unpack_column(kind: Kind, packed: Sequence[PackedValues]) -> pl.Series:
    """The wire values of a column: texts, or values of its dtype; "" and "null" where a raw JSON value is missing."""
    if kind in _RAW_KINDS:
        separator = _SEPARATOR.decode()
        joined = pl.Series([separator.join(cast("Sequence[str]", packed))], dtype=pl.String)
        return joined.str.split(separator).explode()
    series = cast("Sequence[pl.Series]", packed)
    if len({some.dtype for some in series}) > 1:
        series = [some.cast(pl.String) for some in series]
    return pl.concat(series, rechunk=True) if len(series) > 1 else series[0]


def convert_column(kind: Kind, values: Sequence[Any]) -> ConvertedColumn:
    """The wire values of one column as a polars Series of the kind's dtype.

    Values that the dtype cannot hold are null in it, and told in `bad`.
    """
    return _CONVERTERS[kind](unpack_column(kind, [pack_values(kind, values)]))


def convert_columns(columns: Mapping[str, tuple[Kind, pl.Series]]) -> dict[str, ConvertedColumn]:
    """The same for all columns of a table, unpacked, by name, in their order.

    One query parses all texts that have the usual form of their kind; only the others are read one kind after another.
    A query costs 0.1 ms whatever it does, and a fixed form is parsed in a third of the time of a general one.
    """
    texts = {name: values for name, (kind, values) in columns.items() if kind in _PARSED_KINDS}
    parsed = pl.DataFrame(texts).select(_parse_usual_forms(tuple((name, columns[name][0]) for name in texts))) if texts else texts
    readings: dict[str, ConvertedColumn] = {}
    odd: dict[Kind, dict[str, list[int]]] = {}
    for name, (kind, values) in columns.items():
        if name not in texts:
            readings[name] = _CONVERTERS[kind](values)
            continue
        readings[name] = ConvertedColumn(parsed[name], {}, {})
        missing = _is_missing(values) if kind in _RAW_KINDS else None
        if parsed[name].null_count() != (values.null_count() if missing is None else missing.sum()):
            missing = values.is_null() if missing is None else missing
            odd.setdefault(kind, {})[name] = _rows_where(parsed[name].is_null() & ~missing)
    for kind, places in odd.items():
        _convert_unusual_values(kind, {name: columns[name][1] for name in places}, places, readings)
    return readings


def _convert_unusual_values(
    kind: Kind, columns: Mapping[str, pl.Series], places: Mapping[str, list[int]], readings: dict[str, ConvertedColumn]
) -> None:
    """Reads the odd values of some columns of one kind, all together, and puts them into their places."""
    odd = _CONVERTERS[kind](pl.concat([values.gather(places[name]).alias("") for name, values in columns.items()]))
    start = 0
    for name, own in places.items():
        stop = start + len(own)
        found = [
            {word: [own[at - start] for at in ats if start <= at < stop] for word, ats in told.items()}
            for told in (odd.rejected, odd.noted)
        ]
        bad, noted = ({word: ats for word, ats in told.items() if ats} for told in found)
        readings[name] = ConvertedColumn(readings[name].values.scatter(own, odd.values[start:stop]), bad, noted)
        start = stop


@functools.cache
def _parse_usual_forms(columns: tuple[tuple[str, Kind], ...]) -> list[pl.Expr]:
    """Parses the texts of usual form, and leaves the others null."""
    query = []
    for name, kind in columns:
        text = pl.col(name)
        if kind is Kind.JSON:
            query.append(pl.when(~text.is_in(_MISSING_TEXTS)).then(text).alias(name))
            continue
        if kind is Kind.MONEY:
            parsed = text.cast(DTYPES[kind], strict=False)
        else:
            parsed = _parse_days(text) if kind is Kind.DAY else _parse_instants(text, "%Y-%m-%dT%H:%M:%SZ")
        query.append(pl.when(text.str.contains(_USUAL_FORMS[kind])).then(parsed).alias(name))
    return query


def _is_missing(values: pl.Series) -> pl.Series:
    return values.is_in(_MISSING_TEXTS)


def _parse_instants(text: pl.Expr, form: str = "%Y-%m-%dT%H:%M:%S%.f%#z") -> pl.Expr:
    return text.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False)


def _parse_days(text: pl.Expr) -> pl.Expr:
    return text.str.to_date("%Y-%m-%d", strict=False)


def _raw_texts(values: pl.Series) -> pl.Series:
    """The source text of raw JSON values; null for missing and for JSON null."""
    return values.set(_is_missing(values), None)


def _keep_values(values: pl.Series) -> ConvertedColumn:
    return ConvertedColumn(values, {}, {})


def _convert_integers(dtype: pl.DataType, values: pl.Series) -> ConvertedColumn:
    if values.dtype == dtype:
        return _keep_values(values)
    bound = 2**31 if dtype == pl.Int32 else 2**63
    plain = values.str.strip_suffix(".0")
    whole = plain.set(~plain.str.contains(r"^-?\d{1,9}$"), None).cast(dtype)
    bad: dict[str, list[int]] = {}
    for place in _rows_where(whole.is_null() & values.is_not_null()):
        if rule := find_integer_error(values[place], bound):
            bad.setdefault(rule, []).append(place)
        else:
            whole[place] = int(Decimal(values[place]))
    return ConvertedColumn(whole, bad, {})


def find_integer_error(written: str, bound: int) -> str | None:
    """The rule that a number breaks as an integer; 2.0 breaks none."""
    try:
        value = Decimal(written)
    except InvalidOperation:  # an exponent of twenty digits: one that is not negative, no decoder takes
        return "not_whole"
    if not -bound <= value < bound:
        return "out_of_range"
    return None if value == value.to_integral_value() else "not_whole"


def _convert_money(values: pl.Series) -> ConvertedColumn:
    text = _raw_texts(values)
    noted: dict[str, list[int]] = {}
    unusual = _rows_where(text.str.contains(r"\.\d{5}|[eE]"))
    if unusual:
        plain = [_round_to_four_decimals(value) for value in text.gather(unusual)]
        text = text.scatter(unusual, [value for value, _ in plain])
        noted = _drop_empty_kinds(rounded_money=[place for place, (_, lost) in zip(unusual, plain, strict=True) if lost])
    money = text.cast(DTYPES[Kind.MONEY], strict=False)
    return _reject_unparsed(money, text, _find_money_error, noted)


def _round_to_four_decimals(text: str) -> tuple[str, bool]:
    """A JSON number as plain text with at most four decimals, half-even; and whether that changed its value."""
    if text[0] not in "-0123456789":
        return text, False
    try:
        exact = Decimal(text)
    except InvalidOperation:  # an exponent that not even Decimal holds
        return text, False
    if exact.adjusted() > 17:
        return text, False
    rounded = exact.quantize(_FOUR_DECIMALS, rounding=ROUND_HALF_EVEN) if exact.adjusted() > -9 else Decimal(0)
    return f"{rounded:f}", rounded != exact


def _find_money_error(text: str) -> str:
    return "out_of_range" if text[0] in "-0123456789" else "wrong_type"


def _convert_instants(text: pl.Series) -> ConvertedColumn:
    noted: dict[str, list[int]] = {}
    form = text
    if not text.str.contains(_INSTANT).all():
        text, empty = _null_empty_texts(text)
        cut, naive, day = (_rows_where(text.str.contains(form)) for form in (_LONG_FRACTION, _NAIVE, _DAY))
        noted = _drop_empty_kinds(digits_past_microseconds=cut, no_time_zone=naive, day_for_instant=day, empty_text=empty)
        form = text.str.replace(r"(\.\d{6})\d{1,3}", "$1")
        form = form.str.replace(f"({_NAIVE})", "${1}Z").str.replace(f"({_DAY})", "${1}T00:00:00Z")
        form = form.set(~form.str.contains(_INSTANT), None)
    instants = form.to_frame("text").select(_parse_instants(pl.col("text"))).to_series()
    instants = instants.set(~instants.is_between(_FIRST_INSTANT, _LAST_INSTANT), None)
    return _reject_unparsed(instants, text, lambda _: "not_an_instant", noted)


def _convert_days(text: pl.Series) -> ConvertedColumn:
    noted: dict[str, list[int]] = {}
    form = text
    if not text.str.contains(_DAY).all():
        text, empty = _null_empty_texts(text)
        longer = rf"{_SECONDS}(\.\d{{1,9}})?{_ZONE}?$"
        noted = _drop_empty_kinds(instant_for_day=_rows_where(text.str.contains(longer)), empty_text=empty)
        form = text.str.replace(r"^(\d{4}-\d\d-\d\d)T.*$", "$1").set(
            ~(text.str.contains(longer) | text.str.contains(_DAY)), None
        )
    days = form.to_frame("text").select(_parse_days(pl.col("text"))).to_series()
    days = days.set(~days.is_between(_FIRST_INSTANT.date(), _LAST_INSTANT.date()), None)
    return _reject_unparsed(days, text, lambda _: "not_a_day", noted)


def _convert_json(values: pl.Series) -> ConvertedColumn:
    return ConvertedColumn(_raw_texts(values), {}, {})


def _reject_unparsed(column: pl.Series, text: pl.Series, rule: Callable[[str], str], noted: dict[str, list[int]]) -> ConvertedColumn:
    """The reading of a column whose nulls must be those of its text."""
    bad: dict[str, list[int]] = {}
    if column.null_count() != text.null_count():
        for place in _rows_where(column.is_null() & text.is_not_null()):
            bad.setdefault(rule(text[place]), []).append(place)
    return ConvertedColumn(column, bad, noted)


def _null_empty_texts(text: pl.Series) -> tuple[pl.Series, list[int]]:
    return text.set(text == "", None), _rows_where(text == "")


def _rows_where(mask: pl.Series) -> list[int]:
    return mask.arg_true().to_list()


def _drop_empty_kinds(**places: list[int]) -> dict[str, list[int]]:
    return {kind: found for kind, found in places.items() if found}


_CONVERTERS: dict[Kind, Callable[[pl.Series], ConvertedColumn]] = {
    Kind.TEXT: _keep_values,
    Kind.INT64: functools.partial(_convert_integers, DTYPES[Kind.INT64]),
    Kind.INT32: functools.partial(_convert_integers, DTYPES[Kind.INT32]),
    Kind.FLAG: _keep_values,
    Kind.INSTANT: _convert_instants,
    Kind.DAY: _convert_days,
    Kind.MONEY: _convert_money,
    Kind.MEASURE: _keep_values,
    Kind.JSON: _convert_json,
}
