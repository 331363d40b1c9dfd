"""What changed between refetches: compared with plain Python on the JSON, and by laws that hold for any orders."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

from quivo_frames.archive import Archive
from quivo_frames.comparing import differences, sightings
from quivo_frames.comparing.differences import CHANGES
from quivo_frames.response import Answer, Outcome, RawOrder
from quivo_frames.standin import order_json
from tests.document_diff import diff
from tests.test_unflattening import read

NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def body(order_id: int = 1, **fields: Any) -> bytes:
    return json.dumps({"orderId": order_id, **fields}).encode()


def compared(*pairs: tuple[bytes | str, bytes | str]) -> pl.DataFrame:
    """What `changes` tells of answers in memory; pair n is of the n-th order."""
    raws = []
    for number, answers in enumerate(pairs):
        for hours, text in enumerate(answers):
            told = text.encode() if isinstance(text, str) else text
            raws.append(
                RawOrder(told, json.loads(told, parse_int=to_id)["orderId"], NOON + hours * HOUR, "a", str(number))
            )
    parts = [differences.between(window, personal=True) for window in sightings.windows(sightings.sighted(raws))]
    found = pl.concat(parts).filter(~pl.col("kind").is_in(["first", "moved"]))
    return found.select(*CHANGES)


def to_id(text: str) -> Any:
    return int(text)


def cells(found: pl.DataFrame) -> list[tuple[Any, ...]]:
    return found.select("kind", "table", "column", "key", "before", "after").rows()


def keep(path: Path, *answers: tuple[int, bytes, datetime], good: bool = True) -> Path:
    with Archive(path) as archive:
        run, _ = archive.begin([order_id for order_id, *_ in answers], new_run=True)
        outcome = Outcome.FETCHED if good else Outcome.UNUSABLE
        for order_id, text, at in answers:
            archive.record(run, Answer(order_id, outcome, at, 200, {}, text, 1, 0, 0.1, 0.1, ""))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.sqlite"


# Compared with plain Python


TIME = re.compile(r"\d{4}-\d\d-\d\dT")


def spots(value: Any, key: str = "") -> list[tuple[Any, Any]]:
    """All places of plain values in a document but in free-form ones, and the order's id."""
    if key == "customAttributes":
        return []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = []
    for name, entry in inner:
        if isinstance(entry, dict | list):
            found += spots(entry, str(name))
        elif name != "orderId" and entry is not None:
            found.append((value, name))
    return found


def lists(value: Any, key: str = "") -> list[list[Any]]:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    own = [value] if isinstance(value, list) and value and key != "customAttributes" else []
    keys = value if isinstance(value, dict) else [""] * len(inner)
    return own + [
        found
        for name, entry in zip(keys, inner, strict=True)
        if name != "customAttributes"
        for found in lists(entry, name)
    ]


def other(value: Any, dice: Random) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + dice.choice([1, 2])
    if TIME.match(value):
        return "2025-01-02T03:04:05.5Z"
    if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return "2025-01-02"
    return value + "x"


def edit(order: dict[str, Any], dice: Random) -> None:
    """One thing that may happen to an order."""
    way = dice.choice(["change", "change", "empty", "drop", "copy", "copy and change", "attribute"])
    if way in ("change", "empty") and (found := spots(order)):
        holder, name = dice.choice(found)
        holder[name] = None if way == "empty" and not isinstance(holder, list) else other(holder[name], dice)
    elif way == "attribute":
        order["customAttributes"] = {"a": dice.choice([1, "1", {"x": [1.5]}]), 'ä "': 2, dice.choice("bcd"): None}
    elif found := lists(order):
        entries = dice.choice(found)
        place = dice.randrange(len(entries))
        if way == "drop":
            del entries[place]
            return
        copy = json.loads(json.dumps(entries[place]))
        if way == "copy and change" and isinstance(copy, dict) and (inside := spots(copy)):
            holder, name = dice.choice(inside)
            holder[name] = other(holder[name], dice)
        entries.insert(dice.randrange(len(entries) + 1), copy)


def shuffle(order: dict[str, Any], dice: Random) -> None:
    for entries in lists(order):
        dice.shuffle(entries)


def parsed(text: str | None, like: Any) -> Any:
    """A told value as what plain Python has at that place."""
    if text is None:
        return None
    if isinstance(like, bool):
        return {"true": True, "false": False}[text]
    if isinstance(like, datetime):
        return datetime.fromisoformat(text)
    if isinstance(like, date):
        return date.fromisoformat(text)
    return type(like)(text) if isinstance(like, float | Decimal) else text


def spelled(value: Any) -> Any:
    if isinstance(value, Decimal):
        return value.normalize()
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def simple(found: list[tuple[Any, ...]]) -> tuple[Counter[str], set[tuple[str, str]]]:
    """Changes as they can be compared; of attributes, which have two columns, which of them changed."""
    of_attributes = {(kind, path) for kind, path, *_ in found if "customAttributes" in path}
    plain = [list(map(spelled, one)) for one in found]
    return Counter(repr(one) for one in plain if "customAttributes" not in one[1]), of_attributes


@pytest.mark.parametrize("seed", range(4))
def test_plain_python_finds_the_same_changes(seed: int) -> None:
    dice = Random(seed)
    pairs = []
    for order_id in range(1, 251):
        old = json.loads(order_json(order_id, seed, dice.randrange(6)))
        new = json.loads(json.dumps(old)) if dice.random() < 0.8 else json.loads(order_json(order_id, seed, 5))
        for side in (old, new):
            for _ in range(dice.randrange(4)):
                edit(side, dice)
        if dice.random() < 0.5:
            shuffle(new, dice)
        pairs.append((json.dumps(old).encode(), json.dumps(new).encode()))
    found = compared(*pairs)
    assert "unreadable" not in found["kind"]
    by_order = {key[0]: rows for key, rows in found.partition_by("order_id", as_dict=True).items()}
    kinds: Counter[str] = Counter()
    for order_id, (old, new) in enumerate(pairs, 1):
        rows = by_order.get(order_id, found.clear())
        wanted = diff(read(old), read(new))
        likes = {path: values for kind, path, *values in wanted if kind == "changed"}
        told = []
        for kind, path, *values in rows.select("kind", "path", "before", "after").rows():
            is_cell = kind == "changed" and "customAttributes" not in path
            told.append((kind, path, *(map(parsed, values, likes.get(path, "--")) if is_cell else (None, None))))
        ours, theirs = simple(told), simple(wanted)
        assert (ours[0] - theirs[0], theirs[0] - ours[0], ours[1] ^ theirs[1]) == (Counter(), Counter(), set()), (
            order_id
        )
        kinds.update(kind for kind, *_ in told)
    assert min(kinds[kind] for kind in ("changed", "added", "removed")) > 50
