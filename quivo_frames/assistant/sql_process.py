"""The process that runs the SQL of an assistant: it may take so much memory and time, and is ended if it takes more.

It reads queries as lines of JSON from stdin and answers each with a line on stdout. Before the first one it copies the
tables from parquet files, opens the copy for reading, shuts DuckDB off from files, networks and extensions, and locks
its settings.
"""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import msgspec

from quivo_frames.assistant.plain_values import MOST_CHARACTERS, Refusal, fit_rows, plain_text, plain_value
from quivo_frames.assistant.sql_request import MOST_SECONDS, READY, TOOK_TOO_LONG, TOOK_TOO_MUCH, SqlAnswer, SqlRequest
from quivo_frames.assistant.sql_statement import check_statement, explain_query_error

MEMORY, _MOST_BYTES, THREADS = "1GB", 3 * 2**30, 2
"""What DuckDB may take for its buffers; what the process may take in all, where the system can limit it."""
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": MEMORY,
    "threads": THREADS,
    "temp_directory": "",  # nothing is written
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
}
_AT_LAST = (
    "SET GLOBAL TimeZone = 'UTC'", "SET GLOBAL python_enable_replacements = false",
    "SET GLOBAL enable_external_access = false", "SET GLOBAL lock_configuration = true",
)  # fmt: skip
_PLAIN = frozenset([
    "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT",
    "FLOAT", "DOUBLE", "DATE", "TIMESTAMP",
])  # fmt: skip
"""The types of DuckDB whose values become values of Python as they are, besides DECIMAL."""
_HARMFUL = (duckdb.OutOfMemoryException, duckdb.InternalException, duckdb.FatalException)
"""After these errors the next query may fail as well, whatever it is."""
_ZONED = "TIMESTAMP WITH TIME ZONE"


def copy_tables(file: Path, tables: list[str]) -> None:
    """Write the tables of parquet files beside a new database to the database, and remove them."""
    unfinished = file.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with duckdb.connect(unfinished, config=_SETTINGS) as db:
        for name in tables:
            parquet_file = file.with_name(f"{name}.parquet")
            copied = f'CREATE TABLE "{name}" AS FROM read_parquet(?, hive_partitioning = false)'
            db.execute(copied, [str(parquet_file)])
    unfinished.rename(file)
    for name in tables:
        file.with_name(f"{name}.parquet").unlink()


def open_locked(file: Path) -> duckdb.DuckDBPyConnection:
    """The copy of the tables, for reading, by a DuckDB that reaches nothing else."""
    db = duckdb.connect(file, read_only=True, config=_SETTINGS)
    for setting in _AT_LAST:
        db.execute(setting)
    return db


def run_query(db: duckdb.DuckDBPyConnection, tables: list[str], request: SqlRequest) -> SqlAnswer:
    """The first rows of what a query finds, or why it is not run, or was ended."""
    with db.cursor() as cursor:
        timer = threading.Timer(MOST_SECONDS, cursor.interrupt)
        timer.daemon = True
        timer.start()
        try:
            check_statement(cursor, request.query, tables)
            return _read_rows(cursor, request)
        except Refusal as refusal:
            return SqlAnswer(refusal=str(refusal))
        except duckdb.InterruptException:
            return SqlAnswer(refusal=TOOK_TOO_LONG)
        except duckdb.Error as error:
            return SqlAnswer(refusal=explain_query_error(error), may_have_harmed=isinstance(error, _HARMFUL))
        except MemoryError:
            return SqlAnswer(refusal=TOOK_TOO_MUCH, may_have_harmed=True)
        finally:
            timer.cancel()


def _read_rows(cursor: duckdb.DuckDBPyConnection, request: SqlRequest) -> SqlAnswer:
    found = cursor.sql(request.query)
    types = [str(one) for one in found.types]
    shown = ", ".join(_read_column(at, kind) for at, kind in enumerate(types, 1))
    rows = found.limit(request.rows + 1).project(shown).fetchall()
    plain = [list(map(_plain_cell, row, types)) for row in rows[: request.rows]]
    fitting, is_all = fit_rows(plain)
    return SqlAnswer([plain_text(name) for name in found.columns], fitting, is_all and len(rows) <= request.rows)


def _read_column(at: int, kind: str) -> str:
    """A column of a result: plain types as they are, instants in UTC, all others as texts that are not too long."""
    if kind in _PLAIN or (kind.startswith("DECIMAL") and not kind.endswith("]")):
        return f"#{at} AS c{at}"
    if kind == _ZONED:
        return f"#{at} AT TIME ZONE 'UTC' AS c{at}"
    text = f"to_json(#{at})::VARCHAR" if kind.endswith(("]", ")")) else f"#{at}::VARCHAR"
    return f"left({text}, {MOST_CHARACTERS + 1}) AS c{at}"


def _plain_cell(value: object, kind: str) -> Any:
    plain = plain_value(value)
    return f"{plain}Z" if kind == _ZONED and plain is not None else plain


def limit_memory() -> None:
    """Let this process take so much memory and no more; Windows has no such limit."""
    try:
        import resource
    except ImportError:
        return
    with suppress(ValueError, OSError):  # a stricter limit is in place
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))


def serve_queries(file: Path, tables: list[str], asked: BinaryIO, answered: BinaryIO) -> None:
    """Answer queries until nobody asks any more."""
    if not file.exists():
        copy_tables(file, tables)
    with open_locked(file) as db:
        answered.write(READY)
        answered.flush()
        for line in asked:
            answer = run_query(db, tables, msgspec.json.decode(line, type=SqlRequest))
            answered.write(msgspec.json.encode(answer) + b"\n")
            answered.flush()


if __name__ == "__main__":
    limit_memory()
    with suppress(KeyboardInterrupt, BrokenPipeError):
        serve_queries(Path(sys.argv[1]), sys.argv[2:], sys.stdin.buffer, sys.stdout.buffer)
