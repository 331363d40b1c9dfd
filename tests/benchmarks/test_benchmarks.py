"""The benchmarks measure what they say, with the candidates that need nothing but the environment of the tests."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
import tomllib
from dataclasses import replace
from hashlib import sha256
from importlib.metadata import packages_distributions
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quivo_frames import audit, build, flatten
from quivo_frames import open as open_dataset
from quivo_frames.flattening.core_choice import compiled_core
from quivo_frames.model.order import Kind
from quivo_frames.model.tables import TABLES, Table
from quivo_frames.standin.orders import order_json
from tests.benchmarks import build as build_benchmark
from tests.benchmarks import fallback, fetch, measure, orders, profiling, scale
from tests.benchmarks.candidates import duckdb_keys
from tests.benchmarks.many_orders import FIRST_ID, many_orders
from tests.benchmarks.measure import Candidate, Cost
from tests.benchmarks.scenarios import Scenario
from tests.benchmarks.serving import Seen
from tests.benchmarks.timeline import Timeline
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.alone

HERE = ("duckdb keys checked", "duckdb", "pyarrow+polars", "polars")
ORDERS = 50


def test_benchmarks_load_where_only_charts_are_installed_besides_the_core() -> None:
    """As in the environments of `make bench`: what else a part needs is imported by that part."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    charts = {re.split(r"[^\w-]", one)[0] for one in extras["report"]}
    others = (
        {re.split(r"[^\w-]", one)[0] for of in extras.values() for one in of} - charts - {"quivo-frames", "requests"}
    )
    modules = sorted({name.replace("-", "_") for name in others} & packages_distributions().keys())
    assert {"starlette", "duckdb", "mcp"} <= set(modules)
    code = f"import sys; sys.modules.update(dict.fromkeys({modules})); import tests.benchmarks.__main__"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benchmarks")


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, Any]:
    found = build_benchmark.run([ORDERS], 1, HERE, [orders.STAND_IN, orders.SPARSE], folder)["results"]
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module", params=[orders.STAND_IN, orders.SPARSE])
def result(request: pytest.FixtureRequest, results: dict[str, Any]) -> dict[str, Any]:
    return results[f"{request.param} {ORDERS}"]  # type: ignore[no-any-return]


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "tables"),
    [("quivo_frames", 18), ("duckdb keys checked", 18), ("duckdb", 18), ("pyarrow+polars", 15), ("polars", 15)],
)
def test_a_candidate_writes_the_rows_that_it_claims(result: dict[str, Any], name: str, tables: int) -> None:
    assert name not in result["missing"], result["missing"]
    assert result["written"][name].wrong == {}
    assert len(result["written"][name].rows) == tables
    assert sum(result["written"][name].rows.values()) > ORDERS * 8


@pytest.mark.long
def test_a_cost_is_that_of_a_process_of_its_own(result: dict[str, Any]) -> None:
    floor, ours = result["costs"]["orjson.loads"][0], result["costs"]["quivo_frames"][0]
    assert 0 < floor.cpu < ours.cpu
    assert 0 < floor.peak_mb < ours.peak_mb / 2  # though the process that started both has polars loaded


@pytest.mark.long
def names_of_peer(table: Table) -> dict[str, str]:
    """How the fair peer names the columns of a table: keys by what they do, values by the API."""
    named = {table.key: "key", table.columns[-1].name: "value"} if table.record is None else {table.key: "key"}
    order_id = "orderId" if table.name in (*orders.UNITS, orders.FREE_FORM) else "parent_orderId"
    keys = {"order_id": order_id, "parent_handling_unit_key": "parent_key", "root_handling_unit_key": "root_key"}
    keys |= {reference.column: "parent_key" for reference in table.references if reference.column not in keys}
    named |= {name: f"parent_{to_camel_case(name)}" for name in table.inherited_keys if name.endswith("_id")} | keys
    named |= {column.name: column.json_path.replace(".", "_") for column in table.columns if column.json_path}
    if table.name == orders.FREE_FORM:
        named |= {"order_position_key": "position_key", "key": "name", "value": "value"}
    left_out = {"fetched_at", "value_type", *(column.name for column in table.columns if column.kind is Kind.JSON)}
    return {name: named.get(name, name) for name in table.schema if name not in left_out}


def to_camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.title, rest))


