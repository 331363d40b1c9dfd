"""The answers of the notebook of fifteen questions, each against SQL or a plain walk of the JSON."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.standin.orders import order_json
from tests.support.archived_orders import record_answers
from tests.support.fair_order import GONE, changed_order
from tests.support.independent_line_matching import count_known_pieces, keyed_entries, keyed_units, match_order
from tests.support.notebook_pages import read_cells
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Row = dict[str, Any]
CELLS = {cell["id"]: cell["source"] for cell in read_cells(ROOT / "notebooks" / "06-fifteen-questions.ipynb")}
QUESTIONS = [f"06-question-{number:02}" for number in range(1, 16)]
ANSWERED = [datetime(2026, 10, day, 12, tzinfo=UTC) for day in (12, 14, 17)]
SHIPMENT = "fulfillmentOrders.0.shipments.0"
_SERIAL = {f"{SHIPMENT}.positions.0.serialNumbers": ["S-1", "S-2"]}
_SOON = {f"{SHIPMENT}.positions.1.expirationDate": "2026-09-20T00:00:00Z"}
_PICKING = {"completedAt": None, "fulfillmentOrders.0.inPicking": True, "fulfillmentOrders.0.shipments": []}
_TWO_LINES = {
    "positions.1.sku": "A", "positions.1.quantity": 1, "positions.1.totalNetAmount": 10.0,
    "fulfillmentOrders.0.positions.1.sku": "A", "fulfillmentOrders.0.positions.1.orderedSku": "A",
    f"{SHIPMENT}.positions": [{"sku": "A", "quantity": 2}],
}  # fmt: skip
ADDED = [
    {}, _SERIAL, _SERIAL, _SERIAL | {f"{SHIPMENT}.reversed": True},  # a serial number twice, and once in vain
    _SOON, _SOON | {f"{SHIPMENT}.reversed": True}, {f"{SHIPMENT}.positions.1.expirationDate": "2026-10-02T00:00:00Z"},
    {f"{SHIPMENT}.positions.1.expirationDate": "2026-10-03T00:00:00Z"},
    {f"{SHIPMENT}.positions.0.quantity": 1}, _TWO_LINES,
    {"deliveryAddress.country": None, "cashOnDeliveryAmount": 5.0}, {"deliveryAddress.country": GONE},
    {"deliveryAddress.country": "", "cashOnDeliveryAmount": 0}, {"tags": ["B2B", "B2B", "x"]},
    {"handlingUnits.0.sscc": ""}, {"handlingUnits.0.sscc": None}, {"handlingUnits.0.handlingPositions": []},
    {"customAttributes": {"channel": "web", "weight": 2.5, "nothing": ""}},
    _PICKING, _PICKING,
    {f"{SHIPMENT}.positions": [{"sku": "A", "quantity": 2}]},  # B was never shipped
    {"currency": "SEK", f"{SHIPMENT}.positions": [{"sku": "A", "quantity": 1}, {"sku": "B", "quantity": 1}]},
]  # fmt: skip


def drawn_answers(count: int) -> list[dict[int, Row]]:
    """The answers of three refetches."""
    rounds: list[dict[int, Row]] = []
    for visit in range(3):
        drawn = [json.loads(order_json(100_001 + number, seed=4, visit=2 * visit)) for number in range(count)]
        added = [changed_order(changes, 1001 + place) for place, changes in enumerate(ADDED)]
        status = "fulfillmentStatus"
        added[ADDED.index(_PICKING)]["fulfillmentOrders"][0][status] = "PENDING" if visit == 0 else "PICKING"
        rounds.append({order["orderId"]: order for order in (*added, *drawn)})
    return rounds


class Given:
    """Tables, findings and archive of some orders, their JSON, and what a walk of it says."""

    def __init__(self, folder: Any, count: int) -> None:
        self.rounds = drawn_answers(count)
        self.orders = list(self.rounds[-1].values())
        self.archive = qf.Archive(folder / "orders.sqlite")
        for answers, at in zip(self.rounds, ANSWERED, strict=True):
            record_answers(self.archive, {number: json.dumps(one).encode() for number, one in answers.items()}, at)
        self.folder = folder / "tables"
        self.tables = qf.build(self.archive, self.folder, jobs=1)
        self.findings = qf.audit(self.tables)
        self.walked = [Walked(order) for order in self.orders]

    def answer(self, cell: str) -> pl.DataFrame:
        """The frame that a cell shows."""
        *before, last = ast.parse(cell).body
        assert isinstance(last, ast.Expr)
        names = {"qf": qf, "pl": pl, "tables": self.tables, "findings": self.findings, "archive": self.archive}
        exec(compile(ast.Module(before, []), "cell", "exec"), names)
        return eval(compile(ast.Expression(last.value), "cell", "eval"), names)

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query over the parquet files; tables as {orders}."""
        files = re.sub(r"\{(\w+)\}", rf"'{self.folder}/\1*.parquet'", query)
        return duckdb.sql(f"SET TimeZone='UTC'; {files}").fetchall()


