"""The same orders through both cores, compared to the last byte; skipped where there is no compiled core."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest

from quivo_frames.flattening.core_choice import compiled_core
from quivo_frames.flattening.decode import read_identity
from quivo_frames.flattening.flatten import Flattener
from quivo_frames.model.frames import Frames
from quivo_frames.model.records import RawOrder

needs_core = pytest.mark.skipif(compiled_core() is None, reason="There is no compiled core here")


@contextmanager
def using_core(core: Any) -> Iterator[None]:
    with patch("quivo_frames.flattening.flatten.compiled_core", lambda: core):
        yield


def flatten_with_core(raws: Sequence[RawOrder], core: Any) -> tuple[Frames, Flattener]:
    flattener = Flattener()
    with using_core(core):
        return flattener.flatten_batch(raws), flattener


def list_differences(raws: Sequence[RawOrder]) -> list[str]:
    """Tables, failures or notes in which the two cores differ."""
    compiled, _ = flatten_with_core(raws, compiled_core())
    python, _ = flatten_with_core(raws, None)
    pairs = [(name, compiled[name], python[name]) for name in python]
    pairs += [("failures", compiled.failures, python.failures), ("notes", compiled.order_notes, python.order_notes)]
    return [_describe(name, one, other) for name, one, other in pairs if not _are_same(one, other)]


def _are_same(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    same_columns = one.schema == other.schema
    return same_columns and one.equals(other) and _signs_of_zero(one).equals(_signs_of_zero(other))


def _signs_of_zero(frame: pl.DataFrame) -> pl.DataFrame:
    """For every float, whether its inverse is negative: 0.0 and -0.0 are equal, but not the same bytes."""
    return frame.select(pl.col(pl.Float64).pow(-1) < 0)


def _describe(name: str, one: pl.DataFrame, other: pl.DataFrame) -> str:
    if one.schema != other.schema or one.height != other.height:
        return f"{name}: {one.height} rows of the compiled core, {other.height} of the Python core"
    for column in one.columns:
        for row in one[column].ne_missing(other[column]).arg_true().to_list()[:1]:
            return f"{name}.{column}: {one[column][row]!r} of the compiled core, {other[column][row]!r} of the other"
    return f"{name}: a zero with another sign"


def raw_orders(bodies: Sequence[bytes]) -> list[RawOrder]:
    """The raw orders of some texts, without those whose id another one has."""
    found: dict[object, bytes] = {}
    for place, body in enumerate(bodies):
        order_id = read_identity(body).order_id
        found.setdefault(("no id", place) if order_id is None else order_id, body)
    return [RawOrder(body, None, None, "memory", f"item {place}") for place, body in enumerate(found.values())]


def share_read_in_python(bodies: Sequence[bytes]) -> float:
    """The share of some orders that the compiled core leaves to the Python core."""
    raws = raw_orders(bodies)
    _, flattener = flatten_with_core(raws, compiled_core())
    return flattener.read_in_python / len(raws)
