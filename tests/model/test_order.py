"""The one description of an order: complete, and each field explained."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import fields

from quivo_frames.model import order
from quivo_frames.model.order import Kind, Order, Privacy, Record
from quivo_frames.model.tables import fields_of
from tests.support.paths import DOCUMENTED_ORDER

DOCUMENTED = json.loads(DOCUMENTED_ORDER.read_text())
RECORDS = [
    value
    for value in vars(order).values()
    if isinstance(value, type) and issubclass(value, Record) and value is not Record
]


def check_names(record: type[Record], document: Any) -> None:
    """The record has the names of the documented object, in their order, and so have the records inside it."""
    assert [field.encode_name for field in fields(record)] in (list(document), sorted(document, key=_place(record)))
    for field in fields_of(record):
        value = document[field.json_name]
        inner = value[0] if isinstance(value, list) and value else value
        if field.record is not None and inner:
            check_names(field.record, inner)


def _place(record: type[Record]) -> Any:
    # A record that extends another has that one's fields first.
    return [field.encode_name for field in fields(record)].index


def test_an_order_has_exactly_the_documented_fields_at_every_level() -> None:
    assert len(fields(Order)) == 46
    assert [field.encode_name for field in fields(Order)] == list(DOCUMENTED)
    check_names(Order, DOCUMENTED)


@pytest.mark.parametrize("record", RECORDS)
def test_every_field_is_described(record: type[Record]) -> None:
    for field in fields_of(record):
        if field.child_table is not None:
            assert field.field is None, field.name
        elif field.record is None:  # the fields of an object describe it
            assert field.field is not None, field.name
            assert field.kind is not None, field.name
            assert field.field.sentence[0].isupper(), field.name
            assert field.field.sentence.endswith("."), field.name


@pytest.mark.parametrize("record", RECORDS)
def test_every_record_is_described(record: type[Record]) -> None:
    assert record.__doc__
    assert not record.__doc__.startswith(record.__name__ + "(")


def test_money_and_measures_have_units_and_times_are_utc() -> None:
    for record in RECORDS:
        for field in fields_of(record):
            if field.kind in (Kind.MONEY, Kind.MEASURE):
                assert field.field is not None
                assert field.field.unit, (record, field.name)
            if field.kind is Kind.INSTANT:
                assert field.field is not None
                assert field.field.unit == "UTC", (record, field.name)


@pytest.mark.parametrize(
    ("names", "privacy"),
    [
        (
            {
                "name1", "name2", "company", "address1", "address2", "address3", "phone", "email", "latitude",
                "longitude", "comment", "delivery_instruction", "customer_identifier", "tracking_number",
                "tracking_numbers", "tracking_link", "tracking_links", "tracking", "custom_attributes",
            },
            Privacy.PERSONAL,
        ),
        ({"link", "file_key"}, Privacy.SECRET),
        ({"order_id", "sku", "quantity", "currency", "order_status", "ship_date"}, Privacy.NONE),
    ],
)  # fmt: skip
def test_fields_have_the_privacy_class_that_they_must_have(names: set[str], privacy: Privacy) -> None:
    seen = set()
    for record in RECORDS:
        for field in fields_of(record):
            if field.name in names:
                about = field.field or field.child_table
                assert about is not None
                assert about.privacy is privacy, (record, field.name)
                seen.add(field.name)
    assert seen == names


def test_only_the_order_id_is_required() -> None:
    required = [(record, field.name) for record in RECORDS for field in fields(record) if field.required]
    assert required == [(Order, "order_id")]