@pytest.fixture(scope="module", params=[80, pytest.param(600, marks=pytest.mark.long)])
def given(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Given]:
    made = Given(tmp_path_factory.mktemp("questions"), request.param)
    yield made
    made.archive.close()


def instant(text: str | None) -> datetime | None:
    found = datetime.fromisoformat(text) if text else None
    return found.replace(tzinfo=UTC) if found and not found.tzinfo else found


def entries(row: Row, key: str) -> list[Row]:
    return row.get(key) or []


class Walked:
    """What a walk of one order says."""

    def __init__(self, order: Row) -> None:
        self.order, self.number = order, order["orderId"]
        self.plans = entries(order, "fulfillmentOrders")
        self.sent = [
            one | {"of": held} for held in self.plans for one in entries(held, "shipments") if not one.get("reversed")
        ]
        self.placed = instant(order.get("orderDate") or order.get("created"))
        ships = [at for one in self.sent if (at := instant(one.get("shipDate")))]
        arrivals = [instant(one.get("deliveryDate")) for one in self.sent]
        self.shipped_last = max(ships, default=None)
        self.delivered = max(filter(None, arrivals)) if arrivals and all(arrivals) else None
        self.completed = instant(order.get("completedAt"))
        cancelled = bool(self.plans) and all(held.get("cancelled") for held in self.plans)
        self.called_off = cancelled or (bool(order.get("cancelRequestedAt")) and not self.sent)
        waited = self.shipped_last and ANSWERED[-1] - self.shipped_last > timedelta(days=14)
        self.done = bool(self.completed or waited)
        lines, doubtful, _ = match_order(order)
        self.short = []  # lines with the pieces that are missing
        for line in lines:
            ordered, shipped = (
                None if what in doubtful else count_known_pieces(line, what) for what in ("ordered", "shipped")
            )
            is_ordered = any(key.startswith("ordered:") for key in line.keys)
            if is_ordered and ordered is not None and shipped is not None and shipped < ordered:
                self.short.append((line, ordered - shipped))
        self.outstanding = not self.done and not self.called_off and (not self.sent or bool(self.short))

    def missing(self) -> list[tuple[Any, int]]:
        return self.short if self.done and self.sent and not self.called_off else []

    def warehouse(self) -> str:
        names = {held["warehouseName"] for held in self.plans}
        own = {held["warehouseName"] for held in self.plans if held["warehouseId"] == self.order["warehouseId"]}
        return min(names if len(names) == 1 else own)


def carriers(shipment: Row, names: dict[str, str]) -> str:
    stated = shipment.get("provider") or names.get(shipment.get("providerName") or "")
    return stated.strip().upper() if stated else "unknown"


