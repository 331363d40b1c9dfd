"""A column of JSON values -> a Series of its dtype, exactly; with the rows whose values it cannot hold.

Values are packed a few hundred at a time, while they are in the processor's cache, and converted by whole columns. The
usual forms take one vectorised step and one comparison. Values of any other form are looked at one by one, so that each
decision is written in plain Python.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, NamedTuple, cast

import polars as pl

from quivo_frames.flattening.exact import find_integer_error
from quivo_frames.model.order import Kind
from quivo_frames.model.placeholders import is_placeholder, is_placeholder_day
from quivo_frames.model.tables import DTYPES

RowsByName = dict[str, list[int]]
"""Rows, counted from 0, by the name of the rule that they break or of the note that they need."""


class ConvertedColumn(NamedTuple):
    """The values of a column, null where its dtype cannot hold them: the rows in `rejected`."""

    values: pl.Series
    rejected: RowsByName
    noted: RowsByName


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
_PLACEHOLDER_TESTS = {Kind.INSTANT: is_placeholder, Kind.DAY: is_placeholder_day}
_MISSING_TEXTS = ["", "null"]
"""What a raw JSON value is where the field is missing, or null."""
_FIRST_INSTANT, _LAST_INSTANT = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
_FOUR_DECIMALS = Decimal("0.0001")
_SEPARATOR = b"\x1e"  # a character that JSON cannot hold unescaped

PackedValues = pl.Series | str
"""Some JSON values of one column; raw ones (money, free form) as one text with separators."""


def pack_values(kind: Kind, values: Sequence[Any]) -> PackedValues:
    """Some JSON values of a column, exactly, in the form that is cheapest to make and to keep."""
    if kind in _RAW_KINDS:
        return _SEPARATOR.join(values).decode()  # takes a sixth of the time of one text a value
    try:
        return pl.Series(values, dtype=_PACKED_DTYPES.get(kind, DTYPES[kind]), strict=True)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):  # numbers that may not be integers
        return pl.Series([None if value is None else repr(value) for value in values], dtype=pl.String)


def unpack_column(kind: Kind, packed: Sequence[PackedValues]) -> pl.Series:
    """The JSON values of a column, as text or of its dtype; "" and "null" where a raw value is missing."""
    if kind in _RAW_KINDS:
        separator = _SEPARATOR.decode()
        joined = pl.Series([separator.join(cast("Sequence[str]", packed))], dtype=pl.String)
        return joined.str.split(separator).explode()
    series = cast("Sequence[pl.Series]", packed)
    if len({some.dtype for some in series}) > 1:
        series = [some.cast(pl.String) for some in series]
    return pl.concat(series, rechunk=True) if len(series) > 1 else series[0]


def convert_column(kind: Kind, values: Sequence[Any]) -> ConvertedColumn:
    """One column of JSON values, not packed, converted to the dtype of its kind."""
    converted = _CONVERTERS[kind](unpack_column(kind, [pack_values(kind, values)]))
    converted.noted.update(_note_placeholders({"values": (kind, converted.values)}).get("values", {}))
    return converted


def convert_written_values(kind: Kind, texts: pl.Series) -> ConvertedColumn:
    """JSON values of unusual form, as they were written (but times without quotes), converted to the dtype of a kind.

    Placeholders are not noted: `find_placeholders`.
    """
    if kind is Kind.MEASURE:
        return _keep_values(texts.cast(DTYPES[kind]))
    return _CONVERTERS[kind](texts)


def convert_columns(columns: Mapping[str, tuple[Kind, pl.Series]]) -> dict[str, ConvertedColumn]:
    """All columns of a table, by name, each converted to the dtype of its kind.

    One query parses all texts that have the usual form of their kind; the others follow, one kind after another. A
    query costs 0.1 ms whatever it does, and a fixed form is parsed in a third of the time of a general one.
    """
    texts = {name: values for name, (kind, values) in columns.items() if kind in _PARSED_KINDS}
    query = _parse_usual_forms(tuple((name, columns[name][0]) for name in texts))
    parsed = pl.DataFrame(texts).select(query) if texts else texts
    converted: dict[str, ConvertedColumn] = {}
    unusual: dict[Kind, dict[str, list[int]]] = {}
    for name, (kind, values) in columns.items():
        if name not in texts:
            converted[name] = _CONVERTERS[kind](values)
            continue
        converted[name] = ConvertedColumn(parsed[name], {}, {})
        missing = _is_missing(values) if kind in _RAW_KINDS else None
        if parsed[name].null_count() != (values.null_count() if missing is None else missing.sum()):
            missing = values.is_null() if missing is None else missing
            unusual.setdefault(kind, {})[name] = _rows_where(parsed[name].is_null() & ~missing)
    for kind, rows in unusual.items():
        _convert_unusual_values(kind, {name: columns[name][1] for name in rows}, rows, converted)
    placeholders = _note_placeholders({name: (kind, converted[name].values) for name, (kind, _) in columns.items()})
    for name, noted in placeholders.items():
        converted[name].noted.update(noted)
    return converted


def _note_placeholders(columns: Mapping[str, tuple[Kind, pl.Series]]) -> dict[str, RowsByName]:
    return {name: {"placeholder_date": rows} for name, rows in find_placeholders(columns).items()}


def find_placeholders(columns: Mapping[str, tuple[Kind, pl.Series]]) -> dict[str, list[int]]:
    """By column, the rows whose dates stand for no date; one query says that there are none, as nearly always."""
    tests = {
        name: _PLACEHOLDER_TESTS[kind](pl.col(name))
        for name, (kind, _) in columns.items()
        if kind in _PLACEHOLDER_TESTS
    }
    if not tests:
        return {}
    dates = pl.DataFrame([columns[name][1].alias(name) for name in tests])
    if not any(dates.select(test.any() for test in tests.values()).row(0)):
        return {}
    return drop_empty_names({found.name: _rows_where(found) for found in dates.select(**tests)})


def _convert_unusual_values(
    kind: Kind, columns: Mapping[str, pl.Series], rows: Mapping[str, list[int]], converted: dict[str, ConvertedColumn]
) -> None:
    """Converts the unusual values of all columns of one kind in one go, and puts them into their rows."""
    together = _CONVERTERS[kind](pl.concat([values.gather(rows[name]).alias("") for name, values in columns.items()]))
    start = 0
    for name, own in rows.items():
        stop = start + len(own)
        rejected, noted = (
            drop_empty_names({key: [own[at - start] for at in ats if start <= at < stop] for key, ats in found.items()})
            for found in (together.rejected, together.noted)
        )
        values = converted[name].values.scatter(own, together.values[start:stop])
        converted[name] = ConvertedColumn(values, rejected, noted)
        start = stop


@functools.cache
def _parse_usual_forms(columns: tuple[tuple[str, Kind], ...]) -> list[pl.Expr]:
    """Expressions that parse the texts of usual form, and give null for all others."""
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
    """Raw JSON values as they were written; null where the field is missing or null."""
    return values.set(_is_missing(values), None)


def _keep_values(values: pl.Series) -> ConvertedColumn:
    return ConvertedColumn(values, {}, {})


def _convert_integers(dtype: pl.DataType, values: pl.Series) -> ConvertedColumn:
    if values.dtype == dtype:
        return _keep_values(values)
    bound = 2**31 if dtype == pl.Int32 else 2**63
    written = values.str.strip_suffix(".0")
    integers = written.set(~written.str.contains(r"^-?\d{1,9}$"), None).cast(dtype)
    rejected: RowsByName = {}
    for row in _rows_where(integers.is_null() & values.is_not_null()):
        if rule := find_integer_error(values[row], bound):
            rejected.setdefault(rule, []).append(row)
        else:
            integers[row] = int(Decimal(values[row]))
    return ConvertedColumn(integers, rejected, {})


def _convert_money(values: pl.Series) -> ConvertedColumn:
    text = _raw_texts(values)
    noted: RowsByName = {}
    unusual = _rows_where(text.str.contains(r"\.\d{5}|[eE]"))
    if unusual:
        rounded = [_round_to_four_decimals(value) for value in text.gather(unusual)]
        text = text.scatter(unusual, [value for value, _ in rounded])
        changed = [row for row, (_, is_changed) in zip(unusual, rounded, strict=True) if is_changed]
        noted = drop_empty_names({"rounded_money": changed})
    money = text.cast(DTYPES[Kind.MONEY], strict=False)
    return _reject_unparsed(money, text, _find_money_error, noted)


def _round_to_four_decimals(text: str) -> tuple[str, bool]:
    """A JSON number in plain notation, rounded half to even to four decimals, and whether that changed its value."""
    if text[0] not in "-0123456789":
        return text, False
    try:
        exact = Decimal(text)
    except InvalidOperation:  # an exponent that even Decimal cannot hold
        return text, False
    if exact.adjusted() > 17:
        return text, False
    rounded = exact.quantize(_FOUR_DECIMALS, rounding=ROUND_HALF_EVEN) if exact.adjusted() > -9 else Decimal(0)
    return f"{rounded:f}", rounded != exact


def _find_money_error(text: str) -> str:
    return "out_of_range" if text[0] in "-0123456789" else "wrong_type"


def _convert_instants(text: pl.Series) -> ConvertedColumn:
    noted: RowsByName = {}
    form = text
    if not text.str.contains(_INSTANT).all():
        text, empty = _null_empty_texts(text)
        cut, naive, day = (_rows_where(text.str.contains(form)) for form in (_LONG_FRACTION, _NAIVE, _DAY))
        noted = drop_empty_names(
            {"digits_past_microseconds": cut, "no_time_zone": naive, "day_for_instant": day, "empty_text": empty}
        )
        form = text.str.replace(r"(\.\d{6})\d{1,3}", "$1")
        form = form.str.replace(f"({_NAIVE})", "${1}Z").str.replace(f"({_DAY})", "${1}T00:00:00Z")
        form = form.set(~form.str.contains(_INSTANT), None)
    instants = form.to_frame("text").select(_parse_instants(pl.col("text"))).to_series()
    instants = instants.set(~instants.is_between(_FIRST_INSTANT, _LAST_INSTANT), None)
    return _reject_unparsed(instants, text, lambda _: "not_an_instant", noted)


def _convert_days(text: pl.Series) -> ConvertedColumn:
    noted: RowsByName = {}
    form = text
    if not text.str.contains(_DAY).all():
        text, empty = _null_empty_texts(text)
        longer = rf"{_SECONDS}(\.\d{{1,9}})?{_ZONE}?$"
        timestamps = text.str.contains(longer)
        noted = drop_empty_names({"instant_for_day": _rows_where(timestamps), "empty_text": empty})
        form = text.str.replace(r"^(\d{4}-\d\d-\d\d)T.*$", "$1")
        form = form.set(~(timestamps | text.str.contains(_DAY)), None)
    days = form.to_frame("text").select(_parse_days(pl.col("text"))).to_series()
    days = days.set(~days.is_between(_FIRST_INSTANT.date(), _LAST_INSTANT.date()), None)
    return _reject_unparsed(days, text, lambda _: "not_a_day", noted)


def _convert_json(values: pl.Series) -> ConvertedColumn:
    return ConvertedColumn(_raw_texts(values), {}, {})


def _reject_unparsed(
    values: pl.Series, text: pl.Series, find_error: Callable[[str], str], noted: RowsByName
) -> ConvertedColumn:
    """The converted column; a row that has text and no value is rejected by the rule that `find_error` names."""
    rejected: RowsByName = {}
    if values.null_count() != text.null_count():
        for row in _rows_where(values.is_null() & text.is_not_null()):
            rejected.setdefault(find_error(text[row]), []).append(row)
    return ConvertedColumn(values, rejected, noted)


def _null_empty_texts(text: pl.Series) -> tuple[pl.Series, list[int]]:
    return text.set(text == "", None), _rows_where(text == "")


def _rows_where(mask: pl.Series) -> list[int]:
    return mask.arg_true().to_list()


def drop_empty_names(rows: RowsByName) -> RowsByName:
    """The names that have rows."""
    return {name: found for name, found in rows.items() if found}


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
