"""A slice of a dataset is a dataset: the rows of its orders, whatever is done with them."""

from __future__ import annotations

import json
import pickle
import stat
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import quivo_frames as qf
from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.dataset import stored_tables
from quivo_frames.dataset.manifest_facts import ExportOrigin
from quivo_frames.errors import ConfigError
from quivo_frames.flattening.unflatten import unflatten
from quivo_frames.maintenance.erasure import forget
from quivo_frames.model.carriers import usual_providers
from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.order_selection import OrderConditions
from quivo_frames.model.tables import REPORT_TABLES, TABLES
from quivo_frames.standin.orders import write_ndjson
from tests.support.depth import sampled
from tests.support.fair_order import changed_order
from tests.support.personal_traces import marked_order, unpacked

EVERYTHING = {**TABLES, **DERIVED_TABLES, **REPORT_TABLES}
SOME_IDS = [100_031, 100_002, 4711]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> qf.Dataset:
    folder = tmp_path_factory.mktemp("built")
    write_ndjson(folder / "orders.ndjson", 400, broken_every=90)
    return qf.build(folder / "orders.ndjson", folder / "tables", jobs=1, progress=False)


def ids_by_sql(built: qf.Dataset, condition: str) -> set[int]:
    """The ids of the orders that meet a condition, by another engine over the files."""
    files = {name: f"read_parquet('{built.folder}/{name}.parquet')" for name in ("orders", "fulfillment_orders")}
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        rows = db.execute(f"SELECT order_id FROM {files['orders']} o WHERE {condition.format(**files)}").fetchall()
    return {order_id for (order_id,) in rows}


