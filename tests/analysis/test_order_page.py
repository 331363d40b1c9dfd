"""The page of one order: complete except for personal data, readable at any width, safe whatever the data holds."""

from __future__ import annotations

import io
import json
import re
import time
from typing import Any

import polars as pl
import pytest

from quivo_frames.analysis.order_page import order_as_json, print_order, read_order
from quivo_frames.builder.build import build
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.display.text import print_json
from quivo_frames.errors import ConfigError
from quivo_frames.flattening.flatten import flatten
from quivo_frames.model.frames import Frames
from quivo_frames.model.order import Kind, Privacy
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import order_json
from tests.support.paths import DOCUMENTED_ORDER

DOCUMENTED = json.loads(DOCUMENTED_ORDER.read_text())


def order_frames(**fields: Any) -> Frames:
    frames = flatten([json.dumps({"orderId": 7, **fields})])
    assert frames.failures.is_empty()
    return frames


def page_text(tables: Any, width: int = 120) -> str:
    out = io.StringIO()
    print_order(tables, file=out, width=width)
    return out.getvalue()


def section_lines(text: str, title: str) -> list[str]:
    """The lines of one section, their cells divided by two blanks and more."""
    found = re.search(rf"^{title}.*\n((?:  .*\n)*)", text, re.MULTILINE)
    assert found, text
    return [line.strip() for line in found[1].splitlines()]


def section_cells(text: str, title: str) -> list[list[str]]:
    return [re.split(r"\s{2,}", line) for line in section_lines(text, title)]


# What is on it


def test_the_head_names_the_order_and_whose_it_is() -> None:
    text = page_text(
        order_frames(
            orderStatus="PROCESSING", orderIdentifier="A-1", orderReference="#1", sellerId=11, sellerName="Seller",
            shopId=22, shopSystemName="Shop", warehouseId=33,
            earliestShipDate="2026-09-01", latestShipDate="2026-09-02", latestDeliveryDate="2026-09-05",
            fulfillmentOrders=[
                {"warehouseId": 33, "warehouseName": "North", "shipments": [{"provider": "dhl "}, {"provider": "UPS"}]},
                {"warehouseId": 44, "warehouseName": "South", "shipments": [{"provider": "DHL"}]},
            ],
        )
    )  # fmt: skip
    assert text.startswith("Order 7\n")
    assert section_cells(text, "Order 7") == [
        ["status", "PROCESSING"],
        ["identifier", "A-1"],
        ["reference", "#1"],
        ["seller", "11 Seller"],
        ["shop", "22 Shop"],
        ["warehouse", "33 North, 44 South"],
        ["carrier", "DHL, UPS"],
        ["to be shipped", "2026-09-01 to 2026-09-02"],
        ["to be delivered", "by 2026-09-05"],
    ]


def test_an_order_with_nothing_but_its_id_has_a_page() -> None:
    text = page_text(order_frames())
    assert ["status", "–"] in section_cells(text, "Order 7")
    for title in ("Timeline", "Lines", "Handling units"):
        assert f"\n{title}: none\n" in text
    assert text.endswith("Personal and secret values are not shown here; --json prints everything.\n")


