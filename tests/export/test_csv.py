"""CSV: RFC 4180 in UTF-8, read back by others to the same values; no text is a formula."""

from __future__ import annotations

import csv
import json
import stat
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from quivo_frames.dataset.dataset import Dataset
from quivo_frames.errors import ConfigError
from quivo_frames.export.formats import EXPORT_MARKER, ExportFormat
from quivo_frames.model.tables import TABLES
from tests.support.depth import examples
from tests.support.drawn_orders import several_orders
from tests.support.hostile_values import TEXTS
from tests.support.reader_environment import run_in_reader_environment
from tests.support.round_trips import BUILT, all_tables, export_orders

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMULA_TEXTS = ["=1+1", "+49 1", "-1", "@a", "\ta", "\ra", "\na", "\0a", "'a", "''a", "'", "=", "'=1"]
"""Texts that get an apostrophe in front."""
HARMLESS_TEXTS = [
    "",
    " =1",
    "a=1",
    "1-1",
    "a'",
    "#1",
    '"=1"',
    "·",
    "é,ü",
    'say "hi"',
    "a\r\nb",
    "a\rb",
    "a;b",
    "null",
    "NA",
    "\ufeffa",
]
TYPES = {
    pl.String(): "VARCHAR", pl.Int64(): "BIGINT", pl.Int32(): "INTEGER", pl.Boolean(): "BOOLEAN", pl.Date(): "DATE",
    pl.Datetime("us", "UTC"): "TIMESTAMPTZ", pl.Decimal(18, 4): "DECIMAL(18,4)", pl.Float64(): "DOUBLE",
}  # fmt: skip


def with_tags(*tags: str) -> bytes:
    return json.dumps({"orderId": 1, "tags": tags}).encode()


def without_guard(values: list[Any]) -> list[Any]:
    """The rule undone, as its sentence says."""
    return [value[1:] if isinstance(value, str) and value.startswith("'") else value for value in values]


def assert_cells_equal(tables: Mapping[str, pl.DataFrame], folder: Path) -> None:
    """DuckDB reads every table, told the types of its columns, to the same values; nulls are not empty texts."""
    with duckdb.connect() as db:
        for name, frame in tables.items():
            table = BUILT[name]
            types = {column.name: TYPES[column.dtype] for column in table.columns}
            places = ", ".join(
                f'epoch_us("{column.name}")' if types[column.name] == "TIMESTAMPTZ" else f'"{column.name}"'
                for column in table.columns
            )
            found = db.execute(
                f"SELECT {places} FROM read_csv(?, header = true, delim = ',', quote = '\"', escape = '\"', "
                f"nullstr = '', allow_quoted_nulls = false, auto_detect = false, columns = {types})",
                [str(folder / f"{name}.csv")],
            ).fetchall()
            rows = frame.with_columns(pl.selectors.datetime().dt.epoch("us")).rows()
            assert [without_guard(row) for row in found] == [list(row) for row in rows], name


def test_duckdb_reads_every_cell_of_every_table(dataset: Dataset, tmp_path: Path) -> None:
    result = dataset.export("csv", tmp_path / "out")
    tables = all_tables(dataset)
    assert list(result.rows.items()) == [(name, frame.height) for name, frame in tables.items()]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {EXPORT_MARKER, *(f"{name}.csv" for name in BUILT)}
    assert_cells_equal(tables, tmp_path / "out")


# To shrink an order of this size takes minutes, and tells little more than the rows that differ.
@pytest.mark.long
@pytest.mark.drawn
@settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.reuse, Phase.generate),
)
@given(several_orders())
def test_duckdb_reads_every_cell_of_drawn_orders(tmp_path_factory: pytest.TempPathFactory, bodies: list[str]) -> None:
    out = tmp_path_factory.mktemp("drawn") / "out"
    tables, _ = export_orders(bodies, ExportFormat.CSV, out)
    assert_cells_equal(tables, out)


