"""The manifest of a dataset, and the names of what stands beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from quivo_frames.errors import ConfigError
from quivo_frames.model.tables import REPORTS, SCHEMA_VERSION, TABLES
from quivo_frames.storage.place import Place

MANIFEST = "manifest.json"
EXPORTS = "exports.json"
LINEAGE = ".lineage"
BUILDING = ".building"
LOCK = ".lock"
PARQUET, DELTA = "parquet", "delta"
"""What the tables of a dataset are: files, or files with the logs of Delta Lake."""
_COMMITTING = "committing"
_MARK = {"dataset": "quivo_frames"}
_NAMES = "|".join((*TABLES, *REPORTS))
_UNFINISHED = r"\.[^/\s]+-"
"""How the name begins of a file that a killed process left half written."""
_DELIVERED = rf"(?:{_NAMES})/(?:{_UNFINISHED})?[0-9a-f]+-\d+-[0-9a-f]+\.parquet"
_BESIDE = rf"{_UNFINISHED}(?:{re.escape(MANIFEST)}|{re.escape(EXPORTS)})|\.probe-[0-9a-f]+"
_AT_ONCE = rf"(?:{_NAMES})\.parquet|{re.escape(LINEAGE)}/.*|{re.escape(BUILDING)}/.*"
_LOGS = rf"(?:{_NAMES})/_delta_log/.*"
_OURS = re.compile(f"{_DELIVERED}|{_BESIDE}|{_AT_ONCE}")
_BEGUN = re.compile(f"{_DELIVERED}|{_BESIDE}|{_LOGS}|{re.escape(LOCK)}")

Files = Sequence["Written"]
"""The files of a table, in the order of its rows."""


class Written(NamedTuple):
    """A file of a dataset: its name from the folder on, its rows, its bytes, and the sha256 of these."""

    file: str
    rows: int
    bytes: int
    sha256: str


def read(place: Place) -> dict[str, Any] | None:
    """The manifest of a place; None if there is none of ours."""
    try:
        return parsed(place.read(MANIFEST))
    except OSError:
        return None


def parsed(text: bytes | None) -> dict[str, Any] | None:
    """What a manifest says of a dataset; None if it is none of ours."""
    found = _loaded(text)
    if found is not None:
        found.pop(_COMMITTING, None)
    return found


def announced(text: bytes | None, form: str, run: str) -> bytes:
    """A manifest as it was, and that a run is about to commit to the logs of the tables."""
    return json.dumps({**(parsed(text) or {**_MARK, "form": form}), _COMMITTING: run}, indent=2).encode()


def is_announced(text: bytes | None) -> bool:
    """Whether a manifest says that a run is about to commit, or was cut off while it did."""
    return _COMMITTING in (_loaded(text) or {})


def _loaded(text: bytes | None) -> dict[str, Any] | None:
    try:
        found = json.loads(text or b"")
    except ValueError:
        return None
    return found if isinstance(found, dict) and _MARK.items() <= found.items() else None


def refuse_other_form(before: Mapping[str, Any], form: str, address: str) -> None:
    """Refuses to put tables of one form in the place of those of another: a log must name no file that is gone.

    Raises:
        ConfigError: the manifest `before` is of tables of another form.
    """
    there = before.get("form", PARQUET) if before else form
    if there != form:
        held = "Delta tables" if there == DELTA else "tables that are no Delta tables"
        raise ConfigError(
            f"{address} holds {held}. Nothing was written. Build as {there} again, or give another place."
        )


def text(facts: Mapping[str, Any], tables: Mapping[str, Files], lineage: Mapping[str, Files]) -> bytes:
    """A manifest: facts of the build, and which files hold each table."""
    begin = {**_MARK, "schema_version": SCHEMA_VERSION}
    of_files = {"tables": _listed(tables), "lineage": _listed(lineage)}
    return json.dumps({**begin, **facts, **of_files}, indent=2, ensure_ascii=False).encode()


def _listed(of: Mapping[str, Files]) -> dict[str, Any]:
    return {name: {"rows": rows(files), "files": [file._asdict() for file in files]} for name, files in of.items()}


def rows(files: Files) -> int:
    """The rows of some files together."""
    return sum(file.rows for file in files)


def files(facts: Mapping[str, Any]) -> Files:
    """The files of a table, from what a manifest says of it."""
    return [Written(**file) for file in facts["files"]]


def named(manifest: Mapping[str, Any] | None) -> Iterator[Written]:
    """All files that a manifest names."""
    known = manifest or {}
    for facts in (*known.get("tables", {}).values(), *known.get("lineage", {}).values()):
        yield from files(facts)


def is_ours(name: str) -> bool:
    """Whether a file is of a dataset, in whatever way it was written: what no manifest names is of no use then."""
    return _OURS.fullmatch(name) is not None


def is_begun(place: Place) -> bool:
    """Whether there is something of a build that did not end, or not yet."""
    names = [entry.name for entry in place.entries()]
    return any(_BEGUN.fullmatch(name) or name.startswith(f"{BUILDING}/") for name in names)


def stranger(place: Place) -> str | None:
    """The name of a file that no build wrote, in a place without a manifest."""
    names = [entry.name for entry in place.entries()]
    if any(name.startswith(f"{BUILDING}/") for name in names):  # a build was cut off while it moved its files
        return None
    return next((name for name in names if not _BEGUN.fullmatch(name)), None)
