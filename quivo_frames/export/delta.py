"""An export to Delta Lake: OUT/<table> is a Delta table each, in a folder or an object store. Only here: deltalake.

The rows of the orders that are written replace those that the target has of these orders; other orders stay. Nothing
commits several tables at once: children come first and `orders` last, and the name of the tables is the application
transaction of each commit. An export that was cut off goes on, when repeated, with the tables that have no such commit
yet; of two at a time Delta Lake refuses one, since both are transactions of one application.

The log of a Delta table repeats the least and greatest values of columns: here those of order ids and times alone.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import polars as pl
from deltalake import CommitProperties, DeltaTable, Field, Schema, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from quivo_frames.errors import ConfigError, ExportError
from quivo_frames.export.formats import ExportFormat, ExportJob, ExportResult
from quivo_frames.model.order import Kind, Privacy
from quivo_frames.model.tables import ORDER_ID, SCHEMA_VERSION, Table
from quivo_frames.storage import urls
from quivo_frames.storage.parquet import ROW_GROUP_ROWS, ZSTD_LEVEL, arrow_schema

APPLICATION = "quivo_frames"
MAX_IDS_IN_PREDICATE = 1_000
"""Up to so many orders, Delta Lake finds their rows by the ids; from there on, to write all that stays is quicker."""
BATCH_ROWS = 10_000
"""Rows handed over at a time."""
COMMIT_ATTEMPTS = 10
"""How often a table is looked at anew that others change while it is committed to."""
VERSION_PROPERTY, PRIVACY_PROPERTY = "quivo_frames.schema_version", "quivo_frames.privacy"
"""Properties of a table."""
_STATISTICS_PROPERTY, _LOG_RETENTION_PROPERTY = "delta.dataSkippingStatsColumns", "delta.logRetentionDuration"
_NO_RETENTION, _DEFAULT_RETENTION = "interval 0 days", "interval 30 days"
_WRITER = WriterProperties(compression="ZSTD", compression_level=ZSTD_LEVEL, max_row_group_size=ROW_GROUP_ROWS)
_UNSAFE_IN_PATH = r"%[0-9A-Fa-f]{2}|[\[\]#?]"
"""What delta-rs (1.6) takes for a part of an address, or fails at, in a path."""
_AFTER = "Tables that were written already stay so; the same export again completes it."


class _CommitIdentity(NamedTuple):
    """What the commits of an export say of themselves."""

    name: str
    version: str
    rows: Mapping[str, int]

    @property
    def transaction_version(self) -> int:
        """The name as a number, for a transaction has no other."""
        return int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:8]) >> 1

    def user_metadata(self, table: str) -> dict[str, str]:
        """What the history of a table shows, in Spark, too."""
        facts = {"by": APPLICATION, "version": self.version, "tables": self.name, "rows": self.rows[table]}
        return {"userMetadata": json.dumps(facts)}

    def is_latest_commit_of(self, table: str, target: DeltaTable) -> bool:
        """Whether the target has this commit, and nobody changed it since."""
        last: Mapping[str, Any] = target.history(1)[0]
        return (
            target.transaction_version(APPLICATION) == self.transaction_version
            and self.user_metadata(table).items() <= last.items()
        )

    def commit_properties(self, table: str, retries: int | None = None) -> CommitProperties:
        """For a commit that leaves the table as the export says.

        Without retries, nobody may have changed the table since it was looked at. With them, Delta Lake lets pass what
        it takes for harmless: rows that somebody added stay, and of a table that was made compact they are there twice.
        """
        return CommitProperties(
            self.user_metadata(table), retries, [Transaction(APPLICATION, self.transaction_version)]
        )


def write_tables(outgoing: ExportJob, out: str) -> ExportResult:
    """The tables as Delta tables; what they hold of other orders stays.

    Raises:
        ConfigError: a table there is of another shape, version or privacy, or the place holds something else. Nothing
            was changed then.
        ExportError: the place cannot be written, or another job changed a table at the same time.
    """
    place = _checked_address(out)
    with urls.explain_storage_errors(f"The tables cannot be written to {out}", "export again", _AFTER):
        found = {name: _open_table(f"{place}/{name}") for name in outgoing.definitions}
        for name, table in found.items():
            if table is not None:
                _refuse_mismatch(table, f"{out.rstrip('/')}/{name}", outgoing.definitions[name], outgoing.privacy)
        counts = pl.collect_all([rows.select(pl.len()) for rows in outgoing.tables.values()])
        rows = {name: count.item() for name, count in zip(outgoing.tables, counts, strict=True)}
        commit = _CommitIdentity(f"{outgoing.snapshot_name} {outgoing.privacy}", outgoing.version, rows)
        replaced = _replaced_order_ids(outgoing)
        if not urls.is_remote(out):
            Path(place).mkdir(mode=0o700, parents=True, exist_ok=True)  # what Delta Lake writes, all may read
        written = False
        for name in reversed(list(outgoing.definitions)):
            try:
                table = found[name] or _create_table(f"{place}/{name}", outgoing.definitions[name], outgoing.privacy)
                if outgoing.erased_order_ids or not commit.is_latest_commit_of(name, table):
                    _replace_orders(table, outgoing.tables[name], replaced, commit.commit_properties(name))
                    written = True
                if outgoing.erased_order_ids:
                    _remove_history(table, commit.user_metadata(name))
            except CommitFailedError as error:
                raise ExportError(
                    f"Another job changed the table {name} of {out} at the same time, and was first. "
                    f"Export again. {_AFTER}"
                ) from error
    told = [] if written else ["All of them were there already: nothing was written."]
    if outgoing.erased_order_ids:
        told = ["Earlier versions of the tables are gone, with all that they held of the erased orders."]
    return ExportResult(ExportFormat.DELTA, out, rows, told)


class DataFile(NamedTuple):
    """A parquet file that is in the folder of its table already: its name there, rows, bytes, least and greatest id."""

    name: str
    rows: int
    bytes: int
    id_range: tuple[int | None, int | None]

    def add_action(self) -> AddAction:
        """What the log says of it: readers pass over files by the ids of orders."""
        stats: dict[str, Any] = {"numRecords": self.rows}
        if self.rows:
            of_ids = zip(("minValues", "maxValues", "nullCount"), (*self.id_range, 0), strict=True)
            stats |= {kind: {ORDER_ID.name: value} for kind, value in of_ids}
        return AddAction(self.name, self.bytes, {}, int(time.time() * 1000), data_change=True, stats=json.dumps(stats))


def find_target_tables(out: str, described: Mapping[str, Table], privacy: str) -> dict[str, DeltaTable | None]:
    """The Delta tables that are there, by name.

    Raises:
        ConfigError: one is of another shape, version or privacy, or was written by somebody else; or Delta Lake cannot
            write there.
    """
    return {name: _find_target_table(out, table, privacy) for name, table in described.items()}


def open_or_create_tables(out: str, described: Mapping[str, Table], privacy: str) -> dict[str, DeltaTable]:
    """The Delta tables as they are now, by name; those that are not there are made, without rows.

    Raises:
        ConfigError: as for `targets`.
    """
    found: dict[str, DeltaTable] = {}
    for name, table in described.items():
        there = _find_target_table(out, table, privacy)
        if there is None:
            try:
                there = _create_table(f"{_delta_address(out)}/{name}", table, privacy)
            except DeltaError:  # another made it meanwhile
                if (there := _find_target_table(out, table, privacy)) is None:
                    raise
        found[name] = there
    return found


def commit_data_files(
    tables: Mapping[str, DeltaTable],
    files: Mapping[str, Sequence[DataFile]],
    version: str,
    privacy: str,
    is_current: Callable[[], bool],
) -> bool:
    """Makes files that are in their folders already the rows of each table: one commit a table, `orders` last.

    A table that has this very commit already is left as it is: so what was cut off is completed by the same again.
    `still` tells whether nobody else is about to commit to these tables: `tables` must be as they were before this
    became true, and each is looked at anew before `still` is asked again. So who comes too late is never the last.

    Returns:
        Whether all is committed; else somebody else is about to.

    Raises:
        CommitFailedError: a table was changed each time that this was tried.
    """
    content = hashlib.sha256(json.dumps([files[name] for name in tables]).encode()).hexdigest()
    rows = {name: sum(file.rows for file in files[name]) for name in tables}
    commit = _CommitIdentity(f"{content} {privacy}", version, rows)
    for name, table in reversed(list(tables.items())):
        actions: list[AddAction | RemoveAction] = [file.add_action() for file in files[name]]
        tries = COMMIT_ATTEMPTS
        while not commit.is_latest_commit_of(name, table):
            try:
                table.create_write_transaction(
                    actions, "overwrite", table.schema(), commit_properties=commit.commit_properties(name, retries=0)
                )
                break
            except CommitFailedError:
                tries -= 1
                if not tries:
                    raise
                table.update_incremental()
                if not is_current():
                    return False
    return True


def _find_target_table(out: str, described: Table, privacy: str) -> DeltaTable | None:
    try:
        there = DeltaTable(f"{_delta_address(out)}/{described.name}")
    except TableNotFoundError:
        return None
    _refuse_mismatch(there, f"{out.rstrip('/')}/{described.name}", described, privacy)
    return there


def _checked_address(out: str) -> str:
    """Where the tables go.

    Raises:
        ConfigError: it is a file, a folder with something else than Delta tables in it, or of a name that does not do.
    """
    place = _delta_address(out)
    if urls.is_remote(out):
        return place
    folder = Path(place)
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    for entry in (entry for entry in entries if not entry.name.startswith((".", "_"))):
        if not (entry / "_delta_log").is_dir() and (entry.is_file() or any(entry.iterdir())):
            raise ConfigError(
                f"The folder {out} holds something else than Delta tables ({entry.name}, for one). "
                "Nothing was written. Give an empty or a new folder."
            )
    return place


def _delta_address(out: str) -> str:
    """A folder or an address as Delta Lake takes it.

    Raises:
        ConfigError: it takes no such name, or it is a file.
    """
    if urls.is_remote(out):
        return urls.check_address(out)
    folder = Path(out).resolve()
    if folder.is_file():
        raise ConfigError(f"{out} is a file. Give a folder for the Delta tables.")
    if found := re.search(_UNSAFE_IN_PATH, str(folder)):
        raise ConfigError(f"Delta Lake cannot write to {out}, for it reads {found[0]} otherwise. Give another name.")
    return str(folder)


def _open_table(place: str) -> DeltaTable | None:
    try:
        return DeltaTable(place)
    except TableNotFoundError:
        if urls.is_remote(place) and urls.holds_parquet(place):
            raise ConfigError(
                f"There are parquet files in {place} that are no Delta table. Nothing was written. "
                "Give an empty or a new place."
            ) from None
        return None


def _refuse_mismatch(table: DeltaTable, place: str, described: Table, privacy: str) -> None:
    """Refuses a target that these rows do not fit into."""
    there = {field.name: _type_name(field) for field in table.schema().fields}
    ours = {field.name: _type_name(field) for field in _delta_schema(described).fields}
    for column in there | ours:
        if there.get(column) != ours.get(column):
            told = [f"is {types[column]}" if column in types else "is not" for types in (there, ours)]
            raise ConfigError(
                f"The Delta table {place} is of another shape: its column {column} {told[0]} there, and {told[1]} in "
                "these tables. Nothing was written. Give a new place, or build and export with the version of then."
            )
    properties = table.metadata().configuration
    if PRIVACY_PROPERTY not in properties:
        raise ConfigError(f"quivo_frames did not write the Delta table {place}. Nothing was written. Give a new place.")
    if properties.get(VERSION_PROPERTY) != str(SCHEMA_VERSION):
        raise ConfigError(
            f"The Delta table {place} is of version {properties.get(VERSION_PROPERTY)} of the tables, these are of version "
            f"{SCHEMA_VERSION}. Nothing was written. Give a new place."
        )
    if properties[PRIVACY_PROPERTY] != privacy:
        raise ConfigError(
            f"The Delta table {place} holds orders with --privacy {properties[PRIVACY_PROPERTY]}, these have --privacy "
            f"{privacy}, and the two do not mix. Nothing was written. Give a place for each."
        )


def _type_name(field: Field) -> str:
    return str(getattr(field.type, "type", field.type))


def _delta_schema(described: Table) -> Schema:
    """The schema of a Delta table; `comment` is what Spark and Databricks show beside a column."""
    plain = Schema.from_arrow(arrow_schema(described))
    return Schema(
        [
            Field(field.name, field.type, nullable=field.nullable, metadata=_with_comment(field.metadata))
            for field in plain.fields
        ]
    )


def _with_comment(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {"comment" if name == "description" else name: fact for name, fact in facts.items()}


def _create_table(place: str, described: Table, privacy: str) -> DeltaTable:
    """A Delta table without rows."""
    return DeltaTable.create(
        place,
        _delta_schema(described),
        name=described.name,
        description=f"One row per {described.grain}.",
        configuration={
            VERSION_PROPERTY: str(SCHEMA_VERSION),
            PRIVACY_PROPERTY: privacy,
            _STATISTICS_PROPERTY: ",".join(_statistics_columns(described)),
        },
        raise_if_key_not_exists=False,
    )


def _statistics_columns(described: Table) -> list[str]:
    """Columns by whose least and greatest values readers pass over files: ids of orders and times, nothing personal."""
    times = [column for column in described.columns if column.kind in (Kind.INSTANT, Kind.DAY)]
    return [ORDER_ID.name, *(column.name for column in times if column.privacy is Privacy.NONE)]


def _replaced_order_ids(outgoing: ExportJob) -> pl.DataFrame:
    """The ids of the orders whose rows in the target go: those that are written, and those that are erased."""
    orders = outgoing.tables["orders"].select(ORDER_ID.name).collect()
    return pl.concat([orders, pl.DataFrame({ORDER_ID.name: outgoing.erased_order_ids}, schema=orders.schema)])


def _replace_orders(
    table: DeltaTable, rows: pl.LazyFrame, replaced: pl.DataFrame, properties: CommitProperties
) -> None:
    """Puts rows in the place of those of the orders replaced, in one commit."""
    staying = _scan_rows(table).join(replaced.lazy(), on=ORDER_ID.name, how="anti")
    predicate = None
    if staying.select(pl.len()).collect().item():
        if replaced.height <= MAX_IDS_IN_PREDICATE:
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
    """The rows of a table; polars (2.1) does not find its files where a name has a space, an umlaut or a %."""
    files = table.file_uris()
    if urls.is_remote(files[0] if files else "") or not any("%" in file for file in files):
        return pl.scan_delta(table)
    return pl.scan_parquet([unquote(file) for file in files], glob=False)


def _remove_history(table: DeltaTable, facts: dict[str, str]) -> None:
    """Removes the files and the log of all earlier versions of a table."""
    properties = CommitProperties(facts)
    table.vacuum(0, dry_run=False, enforce_retention_duration=False, full=True, commit_properties=properties)
    kept = table.metadata().configuration.get(_LOG_RETENTION_PROPERTY, _DEFAULT_RETENTION)
    table.alter.set_table_properties({_LOG_RETENTION_PROPERTY: _NO_RETENTION}, commit_properties=properties)
    table.create_checkpoint()
    table.cleanup_metadata()
    kept = _DEFAULT_RETENTION if kept == _NO_RETENTION else kept  # a clearing that was cut off left it so
    table.alter.set_table_properties({_LOG_RETENTION_PROPERTY: kept}, commit_properties=properties)