@pytest.mark.parametrize("shape", [orders.STAND_IN, orders.SPARSE])
def test_the_fair_peer_has_the_keys_places_and_values_of_ours(folder: Path, tmp_path: Path, shape: str) -> None:
    file = orders.orders_file(ORDERS, folder, shape)
    duckdb_keys.run(file, tmp_path / "peer")
    flattened = flatten(file.read_bytes().splitlines())
    for name, table in TABLES.items():
        columns = names_of_peer(table)
        peer = pl.read_parquet(tmp_path / "peer" / f"{name}.parquet")
        theirs = peer.select(pl.col(old).cast(table.schema[new]).alias(new) for new, old in columns.items())
        ours = flattened[name]
        assert ours.height == theirs.height
        if name == orders.FREE_FORM:  # DuckDB spells numbers and spaces in its own way
            ours = ours.filter(~pl.col("value_type").is_in(["number", "object", "array"]))
            theirs = theirs.filter(pl.col(table.key).is_in(ours[table.key].implode()))
        assert_frame_equal(ours.select(*columns).sort(table.key), theirs.sort(table.key))


@pytest.mark.parametrize(
    ("change", "wrong"),
    [("UPDATE shipments SET key = '100001/9/9'", "shipments"), ("UPDATE handling_units SET parent_key = '1/1'", "handling_units"),
     ("DELETE FROM order_positions", "custom_attributes"), ("DELETE FROM orders", "address_identifiers")],
)  # fmt: skip
def test_the_fair_peer_finds_wrong_keys(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, wrong: str
) -> None:
    check = duckdb_keys.check_keys

    def damaged(db: duckdb.DuckDBPyConnection) -> None:
        db.execute(change)
        with pytest.raises(AssertionError, match=wrong):
            check(db)

    monkeypatch.setattr(duckdb_keys, "check_keys", damaged)
    duckdb_keys.run(orders.orders_file(ORDERS, folder), tmp_path / "peer")


def test_orders_of_the_second_shape_are_as_described(folder: Path) -> None:
    file = orders.orders_file(ORDERS, folder, orders.SPARSE)
    assert 3_800 < file.stat().st_size / ORDERS < 4_200
    assert 19 < orders.rows(file).total() / ORDERS < 21
    assert flatten(file.read_bytes().splitlines()).failures.is_empty()
    assert all(len(str(json.loads(line)["orderId"])) == 19 for line in file.read_bytes().splitlines())


def test_odd_orders_have_what_their_kind_says(folder: Path) -> None:
    files = {kind: orders.orders_file(ORDERS, folder, kind).read_bytes() for kind in orders.KINDS}
    plain = [json.loads(line) for line in files[orders.STAND_IN].splitlines()]
    grown = [json.loads(line) for line in files["unknown-field"].splitlines()]
    assert [number for number, order in enumerate(grown) if order.pop("salesChannel", None)] == list(
        range(0, ORDERS, 5)
    )
    assert grown == plain
    assert [json.loads(line) for line in files["decimal-quantity"].splitlines()] == plain
    assert re.findall(rb"\"quantity\":[0-9]+[,}]", files["decimal-quantity"]) == []
    assert b':00Z"' in files[orders.STAND_IN]
    assert files["naive-times"].replace(b'Z"', b'"') == files[orders.STAND_IN].replace(b'Z"', b'"')
    assert b':00Z"' not in files["naive-times"]


def test_copies_among_many_orders_are_orders_of_their_own() -> None:
    found = dict(many_orders(FIRST_ID, 800))
    assert list(found) == list(range(FIRST_ID, FIRST_ID + 800))
    assert found[FIRST_ID + 7] == order_json(FIRST_ID + 7)
    tables = flatten(found.values())
    assert tables.failures.is_empty()
    assert tables.orders["order_id"].to_list() == list(found)
    made, copies = (
        tables.order_positions.filter((pl.col("order_id") < FIRST_ID + 200) == is_made) for is_made in (True, False)
    )
    assert copies.height == 3 * made.height
    for name in ("serial_number", "sscc"):
        rows = tables[{"serial_number": "serial_numbers", "sscc": "handling_units"}[name]].filter(
            pl.col(name).is_not_null()
        )
        assert rows.height > 100
        assert rows.select("order_id", name).unique().height == rows[name].n_unique()
    wrong = audit(tables, only=["sscc_check_digit"])["order_id"]
    assert {(order_id - FIRST_ID) % 200 for order_id in wrong} == {n - FIRST_ID for n in wrong if n < FIRST_ID + 200}