def usual_names(given: Given) -> dict[str, str]:
    found = defaultdict(Counter)
    for one in (one for order in given.orders for held in entries(order, "fulfillmentOrders") for one in entries(held, "shipments")):  # fmt: skip
        if one.get("provider") and one.get("providerName"):
            found[one["providerName"]][one["provider"]] += 1
    return {name: counts.most_common(1)[0][0] for name, counts in found.items()}


def rounded(rows: Iterable[Any], *, digits: int = 6) -> Counter[Any]:
    return Counter(tuple(round(one, digits) if isinstance(one, float) else one for one in row) for row in rows)


def percentile(values: list[float], share: float) -> float:
    place = (len(values) - 1) * share
    low = int(place)
    return values[low] + (values[min(low + 1, len(values) - 1)] - values[low]) * (place - low)


def short_pieces(given: Given) -> Iterable[Any]:
    pieces, orders = Counter(), defaultdict(set)
    for order in given.walked:
        for line, missing in order.missing():
            pieces[line.sku, order.warehouse()] += missing
            orders[line.sku, order.warehouse()].add(order.number)
    return [(*key, float(count), len(orders[key])) for key, count in pieces.items()]


def on_time_by_week(given: Given) -> Iterable[Any]:
    names, found = usual_names(given), defaultdict(Counter)
    for order in given.walked:
        verdicts = []
        for one in order.sent:
            due, came = instant(one.get("expectedDeliveryDate")), instant(one.get("deliveryDate"))
            late = due and (came or ANSWERED[-1]) > due
            known = due and (came or (late and not one.get("isUntracked")))
            verdicts.append("unknown" if not known else "late" if late else "on time")
        verdict = "late" if "late" in verdicts else "unknown"
        if verdicts and set(verdicts) == {"on time"} and not order.outstanding:
            verdict = "on time"
        year, week, _ = order.placed.isocalendar()
        for carrier in {carriers(one, names) for one in order.sent} or {None}:
            found[carrier, f"{year}-W{week:02}"][None if order.called_off else verdict] += 1
    for (carrier, week), counts in found.items():
        good, late = counts["on time"], counts["late"]
        rate = good / (good + late) if good + late else None
        yield carrier, week, "expected_delivery_date", good + late, good, late, counts["unknown"], rate


def pieces_a_pallet(given: Given) -> Iterable[Any]:
    for order in given.orders:
        for key, unit in keyed_units(keyed_entries(order, "handlingUnits", str(order["orderId"]))):
            if unit.get("type") == "PALLET":
                held = [row for _, one in keyed_units([(key, unit)]) for row in entries(one, "handlingPositions")]
                yield order["orderId"], key, unit.get("sscc"), sum(row["quantity"] for row in held) if held else None


def split_by_seller(given: Given) -> Iterable[Any]:
    return given.sql("""
        WITH n AS (SELECT order_id, count(*) AS n, nullif(count(DISTINCT coalesce(f.warehouse_id, o.warehouse_id)), 0) AS w
            FROM {shipments} JOIN {fulfillment_orders} f USING (fulfillment_order_key, order_id) JOIN {orders} o USING (order_id)
            WHERE reversed IS DISTINCT FROM true GROUP BY order_id)
        SELECT seller, count(n), count(*) FILTER (n > 1), count(*) FILTER (n > 1) / nullif(count(n), 0), avg(n), avg(w)
        FROM (SELECT order_id, CASE WHEN seller_id IS NULL THEN seller_name
            ELSE max(seller_name) OVER (PARTITION BY seller_id) END AS seller FROM {orders})
        LEFT JOIN n USING (order_id) GROUP BY seller""")


def cycle_times(given: Given) -> Iterable[Any]:
    stages = {"order to ship": ("placed", "shipped_last"), "ship to delivery": ("shipped_last", "delivered"),
              "order to delivery": ("placed", "delivered"), "order to completion": ("placed", "completed")}  # fmt: skip
    orders = [order for order in given.walked if not order.called_off and not order.outstanding]
    for stage, names in stages.items():
        pairs = [tuple(getattr(order, name) for name in names) for order in orders]
        days = sorted((end - start) / timedelta(days=1) for start, end in pairs if start and end and end >= start)
        yield stage, len(days), sum(days) / len(days), percentile(days, 0.5), percentile(days, 0.9), days[-1]


