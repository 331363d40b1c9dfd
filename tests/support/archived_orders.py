"""Answers in archives, and builds of them that must give the same whether incremental or full."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from quivo_frames.archive.archive import Archive
from quivo_frames.builder.build import build_with
from quivo_frames.builder.build_settings import DEFAULT_SETTINGS, BuildSettings
from quivo_frames.builder.inputs import BuildInput
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.model.records import Answer, Outcome
from quivo_frames.model.tables import TABLES

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)


def record_answers(archive: Archive, answers: dict[int, bytes], at: datetime) -> None:
    """Puts the answers of one refetch into an archive."""
    run, _ = archive.begin(answers, new_run=True)
    for order_id, body in answers.items():
        archive.record(run, Answer(order_id, Outcome.FETCHED, at, 200, {}, body, 1, 0, 0.1, 0.1, ""))
    archive.finish(run)


def assert_same_dataset(one: Dataset, other: Dataset, *, notes: bool = True) -> None:
    """Compares all values, their order, lineage and the facts of the manifest that say nothing about one build alone.

    `notes` also tell what changed since the dataset that was replaced.
    """
    assert one.derived == other.derived
    for name in (*TABLES, "failures", *(["notes"] if notes else []), *one.derived):
        assert one.lazy(name).collect().equals(other.lazy(name).collect()), name
    for name in ("answers", "noticed"):
        rows, other_rows = one.lineage(name), other.lineage(name)
        assert rows is not None
        assert other_rows is not None
        assert rows.collect().equals(other_rows.collect()), name
    for fact in ("profile", "orders", "inputs", "privacy", "version", "with_derived"):
        assert one.manifest[fact] == other.manifest[fact], fact
    assert not notes or one.counts() == other.counts()
    assert not list(one.damaged_files())


def build_both_ways(
    inputs: BuildInput | Sequence[BuildInput], out: Path, settings: BuildSettings = DEFAULT_SETTINGS, **options: Any
) -> Dataset:
    """Builds incrementally, compares with a full build of the same, and returns the incremental one."""
    full_out = out.with_name("built-in-full")
    shutil.rmtree(full_out, ignore_errors=True)
    shutil.copytree(out, full_out)
    incremental = build_with(settings, inputs, out, **options)
    full = build_with(settings, inputs, full_out, full=True, **options)
    assert_same_dataset(incremental, full)
    assert incremental.manifest["read_until"] == full.manifest["read_until"]
    assert full.manifest["made"] == full.manifest["orders"]["in"]
    return incremental
