"""DuckDB: the tables in one file, with keys, comments and views, the values as they were; the orders come back."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings

import quivo_frames as qf
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.errors import ConfigError, ExportError
from quivo_frames.export import duckdb as room
from quivo_frames.export.formats import ExportFormat, ExportJob, export_tables
from quivo_frames.export.views import VIEWS
from quivo_frames.model.privacy import PrivacyFilter, PrivacyLevel
from quivo_frames.model.tables import SCHEMA_VERSION, TABLES
from tests.support.depth import examples
from tests.support.drawn_orders import several_orders
from tests.support.hostile_attributes import hostile_order_json
from tests.support.order_comparison import read_order
from tests.support.reader_environment import run_in_reader_environment
from tests.support.round_trips import BUILT, export_orders

if TYPE_CHECKING:
    pass

TYPES = {
    pl.String(): "VARCHAR", pl.Int64(): "BIGINT", pl.Int32(): "INTEGER", pl.Boolean(): "BOOLEAN", pl.Date(): "DATE",
    pl.Datetime("us", "UTC"): "TIMESTAMP WITH TIME ZONE", pl.Decimal(18, 4): "DECIMAL(18,4)", pl.Float64(): "DOUBLE",
}  # fmt: skip


@pytest.fixture(scope="module")
def file(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("export") / "orders.duckdb"
    dataset.export("duckdb", file)
    return file


@pytest.mark.skipif(os.name == "nt", reason="sends a signal")
def test_ctrl_c_in_a_query_is_an_interruption() -> None:
    """DuckDB raises a RuntimeError then, for which the command line would call it a fault of quivo_frames."""
    code = (
        "import os, signal, threading\n"
        "from quivo_frames.export.duckdb import open_duckdb\n"
        "threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "try:\n"
        "    with open_duckdb() as db: db.execute('SELECT count(*) FROM range(1000000000000)')\n"
        "except KeyboardInterrupt: print('interrupted')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


def read_tables(file: Path) -> dict[str, pl.DataFrame]:
    """The tables as DuckDB gives them, instants as microseconds: Python has no year 1 with an offset."""
    frames = {}
    with duckdb.connect(file, read_only=True) as db:
        held = {name for (name,) in db.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        for name, table in ((name, table) for name, table in BUILT.items() if name in held):
            instants = [column.name for column in table.columns if column.dtype == pl.Datetime("us", "UTC")]
            replaced = ", ".join(f'epoch_us("{column}") AS "{column}"' for column in instants)
            rows = db.execute(f"SELECT * REPLACE ({replaced}) FROM {name}" if instants else f"FROM {name}").fetchall()
            schema = {**table.schema, **dict.fromkeys(instants, pl.Int64())}
            frame = pl.DataFrame(rows, schema=schema, orient="row")
            frames[name] = frame.with_columns(pl.col(instants).cast(pl.Datetime("us", "UTC")))
    return frames


def test_every_cell_of_every_table_is_there_in_the_order_of_the_rows(dataset: Dataset, file: Path) -> None:
    found = read_tables(file)
    assert found.keys() == BUILT.keys()
    for name in BUILT:
        assert found[name].equals(dataset[name], null_equal=True), name
    assert found["shipments"].height


@pytest.mark.long
@pytest.mark.drawn
@settings(
    max_examples=examples(15),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.reuse, Phase.generate),
)
@given(several_orders())
def test_drawn_orders_come_back_from_the_file(tmp_path_factory: pytest.TempPathFactory, bodies: list[str]) -> None:
    out = tmp_path_factory.mktemp("drawn") / "orders.duckdb"
    export_orders(bodies, ExportFormat.DUCKDB, out)
    assert [read_order(body) for body in qf.unflatten(read_tables(out))] == [read_order(body) for body in bodies]


@pytest.mark.long
def test_orders_of_the_stand_in_come_back_from_the_file(tmp_path: Path) -> None:
    bodies = [hostile_order_json(number, 9) for number in range(1, 301)]
    export_orders(bodies, ExportFormat.DUCKDB, tmp_path / "orders.duckdb")
    assert [read_order(body) for body in qf.unflatten(read_tables(tmp_path / "orders.duckdb"))] == [
        read_order(body) for body in bodies
    ]


def test_types_keys_and_comments_are_those_of_the_catalogue(file: Path) -> None:
    with duckdb.connect(file, read_only=True) as db:
        for name, table in BUILT.items():
            columns = db.execute(
                "SELECT column_name, data_type, is_nullable, comment FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index",
                [name],
            ).fetchall()
            key = table.key
            assert [(column, kind, null) for column, kind, null, _ in columns] == [
                (column.name, TYPES[column.dtype], not (column.required or column.name == key))
                for column in table.columns
            ]
            assert all(column.sentence in comment for column, (*_, comment) in zip(table.columns, columns, strict=True))
            keys = "SELECT constraint_column_names FROM duckdb_constraints() WHERE table_name = ? AND constraint_type = 'PRIMARY KEY'"
            assert db.execute(keys, [name]).fetchall() == [([key],)]
            (comment,) = db.execute("SELECT comment FROM duckdb_tables() WHERE table_name = ?", [name]).fetchone()
            assert table.grain in comment


def test_the_file_tells_what_it_is(dataset: Dataset, file: Path) -> None:
    with duckdb.connect(file, read_only=True) as db:
        facts = dict(db.execute("FROM about").fetchall())
    assert facts == {
        "written_by": "quivo_frames", "version": dataset.manifest["version"],
        "schema_version": str(SCHEMA_VERSION), "name": dataset.name,
    }  # fmt: skip


@pytest.mark.parametrize("view", VIEWS)
def test_views_are_there_and_give_rows(file: Path, view: str) -> None:
    with duckdb.connect(file, read_only=True) as db:
        assert db.execute(f"SELECT count(*) > 0 FROM {view}").fetchone() == (True,)


@pytest.mark.long
def test_another_environment_reads_it(dataset: Dataset, file: Path) -> None:
    code = """
