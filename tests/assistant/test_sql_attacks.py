"""SQL reads the tables and nothing else: no file, no network, no setting, and neither time nor memory without end.

There are two walls, and each is tried alone: what a statement may say, and what DuckDB can reach.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pytest

from quivo_frames.assistant import sql_request, sql_tables
from quivo_frames.assistant.plain_values import Refusal
from quivo_frames.assistant.sql_process import copy_tables, open_locked
from quivo_frames.assistant.sql_statement import TABLE_FUNCTIONS, check_statement
from quivo_frames.assistant.sql_tables import SqlTables
from quivo_frames.errors import DatasetError
from quivo_frames.explorer.background import StopRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    import quivo_frames as qf
    from tests.assistant.session import Session

FILES = [
    "FROM read_csv('{secret}')", "FROM read_csv_auto('{secret}')", "FROM read_text('{secret}')", "FROM read_blob('{secret}')",
    "FROM '{secret}'", 'FROM "{secret}"', "FROM read_json('{secret}')", "FROM read_ndjson_objects('{secret}')",
    "FROM sniff_csv('{secret}')", "FROM read_parquet('{parquet}')", "FROM '{parquet}'", "FROM parquet_scan('{parquet}')",
    "FROM parquet_metadata('{parquet}')", "FROM parquet_schema('{parquet}')", "FROM glob('{folder}/*')",
    "SELECT (SELECT content FROM read_text('{secret}'))", "WITH a AS (FROM read_text('{secret}')) FROM a",
    "SELECT * FROM orders WHERE order_id IN (SELECT 1 FROM read_text('{secret}'))",
    "SELECT * FROM orders, LATERAL (FROM read_text('{secret}'))", "DESCRIBE FROM read_text('{secret}')",
    "SUMMARIZE FROM read_csv('{secret}')", "SUMMARIZE '{parquet}'", "DESCRIBE '{parquet}'",
    "COPY orders TO '{folder}/stolen.csv'", "COPY (SELECT 1) TO '{folder}/stolen.parquet'", "COPY orders FROM '{secret}'",
    "EXPORT DATABASE '{folder}/stolen'", "IMPORT DATABASE '{folder}'", "ATTACH '{folder}/stolen.duckdb' AS other",
    "FROM read_csv('https://127.0.0.1:9/x.csv')", "FROM 's3://bucket/x.parquet'", "FROM read_duckdb('{folder}/x.duckdb')",
    "INSTALL httpfs", "LOAD httpfs", "LOAD '{secret}'", "FROM query('FROM read_text(''{secret}'')')",
    "FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''{secret}'')'))",
    "PRAGMA json_execute_serialized_sql('x')", "CREATE TABLE stolen AS FROM read_text('{secret}')",
]  # fmt: skip
"""What would read or write a file, or reach a network or another program's library."""
OTHERS = [
    "SET memory_limit = '100GB'", "SET GLOBAL lock_configuration = false", "RESET threads", "PRAGMA database_list",
    "PRAGMA table_info('orders')", "CALL pragma_version()", "FROM duckdb_settings()", "FROM duckdb_secrets()",
    "FROM duckdb_databases()", "FROM duckdb_extensions()", "FROM pragma_database_size()", "FROM duckdb_logs()",
    "SELECT current_setting('temp_directory')", "SELECT getvariable('x')", "SELECT getenv('HOME')",
    "SELECT system.main.current_setting('home_directory')", "SELECT current_query()", "SET VARIABLE x = 1",
    "FROM information_schema.tables", "FROM pg_catalog.pg_settings", "FROM sqlite_master", "FROM duckdb_tables",
    "FROM system.main.duckdb_views", "SHOW ALL TABLES", "SHOW DATABASES", "SHOW TABLES", "FROM query_table('orders')",
    "INSERT INTO orders VALUES (1)", "UPDATE orders SET order_id = 1", "DELETE FROM orders", "DROP TABLE orders",
    "TRUNCATE orders", "ALTER TABLE orders ADD COLUMN x INT", "CREATE TABLE x (y INT)", "CREATE TEMP TABLE x (y INT)",
    "CREATE VIEW x AS SELECT 1", "CREATE MACRO x() AS 1", "CREATE SECRET (TYPE s3)", "BEGIN", "COMMIT", "CHECKPOINT",
    "VACUUM", "EXPLAIN SELECT 1", "EXPLAIN ANALYZE SELECT 1", "PREPARE x AS SELECT 1", "EXECUTE x", "USE temp",
    "SELECT 1; SELECT 2", "SELECT 1; DROP TABLE orders", "PIVOT orders ON order_status USING count(*)", "", ";", "-- x",
    "SELECT json_serialize_plan('SELECT 1')", "SELECT write_log('x')", "SELECT nextval('x')",
    "WITH orders AS (FROM duckdb_settings()) FROM orders", "FROM orders AT (VERSION => 1)", "SELECT $1", "SELECT ?",
    "SELECT " + "(" * 2000 + "1" + ")" * 2000, "SELECT 1" + " + 1" * 6000,
]  # fmt: skip


