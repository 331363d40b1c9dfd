"""The recipe for pandas in notebook 05, run as it is written: ids stay integers, amounts exact, times UTC."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.model.tables import TABLES
from quivo_frames.standin import write_ndjson
from tests.support.notebook_pages import read_cells
from tests.support.paths import ROOT
from tests.support.reader_environment import run_in_reader_environment

NOTEBOOK = ROOT / "notebooks" / "05-for-bi.ipynb"
FACTS = """
import json
def facts(frame):
    return {name: [str(dtype), [None if value is pd.NA else str(value) for value in frame[name]]] for name, dtype in frame.dtypes.items()}
print(json.dumps([facts(orders), facts(lines)]))
"""
DTYPES = {
    pl.String(): "string", pl.Int64(): "int64", pl.Int32(): "int32", pl.Boolean(): "bool", pl.Date(): "date32[day]",
    pl.Datetime("us", "UTC"): "timestamp[us, tz=UTC]", pl.Decimal(18, 4): "decimal128(18, 4)", pl.Float64(): "double",
}  # fmt: skip


def recipe() -> str:
    """The code of the recipe."""
    texts = [cell["source"] for cell in read_cells(NOTEBOOK) if cell["cell_type"] == "markdown"]
    (code,) = [found[1] for text in texts if (found := re.search(r"```python\n(.*?)```", text, re.DOTALL))]
    return code


@pytest.mark.long
def test_the_recipe_keeps_ids_amounts_and_times_as_they_are(tmp_path: Path) -> None:
    write_ndjson(tmp_path / "orders.ndjson", 60)
    gaps = [{"orderId": 2**53 + 1, "positions": [{"totalNetAmount": 12345678901.2345}, {}]}, {"orderId": 2}]
    (tmp_path / "gaps.ndjson").write_text("\n".join(map(json.dumps, gaps)))
    tables = qf.build([tmp_path / "orders.ndjson", tmp_path / "gaps.ndjson"], tmp_path / "tables")
    orders, lines = run_in_reader_environment(f"import os, sys; os.chdir(sys.argv[1])\n{recipe()}{FACTS}", tmp_path)
    for name, found in (("orders", orders), ("order_positions", lines)):
        frame = tables[name]
        assert list(found) == frame.columns
        for column in TABLES[name].columns:
            dtype, values = found[column.name]
            assert dtype.removeprefix("large_") == f"{DTYPES[column.dtype]}[pyarrow]", column.name
            if column.dtype in (pl.Int64(), pl.Decimal(18, 4), pl.String()):
                assert values == [None if value is None else str(value) for value in frame[column.name]], column.name
            else:
                assert [value is None for value in values] == frame[column.name].is_null().to_list()
    assert tables.orders["shop_id"].is_null().any()  # of which pandas alone makes floats
    assert tables.orders["order_id"].max() == 2**53 + 1
