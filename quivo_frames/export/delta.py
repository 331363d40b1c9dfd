"""Delta Lake export: each table is a Delta table OUT/<table>, in a folder or an object store.

Exported orders replace their earlier rows in the target (an upsert by order id); other orders stay. Delta Lake cannot
commit several tables at once: children are committed first and `orders` last, and each commit carries the snapshot name
as its application transaction. Repeating an interrupted export skips the tables that already have that commit. Of two
exports at the same time Delta Lake refuses one, because both are transactions of one application.

The log of a Delta table repeats minima and maxima of columns: here only of order ids and instants.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import polars as pl
from deltalake import CommitProperties, DeltaTable, Field, Schema, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from quivo_frames.display.native_text import hidden_native_text
from quivo_frames.errors import ConfigError, ExportError
from quivo_frames.export.formats import ExportFormat, ExportJob, ExportResult
from quivo_frames.model.order import Kind, Privacy
from quivo_frames.model.tables import ORDER_ID, SCHEMA_VERSION, Table
from quivo_frames.storage import urls
from quivo_frames.storage.atomic import OutputKind, find_target, owner_only_folders, refuse_output
from quivo_frames.storage.parquet import ROW_GROUP_ROWS, ZSTD_LEVEL, arrow_schema
from quivo_frames.storage.path_names import refuse_unsafe_path

APPLICATION = "quivo_frames"
BATCH_ROWS = 10_000
"""Rows written at a time."""
COMMIT_ATTEMPTS = 10
"""How often a commit is tried while other writers change the table."""
VERSION_PROPERTY, PRIVACY_PROPERTY = "quivo_frames.schema_version", "quivo_frames.privacy"
"""Table properties that record what an export was written as."""
_STATISTICS_PROPERTY, _LOG_RETENTION_PROPERTY = "delta.dataSkippingStatsColumns", "delta.logRetentionDuration"
_NO_RETENTION, _DEFAULT_RETENTION = "interval 0 days", "interval 30 days"
_WRITER = WriterProperties(compression="ZSTD", compression_level=ZSTD_LEVEL, max_row_group_size=ROW_GROUP_ROWS)
_UNSAFE_IN_PATH = r"%[0-9A-Fa-f]{2}|[\[\]#?^|\\\x00-\x1f\x7f]"
"""Characters of a path that delta-rs (1.6) reads as part of a URL, or fails at."""
_AFTER_FAILURE = "Tables that were written already stay so; the same export again completes it."


class _CommitIdentity(NamedTuple):
    """What identifies the commits of one export."""

    name: str
    version: str
    rows: Mapping[str, int]

    @property
    def transaction_version(self) -> int:
        """The name as a number: Delta Lake takes only integers as the version of an application transaction."""
        return int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:8]) >> 1

    def user_metadata(self, table: str) -> dict[str, str]:
        """What the history of the table shows, also in Spark."""
        facts = {"by": APPLICATION, "version": self.version, "tables": self.name, "rows": self.rows[table]}
        return {"userMetadata": json.dumps(facts)}

    def is_latest_commit_of(self, table: str, target: DeltaTable) -> bool:
        """Whether this commit is the latest of the target."""
        last: Mapping[str, Any] = target.history(1)[0]
        return (
            target.transaction_version(APPLICATION) == self.transaction_version
            and self.user_metadata(table).items() <= last.items()
        )

    def commit_properties(self, table: str, retries: int | None = None) -> CommitProperties:
        """The properties of the commit to a table.

        With `retries=0` the commit fails if the table changed since it was read. With retries, Delta Lake accepts
        changes that it considers harmless: rows added by others stay, and rows of a compacted table would be doubled.
        """
        return CommitProperties(
            self.user_metadata(table), retries, [Transaction(APPLICATION, self.transaction_version)]
        )


@hidden_native_text()
def write_tables(job: ExportJob, out: str, *, max_ids_in_predicate: int = 1_000) -> ExportResult:
    """Upsert the orders into Delta tables; other orders stay. Without derived tables, those there lose their orders.

    Up to `max_ids_in_predicate` orders are replaced by a predicate on their ids; for more, it is faster to rewrite the
    rows that remain.

    Raises:
        ConfigError: a table there has another schema, version or privacy level, or the target holds something else.
            Nothing was changed.
        ExportError: the target cannot be written, or another job changed a table at the same time.
    """
    place = _checked_address(out)
    with urls.explain_storage_errors(f"The tables cannot be written to {out}", "export again", _AFTER_FAILURE):
        job = job.emptying(lambda name: _open_table(f"{place}/{name}") is not None)
        found = {name: _open_table(f"{place}/{name}") for name in job.definitions}
        for name, table in found.items():
            if table is not None:
                _refuse_mismatch(table, f"{out.rstrip('/')}/{name}", job.definitions[name], job.privacy)
        counts = pl.collect_all([rows.select(pl.len()) for rows in job.tables.values()])
        rows = {name: count.item() for name, count in zip(job.tables, counts, strict=True)}
        commit = _CommitIdentity(f"{job.snapshot_name} {job.privacy}", job.version, rows)
        replaced, written = _replaced_order_ids(job), False
        for name in reversed(list(job.definitions)):
            folders = [] if urls.is_remote(out) else [Path(place, name)]
            try:
                with owner_only_folders(folders):
                    table = found[name] or _create_table(f"{place}/{name}", job.definitions[name], job.privacy)
                    job.refuse_outdated()
                    if job.erased_order_ids or not commit.is_latest_commit_of(name, table):
                        properties = commit.commit_properties(name)
                        _replace_orders(table, job.tables[name], replaced, properties, max_ids_in_predicate)
                        written = True
                    if job.erased_order_ids:
                        _remove_history(table, commit.user_metadata(name))
            except CommitFailedError as error:
                raise ExportError(
                    f"Another job changed the table {name} of {out} at the same time, and was first. "
                    f"Export again. {_AFTER_FAILURE}"
                ) from error
    sentences = [] if written else ["All of them were there already: nothing was written."]
    if job.erased_order_ids:
        sentences = ["Earlier versions of the tables are gone, with all that they held of the erased orders."]
    return ExportResult(ExportFormat.DELTA, out, rows, sentences)


class DataFile(NamedTuple):
    """A parquet file in the folder of its table: name in the folder, rows, bytes, minimum and maximum order id."""

    name: str
    rows: int
    bytes: int
    id_range: tuple[int | None, int | None]

    def add_action(self) -> AddAction:
        """The log entry that adds the file; its statistics let readers skip files by order id."""
        stats: dict[str, Any] = {"numRecords": self.rows}
        if self.rows:
            statistics = zip(("minValues", "maxValues", "nullCount"), (*self.id_range, 0), strict=True)
            stats |= {kind: {ORDER_ID.name: value} for kind, value in statistics}
        return AddAction(self.name, self.bytes, {}, int(time.time() * 1000), data_change=True, stats=json.dumps(stats))


@hidden_native_text()
def find_target_tables(out: str, definitions: Mapping[str, Table], privacy: str) -> dict[str, DeltaTable | None]:
    """The existing Delta tables by name; None for those that do not exist.

    Raises:
        ConfigError: one has another schema, version or privacy level, or another writer; or Delta Lake cannot write
            there.
    """
    return {name: _find_target_table(out, table, privacy) for name, table in definitions.items()}


@hidden_native_text()
def open_or_create_tables(out: str, definitions: Mapping[str, Table], privacy: str) -> dict[str, DeltaTable]:
    """The Delta tables by name, at their latest version; missing ones are created without rows.

    Raises:
        ConfigError: as for `find_target_tables`.
    """
    found: dict[str, DeltaTable] = {}
    for name, table in definitions.items():
        there = _find_target_table(out, table, privacy)
        if there is None:
            try:
                there = _create_table(f"{_delta_address(out)}/{name}", table, privacy)
            except DeltaError:  # another process created it
                if (there := _find_target_table(out, table, privacy)) is None:
                    raise
        found[name] = there
    return found


@hidden_native_text()
def commit_data_files(
    tables: Mapping[str, DeltaTable], files: Mapping[str, Sequence[DataFile]], version: str, privacy: str,
    is_current: Callable[[], bool],
) -> bool:  # fmt: skip
    """Make existing parquet files the content of each table: one commit per table, `orders` last.

    A table that has just these files is skipped, so repeating an interrupted commit completes it. `is_current`
    says whether this run may still commit. `tables` must have been read before it became true, and after a conflict the
    table is read again before `is_current` is called again: a run that lost its turn can never commit last.

    Returns:
        True if all tables are committed, False if another run took over.

    Raises:
        CommitFailedError: another writer changed a table at every attempt.
    """
    content = hashlib.sha256(json.dumps([files[name] for name in tables]).encode()).hexdigest()
    rows = {name: sum(file.rows for file in files[name]) for name in tables}
    commit = _CommitIdentity(f"{content} {privacy}", version, rows)
    for name, table in reversed(list(tables.items())):
        attempts = COMMIT_ATTEMPTS
        while not commit.is_latest_commit_of(name, table) and (actions := _actions_to_have(table, files[name])):
            try:
                table.create_write_transaction(
                    actions, "append", table.schema(), commit_properties=commit.commit_properties(name, retries=0)
                )
                break
            except CommitFailedError:
                attempts -= 1
                if not attempts:
                    raise
                table.update_incremental()
                if not is_current():
                    return False
    return True


def _actions_to_have(table: DeltaTable, files: Sequence[DataFile]) -> list[AddAction | RemoveAction]:
    """What a commit does so that a table has some files and no others, whoever has written to it."""
    found: Any = table.get_add_actions()
    there, now = {unquote(path) for path in pl.DataFrame(found)["path"]}, int(time.time() * 1000)
    gone = sorted(there - {file.name for file in files})
    removed = [RemoveAction(path, data_change=True, deletion_timestamp=now) for path in gone]
    return [*removed, *(file.add_action() for file in files if file.name not in there)]


def _find_target_table(out: str, definition: Table, privacy: str) -> DeltaTable | None:
    try:
        there = DeltaTable(f"{_delta_address(out)}/{definition.name}")
    except TableNotFoundError:
        return None
    _refuse_mismatch(there, f"{out.rstrip('/')}/{definition.name}", definition, privacy)
    return there


def _checked_address(out: str) -> str:
    """The address for Delta Lake of a target that may be written to.

    Raises:
        ConfigError: it is a file, a folder with other content than Delta tables, or its name has unsafe characters.
    """
    if not urls.is_remote(out):
        refuse_output(Path(out), KIND)
    return _delta_address(out)


def _holds_delta_tables(folder: Path) -> bool:
    for entry in (entry for entry in sorted(folder.iterdir()) if not entry.name.startswith((".", "_"))):
        if not (entry / "_delta_log").is_dir() and not (entry.is_dir() and not any(entry.iterdir())):
            raise ConfigError(
                f"The folder {folder} holds other content than Delta tables ({entry.name}, for one). "
                "Nothing was written. Give an empty or a new folder."
            )
    return True


KIND = OutputKind("folder of Delta tables", _holds_delta_tables, is_folder=True)


def _delta_address(out: str) -> str:
    """A folder or an address in the form that Delta Lake accepts.

    Raises:
        ConfigError: it is a file, or its name has unsafe characters.
    """
    if urls.is_remote(out):
        return urls.check_address(out)
    folder = find_target(Path(out), to_folder=True)
    refuse_unsafe_path(folder, _UNSAFE_IN_PATH, "Delta Lake")
    return str(folder)


def _open_table(place: str) -> DeltaTable | None:
    try:
        return DeltaTable(place)
    except TableNotFoundError:
        if urls.is_remote(place) and urls.holds_parquet(place):
            raise ConfigError(
                f"There are parquet files in {place} that are not a Delta table. Nothing was written. "
                "Give an empty or a new place."
            ) from None
        return None


def _refuse_mismatch(table: DeltaTable, place: str, definition: Table, privacy: str) -> None:
    """Refuse a target table that these rows do not fit.

    Raises:
        ConfigError: it has another schema, version or privacy level, or quivo_frames did not write it.
    """
    there = {field.name: _type_name(field) for field in table.schema().fields}
    ours = {field.name: _type_name(field) for field in _delta_schema(definition).fields}
    for column in there | ours:
        if there.get(column) != ours.get(column):
            types = [f"is {fields[column]}" if column in fields else "is missing" for fields in (there, ours)]
            raise ConfigError(
                f"The Delta table {place} has other columns: {column} {types[0]} there, and {types[1]} in these "
                "tables. Nothing was written. Give a new place, or build and export with the version that wrote it."
            )
    properties = table.metadata().configuration
    if PRIVACY_PROPERTY not in properties:
        raise ConfigError(f"quivo_frames did not write the Delta table {place}. Nothing was written. Give a new place.")
    if properties.get(VERSION_PROPERTY) != str(SCHEMA_VERSION):
        raise ConfigError(
            f"The Delta table {place} has schema version {properties.get(VERSION_PROPERTY)}, these tables have version "
            f"{SCHEMA_VERSION}. Nothing was written. Give a new place."
        )
    if properties[PRIVACY_PROPERTY] != privacy:
        raise ConfigError(
            f"The Delta table {place} holds orders with --privacy {properties[PRIVACY_PROPERTY]}, these have --privacy "
            f"{privacy}, and the two do not mix. Nothing was written. Give a place for each."
        )


def _type_name(field: Field) -> str:
    return str(getattr(field.type, "type", field.type))


def _delta_schema(definition: Table) -> Schema:
    """The schema of a Delta table; Spark and Databricks show `comment` next to a column."""
    plain = Schema.from_arrow(arrow_schema(definition))
    fields = (Field(f.name, f.type, nullable=f.nullable, metadata=_with_comment(f.metadata)) for f in plain.fields)
    return Schema(list(fields))


def _with_comment(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {"comment" if name == "description" else name: fact for name, fact in facts.items()}


def _create_table(place: str, definition: Table, privacy: str) -> DeltaTable:
    """Create a Delta table without rows."""
    return DeltaTable.create(
        place,
        _delta_schema(definition),
        name=definition.name,
        description=f"One row per {definition.grain}.",
        configuration={
            VERSION_PROPERTY: str(SCHEMA_VERSION),
            PRIVACY_PROPERTY: privacy,
            _STATISTICS_PROPERTY: ",".join(_statistics_columns(definition)),
        },
        raise_if_key_not_exists=False,
    )


def _statistics_columns(definition: Table) -> list[str]:
    """Columns whose minima and maxima go into the log, so that readers can skip files: nothing personal."""
    times = [column for column in definition.columns if column.kind in (Kind.INSTANT, Kind.DAY)]
    return [ORDER_ID.name, *(column.name for column in times if column.privacy is Privacy.NONE)]


def _replaced_order_ids(job: ExportJob) -> pl.DataFrame:
    """The ids of orders whose rows in the target are removed: those that are written, and those that are erased."""
    orders = job.tables["orders"].select(ORDER_ID.name).collect()
    return pl.concat([orders, pl.DataFrame({ORDER_ID.name: job.erased_order_ids}, schema=orders.schema)])


def _replace_orders(
    table: DeltaTable, rows: pl.LazyFrame, replaced: pl.DataFrame, properties: CommitProperties,
    max_ids_in_predicate: int,
) -> None:  # fmt: skip
    """Replace the rows of some orders in one commit."""
    staying = _scan_rows(table).join(replaced.lazy(), on=ORDER_ID.name, how="anti")
    predicate = None
    if staying.select(pl.len()).collect().item():
        if replaced.height <= max_ids_in_predicate:
            predicate = f"{ORDER_ID.name} IN ({', '.join(map(str, replaced.to_series()))})"
        else:
            rows = pl.concat([staying, rows])
    write_deltalake(
        table,
        rows.collect_batches(chunk_size=BATCH_ROWS, lazy=True),
        mode="overwrite",
        predicate=predicate,
        writer_properties=_WRITER,
        commit_properties=properties,
    )


def _scan_rows(table: DeltaTable) -> pl.LazyFrame:
    """The rows of a table; polars (2.1) does not find files whose path has a space, an umlaut or a %."""
    files = table.file_uris()
    if urls.is_remote(files[0] if files else "") or not any("%" in file for file in files):
        return pl.scan_delta(table)
    return pl.scan_parquet([unquote(file) for file in files], glob=False)


def _remove_history(table: DeltaTable, facts: dict[str, str]) -> None:
    """Remove the files and log entries of all earlier versions of a table."""
    properties = CommitProperties(facts)
    table.vacuum(0, dry_run=False, enforce_retention_duration=False, full=True, commit_properties=properties)
    kept = table.metadata().configuration.get(_LOG_RETENTION_PROPERTY, _DEFAULT_RETENTION)
    table.alter.set_table_properties({_LOG_RETENTION_PROPERTY: _NO_RETENTION}, commit_properties=properties)
    table.create_checkpoint()
    table.cleanup_metadata()
    kept = _DEFAULT_RETENTION if kept == _NO_RETENTION else kept  # left by an interrupted removal
    table.alter.set_table_properties({_LOG_RETENTION_PROPERTY: kept}, commit_properties=properties)
