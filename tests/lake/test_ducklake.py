"""An export to DuckLake is one commit of all tables, keeps earlier ones, and forgets what is erased."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import duckdb
import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.archive.archive import Archive
from quivo_frames.builder.build import build
from quivo_frames.errors import ConfigError, ExportError
from quivo_frames.export import ducklake
from quivo_frames.export.formats import ExportFormat, export_tables
from quivo_frames.export.lake_address import lake_address
from quivo_frames.export.lake_connection import connect_duckdb, explain_lake_errors
from quivo_frames.flattening.flatten import flatten
from quivo_frames.maintenance.erasure import forget
from quivo_frames.maintenance.integrity import check
from quivo_frames.model.frames import Frames
from quivo_frames.model.privacy import PrivacyLevel
from quivo_frames.model.tables import TABLES
from tests.lake.lakes import attached, export_to_lake, read_files, read_lake, snapshots, text_of_catalog
from tests.support.archived_orders import NOON, record_answers
from tests.support.hostile_attributes import hostile_order_json
from tests.support.round_trips import assert_tables_equal, export_job, flatten_standin_orders, read_every_byte


@pytest.fixture(scope="module")
def frames() -> Frames:
    return flatten_standin_orders(range(1, 41))


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def catalog(lake: Path) -> Path:
    return lake / "catalog.ducklake"


def merged(below: Frames, above: Frames) -> dict[str, pl.DataFrame]:
    rest = below.without_orders(above.orders["order_id"])
    return {name: pl.concat([rest[name], above[name]]) for name in TABLES}


def data_files(lake: Path) -> set[str]:
    return {file.name for file in lake.rglob("*.parquet")}


# What is read


def test_every_cell_is_read_as_it_was_with_ducklake_and_without_it(frames: Frames, lake: Path, catalog: Path) -> None:
    exported = export_to_lake(frames, lake)
    assert_tables_equal(read_lake(catalog), frames)
    assert_tables_equal(read_files(lake), frames)
    modes = {path.stat().st_mode & 0o777 for path in (lake, catalog, *lake.rglob("*.parquet"))}
    assert modes == {0o700, 0o600}
    assert exported.rows == {name: frame.height for name, frame in frames.items()}
    assert exported.notices == ["Snapshot 1 of the lake: the rows of 40 orders are new."]


def test_tables_and_columns_say_what_they_are(frames: Frames, lake: Path, catalog: Path) -> None:
    export_to_lake(frames, lake)
    with attached(catalog) as db:
        tables = dict(
            db.execute("SELECT table_name, comment FROM duckdb_tables() WHERE database_name = 'lake'").fetchall()
        )
        columns = db.execute(
            "SELECT table_name, column_name, comment, is_nullable, data_type FROM duckdb_columns() WHERE database_name = 'lake'"
        ).fetchall()
        about = dict(db.execute("FROM lake.about").fetchall())
    assert about["written_by"] == "quivo_frames"
    assert about["rows of orders"] == "40"
    found = {(table, column): facts for table, column, *facts in columns}
    for name, table in TABLES.items():
        assert tables[name].startswith(f"One row per {table.grain}.")
        for column in table.columns:
            comment, is_nullable, _ = found[name, column.name]
            assert comment.startswith(column.sentence)
            assert is_nullable is not column.required
    kinds = {kind for (table, _), (*_, kind) in found.items() if table in TABLES}
    assert kinds == {
        "VARCHAR", "BIGINT", "INTEGER", "BOOLEAN", "TIMESTAMP WITH TIME ZONE", "DATE", "DECIMAL(18,4)", "DOUBLE",
    }  # fmt: skip


def test_rows_are_in_files_and_none_in_the_catalog(lake: Path, catalog: Path) -> None:
    export_to_lake(flatten_standin_orders([1]), lake)
    with duckdb.connect(catalog, read_only=True) as db:
        held = "SELECT count(*) FROM duckdb_tables() WHERE table_name LIKE 'ducklake_inlined_data_%' AND estimated_size > 0"
        assert db.execute(f"{held} AND table_name <> 'ducklake_inlined_data_tables'").fetchone() == (0,)
    assert data_files(lake)


# One commit, and time travel


def test_each_build_is_one_snapshot_that_can_be_read_later(lake: Path, catalog: Path) -> None:
    builds = [flatten_standin_orders(range(1, 41), seed=seed) for seed in (1, 2, 3)]
    for tables in builds:
        export_to_lake(tables, lake)
    messages = [f"Tables {export_job(tables).snapshot_name}" for tables in builds]
    assert snapshots(catalog)[1:] == [(n, "quivo_frames", message) for n, message in enumerate(messages, start=1)]
    for version, tables in enumerate(builds, start=1):
        assert_tables_equal(read_lake(catalog, version), tables)
    assert_tables_equal(read_files(lake), builds[-1])


def test_an_unchanged_build_makes_no_snapshot(frames: Frames, lake: Path, catalog: Path) -> None:
    first = export_to_lake(frames, lake)
    before = snapshots(catalog), data_files(lake)
    again = export_to_lake(frames, lake)
    assert again.notices == ["All of them were there already: nothing was written."]
    assert again.rows == first.rows
    renamed = export_job(frames)._replace(snapshot_name="of another state")  # looked at row by row
    assert export_tables(renamed, ExportFormat.DUCKLAKE, str(lake)).notices == again.notices
    assert (snapshots(catalog), data_files(lake)) == before


def test_only_the_rows_of_changed_orders_are_written(frames: Frames, lake: Path, catalog: Path) -> None:
    export_to_lake(frames, lake)
    earlier = data_files(lake)
    later = Frames.of(merged(frames, flatten_standin_orders([7, 41], seed=7)))
    assert "the rows of 2 orders are new" in export_to_lake(later, lake).notices[0]
    assert_tables_equal(read_lake(catalog), later)
    assert_tables_equal(read_lake(catalog, 1), frames)
    added = [pl.read_parquet(file) for file in lake.rglob("*.parquet") if file.name not in earlier]
    ids = {order for rows in added if "order_id" in rows.columns for order in rows["order_id"]}
    assert ids == set(flatten_standin_orders([7, 41]).orders["order_id"])


def test_rows_that_vanished_vanish_and_orders_that_are_only_there_stay(
    frames: Frames, lake: Path, catalog: Path
) -> None:
    export_to_lake(frames, lake)
    bare = flatten([b'{"orderId":%d}' % number for number in frames.orders["order_id"][:10]])
    export_to_lake(bare, lake)
    there = Frames.of(merged(frames, bare))
    assert_tables_equal(read_lake(catalog), there)
    fewer = Frames.of({**there, "order_tags": there.order_tags[1:]})  # nothing else of this order changed
    assert "the rows of 1 order are new" in export_to_lake(fewer, lake).notices[0]
    assert_tables_equal(read_lake(catalog), fewer)


def test_what_somebody_changed_by_hand_is_mended(frames: Frames, lake: Path, catalog: Path) -> None:
    export_to_lake(frames, lake)
    with attached(catalog, options="DATA_INLINING_ROW_LIMIT 0") as db:
        db.execute("DELETE FROM lake.shipments WHERE order_id % 2 = 0")
    export_to_lake(frames, lake)
    assert_tables_equal(read_lake(catalog), frames)


def test_derived_tables_come_and_are_emptied(tmp_path: Path, lake: Path, catalog: Path) -> None:
    (tmp_path / "orders.ndjson").write_bytes(b"\n".join(hostile_order_json(number) for number in range(1, 11)))
    tables = qf.build(tmp_path / "orders.ndjson", tmp_path / "tables")
    tables.export("ducklake", lake)
    with attached(catalog) as db:
        assert db.execute("SELECT count(*) FROM lake.lines").fetchone() == (tables["lines"].height,)
    plain = build(tmp_path / "orders.ndjson", tmp_path / "plain", derived=False)
    plain.export("ducklake", lake)
    with attached(catalog) as db:
        assert db.execute("SELECT count(*) FROM lake.lines").fetchone() == (0,)


def test_a_folder_that_was_moved_is_written_to_where_it_is(frames: Frames, lake: Path, tmp_path: Path) -> None:
    export_to_lake(frames, lake)
    moved = tmp_path / "elsewhere" / "lake"
    moved.parent.mkdir()
    lake.rename(moved)
    later = Frames.of(merged(frames, flatten_standin_orders([7], seed=7)))
    export_to_lake(later, moved)
    assert_tables_equal(read_files(moved), later)
    assert not lake.exists()


# Erasing


def marked_orders() -> list[dict[str, object]]:
    bodies = [json.loads(hostile_order_json(number, 5)) for number in range(1, 31)]
    for place, body in enumerate(bodies):  # the first is the least and the last the greatest of all
        mark = f"{'AAA' if place == 0 else 'zzz'}secret{place}"
        body["orderDate"] = body["lastModified"] = f"{1990 + place}-03-04T05:06:07.654321Z"
        body["deliveryAddress"] = {"name1": mark, "city": f"{mark}city", "email": f"{mark}@example.org"}
        body["customAttributes"] = {f"{mark}key": f"{mark}value"}
        body["tags"] = [f"{mark}tag"]
    return bodies


def test_of_erased_orders_no_byte_stays(lake: Path, catalog: Path) -> None:
    bodies = marked_orders()
    frames = flatten(json.dumps(body).encode() for body in bodies)
    erased = [bodies[0]["orderId"], bodies[-1]["orderId"]]
    export_to_lake(frames, lake)
    export_to_lake(Frames.of(merged(frames, flatten([b'{"orderId":%d}' % bodies[5]["orderId"]]))), lake)
    with attached(catalog, options="DATA_INLINING_ROW_LIMIT 0") as db:
        db.execute("CREATE TABLE lake.customers AS SELECT 'theirs' AS name")
    marks = ["secret0", "secret29", "1990-03-04", "2019-03-04"]
    held = read_every_byte(lake).decode("latin-1") + text_of_catalog(catalog)
    assert all(mark in held for mark in marks)
    rest = Frames.of(frames.without_orders(erased))
    result = export_to_lake(rest, lake, *erased)
    assert "Earlier snapshots" in result.notices[0]
    assert_tables_equal(read_lake(catalog), rest)
    assert_tables_equal(read_files(lake), rest)
    left = read_every_byte(lake).decode("latin-1") + text_of_catalog(catalog)
    assert [mark for mark in [*marks, "1990, 3, 4", "2019, 3, 4"] if mark in left] == []
    assert "secret1" in left  # else nothing would have been looked at
    with attached(catalog) as db:
        assert db.execute("FROM lake.customers").fetchall() == [("theirs",)]
    assert export_to_lake(rest, lake).notices == ["All of them were there already: nothing was written."]
    export_to_lake(frames, lake)
    assert_tables_equal(read_lake(catalog), frames)


def test_forget_reaches_a_lake_and_other_orders_in_it_stay(tmp_path: Path, lake: Path, catalog: Path) -> None:
    ids = range(100_001, 100_007)
    with Archive(tmp_path / "orders.sqlite") as archive:
        record_answers(archive, {order_id: hostile_order_json(order_id) for order_id in ids}, NOON)
    other = flatten_standin_orders(range(1, 4))
    export_to_lake(other, lake)
    tables = build(tmp_path / "orders.sqlite", tmp_path / "tables")
    tables.export("ducklake", lake)
    receipt = forget([100_003], tmp_path / "orders.sqlite", [tables.folder])
    assert receipt.left == []
    assert receipt.exports == [f"{lake} (ducklake)"]
    found = read_lake(catalog)["orders"]["order_id"].to_list()
    assert sorted(found) == sorted([*other.orders["order_id"], *(set(ids) - {100_003})])
    assert all(100_003 not in pl.read_parquet(file).get_column("order_id", default=pl.Series([0])).to_list() for file in lake.rglob("*.parquet"))  # fmt: skip
    assert forget([100_003], tmp_path / "orders.sqlite", [tables.folder]).exports == []


# What goes wrong

KILLED = """
import os, signal, sys
import duckdb
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.export import ducklake
tables, out, how = sys.argv[1:]
write = ducklake._write_about
def stop(db, *given):
    write(db, *given)
    os.kill(os.getpid(), signal.SIGKILL if how == "kill" else signal.SIGINT)
