"""An export to parquet is what polars, DuckDB, pyarrow and pandas read alike, and nothing of an earlier one stays."""

from __future__ import annotations

import json
import os
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

import quivo_frames as qf
from quivo_frames.errors import ConfigError, ExportError
from quivo_frames.export import parquet
from quivo_frames.export.formats import ExportFormat, export_tables
from quivo_frames.flattening.flatten import flatten
from quivo_frames.model.frames import Frames
from quivo_frames.model.privacy import PrivacyLevel
from quivo_frames.model.tables import TABLES
from tests.support.depth import examples
from tests.support.drawn_orders import DRAWN_SETTINGS, several_orders
from tests.support.hostile_attributes import hostile_order_json
from tests.support.order_comparison import assert_orders_come_back, flatten_drawn_orders
from tests.support.reader_environment import run_in_reader_environment
from tests.support.round_trips import assert_tables_equal, export_job, flatten_standin_orders


@pytest.fixture(scope="module")
def frames() -> Frames:
    return flatten_standin_orders(range(1, 121))


def file_contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read_with_polars(out: Path) -> dict[str, pl.DataFrame]:
    return {name: pl.read_parquet(out / f"{name}.parquet") for name in TABLES}


def read_with_duckdb(out: Path, pattern: str = "{}.parquet") -> dict[str, pl.DataFrame]:
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        found = {}
        for name, table in TABLES.items():
            arrow = db.sql(f"SELECT * FROM '{out}/{pattern.format(name)}'").to_arrow_table()
            found[name] = pl.DataFrame(arrow).select(*table.schema)
    return found


def read_with_pyarrow(out: Path) -> dict[str, pl.DataFrame]:
    return {name: pl.DataFrame(pq.read_table(out / f"{name}.parquet")) for name in TABLES}


@pytest.mark.parametrize(
    "read", [read_with_polars, read_with_duckdb, read_with_pyarrow], ids=lambda read: read.__name__
)
def test_every_cell_of_every_table_is_read_as_it_was(frames: Frames, tmp_path: Path, read: object) -> None:
    exported = export_tables(export_job(frames), ExportFormat.PARQUET, str(tmp_path / "out"))
    assert_tables_equal(read(tmp_path / "out"), frames)
    assert exported.rows == {name: frame.height for name, frame in frames.items()}


PANDAS = """
import json, sys
import pandas as pd
frame = pd.read_parquet(sys.argv[1], dtype_backend="pyarrow")
print(frame.astype("string[pyarrow]").where(frame.notna(), None).to_json(orient="split", index=False))
"""


@pytest.mark.long
def test_pandas_reads_ids_money_and_times_without_loss(frames: Frames, tmp_path: Path) -> None:
    export_tables(export_job(frames), ExportFormat.PARQUET, str(tmp_path / "out"))
    names = ["order_id", "transport_insurance_amount", "order_date"]
    found = pl.DataFrame(
        run_in_reader_environment(PANDAS, tmp_path / "out" / "orders.parquet")["data"],
        schema=dict.fromkeys(TABLES["orders"].schema, pl.String),
        orient="row",
    )
    wanted = frames.orders
    assert found["order_id"].cast(pl.Int64).equals(wanted["order_id"])
    assert found[names[1]].cast(pl.Decimal(18, 4)).equals(wanted[names[1]])
    assert found[names[2]].str.to_datetime(time_unit="us", time_zone="UTC").equals(wanted[names[2]])


@pytest.mark.long
def test_orders_come_back_through_parquet_and_another_engine(tmp_path: Path) -> None:
    bodies = [hostile_order_json(number, 3) for number in range(1, 121)]
    export_tables(export_job(flatten(bodies)), ExportFormat.PARQUET, str(tmp_path / "out"))
    assert_orders_come_back(bodies, read_with_duckdb(tmp_path / "out"))
    assert_orders_come_back(bodies, read_with_pyarrow(tmp_path / "out"))


@pytest.mark.long
@pytest.mark.drawn
def test_drawn_orders_come_back_through_parquet_and_another_engine(tmp_path: Path) -> None:
    @settings(DRAWN_SETTINGS, max_examples=examples(15))
    @given(several_orders())
    def law(bodies: list[str]) -> None:
        export_tables(export_job(flatten_drawn_orders(bodies)), ExportFormat.PARQUET, str(tmp_path / "out"))
        assert_orders_come_back(bodies, read_with_pyarrow(tmp_path / "out"))

    law()