import json, sys, duckdb
with duckdb.connect(sys.argv[1], read_only=True) as db:
    frame = db.execute("SELECT shipment_key, sscc FROM shipments").df()
    storage = db.execute("SELECT tags FROM duckdb_databases() WHERE database_name = 'orders'").fetchone()[0]
print(json.dumps([frame.shipment_key.to_list(), frame.sscc.astype(object).where(frame.sscc.notna(), None).to_list(), storage]))
"""
    keys, ssccs, storage = run_in_reader_environment(code, file)
    assert (keys, ssccs) == (dataset.shipments["shipment_key"].to_list(), dataset.shipments["sscc"].to_list())
    assert storage["storage_version"].startswith("v1.0.0")


@pytest.mark.long
def test_it_needs_no_pyarrow_and_no_network(dataset: Dataset, tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["pyarrow"] = None
import quivo_frames as qf
qf.open({str(dataset.folder)!r}).export("duckdb", {str(tmp_path / "orders.duckdb")!r})
from quivo_frames.export.duckdb import _new_database
from pathlib import Path
with _new_database(Path({str(tmp_path / "x")!r}), "x") as db:
    print(db.execute("SELECT current_setting('autoinstall_known_extensions'), current_setting('autoload_known_extensions')").fetchone())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "(False, False)\n", done.stderr


@pytest.mark.long
def test_tables_without_personal_values_fit(dataset: Dataset, tmp_path: Path) -> None:
    dataset.export("duckdb", tmp_path / "orders.duckdb", privacy="none")
    with duckdb.connect(tmp_path / "orders.duckdb", read_only=True) as db:
        assert db.execute("SELECT count(*), count(tracking_number) FROM tracking_numbers").fetchone() == (
            dataset.tracking_numbers.height, 0,
        )  # fmt: skip
    assert (
        not PrivacyFilter(PrivacyLevel.NONE)
        .filtered_table(TABLES["tracking_numbers"])
        .column("tracking_number")
        .required
    )


@pytest.mark.long
def test_a_later_export_replaces_an_earlier_one_and_leaves_nothing_beside(dataset: Dataset, tmp_path: Path) -> None:
    dataset.export("duckdb", tmp_path / "orders.duckdb")
    (tmp_path / "orders.duckdb.wal").write_bytes(b"")
    export_orders([b'{"orderId":1}'], ExportFormat.DUCKDB, tmp_path / "orders.duckdb")
    assert read_tables(tmp_path / "orders.duckdb")["orders"]["order_id"].to_list() == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["orders.duckdb"]
    assert stat.S_IMODE((tmp_path / "orders.duckdb").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["text", "database", "about of another", "folder"])
def test_a_file_of_somebody_else_is_left_alone(dataset: Dataset, tmp_path: Path, content: str) -> None:
    out = tmp_path / "mine.duckdb"
    if content == "folder":
        out.mkdir()
    elif content == "text":
        out.write_text("mine, and longer than a header")
    else:
        with duckdb.connect(out) as db:
            db.execute("CREATE TABLE about (x INTEGER)" if content != "database" else "CREATE TABLE orders (x INTEGER)")
    before = out.read_bytes() if out.is_file() else None
    with pytest.raises(ConfigError, match=r"is no earlier DuckDB export|is a folder"):
        dataset.export("duckdb", out)
    assert (out.read_bytes() if out.is_file() else None) == before
    assert [path.name for path in tmp_path.iterdir()] == ["mine.duckdb"]


@pytest.mark.long
def test_a_log_of_no_earlier_export_is_left_alone(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "orders.duckdb.wal").write_text("mine")
    dataset.export("duckdb", tmp_path / "orders.duckdb")
    assert (tmp_path / "orders.duckdb.wal").read_text() == "mine"


@pytest.mark.long
def test_a_file_that_is_open_elsewhere_is_reported(dataset: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "orders.duckdb"
    dataset.export("duckdb", out)
    code = "import sys, duckdb; db = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(ExportError, match="is open in another program or notebook"):
            dataset.export("duckdb", out)
        other.communicate("")
    with duckdb.connect(out), pytest.raises(ExportError, match="is open in another program or notebook"):
        dataset.export("duckdb", out)
    dataset.export("duckdb", out)


def test_a_full_disk_is_reported_also_where_the_commit_finds_it(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="the disk is full"), room._new_database(tmp_path / "orders.duckdb", "OUT"):
        raise duckdb.TransactionException("Failed to commit: Could not write file: No space left on device")


def test_what_duckdb_says_of_a_value_is_not_passed_on(tmp_path: Path) -> None:
    frames = qf.flatten([b'{"orderId":1,"tags":["secret"]}'])
    twice = pl.concat([frames["order_tags"], frames["order_tags"]])
    tables = {name: twice.lazy() if name == "order_tags" else frames[name].lazy() for name in TABLES}
    with pytest.raises(ExportError, match=r"DuckDB refused them \(ConstraintException\)") as caught:
        export_tables(ExportJob(tables, TABLES, "name", "0"), ExportFormat.DUCKDB, str(tmp_path / "orders.duckdb"))
    assert "1/0" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_missing_library_is_reported(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    monkeypatch.delitem(sys.modules, room.__name__)
    with pytest.raises(ConfigError, match=r"needs duckdb\. Install it"):
        dataset.export("duckdb", tmp_path / "orders.duckdb")


@pytest.mark.long
@pytest.mark.parametrize(("form", "name"), [("duckdb", "o.duckdb"), ("excel", "o.xlsx")])
def test_a_command_that_loads_duckdb_ends_without_a_word_about_leaks(
    dataset: Dataset, tmp_path: Path, form: str, name: str
) -> None:
    words = [sys.executable, "-m", "quivo_frames.cli", "export", dataset.address, "--to", form, tmp_path / name]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
