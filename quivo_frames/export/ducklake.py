"""DuckLake export: all tables in one commit, with its catalog in a file or in Postgres.

Orders that changed replace their earlier rows in the lake; other orders stay. All tables change in one transaction, so
that each export is one snapshot, and a reader sees either all of an export or nothing of it. An export that changes
nothing makes no snapshot.

The table `about` says whose tables these are. Each export writes it, so that of two exports at the same time DuckLake
refuses one, even if they write other orders.
"""

# ruff: noqa: S608 - what stands in statements are names of our tables, quoted, and counts

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import duckdb

from quivo_frames.errors import ConfigError
from quivo_frames.export.formats import ExportFormat, ExportJob, ExportResult
from quivo_frames.export.lake_address import KIND as KIND
from quivo_frames.export.lake_address import LakeAddress, lake_address
from quivo_frames.export.lake_connection import LAKE, attach_lake, connect_duckdb, data_folder
from quivo_frames.export.lake_history import remove_history, remove_orphans, rewrite_catalog_file, snapshots_with
from quivo_frames.export.sql import Dialect, quote_identifier, quote_literal, sql_type, tables_sql
from quivo_frames.model.tables import ORDER_ID, SCHEMA_VERSION, Table
from quivo_frames.storage.atomic import (
    OWNER_ONLY,
    OWNER_ONLY_FOLDER,
    create_private_folder,
    exclusive_workspace,
    make_owner_only,
)
from quivo_frames.storage.leftovers import temporary_folder
from quivo_frames.storage.parquet import ROW_GROUP_ROWS, ZSTD_LEVEL

APPLICATION = "quivo_frames"
ABOUT = "about"
_ABOUT_COMMENT = "What these tables are. The same tables have the same name. Times are UTC."
_OPTIONS = {
    "parquet_compression": "zstd", "parquet_compression_level": str(ZSTD_LEVEL),
    "parquet_row_group_size": str(ROW_GROUP_ROWS),
}  # fmt: skip
_CHANGED = "changed_orders"
"""The orders whose rows are written."""


def refuse_target(out: str) -> None:
    """Find out, before any work is done, that nothing can be exported to a lake.

    Raises:
        ConfigError: there is something else, the address cannot be used, or an extension of DuckDB is missing.
    """
    with connect_duckdb(lake_address(out)):
        pass


def write_tables(job: ExportJob, out: str) -> ExportResult:
    """Replace the rows of orders that changed, in one snapshot; without derived tables, those there lose their orders.

    Of `erased_order_ids` nothing stays: all tables are written again, and snapshots that held them are removed.

    Raises:
        ConfigError: tables there have another schema, version or privacy level, or are not of quivo_frames; or the
            target holds something else. Nothing was changed.
        ExportError: the lake cannot be written, is open elsewhere, or another job changed it at the same time.
    """
    address = lake_address(out)
    # the lock is released last: a catalog that is still open would refuse who comes next
    with _private_workspace(address) as temporary, connect_duckdb(address) as db:
        attach_lake(db, address, temporary)
        result = _write_to_lake(db, job, address, temporary)
        if job.erased_order_ids and address.catalog_file:
            db.execute(f"USE memory; DETACH {LAKE}")
            rewrite_catalog_file(address.catalog_file)
    return result


