"""Orders on their way out: what an export gets of a dataset, made of frames in memory; and what came to be elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl

from quivo_frames.export.formats import ExportJob
from quivo_frames.flattening.flatten import flatten
from quivo_frames.model.frames import Frames
from quivo_frames.model.privacy import PrivacyFilter, PrivacyLevel
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import order_json


def flatten_standin_orders(numbers: Iterable[int], seed: int = 0) -> Frames:
    """Tables of the stand-in's orders; the same order of another seed has other lines."""
    return flatten([order_json(number, seed) for number in numbers])


def export_job(
    tables: Mapping[str, pl.DataFrame],
    erased: Sequence[int] = (),
    level: PrivacyLevel = PrivacyLevel.FULL,
    privacy: str = "",
) -> ExportJob:
    """The tables on their way; the same tables have the same name."""
    privacy_filter = PrivacyFilter(level, b"key" if level is PrivacyLevel.PSEUDONYM else b"")
    described = {name: privacy_filter.filtered_table(table) for name, table in TABLES.items()}
    rows = {
        name: frame.lazy().select(privacy_filter.column_expressions(TABLES[name])) for name, frame in tables.items()
    }
    name = hashlib.sha256("".join(frame.write_json() for frame in tables.values()).encode()).hexdigest()[:16]
    return ExportJob(rows, described, name, "1.2.3", erased, privacy or str(level))


def assert_tables_equal(found: Mapping[str, pl.DataFrame], wanted: Mapping[str, pl.DataFrame]) -> None:
    """All cells of all tables are equal, with the declared dtypes; rows in the order of their keys."""
    for name, table in TABLES.items():
        assert found[name].schema == table.schema, name
        assert found[name].sort(table.key).equals(wanted[name].sort(table.key)), name


def read_every_byte(folder: Path) -> bytes:
    """All that is in the files below a folder, also what is packed in parquet: as it is, and as texts."""
    found = []
    for file in filter(Path.is_file, sorted(folder.rglob("*"))):
        found.append(file.read_bytes())
        if file.suffix == ".parquet":
            found.append(str(pl.read_parquet(file).to_dicts()).encode())
    return b"\n".join(found)
