"""Messages that an analyst understands: what, which order, which field, the cure; never personal data."""

from __future__ import annotations

import json

import pytest

from quivo_frames.flattening.flatten import flatten
from quivo_frames.model.messages import NOTES, RULES, column_at_path, describe_failure, describe_note, mask_personal
from quivo_frames.model.order import Privacy
from quivo_frames.model.records import RawOrder
from quivo_frames.model.tables import TABLES

RAW = RawOrder(b"", 1001, None, "orders.sqlite", "response 5")
LINE = RawOrder(b"", None, None, "orders.ndjson", "line 5")


@pytest.mark.parametrize("rule", RULES)
def test_every_failure_names_order_source_and_cure(rule: str) -> None:
    found = describe_failure(RAW, "decode", rule, "$.shopId", expected="int", got="17")
    assert found.message.startswith("Order 1001 (orders.sqlite, response 5): ")
    assert found.message.endswith(RULES[rule].cure)
    assert "left out of all tables" in found.message
    assert "{" not in found.message
    assert found.rule == rule


@pytest.mark.parametrize("rule", RULES)
def test_no_file_is_to_be_refetched(rule: str) -> None:
    """The order of a file may be known to no API, or its id may be unreadable."""
    for order_id in (None, 7):
        message = describe_failure(LINE, "decode", rule, "$.shopId", order_id=order_id, got="17").message
        assert "efetch" not in message
        assert "answer" not in message
        assert message.endswith(RULES[rule].cure_for(LINE))


def test_an_answer_is_to_be_refetched() -> None:
    for rule in ("empty", "html", "broken_json", "not_utf8", "not_an_object"):
        assert "Refetch the order." in describe_failure(RAW, "decode", rule).message


def test_an_order_without_an_id_is_identified_by_its_place() -> None:
    found = describe_failure(LINE, "decode", "empty")
    assert found.message.startswith("An order without a readable id (orders.ndjson, line 5): The text is empty")
    assert (found.order_id, found.table, found.column, found.path) == (None, None, None, "$")


def test_types_are_named_in_plain_words() -> None:
    message = flatten([b'{"orderId":1,"shopId":"x","tags":[]}']).failures["message"][0]
    assert "shop_id of orders must be a whole number, but is a text, at $.shopId" in message
    for jargon in ("null", "int", "str ", "float", "Expected"):
        assert jargon not in message


def test_a_number_too_large_for_any_column_is_reported_as_such() -> None:
    for field in ('"shopId"', '"deliveryAddress":{"latitude"'):
        body = f'{{"orderId":1,{field}:1e400}}{"}" if "{" in field else ""}'
        message = flatten([body]).failures["message"][0]
        assert "cannot hold exactly: a number of too many digits, at $." in message


@pytest.mark.parametrize(
    ("path", "table", "column"),
    [
        ("$.deliveryAddress.email", "orders", "delivery_address_email"),
        ("$.positions[17].sku", "order_positions", "sku"),
        ("$.handlingUnits[0].childHandlingUnits[1].childHandlingUnits[0].sscc", "handling_units", "sscc"),
        ("$.handlingUnits[0].childHandlingUnits[1].handlingPositions[2].sku", "handling_positions", "sku"),
        ("$.tags[3]", "order_tags", "tag"),
        ("$.fulfillmentOrders[0].shipments[0].positions[0].serialNumbers[1]", "serial_numbers", "serial_number"),
    ],
)
def test_a_json_path_leads_to_its_table_and_column(path: str, table: str, column: str) -> None:
    found = column_at_path(path)
    assert found is not None
    assert (found[0].name, found[1].name) == (table, column)


def test_every_column_with_a_json_path_is_found_by_it() -> None:
    for table in TABLES.values():
        for column in table.columns:
            if column.json_path:
                assert column_at_path(table.json_path(column)) == (table, column)
    assert column_at_path("$.nothing") is None


@pytest.mark.parametrize("value", ["jane@x.eu", "Main Street 7", "Łódź-Bałuty", ["Smith"]])
def test_text_that_may_be_a_name_or_an_address_is_masked_in_every_column(value: object) -> None:
    shown = mask_personal(value, Privacy.NONE)
    assert "may be personal data" in shown
    assert str(value) not in shown


def test_values_are_shortened_and_personal_ones_masked() -> None:
    assert mask_personal("2026-13-01", Privacy.NONE) == "2026-13-01"
    assert len(mask_personal("7" * 5000, Privacy.NONE)) == 60
    for privacy in (Privacy.PERSONAL, Privacy.SECRET):
        assert "jane" not in mask_personal("jane@example.com", privacy)


CANARY = "jane.doe@example.com"


@pytest.mark.parametrize(
    "broken",
    [
        {"sellerId": CANARY},
        {"cashOnDeliveryAmount": CANARY},
        {"cashOnDeliveryAmount": {"payer": CANARY}},
        {"comment": [CANARY]},
        {"deliveryAddress": {"email": {"address": CANARY}}},
        {"deliveryAddress": {"latitude": CANARY}},
        {"deliveryAddress": CANARY},
        {"positions": [CANARY]},
        {"tags": CANARY},
        {"handlingUnits": [{"tracking": 5, "sscc": CANARY}]},
        {"shopActive": CANARY},
    ],
)
def test_personal_data_is_in_no_message(broken: dict[str, object]) -> None:
    whole = {
        "orderId": 5,
        "comment": CANARY,
        "customerIdentifier": CANARY,
        "invoiceAddress": {"email": CANARY, "name1": CANARY},
        "customAttributes": {"mail": CANARY},
        "unknownField": CANARY,
        **broken,
    }
    frames = flatten([json.dumps(whole), json.dumps({**whole, "orderId": 6})[:-9]])
    assert frames.failures.height == 2
    for text in (*frames.failures["message"], *frames.notes["message"], *frames.notes["path"]):
        assert "jane" not in text


def test_every_note_has_a_message() -> None:
    for kind in NOTES:
        assert describe_note(kind, "$.x", 3, 7) == (kind, "$.x", 3, 7, NOTES[kind].replace("{got}", ""))
        assert describe_note(kind, "$.x", 3, 7, "{odd}").message == NOTES[kind].replace("{got}", ": {odd}")
        assert NOTES[kind].endswith(".")