@pytest.mark.long
def test_steps_with_many_orders_are_measured_and_leave_the_tables_of_a_full_build(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = scale.run(tmp_path, 400, 1)
    assert found["missing"] == {}
    assert (
        len(re.findall(r"^\| (archive|build|change|renew|audit|delta) \| [0-9]", capsys.readouterr().out, re.MULTILINE))
        == 6
    )
    assert build(tmp_path / "orders.sqlite", tmp_path / "full", derived=False, progress=False).orders.equals(
        open_dataset(tmp_path / "tables").orders
    )
    assert open_dataset(tmp_path / "tables").orders["completed_at"].is_not_null().sum() >= 100


@pytest.mark.skipif(compiled_core() is None, reason="the compiled core is not built here")
def test_the_share_that_the_compiled_core_leaves_to_python_is_printed(folder: Path, tmp_path: Path) -> None:
    bodies = orders.orders_file(ORDERS, folder).read_bytes().splitlines()
    odd = bodies[3].replace(b'"sellerId":', b'"sellerId":1,"sellerId":', 1)  # a key twice
    for name, lines, share in (("plain", bodies, 0), ("odd", [*bodies[:3], odd, *bodies[4:]], 1)):
        (tmp_path / f"{name}.ndjson").write_bytes(b"\n".join(lines))
        build(tmp_path / f"{name}.ndjson", tmp_path / name, progress=False, derived=False)
        assert json.loads((tmp_path / name / "manifest.json").read_bytes())[fallback.FACT] == share


@pytest.mark.long
def test_rows_that_are_missing_or_too_many_are_told(folder: Path) -> None:
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


@pytest.mark.long
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


def even(rate: float, since: float, until: float, status: int = 200) -> list[tuple[float, int]]:
    """Answers at a rate, in the middle of their slots, on a clock that began long ago."""
    return [(1000 + since + (n + 0.5) / rate, status) for n in range(round((until - since) * rate))]


def test_goodput_is_good_answers_a_second_over_the_ideal() -> None:
    ideal = Timeline.of(even(50, 0, 40))
    assert ideal.goodput(50) == pytest.approx(1)
    assert ideal.goodput_within(20, 40, 50) == pytest.approx(1, abs=0.001)
    slow_at_first = Timeline.of(even(10, 0, 20) + even(50, 20, 40))
    assert slow_at_first.goodput(50) == pytest.approx(0.6, abs=0.002)
    assert slow_at_first.goodput_within(20, 40, 50) == pytest.approx(1, abs=0.01)
    assert slow_at_first.goodput_within(40, 40.5, 50) is None
    assert Timeline.of([]).goodput(50) is Timeline.of([(1.0, 200)]).goodput(50) is None


def test_the_share_of_429s_is_that_among_all_answers() -> None:
    timeline = Timeline.of(sorted(even(30, 0, 40) + even(10, 0, 20, 429) + even(5, 0, 20, 503)))
    assert timeline.share_refused() == pytest.approx(200 / 1400)
    assert timeline.share_refused(20) == 0
    assert timeline.share_refused(40.1) is None


def test_a_limit_is_reached_where_the_first_window_begins_that_holds_enough() -> None:
    assert Timeline.of(even(50, 0, 10)).reached(50) == 0
    assert Timeline.of(even(41, 0, 10)).reached(50) == 0
    assert Timeline.of(even(38, 0, 10)).reached(50) is None
    # of 2 seconds, 0.5 at 10/s and 1.5 at 50/s are 80 answers
    assert Timeline.of(even(10, 0, 5) + even(50, 5, 10)).reached(50) == pytest.approx(4.5, abs=0.1)
    assert Timeline.of(even(50, 0, 1.5) + even(10, 1.5, 10)).reached(50) == 0
    assert Timeline.of(even(50, 0, 1.4) + even(10, 1.4, 10)).reached(50) is None
    assert Timeline.of([]).reached(50) is None


def test_a_new_limit_is_followed_where_few_429s_and_no_silence_begin() -> None:
    before = even(100, 0, 30)
    at_once = Timeline.of(before + even(50, 30, 60))
    assert at_once.followed(30, 50) == pytest.approx(0, abs=0.02)
    blind = even(50, 30, 36) + even(50, 30, 36, 429)
    late = Timeline.of(sorted(before + blind + even(50, 36, 60)))
    # less than a tenth of 2 seconds' requests: at most 11 in the last 0.22 seconds of the blind time
    assert late.followed(30, 50) == pytest.approx(5.8, abs=0.11)
    never = Timeline.of(sorted(before + even(50, 30, 60) + even(25, 30, 60, 429)))
    assert never.followed(30, 50) is None
    silent = Timeline.of(sorted(before + even(50, 30, 30.2, 429) + even(50, 40, 60)))
    assert silent.followed(30, 50) == pytest.approx(10, abs=0.02)
    still_too_many = Timeline.of(before + even(100, 30, 33) + even(50, 33, 60))
    assert still_too_many.followed(30, 50) == pytest.approx(2.8, abs=0.21)


def test_figures_leave_out_the_time_in_which_an_unknown_limit_was_looked_for() -> None:
    scenario = Scenario("unknown", 40, limit=50, latency=0.1)
    answers = sorted(even(25, 0, 20) + even(25, 0, 20, 429) + even(45, 20, 40) + even(5, 40, 60))
    good = sum(status == 200 for _, status in answers)
    seen = Seen(answers, dict.fromkeys(range(good - 3), ""))
    found = fetch.figures(scenario, seen, Cost(cpu=good / 500, wall=60, peak_mb=0, import_cpu=9, import_wall=9), lost=7)
    assert found.goodput_warm == pytest.approx(0.9, abs=0.01)  # until 40 s, where an ideal client ends
    assert found.goodput == pytest.approx(good / 60 / 50, abs=0.01)
    assert found.refused == pytest.approx(500 / len(answers))
    assert found.refused_warm == 0
    assert (found.lost, found.twice, found.cpu) == (7, 3, pytest.approx(2.0))
    assert found.reached == pytest.approx(19.5, abs=0.1)  # 80 of 2 seconds at 45 or 25 a second
    told = fetch.figures(replace(scenario, known=True), seen, None, lost=0)
    assert (told.goodput_warm, told.refused_warm, told.cpu) == (None, None, None)


def test_figures_of_a_limit_that_moves_are_those_of_the_time_since() -> None:
    scenario = Scenario("halving", 60, limit=100, then=(30, 50))
    assert scenario.ideal == 75
    blind = even(50, 30, 34) + even(50, 30, 34, 429)
    seen = Seen(sorted(even(100, 0, 30) + blind + even(40, 34, 60)), {}, changed=1030.0)
    found = fetch.figures(scenario, seen, None, lost=0)
    assert found.reached == 0  # of the first limit
    assert found.followed == pytest.approx(3.8, abs=0.11)
    assert found.goodput_after == pytest.approx(0.8, abs=0.01)
    assert found.refused_after == pytest.approx(200 / (400 + 26 * 40))


def test_the_ideal_is_what_limit_and_workers_allow() -> None:
    assert Scenario("", 10, limit=50, latency=1.0).ideal == 50
    assert Scenario("", 10, latency=0.05, workers=4).ideal == 80
    assert Scenario("", 10, limit=50, latency=0.05, workers=2).ideal == 40
    assert Scenario("", 10, workers=4).ideal is None


@pytest.mark.long
def test_a_short_fetch_is_measured_in_processes_of_their_own() -> None:
    scenario = Scenario("short", 2, limit=40, latency=0.01, known=True, retry_after="1")
    found = fetch.measured(scenario, fetch.OURS)
    assert isinstance(found, fetch.Measured), found
    assert (found.lost, found.twice, found.broke_off) == (0, 0, "")
    assert found.goodput
    assert found.cpu
    assert sum(good for good, _ in found.a_second) == 80


def test_a_fetch_that_keeps_wrong_or_fewer_orders_is_found_out(tmp_path: Path) -> None:
    sent = {1: sha256(b"one").hexdigest(), 2: sha256(b"two").hexdigest(), 3: sha256(b"three").hexdigest()}
    kept = [(1, b"one"), (2, b"tw0"), (9, b"nine")]
    assert fetch.lost([1, 2, 3, 4], sent, kept) == 3


def test_a_fetch_that_cannot_take_part_is_told() -> None:
    scenario = Scenario("short", 1, limit=10)
    why = fetch.measured(scenario, Candidate("absent", "nobody"))
    assert why == "not installed here: tests.benchmarks.candidates.nobody"
