"""Personal fields are removed from the JSON of an order, and nothing else is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from quivo_frames.flattening.flatten import flatten
from quivo_frames.model.privacy import PrivacyFilter, PrivacyLevel, remove_personal_fields
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import order_json
from tests.support.depth import examples
from tests.support.drawn_orders import drawn_orders


def all_scalars(value: Any) -> set[str]:
    """All texts and numbers of a document, at any depth."""
    if isinstance(value, dict):
        return set().union(*map(all_scalars, value.values()))
    if isinstance(value, list):
        return set().union(*map(all_scalars, value))
    return {str(value)} if value is not None else set()


@pytest.mark.long
@pytest.mark.drawn
@given(drawn_orders())
@settings(max_examples=examples(60), deadline=None)
def test_orders_without_personal_fields_give_the_tables_without_personal_values(order: str) -> None:
    before, after = flatten([order]), flatten([remove_personal_fields(order.encode())])
    if before.failures.height:
        return
    assert after.failures.is_empty()
    for name, table in TABLES.items():
        if name in ("custom_attributes", "tracking_numbers", "tracking_links"):
            continue  # all their values are personal: these tables are checked below
        assert after[name].equals(before[name].select(PrivacyFilter(PrivacyLevel.NONE).column_expressions(table))), name
    for name in ("custom_attributes", "tracking_numbers", "tracking_links"):
        assert after[name].is_empty()
    assert "unknown_field" not in after.notes["kind"].to_list()


@pytest.mark.parametrize("order_id", range(100_001, 100_040))
def test_no_personal_text_of_a_stand_in_order_is_left(order_id: int) -> None:
    body = order_json(order_id)
    frames = flatten([body])
    personal = {
        str(value)
        for name, table in TABLES.items()
        for column in table.columns
        if column.privacy != "none"
        for value in frames[name][column.name].drop_nulls()
    }
    left = all_scalars(json.loads(remove_personal_fields(body)))
    kept = {
        str(value)
        for name, table in TABLES.items()
        for column in table.columns
        if column.privacy == "none"
        for value in frames[name][column.name].drop_nulls()
    }
    assert personal - kept
    assert not (personal - kept) & left


def test_other_fields_keep_their_bytes() -> None:
    body = b'{"orderId": 1, "currency": "E\\u0055R", "positions": [ {"unitNetPrice": 1.10, "quantity": 2.0}, null ]}'
    assert remove_personal_fields(body) == (
        b'{"orderId":1,"currency":"E\\u0055R","positions":[{"unitNetPrice":1.10,"quantity":2.0},null]}'
    )


@pytest.mark.parametrize(
    ("body", "after"),
    [
        (b'{"orderId":1,"novelty":{"name":"Ida"},"comment":"Ida"}', b'{"orderId":1,"novelty":null,"comment":null}'),
        (b'{"comment":"Ida","orderId":1,"comment":"Lund"}', b'{"comment":null,"orderId":1}'),
        (b'{"orderId":1,"fulfillmentOrders":[{"shipments":[{"trackingNumbers":["1Z",null]}]}]}',
         b'{"orderId":1,"fulfillmentOrders":[{"shipments":[{"trackingNumbers":[null,null]}]}]}'),
        (b'{"orderId":1,"handlingUnits":[{"tracking":"1Z","childHandlingUnits":[{"tracking":"2Z","sscc":"3"}]}]}',
         b'{"orderId":1,"handlingUnits":[{"tracking":null,"childHandlingUnits":[{"tracking":null,"sscc":"3"}]}]}'),
        (b'{"orderId":1,"deliveryAddress":"Ida Lund, Harbour Road"}', b""),
        (b'{"orderId":1,"positions":{"name":"x"}}', b""),
        (b'{"orderId":1,"comment":"Ida', b""),
        (b"<html>Ida</html>", b""),
        (b'["Ida"]', b""),
        (b'"Ida"', b""),
        (b'{"orderId":1,"comment":"\xff"}', b'{"orderId":1,"comment":null}'),
        (b'{"orderId":1,"\xff":"Ida"}', b""),
        (b"", b""),
        (b'{"orderId":' + b"[" * 100_000, b""),
    ],
)  # fmt: skip
def test_unreadable_and_unknown_content_counts_as_personal(body: bytes, after: bytes) -> None:
    assert remove_personal_fields(body) == after
    assert remove_personal_fields(after) == after