def _write_to_lake(
    db: duckdb.DuckDBPyConnection, job: ExportJob, address: LakeAddress, temporary: Path
) -> ExportResult:
    """Compare the tables with those of the attached lake, and commit what is new: all in one transaction."""
    is_erasing, is_alone = bool(job.erased_order_ids), address.folder is not None
    with _open_transaction(db):
        found, extra_info = _find_tables(db), _extra_info(job)
        _refuse_strangers(db, job, found, address.out)
        job = job.emptying(lambda name: name in found)
        _refuse_other_columns(job.definitions, found, address.out)
        remove_orphans(db, [*job.definitions, ABOUT], is_alone=is_alone, is_erasing=is_erasing)
        if not is_erasing and _is_latest_snapshot(db, extra_info):
            return ExportResult(ExportFormat.DUCKLAKE, address.out, _about_rows(db), [_UNCHANGED])
        rows = _stage_tables(db, job, temporary)
        changed = _find_changed_orders(db, job, found, temporary)
        job.refuse_outdated()
        if not (changed or is_erasing or job.definitions.keys() - found.keys()):
            return ExportResult(ExportFormat.DUCKLAKE, address.out, rows, [_UNCHANGED])
        outdated = snapshots_with(db, [*found, ABOUT]) if is_erasing else []
        _write_rows(db, job, found, temporary)
        _write_about(db, job, rows)
        _write_message(db, job, extra_info)
        db.execute("COMMIT")
    if is_erasing:
        remove_history(db, outdated, is_alone=is_alone)
    if address.catalog_file:
        _make_private(db, address.catalog_file, [*job.definitions, ABOUT])
    sentence = _ERASED if is_erasing else f"Snapshot {_current_snapshot(db)} of the lake: {_of_orders(changed)}."
    return ExportResult(ExportFormat.DUCKLAKE, address.out, rows, [sentence])


