"""Readers: every limit speaks beyond it and is silent at it, has a source, and shows no value."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import quivo_frames as qf
from quivo_frames.cli import main, table_commands
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.errors import ConfigError
from quivo_frames.export.compatibility.check import (
    FINDINGS_SCHEMA,
    check_for,
    find_exceeded_limits,
    find_schema_limits,
)
from quivo_frames.export.compatibility.limit import Effect, ReaderLimit, more_digits_than
from quivo_frames.export.compatibility.page import UNDOCUMENTED, format_findings, render_limits_page
from quivo_frames.export.compatibility.readers import LIMITS
from quivo_frames.model.order import Kind
from quivo_frames.model.tables import TABLES, Column, Table
from quivo_frames.standin.orders import write_ndjson
from tests.support.fair_order import changed_order

LONG = "long"
"""Stands for a text that is made when it is needed: ("long", letter, length)."""
Value = Any
Values = dict[str, Value]


def instant_at(hour: int = 0, microsecond: int = 0, year: int = 2026, month: int = 1, day: int = 1) -> datetime:
    return datetime(year, month, day, hour, 0, 0, microsecond, tzinfo=UTC)


# reader, limit, table, column, values beyond it, values at it
BEYOND: list[tuple[str, str, str, str, list[Value], list[Value]]] = [
    ("excel", "cell_length", "orders", "comment", [(LONG, "x", 32_768)], [(LONG, "x", 32_767), ""]),
    ("excel", "cell_lines", "orders", "comment", [(LONG, "\n", 254)], [(LONG, "\n", 253), (LONG, "\\n", 300)]),
    ("excel", "first_year", "orders", "earliest_ship_date", [date(1899, 12, 31)], [date(1900, 1, 1)]),
    ("excel", "first_year", "orders", "created", [instant_at(23, year=1899, month=12, day=31)], [instant_at(year=1900)]),
    (
        "excel", "digits", "orders", "seller_id",
        [1_234_567_890_123_456, -1_234_567_890_123_456, 2**63 - 1, -(2**63)],
        [999_999_999_999_999, 1_234_567_890_123_450, -999_999_999_999_999, 10**18, 0],
    ),
    (
        "excel", "digits", "orders", "transport_insurance_amount",
        [Decimal("123456789012.3456"), Decimal("-99999999999999.9999")],
        [Decimal("12345678901.2345"), Decimal("99999999999999.9000"), Decimal("0.0001"), Decimal(0)],
    ),
    (
        "excel", "digits", "order_positions", "unit_weight",
        [0.1 + 0.2, 1 / 3, 1.2345678901234567e-30], [0.1, 1e300, 123.456, -0.0, 1.5e-7],
    ),
    ("excel", "milliseconds", "orders", "created", [instant_at(microsecond=1), instant_at(microsecond=1_999)], [instant_at(microsecond=999_000)]),
    ("powerbi", "text_length", "orders", "comment", [(LONG, "x", 32_001)], [(LONG, "x", 32_000)]),
    ("powerbi", "whole_numbers", "orders", "seller_id", [2**63 - 1, -(2**63)], [2**63 - 2, -(2**63) + 1]),
    ("powerbi", "first_year", "orders", "latest_ship_date", [date(1899, 12, 31)], [date(1900, 1, 1), date(9999, 1, 1)]),
    ("powerbi", "case", "orders", "seller_name", ["Muster", "MUSTER"], ["Mister", "Mister"]),
    ("powerbi", "case", "orders", "seller_name", ["ähre", "Ähre"], ["ahre", "1/0", "1/0", "ahre "]),
    ("powerbi", "trailing_spaces", "order_positions", "sku", ["A ", " "], [" A", "A\t", ""]),
    (
        "powerbi", "money_digits", "order_positions", "unit_net_price",
        [Decimal("123456789012.3456")], [Decimal("12345678901.2345")],
    ),
    ("powerbi", "shown_numbers", "orders", "seller_id", [2**53, -(2**53)], [2**53 - 1, -(2**53) + 1]),
    ("powerbi", "time_steps", "orders", "created", [instant_at(microsecond=3_333)], [instant_at(microsecond=10_000), instant_at()]),
    (
        "tableau", "money_digits", "orders", "transport_insurance_amount",
        [Decimal("123456789012.3456")], [Decimal("12345678901.2345")],
    ),
    ("snowflake", "text_length", "orders", "comment", [(LONG, "x", 16_777_217)], [(LONG, "x", 16_777_216)]),
    ("snowflake", "first_year", "orders", "earliest_ship_date", [date(1581, 12, 31)], [date(1582, 1, 1)]),
    ("spark", "ancient_dates", "orders", "earliest_ship_date", [date(1582, 10, 14)], [date(1582, 10, 15)]),
    ("spark", "ancient_dates", "orders", "created", [instant_at(23, year=1899, month=12, day=31)], [instant_at(year=1900)]),
]  # fmt: skip
BY_TYPE = [
    ("excel", "time_zones"), ("powerbi", "time_zones"), ("tableau", "time_zones"), ("spark", "session_zone"),
    ("snowflake", "logical_types"),
]  # fmt: skip
BY_NAME = [
    ("snowflake", "reserved_names", "Order", "orders"), ("bigquery", "reserved_names", "group", "groups_"),
    ("spark", "reserved_names", "user", "user_id"), ("bigquery", "names", "2nd", "second_"),
    ("bigquery", "names", "a" * 301, "a" * 300), ("bigquery", "names", "_PARTITIONTIME", "partition_time"),
    ("bigquery", "names", "grösse", "groesse"), ("bigquery", "same_names", "ORDER_ID", "order_id_2"),
    ("spark", "same_names", "Order_Id", "orderid"), ("snowflake", "lower_case", "", ""),
]  # fmt: skip
APART = {("excel", "rows"), ("bigquery", "row_size")}
"""Limits that have a test of their own."""


def find_limit(reader: str, name: str) -> ReaderLimit:
    return next(limit for limit in LIMITS[reader] if limit.name == name)


def table_with_values(table: Table, column: str, values: list[Value]) -> pl.DataFrame:
    """A row a value, everything else null."""
    made = [value[1] * value[2] if isinstance(value, tuple) else value for value in values]
    keys = pl.Series([str(place) for place, _ in enumerate(made, 1)]).cast(table.column(table.key).dtype)
    frame = table.empty_frame().clear(len(made))
    return frame.with_columns(keys.alias(table.key), pl.Series(column, made, table.column(column).dtype, strict=True))


def targets_found(
    reader: str, name: str, table: Table, frame: pl.DataFrame
) -> list[tuple[str | None, int | None, str | None]]:
    limits = [find_limit(reader, name)]
    by_schema = [(target.column, None, None) for _, target in find_schema_limits(limits, table)]
    by_rows = find_exceeded_limits(limits, table, frame.lazy())
    return [*by_schema, *((target.column, count, key) for _, target, count, key in by_rows)]


def test_every_limit_has_a_test() -> None:
    tested = {(case[0], case[1]) for case in [*BEYOND, *BY_TYPE, *BY_NAME]} | APART
    assert tested == {(reader, limit.name) for reader, limits in LIMITS.items() for limit in limits}


@pytest.mark.parametrize(
    ("reader", "name", "table", "column", "beyond", "within"),
    BEYOND,
    ids=lambda case: case if isinstance(case, str) else "",
)
def test_a_limit_speaks_of_values_beyond_it_and_not_of_those_at_it(
    reader: str, name: str, table: str, column: str, beyond: list[Value], within: list[Value]
) -> None:
    described = TABLES[table]
    both = table_with_values(described, column, [*within, *beyond])
    found = {place: (count, key) for place, count, key in targets_found(reader, name, described, both)}
    assert found == {column: (len(beyond), str(len(within) + 1))}
    for silent in (within, [None], []):
        assert targets_found(reader, name, described, table_with_values(described, column, silent)) == []


@pytest.mark.parametrize(("reader", "name"), BY_TYPE)
def test_a_limit_of_types_names_each_column_that_has_them_and_no_count(reader: str, name: str) -> None:
    orders, tags = TABLES["orders"], TABLES["order_tags"]
    found = targets_found(reader, name, orders, orders.empty_frame())
    dtypes = (pl.Datetime, pl.Date) if reader == "snowflake" else (pl.Datetime,)
    assert found == [(column, None, None) for column, dtype in orders.schema.items() if dtype.base_type() in dtypes]
    assert targets_found(reader, name, tags, tags.empty_frame()) == []


@pytest.mark.parametrize(("reader", "name", "bad", "good"), BY_NAME)
def test_a_limit_of_names_speaks_of_the_name(reader: str, name: str, bad: str, good: str) -> None:
    tags = TABLES["order_tags"]
    if name == "lower_case":
        upper = replace(tags, columns=tuple(replace(column, name=column.name.upper()) for column in tags.columns))
        assert [place.column for place in find_limit(reader, name).find_targets(tags)] == [None]
        assert list(find_limit(reader, name).find_targets(upper)) == []
        return
    for new_name, expected in ((bad, [bad]), (good, [])):
        table = replace(tags, columns=(*tags.columns, Column(new_name, Kind.TEXT, "A column.")))
        assert [place.column for place in find_limit(reader, name).find_targets(table)] == expected
    if name == "reserved_names":
        assert [place.column for place in find_limit(reader, name).find_targets(replace(tags, name=bad))] == [None]


@pytest.mark.parametrize("reader", ["bigquery", "spark"])
def test_of_two_names_that_differ_in_case_alone_the_second_is_reported(reader: str) -> None:
    tags = TABLES["order_tags"]
    columns = [Column(name, Kind.TEXT, "A column.") for name in ("Tag_Text", "tag_text", "tag_texts")]
    table = replace(tags, columns=(*tags.columns, *columns))
    assert [place.column for place in find_limit(reader, "same_names").find_targets(table)] == ["tag_text"]


def test_the_rows_beyond_a_sheet_are_counted() -> None:
    tags = TABLES["order_tags"]
    keys = pl.select(pl.int_range(1, 1_048_577).cast(pl.String).alias(tags.key)).to_series()
    fits = tags.empty_frame().clear(1_048_575).with_columns(keys.head(1_048_575))
    assert targets_found("excel", "rows", tags, fits) == []
    over = tags.empty_frame().clear(1_048_576).with_columns(keys)
    assert targets_found("excel", "rows", tags, over) == [(None, 1, "1048576")]


def test_a_row_that_is_too_large_for_bigquery_is_reported_by_all_its_texts_together() -> None:
    orders = TABLES["orders"]
    rest = 8 * sum(column.kind not in (Kind.TEXT, Kind.JSON) for column in orders.columns)
    half = 25_000_000
    for size, expected in ((half - rest, []), (half - rest + 1, [(None, 1, "1")])):
        frame = table_with_values(orders, "comment", [(LONG, "é", half // 2)]).with_columns(
            custom_attributes=pl.lit("x" * size)
        )
        assert targets_found("bigquery", "row_size", orders, frame) == expected


@given(st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-(10**16), 10**16)))
def test_digits_of_whole_numbers_are_those_of_their_decimals(value: int) -> None:
    digits = len(str(abs(value)).rstrip("0"))
    assert pl.select(more_digits_than(15)(pl.lit(value, pl.Int64))).item() == (digits > 15)


@given(st.decimals(-(10**14) + 1, 10**14 - 1, places=4))
def test_an_amount_that_no_limit_speaks_of_survives_in_a_double(value: Decimal) -> None:
    if not pl.select(more_digits_than(15)(pl.lit(value, pl.Decimal(18, 4)))).item():
        assert Decimal(f"{float(value):.15g}") == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_measure_that_no_limit_speaks_of_is_written_in_15_digits(value: float) -> None:
    exceeds = pl.select(more_digits_than(15)(pl.lit(value, pl.Float64))).item()
    assert exceeds == (float(f"{value:.15g}") != value) or math.fabs(value) < 1e-300  # below, doubles have fewer digits


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("readers")
    write_ndjson(folder / "orders.ndjson", 300)
    return qf.build(folder / "orders.ndjson", folder / "tables")


EXPECTED = {
    "powerbi": {"time_steps", "time_zones"},
    "tableau": {"time_zones"},
    "excel": {"milliseconds", "time_zones"},
    "snowflake": {"logical_types", "lower_case"},
    "bigquery": set(),
    "spark": {"session_zone"},
}


@pytest.mark.parametrize("reader", LIMITS)
def test_ordinary_orders_are_refused_by_no_reader_and_changed_as_expected(reader: str, dataset: Dataset) -> None:
    found = check_for(dataset, reader)
    assert found.schema == FINDINGS_SCHEMA
    assert set(found["limit"]) == EXPECTED[reader]
    assert set(found["effect"]) <= {Effect.CHANGES}
    assert set(found["reader"]) <= {reader}


def test_counts_are_those_of_the_rows() -> None:
    orders = [changed_order({"orderDate": f"2026-09-01T08:00:00.00000{place}Z"}, 1001 + place) for place in range(4)]
    tables = qf.flatten([json.dumps(order).encode() for order in orders])
    found = check_for(tables, "excel").filter(pl.col("limit") == "milliseconds")
    counted = sum(value.microsecond % 1_000 != 0 for value in tables["orders"]["order_date"])
    assert found.select("table", "column", "rows", "key").rows() == [("orders", "order_date", counted, "1002")]
    assert counted == 3


@pytest.mark.long
def test_a_dataset_and_its_frames_give_the_same(dataset: Dataset) -> None:
    frames = {name: dataset[name] for name in TABLES}
    for reader in LIMITS:
        assert check_for(dataset, reader).equals(check_for(frames, reader))


def orders_with_odd_values() -> qf.Frames:
    """Orders that several readers refuse, with a text that nobody may see."""
    changes: list[Values] = [
        {"comment": "SECRET" * 6_000, "earliestShipDate": "1500-01-01"},
        {"deliveryAddress.name1": "Secret ", "sellerName": "SELLER"},
        {"deliveryAddress.name1": "SECRET", "earliestShipDate": "1500-01-01"},
    ]
    orders = [changed_order(change, 1001 + place) for place, change in enumerate(changes)]
    return qf.flatten([json.dumps(order).encode() for order in orders])


@pytest.mark.parametrize("reader", LIMITS)
def test_no_value_is_shown_but_keys(reader: str) -> None:
    found = check_for(orders_with_odd_values(), reader)
    assert "secret" not in (found.write_json() + format_findings(found, reader)).lower()


def test_the_worst_comes_first() -> None:
    found = check_for(orders_with_odd_values(), "powerbi")
    assert found["limit"].unique(maintain_order=True).to_list() == [
        "text_length", "first_year", "case", "trailing_spaces", "time_zones",
    ]  # fmt: skip
    assert found["effect"].to_list() == sorted(found["effect"], reverse=True)
    assert found.filter(pl.col("limit") == "first_year").select("column", "rows", "key").rows() == [
        ("earliest_ship_date", 2, "1001")
    ]


def test_what_is_found_is_reported_in_short_lines() -> None:
    lines = format_findings(check_for(orders_with_odd_values(), "powerbi"), "powerbi").splitlines()
    assert lines[0] == "powerbi: 2 things would be refused, 3 things would be changed."
    assert "  orders.comment: 1 row (1001, for example)" in lines
    assert max(map(len, lines)) <= 160
    for title, start in (("Do", "  Do: "), ("See", "  See: ")):
        assert sum(line.startswith(start) for line in lines) == 5, title


def test_where_nothing_is_found_one_line_says_so(dataset: Dataset) -> None:
    text = format_findings(check_for(dataset, "bigquery"), "bigquery")
    assert text == "bigquery takes these tables as they are, as far as its documents tell."


def test_a_reader_that_nobody_knows_is_named_with_those_that_are_known(dataset: Dataset) -> None:
    with pytest.raises(ConfigError, match=r"no reader 'lotus'\. The readers are: powerbi, tableau, excel"):
        check_for(dataset, "lotus")


def all_limits() -> Iterator[tuple[str, ReaderLimit]]:
    return ((reader, limit) for reader, limits in LIMITS.items() for limit in limits)


@pytest.mark.parametrize(
    ("reader", "limit"), [pytest.param(*one, id=f"{one[0]}-{one[1].name}") for one in all_limits()]
)
def test_every_limit_says_what_happens_what_to_do_and_where_that_stands(reader: str, limit: ReaderLimit) -> None:
    assert limit.happens.endswith((".", ")."))
    assert limit.cure.rstrip("`").endswith(".")
    address = urlsplit(limit.source.url)
    assert address.scheme == "https"
    assert "." in address.netloc
    assert address.path.strip("/")
    assert limit.source.title
    assert sum(other.name == limit.name for other in LIMITS[reader]) == 1
    shown = render_limits_page(LIMITS)
    assert limit.source.url in shown
    assert limit.happens in shown


def test_the_page_has_a_table_a_reader_and_what_was_not_found() -> None:
    lines = render_limits_page(LIMITS).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == sum(2 + len(limits) for limits in LIMITS.values())
    assert {line.count("|") for line in rows} == {6}
    assert [line[3:] for line in lines if line.startswith("## ")] == [*LIMITS, "Not documented"]
    assert all(f"- {what}" in lines for what in UNDOCUMENTED)


@pytest.fixture
def run() -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(main, ["export", *arguments])
        return done.exit_code, done.stdout, done.stderr

    return run


def test_the_command_line_knows_the_same_readers() -> None:
    assert tuple(LIMITS) == table_commands.READERS


@pytest.mark.long
def test_a_check_that_nothing_is_refused_by_ends_with_0(run: Any, dataset: Dataset) -> None:
    for reader in LIMITS:
        status, out, _ = run(str(dataset.folder), "--check", reader)
        assert (status, out) == (0, format_findings(check_for(dataset, reader), reader) + "\n")


def test_a_check_that_something_is_refused_by_ends_with_1(run: Any, tmp_path: Path) -> None:
    order = changed_order({"comment": "x" * 40_000})
    (tmp_path / "order.json").write_text(json.dumps(order), encoding="utf-8")
    qf.build(tmp_path / "order.json", tmp_path / "tables")
    status, out, _ = run(str(tmp_path / "tables"), "--check", "excel", "--json")
    rows = json.loads(out)
    assert status == 1
    assert [row["column"] for row in rows if row["effect"] == "refuses"] == ["comment"]
    assert rows == check_for(Dataset.open(tmp_path / "tables"), "excel").to_dicts()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["order.json", "tables"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Say what to write, and where"),
        (("out",), "Say what to write, and where"),
        (("--to", "csv"), "Say what to write, and where"),
        (("--check", "excel", "out"), "--check writes nothing"),
        (("--check", "excel", "--to", "csv", "out"), "--check writes nothing"),
        (("--check", "excel", "--privacy", "none"), "--check writes nothing"),
        (("--check", "excel", "--by-month"), "--check writes nothing"),
    ],
)
def test_a_wrong_combination_is_a_sentence(run: Any, dataset: Dataset, arguments: tuple[str, ...], says: str) -> None:
    status, out, err = run(str(dataset.folder), *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"quivo-frames: {says}")
    assert err.count("\n") == 1
