"""pyarrow.json.read_json with a schema, then polars: explode, unnest, write_parquet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.json

from tests.benchmarks.candidates import a_file_each, exploding, shape
from tests.benchmarks.orders import LISTS

LEAVES_OUT = (
    "handling units (a schema cannot recurse), free-form attributes, days (instants instead), row keys and places in lists, checks, failures "
    "apart (one bad value fails all)"
)
_TYPES = {
    "text": pa.string(),
    "int64": pa.int64(),
    "int32": pa.int32(),
    "flag": pa.bool_(),
    "instant": pa.timestamp("us", "UTC"),
    "day": pa.timestamp("s"),  # it reads no days
    "money": pa.decimal128(18, 4),
    "measure": pa.float64(),
}


def run(file: Path, out: Path) -> None:
    order = {name: what for name, what in shape(file).items() if name != "handlingUnits" and what != "json"}
    options = pyarrow.json.ParseOptions(
        explicit_schema=pa.schema([(name, _type(what)) for name, what in order.items()]),
        unexpected_field_behavior="ignore",
    )
    exploding.write_all(pl.DataFrame(pyarrow.json.read_json(file, parse_options=options)), out)


def tables(out: Path) -> dict[str, list[Path]]:
    return a_file_each(out, ["orders", *LISTS])


def _type(what: Any) -> pa.DataType:
    if isinstance(what, list):
        return pa.list_(_type(what[0]))
    if isinstance(what, dict):
        return pa.struct([(name, _type(inner)) for name, inner in what.items() if inner != "json"])
    return _TYPES[what]