class World:
    """Files that nobody but us should read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secret, self.parquet = folder / "secret.txt", folder / "secret.parquet"
        self.secret.write_text("SECRET,1\nSECRET,2\n")
        pl.DataFrame({"a": ["SECRET"]}).write_parquet(self.parquet)

    def fill(self, statement: str) -> str:
        return statement.format(secret=self.secret, parquet=self.parquet, folder=self.folder)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.mark.long
def test_no_statement_reaches_anything_but_the_tables(session: Session, world: World) -> None:
    before = sorted(world.folder.iterdir())
    for statement in [*map(world.fill, FILES), *OTHERS]:
        why = session.refused("run_sql", query=statement)
        assert "SECRET" not in why, statement
        assert str(Path.home()) not in why, statement
    assert sorted(world.folder.iterdir()) == before
    assert session.query("SELECT count(*) FROM orders") == [[200]]  # it goes on


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The database as the process has it, without the first wall."""
    pl.DataFrame({"order_id": [1, 2]}).write_parquet(tmp_path / "orders.parquet")
    copy_tables(tmp_path / "tables.duckdb", ["orders"])
    assert [path.name for path in tmp_path.iterdir()] == ["tables.duckdb"]
    with open_locked(tmp_path / "tables.duckdb") as db:
        yield db


def test_duckdb_itself_reaches_no_file_and_changes_no_setting(locked: duckdb.DuckDBPyConnection, world: World) -> None:
    before = sorted(world.folder.iterdir())
    inner = [
        "SET memory_limit = '100GB'",
        "SET GLOBAL lock_configuration = false",
        "RESET threads",
        "FROM duckdb_secrets()",
    ]
    for statement in [*map(world.fill, FILES), *inner, "INSERT INTO orders VALUES (1)", "CREATE TABLE x (y INT)"]:
        if statement.startswith(("FROM query(", "FROM json_execute", "PRAGMA json")):
            continue  # which say it in a text: the same statements as others here
        with pytest.raises(duckdb.Error) as refused:
            locked.cursor().execute(statement).fetchall()
        assert "SECRET" not in str(refused.value), statement
    assert sorted(world.folder.iterdir()) == before


def test_of_all_functions_in_place_of_a_table_three_are_allowed(locked: duckdb.DuckDBPyConnection) -> None:
    kinds = "function_type IN ('table', 'table_macro', 'pragma')"
    functions = locked.execute(f"SELECT DISTINCT function_name FROM duckdb_functions() WHERE {kinds}").fetchall()
    assert len(functions) > 80
    allowed = set()
    for (name,) in functions:
        for arguments in ("", "'x'", "3"):
            try:
                check_statement(locked.cursor(), f'FROM "{name}"({arguments})', ["orders"])
            except Refusal:
                continue
            allowed.add(name)
    assert allowed == set(TABLE_FUNCTIONS)


def test_what_reads_the_tables_is_allowed(session: Session) -> None:
    for query in (
        "SELECT 1 -- a comment", "FROM orders;", "/* x */ SELECT count(*) FROM main.orders", "DESCRIBE orders", "SUMMARIZE lines",
        "WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a WHERE n < 3) FROM a", "VALUES (1), (2)",
        "SELECT order_id, order_id, sum(open) OVER (PARTITION BY order_id) FROM lines QUALIFY row_number() OVER () < 3",
        "FROM orders o, range(2) r WHERE o.order_id < 3", "SELECT unnest([1, 2, 3])", "SELECT * FROM unnest([1, 2])",
        "SELECT l.sku, count(*) FROM Lines l JOIN ORDERS o USING (order_id) GROUP BY ALL ORDER BY ALL",
        "SELECT COLUMNS('order.*') FROM orders", "FROM (PIVOT lines ON certain IN (true, false) USING sum(open) GROUP BY seller)",
        "SELECT list(sku), map {'a': 1}, now(), INTERVAL 1 DAY FROM lines", "SELECT 'FROM read_text(''x'')' AS \"COPY\"",
    ):  # fmt: skip
        assert session.ask("run_sql", query=query)["shown"] > 0, query


def test_errors_help_with_the_query_and_hold_no_value_of_a_row(session: Session, tables: qf.Dataset) -> None:
    assert "Candidate" in session.refused("run_sql", query="SELECT order_idd FROM orders")
    assert "syntax" in session.refused("run_sql", query="SELEC 1")
    skus = set(tables.order_positions["sku"].drop_nulls())
    for query in ("SELECT sku::INT FROM lines", "SELECT error(sku) FROM lines", "SELECT strptime(sku, '%Y') FROM lines",
                  "SELECT regexp_matches('a', sku || '(') FROM lines", "SELECT json_extract(sku, '$.a') FROM lines",
                  "SELECT sku::DATE FROM lines", "SELECT (SELECT sku FROM lines)::INT"):  # fmt: skip
        why = session.refused("run_sql", query=query)
        assert not [sku for sku in skus if sku in why], why


