"""The manifest of a dataset, the names of the files next to it, and what a build may replace."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from quivo_frames.dataset.manifest_facts import (
    COMMITTED_FILE,
    DELTA,
    EXPORTED,
    LINEAGE,
    PARQUET,
    TABLE_PATHS,
    UNFINISHED,
    CurrentManifestFacts,
    ManifestFacts,
    ManifestHead,
    file_stem,
)
from quivo_frames.errors import ConfigError, DatasetError, QuivoError
from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.tables import REPORT_TABLES, SCHEMA_VERSION, TABLES
from quivo_frames.storage.atomic import EXPORT_MARKER
from quivo_frames.storage.own_json import DIGEST, decode_own_json, digest_of_facts
from quivo_frames.storage.place import Place

MANIFEST = "manifest.json"
EXPORTS = "exports.json"
FOUND = "findings.parquet"
"""What audits found before."""
BUILDING = ".building"
LOCK = ".lock"
_COMMITTING = "committing"
"""The announcement of a commit: like the digest of the facts, no fact of the dataset."""
_OWNER_MARK = {"dataset": "quivo_frames"}
_OWNER_MARK_TEXT = re.compile(rb'"dataset"\s*:\s*"quivo_frames"')
_KEPT_FILES = "|".join(map(re.escape, (MANIFEST, EXPORTS, FOUND)))
_TEMPORARY_FILE = rf"{UNFINISHED}(?:{_KEPT_FILES})|\.probe-[0-9a-f]+"
_FOLDER_FILE = rf"(?:{TABLE_PATHS})\.parquet|{re.escape(LINEAGE)}/.*|{re.escape(BUILDING)}/.*"
_DELTA_LOG_FILE = rf"(?:{TABLE_PATHS})/_delta_log/.*"
_DATASET_FILE = re.compile(f"{COMMITTED_FILE}|{_TEMPORARY_FILE}|{_FOLDER_FILE}")
_BUILD_FILE = re.compile(f"{COMMITTED_FILE}|{_TEMPORARY_FILE}|{_DELTA_LOG_FILE}|{re.escape(LOCK)}")
_REBUILD = "Build the tables again with --full (in Python full=True). Other files in the folder stay as they are."

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
    return parse_manifest(read_manifest_bytes(place))


def read_manifest_bytes(place: Place) -> bytes | None:
    """The content of the manifest file; None if it cannot be read."""
    try:
        return place.read(MANIFEST)
    except OSError:
        return None


def parse_manifest(text: bytes | None) -> dict[str, Any] | None:
    """The facts of a manifest, unchecked; None if it is not one of ours."""
    found = _parse_marked(text)
    if found is not None:
        found.pop(_COMMITTING, None)
        found.pop(DIGEST, None)
    return found


def read_checked_manifest(place: Place) -> dict[str, Any]:
    """The manifest at a place, complete and of the types that code relies on.

    Raises:
        ConfigError: there is no dataset.
        DatasetError: it is being built, damaged, or of another version.
    """
    data = read_manifest_bytes(place)
    facts = parse_manifest(data)
    if data is None or facts is None or ("form" in facts and "tables" not in facts):
        raise _explain_missing_dataset(place, data)
    file = place.uri(MANIFEST)
    version = decode_own_json(data, ManifestHead, file, _REBUILD).schema_version
    if version > SCHEMA_VERSION:
        raise DatasetError(f"{place.address} was built by a later version of quivo_frames. Install it, or build again.")
    if version < SCHEMA_VERSION or has_single_files(facts):
        raise DatasetError(f"{place.address} was built by an earlier version of quivo_frames. Build it again.")
    decode_own_json(data, CurrentManifestFacts, file, _REBUILD)
    return facts


def has_single_files(facts: Mapping[str, Any]) -> bool:
    """Whether the manifest is of the first versions, in which each table was one file, and no list of files."""
    tables = facts.get("tables")
    if not isinstance(tables, dict) or DIGEST in facts:
        return False
    return bool(tables) and all(
        isinstance(table, dict) and {"file", "rows"} <= table.keys() for table in tables.values()
    )


def is_manifest_intact(data: bytes | None) -> bool:
    """Whether no fact of a manifest was changed since it was written; of earlier versions nobody can tell."""
    found = _parse_marked(data) or {}
    if DIGEST not in found:
        return found.keys() <= {*ManifestFacts.__struct_fields__, _COMMITTING}
    return bool(found[DIGEST] == digest_of_facts(found, (_COMMITTING,)))


def announce_commit(previous: Mapping[str, Any], form: str, run: str) -> bytes:
    """The previous manifest with the announcement that a run is about to commit to the Delta logs."""
    return _render_facts({**(previous or {**_OWNER_MARK, "form": form}), _COMMITTING: run})


def is_commit_announced(text: bytes | None) -> bool:
    """Whether a run is about to commit, or was interrupted while it did."""
    return _COMMITTING in (_parse_marked(text) or {})


def _parse_marked(text: bytes | None) -> dict[str, Any] | None:
    try:
        found = decode_own_json(text or b"", dict[str, Any], MANIFEST, _REBUILD)
    except DatasetError:
        return None
    return found if _OWNER_MARK.items() <= found.items() else None


def read_replaced_manifest(place: Place, data: bytes | None, form: str, *, rebuild: bool) -> dict[str, Any]:
    """The facts about the dataset that a build of this format replaces; {} if there is none, or they are damaged.

    `data` is the content of the manifest file. With `rebuild` a dataset is replaced whatever is broken in it.

    Raises:
        ConfigError: the place holds files of somebody else, tables of another format, or tables that were exported.
        DatasetError: nobody can tell what the dataset holds, and it is not to be rebuilt.
    """
    found = parse_manifest(data)
    if EXPORTED in (found or {}) or place.read(EXPORT_MARKER) is not None:
        raise ConfigError(
            f"{place.address} holds tables that were exported, which a build does not replace. Nothing was written. "
            "Build into another place, and export again."
        )
    if found is not None:
        refuse_other_format(_form_of(found, place), form, place.address)
        return found if _are_facts_readable(data, found) else {}
    if not holds_damaged_dataset(place, data):
        refuse_foreign_files(place)
        return {}
    if not rebuild:
        raise _damaged_manifest_error(place, data)
    refuse_other_format(_form_of_files(place), form, place.address)
    return {}


def _are_facts_readable(data: bytes | None, facts: Mapping[str, Any]) -> bool:
    """Whether the next build can compare with these facts, also those of a build that was cut off before its first."""
    if "tables" not in facts:
        return True
    try:
        decode_own_json(data or b"", ManifestFacts, MANIFEST, "")
    except DatasetError:
        return False
    return True


def _form_of(facts: Mapping[str, Any], place: Place) -> str:
    form = facts.get("form", PARQUET)
    return form if form in (PARQUET, DELTA) else _form_of_files(place)


def _form_of_files(place: Place) -> str:
    is_delta = any(re.fullmatch(_DELTA_LOG_FILE, entry.name) for entry in place.list_entries())
    return DELTA if is_delta else PARQUET


def refuse_other_format(existing: str, form: str, address: str) -> None:
    """Refuse to replace tables of another format: a Delta log must not name files that are gone.

    Raises:
        ConfigError: the `existing` format is another one.
    """
    if existing != form:
        held = "Delta tables" if existing == DELTA else "tables that are not Delta tables"
        raise ConfigError(
            f"{address} holds {held}. Nothing was written. Build as {existing} again, or give another place."
        )


def holds_dataset(place: Place) -> bool:
    """Whether there is a dataset at a place, which may be damaged."""
    data = read_manifest_bytes(place)
    return parse_manifest(data) is not None or holds_damaged_dataset(place, data)


def holds_damaged_dataset(place: Place, data: bytes | None) -> bool:
    """Whether a place without a readable manifest (`data`) holds a dataset of ours: nobody else has all its tables."""
    if _OWNER_MARK_TEXT.search(data or b""):
        return True
    names = {entry.name for entry in place.list_entries()}
    if data is None and any(name.startswith(f"{BUILDING}/") for name in names):
        return False  # a build was cut off while it moved its files: the next one completes it
    if data is not None:  # before their first commit, workers write such files as well
        names |= {f"{name.partition('/')[0]}.parquet" for name in names if re.fullmatch(COMMITTED_FILE, name)}
    return names >= {f"{name}.parquet" for name in (*TABLES, *REPORT_TABLES)}


def _damaged_manifest_error(place: Place, data: bytes | None) -> DatasetError:
    damage = "is damaged: nobody can tell what belongs to it"
    if data is None:
        damage = "is missing, though all tables are there"
    return DatasetError(f"{place.uri(MANIFEST)} {damage}. {_REBUILD}")


def _explain_missing_dataset(place: Place, data: bytes | None) -> QuivoError:
    """Why there is no dataset in a place whose manifest (`data`) is missing, or is not one."""
    if is_commit_announced(data) or (data is None and has_unfinished_build(place)):
        return DatasetError(f"{place.address} is being built, or a build of it was cut off. Wait, or build it again.")
    if holds_damaged_dataset(place, data):
        return _damaged_manifest_error(place, data)
    cause = f"there is no {MANIFEST} in it" if data is None else f"the {MANIFEST} in it is not one"
    return ConfigError(f"{place.address} is not a dataset of quivo_frames: {cause}.")


def refuse_foreign_files(place: Place) -> None:
    """Refuse a place without a manifest that holds files of somebody else.

    Raises:
        ConfigError: there is such a file.
    """
    if (name := find_foreign_file(place)) is not None:
        raise ConfigError(
            f"{place.address} is not empty and holds no dataset (there is {name}, for one). "
            "Nothing was written. Give an empty or a new place."
        )


def render_manifest(
    facts: Mapping[str, Any], tables: Mapping[str, TableFiles], lineage: Mapping[str, TableFiles]
) -> bytes:
    """The bytes of a manifest: facts of the build, and the files of each table, of derived tables apart."""
    begin = {**_OWNER_MARK, "schema_version": SCHEMA_VERSION}
    derived = {name: tables[name] for name in DERIVED_TABLES if name in tables}
    others = {name: files for name, files in tables.items() if name not in derived}
    named = {"tables": others, "derived": derived, "lineage": lineage}
    files = {kind: _describe_files(found) for kind, found in named.items()}
    return _render_facts({**begin, **facts, **files})


def _render_facts(facts: Mapping[str, Any]) -> bytes:
    return json.dumps({**facts, DIGEST: digest_of_facts(facts, (_COMMITTING,))}, indent=2, ensure_ascii=False).encode()


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


def facts_of_tables(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a manifest for the tables, the derived tables if there are any, and the reports."""
    tables, derived = manifest["tables"], manifest.get("derived", {})
    return {**{name: tables[name] for name in TABLES}, **derived, **tables}


def list_files(manifest: Mapping[str, Any] | None) -> Iterator[DatasetFile]:
    """All files that a manifest names."""
    known = manifest or {}
    for kind in ("tables", "derived", "lineage"):
        for facts in known.get(kind, {}).values():
            yield from files_of_table(facts)


def find_unnamed_files(place: Place, manifest: Mapping[str, Any]) -> list[str]:
    """The files of a dataset that its manifest does not name: what a killed build left, or what one is writing now."""
    named = {file.file for file in list_files(manifest)}
    is_delta = manifest.get("form") == DELTA
    return [
        name
        for name in (entry.name for entry in place.list_entries())
        if name not in named and is_dataset_file(name)
        if not (is_delta and is_in_delta_table(name))  # the log of the table may name it
    ]


def is_in_delta_table(name: str) -> bool:
    """Whether a file of a dataset lies in the folder of a Delta table, if these are Delta tables."""
    return name.rpartition("/")[0] in map(file_stem, (*TABLES, *DERIVED_TABLES))


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