def test_files_say_what_columns_mean_and_which_may_be_empty(frames: Frames, tmp_path: Path) -> None:
    export_tables(export_job(frames, level=PrivacyLevel.NONE), ExportFormat.PARQUET, str(tmp_path / "out"))
    schema = pq.read_schema(tmp_path / "out" / "tracking_numbers.parquet")
    assert schema.field("tracking_number").nullable  # else readers would trust that there is one
    assert schema.field("tracking_number").metadata[b"privacy"] == b"personal"
    assert not schema.field("tracking_number_key").nullable
    assert pq.ParquetFile(tmp_path / "out" / "orders.parquet").metadata.row_group(0).column(0).compression == "ZSTD"


def test_the_marker_says_what_the_files_are(frames: Frames, tmp_path: Path) -> None:
    job = export_job(frames)
    exported = export_tables(job, ExportFormat.PARQUET, str(tmp_path / "out"))
    marker = json.loads((tmp_path / "out" / "export.json").read_text())
    assert (marker["tables"], marker["version"], marker["complete"]) == (job.snapshot_name, "1.2.3", True)
    assert marker["rows"] == exported.rows


# By month


def test_each_month_has_a_folder_and_the_file_has_the_month_too(frames: Frames, tmp_path: Path) -> None:
    export_tables(export_job(frames), ExportFormat.PARQUET, str(tmp_path / "out"), by_month=True)
    months = dict(frames.orders.select("order_id", pl.col("order_date").dt.strftime("%Y-%m")).iter_rows())
    for name in TABLES:
        for file in (tmp_path / "out" / name).rglob("*.parquet"):
            alone = pq.ParquetFile(file).read()
            month = file.parent.name.removeprefix("month=")
            assert file.name == f"{name}.parquet"
            assert set(alone["order_month"].to_pylist()) <= {None if month == parquet.NO_MONTH else month}
            assert {months[number] for number in alone["order_id"].to_pylist()} <= set(alone["order_month"].to_pylist())