@contextmanager
def _open_transaction(db: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """A transaction, which sees one state of the lake; what the block has not committed is rolled back."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        with suppress(duckdb.Error):  # it was committed, or a failure has ended it
            db.execute("ROLLBACK")


_UNCHANGED = "All of them were there already: nothing was written."
_ERASED = "Earlier snapshots of the lake with these tables are gone, with all that they held of the erased orders."


def _of_orders(count: int) -> str:
    return f"the rows of {count:,} orders are new" if count != 1 else "the rows of 1 order are new"


@contextmanager
def _private_workspace(address: LakeAddress) -> Iterator[Path]:
    """A folder for temporary files; for a lake in a folder under its lock, beside it, where `forget` finds them."""
    if address.folder is None:
        with temporary_folder() as folder:
            yield folder
        return
    with exclusive_workspace(address.folder) as workspace:
        create_private_folder(address.folder)
        if address.catalog_file and not address.catalog_file.exists():  # it was empty
            address.folder.chmod(OWNER_ONLY_FOLDER)
        workspace.temporary.mkdir(mode=OWNER_ONLY_FOLDER)
        yield workspace.temporary


def _make_private(db: duckdb.DuckDBPyConnection, catalog: Path, names: list[str]) -> None:
    """Make the files of our tables, and the catalog beside them, their owner's alone.

    Beside a catalog in Postgres, others may have to read the data: there the rights of its folder decide.
    """
    folder = data_folder(db)
    for name in names:
        if folder and (of_table := folder / "main" / name).is_dir():
            make_owner_only(of_table)
    catalog.chmod(OWNER_ONLY)


def _find_tables(db: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    """The tables of the lake in its schema main: names and types of their columns."""
    columns = db.execute(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() "
        f"WHERE database_name = '{LAKE}' AND schema_name = 'main' ORDER BY table_name, column_index"
    ).fetchall()
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in columns:
        found.setdefault(table, {})[column] = kind
    return found


def _refuse_strangers(
    db: duckdb.DuckDBPyConnection, job: ExportJob, found: Mapping[str, Mapping[str, str]], out: str
) -> None:
    """Refuse tables with our names that somebody else made, or that an export of another kind made.

    Raises:
        ConfigError: what is there, and what to do.
    """
    facts = _read_about(db) if found.get(ABOUT, {}).keys() == {"fact", "value"} else {}
    if facts.get("written_by") != APPLICATION:
        if taken := sorted(found.keys() & {ABOUT, *job.definitions}):
            raise ConfigError(
                f"quivo_frames did not write the table {taken[0]} of the lake {out}. Nothing was written. Give a new "
                "place."
            )
        return
    if facts.get("schema_version") != str(SCHEMA_VERSION):
        raise ConfigError(
            f"The lake {out} has tables of schema version {facts.get('schema_version')}, these have version "
            f"{SCHEMA_VERSION}. Nothing was written. Give a new place."
        )
    if facts.get("privacy") != job.privacy:
        raise ConfigError(
            f"The lake {out} holds orders with --privacy {facts.get('privacy')}, these have --privacy {job.privacy}, "
            "and the two do not mix. Nothing was written. Give a place for each."
        )


def _refuse_other_columns(definitions: Mapping[str, Table], found: Mapping[str, Mapping[str, str]], out: str) -> None:
    """Refuse tables whose columns are not ours, which another version wrote, or somebody changed.

    Raises:
        ConfigError: which column it is, and what to do.
    """
    for name in definitions.keys() & found.keys():
        ours = {column.name: sql_type(column.kind, Dialect.DUCKDB) for column in definitions[name].columns}
        if list(ours.items()) != list(found[name].items()):
            column = next((c for c in {**ours, **found[name]} if ours.get(c) != found[name].get(c)), "their order")
            raise ConfigError(
                f"The table {name} of the lake {out} has other columns than these tables ({column}). Nothing was "
                "written. Give a new place, or build and export with the version that wrote it."
            )


def _without_keys(definitions: Mapping[str, Table]) -> dict[str, Table]:
    """The same tables without primary keys, which DuckLake does not have; the build has checked them."""
    return {name: replace(table, key="") for name, table in definitions.items()}


def _is_latest_snapshot(db: duckdb.DuckDBPyConnection, extra_info: str) -> bool:
    """Whether these tables were written by the last commit to the lake."""
    last = f"SELECT commit_extra_info FROM ducklake_snapshots('{LAKE}') ORDER BY snapshot_id DESC LIMIT 1"
    (info,) = db.execute(last).fetchone() or (None,)
    return bool(info == extra_info)


def _extra_info(job: ExportJob) -> str:
    """What the history of the lake says about an export, beside its message."""
    tables = len(job.definitions)  # with the derived ones, or without
    return json.dumps(
        {"by": APPLICATION, "version": job.version, "name": f"{job.snapshot_name} {job.privacy}", "tables": tables}
    )


def _read_about(db: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return dict(db.execute(f"SELECT fact, value FROM {LAKE}.main.{ABOUT}").fetchall())


def _about_rows(db: duckdb.DuckDBPyConnection) -> dict[str, int]:
    facts = _read_about(db)
    return {fact.removeprefix("rows of "): int(value) for fact, value in facts.items() if fact.startswith("rows of ")}


def _staged_rows(name: str, temporary: Path) -> str:
    """The rows of a table that are to be written, as a table function."""
    return f"read_parquet({quote_literal(str(temporary / f'{name}.parquet'))}, hive_partitioning = false)"


def _stage_tables(db: duckdb.DuckDBPyConnection, job: ExportJob, temporary: Path) -> dict[str, int]:
    """Write the tables to temporary parquet files, so that memory stays flat; how many rows each has."""
    rows = {}
    for name, frame in job.tables.items():
        frame.sink_parquet(temporary / f"{name}.parquet", compression="lz4")
        (rows[name],) = db.execute(f"SELECT count(*) FROM {_staged_rows(name, temporary)}").fetchone() or (0,)
    return rows


def _find_changed_orders(
    db: duckdb.DuckDBPyConnection, job: ExportJob, found: Mapping[str, object], temporary: Path
) -> int:
    """Fill the table of orders with a row that the lake lacks, has otherwise, or has too many; how many they are."""
    db.execute(f"CREATE TEMP TABLE {_CHANGED} (order_id BIGINT)")
    orders = f"SELECT {ORDER_ID.name} FROM {_staged_rows('orders', temporary)}"
    if not found.keys() & job.definitions.keys():
        db.execute(f"INSERT INTO {_CHANGED} {orders}")
    for name in job.definitions.keys() & found.keys():
        key = quote_identifier(job.definitions[name].key)
        db.execute(
            f"INSERT INTO {_CHANGED} SELECT DISTINCT coalesce(here.order_id, there.order_id) "
            f"FROM {_staged_rows(name, temporary)} AS here FULL JOIN {LAKE}.main.{quote_identifier(name)} AS there "
            f"ON here.{key} = there.{key} WHERE here IS DISTINCT FROM there "
            f"AND (here.order_id IS NOT NULL OR there.order_id IN ({orders}))"
        )
    (count,) = db.execute(f"SELECT count(DISTINCT order_id) FROM {_CHANGED}").fetchone() or (0,)
    return int(count)


def _write_rows(db: duckdb.DuckDBPyConnection, job: ExportJob, found: Mapping[str, object], temporary: Path) -> None:
    """Write the rows of changed orders, or all rows where orders are erased, or where a table is new.

    Where orders are erased, the tables are made again: the catalog knows minima and maxima of each column of a table,
    and does not narrow them when rows are deleted.
    """
    new = [name for name in job.definitions if name not in found or job.erased_order_ids]
    staying = {name: _stage_staying_rows(db, name, job, temporary) for name in new if name in found}
    for option, value in _OPTIONS.items() if not found else ():  # of a lake that is ours alone
        db.execute(f"CALL {LAKE}.set_option('{option}', '{value}')")
    for name in new:
        db.execute(f"DROP TABLE IF EXISTS {quote_identifier(name)}")
    made = _without_keys({name: job.definitions[name] for name in new})
    db.execute(tables_sql(Dialect.DUCKDB, made, references=False))
    for name in job.definitions:
        table, source = quote_identifier(name), _staged_rows(name, temporary)
        if name in new:
            for rows_of in (source, *staying.get(name, ())):
                db.execute(f"INSERT INTO {table} SELECT * FROM {rows_of}")
        else:
            changed = f"WHERE order_id IN (SELECT order_id FROM {_CHANGED})"
            db.execute(f"DELETE FROM {table} {changed}")
            db.execute(f"INSERT INTO {table} SELECT * FROM {source} {changed}")


def _write_message(db: duckdb.DuckDBPyConnection, job: ExportJob, extra_info: str) -> None:
    """Say in the history of the lake what the transaction is."""
    message = quote_literal(f"Tables {job.snapshot_name}")
    db.execute(
        f"CALL ducklake_set_commit_message('{LAKE}', '{APPLICATION}', {message}, "
        f"extra_info => {quote_literal(extra_info)})"
    )


def _stage_staying_rows(db: duckdb.DuckDBPyConnection, name: str, job: ExportJob, temporary: Path) -> list[str]:
    """The rows of other orders in the lake that stay, as table functions; erased orders are among neither."""
    file = f"{name}.staying"
    gone = ", ".join(map(str, job.erased_order_ids))
    db.execute(
        f"COPY (SELECT * FROM {LAKE}.main.{quote_identifier(name)} WHERE order_id NOT IN ({gone}) AND order_id NOT IN "
        f"(SELECT {ORDER_ID.name} FROM {_staged_rows('orders', temporary)})) "
        f"TO {quote_literal(str(temporary / f'{file}.parquet'))} (FORMAT parquet, COMPRESSION lz4)"
    )
    return [_staged_rows(file, temporary)]


def _write_about(db: duckdb.DuckDBPyConnection, job: ExportJob, rows: Mapping[str, int]) -> None:
    facts = {
        "written_by": APPLICATION,
        "version": job.version,
        "schema_version": str(SCHEMA_VERSION),
        "name": job.snapshot_name,
        "privacy": job.privacy,
        **{f"rows of {name}": str(count) for name, count in rows.items()},
    }
    db.execute(f"CREATE TABLE IF NOT EXISTS {ABOUT} (fact VARCHAR NOT NULL, value VARCHAR NOT NULL)")
    db.execute(f"COMMENT ON TABLE {ABOUT} IS {quote_literal(_ABOUT_COMMENT)}")
    db.execute(f"DELETE FROM {ABOUT}")
    values = ", ".join(f"({quote_literal(fact)}, {quote_literal(value)})" for fact, value in facts.items())
    db.execute(f"INSERT INTO {ABOUT} VALUES {values}")


def _current_snapshot(db: duckdb.DuckDBPyConnection) -> int:
    (version,) = db.execute(f"SELECT max(snapshot_id) FROM ducklake_snapshots('{LAKE}')").fetchone() or (0,)
    return int(version)