STATUS_FIELDS = ("fulfillmentStatus", "fulfillmentConnectorStatus")


def statuses(order: Row) -> Any:
    plans = [
        (held.get("fulfillmentOrderId"), *map(held.get, STATUS_FIELDS)) for held in entries(order, "fulfillmentOrders")
    ]
    return order.get("orderStatus"), plans


def stuck_in_picking(given: Given) -> Iterable[Any]:
    for order in given.walked:
        is_open = not order.completed and not order.called_off and not order.delivered
        if is_open and any(held.get("inPicking") for held in order.plans if not held.get("cancelled")):
            seen = [statuses(answers[order.number]) for answers in given.rounds]
            changed = [at for (old, new), at in zip(pairwise(seen), ANSWERED[1:], strict=True) if old != new]
            dates = [order.placed, *(instant(order.order.get(name)) for name in ("exportedAt", "cancelRequestedAt"))]
            dates += [instant(held.get("fulfillmentOrderCreated")) for held in order.plans]
            dates += [instant(one.get(name)) for one in order.sent for name in ("shipDate", "carrierPickUpDate", "deliveryDate", "podDate")]  # fmt: skip
            since = max(changed, default=None) or max(at for at in dates if at and at <= ANSWERED[-1])
            if ANSWERED[-1] - since > timedelta(days=2):
                yield order.number, (ANSWERED[-1] - since) / timedelta(days=1)


def serials_twice(given: Given) -> Iterable[Any]:
    seen: dict[Any, str] = {}
    for order in given.orders:
        for key, held in keyed_entries(order, "fulfillmentOrders", str(order["orderId"])):
            for shipment, one in keyed_entries(held, "shipments", key):
                for line, row in keyed_entries(one, "positions", shipment):
                    for place, serial in enumerate(entries(row, "serialNumbers")):
                        number = (order["sellerId"], row["sku"], serial)
                        if not one.get("reversed") and seen.setdefault(number, line) != line:
                            yield order["orderId"], row["sku"], f"{line}/{place}"


def sscc_coverage(given: Given) -> Iterable[Any]:
    return given.sql("""SELECT type, count(*), count(*) FILTER (length(sscc) >= 18), count(*) FILTER (length(sscc) >= 18)
        / count(*) FROM {handling_units} GROUP BY type""")


def value_missing(given: Given) -> Iterable[Any]:
    values, findings = defaultdict(Decimal), Counter()
    for order in given.walked:
        for line, missing in order.missing():
            place = int(next(key for key in line.keys if key.startswith("ordered:")).rsplit("/", 1)[1])
            price = Decimal(str(order.order["positions"][place]["unitNetPrice"]))
            values[order.order["currency"]] += price * missing
            findings[order.order["currency"]] += 1
    return [(currency, findings[currency], float(value)) for currency, value in values.items()]


def expiring_lots(given: Given) -> Iterable[Any]:
    return given.sql("""SELECT p.order_id, p.sku, p.shipment_position_key, datediff('day', ship_date, p.expiration_date)::DOUBLE
        FROM {shipment_positions} p JOIN {shipments} s USING (shipment_key)
        WHERE s.reversed IS DISTINCT FROM true AND datediff('day', ship_date, p.expiration_date) BETWEEN 0 AND 30""")


def changed_fields(given: Given) -> Iterable[Any]:
    found = defaultdict(set)
    for old, new in pairwise(given.rounds):
        for number, order in new.items():
            for name in order.keys() | old[number].keys():
                before, after = old[number].get(name), order.get(name)
                if before != after and not isinstance(before or after, (list, dict)):
                    found[re.sub(r"([A-Z])", r"_\1", name).lower()].add(number)
    return [(name, len(orders)) for name, orders in found.items()]


