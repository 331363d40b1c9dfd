"""Orders with the largest and smallest numbers and dates that the tables hold: every analysis and export goes through."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import quivo_frames as qf
from quivo_frames.analysis.kpi.groups import GROUPS
from quivo_frames.archive.archive import Archive
from quivo_frames.cli import main
from quivo_frames.export.formats import ExportFormat
from quivo_frames.model.order import Order
from quivo_frames.model.tables import Kind, Record, fields_of
from quivo_frames.standin.orders import order_json
from tests.support.archived_orders import NOON, record_answers
from tests.support.fair_order import fair_order

EXTREMES = {
    Kind.INT64: ("-9223372036854775808", "9223372036854775807"),
    Kind.INT32: ("-2147483648", "2147483647"),
    Kind.MONEY: ("-99999999999999.9999", "99999999999999.9999"),
    Kind.MEASURE: ("-1.7976931348623157e308", "1.7976931348623157e308"),
    Kind.INSTANT: ('"0001-01-01T00:00:00Z"', '"9999-12-31T23:59:59.999999Z"'),
    Kind.DAY: ('"0001-01-01"', '"9999-12-31"'),
}
"""The least and the greatest value of each kind, as JSON."""
REAL_INSTANTS = ('"1902-01-01T00:00:00Z"', '"8999-12-31T23:59:59.999999Z"')
"""The first and the last that do not stand for no date."""


def extreme_order(order: dict[str, Any], values: dict[Kind, str]) -> bytes:
    """An order with all values of some kinds replaced, and each entry of a list twice."""

    def replaced(record: type[Record] | None, value: Any) -> Any:
        if isinstance(value, list):
            return [replaced(record, entry) for entry in value for _ in range(2)]
        if not isinstance(value, dict) or record is None:
            return value
        fields = {field.json_name: field for field in fields_of(record)}
        return {
            name: f"<{fields[name].kind}>"
            if fields[name].kind in values and inner is not None and name != "orderId"
            else replaced(fields[name].record, inner)
            for name, inner in value.items()
        }

    text = json.dumps(replaced(Order, order))
    for kind, value in values.items():
        text = text.replace(f'"<{kind}>"', value)
    return text.encode()


def extreme_orders() -> dict[int, bytes]:
    """Orders with each kind at each end, with all of them, and with numbers and amounts alone."""
    kinds = [*EXTREMES.items(), (Kind.INSTANT, REAL_INSTANTS)]
    ways = [{kind: ends[end]} for kind, ends in kinds for end in (0, 1)]
    ways += [{kind: ends[end] for kind, ends in EXTREMES.items()} for end in (0, 1)]
    whole, money = EXTREMES[Kind.INT64], EXTREMES[Kind.MONEY]
    ways += [{Kind.INT64: pieces, Kind.MONEY: price} for pieces, price in product(whole, money)]
    plain = [fair_order(), *(json.loads(order_json(order_id)) for order_id in range(100_001, 100_007))]
    found = enumerate(product(ways, plain), start=1)
    return {order_id: extreme_order(order | {"orderId": order_id}, way) for order_id, (way, order) in found}


def build_tables(folder: Path, bodies: dict[int, bytes]) -> qf.Dataset:
    with Archive(folder / "orders.sqlite") as archive:
        record_answers(archive, bodies, NOON)
    return qf.build(folder / "orders.sqlite", folder / "tables", jobs=1, progress=False)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> qf.Dataset:
    return build_tables(tmp_path_factory.mktemp("extreme"), extreme_orders())


def test_every_order_is_in_the_tables(tables: qf.Dataset) -> None:
    assert tables.failures.is_empty()
    assert set(tables.lazy("overview").collect()["order_id"]) == extreme_orders().keys()


@pytest.mark.long
@pytest.mark.parametrize("by", [None, *GROUPS])
def test_key_figures_can_be_computed(tables: qf.Dataset, by: str | None) -> None:
    assert all(frame.height for frame in qf.kpis(tables, by=by).values())


@pytest.mark.long
def test_audit_and_report_can_be_made(tables: qf.Dataset, tmp_path: Path) -> None:
    worth = qf.audit(tables)["value_at_risk"].drop_nulls()
    assert len(worth) > 0
    qf.report(tables, tmp_path / "report.html")
    assert (tmp_path / "report.html").exists()


@pytest.mark.long
@pytest.mark.parametrize("to", [name for name in ExportFormat if name != ExportFormat.DUCKLAKE])  # tests/lake
def test_tables_can_be_exported(tables: qf.Dataset, tmp_path: Path, to: ExportFormat) -> None:
    endings = {ExportFormat.DUCKDB: ".duckdb", ExportFormat.EXCEL: ".xlsx", ExportFormat.OCEL: ".json"}
    out = tmp_path / f"out{endings.get(to, '')}"
    done = CliRunner().invoke(main, ["export", str(tables.folder), "--to", str(to), str(out)])
    assert done.exit_code == 0, done.output


def test_what_a_column_cannot_hold_is_null_and_no_sum_wraps_around(tmp_path: Path) -> None:
    def order(order_id: int, **line: object) -> bytes:
        changed = fair_order(order_id)
        changed["positions"] = [one | line for one in changed["positions"]]
        return json.dumps(changed).encode().replace(b'"most"', EXTREMES[Kind.MONEY][1].encode())

    bodies = {
        1: order(1), 2: order(2, totalNetAmount="most"), 3: order(3, quantity=2**63 - 1), 4: order(4, quantity=10**12),
        5: order(5, totalNetAmount=None, unitNetPrice="most", quantity=10**12),
    }  # fmt: skip
    built = build_tables(tmp_path, bodies)
    found = built.lazy("overview").select("value", "ordered", "open", "certain").collect().rows()
    assert found == [
        (Decimal(30), 3, 0, True), (None, 3, 0, True), (Decimal(30), 0, None, False),
        (Decimal(30), 2 * 10**12, 2 * 10**12 - 3, True), (None, 2 * 10**12, 2 * 10**12 - 3, True),
    ]  # fmt: skip
    assert built.order_positions.filter(order_id=3)["quantity"].to_list() == [2**63 - 1] * 2
