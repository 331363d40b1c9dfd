"""Decide which orders of a dataset must be rebuilt, from the lineage of its rows and the answers there are now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import polars as pl

from quivo_frames.dataset.dataset import Dataset
from quivo_frames.dataset.folder_writer import RetainedRows

_ANSWER_IDENTITY = ["order_id", "fetched_at", "fingerprint", "source"]
"""What identifies an answer. The source belongs to it: it decides about the order of rows, and failures name it."""


class IncrementalPlan(NamedTuple):
    """What an incremental build reads, and which rows of the earlier dataset stay."""

    answers_to_build: pl.DataFrame
    retained: RetainedRows


def can_build_incrementally(before: Dataset, recipe: Mapping[str, Any]) -> bool:
    """Whether a full build from the same answers would give the tables that are there.

    It would if they were built by the same recipe (version and privacy), and nobody has changed their files.
    """
    same_recipe = all(before.manifest.get(name) == wanted for name, wanted in recipe.items())
    return same_recipe and not any(before.damaged_files())


def plan_incremental_build(
    before: Dataset, answers: pl.DataFrame | None, *, by_id: bool, max_orders: int
) -> IncrementalPlan | None:
    """What differs between a dataset and the answers there are now; None if a full build is the better way.

    It is if more than half of the orders or more than `max_orders` differ. `answers` has the columns of ANSWER_SCHEMA
    and a row per order, in the order that the rows of the new dataset will have; `by_id`: they are sorted by id.
    """
    lineage = before.lineage("answers")
    if answers is None or lineage is None:
        return None
    answers_built = lineage.collect()
    answers_to_build = answers.join(answers_built, on=_ANSWER_IDENTITY, how="anti", maintain_order="left")
    replaced = answers_built.join(answers, on=_ANSWER_IDENTITY, how="anti")["order_id"]
    if max(answers_to_build.height, len(replaced)) > min(max_orders, answers.height // 2):
        return None
    order = None if by_id else answers.select("order_id").with_row_index("place")
    return IncrementalPlan(answers_to_build, RetainedRows(before, replaced.to_list(), order))
