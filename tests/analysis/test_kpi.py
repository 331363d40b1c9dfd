"""KPIs: each against SQL written from its definition, which is that of the dbt package, and on orders made by hand."""

from __future__ import annotations

import copy
import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import quivo_frames as qf
from quivo_frames.analysis.derived_tables import derive_tables
from quivo_frames.analysis.kpi.groups import GROUPS
from quivo_frames.analysis.kpi.kpis import KPIS
from quivo_frames.analysis.kpi.result import UNTOLD
from quivo_frames.display.text import format_count
from quivo_frames.standin import orders as drawing
from tests.support.dbt_models import create_models, regrouped_models
from tests.support.fair_order import AS_OF, GONE, changed_order

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import duckdb

    from quivo_frames.analysis.kpi.result import Kpis

SHIPMENT = "fulfillmentOrders.0.shipments.0"
ZONE, TOLERANCE, AGAINST = "America/New_York", timedelta(hours=5), "expected_delivery_date"


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    """Made-up orders whose answers arrived at different times."""
    drawn = qf.flatten(list(drawing.ndjson_lines(2_500, seed=11)))
    answered = pl.col("last_modified") + pl.duration(days=pl.col("order_id") % 23)
    names = pl.col("seller_name").replace({"Voltwerk Elektronik AG": "Nordlicht Kosmetik GmbH"})  # of two sellers
    place, provider = pl.int_range(pl.len()), pl.col("provider")
    written = (
        pl.when(place % 7 == 0).then(pl.lit("  ")).when(place % 11 == 0).then(pl.lit(None, pl.String))
        .when(place % 5 == 0).then(pl.lit(" ") + provider.str.to_lowercase()).otherwise(provider)
    )  # fmt: skip
    name = pl.when(place % 77 == 0).then(pl.lit("Some courier")).otherwise("provider_name")
    return {
        **drawn, "orders": drawn["orders"].with_columns(fetched_at=answered, seller_name=names),
        "shipments": drawn["shipments"].with_columns(provider=written, provider_name=name),
    }  # fmt: skip


VARIABLES = {"quivo_time_zone": ZONE, "quivo_tolerance_minutes": TOLERANCE // timedelta(minutes=1),
             "quivo_on_time_against": AGAINST}  # fmt: skip
# The groups of two groups, in SQL: of those that an order has several of, each with each.
OF_TWO = """SELECT {key}, 'both' AS grouped_by, both_values AS group_value, both_values AS group_key FROM (
    SELECT {key}, coalesce(a.group_value, '-') || ' | ' || coalesce(b.group_value, '-') AS both_values
    FROM (FROM {table} WHERE grouped_by = '{first}') a JOIN (FROM {table} WHERE grouped_by = '{second}') b USING ({key}))"""
SERVED = """SELECT order_id, 'both' AS grouped_by, both_values AS group_value, both_values AS group_key FROM (
    SELECT DISTINCT order_id, coalesce({first}, '-') || ' | ' || coalesce({second}, '-') AS both_values FROM (
        SELECT order_id, coalesce(n.warehouse, w::VARCHAR) AS warehouse, carrier FROM (
            SELECT o.order_id, coalesce(f.warehouse_id, o.warehouse_id) AS w, carrier FROM orders o LEFT JOIN (
                SELECT f.order_id, f.warehouse_id, carrier FROM fulfillment_orders f
                LEFT JOIN int_quivo__sent USING (fulfillment_order_key)
                WHERE NOT coalesce(f.cancelled, false) OR shipment_key IS NOT NULL) f USING (order_id))
        LEFT JOIN int_quivo__warehouse_names n ON n.warehouse_id = w))"""


@pytest.fixture(scope="module")
def in_sql(tables: dict[str, pl.DataFrame]) -> duckdb.DuckDBPyConnection:
    """The models of the dbt package over the tables: the definitions again, in SQL."""
    return create_models({**tables, **derive_tables(tables)}, **VARIABLES)


def figures_in_sql(db: duckdb.DuckDBPyConnection, name: str, grouped_by: str) -> pl.DataFrame:
    """A KPI by one group, as its model has it."""
    query = f"SELECT * EXCLUDE grouped_by FROM kpi_quivo__{name} WHERE grouped_by = '{grouped_by}'"
    return pl.DataFrame(db.sql(query).to_arrow_table())