PANDAS = """
import json, sys, pandas as pd
frame = pd.read_csv(sys.argv[1], dtype=str, keep_default_na=False, na_values=[])
print(json.dumps([frame.columns.to_list(), frame.values.tolist()]))
"""


@pytest.mark.long
@pytest.mark.parametrize("name", ["orders", "shipments", "order_tags"])
def test_pandas_reads_every_cell_as_text(dataset: Dataset, tmp_path: Path, name: str) -> None:
    dataset.export("csv", tmp_path / "out")
    columns, rows = run_in_reader_environment(PANDAS, tmp_path / "out" / f"{name}.csv")
    assert columns == dataset[name].columns
    assert [without_guard(row) for row in rows] == [list(map(expected_text, row)) for row in dataset[name].rows()]


READ_AS_INSTANTS = {
    "pandas": """
import json, sys, pandas as pd
frame = pd.read_csv(sys.argv[1], parse_dates=sys.argv[2:])[sys.argv[2:]]
begin, unit = pd.Timestamp(0, tz="UTC"), pd.Timedelta(microseconds=1)
rows = [[None if pd.isna(value) else (value - begin) // unit for value in row] for row in frame.itertuples(index=False)]
print(json.dumps([str(frame[name].dtype.tz) for name in frame] + rows))
""",
    "duckdb": """
import json, sys, duckdb
sides = ", ".join(f"epoch_us({name})" for name in sys.argv[2:])
types = duckdb.sql(f"DESCRIBE SELECT {', '.join(sys.argv[2:])} FROM '{sys.argv[1]}'").fetchall()
rows = duckdb.sql(f"SELECT {sides} FROM '{sys.argv[1]}'").fetchall()
print(json.dumps(["UTC" if kind == "TIMESTAMP WITH TIME ZONE" else kind for _, kind, *_ in types] + rows))
""",
    "polars": """
import json, sys, polars as pl
frame = pl.read_csv(sys.argv[1], try_parse_dates=True, columns=sys.argv[2:])
print(json.dumps([dtype.time_zone for dtype in frame.dtypes] + frame.with_columns(pl.all().dt.epoch("us")).rows()))
""",
}


@pytest.mark.long
@pytest.mark.parametrize("reader", READ_AS_INSTANTS)
def test_others_read_times_as_instants_of_utc_unasked(dataset: Dataset, tmp_path: Path, reader: str) -> None:
    """Although some times are finer than others."""
    dataset.export("csv", tmp_path / "out")
    names = ["created", "last_modified", "order_date", "completed_at"]
    found = run_in_reader_environment(READ_AS_INSTANTS[reader], tmp_path / "out" / "orders.csv", *names)
    expected = dataset.orders.select(pl.col(names).dt.epoch("us"))
    assert {value % 1_000_000 for value in expected["order_date"].drop_nulls()} > {0}
    assert found == [*["UTC"] * len(names), *map(list, expected.rows())]


def expected_text(value: Any) -> str:
    """A value as the promise of the file says."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds")
        case date() | Decimal():
            return str(value)
        case float():
            return str(value)
        case _:
            return str(value)


def test_the_standard_library_and_polars_read_what_was_written(tmp_path: Path) -> None:
    texts = [text for text in [*TEXTS, *HARMLESS_TEXTS, *FORMULA_TEXTS] if text != "\ufeffa"]
    export_orders([with_tags(*texts)], ExportFormat.CSV, tmp_path / "out")
    file = tmp_path / "out" / "order_tags.csv"
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream, strict=True))
    assert without_guard([row[-1] for row in rows[1:]]) == texts
    assert without_guard(pl.read_csv(file, infer_schema=False)["tag"].to_list()) == texts


def test_lines_end_as_rfc_4180_says_and_there_is_no_mark_in_front(tmp_path: Path) -> None:
    export_orders([with_tags('a,"b"', "ü", "")], ExportFormat.CSV, tmp_path / "out")
    assert (tmp_path / "out" / "order_tags.csv").read_bytes() == (
        'order_tag_key,order_id,ordinal,tag\r\n1/0,1,0,"a,""b"""\r\n1/1,1,1,ü\r\n1/2,1,2,""\r\n'.encode()
    )


