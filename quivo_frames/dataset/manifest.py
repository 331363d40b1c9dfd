"""The manifest of a dataset, and the names of the files next to it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from quivo_frames.errors import ConfigError
from quivo_frames.model.tables import REPORT_TABLES, SCHEMA_VERSION, TABLES
from quivo_frames.storage.place import Place

MANIFEST = "manifest.json"
EXPORTS = "exports.json"
LINEAGE = ".lineage"
BUILDING = ".building"
LOCK = ".lock"
PARQUET, DELTA = "parquet", "delta"
"""The formats of a dataset: parquet files, or Delta tables."""
_COMMITTING = "committing"
_OWNER_MARK = {"dataset": "quivo_frames"}
_NAMES = "|".join((*TABLES, *REPORT_TABLES))
_UNFINISHED = r"\.[^/\s]+-"
"""The start of the name of a file that a killed process left incomplete."""
_COMMITTED_FILE = rf"(?:{_NAMES})/(?:{_UNFINISHED})?[0-9a-f]+-\d+-[0-9a-f]+\.parquet"
_TEMPORARY_FILE = rf"{_UNFINISHED}(?:{re.escape(MANIFEST)}|{re.escape(EXPORTS)})|\.probe-[0-9a-f]+"
_FOLDER_FILE = rf"(?:{_NAMES})\.parquet|{re.escape(LINEAGE)}/.*|{re.escape(BUILDING)}/.*"
_DELTA_LOG_FILE = rf"(?:{_NAMES})/_delta_log/.*"
_DATASET_FILE = re.compile(f"{_COMMITTED_FILE}|{_TEMPORARY_FILE}|{_FOLDER_FILE}")
_BUILD_FILE = re.compile(f"{_COMMITTED_FILE}|{_TEMPORARY_FILE}|{_DELTA_LOG_FILE}|{re.escape(LOCK)}")

TableFiles = Sequence["DatasetFile"]
"""The files of a table, in the order of its rows."""


class DatasetFile(NamedTuple):
    """A file of a dataset: its name relative to the folder, rows, bytes and sha256."""

    file: str
    rows: int
    bytes: int
    sha256: str


def read_manifest(place: Place) -> dict[str, Any] | None:
    """The manifest at a place; None if there is none, or not one of ours."""
    try:
        return parse_manifest(place.read(MANIFEST))
    except OSError:
        return None


def parse_manifest(text: bytes | None) -> dict[str, Any] | None:
    """A manifest without the announcement of a commit; None if it is not one of ours."""
    found = _load_json(text)
    if found is not None:
        found.pop(_COMMITTING, None)
    return found


def announce_commit(text: bytes | None, form: str, run: str) -> bytes:
    """The same manifest with the announcement that a run is about to commit to the Delta logs."""
    return json.dumps({**(parse_manifest(text) or {**_OWNER_MARK, "form": form}), _COMMITTING: run}, indent=2).encode()


def is_commit_announced(text: bytes | None) -> bool:
    """Whether a run is about to commit, or was interrupted while it did."""
    return _COMMITTING in (_load_json(text) or {})


def _load_json(text: bytes | None) -> dict[str, Any] | None:
    try:
        found = json.loads(text or b"")
    except ValueError:
        return None
    return found if isinstance(found, dict) and _OWNER_MARK.items() <= found.items() else None


def refuse_other_format(previous: Mapping[str, Any], form: str, address: str) -> None:
    """Refuse to replace tables of another format: a Delta log must not name files that are gone.

    Raises:
        ConfigError: `previous` is the manifest of tables of another format.
    """
    existing = previous.get("form", PARQUET) if previous else form
    if existing != form:
        held = "Delta tables" if existing == DELTA else "tables that are not Delta tables"
        raise ConfigError(
            f"{address} holds {held}. Nothing was written. Build as {existing} again, or give another place."
        )


def render_manifest(
    facts: Mapping[str, Any], tables: Mapping[str, TableFiles], lineage: Mapping[str, TableFiles]
) -> bytes:
    """The bytes of a manifest: facts of the build, and the files of each table."""
    begin = {**_OWNER_MARK, "schema_version": SCHEMA_VERSION}
    files = {"tables": _describe_files(tables), "lineage": _describe_files(lineage)}
    return json.dumps({**begin, **facts, **files}, indent=2, ensure_ascii=False).encode()


def _describe_files(tables: Mapping[str, TableFiles]) -> dict[str, Any]:
    return {
        name: {"rows": count_rows(files), "files": [file._asdict() for file in files]} for name, files in tables.items()
    }


def count_rows(files: TableFiles) -> int:
    """The total number of rows of some files."""
    return sum(file.rows for file in files)


def files_of_table(facts: Mapping[str, Any]) -> TableFiles:
    """The files of a table, from its entry in a manifest."""
    return [DatasetFile(**file) for file in facts["files"]]


def list_files(manifest: Mapping[str, Any] | None) -> Iterator[DatasetFile]:
    """All files that a manifest names."""
    known = manifest or {}
    for facts in (*known.get("tables", {}).values(), *known.get("lineage", {}).values()):
        yield from files_of_table(facts)


def is_dataset_file(name: str) -> bool:
    """Whether a file belongs to a dataset of any format; if no manifest names it, it can be removed."""
    return _DATASET_FILE.fullmatch(name) is not None


def has_unfinished_build(place: Place) -> bool:
    """Whether there are files of a build that is running or was interrupted."""
    names = [entry.name for entry in place.list_entries()]
    return any(_BUILD_FILE.fullmatch(name) or name.startswith(f"{BUILDING}/") for name in names)


def find_foreign_file(place: Place) -> str | None:
    """The name of a file that no build wrote, in a place without a manifest."""
    names = [entry.name for entry in place.list_entries()]
    if any(name.startswith(f"{BUILDING}/") for name in names):  # a build was interrupted while it moved its files
        return None
    return next((name for name in names if not _BUILD_FILE.fullmatch(name)), None)
