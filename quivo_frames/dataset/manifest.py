"""The manifest of a dataset, and the names of what stands beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from quivo_frames.places import Place
from quivo_frames.tables import REPORTS, SCHEMA_VERSION, TABLES

MANIFEST = "manifest.json"
EXPORTS = "exports.json"
LINEAGE = ".lineage"
BUILDING = ".building"
LOCK = ".lock"
_NAMES = "|".join((*TABLES, *REPORTS))
_UNFINISHED = r"\.[^/\s]+-"
"""How the name begins of a file that a killed process left half written."""
_DELIVERED = rf"(?:{_NAMES})/(?:{_UNFINISHED})?[0-9a-f]+-\d+-[0-9a-f]+\.parquet"
_BESIDE = rf"{_UNFINISHED}(?:{re.escape(MANIFEST)}|{re.escape(EXPORTS)})|\.probe-[0-9a-f]+"
_AT_ONCE = rf"(?:{_NAMES})\.parquet|{re.escape(LINEAGE)}/.*|{re.escape(BUILDING)}/.*"
_OURS = re.compile(f"{_DELIVERED}|{_BESIDE}|{_AT_ONCE}")
_BEGUN = re.compile(f"{_DELIVERED}|{_BESIDE}|{re.escape(LOCK)}")

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
    """What a manifest says; None if it is none of ours."""
    try:
        found = json.loads(text or b"")
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.get("dataset") == "quivo_frames" else None


def text(facts: Mapping[str, Any], tables: Mapping[str, Files], lineage: Mapping[str, Files]) -> bytes:
    """A manifest: facts of the build, and which files hold each table."""
    begin = {"dataset": "quivo_frames", "schema_version": SCHEMA_VERSION}
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