def test_a_null_is_not_an_empty_text(tmp_path: Path) -> None:
    export_orders([b'{"orderId":1,"comment":"","currency":null}'], ExportFormat.CSV, tmp_path / "out")
    with duckdb.connect() as db:
        query = (
            "SELECT comment, currency FROM read_csv(?, nullstr = '', allow_quoted_nulls = false, all_varchar = true)"
        )
        assert db.execute(query, [str(tmp_path / "out" / "orders.csv")]).fetchall() == [("", None)]
    assert pl.read_csv(tmp_path / "out" / "orders.csv").select("comment", "currency").row(0) == ("", None)


@pytest.mark.long
@pytest.mark.parametrize("text", [*FORMULA_TEXTS, *HARMLESS_TEXTS])
def test_a_text_that_could_be_a_formula_gets_an_apostrophe_and_no_other(tmp_path: Path, text: str) -> None:
    _, result = export_orders([with_tags(text)], ExportFormat.CSV, tmp_path / "out")
    with (tmp_path / "out" / "order_tags.csv").open(encoding="utf-8", newline="") as stream:
        assert list(csv.reader(stream))[1][-1] == ("'" + text if text in FORMULA_TEXTS else text)
    assert any("1 text that begins with" in sentence for sentence in result.notices) is (text in FORMULA_TEXTS)
    assert len(result.notices) == 1 + (text in FORMULA_TEXTS)


def test_numbers_below_zero_stay_numbers(tmp_path: Path) -> None:
    order = b'{"orderId":5,"positions":[{"quantity":-3,"unitWeight":-0.5,"unitNetPrice":-1.25}]}'
    export_orders([order], ExportFormat.CSV, tmp_path / "out")
    row = pl.read_csv(tmp_path / "out" / "order_positions.csv").row(0, named=True)
    assert (row["quantity"], row["unit_weight"], row["unit_net_price"]) == (-3, -0.5, -1.25)


def test_the_same_tables_give_the_same_bytes(dataset: Dataset, tmp_path: Path) -> None:
    dataset.export("csv", tmp_path / "one")
    dataset.export("csv", tmp_path / "two")
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / out).iterdir()} for out in ("one", "two"))
    assert one == two


def test_a_later_export_replaces_an_earlier_one_whole(dataset: Dataset, tmp_path: Path) -> None:
    dataset.export("csv", tmp_path / "out")
    (tmp_path / "out" / "gone.csv").write_text("of an earlier version")
    marker = tmp_path / "out" / EXPORT_MARKER
    facts = json.loads(marker.read_text())
    marker.write_text(json.dumps(facts | {"rows": facts["rows"] | {"gone": 1}}))
    (tmp_path / "out" / ".DS_Store").write_text("of a file manager")
    export_orders([with_tags("a")], ExportFormat.CSV, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {EXPORT_MARKER, *(f"{name}.csv" for name in TABLES)}
    assert pl.read_csv(tmp_path / "out" / "orders.csv").height == 1
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()} == {0o600}


@pytest.mark.parametrize("mark", [None, "[]", "{", '{"export":"quivo_frames parquet"}'])
def test_a_folder_of_somebody_else_is_left_alone(dataset: Dataset, tmp_path: Path, mark: str | None) -> None:
    (tmp_path / "orders.csv").write_text("mine")
    if mark is not None:
        (tmp_path / EXPORT_MARKER).write_text(mark)
    with pytest.raises(ConfigError, match="is no earlier folder of CSV files of quivo_frames"):
        dataset.export("csv", tmp_path)
    assert (tmp_path / "orders.csv").read_text() == "mine"


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_what_somebody_put_into_an_export_is_not_lost_with_it(dataset: Dataset, tmp_path: Path, form: str) -> None:
    dataset.export(form, tmp_path / "out")
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"out holds an export, and also mine\.txt, which no export wrote"):
        dataset.export(form, tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
