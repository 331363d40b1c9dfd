"""Bytes become records: strictly, and fields that the API added are learned."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

from quivo_frames.flattening.decode import (
    MOST_LEARNED_FIELDS,
    MOST_NOTED_FIELDS,
    OrderDecoder,
    OrderIdentity,
    UndecodableOrder,
    count_fields,
    guess_order_id,
    read_identity,
)
from quivo_frames.model.order import HandlingUnit, Order


def decode_error(body: bytes) -> UndecodableOrder:
    with pytest.raises(UndecodableOrder) as caught:
        OrderDecoder().decode(body)
    return caught.value


def test_records_hold_what_the_json_holds() -> None:
    body = b'{"orderId":5,"tags":["a",null],"handlingUnits":[{"childHandlingUnits":[{"sscc":"s"}]}],"shopId":2.0}'
    order = OrderDecoder().decode(body)
    assert (order.order_id, order.tags, order.shop_id) == (5, ["a", None], 2.0)
    assert order.handling_units[0].child_handling_units[0].sscc == "s"
    assert order.positions is None


def test_a_field_that_is_learned_costs_the_next_order_nothing() -> None:
    decoder = OrderDecoder()
    decoder.decode(b'{"orderId":1,"newField":1,"handlingUnits":[{"childHandlingUnits":[{"weight":2}]}]}')
    strict = decoder._strict_decoder
    order = decoder.decode(b'{"orderId":2,"newField":{"x": 1.10},"handlingUnits":[{"weight":3}]}')
    assert decoder._strict_decoder is strict
    assert {record: list(names.values()) for record, names in decoder.learned_fields.items()} == {
        Order: ["newField"],
        HandlingUnit: ["weight"],
    }
    assert bytes(order.unknown_0) == b'{"x": 1.10}'
    assert decoder.unlearned_fields == []


def test_names_that_cannot_be_learned_are_found_by_a_walk() -> None:
    decoder = OrderDecoder()
    decoder.decode(
        json.dumps({"orderId": 3, 'a"b': 1, "positions": [{"x\ny": [], "sku": "s"}, {"x\ny": None}]}).encode()
    )
    assert [field.path for field in decoder.unlearned_fields] == ['$.a"b', "$.positions[].x\ny"]
    assert not decoder.learned_fields.get(Order)


def test_no_more_names_are_learned_than_an_api_can_grow() -> None:
    decoder = OrderDecoder()
    for count, learned in (
        (20, 20),
        (MOST_LEARNED_FIELDS, MOST_LEARNED_FIELDS),
        (MOST_LEARNED_FIELDS + 20, MOST_LEARNED_FIELDS),
    ):
        decoder.decode(json.dumps({"orderId": 1, **{f"n{n}": None if n % 3 else n for n in range(count)}}).encode())
        assert sum(map(len, decoder.learned_fields.values())) == learned
    # The walk finds those that were learned as well: no decoder knew all.
    assert [field.path for field in decoder.unlearned_fields] == [f"$.n{n}" for n in range(0, count, 3)]


def test_of_more_names_than_anybody_reads_only_the_number_is_given() -> None:
    decoder = OrderDecoder()
    decoder.decode(json.dumps({"orderId": 1, **{f"n{n}": n for n in range(1000)}}).encode())
    *named, more = decoder.unlearned_fields
    assert [field.path for field in named] == [f"$.n{n}" for n in range(MOST_NOTED_FIELDS)]
    assert more == ("more_unknown_fields", "$", 1000 - MOST_NOTED_FIELDS, "")


@pytest.mark.parametrize(
    ("body", "rule", "path", "expected", "got"),
    [
        (b'{"orderId":1,"shopId":"7"}', "wrong_type", "$.shopId", "int | float | null", "str"),
        (b'{"orderId":1,"tags":{}}', "wrong_type", "$.tags", "array | null", "object"),
        (b'{"orderId":1,"positions":[{},{"sku":1}]}', "wrong_type", "$.positions[1].sku", "str | null", "int"),
        (b'{"orderId":1,"new":1,"shopId":"7"}', "wrong_type", "$.shopId", "int | float | null", "str"),
        (b"[]", "not_an_object", "$", "object", "array"),
        (b'{"shopId":1}', "no_order_id", "$.orderId", "", ""),
        (b'{"orderId":1,"comment":"x', "broken_json", "$", "", "the end"),
        (b'{"orderId":1,}', "broken_json", "$", "", "byte 13"),
        (b'{"orderId":1,"comment":"\xfc"}', "not_utf8", "$", "", "byte 24"),
    ],
)
def test_what_is_no_order_is_refused_with_rule_and_path(
    body: bytes, rule: str, path: str, expected: str, got: str
) -> None:
    why = decode_error(body)
    assert (why.rule, why.path, why.expected, why.got) == (rule, path, expected, got)


def test_a_pair_of_surrogates_is_a_character_and_an_escaped_backslash_none() -> None:
    decode = OrderDecoder().decode
    assert decode(b'{"orderId":1,"comment":"\\ud83d\\ude00"}').comment == "😀"
    assert decode(b'{"orderId":1,"comment":"\\\\ud83d"}').comment == "\\ud83d"
    assert decode_error(b'{"orderId":1,"comment":"\\ud83d\\ud83d"}').rule == "lone_surrogate"


def test_a_decoder_that_met_broken_orders_still_decodes_good_ones() -> None:
    decoder = OrderDecoder()
    for body in (b"", b"{", b'{"orderId":1,"new":1,"shopId":"x"}', b"[" * 5000):
        with pytest.raises(UndecodableOrder):
            decoder.decode(body)
    assert decoder.decode(b'{"orderId":9,"new":2}').order_id == 9


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        (b'{"lastModified":"2026-01-01T00:00:00Z","x":[1],"orderId":7}', OrderIdentity(7, "2026-01-01T00:00:00Z")),
        (b'{"orderId":7.0,"lastModified":5}', OrderIdentity(7, None)),
        (b'{"orderId":"7"}', OrderIdentity(None, None)),
        (b'{"orderId":true}', OrderIdentity(None, None)),
        (b'{"orderId":7.5}', OrderIdentity(None, None)),
        (b'{"orderId":9223372036854775808}', OrderIdentity(None, None)),
        (b'{"orderId":7,', OrderIdentity(None, None)),
        (b"[]", OrderIdentity(None, None)),
        (b"", OrderIdentity(None, None)),
        (b"\xff", OrderIdentity(None, None)),
        (b"[" * 100_000, OrderIdentity(None, None)),
    ],
)
def test_the_identity_of_an_order_is_read_or_nothing(body: bytes, seen: Any) -> None:
    assert read_identity(body) == seen


def test_a_broken_answer_still_names_its_order() -> None:
    assert guess_order_id(b'{"orderId":1001,"comment":"x') == 1001
    assert guess_order_id(b'{"orderId":1001,"shopId":"x"}') == 1001
    assert guess_order_id(b'{"comment":"orderId 1001') is None
    assert guess_order_id(b'{"orderId":1e9') is None


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"orderId":1,"comment":"a","comment":"b"}', "$.comment"),
        (b'{"orderId":1,"comment":"a","comment":null}', "$.comment"),
        (b'{"orderId":1,"comment":"\\u0022\\u0022","sellerId":1,"sellerId":2}', "$.sellerId"),
        (b'{"orderId":1,"positions":[{},{"sku":"a","sku":"a"}],"tags":null}', "$.positions[1].sku"),
        (b'{"orderId":1,"deliveryAddress":{"zip":"1"},"deliveryAddress":{"zip":"2"}}', "$.deliveryAddress"),
        (
            b'{"orderId":1,"handlingUnits":[{"childHandlingUnits":[null,{"sscc":"1","sscc":""}]}]}',
            "$.handlingUnits[0].childHandlingUnits[1].sscc",
        ),
        (b'{"orderId":1,"orderId":2}', "$.orderId"),
        (b'{"orderId":1,"odd\\"name":1,"comment":"a","comment":"b"}', "$.comment"),
        (b'{"orderId":1,"comment":"\\u0022","ida@example.org":1,"ida@example.org":2}', "$"),
    ],
)
def test_a_field_that_stands_twice_is_never_lost_silently(body: bytes, path: str) -> None:
    good = b'{"orderId":7,"comment":"a \\"quote\\": and a : colon","tags":null}'
    found = OrderDecoder().find_repeated_fields([good, body, good])
    assert {place: (why.rule, why.path) for place, why in found.items()} == {1: ("repeated_field", path)}


@pytest.mark.parametrize(
    "body",
    [
        b'{"orderId":1,"comment":"\\u0022 null \\u006eull","tags":[null,"null"]}',
        b'{ "orderId" : 1, "comment" : null, "positions" : [ null, { "sku" : null } ], "unknown" : { "a" : null } }',
        b'{"orderId":1,"customAttributes":{"a":null,"b":"null","c":"\\""},"positions":[{"unitNetPrice":null}]}',
    ],
)
def test_an_order_without_repeated_fields_passes(body: bytes) -> None:
    assert not OrderDecoder().find_repeated_fields([body])


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ('{"a":1,"b":null,"c":{"d":[null,{}]}}', 3),
        ('{ "a" : 1,\n"b"\t:\r\nnull, "c": {"d" :[null, {}]}}', 3),
        ('{"a": 1, "b": null, "c": "x : y"}', 2),
        ('{"a":"x : y","b":null}', 1),
        ('{"a":"\\"b\\":null"}', 1),
    ],
)
def test_fields_with_a_value_are_counted_without_decoding(text: str, count: int) -> None:
    assert count_fields(pl.Series([text, "{}"])).to_list() == [count, 0]


def test_what_looks_like_a_field_inside_a_text_only_ever_adds_to_the_count() -> None:
    assert count_fields(pl.Series([json.dumps({"a": '{"b":1,"c":null}', "d": None})])).to_list() == [2]
