"""Verb: a dataset and the answers that there are now -> which orders are to be made anew. Floor 5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import polars as pl

from quivo_frames.dataset.dataset import Dataset
from quivo_frames.dataset.folder_writer import Kept

MOST = 50_000
"""Orders that are made anew beside others that stay; of more, or of more than half, all are: it takes no longer."""
_SAME = ["order_id", "fetched_at", "fingerprint", "source"]
"""By what an answer is known: of another archive, the same one stands at another place, and failures tell which."""


class Renewal(NamedTuple):
    """What is to be done to a dataset: `wanted` are the answers to be read, `kept` is what stays."""

    wanted: pl.DataFrame
    kept: Kept


def renewable(before: Dataset, recipe: Mapping[str, Any]) -> bool:
    """Whether the tables of a dataset are what a build would make by `recipe` of the same answers.

    They are, if they were made so, by the same version, and nobody has changed their files.
    """
    as_asked = all(before.manifest.get(name) == asked for name, asked in recipe.items())
    return as_asked and not any(before.damaged())


def renewal(before: Dataset, answers: pl.DataFrame | None, *, by_id: bool) -> Renewal | None:
    """What differs between a dataset and the answers that there are now; None if all is better made anew.

    `answers` has a row an order, in the order of the rows of the new dataset: `order_id`, `fetched_at`, `fingerprint`,
    `source`, and whatever leads to it. `by_id` says that this is the order of the ids.
    """
    known = before.lineage("answers")
    if answers is None or known is None:
        return None
    made = known.collect()
    wanted = answers.join(made, on=_SAME, how="anti", maintain_order="left")
    replaced = made.join(answers, on=_SAME, how="anti")["order_id"]
    if max(wanted.height, len(replaced)) > min(MOST, answers.height // 2):
        return None
    order = None if by_id else answers.select("order_id").with_row_index("place")
    return Renewal(wanted, Kept(before, replaced.to_list(), order))
