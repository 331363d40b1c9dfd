"""The manifest of a dataset, and the names of what stands beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from quivo_frames.places import Place
from quivo_frames.tables import SCHEMA_VERSION

MANIFEST = "manifest.json"
EXPORTS = "exports.json"
LINEAGE = ".lineage"
BUILDING = ".building"
LOCK = ".lock"

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
    of_files = {
        kind: {
            name: {"rows": rows(files), "files": [file._asdict() for file in files]} for name, files in known.items()
        }
        for kind, known in {"tables": tables, "lineage": lineage}.items()
    }
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
