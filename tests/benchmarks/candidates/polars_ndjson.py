"""polars alone: read_ndjson with a schema, explode, unnest, write_parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from tests.benchmarks.candidates import a_file_each, exploding, shape
from tests.benchmarks.orders import LISTS

LEAVES_OUT = (
    "handling units (a schema cannot recurse), free-form attributes (read as text they are corrupted), exact money, "
    "row keys and places in lists, checks, failures apart (one broken line fails all)"
)
_DTYPES = {
    "text": pl.String(),
    "int64": pl.Int64(),
    "int32": pl.Int32(),
    "flag": pl.Boolean(),
    "instant": pl.Datetime("us", "UTC"),
    "day": pl.Date(),
    "money": pl.Float64(),  # read_ndjson knows no decimals
    "measure": pl.Float64(),
}


def run(file: Path, out: Path) -> None:
    schema = {name: _dtype(what) for name, what in shape(file).items() if name != "handlingUnits" and what != "json"}
    exploding.write_all(pl.read_ndjson(file, schema=schema), out)


def tables(out: Path) -> dict[str, list[Path]]:
    return a_file_each(out, ["orders", *LISTS])


def _dtype(what: Any) -> pl.DataType:
    if isinstance(what, list):
        return pl.List(_dtype(what[0]))
    if isinstance(what, dict):
        return pl.Struct({name: _dtype(inner) for name, inner in what.items() if inner != "json"})
    return _DTYPES[what]