@pytest.mark.long
@pytest.mark.parametrize("by", [None, *GROUPS])
def test_each_kpi_is_what_sql_says(
    tables: dict[str, pl.DataFrame], in_sql: duckdb.DuckDBPyConnection, by: str | None
) -> None:
    found = qf.kpis(tables, by, on_time_against=AGAINST, tolerance=TOLERANCE, time_zone=ZONE)
    for name, frame in found.items():
        expected = figures_in_sql(in_sql, name, by or "all")
        if by and by not in expected.columns:  # the carrier of a group of its own is in both
            expected = expected.rename({"group_value": by})
        assert frame.height == expected.height > 0
        expected = expected.select(frame.columns).cast(dict(frame.schema))
        assert_frame_equal(frame, expected, check_row_order=False, abs_tol=1e-9)


@pytest.mark.long
@pytest.mark.parametrize("by", [("warehouse", "carrier"), ("carrier", "week")])
def test_each_kpi_by_two_groups_is_what_sql_says(
    tables: dict[str, pl.DataFrame], in_sql: duckdb.DuckDBPyConnection, by: tuple[str, str]
) -> None:
    found = qf.kpis(tables, by, on_time_against=AGAINST, tolerance=TOLERANCE, time_zone=ZONE)
    first, second = by
    groups = {
        f"int_quivo__groups_of_{what}": OF_TWO.format(
            key=key, table=f"int_quivo__groups_of_{what}", first=first, second=second
        )
        for what, key in (("orders", "order_id"), ("shipments", "shipment_key"))
    }
    if set(by) == {"warehouse", "carrier"}:  # a carrier goes with the warehouse that it came to
        groups["int_quivo__groups_of_orders"] = SERVED.format(first=first, second=second)
    with regrouped_models(in_sql, groups, **VARIABLES):
        for name, frame in found.items():
            joined = pl.concat_str([pl.col(group).fill_null("-") for group in by], separator=" | ")
            given = frame.select(joined.alias("group_value"), pl.exclude(by))
            expected = figures_in_sql(in_sql, name, "both")
            assert frame.columns[:2] == list(by)
            expected = expected.select(given.columns).cast(dict(given.schema))
            assert_frame_equal(given, expected, check_row_order=False, abs_tol=1e-9)


@pytest.mark.long
def test_each_kpi_by_any_two_groups_is_what_sql_says(
    tables: dict[str, pl.DataFrame], in_sql: duckdb.DuckDBPyConnection
) -> None:
    for by in itertools.permutations(GROUPS, 2):
        test_each_kpi_by_two_groups_is_what_sql_says(tables, in_sql, by)


def test_weeks_are_those_of_iso_and_days_those_of_the_time_zone() -> None:
    instants = ["2026-12-31T23:30:00Z", "2027-01-01T00:00:00Z", "2027-01-03T22:59:00Z", "2027-01-03T23:00:00Z"]
    changes = [{"orderDate": instant, "fulfillmentOrders": []} for instant in instants]
    weeks, days = (kpis_of_fair_orders(*changes, by=by, time_zone="Europe/Vienna").volume for by in ("week", "day"))
    assert weeks.select("week", "orders").rows() == [("2026-W53", 3), ("2027-W01", 1)]
    assert days.select("day", "orders").rows() == [("2027-01-01", 2), ("2027-01-03", 1), ("2027-01-04", 1)]


@pytest.mark.long
def test_the_drawn_orders_have_all_that_the_definitions_are_about(tables: dict[str, pl.DataFrame]) -> None:
    found = qf.kpis(tables, on_time_against=AGAINST)
    volume, perfect = found.volume.row(0, named=True), found.perfect_order.row(0, named=True)
    assert volume["orders"] == 2_500
    assert volume["called_off"] > 0
    assert volume["completed"] < volume["delivered"] < volume["shipped"] < volume["orders"]
    assert 0 < perfect["perfect"] < min(perfect["in_full"], perfect["on_time"]) <= perfect["orders"]
    assert found.on_time.select(pl.col("on_time", "late", "unknown").min()).row(0) > (0, 0, 0)
    assert found.delivery_window.select("within", "early", "late").row(0) > (0, 0, 0)
    assert (found.cycle_time["orders"] > 100).all()
    assert (found.backlog["orders"] > 0).sum() >= 3
    assert found.split_shipments["split"].item() > 100
    sellers = qf.kpis(tables, "seller").volume["seller"].to_list()
    assert len([name for name in sellers if name and name.startswith("Nordlicht Kosmetik GmbH (")]) == 2


