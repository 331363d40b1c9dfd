"""The measures of the Power BI model mean what `qf.kpis` computes.

Nothing here can run DAX. Each measure is put together from a few expressions, each one plain function of DAX; here the
same expressions are computed by DuckDB from the exported files, and compared with the key figures.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.analysis.kpi.measures import order_measures, shipment_measures
from quivo_frames.analysis.kpi.promises import PROMISES
from quivo_frames.analysis.workbook import export_with_answers
from quivo_frames.export.bi_measures import (
    Aggregate,
    ByOtherDate,
    Difference,
    Expression,
    Percentile,
    RowCount,
    Share,
    SumOfOneCurrency,
)
from quivo_frames.standin.orders import FIRST_ID, order_json

MEASURES = {**order_measures(), **shipment_measures()}
FIGURES = {
    "volume": {
        "Orders": "orders", "Orders called off": "called_off", "Orders shipped": "shipped",
        "Orders delivered": "delivered", "Orders completed": "completed", "Ordered lines": "lines",
        "Ordered pieces": "pieces", "Shipments": "shipments",
    },
    "perfect_order": {
        "Orders judged": "orders", "Judged orders in full": "in_full", "Judged orders on time": "on_time",
        "Perfect orders": "perfect", "Perfect order rate": "rate",
    },
    "fill_rate": {
        "Fill rate lines": "lines", "Fill rate lines filled": "lines_filled", "Line fill rate": "line_rate",
        "Fill rate pieces": "pieces", "Fill rate pieces filled": "pieces_filled", "Piece fill rate": "piece_rate",
    },
    "ship_complete": {
        "Orders judged for completeness": "orders", "Orders shipped complete": "complete",
        "Shipped complete rate": "rate",
    },
    "order_to_ship": {
        "Orders judged by hours": "judged", "Orders within hours": "within", "Within hours rate": "within_rate",
        "Hours to ship (p50)": "p50", "Hours to ship (p90)": "p90", "Orders judged by cut-off": "due",
        "Orders in time": "in_time", "In time rate": "in_time_rate", "Orders open": "open",
        "Orders at risk": "at_risk", "At risk rate": "at_risk_rate",
    },
    "split_shipments": {
        "Orders with shipments": "orders", "Split orders": "split", "Split rate": "rate",
        "Shipments per order": "shipments_per_order", "Warehouses per order": "warehouses_per_order",
    },
    "delivery_window": {
        "Shipments with window": "shipments", "Shipments within window": "within", "Shipments before window": "early",
        "Shipments after window": "late", "Window rate": "rate",
    },
    "pod_lag": {
        "Shipments delivered": "delivered", "Shipments proven": "proven", "Proven rate": "rate",
        "Days to proof (p50)": "p50", "Days to proof (p90)": "p90",
    },
    "carriers": {
        "Shipments": "shipments", "Shipments delivered": "delivered", "Transit days (p50)": "transit_p50",
        "Transit days (p90)": "transit_p90", "Shipment on time rate": "on_time_rate", "Tracked rate": "tracked_rate",
        "Proven rate": "proven_rate",
    },
}  # fmt: skip
"""The figure of a KPI that a measure is."""
CYCLE_TIMES = {f"days ({name})": name for name in ("mean", "p50", "p90", "max")} | {"orders": "orders"}
ON_TIME = {
    "Judged on time": "judged",
    "On time": "on_time",
    "Late": "late",
    "Not known on time": "unknown",
    "On time rate": "rate",
}


class Model:
    """The exported files, filtered by a group as the relationships of the model filter them."""

    def __init__(self, data: Path, by: str | None = None, value: str | None = None) -> None:
        self._database = duckdb.connect()
        for file in data.glob("*.parquet"):
            self._database.execute(f"CREATE VIEW all_{file.stem} AS FROM read_parquet('{file}')")
        key = None
        if by and value is not None:
            (key,) = self._database.execute(f"SELECT {by}_key FROM all_{by} WHERE {by} = ?", [value]).fetchone()
        is_key = f"{by}_key IS NOT DISTINCT FROM {key if key is not None else 'NULL'}" if by else "true"
        of_groups = f"order_id IN (SELECT order_id FROM all_kpi_groups WHERE {is_key})"
        conditions = {"kpi_shipments": is_key, "kpi_orders": of_groups if by in ("warehouse", "carrier") else is_key}
        for table, condition in conditions.items():
            self._database.execute(f"CREATE VIEW {table} AS FROM all_{table} WHERE {condition}")

    def value(self, expression: Expression) -> Any:
        """What an expression is, by its meaning in DAX."""
        match expression:
            case RowCount(table):
                return self._scalar("count(*)", table)
            case Aggregate(function, table, column):
                name = {"SUM": "sum", "COUNT": "count", "AVERAGE": "avg", "MAX": "max"}[function]
                return self._scalar(f"{name}({column})", table)
            case Percentile(share, table, column):
                return self._scalar(f"quantile_cont({column}, {share})", table)
            case Share(part, whole):
                divisor = self.value(MEASURES[whole].expression)
                return self.value(MEASURES[part].expression) / divisor if divisor else None
            case Difference(whole, parts):
                return self._number(whole) - sum(self._number(part) for part in parts)
            case ByOtherDate(measure, _, _):
                return self.value(MEASURES[measure].expression)
            case SumOfOneCurrency():
                raise AssertionError("no key figure is money")

    def _number(self, measure: str) -> Any:
        return self.value(MEASURES[measure].expression) or 0

    def _scalar(self, expression: str, table: str) -> Any:
        return self._database.execute(f"SELECT {expression} FROM {table}").fetchone()[0]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> qf.Dataset:
    folder = tmp_path_factory.mktemp("measures")
    (folder / "orders.ndjson").write_bytes(b"\n".join(order_json(FIRST_ID + number) for number in range(200)))
    return qf.build(folder / "orders.ndjson", folder / "tables", jobs=1)


@pytest.fixture(scope="module")
def data(tables: qf.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("power-bi") / "out"
    export_with_answers(tables, "powerbi", out)
    return out / "data"


def assert_same(measure: str, computed: Any, figure: Any) -> None:
    """DAX knows no 0 apart from BLANK in a sum without rows: both stand for nothing."""
    assert math.isclose(float(computed or 0), float(figure or 0), rel_tol=1e-9), (measure, computed, figure)


def compare(model: Model, figures: dict[str, pl.DataFrame]) -> set[str]:
    """Compares all measures with the figures of one group; returns those that were compared."""
    compared = set()
    for kpi, columns in FIGURES.items():
        if figures[kpi].height == 1:
            row = figures[kpi].row(0, named=True)
            for measure, column in columns.items():
                assert_same(measure, model.value(MEASURES[measure].expression), row[column])
                compared.add(measure)
    for row in figures["cycle_time"].iter_rows(named=True):
        for ending, column in CYCLE_TIMES.items():
            measure = f"{row['stage'].capitalize()} {ending}"
            assert_same(measure, model.value(MEASURES[measure].expression), row[column])
            compared.add(measure)
    for row in figures["on_time"].iter_rows(named=True):
        for begin, column in ON_TIME.items():
            measure = f"{begin} ({row['reference']})"
            assert_same(measure, model.value(MEASURES[measure].expression), row[column])
            compared.add(measure)
    for measure in ("orders", "pieces"):
        assert_same(measure, model.value(MEASURES[f"Backlog {measure}"].expression), figures["backlog"][measure].sum())
        compared.add(f"Backlog {measure}")
    return compared


@pytest.mark.long
def test_every_measure_is_the_figure_of_its_kpi(tables: qf.Dataset, data: Path) -> None:
    found = qf.kpis(tables)
    compared = compare(Model(data), {name: found[name] for name in found})
    carriers = qf.kpis(tables)["carriers"]
    for row in carriers.iter_rows(named=True):
        model = Model(data, "carrier", row["carrier"])
        for measure, column in FIGURES["carriers"].items():
            assert_same(measure, model.value(MEASURES[measure].expression), row[column])
            compared.add(measure)
    assert found["volume"]["shipped"].item() > 150
    assert set(MEASURES) - compared == {
        "Shipments by ship day", "Shipments by delivery day", "Shipments on time", "Shipments judged",
        "Shipments tracked",
    }, "measures that no figure is compared with: those of other days, and parts of rates that are"  # fmt: skip
    assert {name for name in MEASURES if name.startswith("On time rate")} == {
        f"On time rate ({name})" for name in PROMISES
    }


@pytest.mark.parametrize(
    "by", [pytest.param("seller", marks=pytest.mark.long), "warehouse", pytest.param("carrier", marks=pytest.mark.long)]
)
def test_measures_filtered_by_a_dimension_are_the_figures_by_that_group(
    tables: qf.Dataset, data: Path, by: str
) -> None:
    found = qf.kpis(tables, by=by)
    values = found["volume"][by].to_list()
    if by == "carrier":  # an order of which one plan was shipped and another not counts in the model there, too
        values.remove(None)
    assert len(values) > 3
    for value in values:
        these = {name: found[name].filter(pl.col(by).eq_missing(value)) for name in found}
        compare(Model(data, by, value), these)


def test_the_backlog_by_age_is_that_of_the_kpi(tables: qf.Dataset, data: Path) -> None:
    rows = pl.read_parquet(data / "kpi_orders.parquet")
    by_age = rows.drop_nulls("backlog_age").group_by("backlog_age", "backlog_order").agg(
        orders=pl.col("in_backlog").sum(), pieces=pl.col("backlog_pieces").sum()
    )  # fmt: skip
    expected = qf.kpis(tables)["backlog"].filter(pl.col("orders") > 0).rename({"age": "backlog_age"})
    assert by_age.height > 1
    assert by_age.sort("backlog_order").drop("backlog_order").equals(expected.select("backlog_age", "orders", "pieces"))


def test_figures_by_month_are_those_of_the_days_of_placing(tables: qf.Dataset, data: Path) -> None:
    days = pl.read_parquet(data / "date.parquet").select("date", "month")
    rows = pl.read_parquet(data / "kpi_orders.parquet").join(days, left_on="placed_day", right_on="date", how="left")
    found = rows.group_by("month").agg(pl.len().alias("orders"), pl.col("perfect").sum()).sort("month", nulls_last=True)
    by_month = qf.kpis(tables, by="month")
    assert found["month"].to_list() == by_month["volume"]["month"].to_list()
    assert found["orders"].to_list() == by_month["volume"]["orders"].to_list()
    assert found["perfect"].to_list() == by_month["perfect_order"]["perfect"].to_list()