def cash_by_country(given: Given) -> Iterable[Any]:
    found = defaultdict(list)
    for order in given.orders:
        country = (order.get("deliveryAddress") or {}).get("country") or None
        found[country].append(bool(order.get("cashOnDeliveryAmount")))
    return [(country, len(paid), sum(paid), sum(paid) / len(paid)) for country, paid in found.items()]


def orders_by_tag(given: Given) -> Iterable[Any]:
    return Counter(tag for order in given.orders for tag in set(order.get("tags") or []) - {None} or {None}).items()


def attributes(given: Given) -> Iterable[Any]:
    for order in given.orders:
        held = order.get("customAttributes")
        held = json.loads(held, parse_float=Decimal) if isinstance(held, str) and held[:1] == "{" else held
        for name, value in held.items() if isinstance(held, dict) else ():
            text = str(value) if isinstance(value, (str, Decimal)) else json.dumps(value, ensure_ascii=False)
            if value is not None:
                yield order["orderId"], name, text


def pieces_by_sku(given: Given) -> Iterable[Any]:
    found = defaultdict(Counter)
    for order in given.orders:
        lines, _, left_out = match_order(order)
        for line in lines:
            for what in ("ordered", "planned", "shipped", "packed"):
                found[line.sku][what] += sum(piece or 0 for piece in line.pieces[what])
        for key in left_out:
            found[order["positions"][int(key.rsplit("/", 1)[1])]["sku"]]["ordered"] += 0
    return [(sku, *(sums[what] for what in ("ordered", "planned", "shipped", "packed"))) for sku, sums in found.items()]


def all_columns(frame: pl.DataFrame) -> Iterable[Any]:
    return frame.with_columns(pl.selectors.decimal().cast(pl.Float64)).rows()


def some(*names: str) -> Callable[[pl.DataFrame], Iterable[Any]]:
    return lambda frame: frame.select(names).rows()


def texts_of_attributes(frame: pl.DataFrame) -> Iterable[Any]:
    kinds = dict.fromkeys(set(frame.columns) - {"order_id"})
    assert frame["order_id"].is_unique().all()
    return [(row["order_id"], name, row[name]) for row in frame.to_dicts() for name in kinds if row[name] is not None]


ANSWERS: dict[str, tuple[Callable[[Given], Iterable[Any]], Callable[[pl.DataFrame], Iterable[Any]]]] = dict(
    zip(
        QUESTIONS,
        [
            (short_pieces, all_columns), (on_time_by_week, all_columns), (pieces_a_pallet, all_columns),
            (split_by_seller, all_columns), (cycle_times, all_columns), (stuck_in_picking, some("order_id", "days")),
            (serials_twice, some("order_id", "sku", "key")), (sscc_coverage, all_columns), (value_missing, all_columns),
            (expiring_lots, all_columns), (changed_fields, all_columns), (cash_by_country, all_columns),
            (orders_by_tag, all_columns), (attributes, texts_of_attributes), (pieces_by_sku, all_columns),
        ],
        strict=True,
    )
)  # fmt: skip


def test_the_notebook_has_fifteen_questions_of_at_most_four_lines() -> None:
    assert [name for name in CELLS if name.startswith("06-question")] == QUESTIONS
    assert max(CELLS[name].count("\n") + 1 for name in QUESTIONS) <= 4
    for number, name in enumerate(QUESTIONS, 1):
        assert CELLS[name.replace("question", "text")].startswith(f"## {number}. ")


@pytest.mark.long
@pytest.mark.parametrize("name", QUESTIONS)
def test_an_answer_is_right(given: Given, name: str) -> None:
    expected, columns = ANSWERS[name]
    right = rounded(expected(given))
    assert right
    assert rounded(columns(given.answer(CELLS[name]))) == right
