"""OCEL 2.0 export: the event log of the orders as JSON or SQLite, for tools of process mining.

The standard: https://www.ocel-standard.org. Orders are written some thousands at a time, so that memory stays flat.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import msgspec
import polars as pl

from quivo_frames.errors import ConfigError, ExportError
from quivo_frames.export.event_log import (
    EVENT_ATTRIBUTES,
    EVENT_TYPES,
    NEEDED_TABLES,
    EventLog,
    event_log,
    object_attributes,
)
from quivo_frames.export.formats import ExportFormat, ExportJob, ExportResult
from quivo_frames.export.sql import quote_identifier
from quivo_frames.storage.atomic import OutputKind, explain_disk_error, is_disk_error, new_file, temporary_folder_of

_SQLITE_ENDINGS = (".sqlite", ".sqlite3", ".db")
_JSON_START = b'{\n"objectTypes": [{"name":"order",'
_SQLITE_MAGIC = b"SQLite format 3\x00"
_APPLICATION_ID = 0x51_46_4F_43
"""Marks our SQLite files, in bytes 68 to 71 of their header: QFOC."""
_ORDERS_AT_A_TIME = 2_000
_ALWAYS = "1970-01-01T00:00:00Z"
"""Since when the attribute of an object holds, if that is not known: as the standard has it."""
_SQL_TYPES = {"string": "TEXT", "integer": "INTEGER", "float": "REAL", "boolean": "INTEGER"}


def write_tables(job: ExportJob, out: str) -> ExportResult:
    """Write the event log: SQLite if the name of the file ends in .sqlite, .sqlite3 or .db, else JSON.

    Raises:
        ConfigError: the tables were built without derived ones, or the file was not written by quivo_frames.
        ExportError: SQLite cannot write.
        OSError: the disk refuses.
    """
    if missing := [name for name in NEEDED_TABLES if name not in job.tables]:
        raise ConfigError(
            f"An event log needs the derived table {missing[0]}. Build the tables again without --no-derived."
        )
    write = _write_sqlite if Path(out).suffix.lower() in _SQLITE_ENDINGS else _write_json
    with new_file(Path(out), KIND) as file, temporary_folder_of(file) as folder:
        rows = write(job, folder / file.name, out)
        job.refuse_outdated()
        (folder / file.name).rename(file)
    return ExportResult(ExportFormat.OCEL, out, rows)


def _event_logs(job: ExportJob) -> Iterator[EventLog]:
    """The event logs of all orders, some thousands at a time."""
    ids = job.tables["orders"].select(pl.col("order_id").unique().sort()).collect().to_series()
    for some in ids.to_frame().iter_slices(_ORDERS_AT_A_TIME):
        these = pl.col("order_id").is_between(some.item(0, 0), some.item(-1, 0))
        yield event_log({name: job.tables[name].filter(these).collect().lazy() for name in NEEDED_TABLES})


def _write_json(job: ExportJob, file: Path, _: str) -> dict[str, int]:
    """Objects first, events after them: these wait in a file of their own."""
    counts = {"objects": 0, "events": 0}
    waiting = file.with_name("events")
    with file.open("wb") as objects, waiting.open("w+b") as events:
        objects.write(b'{\n"objectTypes": ' + msgspec.json.encode(_describe_types(object_attributes(job.definitions))))
        objects.write(
            b',\n"eventTypes": ' + msgspec.json.encode(_describe_types(dict.fromkeys(EVENT_TYPES, EVENT_ATTRIBUTES)))
        )
        objects.write(b',\n"objects": [')
        for log in _event_logs(job):
            linked = _relationships_by_source(log.object_object, "ocel_source_id", "ocel_target_id")
            for name, rows in log.objects.items():
                found = (_json_object(row, name, linked) for row in rows.iter_rows(named=True))
                counts["objects"] = _write_elements(objects, found, counts["objects"])
            related = _relationships_by_source(log.event_object, "ocel_event_id", "ocel_object_id")
            happened = (_json_event(row, related) for row in log.events.iter_rows(named=True))
            counts["events"] = _write_elements(events, happened, counts["events"])
        events.seek(0)
        objects.write(b'\n],\n"events": [')
        shutil.copyfileobj(events, objects)
        objects.write(b"\n]\n}\n")
    return counts


def _describe_types(types: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    return [
        {"name": name, "attributes": [{"name": column, "type": kind} for column, kind in attributes.items()]}
        for name, attributes in types.items()
    ]


def _relationships_by_source(rows: pl.DataFrame, source: str, target: str) -> dict[str, list[dict[str, str]]]:
    named = rows.group_by(source, maintain_order=True).agg(pl.struct(objectId=target, qualifier="ocel_qualifier"))
    return dict(named.iter_rows())


def _json_object(row: dict[str, Any], kind: str, linked: Mapping[str, list[dict[str, str]]]) -> dict[str, Any]:
    number = row.pop("ocel_id")
    known = [{"name": name, "time": _ALWAYS, "value": value} for name, value in row.items() if value is not None]
    return {"id": number, "type": kind, "attributes": known, "relationships": linked.get(number, [])}


def _json_event(row: dict[str, Any], related: Mapping[str, list[dict[str, str]]]) -> dict[str, Any]:
    number, kind, time = (row.pop(f"ocel_{name}") for name in ("id", "type", "time"))
    known = [{"name": name, "value": value} for name, value in row.items() if value is not None]
    return {"id": number, "type": kind, "time": time, "attributes": known, "relationships": related.get(number, [])}


def _write_elements(stream: IO[bytes], elements: Iterator[dict[str, Any]], already: int) -> int:
    """Writes elements of a list that has some already, one a line; returns how many it has then."""
    for element in elements:
        stream.write((b",\n" if already else b"\n") + msgspec.json.encode(element))
        already += 1
    return already


def _write_sqlite(job: ExportJob, file: Path, out: str) -> dict[str, int]:
    attributes = object_attributes(job.definitions)
    counts = {"objects": 0, "events": 0}
    try:
        with closing(sqlite3.connect(file)) as db:
            db.executescript(_schema_statements(attributes))
            for log in _event_logs(job):
                for name, rows in log.objects.items():
                    _insert_rows(db, "object", rows.select("ocel_id", pl.lit(name)))
                    _insert_rows(
                        db,
                        f"object_{_table_suffix(name)}",
                        rows.select(
                            "ocel_id",
                            pl.lit(_ALWAYS).alias("ocel_time"),
                            pl.lit(None).alias("ocel_changed_field"),
                            pl.exclude("ocel_id"),
                        ),
                    )
                    counts["objects"] += rows.height
                _insert_rows(db, "event", log.events.select("ocel_id", "ocel_type"))
                for (name,), rows in log.events.partition_by("ocel_type", as_dict=True).items():
                    written = pl.col("ocel_time").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
                    _insert_rows(
                        db,
                        f"event_{_table_suffix(str(name))}",
                        rows.select("ocel_id", written, *EVENT_ATTRIBUTES),
                    )
                counts["events"] += log.events.height
                _insert_rows(db, "event_object", log.event_object)
                _insert_rows(db, "object_object", log.object_object)
            db.commit()
    except sqlite3.Error as error:  # its message may hold a value of an order
        cause = explain_disk_error(error) if is_disk_error(error) else f"SQLite refused them ({type(error).__name__})"
        raise ExportError(
            f"The tables cannot be written to {out}: {cause}. What was there before is untouched. Make room or give "
            "another place, and export again."
        ) from error
    return counts


def _table_suffix(kind: str) -> str:
    """A type in the names of tables: reversed: picked up -> reversed_picked_up."""
    return re.sub(r"\W+", "_", kind)


def _schema_statements(attributes: Mapping[str, Mapping[str, str]]) -> str:
    """The tables of the standard's relational schema, and its two lists of types."""
    kinds = {"object": list(attributes), "event": list(EVENT_TYPES)}
    statements = [f"PRAGMA application_id = {_APPLICATION_ID}", "PRAGMA journal_mode = OFF"]
    for kind, names in kinds.items():
        values = ", ".join(f"('{name}', '{_table_suffix(name)}')" for name in names)
        statements += [
            f"CREATE TABLE {kind}_map_type (ocel_type TEXT PRIMARY KEY, ocel_type_map TEXT)",
            f"INSERT INTO {kind}_map_type VALUES {values}",  # noqa: S608 - names of types
            f"CREATE TABLE {kind} (ocel_id TEXT PRIMARY KEY, ocel_type TEXT REFERENCES {kind}_map_type (ocel_type))",
        ]
    for name, columns in attributes.items():
        typed = "".join(f", {quote_identifier(column)} {_SQL_TYPES[kind]}" for column, kind in columns.items())
        statements.append(
            f"CREATE TABLE object_{_table_suffix(name)} (ocel_id TEXT PRIMARY KEY REFERENCES object (ocel_id), "
            f"ocel_time TIMESTAMP, ocel_changed_field TEXT{typed})"
        )
    typed = "".join(f", {quote_identifier(column)} {_SQL_TYPES[kind]}" for column, kind in EVENT_ATTRIBUTES.items())
    statements += [
        f"CREATE TABLE event_{_table_suffix(name)} (ocel_id TEXT PRIMARY KEY REFERENCES event (ocel_id), "
        f"ocel_time TIMESTAMP{typed})"
        for name in EVENT_TYPES
    ]
    for kind, (source, target) in (("event", ("event", "object")), ("object", ("source", "target"))):
        statements.append(
            f"CREATE TABLE {kind}_object (ocel_{source}_id TEXT REFERENCES {kind} (ocel_id), "
            f"ocel_{target}_id TEXT REFERENCES object (ocel_id), ocel_qualifier TEXT, "
            f"PRIMARY KEY (ocel_{source}_id, ocel_{target}_id, ocel_qualifier))"
        )
    return ";\n".join([*statements, ""])