@pytest.mark.long
@pytest.mark.parametrize(
    "by", ["month", "week", "seller", "country", ["month", "seller", "country"], ("day", "country")]
)
def test_groups_that_are_one_to_an_order_add_up(tables: dict[str, pl.DataFrame], by: str | list[str]) -> None:
    total, told = qf.kpis(tables), qf.kpis(tables, by)
    for name, frame in total.items():
        counts = [column for column, dtype in frame.schema.items() if dtype == pl.Int64]
        keys = [column for column, dtype in frame.schema.items() if dtype == pl.String]
        added = told[name].group_by(keys).agg(pl.col(counts).sum()) if keys else told[name].select(pl.col(counts).sum())
        assert_frame_equal(added.select(*keys, *counts), frame.select(*keys, *counts), check_row_order=False)


def test_groups_are_sorted_and_columns_and_types_are_the_same_for_all(tables: dict[str, pl.DataFrame]) -> None:
    plain, told = qf.kpis(tables), qf.kpis(tables, ["country", "carrier"])
    for name, frame in told.items():
        assert frame.columns[:2] == ["country", "carrier"]
        assert_frame_equal(frame, frame.sort("country", "carrier", nulls_last=True, maintain_order=True))
        rest = {column: dtype for column, dtype in plain[name].schema.items() if column != "carrier"}
        assert dict(list(frame.schema.items())[2:]) == rest
        rates = frame.select(pl.selectors.matches("rate$"))
        assert not any(((values < 0) | (values > 1) | values.is_nan()).any() for values in rates)


def kpis_of_fair_orders(*changes: Mapping[str, Any], **options: Any) -> Kpis:
    """The KPIs of fair orders, one for each of these changes."""
    orders = [json.dumps(changed_order(change, 1001 + place)).encode() for place, change in enumerate(changes)]
    return qf.kpis(qf.flatten(orders), **options)


def single_row(frame: pl.DataFrame, **where: str) -> dict[str, Any]:
    return frame.filter(**where).row(0, named=True) if where else frame.row(0, named=True)


def test_a_fair_order_is_perfect() -> None:
    found = kpis_of_fair_orders({})
    assert single_row(found.perfect_order) == {"orders": 1, "in_full": 1, "on_time": 1, "perfect": 1, "rate": 1.0}
    assert found.on_time["rate"].to_list() == [1.0] * 4
    assert found.cycle_time["mean"].to_list() == pytest.approx([1 + 4 / 24, 1 + 22 / 24, 3 + 2 / 24, 5 + 4 / 24])
    assert single_row(found.delivery_window) == {"shipments": 1, "within": 1, "early": 0, "late": 0, "rate": 1.0}
    assert single_row(found.pod_lag)["p50"] == pytest.approx(1 / 24)
    assert found.backlog["orders"].sum() == 0


@pytest.mark.long
@pytest.mark.parametrize("body", [None, b'{"orderId": 1}'])
@pytest.mark.parametrize("by", [None, *GROUPS])
def test_of_nothing_a_rate_is_null(body: bytes | None, by: str | None) -> None:
    for frame in qf.kpis(qf.flatten([body] if body else []), by).values():
        assert all(values.null_count() == frame.height for values in frame.select(pl.selectors.float()))
        assert body or by is None or frame.is_empty()


@pytest.mark.long
def test_a_day_is_one_of_the_time_zone() -> None:
    late_evening = {f"{SHIPMENT}.deliveryDate": "2026-09-05T22:30:00Z"}
    assert single_row(kpis_of_fair_orders(late_evening).perfect_order)["on_time"] == 1
    assert single_row(kpis_of_fair_orders(late_evening, time_zone="Europe/Vienna").perfect_order)["on_time"] == 0
    at_the_month_end = {"orderDate": "2026-08-31T22:30:00Z"}
    assert kpis_of_fair_orders(at_the_month_end, by="month").volume["month"].to_list() == ["2026-08"]
    assert kpis_of_fair_orders(at_the_month_end, by="month", time_zone="Europe/Vienna").volume["month"].to_list() == [
        "2026-09"
    ]