ducklake._write_about = stop
Dataset.open(tables).export("ducklake", out)
"""


def stop_export(tables: qf.Dataset, lake: Path, how: str) -> None:
    """An export that ends after all rows are in files, and before its commit."""
    stopped = subprocess.run([sys.executable, "-c", KILLED, tables.address, lake, how], capture_output=True, text=True)
    assert stopped.returncode == (-signal.SIGKILL if how == "kill" else -signal.SIGINT), stopped.stderr


@pytest.mark.parametrize(("how", "is_first"), [("kill", False), ("ctrl-c", False), ("kill", True)])
def test_an_export_that_is_cut_off_leaves_the_old_snapshot_and_nothing_for_long(
    tmp_path: Path, lake: Path, catalog: Path, how: str, is_first: bool
) -> None:
    source = tmp_path / "orders.sqlite"
    with Archive(source) as archive:
        record_answers(archive, {order_id: hostile_order_json(order_id) for order_id in range(101, 107)}, NOON)
    tables = build(source, tmp_path / "tables")
    if not is_first:
        tables.export("ducklake", lake)
        with Archive(source) as archive:
            record_answers(archive, {103: hostile_order_json(103, 9)}, NOON.replace(day=2))
        before = tables.orders.clone()
        tables = build(source, tmp_path / "tables")
    stop_export(tables, lake, how)
    versions = snapshots(catalog)
    assert len(versions) == (1 if is_first else 2)
    if not is_first:
        assert read_lake(catalog)["orders"].sort("order_id").equals(before.sort("order_id"))
    named, files = files_in_catalog(catalog), data_files(lake)
    assert named < files or how == "ctrl-c"
    assert "export" in set(check(tables.folder).flaws["what"])
    tables.export("ducklake", lake)
    assert_tables_equal(read_lake(catalog), {name: tables[name] for name in TABLES})
    assert files_in_catalog(catalog) == data_files(lake)
    assert check(tables.folder).flaws.is_empty()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def files_in_catalog(catalog: Path) -> set[str]:
    with duckdb.connect(catalog, read_only=True) as db:
        named = db.execute(
            "SELECT path FROM ducklake_data_file UNION ALL SELECT path FROM ducklake_delete_file"
        ).fetchall()
    return {path for (path,) in named}


def test_forget_removes_what_a_killed_export_left(tmp_path: Path, lake: Path) -> None:
    source = tmp_path / "orders.sqlite"
    with Archive(source) as archive:
        record_answers(archive, {order_id: hostile_order_json(order_id) for order_id in range(101, 107)}, NOON)
    tables = build(source, tmp_path / "tables")
    stop_export(tables, lake, "kill")
    assert data_files(lake)
    assert forget([103], source, [tables.folder]).left == []
    held = [pl.read_parquet(file) for file in lake.rglob("*.parquet")]
    assert {order for rows in held if "order_id" in rows.columns for order in rows["order_id"]} == {
        101,
        102,
        104,
        105,
        106,
    }


def test_tables_of_others_in_the_lake_stay_as_they_are(frames: Frames, lake: Path, catalog: Path) -> None:
    lake.mkdir()
    with attached(catalog, options=f"DATA_PATH '{lake}/data/', DATA_INLINING_ROW_LIMIT 0") as db:
        db.execute("CREATE TABLE lake.customers AS SELECT 'theirs' AS name")
    (lake / "data" / "main" / "customers" / "ducklake-unfinished.parquet").write_bytes(b"theirs")
    export_to_lake(frames, lake)
    assert_tables_equal(read_lake(catalog), frames)
    with attached(catalog) as db:
        assert db.execute("FROM lake.customers").fetchall() == [("theirs",)]
    assert "ducklake-unfinished.parquet" in data_files(lake)


@pytest.mark.parametrize("name", ["shipments", "about"])
def test_a_table_of_somebody_else_with_a_name_of_ours_is_refused(
    frames: Frames, lake: Path, catalog: Path, name: str
) -> None:
    lake.mkdir()
    with attached(catalog, options=f"DATA_PATH '{lake}/data/'") as db:
        db.execute(f"CREATE TABLE lake.{name} AS SELECT 'theirs' AS name")
    with pytest.raises(ConfigError, match=f"did not write the table {name} of the lake"):
        export_to_lake(frames, lake)
    assert len(snapshots(catalog)) == 2


def test_a_table_of_another_shape_changes_nothing(frames: Frames, lake: Path, catalog: Path) -> None:
    export_to_lake(frames, lake)
    for change, column in (
        ("ALTER TABLE lake.shipments DROP COLUMN carrier_pick_up_date", "carrier_pick_up_date"),
        ("ALTER TABLE lake.shipments ADD COLUMN carrier_pick_up_date INTEGER", "carrier_pick_up_date"),
        ("ALTER TABLE lake.address_identifiers ADD COLUMN more INTEGER", "more"),
    ):
        with attached(catalog, options="") as db:
            db.execute(change)
            if column == "more":
                db.execute("DROP TABLE lake.shipments")
        before = snapshots(catalog)
        with pytest.raises(ConfigError, match=rf"has other columns than these tables \({column}\)"):
            export_to_lake(frames, lake)
        assert snapshots(catalog) == before


def test_levels_of_privacy_and_versions_do_not_mix(frames: Frames, lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_to_lake(frames, lake)
    with pytest.raises(ConfigError, match="holds orders with --privacy full, these have --privacy none"):
        export_tables(export_job(frames, level=PrivacyLevel.NONE), ExportFormat.DUCKLAKE, str(lake))
    monkeypatch.setattr(ducklake, "SCHEMA_VERSION", 2)
    with pytest.raises(ConfigError, match="has tables of schema version 1, these have version 2"):
        export_to_lake(frames, lake)


def test_without_personal_values_none_is_in_any_byte(lake: Path, catalog: Path) -> None:
    frames = flatten(json.dumps(body).encode() for body in marked_orders())
    export_tables(export_job(frames, level=PrivacyLevel.NONE), ExportFormat.DUCKLAKE, str(lake))
    held = read_every_byte(lake).decode("latin-1") + text_of_catalog(catalog)
    assert "secret1city" in held  # which is none of a person
    assert "secret1@example.org" not in held


def test_a_catalog_that_is_open_elsewhere_is_one_sentence(frames: Frames, lake: Path, catalog: Path) -> None:
    export_to_lake(frames, lake)
    holder = subprocess.Popen(
        [sys.executable, "-c", f"import duckdb; db = duckdb.connect({str(catalog)!r}); print(1, flush=True); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert holder.stdout.readline() == b"1\n"
        with pytest.raises(ExportError, match="is open in another program or notebook"):
            export_to_lake(flatten_standin_orders([1], seed=4), lake)
    finally:
        holder.communicate(b"\n")
    assert len(snapshots(catalog)) == 2


def test_two_exports_at_the_same_time_are_one_after_the_other_or_one_sentence(lake: Path, catalog: Path) -> None:
    states = [flatten_standin_orders(range(1, 21), seed=seed) for seed in (11, 12)]
    messages: list[str] = []

    def work(tables: Mapping[str, pl.DataFrame]) -> None:
        try:
            export_to_lake(tables, lake)
        except ExportError as error:
            messages.append(str(error))

    threads = [threading.Thread(target=work, args=[tables]) for tables in states]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not [text for text in messages if "Another process is writing" not in text]
    export_to_lake(states[0], lake)
    assert_tables_equal(read_lake(catalog), states[0])


def test_a_failure_tells_no_value_of_an_order(lake: Path) -> None:
    address = lake_address(str(lake))
    error = duckdb.ConversionException("Conversion Error: Could not convert string 'Ms Secret' to INT32")
    with pytest.raises(ExportError, match="DuckDB refused them") as caught, explain_lake_errors(address):
        raise error
    assert "Secret" not in str(caught.value)


def test_ctrl_c_within_a_query_is_ctrl_c(lake: Path) -> None:
    address = lake_address(str(lake))
    with pytest.raises(KeyboardInterrupt), connect_duckdb(address):
        raise RuntimeError("Query interrupted")  # as DuckDB 1.5 raises it
    with pytest.raises(KeyboardInterrupt), connect_duckdb(address):
        raise duckdb.InterruptException("INTERRUPT Error: Interrupted!")


def test_a_full_disk_is_one_sentence_and_the_old_snapshot_stays(frames: Frames, lake: Path, catalog: Path) -> None:
    export_to_lake(frames, lake)
    code = (
        "import resource, sys; from tests.lake.lakes import export_to_lake; from quivo_frames.errors import ExportError\n"
        "from tests.support.round_trips import flatten_standin_orders; import signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "tables = flatten_standin_orders(range(1, 400), seed=6)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))\n"
        "try: export_to_lake(tables, sys.argv[1])\n"
        "except ExportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, lake], capture_output=True, text=True)
    assert "were not exported" in done.stdout or "cannot be written" in done.stdout, done.stderr
    assert_tables_equal(read_lake(catalog), frames)