def _insert_rows(db: sqlite3.Connection, table: str, rows: pl.DataFrame) -> None:
    places = ", ".join("?" * rows.width)
    db.executemany(f"INSERT INTO {table} VALUES ({places})", rows.iter_rows())  # noqa: S608 - a table of the schema


def find_orders(file: Path, order_ids: Collection[int]) -> Iterator[int]:
    """Those of some orders that an event log in SQLite holds.

    Raises:
        ExportError: it cannot be read, or is none.
    """
    if not _is_our_database(file):
        raise ExportError(f"{file} is no event log of quivo_frames.")
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as db:
            for order_id in order_ids:
                if db.execute("SELECT 1 FROM object WHERE ocel_id = ?", (f"order:{order_id}",)).fetchone():
                    yield order_id
    except sqlite3.Error as error:
        raise ExportError(f"{file} cannot be read as an SQLite file.") from error


def _is_our_database(file: Path) -> bool:
    with file.open("rb") as stream:
        head = stream.read(72)
    return head.startswith(_SQLITE_MAGIC) and int.from_bytes(head[68:72]) == _APPLICATION_ID


def _is_earlier_export(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(_JSON_START)) == _JSON_START or _is_our_database(file)


KIND = OutputKind("event log", _is_earlier_export, (".json", ".jsonocel", *_SQLITE_ENDINGS))