@pytest.mark.long
@pytest.mark.parametrize(
    ("against", "field", "last"),
    [
        ("latest_delivery_date", "deliveryDate", "2026-09-05T23:59:59Z"),
        ("expected_delivery_date", "deliveryDate", "2026-09-04T17:00:00Z"),
        ("delivery_window_end_time", "deliveryDate", "2026-09-04T18:00:00Z"),
        ("latest_ship_date", "shipDate", "2026-09-03T23:59:59Z"),
    ],
)
def test_a_promise_is_kept_until_its_end_and_the_tolerance(against: str, field: str, last: str) -> None:
    for tolerance in (timedelta(0), timedelta(hours=29)):  # to no midnight, which would be a day
        for after, kept in ((timedelta(0), 1), (timedelta(seconds=1), 0)):
            happened = {f"{SHIPMENT}.{field}": (datetime.fromisoformat(last) + tolerance + after).isoformat()}
            found = kpis_of_fair_orders(happened, on_time_against=against, tolerance=tolerance)
            assert single_row(found.on_time, reference=against)["on_time"] == kept
            assert single_row(found.perfect_order)["on_time"] == kept
            assert single_row(found.carriers)["on_time_rate"] == float(kept)


@pytest.mark.long
def test_what_is_not_delivered_is_late_when_it_is_past_due_and_unknown_before() -> None:
    away = {f"{SHIPMENT}.deliveryDate": GONE, f"{SHIPMENT}.podDate": GONE, "completedAt": GONE}
    for as_of, judged in ((datetime(2026, 9, 5, 23, 59, tzinfo=UTC), "unknown"), ("2026-09-05", "late")):
        row = single_row(kpis_of_fair_orders(away, as_of=as_of).on_time, reference="latest_delivery_date")
        assert {name for name in ("on_time", "late", "unknown") if row[name]} == {judged}
    untracked = away | {f"{SHIPMENT}.isUntracked": True}
    assert (
        single_row(kpis_of_fair_orders(untracked, as_of=AS_OF).on_time, reference="latest_delivery_date")["unknown"]
        == 1
    )
    assert single_row(kpis_of_fair_orders(untracked, as_of=AS_OF).on_time, reference="latest_ship_date")["on_time"] == 1


def test_of_an_old_answer_nothing_is_expected_that_is_later() -> None:
    away = {f"{SHIPMENT}.deliveryDate": GONE, f"{SHIPMENT}.podDate": GONE, "completedAt": GONE}
    frames = qf.flatten([json.dumps(changed_order(away, number)).encode() for number in (1, 2)])
    answers = [datetime(2026, 9, 5, tzinfo=UTC), datetime(2026, 9, 9, tzinfo=UTC)]
    given = {
        **frames,
        "orders": frames["orders"].with_columns(fetched_at=pl.Series(answers, dtype=pl.Datetime("us", "UTC"))),
    }
    row = single_row(qf.kpis(given).on_time, reference="latest_delivery_date")
    assert (row["late"], row["unknown"]) == (1, 1)
    nothing = {"fulfillmentOrders": [], "completedAt": GONE}
    frames = qf.flatten([json.dumps(changed_order(nothing, number)).encode() for number in (1, 2)])
    given = {
        **frames,
        "orders": frames["orders"].with_columns(fetched_at=pl.Series(answers, dtype=pl.Datetime("us", "UTC"))),
    }
    assert qf.kpis(given).backlog.rows() == [
        ("0-1 days", 0, 0), ("1-3 days", 0, 0), ("3-7 days", 1, 3), ("7-14 days", 1, 3), ("14+ days", 0, 0),
    ]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(
    ("as_of", "orders", "shipped", "delivered", "completed", "open_pieces"),
    [
        ("2026-08-31", 0, 0, 0, 0, 0),
        ("2026-09-01", 1, 0, 0, 0, 3),
        ("2026-09-02", 1, 1, 0, 0, 0),
        ("2026-09-04", 1, 1, 1, 0, 0),
        ("2026-09-06", 1, 1, 1, 1, 0),
    ],
)
def test_as_of_an_earlier_day_what_came_later_had_not_happened(
    as_of: str, orders: int, shipped: int, delivered: int, completed: int, open_pieces: int
) -> None:
    found = kpis_of_fair_orders({}, as_of=as_of)
    assert found.volume.select("orders", "shipped", "delivered", "completed").row(0) == (
        orders, shipped, delivered, completed,
    )  # fmt: skip
    assert found.backlog["pieces"].sum() == open_pieces
    assert single_row(found.pod_lag)["proven"] == delivered


