"""Exports of orders that are in memory, and what was written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl

from quivo_frames.dataset.dataset import Dataset
from quivo_frames.export.formats import ExportFormat, ExportJob, ExportResult, export_tables
from quivo_frames.flattening.flatten import flatten
from quivo_frames.model.derived import DERIVED_TABLES, dataset_tables
from quivo_frames.model.frames import Frames
from quivo_frames.model.privacy import PrivacyFilter, PrivacyLevel
from quivo_frames.model.tables import TABLES
from tests.support.hostile_attributes import hostile_order_json

BUILT = dataset_tables(derived=True)
"""All tables of a dataset, and its derived tables."""


def flatten_standin_orders(numbers: Iterable[int], seed: int = 0) -> Frames:
    """Tables of orders of the stand-in; with another seed, the same orders have other lines."""
    return flatten([hostile_order_json(number, seed) for number in numbers])


def export_job(
    tables: Mapping[str, pl.DataFrame],
    erased: Sequence[int] = (),
    level: PrivacyLevel = PrivacyLevel.FULL,
    privacy: str = "",
) -> ExportJob:
    """A job that exports these tables; equal tables have equal snapshot names."""
    privacy_filter = PrivacyFilter(level, b"key" if level is PrivacyLevel.PSEUDONYM else b"")
    definitions = {name: privacy_filter.filtered_table(table) for name, table in TABLES.items()}
    rows = {
        name: frame.lazy().select(privacy_filter.column_expressions(TABLES[name])) for name, frame in tables.items()
    }
    name = hashlib.sha256("".join(frame.write_json() for frame in tables.values()).encode()).hexdigest()[:16]
    return ExportJob(rows, definitions, name, "1.2.3", erased, privacy or str(level))


def export_orders(
    bodies: Sequence[str] | Sequence[bytes], form: ExportFormat, out: Path
) -> tuple[Frames, ExportResult]:
    """Flatten orders, none of which may fail, and export their tables."""
    frames = flatten(bodies)
    assert frames.failures.is_empty(), frames.failures["message"].to_list()
    return frames, export_tables(export_job(frames), form, str(out))


def all_tables(dataset: Dataset) -> dict[str, pl.DataFrame]:
    """The tables of a dataset, and its derived tables."""
    return {name: dataset[name] for name in (*dataset, *dataset.derived)}


def assert_tables_equal(found: Mapping[str, pl.DataFrame], wanted: Mapping[str, pl.DataFrame]) -> None:
    """Assert that all cells of all tables are equal and have the declared dtypes; rows are compared by key."""
    for name, table in dataset_tables(derived=DERIVED_TABLES.keys() <= wanted.keys()).items():
        assert found[name].schema == table.schema, name
        assert found[name].sort(table.key).equals(wanted[name].sort(table.key)), name


def read_every_byte(folder: Path) -> bytes:
    """All bytes of the files below a folder, and the values of parquet files as text."""
    found = []
    for file in filter(Path.is_file, sorted(folder.rglob("*"))):
        found.append(file.read_bytes())
        if file.suffix == ".parquet":
            found.append(str(pl.read_parquet(file).to_dicts()).encode())
    return b"\n".join(found)
