"""What a manifest must say so that everything that reads it can rely on it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.order_selection import OrderConditions
from quivo_frames.model.privacy import PrivacyLevel
from quivo_frames.model.tables import LINEAGE_TABLES, REPORT_TABLES, TABLES

DELTA, PARQUET = "delta", "parquet"
"""The formats of a dataset: Delta tables, or parquet files."""
LINEAGE = ".lineage"
DERIVED = "derived"
"""The folder of the derived tables."""
EXPORTED = "exported"
"""The fact of a manifest that tables were exported, and are none of a build."""


def file_stem(table: str) -> str:
    """The path of a table or report in a dataset, without the ending of a file."""
    return f"{DERIVED}/{table}" if table in DERIVED_TABLES else table


_LINEAGE_PATHS = [rf"{re.escape(LINEAGE)}/{name}" for name in LINEAGE_TABLES]
TABLE_PATHS = "|".join([*map(file_stem, (*TABLES, *REPORT_TABLES, *DERIVED_TABLES)), *_LINEAGE_PATHS])
"""A pattern for the paths of tables, reports and lineage."""
UNFINISHED = r"\.[^/\s]+-"
"""A pattern for the start of the name of a file that a killed process left incomplete."""
COMMITTED_FILE = rf"(?:{TABLE_PATHS})/(?:{UNFINISHED})?[0-9a-f]+-\d+-[0-9a-f]+\.parquet"
_NAMED_FILE = re.compile(
    rf"{COMMITTED_FILE}|(?:{TABLE_PATHS})\.parquet"
    rf"|(?:{'|'.join(DERIVED_TABLES)})\.parquet"  # in an export, where derived tables lie beside the others
)

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _FileFacts(msgspec.Struct, frozen=True):
    file: str
    rows: _Count
    bytes: _Count
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]

    def __post_init__(self) -> None:
        _require(_NAMED_FILE.fullmatch(self.file) is not None)


class _TableFacts(msgspec.Struct, frozen=True):
    rows: _Count
    files: list[_FileFacts]


class _TableProfile(msgspec.Struct, frozen=True):
    rows: _Count
    filled: dict[str, _Count]
    codes: dict[str, dict[str, tuple[_Count, int | None]] | None]


class _OrderCounts(msgspec.Struct, frozen=True, rename={"into": "in"}):
    into: _Count
    out: _Count
    failed: _Count
    superseded: _Count = 0


class _InputFacts(msgspec.Struct, frozen=True):
    name: str
    orders: _Count


class _ArchiveFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `ReadPosition`."""

    last_response: _Count
    good_responses: _Count
    last_erasure: _Count
    digest: str


class _PrivacyFacts(msgspec.Struct, frozen=True):
    level: PrivacyLevel = PrivacyLevel.FULL
    key: str = ""


class ExportOrigin(msgspec.Struct, frozen=True):
    """What exported tables are from: the name of the state of those tables, their folder, the conditions of a slice.

    `carriers` has the usual provider of each provider_name in them, which was found in all orders of those tables.
    """

    tables: str
    folder: str
    where: tuple[OrderConditions, ...] = ()
    carriers: dict[str, str] = {}

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> ExportOrigin | None:
        """What a manifest says that its tables are from; None for those of a build."""
        found = manifest.get(EXPORTED)
        return None if found is None else msgspec.convert(found, cls)


class ManifestHead(msgspec.Struct, frozen=True):
    """What every version writes into a manifest."""

    dataset: Literal["quivo_frames"]
    schema_version: int


class ManifestFacts(ManifestHead, frozen=True):
    """What code reads in a manifest. Facts that it does not name may be there too."""

    version: str
    tables: dict[str, _TableFacts]
    orders: _OrderCounts
    inputs: list[_InputFacts]
    built_at: Annotated[datetime, msgspec.Meta(tz=True)]
    made: _Count
    profile: dict[str, _TableProfile]
    form: Literal["parquet", "delta"] = "parquet"
    derived: dict[str, _TableFacts] = {}
    with_derived: bool = False
    lineage: dict[str, _TableFacts] = {}
    privacy: _PrivacyFacts = _PrivacyFacts()
    counted: dict[str, _Count] = {}
    of: str | None = None
    files: Literal["tables", "parts"] | None = None
    exported: ExportOrigin | None = None
    core: Literal["compiled", "python"] | None = None
    read_in_python: _Count = 0
    read_until: _ArchiveFacts | None = None


class CurrentManifestFacts(ManifestFacts, frozen=True):
    """What a manifest of this schema version says: it has all tables, and knows no columns that they do not have."""

    def __post_init__(self) -> None:
        _require(_are_same(self.tables, (*TABLES, *REPORT_TABLES)))
        _require(_are_same(self.derived, DERIVED_TABLES if self.with_derived else ()))
        _require(self.lineage.keys() <= LINEAGE_TABLES.keys())
        _require(not self.lineage or "noticed" in self.lineage)
        _require(_are_same(self.profile, TABLES))
        for name, found in self.profile.items():
            columns = {column.name: column.categorical for column in TABLES[name].value_columns}
            _require(found.filled.keys() <= columns.keys())
            _require(found.codes.keys() <= {column for column, has_codes in columns.items() if has_codes})


def _are_same(found: dict[str, Any], expected: Iterable[str]) -> bool:
    return found.keys() == set(expected)


def _require(holds: bool) -> None:
    if not holds:
        raise ValueError("does not fit the tables")  # msgspec reports it as damage