def test_as_of_a_day_leaves_out_what_begins_the_next() -> None:
    at_midnight = {"orderDate": "2026-09-02T00:00:00Z"}  # as of a day without a time
    assert [
        single_row(kpis_of_fair_orders(at_midnight, as_of=day).volume)["orders"] for day in ("2026-09-01", "2026-09-02")
    ] == [0, 1]


def test_too_many_of_one_line_do_not_make_up_for_too_few_of_another() -> None:
    found = kpis_of_fair_orders({f"{SHIPMENT}.positions.0.quantity": 1, f"{SHIPMENT}.positions.1.quantity": 5})
    assert found.fill_rate.row(0) == (2, 1, 0.5, 3, 2, pytest.approx(2 / 3))
    assert found.ship_complete.row(0) == (1, 0, 0.0)
    assert single_row(found.perfect_order)["on_time"] == 1
    unknown = kpis_of_fair_orders({"positions.0.quantity": GONE})
    assert unknown.fill_rate.row(0) == (1, 1, 1.0, 1, 1, 1.0)
    assert unknown.ship_complete.row(0) == (0, 0, None)


@pytest.mark.long
def test_what_is_still_to_be_shipped_is_no_shortage_but_can_be_late() -> None:
    part = {f"{SHIPMENT}.positions.0.quantity": 1, "completedAt": GONE}
    soon, settled = kpis_of_fair_orders(part, as_of="2026-09-10"), kpis_of_fair_orders(part, as_of="2026-09-20")
    assert (single_row(soon.fill_rate)["lines"], single_row(settled.fill_rate)["lines"]) == (0, 2)
    assert single_row(soon.on_time, reference="latest_delivery_date")["late"] == 1
    assert single_row(settled.on_time, reference="latest_delivery_date")["on_time"] == 1  # too little, but in time
    assert (soon.backlog["pieces"].sum(), settled.backlog["pieces"].sum()) == (1, 0)
    assert (soon.cycle_time["orders"].sum(), settled.cycle_time["orders"].sum()) == (0, 3)


def test_an_order_that_was_called_off_is_no_failure() -> None:
    found = kpis_of_fair_orders(
        {"fulfillmentOrders.0.cancelled": True, "fulfillmentOrders.0.shipments": [], "completedAt": GONE}, as_of=AS_OF
    )
    assert single_row(found.volume)["called_off"] == 1
    assert found.on_time.select("judged", "unknown").sum().row(0) == (0, 0)
    assert (
        found.backlog["orders"].sum()
        == single_row(found.fill_rate)["lines"]
        == single_row(found.ship_complete)["orders"]
        == 0
    )


@pytest.mark.long
def test_an_order_counts_once_in_the_group_of_each_carrier_and_warehouse() -> None:
    second = copy.deepcopy(changed_order({})["fulfillmentOrders"][0])
    second |= {"warehouseId": 5, "warehouseName": "Wien"}
    second["shipments"] = [second["shipments"][0] | {"provider": "UPS"}, second["shipments"][0] | {"provider": "UPS"}]
    found = {by: kpis_of_fair_orders({"fulfillmentOrders.1": second}, by=by) for by in ("carrier", "warehouse")}
    assert found["carrier"].volume.select("carrier", "orders", "shipments").rows() == [("DHL", 1, 1), ("UPS", 1, 2)]
    assert found["warehouse"].volume.select("warehouse", "orders", "shipments").rows() == [
        ("Wien (4)", 1, 1), ("Wien (5)", 1, 2),
    ]  # fmt: skip
    shipped_though_cancelled = {"fulfillmentOrders.0.cancelled": True, "fulfillmentOrders.0.warehouseId": 5}
    assert kpis_of_fair_orders(shipped_though_cancelled, by="warehouse").volume["warehouse"].to_list() == ["Wien"]
    assert found["carrier"].split_shipments.row(0) == ("DHL", 1, 1, 1.0, 3.0, 2.0)