HELD = "EXISTS (FROM {fulfillment_orders} f WHERE f.order_id = o.order_id AND "
NOT_HELD = (
    "NOT EXISTS (FROM {fulfillment_orders} f WHERE f.order_id = o.order_id "
    "AND (f.warehouse_id IS NOT NULL OR f.warehouse_name IS NOT NULL))"
)
NAMED_NORDLICHT = (
    "(seller_name = 'Nordlicht Kosmetik GmbH' "
    "OR seller_id IN (SELECT seller_id FROM {orders} WHERE seller_name = 'Nordlicht Kosmetik GmbH'))"
)
CONDITIONS: dict[str, tuple[dict[str, Any], str]] = {
    "seller by number": ({"seller": 2102}, "seller_id = 2102"),
    "seller by digits": ({"seller": "2102"}, "seller_id = 2102"),
    "seller by name": ({"seller": "Nordlicht Kosmetik GmbH"}, NAMED_NORDLICHT),
    "sellers": ({"seller": [2102, "Nordlicht Kosmetik GmbH"]}, f"seller_id = 2102 OR {NAMED_NORDLICHT}"),
    "warehouse": ({"warehouse": 8}, f"{HELD} f.warehouse_id = 8) OR (warehouse_id = 8 AND {NOT_HELD})"),
    "warehouse by name": (
        {"warehouse": "Lager Deutschland"},
        f"{HELD} (f.warehouse_id = 4 OR f.warehouse_name = 'Lager Deutschland')) OR (warehouse_id = 4 AND {NOT_HELD})",
    ),
    "since a day": ({"since": "2026-08-01"}, "order_date >= TIMESTAMPTZ '2026-08-01 00:00:00Z'"),
    "until a day": ({"until": date(2026, 8, 1)}, "order_date < TIMESTAMPTZ '2026-08-02 00:00:00Z'"),
    "a day": (
        {"since": "2026-08-01", "until": "2026-08-01"},
        "order_date >= TIMESTAMPTZ '2026-08-01 00:00:00Z' AND order_date < TIMESTAMPTZ '2026-08-02 00:00:00Z'",
    ),
    "instants": (
        {"since": datetime(2026, 7, 1, 6, tzinfo=UTC), "until": "2026-09-01T14:00:00+02:00"},
        "order_date >= TIMESTAMPTZ '2026-07-01 06:00:00Z' AND order_date < TIMESTAMPTZ '2026-09-01 12:00:00Z'",
    ),
    "status": ({"status": "SHIPPED"}, "order_status = 'SHIPPED'"),
    "statuses": ({"status": ["SHIPPED", "PENDING"]}, "order_status IN ('SHIPPED', 'PENDING')"),
    "ids": ({"ids": SOME_IDS}, "order_id IN (100031, 100002, 4711)"),
    "all of it": (
        {"seller": [2101, 2102], "warehouse": [4, 7, 8], "since": "2026-06-20", "status": "COMPLETED"},
        (f"seller_id IN (2101, 2102) AND order_date >= TIMESTAMPTZ '2026-06-20' AND order_status = 'COMPLETED' AND ({HELD} "
        f"f.warehouse_id IN (4, 7, 8)) OR (warehouse_id IN (4, 7, 8) AND {NOT_HELD}))"),
    ),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("name", CONDITIONS)
def test_a_slice_has_the_orders_that_another_engine_finds(built: qf.Dataset, name: str) -> None:
    given, condition = CONDITIONS[name]
    wanted = ids_by_sql(built, condition)
    cut = built.where(**given)
    assert set(cut.orders["order_id"]) == wanted
    assert 0 < len(wanted) < built.orders.height
    for table in TABLES:  # the same rows in the same order
        assert cut[table].equals(built[table].filter(pl.col("order_id").is_in(wanted))), table
    assert set(built.collect().where(**given).orders["order_id"]) == wanted
    assert cut.counts() == {table: cut.lazy(table).collect().height for table in EVERYTHING}


@pytest.mark.drawn
def test_every_row_of_a_slice_has_the_rows_that_it_refers_to(built: qf.Dataset) -> None:
    counted = 0
    for given, _ in sampled(CONDITIONS.values()):
        cut = built.where(**given)
        for table in (TABLES | DERIVED_TABLES).values():
            rows = cut.lazy(table.name).collect()
            for reference in table.references:
                keys = rows[reference.column].drop_nulls()
                parents = cut.lazy(reference.to_table).collect()[reference.to_column]
                assert keys.is_in(parents.implode()).all(), reference
                counted += len(keys)
    assert counted > 1_000


def test_derived_tables_are_the_rows_of_the_whole(built: qf.Dataset) -> None:
    cut = built.where(seller=2102)
    ids = cut.orders["order_id"].implode()
    for name in DERIVED_TABLES:  # with the usual carriers of all orders
        assert cut.lazy(name).collect().equals(built.lazy(name).filter(pl.col("order_id").is_in(ids)).collect()), name
    for function in (qf.lines, qf.overview, qf.milestones, qf.events):
        assert function(cut).equals(function(built).filter(pl.col("order_id").is_in(ids)))


def test_slices_can_be_divided_further_and_together_are_the_whole(built: qf.Dataset) -> None:
    wanted = built.where(seller=2102, status="COMPLETED").orders
    for cut in (built.where(seller=2102).where(status="COMPLETED"), built.where(status="COMPLETED").where(seller=2102)):
        assert cut.orders.equals(wanted)
    ids = wanted["order_id"].to_list()
    assert built.only(ids).where(seller=2102).orders.equals(wanted)
    assert built.where(seller=2102).only(ids[:2]).only(ids[1:]).orders["order_id"].to_list() == ids[1:2]
    assert built.where() is built
    early, late = built.where(until="2026-08-01"), built.where(since="2026-08-02")
    dated = built.orders["order_date"].count()
    assert early.counts()["orders"] + late.counts()["orders"] == dated
    assert built.where(seller=2101).where(seller=2102).counts()["orders"] == 0


def test_nothing_is_read_until_it_is_asked_for(built: qf.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a file was read")

    with monkeypatch.context() as patched:
        patched.setattr(stored_tables.pl, "scan_parquet", refuse)
        cut = built.where(seller="Nordlicht Kosmetik GmbH", status="SHIPPED", since="2026-06-01").where(warehouse=8)
        with pytest.raises(AssertionError, match="a file was read"):
            cut.counts()
    assert isinstance(cut.scan.shipments, pl.LazyFrame)


def test_an_order_that_failed_is_in_a_slice_by_its_id_alone(built: qf.Dataset) -> None:
    failed = built.failures["order_id"].to_list()
    assert len(failed) > 2
    assert built.only(failed[:2]).failures.equals(built.failures[:2])
    assert built.only(failed).only(failed[1:]).failures["order_id"].to_list() == failed[1:]
    assert built.where(ids=failed, seller=2102).failures.is_empty()
    assert built.where(since="2026-01-01").failures.is_empty()
    assert built.only(failed).notes.is_empty()
    assert built.collect().only(failed[:2]).failures.height == 2


@pytest.mark.long
@pytest.mark.parametrize("given", [{"ids": []}, {"seller": []}, {"since": "2031-01-01"}, {"ids": 4711}])
def test_a_slice_may_have_no_orders(built: qf.Dataset, tmp_path: Path, given: dict[str, Any]) -> None:
    cut = built.where(**given)
    assert set(cut.counts().values()) == {0}
    assert "0 orders" in repr(cut)
    assert "0 orders" in cut._repr_html_()
    assert list(unflatten(cut)) == []
    assert qf.lines(cut).is_empty()
    assert set(cut.write(tmp_path / "slice").counts().values()) == {0}


@pytest.mark.long
def test_nothing_goes_wrong_in_no_orders(built: qf.Dataset, tmp_path: Path) -> None:
    cut = built.where(ids=[])
    for tables in (cut, cut.write(tmp_path / "slice")):
        assert qf.audit(tables).is_empty()
        assert qf.kpis(tables)
        assert qf.stuck(tables).is_empty()
        qf.report(tables, tmp_path / "report.html")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seller": "Nobody"}, r"No order is of the seller Nobody\. There are: .*Nordlicht Kosmetik GmbH \(2101\)"),
        ({"seller": [2101, 9]}, r"No order is of the seller 9\. There are: "),
        ({"warehouse": "Mars\x1b[2J"}, r"No order is of the warehouse Mars\\x1b\[2J\. There are: Lager Deutschland \(4\)"),
        ({"warehouse": 2**70}, r"No order is of the warehouse \d+\. There are: "),
        ({"status": "shipped"}, r"No order has the status shipped\. There are: CANCELLED, .*, SHIPPED\."),
    ],
)  # fmt: skip
def test_a_name_that_nobody_has_is_said_with_some_that_exist(
    built: qf.Dataset, given: dict[str, Any], message: str
) -> None:
    cut = built.where(**given)
    for ask in (cut.counts, lambda: cut.shipments, lambda: qf.audit(cut), lambda: built.collect().where(**given)):
        with pytest.raises(ConfigError, match=message):
            ask()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ids": ["1"]}, "Order ids are whole numbers"),
        ({"seller": 1.5}, "A seller is a whole number or a name"),
        ({"warehouse": [None]}, "A warehouse is a whole number or a name"),
        ({"since": "June"}, "June is neither a day nor an instant"),
        ({"until": "2026-13-01"}, "neither a day nor an instant"),
    ],
)
def test_what_is_no_condition_is_said_at_once(built: qf.Dataset, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        built.where(**given)


@pytest.mark.long
def test_what_is_asked_of_a_slice_is_what_is_asked_of_its_orders(built: qf.Dataset, tmp_path: Path) -> None:
    """Whatever does not compare orders with each other says the same of a slice as of all orders."""
    cut = built.where(seller=2102)
    ids = cut.orders["order_id"].implode()
    alone = [name for name, check in CHECKS.items() if not check.crosses_orders]
    of_all = qf.audit(built, only=alone, remember=False).filter(pl.col("order_id").is_in(ids))
    assert qf.audit(cut, only=alone).equals(pl.DataFrame(of_all))
    assert of_all.height > 10
    by_seller = qf.kpis(built, by="seller")
    volume = by_seller["volume"]
    assert qf.kpis(cut)["volume"]["orders"].sum() <= volume["orders"].sum()
    stuck = qf.stuck(built)
    assert qf.stuck(cut).equals(stuck.filter(pl.col("order_id").is_in(ids)))
    joined = qf.join(built, "shipment_positions", "shipments", "orders")
    assert qf.join(cut, "shipment_positions", "shipments", "orders").equals(
        joined.filter(pl.col("order_id").is_in(ids))
    )
    orders = [json.loads(text)["orderId"] for text in unflatten(cut)]
    assert orders == cut.orders["order_id"].to_list()
    qf.report(cut, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "Only some of the orders: seller 2102." in page
    assert "quivo-frames audit" not in page  # its orders cannot be given by a folder alone


@pytest.mark.long
def test_several_processes_share_the_work_on_a_slice(built: qf.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quivo_frames.analysis.milestones.ORDERS_PER_RANGE", 20)
    cut = built.where(seller=[2101, 2102])
    assert qf.audit(cut, jobs=2).equals(qf.audit(cut))
    one, two = qf.kpis(cut, by="seller"), qf.kpis(cut, by="seller", jobs=2)
    for name, frame in two.items():
        assert_frame_equal(one[name], frame)  # means are of the same numbers in another order


def test_a_slice_can_be_sent_to_another_process(built: qf.Dataset) -> None:
    cut = built.where(seller=2102)
    assert pickle.loads(pickle.dumps(cut)).orders.equals(cut.orders)


@pytest.mark.long
def test_an_audit_of_a_slice_knows_what_is_new_and_leaves_the_memory_alone(built: qf.Dataset) -> None:
    qf.audit(built)
    before = (built.folder / "findings.parquet").read_bytes()
    cut = built.where(seller=2102)
    found = qf.audit(cut)
    assert set(found["status"]) == {"standing"}
    assert found.resolved.is_empty()
    assert qf.audit(cut, only=["new"]).is_empty()
    qf.audit(built.only([]))
    assert (built.folder / "findings.parquet").read_bytes() == before
    assert qf.audit(built).resolved.is_empty()


def test_a_slice_has_no_files_before_it_is_written(built: qf.Dataset, tmp_path: Path) -> None:
    cut = built.where(seller=2102)
    with pytest.raises(ConfigError, match="A slice has no files of its own"):
        cut.files("orders")
    assert cut.write(tmp_path / "out").files("orders") == [str(tmp_path / "out" / "orders.parquet")]


@pytest.mark.long
@pytest.mark.parametrize("to", ["parquet", "delta", "duckdb", "excel", "csv", "ocel", "powerbi"])
def test_a_slice_is_exported_in_each_format(built: qf.Dataset, tmp_path: Path, to: str) -> None:
    cut = built.where(seller=2102, status="SHIPPED")
    counts = cut.counts()
    out = tmp_path / {"duckdb": "out.duckdb", "excel": "out.xlsx", "ocel": "out.sqlite"}.get(to, "out")
    exported = cut.export(to, out)
    assert counts["orders"] == exported.rows["orders"] if "orders" in exported.rows else exported.rows
    readers: dict[str, Callable[[], int]] = {
        "duckdb": lambda: duckdb.connect(out, read_only=True).execute("SELECT count(*) FROM orders").fetchone()[0],
        "delta": lambda: pl.read_delta(str(out / "orders")).height,
        "parquet": lambda: pl.read_parquet(out / "orders.parquet").height,
        "csv": lambda: pl.read_csv(out / "orders.csv").height,
    }
    if to in readers:
        assert readers[to]() == counts["orders"]


@pytest.mark.long
def test_a_written_slice_opens_as_a_dataset_that_says_what_it_is(built: qf.Dataset, tmp_path: Path) -> None:
    cut = built.where(seller=2102, since="2026-06-01").where(status=["SHIPPED", "COMPLETED"])
    written = cut.write(tmp_path / "slice")
    for name in EVERYTHING:
        assert written.lazy(name).collect().equals(cut.lazy(name).collect()), name
    assert written.counts() == cut.counts()
    carriers = dict(usual_providers(built.scan.shipments).iter_rows())
    names = set(cut.shipments["provider_name"].str.to_uppercase())
    used = {name: carrier for name, carrier in carriers.items() if name in names}
    assert written.origin == ExportOrigin(cut.name, "tables", cut.conditions, used)
    assert cut.conditions[0] == OrderConditions(seller=(2102,), since=datetime(2026, 6, 1, tzinfo=UTC))
    assert written.manifest["version"] == built.manifest["version"]
    assert str(tmp_path) not in (tmp_path / "slice" / "manifest.json").read_text()
    assert list(written.damaged_files()) == []
    assert qf.check(tmp_path / "slice").flaws.is_empty()
    again = written.where(status="SHIPPED").write(tmp_path / "again")
    assert again.orders.equals(cut.where(status="SHIPPED").orders)
    assert again.describe_slice() == "seller 2102, since 2026-06-01 00:00; status SHIPPED or COMPLETED; status SHIPPED"
    for place in (tmp_path / "slice", *(tmp_path / "slice").rglob("*")):
        assert stat.S_IMODE(place.stat().st_mode) == (0o700 if place.is_dir() else 0o600)


@pytest.mark.long
def test_all_that_a_colleague_does_with_a_written_slice_works(built: qf.Dataset, tmp_path: Path) -> None:
    cut = built.where(seller=2102)
    cut.write(tmp_path / "slice")
    opened = qf.open(tmp_path / "slice")
    same = ["finding", "check", "message", "severity", "days_late"]
    assert qf.audit(opened, "2026-09-30").select(same).equals(qf.audit(cut, "2026-09-30").select(same))
    assert qf.audit(opened).height
    assert set(qf.audit(opened)["status"]) == {"standing"}  # it remembers, in its own folder
    assert qf.kpis(opened, by="seller")["volume"].equals(qf.kpis(cut, by="seller")["volume"])
    assert qf.lines(opened).equals(qf.lines(cut))
    assert list(unflatten(opened)) == list(unflatten(cut))
    opened.export("csv", tmp_path / "csv")
    with pytest.raises(ConfigError, match="holds the tables that are exported"):
        opened.only([]).write(tmp_path / "slice")
    exports = (tmp_path / "slice" / "exports.json").read_bytes()
    cut.write(tmp_path / "slice")  # what the folder remembers stays
    assert (tmp_path / "slice" / "exports.json").read_bytes() == exports
    assert set(qf.audit(qf.open(tmp_path / "slice"))["status"]) == {"standing"}


@pytest.mark.parametrize("damage", [None, "manifest.json", "export.json"])
def test_a_build_replaces_no_written_slice(built: qf.Dataset, tmp_path: Path, damage: str | None) -> None:
    built.only(SOME_IDS).write(tmp_path / "slice")
    if damage:
        (tmp_path / "slice" / damage).unlink()
    before = {file: file.read_bytes() for file in (tmp_path / "slice").iterdir()}
    for full in (False, True):
        with pytest.raises(ConfigError, match="holds tables that were exported"):
            qf.build(built.folder.parent / "orders.ndjson", tmp_path / "slice", full=full, jobs=1, progress=False)
    with pytest.raises(ConfigError, match="holds tables that were exported"):
        qf.build(built.folder.parent / "orders.ndjson", tmp_path / "slice", full=True, form="delta", progress=False)
    assert {file: file.read_bytes() for file in (tmp_path / "slice").iterdir()} == before


@pytest.mark.long
def test_a_slice_without_personal_data_holds_none_in_any_byte(tmp_path: Path) -> None:
    mark = "Ida-Lund-of-Harbour-Road"
    orders = [marked_order(order_id, mark) for order_id in range(100_001, 100_031)]
    failing = marked_order(100_031, mark, deliveryAddress={"name1": [mark]})
    (tmp_path / "orders.ndjson").write_bytes(b"\n".join([*orders, failing]))
    built = qf.build(tmp_path / "orders.ndjson", tmp_path / "tables", jobs=1, progress=False)
    cut = built.only(range(100_001, 100_032))

    def marked_files(folder: Path) -> list[str]:
        files = (file for file in folder.rglob("*") if file.is_file())
        return [file.name for file in files if mark.encode() in file.read_bytes() + unpacked(file)]

    assert marked_files(cut.write(tmp_path / "full").folder)
    written = cut.write(tmp_path / "slice", privacy="none")
    qf.audit(written)
    assert marked_files(tmp_path / "slice") == []
    assert written.level == "none"
    assert written.orders.height == cut.orders.height == 30
    assert written.failures["order_id"].to_list() == [100_031]
    with pytest.raises(ConfigError, match="there is nothing in them for --privacy full"):
        written.write(tmp_path / "fuller", privacy="full")


@pytest.mark.long
def test_the_usual_carrier_is_that_of_all_orders_also_in_what_was_written(tmp_path: Path) -> None:
    """In the slice, nobody says who SLOW MAIL is; in all orders, it is UPS."""
    orders = [changed_order({"fulfillmentOrders.0.shipments.0.providerName": "Slow Mail"} | change, number)
              for number, change in ((1001, {"fulfillmentOrders.0.shipments.0.provider": "UPS", "sellerId": 7}),
                                     (1002, {"fulfillmentOrders.0.shipments.0.provider": None, "sellerId": 8}))]  # fmt: skip
    (tmp_path / "orders.ndjson").write_text("\n".join(map(json.dumps, orders)))
    built = qf.build(tmp_path / "orders.ndjson", tmp_path / "tables", jobs=1, progress=False)
    cut = built.where(seller=8)
    written = cut.write(tmp_path / "slice")
    assert written.where(ids=1002).write(tmp_path / "again").origin == ExportOrigin(
        written.where(ids=1002).name, "slice", (*cut.conditions, OrderConditions(ids=(1002,))), {"SLOW MAIL": "UPS"}
    )
    for tables in (cut, written, qf.open(tmp_path / "again")):
        assert qf.lines(tables)["carrier"].drop_nulls().unique().to_list() == ["UPS"]
        assert qf.overview(tables)["carrier"].to_list() == ["UPS"]
        assert qf.kpis(tables, by="carrier")["volume"]["carrier"].to_list() == ["UPS"]
    forget([1002], tables=[tmp_path / "slice"])
    assert "SLOW" not in (tmp_path / "slice" / "manifest.json").read_text()


def test_missing_personal_values_are_no_findings_where_they_were_left_out(built: qf.Dataset, tmp_path: Path) -> None:
    cut = built.where(seller=[2101, 2102])
    written = cut.write(tmp_path / "slice", privacy="none")
    found = qf.audit(written, only=["tracking_missing"])
    assert found.is_empty()
    assert found.checks.select("check", "outcome", "reason").rows() == [
        ("tracking_missing", "skipped", "the tables leave out personal values")
    ]
    assert "tracking_missing (the tables leave out personal values)" in str(found)


def test_an_instant_is_in_the_slice_that_begins_with_it_and_not_in_the_one_that_ends_with_it(tmp_path: Path) -> None:
    dates = {
        1001: "2026-08-01T00:00:00Z",
        1002: "2026-08-01T23:59:59.999999Z",
        1003: "2026-08-02T00:00:00Z",
        1004: None,
    }
    orders = [changed_order({"orderDate": at, "novelty": 1}, order_id) for order_id, at in dates.items()]
    (tmp_path / "orders.ndjson").write_text("\n".join(map(json.dumps, orders)))
    built = qf.build(tmp_path / "orders.ndjson", tmp_path / "tables", jobs=1, progress=False)

    def ids(**given: Any) -> list[int]:
        return built.where(**given).orders["order_id"].to_list()

    assert ids(since="2026-08-02") == ids(since="2026-08-02T00:00:00Z") == [1003]
    assert ids(until="2026-08-01") == ids(until="2026-08-02T00:00:00Z") == [1001, 1002]
    assert ids(since="2026-08-01", until="2026-08-01") == [1001, 1002]
    assert ids(since="1990-01-01") == [1001, 1002, 1003]  # an order without a date is in no such slice
    assert built.notes.height
    assert built.where(ids=1001).notes.is_empty()  # they count all orders
    assert built.where(ids=1001).write(tmp_path / "slice").notes.is_empty()
    assert built.write(tmp_path / "all").notes.equals(built.notes)
