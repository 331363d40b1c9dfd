"""Audits and KPIs look at orders in ranges: what they find is the same for ranges of any size, and for any processes."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import quivo_frames as qf
from quivo_frames.analysis import milestones
from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.analysis.milestones import OrderView
from quivo_frames.analysis.ranges import map_ranges
from quivo_frames.standin.orders import ndjson_lines, write_ndjson
from tests.support.depth import sampled
from tests.support.memory import grows_by_less_than

if TYPE_CHECKING:
    from pathlib import Path

    from quivo_frames.dataset.dataset import Dataset

CROSSING = {"sscc_on_two_orders", "serial_twice", "tracking_twice", "delivery_overdue", "pod_missing"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Orders of which every tenth is there twice under another id: serial numbers, SSCCs and tracking numbers, too."""
    folder = tmp_path_factory.mktemp("ranges")
    lines = list(ndjson_lines(600, seed=6))
    again = [line.replace(b'"orderId":100', b'"orderId":900', 1).replace(b'"orderId": 100', b'"orderId": 900', 1)
             for line in lines[::10]]  # fmt: skip
    (folder / "orders.ndjson").write_bytes(b"".join([*lines[::2], *again, *lines[1::2]]))
    return qf.build(folder / "orders.ndjson", folder / "tables", jobs=1)


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milestones, "ORDERS_PER_RANGE", 70)


def test_the_checks_that_cross_orders_say_so() -> None:
    assert {name for name, check in CHECKS.items() if check.crosses_orders} == CROSSING


def test_ranges_hold_each_order_once(dataset: Dataset, small_ranges: None) -> None:
    found = list(map_ranges(order_ids, OrderView(dataset)))
    assert len(found) == 10
    assert sorted(order_id for ids in found for order_id in ids) == sorted(dataset.orders["order_id"].to_list())


def order_ids(view: OrderView) -> list[int]:
    return view["orders"].select("order_id").collect().to_series().to_list()


@pytest.mark.long
def test_an_audit_in_ranges_finds_the_same(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = qf.audit(dataset, remember=False)
    assert {*whole["check"]} >= {"tracking_twice", "pod_missing"}
    monkeypatch.setattr(milestones, "ORDERS_PER_RANGE", 250)
    in_ranges = qf.audit(dataset, remember=False)
    assert in_ranges.equals(whole)
    assert in_ranges.checks.equals(whole.checks)
    assert qf.audit(dict(dataset), remember=False).equals(whole)


@pytest.mark.long
def test_one_order_of_many_has_its_own_findings_alone(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    found = qf.audit(dataset, remember=False)
    some = found["order_id"].unique().sort().gather_every(150).to_list()
    monkeypatch.setattr(milestones, "ORDERS_PER_RANGE", 250)
    for order_id in some:
        own = dataset.order(order_id).findings
        assert {*own["order_id"]} == {order_id}
        assert {*own["finding"]} == {*found.filter(pl.col("order_id") == order_id)["finding"]}


def test_a_view_of_a_range_of_some_orders_has_the_orders_of_both(dataset: Dataset) -> None:
    ids = dataset.orders["order_id"].sort().to_list()
    some = milestones.OrderView(dataset).only_orders(ids[10:20])
    assert some.id_ranges() == [(ids[10], ids[19])]
    assert some.within_range((ids[15], ids[-1]))["orders"].collect()["order_id"].sort().to_list() == ids[15:20]


@pytest.mark.long
def test_processes_share_an_audit(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = qf.audit(dataset, remember=False)
    monkeypatch.setattr(milestones, "ORDERS_PER_RANGE", 200)
    assert qf.audit(dataset, remember=False, jobs=2).equals(whole)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        assert qf.audit(dataset, remember=False, executor=executor).equals(whole)


def test_frames_in_memory_are_not_shared() -> None:
    with pytest.raises(
        qf.ConfigError, match=r"^Work can be shared on the tables of a dataset, not on frames in memory"
    ):
        qf.audit(qf.flatten([]), jobs=2)


def test_one_of_jobs_and_executor_is_enough(dataset: Dataset) -> None:
    with pytest.raises(qf.ConfigError, match=r"leave out one of the two"):
        qf.audit(dataset, jobs=2, executor=object())


@pytest.mark.long
@pytest.mark.drawn
@pytest.mark.parametrize(
    "by", sampled([("warehouse", "carrier", "week"), None, "carrier", "warehouse", "seller", "country"])
)
def test_kpis_in_ranges_are_the_same(dataset: Dataset, monkeypatch: pytest.MonkeyPatch, by: Any) -> None:
    whole = qf.kpis(dataset, by=by)
    monkeypatch.setattr(milestones, "ORDERS_PER_RANGE", 70)
    in_ranges = qf.kpis(dataset, by=by)
    for name in whole:
        assert_frame_equal(in_ranges[name], whole[name])  # sums in another order may differ in the last digit
    assert in_ranges.about == whole.about


@pytest.mark.long
@pytest.mark.alone
def test_memory_does_not_grow_with_the_orders(tmp_path: Path) -> None:
    """20,000 orders, and four times as many."""
    write_ndjson(tmp_path / "few.ndjson", 20_000, seed=6)
    write_ndjson(tmp_path / "many.ndjson", 80_000, seed=6)
    few = qf.build(tmp_path / "few.ndjson", tmp_path / "few", jobs=1)
    many = qf.build(tmp_path / "many.ndjson", tmp_path / "many", jobs=1)
    assert many.counts()["orders"] == 4 * few.counts()["orders"]
    qf.audit(few), qf.kpis(few)
    with grows_by_less_than(250):
        qf.audit(many)
    with grows_by_less_than(150):
        qf.kpis(many)


@pytest.mark.long
def test_processes_share_kpis_and_a_report(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, alone = qf.kpis(dataset, by="carrier"), tmp_path / "alone.html"
    qf.report(dataset, alone)
    monkeypatch.setattr(milestones, "ORDERS_PER_RANGE", 200)
    shared = qf.kpis(dataset, by="carrier", jobs=2)
    for name in whole:
        assert_frame_equal(shared[name], whole[name])
    qf.report(dataset, tmp_path / "shared.html", jobs=2)
    assert len((tmp_path / "shared.html").read_text()) == pytest.approx(len(alone.read_text()), rel=0.01)