def with_distinct_times(value: Any, numbers: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: with_distinct_times(inner, numbers, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_distinct_times(inner, numbers, name) for inner in value]
    if isinstance(value, str) and value.endswith("Z"):
        return f"{2000 + next(numbers)}-03-05T14:48:12Z"
    return value


def test_the_timeline_has_every_instant_of_the_documented_order_in_the_order_of_time() -> None:
    order = with_distinct_times(DOCUMENTED, iter(range(100, 0, -1)))
    wanted = re.findall(r"\d{4}-\d\d-\d\dT[\d:]{8}Z", json.dumps(order))
    assert len(wanted) > 15
    shown = re.findall(r"\d{4}-\d\d-\d\d [\d:]{8}", page_text(flatten([json.dumps(order)]), 80))
    assert shown == sorted(time.replace("T", " ").removesuffix("Z") for time in wanted)
    assert len(wanted) == sum(
        column.kind is Kind.INSTANT and bool(column.path) for t in TABLES.values() for column in t.columns
    )


def test_the_timeline_says_what_happened_and_to_which_shipment() -> None:
    lot = {"expirationDate": "2027-01-01T00:00:00Z"}
    text = page_text(
        order_frames(
            created="2026-01-01T01:00:00+01:00",
            fulfillmentOrders=[
                {
                    "fulfillmentOrderId": 55,
                    "fulfillmentOrderCreated": "2026-01-02T00:00:00Z",
                    "shipments": [
                        {"shipmentId": 66, "shipDate": "2026-01-03T00:00:00.5Z", "positions": [lot, lot]},
                        {"shipDate": "2025-12-31T00:00:00Z"},
                    ],
                }
            ],
        )
    )
    assert section_cells(text, "Timeline")[1:] == [
        ["when (UTC)", "what", "order", "shipment"],  # fulfillment is on the line above
        ["─" * len(section_lines(text, "Timeline")[2])],
        ["2025-12-31 00:00:00", "It was shipped", "55", "7/0/1"],  # a shipment without a number by its address
        ["2026-01-01 00:00:00", "The order was created at Quivo"],
        ["2026-01-02 00:00:00", "The fulfillment order was created", "55"],
        ["2026-01-03 00:00:00", "It was shipped", "55", "66"],
        ["2027-01-01 00:00:00", "Shipped line of a shipment: expiration date of the lot (2 times)", "55", "66"],
    ]


def ordered_line(identifier: str | None, sku: str | None, quantity: int | None, **more: Any) -> dict[str, Any]:
    return {"positionIdentifier": identifier, "sku": sku, "quantity": quantity, **more}


def line_cells(text: str) -> list[list[str]]:
    return section_cells(text, "Lines")[2:]


def test_lines_are_laid_side_by_side_by_identifier_else_by_sku_and_lot() -> None:
    text = page_text(
        order_frames(
            positions=[
                ordered_line("L1", "A", 3, lot="x", name="Tea"), ordered_line("L2", "A", 4, lot="y", name="Tea"), ordered_line("L3", "B", 5, name="Cup"),
            ],
            fulfillmentOrders=[{
                "positions": [ordered_line(None, "A", 4, lot="y"), ordered_line(None, "A", 3, lot="x"), ordered_line(None, "other", 5, orderedSku="B")],
                "shipments": [
                    {"positions": [ordered_line("L2", "A", 1, lot="z"), ordered_line(None, "B", 2, lot="any")]},
                    {"positions": [ordered_line("L2", "A", 2), ordered_line("L1", "A", 3)]},
                ],
            }],
            handlingUnits=[{"handlingPositions": [ordered_line("L3", "B", 2)], "childHandlingUnits": [{"handlingPositions": [ordered_line("L3", "B", 3)]}]}],
        )
    )  # fmt: skip
    assert section_cells(text, "Lines")[0] == [
        "line",
        "SKU",
        "lot",
        "article",
        "ordered",
        "planned",
        "shipped",
        "packed",
    ]
    assert line_cells(text) == [
        ["L1", "A", "x", "Tea", "3", "3", "3", "–"],
        ["L2", "A", "y", "Tea", "4", "4", "3", "–"],
        ["L3", "B", "Cup", "5", "5", "2", "5"],
    ]


def test_lines_that_cannot_be_told_apart_are_one_line_and_strangers_have_their_own() -> None:
    text = page_text(
        order_frames(
            positions=[ordered_line("L1", "A", 3), ordered_line("L2", "A", 4)],
            fulfillmentOrders=[{
                "positions": [ordered_line(None, "A", 3), ordered_line(None, "A", 4)],
                "shipments": [{"positions": [ordered_line("L9", "A", 7), ordered_line(None, None, 1), ordered_line("L1", "A", None)]}],
            }],
        )
    )  # fmt: skip
    assert line_cells(text) == [
        ["L1, L2", "A", "(2 lines that cannot be told apart)", "7", "7", "7 + ?"],
        ["(of no single ordered line)", "?", "?", "1 + ?"],  # may be a line of any SKU, so that none is sure
    ]


def test_goods_that_nobody_ordered_have_a_line_of_their_own() -> None:
    plan = [ordered_line(None, "A", 3), ordered_line(None, "B", 1, orderedSku="G")]
    shipped = [ordered_line("L1", "A", 3), ordered_line("L9", "H", 2, lot="x")]
    text = page_text(
        order_frames(
            positions=[ordered_line("L1", "A", 3, name="Tea")],
            fulfillmentOrders=[{"positions": plan, "shipments": [{"positions": shipped}]}],
        )
    )
    assert line_cells(text) == [
        ["L1", "A", "Tea", "3", "3", "3"],
        ["G", "(of no single ordered line)", "–", "1", "–"],
        ["L9", "H", "x", "(of no single ordered line)", "–", "–", "2"],
    ]


def test_goods_shipped_by_the_warehouse_sku_count_for_their_line() -> None:
    plan = [ordered_line(None, "A", 3, warehouseSku="W-1"), ordered_line(None, "B", 1, warehouseSku="W-2")]
    shipped = [ordered_line(None, None, 3, warehouseSku="W-1"), ordered_line(None, "W-2", 1)]
    text = page_text(
        order_frames(
            positions=[ordered_line("L1", "A", 3, name="Tea"), ordered_line("L2", "B", 1, name="Cup")],
            fulfillmentOrders=[{"positions": plan, "shipments": [{"positions": shipped}]}],
        )
    )
    assert line_cells(text) == [["L1", "A", "Tea", "3", "3", "3"], ["L2", "B", "Cup", "1", "1", "1"]]


@pytest.mark.parametrize(
    ("shipped", "lines"),
    [
        (
            [ordered_line(None, "A", 2), ordered_line(None, "B", 1)],
            [["L0", "S", "Set (bundle: see its parts)", "1", "–", "–"], ["L1", "A", "Tea", "2", "2", "2"], ["L2", "B", "1", "1", "1"]],
        ),
        (
            [ordered_line(None, "S", 1)],
            [["L0", "S", "Set", "1", "1", "1"], ["L1", "A", "Tea (part: see its bundle)", "2", "–", "–"], ["L2", "B", "(part: see its bundle)", "1", "–", "–"]],
        ),
    ],
)  # fmt: skip
def test_a_bundle_is_compared_by_its_parts_or_as_one(shipped: list[Any], lines: list[list[str]]) -> None:
    positions = [
        ordered_line("L0", "S", 1, name="Set"), ordered_line("L1", "A", 2, name="Tea", bundledBy="S"), ordered_line("L2", "B", 1, bundledBy="L0"),
    ]  # fmt: skip
    fulfillment = {"positions": shipped, "shipments": [{"positions": shipped}]}
    assert line_cells(page_text(order_frames(positions=positions, fulfillmentOrders=[fulfillment]))) == lines


def test_many_lines_that_cannot_be_told_apart_break_no_identifier() -> None:
    positions = [ordered_line(f"LINE-{number:08}", "A", 1) for number in range(2_000)]
    text = page_text(
        order_frames(positions=positions, fulfillmentOrders=[{"positions": [ordered_line(None, "A", 9)]}]), 80
    )
    assert max(map(len, text.splitlines())) <= 80
    assert re.findall(r"LINE-\d+\b", text) == [position["positionIdentifier"] for position in positions[:20]]
    assert "… and 1,980 more" in re.sub(r"\s+", " ", text)
    assert re.search(r"\(2000 lines that cannot +2000 +9 +–\n", text)


def test_what_was_cancelled_or_reversed_is_not_counted_but_named() -> None:
    text = page_text(
        order_frames(
            positions=[ordered_line("L1", "A", 3)],
            fulfillmentOrders=[
                {"fulfillmentOrderId": 5, "cancelled": True, "positions": [ordered_line(None, "A", 3)]},
                {
                    "fulfillmentOrderId": 6, "cancelled": False, "positions": [ordered_line(None, "A", 3)],
                    "shipments": [
                        {"shipmentId": 8, "reversed": True, "positions": [ordered_line("L1", "A", 3)]},
                        {"shipmentId": 9, "reversed": False, "positions": [ordered_line("L1", "A", 2)]},
                    ],
                },
            ],
        )
    )  # fmt: skip
    assert line_cells(text) == [
        ["L1", "A", "3", "3", "2"],
        ["Not counted as planned: fulfillment order 5, which was cancelled."],
        ["Not counted as shipped: shipment 8, which was reversed."],
    ]


def test_handling_units_are_a_tree_with_their_contents() -> None:
    carton = {"type": "CARTON", "handlingPositions": [ordered_line("L1", "A", 3), ordered_line(None, None, None)]}
    text = page_text(
        order_frames(
            handlingUnits=[{"type": "PALLET", "sscc": "34", "childHandlingUnits": [carton, {}]}, {"carrier": "C"}]
        )
    )
    assert section_lines(text, "Handling units") == [
        "PALLET, sscc 34",
        "├── CARTON",
        "│   ├── 3 × A, line L1",
        "│   └── ? × (no SKU)",
        "└── handling unit",
        "handling unit, carrier C",
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_units_of_any_depth_are_drawn_with_room_for_each(width: int) -> None:
    units: list[Any] = [{"sscc": "340123451002530999", "handlingPositions": [ordered_line("L100", "SKU-LAST", 9)]}]
    for depth in range(120, 0, -1):
        units = [{"type": "CARTON", "sscc": f"3401234510025{depth:05d}", "childHandlingUnits": units}]
    text = page_text(order_frames(handlingUnits=units), width)
    found = re.findall(r"sscc (\d{18})\b", text)
    assert found == sorted(found)
    assert len(set(found)) == 121
    assert "9 × SKU-LAST, line L100" in text
    assert text.count("more units: see (") == text.count(") in CARTON") == 15
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.long
@pytest.mark.parametrize("width", [80, 120])
def test_pages_of_the_stand_in_fit_their_width_and_break_no_id(width: int) -> None:
    for number in range(100_001, 100_041):
        frames = flatten([order_json(number)])
        text = page_text(frames, width)
        assert max(map(len, text.splitlines())) <= width
        words = set(re.split(r"[\s,]+", text))
        for table, column in [
            ("orders", "order_id"), ("order_positions", "position_identifier"), ("order_positions", "sku"),
            ("handling_units", "sscc"), ("handling_units", "handling_unit_identifier"),
        ]:  # fmt: skip
            assert set(frames[table][column].drop_nulls().cast(pl.String)) <= words, (number, column)
        assert "…" not in text


def test_a_long_name_is_broken_before_an_id_is() -> None:
    text = page_text(
        order_frames(
            positions=[
                ordered_line("LINE-00000001", "SKU-000000001", 3, name="A name of an article that is long " * 2)
            ],
            handlingUnits=[{"handlingPositions": [ordered_line("LINE-00000001", "SKU-000000001", 3)]}],
        ),
        80,
    )
    assert any(cell[:2] == ["LINE-00000001", "SKU-000000001"] for cell in section_cells(text, "Lines"))


def test_an_id_longer_than_the_page_is_folded_and_not_cut() -> None:
    long = "X" * 300
    text = page_text(
        order_frames(
            orderIdentifier=long, positions=[ordered_line(long, long, 1, lot=long)], handlingUnits=[{"sscc": long}]
        ),
        80,
    )
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("X") == 5 * 300


# Orders that are larger than a page


def make_unit(number: int, *, lines: int = 1, children: list[Any] | None = None) -> dict[str, Any]:
    contents = [ordered_line(f"L{line}", "A", 1) for line in range(lines)]
    return {"sscc": f"{number:018d}", "handlingPositions": contents, "childHandlingUnits": children or []}


def test_of_many_handling_units_the_first_of_each_level_are_shown() -> None:
    pallets = [
        make_unit(pallet, lines=0, children=[make_unit(1000 * pallet + carton, lines=0) for carton in range(1, 31)])
        for pallet in range(1, 51)
    ]
    shown = section_lines(page_text(order_frames(handlingUnits=pallets)), "Handling units")
    assert shown[:2] == [f"handling unit, sscc {1:018d}", f"├── handling unit, sscc {1001:018d}"]
    assert shown[20:23] == [
        f"├── handling unit, sscc {1020:018d}", "└── … and 10 units more", f"handling unit, sscc {2:018d}",
    ]  # fmt: skip
    assert shown[-1] == "The first 200 of 1,550 units with 0 lines; --json shows all."
    assert len(shown) < 220


def test_of_many_lines_in_a_handling_unit_the_first_are_shown() -> None:
    text = page_text(order_frames(handlingUnits=[make_unit(1, lines=500), make_unit(2)]))
    shown = section_lines(text, "Handling units")
    assert shown[1] == "├── 1 × A, line L0"
    assert shown[20:] == [
        "├── 1 × A, line L19", "└── … and 480 lines more", f"handling unit, sscc {2:018d}", "└── 1 × A, line L0",
        "The first 2 of 2 units with 501 lines; --json shows all.",
    ]  # fmt: skip


def test_of_many_events_the_first_of_each_kind_are_shown() -> None:
    shipments = [{"shipmentId": n, "shipDate": f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z"} for n in range(1, 1001)]
    last = {"fulfillmentOrderId": 5, "fulfillmentOrderCreated": "2026-02-01T00:00:00Z", "shipments": shipments}
    shown = section_cells(page_text(order_frames(fulfillmentOrders=[last])), "Timeline")
    assert [cells[-1] for cells in shown[3:23]] == [str(n) for n in range(1, 21)]
    assert shown[23:] == [
        ["2026-02-01 00:00:00", "The fulfillment order was created", "5"],
        ["… and 980 entries more; --json shows all."],
    ]


def test_of_many_lines_the_first_are_shown() -> None:
    positions = [ordered_line(f"L{n}", f"S{n}", 1) for n in range(1000)]
    gone = [{"fulfillmentOrderId": n, "cancelled": True} for n in range(100)]
    cells = line_cells(page_text(order_frames(positions=positions, fulfillmentOrders=gone)))
    assert [row[0] for row in cells[:200]] == [f"L{n}" for n in range(200)]
    assert cells[200] == ["… and 800 lines more; --json shows all."]
    assert cells[220:] == [
        ["Not counted as planned: fulfillment order 19, which was cancelled."],
        ["… and 80 cancelled fulfillment orders more; --json shows all."],
    ]


def test_of_many_warehouses_the_first_are_shown() -> None:
    fulfillment = [{"warehouseId": n} for n in range(1000)]
    text = page_text(order_frames(fulfillmentOrders=fulfillment), 200)
    assert re.search(r"18, 19, … and 980 more *\n", text)


def make_large_order(count: int) -> dict[str, Any]:
    """An order with so many lines, shipments and handling units, all of them different."""
    lines = [ordered_line(f"L{n}", f"S{n}", 1, name=f"Article {n}") for n in range(count)]
    return {
        "positions": lines,
        "fulfillmentOrders": [{
            "positions": lines,
            "shipments": [
                {"shipmentId": n, "shipDate": f"2026-01-{1 + n % 28:02}T00:{n // 60 % 60:02}:{n % 60:02}Z", "positions": [line]}
                for n, line in enumerate(lines)
            ],
        }],
        "handlingUnits": [make_unit(n) for n in range(count)],
    }  # fmt: skip


@pytest.mark.long
def test_the_page_of_a_large_order_is_short_and_its_document_complete() -> None:
    """An order of 26 MB took 291,029 lines."""
    frames = order_frames(**make_large_order(5_000))
    assert page_text(frames).count("\n") < 500
    document = order_as_json(frames)
    assert (document.count('"sscc"'), document.count('"shipmentId"')) == (5_000, 5_000)


@pytest.mark.long
@pytest.mark.parametrize(
    "units",
    [
        lambda: [make_unit(n) for n in range(200_000)],
        lambda: [make_unit(0, children=[make_unit(n) for n in range(200_000)])],
        lambda: [make_unit(0, children=[make_unit(m, children=[make_unit(n) for n in range(447)]) for m in range(447)])],
        lambda: [make_unit(0, lines=200_000)],
    ],
)  # fmt: skip
def test_the_page_of_200_000_handling_units_ends_within_seconds(units: Any) -> None:
    frames = order_frames(handlingUnits=units())
    began = time.process_time()
    assert page_text(frames).count("\n") < 250
    assert time.process_time() - began < 6


@pytest.mark.long
def test_the_time_of_a_page_grows_with_the_order_and_no_faster() -> None:
    frames = order_frames(**make_large_order(60_000))
    began = time.process_time()
    page_text(frames)
    assert time.process_time() - began < 6


# What is not on it


def with_canary_values(value: Any, name: str = "") -> Any:
    """The documented order with another text in each field."""
    if isinstance(value, dict):
        return {key: with_canary_values(inner, f"{name}.{key}") for key, inner in value.items()} or {
            "canary": f"free{name}"
        }
    if isinstance(value, list):
        return [with_canary_values(inner, name) for inner in value]
    if isinstance(value, str) and not value.startswith("20"):
        return f"canary{name}"
    return value


def test_no_personal_and_no_secret_value_is_on_the_page() -> None:
    frames = flatten([json.dumps(with_canary_values(DOCUMENTED))])
    text = page_text(frames, 1000)
    seen = set(re.findall(r"canary[\w.]*|free[.]\w*", text))
    classes = {
        value: column.privacy
        for name, table in TABLES.items()
        for column in table.columns
        for value in map(str, frames[name][column.name])
    }
    assert len([value for value, privacy in classes.items() if privacy is not Privacy.NONE]) > 25
    assert seen
    assert {classes[value] for value in seen} == {Privacy.NONE}
    for value, privacy in classes.items():
        assert privacy is Privacy.NONE or value == "123.0" or value not in text, value
    assert "canary.deliveryAddress.name1" in order_as_json(frames)


HOSTILE_TEXT = "[bold red]x[/] :smile: \x1b[31mred\x1b]0;title\x07 \x9b31m \u202eevil\r\nnew\tline\0 [link=http://x.example]y[/link]"


def test_a_text_of_the_data_is_neither_markup_nor_a_terminal_command() -> None:
    text = page_text(
        order_frames(
            orderStatus=HOSTILE_TEXT, sellerName=HOSTILE_TEXT, positions=[ordered_line(HOSTILE_TEXT, HOSTILE_TEXT, 1, name=HOSTILE_TEXT, lot=HOSTILE_TEXT)],
            handlingUnits=[{"type": HOSTILE_TEXT, "sscc": HOSTILE_TEXT, "handlingPositions": [ordered_line(HOSTILE_TEXT, HOSTILE_TEXT, 1)]}],
            fulfillmentOrders=[{"warehouseName": HOSTILE_TEXT}],
        ),
        1000,
    )  # fmt: skip
    plain = (
        "[bold red]x[/] :smile: \\x1b[31mred\\x1b]0;title\\x07 \\x9b31m \\u202eevil\\r\\nnew\\tline\\x00 "
        "[link=http://x.example]y[/link]"
    )
    assert text.count(plain) == 11
    assert all(sign == "\n" or sign.isprintable() for sign in text)


# As JSON


def test_the_document_is_the_whole_order_as_one_json_document() -> None:
    body = order_json(100_022)
    order = json.loads(order_as_json(flatten([body])))
    assert order["orderId"] == 100_022
    assert order["deliveryAddress"] == {
        k: v for k, v in json.loads(body)["deliveryAddress"].items() if v not in (None, [])
    }
    assert order_as_json(flatten([body])).count("\n") > 100


def test_the_document_has_no_control_characters_and_the_original_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    free = '{"n":1.10,"big":12345678901234567890.0}'
    text = f'{{"orderId":7,"comment":{json.dumps(HOSTILE_TEXT, ensure_ascii=False)},"customAttributes":{free}}}'
    print_json(order_as_json(flatten([text])))
    told = capsys.readouterr().out
    assert json.loads(told)["comment"] == HOSTILE_TEXT
    assert all(sign == "\n" or sign.isprintable() for sign in told)
    assert '"n": 1.10' in told
    assert "12345678901234567890.0" in told


# Finding it


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("show")
    bodies = [order_json(number) for number in range(100_001, 100_031)]
    (folder / "orders.ndjson").write_bytes(b"\n".join([*bodies, b'{"orderId":5,"sellerId":1.5}', b'{"orderId":6,']))
    return build(folder / "orders.ndjson", folder / "tables")


def test_an_order_of_a_dataset_is_found_with_its_rows_alone(dataset: Dataset) -> None:
    assert page_text(read_order(dataset, 100_008)) == page_text(flatten([order_json(100_008)]))


def test_an_order_that_failed_is_refused_with_its_failure(dataset: Dataset) -> None:
    with pytest.raises(ConfigError, match=r"Order 5 is in no table of .*seller_id of orders must be a whole number"):
        read_order(dataset, 5)
    with pytest.raises(ConfigError, match=r"Order 6 is in no table of .*JSON is broken"):
        read_order(dataset, 6)


def test_an_order_that_was_never_built_is_refused(dataset: Dataset) -> None:
    with pytest.raises(ConfigError, match=r"Order 4711 is not among the 32 orders of .*Refetch it"):
        read_order(dataset, 4711)