def test_by_month_all_engines_read_the_same_rows_and_months(frames: Frames, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported = export_tables(export_job(frames), ExportFormat.PARQUET, str(out), by_month=True)
    assert exported.rows == {name: frame.height for name, frame in frames.items()}
    assert_tables_equal({name: pl.read_parquet(out / name).drop("order_month", "month") for name in TABLES}, frames)
    assert_tables_equal(read_with_duckdb(out, "{}/**/*.parquet"), frames)
    read = {name: pl.DataFrame(pq.read_table(out / name)) for name in TABLES}
    assert_tables_equal({name: frame.select(*TABLES[name].schema) for name, frame in read.items()}, frames)


@pytest.mark.long
def test_by_month_pandas_reads_a_folder_as_it_is(frames: Frames, tmp_path: Path) -> None:
    export_tables(export_job(frames), ExportFormat.PARQUET, str(tmp_path / "out"), by_month=True)
    code = """
import json, sys
import pandas as pd
frame = pd.read_parquet(sys.argv[1])
print(json.dumps(sorted(zip(frame.order_id.tolist(), frame.order_month.tolist(), frame.month.astype(str).tolist()))))
"""
    month = pl.col("order_date").dt.strftime("%Y-%m")
    wanted = frames.orders.filter(month.is_not_null()).select("order_id", month.alias("a"), month.alias("b"))
    found = run_in_reader_environment(code, tmp_path / "out" / "orders")
    assert [row for row in map(tuple, found) if row[1]] == sorted(wanted.iter_rows())
    assert len(found) == frames.orders.height


def test_orders_without_a_date_have_a_null_month_for_every_engine(tmp_path: Path) -> None:
    dated = {"orderId": 1, "orderDate": "2026-07-01T01:00:00+02:00", "tags": ["a"]}  # June in UTC
    undated = {"orderId": 2, "tags": ["b"]}
    frames = flatten([json.dumps(dated).encode(), json.dumps(undated).encode()])
    out = tmp_path / "out"
    export_tables(export_job(frames), ExportFormat.PARQUET, str(out), by_month=True)
    wanted = [(1, "2026-06"), (2, None)]
    for name in ("orders", "order_tags"):
        assert sorted(pl.read_parquet(out / name).select("order_id", "order_month").iter_rows()) == wanted
        for hive in ("true", "false"):
            files = f"read_parquet('{out}/{name}/**/*.parquet', hive_partitioning={hive})"
            assert duckdb.sql(f"SELECT order_id, order_month FROM {files} ORDER BY 1").fetchall() == wanted
        for column in ("order_month", "month"):
            read = pq.read_table(out / name)
            assert sorted(zip(read["order_id"].to_pylist(), read[column].to_pylist(), strict=True)) == wanted


@pytest.mark.parametrize("by_month", [False, True], ids=["flat", "by_month"])
def test_a_table_without_rows_is_there_with_its_columns(tmp_path: Path, by_month: bool) -> None:
    export_tables(
        export_job(flatten([b'{"orderId":1}'])), ExportFormat.PARQUET, str(tmp_path / "out"), by_month=by_month
    )
    for name, table in TABLES.items():
        frame = pl.read_parquet(
            tmp_path / "out" / name / "**/*.parquet" if by_month else tmp_path / "out" / f"{name}.parquet"
        )
        assert dict(frame.schema) == table.schema | ({"order_month": pl.String()} if by_month else {})
    no_order = {name: table.empty_frame() for name, table in TABLES.items()}
    export_tables(export_job(no_order), ExportFormat.PARQUET, str(tmp_path / "none"), by_month=by_month)
    assert len(list((tmp_path / "none").rglob("*.parquet"))) == len(TABLES)


@pytest.mark.parametrize("by_month", [False, True], ids=["flat", "by_month"])
def test_an_export_twice_is_the_same_files(frames: Frames, tmp_path: Path, by_month: bool) -> None:
    found = []
    for _ in range(2):
        export_tables(export_job(frames), ExportFormat.PARQUET, str(tmp_path / "out"), by_month=by_month)
        found.append(file_contents(tmp_path / "out"))
    assert found[0] == found[1]


def test_nothing_of_an_earlier_export_stays(frames: Frames, tmp_path: Path) -> None:
    months = frames.orders["order_date"].dt.strftime("%Y-%m")
    gone = frames.orders.filter(months == months.drop_nulls()[0])["order_id"]
    fewer = frames.without_orders(gone)
    export_tables(export_job(frames), ExportFormat.PARQUET, str(tmp_path / "out"), by_month=True)
    export_tables(export_job(fewer), ExportFormat.PARQUET, str(tmp_path / "out"), by_month=True)
    export_tables(export_job(fewer), ExportFormat.PARQUET, str(tmp_path / "new"), by_month=True)
    assert file_contents(tmp_path / "out") == file_contents(tmp_path / "new")
    export_tables(export_job(fewer), ExportFormat.PARQUET, str(tmp_path / "out"))
    assert set(file_contents(tmp_path / "out")) == {"export.json", *(f"{name}.parquet" for name in TABLES)}


# What goes wrong


@pytest.mark.parametrize("by_month", [False, True], ids=["flat", "by_month"])
def test_what_fails_halfway_changes_nothing(frames: Frames, tmp_path: Path, by_month: bool) -> None:
    export_tables(export_job(frames), ExportFormat.PARQUET, str(tmp_path / "out"))
    before = file_contents(tmp_path)
    job = export_job(flatten_standin_orders(range(1, 9)))
    full = OSError(28, os.strerror(28))

    def refuse(_: pl.Series) -> pl.Series:
        raise full

    broken = {**job.tables, "custom_attributes": job.tables["custom_attributes"].map_batches(refuse)}
    with pytest.raises(ExportError, match="cannot be written") as caught:
        export_tables(job._replace(tables=broken), ExportFormat.PARQUET, str(tmp_path / "out"), by_month=by_month)
    assert "untouched" in str(caught.value)
    assert file_contents(tmp_path) == before


def test_a_folder_of_something_else_is_left_alone(frames: Frames, tmp_path: Path) -> None:
    (tmp_path / "export.json").write_text('{"export": "something else"}')
    before = file_contents(tmp_path)
    with pytest.raises(ConfigError, match="is no earlier folder of parquet files"):
        export_tables(export_job(frames), ExportFormat.PARQUET, str(tmp_path))
    assert file_contents(tmp_path) == before


def test_a_dataset_is_not_written_over_by_its_own_export(tmp_path: Path) -> None:
    (tmp_path / "orders.ndjson").write_bytes(hostile_order_json(1))
    tables = qf.build(tmp_path / "orders.ndjson", tmp_path / "tables")
    with pytest.raises(ConfigError, match="is no earlier folder of parquet files"):
        tables.export("parquet", tmp_path / "tables")
    assert qf.open(tmp_path / "tables").orders.height == 1
    assert "23 tables" in str(tables.export("parquet", f"{tmp_path}/out/"))