@pytest.mark.long
def test_a_query_ends_in_time_and_the_next_one_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that does not heed its end: it is ended with its process."""
    monkeypatch.setattr(sql_tables, "MOST_SECONDS", 1)
    monkeypatch.setattr(sql_tables, "_SECONDS_OF_GRACE", 1)
    copy = SqlTables.copy_frames({"orders": pl.LazyFrame({"order_id": [1]})}, StopRequest())
    try:
        assert copy.run_query("FROM orders", 5).rows == [[1]]
        started = time.monotonic()
        with pytest.raises(Refusal, match="was ended after"):
            copy.run_query("SELECT count(*) FROM range(1000000000000)", 5)
        assert time.monotonic() - started < 10
        assert copy.run_query("FROM orders", 5).rows == [[1]]
    finally:
        copy.close()
    with pytest.raises(Refusal, match="rebuilt"):
        copy.run_query("FROM orders", 5)


@pytest.mark.long
def test_a_query_is_interrupted_inside_its_process(session: Session) -> None:
    started = time.monotonic()
    assert f"ended after {sql_request.MOST_SECONDS} seconds" in session.refused(
        "run_sql", query="SELECT count(*) FROM range(1000000000000)"
    )
    assert time.monotonic() - started < sql_request.MOST_SECONDS + 10
    assert session.query("SELECT 1") == [[1]]


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_a_query_takes_no_more_memory_than_it_may(session: Session) -> None:
    for query in ("SELECT list(repeat('x', 1000000) || range) FROM range(3000)", "SELECT list(range) FROM range(200000000)",
                  "SELECT string_agg(range::VARCHAR, repeat('x', 10000)) FROM range(300000)"):  # fmt: skip
        why = session.refused("run_sql", query=query)
        assert "memory" in why, why
    assert session.query("SELECT 1") == [[1]]


def test_nothing_is_left_of_a_copy_that_was_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    stop_request = StopRequest()

    def close_when_it_is_read(rows: pl.DataFrame) -> pl.DataFrame:
        stop_request.set()
        return rows

    orders = pl.LazyFrame({"order_id": [1]})
    with pytest.raises(DatasetError, match="rebuilt meanwhile"):
        SqlTables.copy_frames({"orders": orders.map_batches(close_when_it_is_read), "shipments": orders}, stop_request)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
def test_the_process_is_ended_after_a_query_that_may_have_harmed_it() -> None:
    copy = SqlTables.copy_frames({"orders": pl.LazyFrame({"order_id": [1]})}, StopRequest())
    try:
        assert copy.run_query("FROM orders", 5).rows == [[1]]
        first = copy._process
        with pytest.raises(Refusal):
            copy.run_query("SELECT 1 + ", 5)
        assert copy._process is first
        with pytest.raises(Refusal, match="memory"):
            copy.run_query("SELECT list(range) FROM range(200000000)", 5)
        assert copy._process is None
        assert copy.run_query("FROM orders", 5).rows == [[1]]
        assert copy._process is not None
        copy._process.kill()
        copy._process.wait()
        assert copy.run_query("FROM orders", 5).rows == [[1]]
    finally:
        copy.close()


def test_a_query_that_is_asked_while_the_copy_is_closed_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    copy = SqlTables.copy_frames({"orders": pl.LazyFrame({"order_id": [1]})}, StopRequest())
    start = subprocess.Popen

    def start_and_close(*args: Any, **options: Any) -> Any:
        closer = threading.Thread(target=copy.close)
        closer.start()
        while not copy._is_closed:
            time.sleep(0.01)
        return start(*args, **options)

    monkeypatch.setattr(sql_tables.subprocess, "Popen", start_and_close)
    begun = time.monotonic()
    with pytest.raises(Refusal, match="rebuilt meanwhile"):
        copy.run_query("SELECT count(*) FROM range(1000000000000)", 5)
    assert time.monotonic() - begun < sql_request.MOST_SECONDS / 2


def test_the_copy_is_for_this_user_alone_and_gone_at_the_end(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, polars as pl\n"
        "from quivo_frames.assistant.sql_tables import SqlTables\n"
        "from quivo_frames.explorer.background import StopRequest\n"
        "copy = SqlTables.copy_frames({'orders': pl.LazyFrame({'order_id': [1]})}, StopRequest())\n"
        "print(copy.run_query('FROM orders', 5).rows)\n"
        "(folder,) = [path for path in pathlib.Path(os.environ['TMPDIR']).iterdir() if path.is_dir()]\n"
        "print(oct(folder.stat().st_mode & 0o777), sorted(path.name for path in folder.iterdir()))\n"
        "copy.close(); print(list(pathlib.Path(os.environ['TMPDIR']).iterdir()))"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.splitlines() == ["[[1]]", "0o700 ['tables.duckdb']", "[]"]