def test_instants_out_of_order_are_no_durations() -> None:
    found = kpis_of_fair_orders(
        {f"{SHIPMENT}.deliveryDate": "2026-09-02T11:00:00Z", f"{SHIPMENT}.podDate": "2026-09-02T10:00:00Z"}
    )
    assert single_row(found.cycle_time, stage="ship to delivery")["orders"] == 0
    assert single_row(found.carriers)["transit_p50"] is None
    assert single_row(found.pod_lag)["p50"] is None


def test_wrong_use_names_the_choices() -> None:
    with pytest.raises(qf.ConfigError, match="month, week, day, seller, warehouse, carrier, country"):
        kpis_of_fair_orders({}, by="shop")
    with pytest.raises(
        qf.ConfigError, match="latest_delivery_date, expected_delivery_date, delivery_window_end_time, latest_ship"
    ):
        kpis_of_fair_orders({}, on_time_against="delivery_date")
    with pytest.raises(qf.ConfigError, match=r"no time zone 'Vienna'.*Europe/Vienna"):
        kpis_of_fair_orders({}, time_zone="Vienna")
    with pytest.raises(qf.ConfigError, match="neither a day nor an instant"):
        kpis_of_fair_orders({}, as_of="soon")


def test_all_kpis_are_there() -> None:
    assert list(KPIS) == [
        "volume", "perfect_order", "on_time", "fill_rate", "ship_complete", "cycle_time", "order_to_ship", "backlog",
        "split_shipments", "carriers", "delivery_window", "pod_lag",
    ]  # fmt: skip


@pytest.mark.long
def test_a_folder_a_dataset_frames_and_a_dict_have_the_same_kpis(tmp_path: Path) -> None:
    (tmp_path / "orders.ndjson").write_text(json.dumps(changed_order({})))
    dataset = qf.build(tmp_path / "orders.ndjson", tmp_path / "tables", jobs=1)
    frames = qf.flatten([json.dumps(changed_order({})).encode()])
    kpis = qf.kpis(frames, as_of=AS_OF)
    for tables in (tmp_path / "tables", str(tmp_path / "tables"), dataset, dict(frames)):
        found = qf.kpis(tables, as_of=AS_OF)
        assert all(found[name].equals(kpis[name]) for name in KPIS)


@pytest.mark.parametrize(
    ("tables", "message"),
    [("nowhere", "nowhere is not a dataset of quivo_frames"), (5, "This is an int"), ([1], "This is a list")],
)
def test_what_are_no_tables_is_refused_in_a_sentence(tables: Any, message: str) -> None:
    with pytest.raises(qf.ConfigError, match=message):
        qf.kpis(tables)


def test_kpis_show_themselves() -> None:
    found = kpis_of_fair_orders({}, by=["seller", "seller"])
    assert found.by == ("seller",)
    assert list(found) == list(KPIS) == list(found.definitions) == list(found.about)
    with pytest.raises(AttributeError, match=r"no KPI 'fill'\. The KPIs are: volume, perfect_order"):
        _ = found.fill
    for name, definition in found.definitions.items():
        assert found[name] is getattr(found, name)
        assert not definition.title.endswith(".")
        assert definition.text.endswith(".")
        assert definition.limits.endswith(".")
        assert definition.reference
        assert f"{definition.title} ({format_count(found.about[name], 'order')})" in repr(found)
        assert definition.title in found._repr_html_()
    assert "by seller as of 2026-09-06 12:00 UTC, on time against latest_delivery_date" in repr(found)
    assert found.untold == UNTOLD
    assert all(why.endswith(".") for why in UNTOLD.values())


def test_a_carrier_is_one_group_however_a_shipment_names_it() -> None:
    provider, name = f"{SHIPMENT}.provider", f"{SHIPMENT}.providerName"
    found = kpis_of_fair_orders(
        {name: "DHL Express"}, {provider: "dhl ", name: "DHL Express"}, {provider: GONE, name: "dhl express"},
        {provider: "", name: "Somebody"}, by="carrier",
    )  # fmt: skip
    assert found.volume.select("carrier", "orders").rows() == [("DHL", 3), ("unknown", 1)]
    assert found.carriers.select("carrier", "shipments").rows() == [("DHL", 3), ("unknown", 1)]
