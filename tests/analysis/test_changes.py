"""What changed between refetches: compared with plain Python on the JSON, and by laws that hold for any orders."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import quivo_frames as qf
from quivo_frames.analysis.changes import answer_windows, differences, identity
from quivo_frames.analysis.changes.answer_windows import WindowLimits
from quivo_frames.analysis.changes.changes import find_changes, find_transitions
from quivo_frames.analysis.changes.differences import CHANGES, CHANGES_TABLE, HIDDEN, STATUSES
from quivo_frames.analysis.changes.free_values import canonical_json
from quivo_frames.analysis.changes.sentences import describe_changes
from quivo_frames.archive.archive import Archive
from quivo_frames.errors import ArchiveError, ConfigError
from quivo_frames.export.frame_file import write_frame_file
from quivo_frames.model.order import Privacy
from quivo_frames.model.records import Answer, Outcome, RawOrder
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import order_json
from tests.support.depth import examples, sampled
from tests.support.document_diff import diff_documents
from tests.support.drawn_orders import drawn_orders
from tests.support.order_comparison import read_order

NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def body(order_id: int = 1, **fields: Any) -> bytes:
    return json.dumps({"orderId": order_id, **fields}).encode()


def changes_between(*pairs: tuple[bytes | str, bytes | str]) -> pl.DataFrame:
    """The changes between pairs of answers in memory; pair n belongs to the n-th order."""
    raws = []
    for number, answers in enumerate(pairs):
        for hours, text in enumerate(answers):
            told = text.encode() if isinstance(text, str) else text
            raws.append(
                RawOrder(
                    told,
                    int(json.loads(told, parse_int=Decimal, parse_float=Decimal)["orderId"]),
                    NOON + hours * HOUR,
                    "a",
                    str(number),
                )
            )
    parts = [
        differences.compare_window(window, personal=True)
        for window in answer_windows.flatten_in_windows(answer_windows.distinct_versions(raws))
    ]
    found = pl.concat(parts).filter(~pl.col("kind").is_in(["first", "moved"]))
    return found.select(*CHANGES)


def value_changes(found: pl.DataFrame) -> list[tuple[Any, ...]]:
    return found.select("kind", "table", "column", "key", "before", "after").rows()


def record_answers(path: Path, *answers: tuple[int, bytes, datetime], good: bool = True) -> Path:
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


def plain_value_locations(value: Any, key: str = "") -> list[tuple[Any, Any]]:
    """The locations of all plain values in a document, except in free-form objects and the id of the order."""
    if key == "customAttributes":
        return []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = []
    for name, entry in inner:
        if isinstance(entry, dict | list):
            found += plain_value_locations(entry, str(name))
        elif name != "orderId" and entry is not None:
            found.append((value, name))
    return found


def lists_inside(value: Any, key: str = "") -> list[list[Any]]:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    own = [value] if isinstance(value, list) and value and key != "customAttributes" else []
    keys = value if isinstance(value, dict) else [""] * len(inner)
    return own + [
        found
        for name, entry in zip(keys, inner, strict=True)
        if name != "customAttributes"
        for found in lists_inside(entry, name)
    ]


def another_value(value: Any, dice: Random) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return round(value + dice.choice([1, 2]), 3)
    if TIME.match(value):
        return "2025-01-02T03:04:05.5Z"
    if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return "2025-01-02"
    return value + "x"


def edit_order(order: dict[str, Any], dice: Random) -> None:
    """Makes one random change to an order."""
    way = dice.choice(["change", "change", "empty", "drop", "copy", "copy and change", "attribute"])
    if way in ("change", "empty") and (found := plain_value_locations(order)):
        holder, name = dice.choice(found)
        holder[name] = None if way == "empty" and not isinstance(holder, list) else another_value(holder[name], dice)
    elif way == "attribute":
        order["customAttributes"] = {"a": dice.choice([1, "1", {"x": [1.5]}]), 'ä "': 2, dice.choice("bcd"): None}
    elif found := lists_inside(order):
        entries = dice.choice(found)
        place = dice.randrange(len(entries))
        if way == "drop":
            del entries[place]
            return
        copy = json.loads(json.dumps(entries[place]))
        if way == "copy and change" and isinstance(copy, dict) and (inside := plain_value_locations(copy)):
            holder, name = dice.choice(inside)
            holder[name] = another_value(holder[name], dice)
        entries.insert(dice.randrange(len(entries) + 1), copy)


def shuffle_lists(order: dict[str, Any], dice: Random) -> None:
    for entries in lists_inside(order):
        dice.shuffle(entries)


def parse_like(text: str | None, like: Any) -> Any:
    """The value of a change, parsed to the type that plain Python has at that place."""
    if text is None:
        return None
    if isinstance(like, bool):
        return {"true": True, "false": False}[text]
    if isinstance(like, datetime):
        return datetime.fromisoformat(text)
    if isinstance(like, date):
        return date.fromisoformat(text)
    return type(like)(text) if isinstance(like, float | Decimal) else text


def as_json_text(value: Any) -> Any:
    if isinstance(value, Decimal):
        return value.normalize()
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def comparable_changes(found: list[tuple[Any, ...]]) -> tuple[Counter[str], set[tuple[str, str]]]:
    """Changes in a form that can be compared; an attribute has two columns, only its location is compared."""
    of_attributes = {(kind, path) for kind, path, *_ in found if "customAttributes" in path}
    plain = [list(map(as_json_text, one)) for one in found]
    return Counter(repr(one) for one in plain if "customAttributes" not in one[1]), of_attributes


@pytest.mark.long
@pytest.mark.drawn
@pytest.mark.parametrize("seed", sampled(range(4)))
def test_plain_python_finds_the_same_changes(seed: int) -> None:
    dice = Random(seed)
    pairs = []
    for order_id in range(1, 251):
        old = json.loads(order_json(order_id, seed, dice.randrange(6)))
        new = json.loads(json.dumps(old)) if dice.random() < 0.8 else json.loads(order_json(order_id, seed, 5))
        for side in (old, new):
            for _ in range(dice.randrange(4)):
                edit_order(side, dice)
        if dice.random() < 0.5:
            shuffle_lists(new, dice)
        pairs.append((json.dumps(old).encode(), json.dumps(new).encode()))
    found = changes_between(*pairs)
    assert "unreadable" not in found["kind"]
    by_order = {key[0]: rows for key, rows in found.partition_by("order_id", as_dict=True).items()}
    kinds: Counter[str] = Counter()
    for order_id, (old, new) in enumerate(pairs, 1):
        rows = by_order.get(order_id, found.clear())
        wanted = diff_documents(read_order(old), read_order(new))
        likes = {path: values for kind, path, *values in wanted if kind == "changed"}
        told = []
        for kind, path, *values in rows.select("kind", "path", "before", "after").rows():
            is_cell = kind == "changed" and "customAttributes" not in path
            told.append((kind, path, *(map(parse_like, values, likes.get(path, "--")) if is_cell else (None, None))))
        ours, theirs = comparable_changes(told), comparable_changes(wanted)
        assert (ours[0] - theirs[0], theirs[0] - ours[0], ours[1] ^ theirs[1]) == (Counter(), Counter(), set()), (
            order_id
        )
        kinds.update(kind for kind, *_ in told)
    assert min(kinds[kind] for kind in ("changed", "added", "removed")) > 50


# Laws


class Number(str):
    """A JSON number that keeps its text."""

    __slots__ = ()


def dump_json(value: Any) -> str:
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} : {dump_json(entry)}" for key, entry in value.items()) + "}"
    return "[" + ",".join(map(dump_json, value)) + "]" if isinstance(value, list) else json.dumps(value)


def says_nothing(name: str, value: Any) -> bool:
    """Whether a field may as well be left out; a list of free-form attributes is odd, and so kept as it is."""
    return value in (None, {}) or (value == [] and name != "customAttributes")


def respell_json(value: Any, dice: Random, *, free: bool = False) -> Any:
    """An equal document, written differently: other order of fields and lists, other notation of null and numbers."""
    if isinstance(value, dict):
        fields = [
            (key, respell_json(entry, dice, free=free or key == "customAttributes")) for key, entry in value.items()
        ]
        if not free:
            fields = [(key, entry) for key, entry in fields if not says_nothing(key, entry) or dice.random() < 0.5]
        dice.shuffle(fields)
        return dict(fields)
    if isinstance(value, list):
        entries = [respell_json(entry, dice, free=free) for entry in value]
        if not free:
            dice.shuffle(entries)
        return entries
    if isinstance(value, Number) and "e" not in value.lower():
        return Number(value + ("0" if "." in value else ".00"))
    return value


def load_json(text: str | bytes) -> Any:
    return json.loads(text, parse_int=Number, parse_float=Number)


PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
DRAWN = settings(max_examples=examples(25), deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))


@pytest.mark.long
@pytest.mark.drawn
@DRAWN
@given(drawn_orders(order_id=7), st.integers(0, 99))
def test_an_order_that_is_only_told_otherwise_has_not_changed(text: str, seed: int) -> None:
    assert value_changes(changes_between((text, dump_json(respell_json(load_json(text), Random(seed)))))) == []


@pytest.mark.parametrize("moved", [[{}, {"sku": "A"}], [{"sku": "A"}, {}], [None, {}]])
def test_an_entry_with_empty_attributes_is_the_same_without_them_wherever_it_stands(moved: list[Any]) -> None:
    positions = [{"customAttributes": {}}, *(entry for entry in moved if entry != {})]
    answers = (json.dumps({"orderId": 7, "positions": entries}) for entries in (positions, moved))
    assert value_changes(changes_between((next(answers), next(answers)))) == []


@pytest.mark.long
def test_no_order_of_the_standin_changes_when_it_is_told_otherwise() -> None:
    dice = Random(3)
    texts = [order_json(order_id) for order_id in range(1, 401)]
    assert (
        value_changes(changes_between(*((text, dump_json(respell_json(load_json(text), dice))) for text in texts)))
        == []
    )


def without_list_order(value: Any, key: str = "") -> Any:
    if key == "customAttributes":
        return canonical_json(pl.Series([value]))[0]
    if isinstance(value, dict):
        return sorted((name, without_list_order(entry, name)) for name, entry in value.items())
    return (
        sorted((without_list_order(entry) for entry in value if entry is not None), key=repr)
        if isinstance(value, list)
        else value
    )


@pytest.mark.long
@pytest.mark.drawn
@DRAWN
@given(drawn_orders(order_id=7), drawn_orders(order_id=7))
def test_there_are_changes_if_and_only_if_the_orders_differ_and_each_value_stands_in_the_tables(a: str, b: str) -> None:
    found = changes_between((a, b))
    old, new = ([without_list_order(read_order(text)) for text in qf.unflatten(qf.flatten([body]))] for body in (a, b))
    assert found.is_empty() == (old == new)
    before, after = qf.flatten([a]), qf.flatten([b])
    for name in TABLES:
        rows = found.filter(table=name)
        came, went = (rows.filter(kind=kind) for kind in ("added", "removed"))
        assert after[name].height - before[name].height == came.height - went.height
        assert set(came["key"]) <= set(after[name][TABLES[name].key].cast(pl.String))
        assert set(went["key"]) <= set(before[name][TABLES[name].key].cast(pl.String))
        for key, column, old_text, new_text in (
            rows.filter(kind="changed").select("key", "column", "before", "after").rows()
        ):
            (now,) = after[name].filter(pl.col(TABLES[name].key).cast(pl.String) == key)[column]
            assert parse_like(new_text, now) == (
                str(now) if isinstance(now, int) and not isinstance(now, bool) else now
            )
            olds = before[name][column].to_list()
            like = next((value for value in olds if value is not None), None)
            assert (
                parse_like(old_text, like)
                in ([str(o) for o in olds] if isinstance(like, int) and not isinstance(like, bool) else olds)
                or old_text is None
            )


def test_each_table_has_ids_that_are_its_columns() -> None:
    assert set(identity.IDENTITY_COLUMNS) == set(TABLES) - {"orders"}
    for name, ids in identity.IDENTITY_COLUMNS.items():
        assert {column for way in ids.candidate_keys for column in way} <= set(TABLES[name].schema), name


# One by one


def test_what_is_told_of_a_change() -> None:
    old = body(fulfillmentOrders=[{"fulfillmentOrderId": 5, "fulfillmentStatus": "NEW"}], cashOnDeliveryAmount=1.5)
    new = body(
        fulfillmentOrders=[None, {"fulfillmentOrderId": 5, "fulfillmentStatus": 'a"ü\n'}],
        cashOnDeliveryAmount=12, created="2026-03-05T10:00:00+02:00", tags=["x"], comment="",
    )  # fmt: skip
    found = changes_between((old, new))
    assert found.schema == CHANGES
    assert value_changes(found) == [
        ("changed", "orders", "created", "1", None, "2026-03-05T08:00:00Z"),
        ("changed", "orders", "comment", "1", None, ""),
        ("changed", "orders", "cash_on_delivery_amount", "1", "1.5", "12"),
        ("changed", "fulfillment_orders", "fulfillment_status", "1/1", "NEW", 'a"ü\n'),
        ("added", "order_tags", "tag", "1/0", None, "x"),
    ]
    assert found["path"][3:].to_list() == ["$.fulfillmentOrders[1].fulfillmentStatus", "$.tags[0]"]
    assert found.select("seen_at", "before_at").unique().rows() == [(NOON + HOUR, NOON)]


LINES = [{"positionId": n, "sku": f"s{n}", "quantity": n} for n in (1, 2, 3)]


def test_a_line_that_went_and_one_that_came_are_rows_and_no_change_of_the_others() -> None:
    found = changes_between(
        (body(positions=LINES), body(positions=[{"positionId": 4, "sku": "new"}, LINES[2], LINES[1]]))
    )
    assert value_changes(found) == [
        ("added", "order_positions", None, "1/0", None, '{"positionId":4,"sku":"new"}'),
        ("removed", "order_positions", None, "1/0", '{"positionId":1,"sku":"s1","quantity":1}', None),
    ]


WHICH_IS_WHICH = {
    "a repeated id does not count": ([{"positionId": 1, "sku": "a"}, {"positionId": 1, "sku": "b"}], [1, 0], ["quantity 1/0"]),
    "the sku does where no id is": ([{"sku": "a"}, {"sku": "b"}], [1, 0], ["quantity 1/0"]),
    "the lot tells lines of a sku apart": ([{"sku": "a", "lot": "1"}, {"sku": "a", "lot": "2"}], [1, 0], ["quantity 1/0"]),
    "equal ones are as good as each other": ([{"sku": "a"}, {"sku": "a"}, {"sku": "b"}], [2, 1, 0], ["quantity 1/0"]),
    "the place is what is left": ([{"name": "a"}, {"name": "b"}], [0, 1], ["quantity 1/0"]),
}  # fmt: skip


@pytest.mark.parametrize(("entries", "order", "wanted"), WHICH_IS_WHICH.values(), ids=WHICH_IS_WHICH)
def test_which_row_is_which(entries: list[dict[str, Any]], order: list[int], wanted: list[str]) -> None:
    new = [dict(entries[place]) for place in order]
    new[0]["quantity"] = 9
    found = changes_between((body(positions=entries), body(positions=new)))
    assert (found["column"] + " " + found["key"]).to_list() == wanted


def test_a_unit_in_another_unit_went_and_came_with_what_is_in_it() -> None:
    carton = {"sscc": "c", "handlingPositions": [{"sku": "a"}]}
    old = body(handlingUnits=[{"sscc": "p", "childHandlingUnits": [carton]}, {"sscc": "q"}])
    new = body(handlingUnits=[{"sscc": "q", "childHandlingUnits": [carton]}, {"sscc": "p"}])
    assert [row[:4] for row in value_changes(changes_between((old, new)))] == [
        ("added", "handling_units", None, "1/0.0"),
        ("removed", "handling_units", None, "1/0.0"),
        ("added", "handling_positions", None, "1/0.0/0"),
        ("removed", "handling_positions", None, "1/0.0/0"),
    ]


def test_units_without_ids_are_told_apart_by_what_is_in_them() -> None:
    def unit(*skus: str) -> dict[str, Any]:
        return {"childHandlingUnits": [{"handlingPositions": [{"quantity": 1, "sku": sku}]} for sku in skus]}

    units = [unit("a", "b"), unit("c"), unit("b", "b"), unit()]
    assert changes_between((body(handlingUnits=units), body(handlingUnits=units[::-1]))).is_empty()


def test_attributes_are_told_one_by_one_and_by_name() -> None:
    old, new = {"a": 1, 'b"': "x", "c": {"k": [1.0, 2]}}, {"c": {"k": [1, 2.00]}, "a": "1", 'b"': "y", "d": None}
    found = changes_between((body(customAttributes=old), body(customAttributes=new)))
    assert found.select("kind", "path", "column", "before", "after").rows() == [
        ("changed", '$.customAttributes["a"]', "value_type", "number", "string"),
        ("changed", '$.customAttributes["b\\""]', "value", "x", "y"),
        ("added", '$.customAttributes["d"]', "value", None, None),
    ]


@pytest.mark.parametrize(("old", "new"), [("7", "8"), ('{"a":1,"a":2}', '{"a":2}'), ('"x"', '"y"'), ("[]", "null")])
def test_what_attributes_do_not_tell_is_told_of_the_free_form_value(old: str, new: str) -> None:
    found = changes_between(*[tuple(f'{{"orderId":1,"customAttributes":{text}}}' for text in (old, new))])
    assert [row[:4] for row in value_changes(found)] == [("changed", "orders", "custom_attributes", "1")]


@pytest.mark.parametrize("text", ["1e999999999999999999999", "[" * 2000 + "]" * 2000, "-0.0", "1" * 5000])
def test_odd_free_form_values_are_equal_to_themselves(text: str) -> None:
    assert canonical_json(pl.Series([text]))[0] == canonical_json(pl.Series([text]))[0]


# In an archive


def record_daily_answers(path: Path, *texts: bytes | None, order_id: int = 1) -> Path:
    """Records one answer of an order per day; None repeats the previous answer."""
    told = texts[0]
    for day, text in enumerate(texts):
        told = text if text is not None else told
        record_answers(path, (order_id, told or b"", NOON + timedelta(days=day)))
    return path


@pytest.mark.long
def test_an_answer_that_cannot_be_read_is_told_and_hides_no_change(path: Path) -> None:
    record_daily_answers(path, body(sellerId=1), b"{", body(sellerId="x"), None, body(sellerId=2))
    found = qf.changes(path)
    assert found["kind"].to_list() == ["unreadable", "unreadable", "changed"]
    assert "The JSON is broken" in found["after"][0]
    assert found.row(1)[3:6] == ("orders", "seller_id", "$.sellerId")
    assert found.select("before", "after").row(2) == ("1", "2")
    assert found["before_at"].to_list() == [NOON] * 3
    for day in range(5):
        since = NOON + timedelta(days=day)
        assert qf.changes(path, since).equals(found.filter(pl.col("seen_at") >= since))
    assert qf.changes(path, (NOON + timedelta(days=4)).replace(tzinfo=None)).height == 1


def test_a_value_was_last_seen_in_the_last_equal_answer(path: Path) -> None:
    record_daily_answers(path, body(sellerId=1), None, None, body(sellerId=2))
    assert qf.history(path, 1).select("before_at", "seen_at").row(0) == tuple(NOON + timedelta(days=n) for n in (2, 3))


@pytest.mark.long
def test_neither_windows_nor_the_bytes_of_answers_change_what_is_told(path: Path) -> None:
    for visit in range(5):
        record_answers(
            path,
            *((n, order_json(n, 0, visit) if n % 9 or visit % 2 else b"[", NOON + visit * HOUR) for n in range(1, 17)),
        )
    whole, moves = qf.changes(path), qf.transitions(path)
    assert whole.height > 15
    for limits in (WindowLimits(answers=1), WindowLimits(answers=7), WindowLimits(body_bytes=9000)):
        assert find_changes(Archive(path), personal=True, limits=limits).equals(whole)
        assert find_transitions(Archive(path), limits=limits).equals(moves)
    some = [5, 3, 3, 77]
    assert qf.changes(path, order_ids=some).equals(whole.filter(pl.col("order_id").is_in(some)))
    assert qf.history(path, 5).equals(whole.filter(order_id=5))


def test_history_of_an_order_that_is_not_there_is_told(path: Path) -> None:
    record_daily_answers(path, body())
    assert qf.history(path, 1).is_empty()
    with pytest.raises(ConfigError, match=r"no good answer about order 2"):
        qf.history(path, 2)
    with pytest.raises(ConfigError, match="no archive"):
        qf.changes(path.with_name("gone.sqlite"))


def test_the_archive_gives_all_good_responses_by_order_as_they_were_recorded(path: Path) -> None:
    record_answers(path, (2, b"2a", NOON), (1, b"1a", NOON), (1, b"1b", NOON + HOUR), (3, b"3", NOON))
    record_answers(path, (1, b"bad", NOON + 2 * HOUR), good=False)
    record_answers(path, (1, b"1c", NOON + 3 * HOUR), (2, b"2b", NOON + 3 * HOUR))
    archive = Archive(path)

    def told(*given: Any) -> list[str]:
        return [raw.body.decode() for raw in archive.responses(*given)]

    assert told() == ["1a", "1b", "1c", "2a", "2b", "3"]
    assert told([3, 1, 1, 9]) == ["1a", "1b", "1c", "3"]
    assert told([]) == []
    assert told(None, NOON + 2 * HOUR) == ["1b", "1c", "2a", "2b"]
    assert told([1], NOON + HOUR) == ["1a", "1b", "1c"]
    assert told(None, NOON + 4 * HOUR) == []
    record_answers(path, (1, b"1d", NOON + HOUR), (1, b"1e", NOON + 5 * HOUR))  # a clock was wrong
    assert told([1]) == ["1a", "1b", "1c", "1d", "1e"]
    assert told([1], NOON + 2 * HOUR) == ["1b", "1c", "1d", "1e"]
    assert told([1], NOON + 4 * HOUR) == ["1d", "1e"]
    archive.close()


def test_a_damaged_answer_ends_the_comparison(path: Path) -> None:
    record_daily_answers(path, body(), body(sellerId=1))
    with sqlite3.connect(path) as db:
        db.execute("UPDATE responses SET body = x'00' WHERE response = 1")
    with pytest.raises(ArchiveError, match=r"response 1 \(order 1\) was damaged"):
        qf.changes(path)


# Statuses


def test_the_statuses_of_the_catalogue_are_followed() -> None:
    names = {table: [column.name for column in columns] for table, columns in STATUSES.items()}
    assert names == {
        "orders": ["order_status"],
        "fulfillment_orders": ["fulfillment_status", "fulfillment_connector_status"],
    }


def fulfillment_order(number: int, status: str | None) -> dict[str, Any]:
    return {"fulfillmentOrderId": number, "fulfillmentStatus": status}


def test_transitions_say_how_long_a_status_was_seen_also_of_parts_that_change_places(path: Path) -> None:
    record_daily_answers(
        path,
        body(orderStatus="A", fulfillmentOrders=[fulfillment_order(1, "X"), fulfillment_order(2, "P")]),
        body(orderStatus="B", fulfillmentOrders=[fulfillment_order(2, "Q"), fulfillment_order(1, "X")]),
        b"{",
        body(
            orderStatus="B",
            fulfillmentOrders=[fulfillment_order(3, None), fulfillment_order(1, "Y"), fulfillment_order(2, "Q")],
        ),
        body(orderStatus="C", fulfillmentOrders=[fulfillment_order(1, "Y"), fulfillment_order(3, "N")]),
        None,
        body(orderStatus="C", fulfillmentOrders=[fulfillment_order(3, "M")]),
    )
    found = qf.transitions(path)
    told = [
        (row["key"], row["before"], row["after"], *((row[name] and (row[name] - NOON).days) for name in ("since", "last_seen_before", "seen_at")), row["lasted"] and row["lasted"].days)
        for row in found.iter_rows(named=True)
    ]  # fmt: skip
    assert told == [
        ("1", "A", "B", 0, 0, 1, 1),
        ("1/0", "P", "Q", 0, 0, 1, 1),
        ("1/1", "X", "Y", 0, 1, 3, 3),
        ("1", "B", "C", 1, 3, 4, 3),
        ("1/1", None, "N", 3, 3, 4, 1),
        ("1/2", "Q", None, 1, 3, 4, 3),
        ("1/0", "N", "M", 4, 5, 6, 2),
        ("1/0", "Y", None, 3, 5, 6, 3),
    ]
    assert found.schema["lasted"] == pl.Duration("us")
    late = NOON + timedelta(days=4)
    assert qf.transitions(path, late).equals(found.filter(pl.col("seen_at") >= late))
    assert qf.transitions(path, order_ids=[2]).schema == found.schema


# Personal values


PERSONAL = "canary Zoë"


def test_no_personal_value_is_told_where_none_is_wanted(path: Path, tmp_path: Path) -> None:
    filled: dict[str, Any] = {}
    for name, table in TABLES.items():
        for column in table.value_columns:
            if column.privacy is not Privacy.NONE and name == "orders" and "." not in column.json_path:
                filled[column.json_path] = PERSONAL
    filled |= {"customAttributes": {"k": PERSONAL}, "deliveryAddress": {"name1": PERSONAL, "latitude": 52.125}}
    shipment = {
        "trackingNumber": PERSONAL,
        "trackingNumbers": [PERSONAL],
        "podDocuments": [{"url": {"link": PERSONAL}}],
    }
    more = {"fulfillmentOrders": [{"shipments": [shipment]}], "positions": [{"customAttributes": {"k": PERSONAL}}]}
    record_daily_answers(path, body(), body(**filled, **more), body(comment="other"))
    open_, hidden = qf.changes(path), qf.changes(path, personal=False)
    assert open_.select(pl.exclude("before", "after")).equals(hidden.select(pl.exclude("before", "after")))
    assert PERSONAL in str(open_.rows())
    assert "canary" not in str(hidden.rows())
    assert "52.125" not in str(hidden.rows())
    assert hidden.filter(column="comment")["after"].to_list() == [HIDDEN, HIDDEN]
    assert hidden["before"].is_null().equals(open_["before"].is_null())
    assert json.loads(hidden.filter(table="order_positions", kind="added")["after"][0]) == {"customAttributes": HIDDEN}


def test_lines_are_short_and_no_terminal_obeys_them() -> None:
    found = changes_between((body(), body(shopSystemName="\x1b[31m" + "x" * 200, tags=[""])))
    told = list(describe_changes(found, 1))
    assert told[0] == "2 changes in 1 order"
    assert told[1] == "Order 1, seen 2026-03-05 13:00 UTC, before 2026-03-05 12:00"
    assert told[2].startswith("  ~ orders.shop_system_name: nothing -> \\x1b[31mxxx")
    assert len(told[2]) < 130
    assert told[3] == "… and 1 more change; --out FILE has them all"
    assert list(describe_changes(found))[3] == '  + order_tags.tag 1/0: ""'
    assert list(describe_changes(found.clear())) == ["No changes"]


@pytest.mark.parametrize(
    ("suffix", "read_back"), [(".parquet", pl.read_parquet), (".ndjson", pl.read_ndjson), (".csv", pl.read_csv)]
)
def test_changes_are_saved_as_the_name_says(suffix: str, read_back: Any, tmp_path: Path) -> None:
    found = changes_between((body(), body(sellerId=1)))
    file = tmp_path / f"changes{suffix}"
    write_frame_file(found, file, CHANGES_TABLE)
    assert read_back(file)["column"].to_list() == ["seller_id"]
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match=r"changes are written as .parquet, .csv, .ndjson, .xlsx"):
        write_frame_file(found, tmp_path / "changes.xls", CHANGES_TABLE)
