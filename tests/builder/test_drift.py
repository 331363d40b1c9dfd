"""What a comparison with the dataset before shows: fields that vanished, and values that are new."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from quivo_frames.builder.build import build, build_with
from quivo_frames.builder.build_settings import DEFAULT_SETTINGS, BuildSettings
from quivo_frames.builder.drift import MAX_CODES, merge_profiles, profile_tables
from quivo_frames.flattening.flatten import flatten


def write_orders(folder: Path, *fields: dict[str, Any]) -> Path:
    file = folder / "o.ndjson"
    file.write_text("\n".join(json.dumps({"orderId": n, **more}) for n, more in enumerate(fields, 1)))
    return file


def notes_of_second_build(
    folder: Path, before: list[dict[str, Any]], now: list[dict[str, Any]], settings: BuildSettings = DEFAULT_SETTINGS
) -> list[tuple[Any, ...]]:
    build_with(settings, write_orders(folder, *before), folder / "out")
    notes = build_with(settings, write_orders(folder, *now), folder / "out").notes
    return notes.select("kind", "path", "count", "order_id", "message").rows()


@pytest.mark.long
def test_a_field_that_every_row_had_and_none_has_is_told(tmp_path: Path) -> None:
    full = {"sellerId": 1, "positions": [{"sku": "a", "lot": "b"}, {"sku": "c"}], "deliveryAddress": {"zip": "1"}}
    bare = {"positions": [{"lot": "b"}, {}], "deliveryAddress": {}}
    found = [row[:4] for row in notes_of_second_build(tmp_path, [full, full], [bare, bare, bare])]
    assert found == [
        ("vanished_field", "$.sellerId", 3, None),
        ("vanished_field", "$.deliveryAddress.zip", 3, None),
        ("vanished_field", "$.positions[].sku", 6, None),
    ]


@pytest.mark.long
def test_a_field_that_some_rows_had_or_have_is_not_told(tmp_path: Path) -> None:
    assert notes_of_second_build(tmp_path, [{"sellerId": 1}, {}], [{}, {}]) == []
    assert notes_of_second_build(tmp_path, [{"sellerId": 1}], [{}, {"sellerId": 1}]) == []
    assert notes_of_second_build(tmp_path, [{"positions": [{"sku": "a"}]}], [{"positions": []}]) == []


@pytest.mark.long
def test_a_new_value_of_a_short_list_is_told_with_the_value_and_an_order(tmp_path: Path) -> None:
    before = [{"orderStatus": "NEW", "handlingUnits": [{"type": "PALLET", "childHandlingUnits": [{"type": "BOX"}]}]}]
    now = [
        {"orderStatus": "NEW", "comment": "anything", "handlingUnits": [{"type": "BOX"}]},
        {"orderStatus": "LOST", "handlingUnits": [{"childHandlingUnits": [{"type": "CRATE"}]}]},
        {"orderStatus": "LOST"},
        {"orderStatus": "HELD"},
    ]
    assert notes_of_second_build(tmp_path, before, now) == [
        ("new_value", "$.orderStatus", 2, 2, "The previous dataset did not have this value: LOST."),
        ("new_value", "$.orderStatus", 1, 4, "The previous dataset did not have this value: HELD."),
        ("new_value", "$.handlingUnits[].type", 1, 2, "The previous dataset did not have this value: CRATE."),
    ]


@pytest.mark.long
def test_what_is_no_short_list_has_no_new_values(tmp_path: Path) -> None:
    many = [{"orderStatus": f"s{n}"} for n in range(MAX_CODES + 1)]
    assert notes_of_second_build(tmp_path, many, [{"orderStatus": "other"}]) == []
    assert notes_of_second_build(tmp_path, [{"orderStatus": "other"}], many) == []
    assert notes_of_second_build(tmp_path, [{"orderReference": "a"}], [{"orderReference": "b"}]) == []


def test_the_first_dataset_has_no_drift(tmp_path: Path) -> None:
    assert build(write_orders(tmp_path, {"orderStatus": "NEW"}), tmp_path / "out").notes.is_empty()


def test_the_profile_of_parts_is_that_of_the_whole() -> None:
    texts = [
        json.dumps({"orderId": n, "orderStatus": f"s{n % 7}", "positions": [{"sku": "a"}] * n, "shopId": n % 2 or None})
        for n in range(20)
    ]
    parts = [profile_tables(flatten(texts[start : start + 6])) for start in range(0, 20, 6)]
    assert merge_profiles(parts) == profile_tables(flatten(texts))


@pytest.mark.long
@pytest.mark.parametrize("orders_per_partition", [3, 10_000])
def test_drift_is_the_same_for_any_number_of_partitions(tmp_path: Path, orders_per_partition: int) -> None:
    settings = BuildSettings(orders_per_partition=orders_per_partition, orders_per_seek_point=1)
    now = [{"orderStatus": "NEW"}] * 5 + [{"orderStatus": "LOST"}] * 5
    assert [
        row[:4] for row in notes_of_second_build(tmp_path, [{"orderStatus": "NEW", "sellerId": 1}] * 9, now, settings)
    ] == [
        ("new_value", "$.orderStatus", 5, 6),
        ("vanished_field", "$.sellerId", 10, None),
    ]
