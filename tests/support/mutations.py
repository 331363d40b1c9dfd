"""Real orders, damaged as bytes or as documents; the same seed and number give the same mutant."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from tests.support.hostile_attributes import hostile_order_json
from tests.support.hostile_values import (
    DECIMALS,
    ESCAPED,
    FREE_FORM,
    INTEGERS,
    NAMES,
    NOT_NUMBERS,
    ODD_BUT_VALID,
    TEXTS,
    TIMES,
    TOKENS,
)
from tests.support.independent_flattener import MEASURES, MONEY, Number, Pairs, parse_json
from tests.support.paths import DOCUMENTED_ORDER

ORDERS_MUTATED = 200
"""The number of orders that mutants are made of: so many consecutive mutants have different ids."""
_DOCUMENTED = json.loads(DOCUMENTED_ORDER.read_text())


class JsonText(str):
    """Text that is written into the JSON as it is, even if it is not JSON."""

    __slots__ = ()


def unmutated_order(number: int, seed: int) -> bytes:
    """The order that the mutant with this number is made of; one in ten has every documented field."""
    order_id = 1 + number % ORDERS_MUTATED
    if number % 10:
        return hostile_order_json(order_id, seed)
    return json.dumps(_DOCUMENTED | {"orderId": order_id, "customAttributes": {"a": 1.5, "b": None}}).encode()


def mutated_order(number: int, seed: int) -> bytes:
    """The mutant with this number: one to four changes of its document, of its bytes, or of both."""
    dice = Random(f"{seed}/{number}")
    body = unmutated_order(number, seed)
    if dice.random() < 0.7:
        root: Any = parse_json(body.decode())
        for _ in range(dice.choice((1, 1, 1, 2, 3, 4))):
            root = dice.choice(_DOCUMENT_CHANGES)(dice, root)
        body = write_json(root, dice).encode("utf-8", "surrogatepass")
        if dice.random() < 0.8:
            return body
    for _ in range(dice.choice((1, 1, 2, 3))):
        body = dice.choice(_BYTE_CHANGES)(dice, body, number, seed)
    return body


def write_json(root: Any, dice: Random | None = None) -> str:
    """A document as JSON text: compact or with blanks, with more escapes than needed or without."""
    blanks = dice.choice(("", "", "", " ", "\n  ", "\r\n\t")) if dice else ""
    style = dice.choice(("plain", "plain", "ascii", "all", "some")) if dice else "plain"

    def text(value: str) -> str:
        if style == "plain" or dice is None:
            return json.dumps(value, ensure_ascii=False)
        if style == "ascii":
            return json.dumps(value).replace("/", "\\/")
        units = value.encode("utf-16-be", "surrogatepass")
        codes = [int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2)]
        chars = [
            f"\\u{code:04x}" if style == "all" or code > 126 or code < 32 or chr(code) in '"\\' or dice.random() < 0.05
            else chr(code)
            for code in codes
        ]  # fmt: skip
        return '"' + "".join(chars) + '"'

    def write(value: Any) -> str:
        if isinstance(value, JsonText | Number):
            return str(value)
        if isinstance(value, str):
            return text(value)
        if isinstance(value, Pairs):
            return "{" + f",{blanks}".join(f"{text(key)}:{blanks[:1]}{write(inner)}" for key, inner in value) + "}"
        if isinstance(value, list):
            return "[" + f",{blanks}".join(map(write, value)) + "]"
        return {None: "null", True: "true", False: "false"}[value]

    return write(root)


# Changes of documents


def _all_places(root: Any) -> list[tuple[Any, int]]:
    """Every place of a value: the object or list that holds it, and the index there."""
    found: list[tuple[Any, int]] = []
    below = [root]
    while below:
        holder = below.pop()
        for at, entry in enumerate(holder):
            found.append((holder, at))
            value = entry[1] if isinstance(holder, Pairs) else entry
            if isinstance(value, list):
                below.append(value)
    return found


def _pick_place(dice: Random, root: Any) -> tuple[Any, int] | None:
    """A random place; rare fields are as likely as those of every line."""
    places = _all_places(root) if isinstance(root, list) else []
    if not places:
        return None
    if dice.random() < 0.5:
        names = sorted({holder[at][0] for holder, at in places if isinstance(holder, Pairs)})
        if names:
            name = dice.choice(names)
            places = [(holder, at) for holder, at in places if isinstance(holder, Pairs) and holder[at][0] == name]
    return dice.choice(places)


def _get_value(place: tuple[Any, int]) -> Any:
    holder, at = place
    return holder[at][1] if isinstance(holder, Pairs) else holder[at]


def _set_value(place: tuple[Any, int], value: Any) -> None:
    holder, at = place
    holder[at] = (holder[at][0], value) if isinstance(holder, Pairs) else value


def _change_at_place(change: Callable[[Random, tuple[Any, int]], None]) -> Callable[[Random, Any], Any]:
    def changed(dice: Random, root: Any) -> Any:
        place = _pick_place(dice, root)
        if place is not None:
            change(dice, place)
        return root

    return changed


def _hostile_value(dice: Random) -> Any:
    words = dice.choice((INTEGERS, DECIMALS, NOT_NUMBERS, TIMES, TEXTS, ESCAPED, FREE_FORM))
    word = dice.choice(words)
    return word if words in (TIMES, TEXTS) else JsonText(word)


def _hostile_value_of_type(dice: Random, value: Any, name: object) -> Any:
    """A hostile value of the type that stands there, so that the decoder lets it through."""
    if name == "customAttributes":
        return JsonText(dice.choice(FREE_FORM))
    if isinstance(value, Number):
        return JsonText(dice.choice(INTEGERS + DECIMALS))
    if isinstance(value, str):
        if value[:4].isdigit() and value[4:5] == "-":
            return dice.choice(TIMES)
        return dice.choice([*TEXTS, *map(JsonText, ESCAPED)])
    if isinstance(value, Pairs):
        return dice.choice((Pairs(), [value], Pairs([("newField", value)])))
    if isinstance(value, list):
        return dice.choice(([], [None], [None, *value], value * 3, [value], "<array>", None))
    return dice.choice((True, False, None, JsonText("1"), "true"))


def _put_hostile_value(dice: Random, place: tuple[Any, int]) -> None:
    _set_value(place, _hostile_value(dice))


def _put_hostile_value_of_type(dice: Random, place: tuple[Any, int]) -> None:
    holder, at = place
    _set_value(
        place, _hostile_value_of_type(dice, _get_value(place), holder[at][0] if isinstance(holder, Pairs) else None)
    )


def _put_odd_but_valid_values(dice: Random, root: Any) -> Any:
    """Puts odd values that the tables can hold into many places."""
    for _ in range(dice.randint(2, 12)):
        place = _pick_place(dice, root)
        if place is None:
            break
        holder, at = place
        name, value = (holder[at][0] if isinstance(holder, Pairs) else ""), _get_value(place)
        if name == "customAttributes":
            _set_value(place, JsonText(dice.choice(ODD_BUT_VALID["free"])))
        elif isinstance(value, JsonText) or name == "orderId":
            continue
        elif isinstance(value, Number):
            decimals = name in MONEY or name in MEASURES
            _set_value(place, JsonText(dice.choice(ODD_BUT_VALID["decimal" if decimals else "number"])))
        elif isinstance(value, Pairs):
            value.append((dice.choice(NAMES), dice.choice((_hostile_but_valid_json(dice), None))))
        elif isinstance(value, list):
            value.insert(dice.randint(0, len(value)), None)
        elif isinstance(value, str) and value[4:5] == "-" and value[:4].isdigit():
            _set_value(place, dice.choice(ODD_BUT_VALID["time"]))
        elif isinstance(value, str):
            _set_value(place, dice.choice(TEXTS))
    return root


def _hostile_but_valid_json(dice: Random) -> Any:
    return dice.choice(
        (
            JsonText(dice.choice(INTEGERS + DECIMALS)),
            dice.choice(TEXTS + TIMES),
            JsonText(dice.choice(ODD_BUT_VALID["free"])),
        )
    )


def _put_null(dice: Random, place: tuple[Any, int]) -> None:
    _set_value(place, None)


def _drop_entry(dice: Random, place: tuple[Any, int]) -> None:
    holder, at = place
    del holder[at]


def _repeat_entry(dice: Random, place: tuple[Any, int]) -> None:
    holder, at = place
    copy = holder[at]
    if isinstance(holder, Pairs) and dice.random() < 0.7:
        copy = (copy[0], dice.choice((copy[1], None, _hostile_value_of_type(dice, copy[1], copy[0]))))
    holder.insert(dice.choice((at, at + 1, len(holder))), copy)


def _rename_field(dice: Random, place: tuple[Any, int]) -> None:
    holder, at = place
    if isinstance(holder, Pairs):
        name, value = holder[at]
        known = dice.choice(
            ("sku", "quantity", "created", "customAttributes", "positions", "comment", "name1", "width")
        )
        holder[at] = (dice.choice((known, known, dice.choice(NAMES), name.upper(), name + "2")), value)


def _change_type(dice: Random, place: tuple[Any, int]) -> None:
    value = _get_value(place)
    forms: tuple[Any, ...] = ([value], Pairs([("value", value)]), True, str(value)[:200])
    if isinstance(value, str) and not isinstance(value, Number):
        forms += (JsonText(len(value)), JsonText(f"{len(value)}.0"))
    elif isinstance(value, Number):
        forms += (str(value), JsonText(f"{value}e0"), JsonText(f"{value}.0") if value.isdigit() else "x")
    elif isinstance(value, list):
        forms += (
            write_json(value),
            write_json(value),
            "<array>",
            Pairs(value[:1]) if isinstance(value, Pairs) else Pairs(),
        )
    _set_value(place, dice.choice(forms))


def _nest_deeply(dice: Random, place: tuple[Any, int]) -> None:
    value = _get_value(place)
    depth = dice.choice(
        (1, 1, 2, 5, 50, 127, 200, 500 if dice.random() < 0.3 else 3, 5000 if dice.random() < 0.1 else 2)
    )
    name = dice.choice(("childHandlingUnits", "a", ""))
    if name == "a":
        text = '{"a":' * depth + write_json(value) + "}" * depth
    elif name:
        text = '[{"childHandlingUnits":' * depth + "null" + "}]" * depth
    else:
        text = "[" * depth + write_json(value) + "]" * depth
    _set_value(place, JsonText(text))


def _unwrap_value(dice: Random, place: tuple[Any, int]) -> None:
    value = _get_value(place)
    if isinstance(value, list) and value:
        inner = dice.choice(value)
        _set_value(place, inner[1] if isinstance(value, Pairs) else inner)


def _add_entry(dice: Random, place: tuple[Any, int]) -> None:
    value = _get_value(place)
    if isinstance(value, Pairs):
        name = dice.choice((*NAMES, "customAttributes", "tags", "sku"))
        value.insert(
            dice.randint(0, len(value)),
            (name, dice.choice((_hostile_value(dice), None, JsonText(dice.choice(FREE_FORM))))),
        )
    elif isinstance(value, list):
        value.insert(dice.randint(0, len(value)), dice.choice((None, Pairs(), _hostile_value(dice))))


def _move_value(dice: Random, root: Any) -> Any:
    source, target = _pick_place(dice, root), _pick_place(dice, root)
    if source and target:
        value = _get_value(source)
        if dice.random() < 0.5:
            _set_value(source, None if _contains(value, target[0]) else _get_value(target))
        if not _contains(value, target[0]):
            _set_value(target, value)
    return root


def _contains(value: Any, holder: Any) -> bool:
    """Whether a value is or contains the holder: a document must not contain itself."""
    if value is holder:
        return True
    if not isinstance(value, list):
        return False
    return any(_contains(inner[1] if isinstance(value, Pairs) else inner, holder) for inner in value)


def _shuffle_entries(dice: Random, root: Any) -> Any:
    holders = [root, *(value for place in _all_places(root) if isinstance(value := _get_value(place), list))]
    dice.shuffle(dice.choice(holders))
    return root


_DOCUMENT_CHANGES: list[Callable[[Random, Any], Any]] = [
    *map(
        _change_at_place,
        (_put_hostile_value, _put_hostile_value_of_type, _put_hostile_value_of_type, _put_hostile_value_of_type, _put_null, _drop_entry, _repeat_entry, _rename_field, _change_type, _nest_deeply, _unwrap_value, _add_entry),
    ),
    _move_value,
    _shuffle_entries,
    _put_odd_but_valid_values,
    _put_odd_but_valid_values,
    _put_odd_but_valid_values,
    _put_odd_but_valid_values,
]  # fmt: skip


# Changes of bytes


def _flip_bit(dice: Random, body: bytes, *_: int) -> bytes:
    at = dice.randrange(len(body)) if body else 0
    return body[:at] + bytes([body[at] ^ 1 << dice.randrange(8)]) + body[at + 1 :] if body else b"\x00"


def _delete_bytes(dice: Random, body: bytes, *_: int) -> bytes:
    at = dice.randrange(len(body) + 1)
    return body[:at] + body[at + dice.choice((1, 1, 2, 5, 50, 1000)) :]


def _insert_token(dice: Random, body: bytes, *_: int) -> bytes:
    at = dice.randrange(len(body) + 1)
    return body[:at] + dice.choice(TOKENS) + body[at:]


def _insert_token_after_quote(dice: Random, body: bytes, *_: int) -> bytes:
    """After a quote, most likely inside a string or at its end."""
    quotes = [at for at, char in enumerate(body) if char == 0x22]
    at = dice.choice(quotes) + 1 if quotes else 0
    return body[:at] + dice.choice(TOKENS) + body[at:]


def _repeat_bytes(dice: Random, body: bytes, *_: int) -> bytes:
    at = dice.randrange(len(body) + 1)
    return body[:at] + body[at : at + dice.choice((1, 2, 10, 100, 1000))] * dice.choice((1, 2, 3)) + body[at:]


def _truncate_order(dice: Random, body: bytes, *_: int) -> bytes:
    return body[: dice.randrange(len(body) + 1)]


def _splice_orders(dice: Random, body: bytes, number: int, seed: int) -> bytes:
    other = unmutated_order(number + 1 + dice.randrange(ORDERS_MUTATED - 1), seed)
    return body[: dice.randrange(len(body) + 1)] + other[dice.randrange(len(other)) :]


def _swap_bytes(dice: Random, body: bytes, *_: int) -> bytes:
    """Swaps two bytes of one kind: digits, or punctuation."""
    kind = dice.choice((b"0123456789", b'{}[],:"', b'"\\', b"{}"))
    places = [at for at, char in enumerate(body) if char in kind]
    if len(places) < 2:
        return body
    one, two = sorted(dice.sample(places, 2))
    return body[:one] + body[two : two + 1] + body[one + 1 : two] + body[one : one + 1] + body[two + 1 :]


def _change_digit(dice: Random, body: bytes, *_: int) -> bytes:
    """Replaces a digit by another one, or by several."""
    places = [at for at, char in enumerate(body) if 0x30 <= char <= 0x39]
    if not places:
        return body
    at = dice.choice(places)
    return body[:at] + dice.choice((b"%d" % dice.randrange(10), b"9" * 18, b".5", b"e5", b"0")) + body[at + 1 :]


_BYTE_CHANGES: list[Callable[..., bytes]] = [
    _flip_bit, _delete_bytes, _insert_token, _insert_token, _insert_token_after_quote, _insert_token_after_quote, _repeat_bytes, _truncate_order, _splice_orders, _swap_bytes, _change_digit, _change_digit,
]  # fmt: skip
