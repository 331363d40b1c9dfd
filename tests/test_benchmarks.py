"""The benchmarks measure what they say, with the candidates that need nothing but the environment of the tests."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from quivo_frames import build, flatten
from tests.benchmarks import build as build_benchmark
from tests.benchmarks import measure, orders, profiling
from tests.benchmarks.measure import Candidate

if TYPE_CHECKING:
    from pathlib import Path

HERE = ("duckdb", "pyarrow+polars", "polars")
ORDERS = 50


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benchmarks")


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, Any]:
    return build_benchmark.run(ORDERS, 1, HERE, folder)


@pytest.mark.parametrize(
    ("name", "tables"), [("quivo_frames", 18), ("duckdb", 18), ("pyarrow+polars", 15), ("polars", 15)]
)
def test_a_candidate_writes_the_rows_that_it_claims(results: dict[str, Any], name: str, tables: int) -> None:
    assert name not in results["missing"], results["missing"]
    assert results["written"][name].wrong == {}
    assert len(results["written"][name].rows) == tables
    assert sum(results["written"][name].rows.values()) > ORDERS * tables


def test_a_cost_is_that_of_a_process_of_its_own(results: dict[str, Any]) -> None:
    floor, ours = results["costs"]["orjson.loads"][0], results["costs"]["quivo_frames"][0]
    assert 0 < floor.cpu < ours.cpu
    assert 0 < floor.peak_mb < ours.peak_mb / 2  # though the process that started both has polars loaded


def test_rows_that_are_missing_or_too_many_are_told(folder: Path, results: dict[str, Any]) -> None:
    file, out = orders.orders_file(ORDERS, folder), folder / "tables"
    build(file, out, progress=False)
    expected = orders.rows(file)
    assert not build_benchmark.written(build_benchmark.OURS, out, expected).wrong
    tags = pl.read_parquet(out / "order_tags.parquet")
    tags.head(-1).write_parquet(out / "order_tags.parquet")
    (out / "shipments.parquet").unlink()
    wrong = build_benchmark.written(build_benchmark.OURS, out, expected).wrong
    assert wrong == {
        "order_tags": f"{tags.height - 1:,} rows, not {tags.height:,}",
        "shipments": f"0 rows, not {expected['shipments']:,}",
    }


def test_who_cannot_take_part_is_told_with_the_reason(folder: Path) -> None:
    file = orders.orders_file(ORDERS, folder)
    cannot = [
        Candidate("absent", "nobody"),
        Candidate("future", "ours", options={"warp": 9}),
        Candidate("broken", "floor", options={"warp": 9}),
    ]
    costs, missing = measure.in_turn([build_benchmark.FLOOR, *cannot], file, folder, 2)
    assert {name: len(spent) for name, spent in costs.items()} == {"orjson.loads": 2}
    assert missing == {
        "absent": "not installed here: tests.benchmarks.candidates.nobody",
        "future": "build has no option warp yet",
        "broken": "broke off: TypeError: run() got an unexpected keyword argument 'warp'",
    }


def test_the_meter_counts_threads_and_child_processes() -> None:
    def burn() -> None:
        end = time.thread_time() + 0.1
        while time.thread_time() < end:
            pass

    def work() -> None:
        thread = threading.Thread(target=burn)
        thread.start()
        thread.join()
        code = "import time\nwhile time.process_time() < 0.2: pass"
        subprocess.run([sys.executable, "-c", code], check=True)

    assert measure.metered(work)[0] >= 0.29  # clocks tick


def test_rows_are_counted_as_the_documentation_of_orders_has_them() -> None:
    unit = {
        "handlingPositions": [{}, {}],
        "childHandlingUnits": [{"childHandlingUnits": [{}], "handlingPositions": None}],
    }
    shipment = {"positions": [{"serialNumbers": ["a", None, "b"]}, None], "trackingNumbers": [], "podDocuments": [{}]}
    order = {
        "orderId": 1,
        "deliveryAddress": {"additionalIdentifiers": [{}]},
        "customAttributes": '{"text": 1, "of": 2}',
        "positions": [{"customAttributes": {"a": None}}, {"customAttributes": "no object"}],
        "fulfillmentOrders": [{"shipments": [shipment, None]}, {"shipments": None}, None],
        "handlingUnits": [unit, None],
        "tags": None,
    }
    counted = {name: count for name, count in orders._rows(order).items() if count}
    assert counted == {
        "orders": 1, "address_identifiers": 1, "order_positions": 2, "fulfillment_orders": 2, "shipments": 1,
        "shipment_positions": 1, "serial_numbers": 2, "pod_documents": 1, "handling_units": 3, "handling_positions": 2,
        "custom_attributes": 3,
    }  # fmt: skip


def test_the_samples_of_a_profile_add_up_to_the_time_spent(folder: Path) -> None:
    lines = orders.orders_file(ORDERS, folder).read_bytes().splitlines()
    before = time.process_time()
    with profiling.sampled() as samples:
        flatten(lines)
    spent = time.process_time() - before
    assert 0 < samples.stages.total() <= spent
    assert samples.stages.total() == pytest.approx(samples.functions.total())
    assert samples.stages.keys() <= {*profiling.STAGES, profiling._REST}
