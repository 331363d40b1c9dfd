"""Real orders -> mutants: damaged as bytes, and rebuilt as documents. Deterministic from a seed and a number."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from quivo_frames.standin.orders import order_json
from tests.support.hostile_values import DECIMALS, ESCAPED, FREE, NAMES, NO_NUMBERS, RIGHT, TEXTS, TIMES, TOKENS, WHOLES
from tests.support.independent_flattener import MEASURES, MONEY, Number, Pairs, decoded
from tests.support.paths import DOCUMENTED_ORDER

POOL = 200
"""Orders that mutants are made of; as many mutants in a row have different ids."""
_DOCUMENTED = json.loads(DOCUMENTED_ORDER.read_text())


class Raw(str):
    """JSON text that is written as it is, also where it is none."""

    __slots__ = ()


def base(number: int, seed: int) -> bytes:
    """The order that the mutant of that number is made of; one in ten has every documented field."""
    order_id = 1 + number % POOL
    if number % 10:
        return order_json(order_id, seed)
    return json.dumps(_DOCUMENTED | {"orderId": order_id, "customAttributes": {"a": 1.5, "b": None}}).encode()


def mutant(number: int, seed: int) -> bytes:
    """The mutant of that number: one to four changes of its document, of its bytes, or of both."""
    dice = Random(f"{seed}/{number}")
    body = base(number, seed)
    if dice.random() < 0.7:
        root: Any = decoded(body.decode())
        for _ in range(dice.choice((1, 1, 1, 2, 3, 4))):
            root = dice.choice(_OF_DOCUMENTS)(dice, root)
        body = written(root, dice).encode("utf-8", "surrogatepass")
        if dice.random() < 0.8:
            return body
    for _ in range(dice.choice((1, 1, 2, 3))):
        body = dice.choice(_OF_BYTES)(dice, body, number, seed)
    return body


def written(root: Any, dice: Random | None = None) -> str:
    """A document as JSON text: compact or with blanks, with more or fewer escapes than needed."""
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
        if isinstance(value, Raw | Number):
            return str(value)
        if isinstance(value, str):
            return text(value)
        if isinstance(value, Pairs):
            return "{" + f",{blanks}".join(f"{text(key)}:{blanks[:1]}{write(inner)}" for key, inner in value) + "}"
        if isinstance(value, list):
            return "[" + f",{blanks}".join(map(write, value)) + "]"
        return {None: "null", True: "true", False: "false"}[value]

    return write(root)


# Of documents


def _places(root: Any) -> list[tuple[Any, int]]:
    """Every place that holds a value: the object or list, and the index in it."""
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


def _pick(dice: Random, root: Any) -> tuple[Any, int] | None:
    """A place; rare fields as likely as those that stand in every line."""
    places = _places(root) if isinstance(root, list) else []
    if not places:
        return None
    if dice.random() < 0.5:
        names = sorted({holder[at][0] for holder, at in places if isinstance(holder, Pairs)})
        if names:
            name = dice.choice(names)
            places = [(holder, at) for holder, at in places if isinstance(holder, Pairs) and holder[at][0] == name]
    return dice.choice(places)


def _get(place: tuple[Any, int]) -> Any:
    holder, at = place
    return holder[at][1] if isinstance(holder, Pairs) else holder[at]


def _set(place: tuple[Any, int], value: Any) -> None:
    holder, at = place
    holder[at] = (holder[at][0], value) if isinstance(holder, Pairs) else value


def _at_a_place(change: Callable[[Random, tuple[Any, int]], None]) -> Callable[[Random, Any], Any]:
    def changed(dice: Random, root: Any) -> Any:
        place = _pick(dice, root)
        if place is not None:
            change(dice, place)
        return root

    return changed


def _nasty(dice: Random) -> Any:
    words = dice.choice((WHOLES, DECIMALS, NO_NUMBERS, TIMES, TEXTS, ESCAPED, FREE))
    word = dice.choice(words)
    return word if words in (TIMES, TEXTS) else Raw(word)


def _fitting(dice: Random, value: Any, name: object) -> Any:
    """Something nasty of the type that stands there, so that it goes deeper than the decoder."""
    if name == "customAttributes":
        return Raw(dice.choice(FREE))
    if isinstance(value, Number):
        return Raw(dice.choice(WHOLES + DECIMALS))
    if isinstance(value, str):
        if value[:4].isdigit() and value[4:5] == "-":
            return dice.choice(TIMES)
        return dice.choice([*TEXTS, *map(Raw, ESCAPED)])
    if isinstance(value, Pairs):
        return dice.choice((Pairs(), [value], Pairs([("newField", value)])))
    if isinstance(value, list):
        return dice.choice(([], [None], [None, *value], value * 3, [value], "<array>", None))
    return dice.choice((True, False, None, Raw("1"), "true"))


def _put_nasty(dice: Random, place: tuple[Any, int]) -> None:
    _set(place, _nasty(dice))


def _put_fitting(dice: Random, place: tuple[Any, int]) -> None:
    holder, at = place
    _set(place, _fitting(dice, _get(place), holder[at][0] if isinstance(holder, Pairs) else None))


def _put_right_ones(dice: Random, root: Any) -> Any:
    """Odd values at many places, all of which the tables can hold."""
    for _ in range(dice.randint(2, 12)):
        place = _pick(dice, root)
        if place is None:
            break
        holder, at = place
        name, value = (holder[at][0] if isinstance(holder, Pairs) else ""), _get(place)
        if name == "customAttributes":
            _set(place, Raw(dice.choice(RIGHT["free"])))
        elif isinstance(value, Raw) or name == "orderId":
            continue
        elif isinstance(value, Number):
            decimals = name in MONEY or name in MEASURES
            _set(place, Raw(dice.choice(RIGHT["decimal" if decimals else "number"])))
        elif isinstance(value, Pairs):
            value.append((dice.choice(NAMES), dice.choice((_nasty_but_json(dice), None))))
        elif isinstance(value, list):
            value.insert(dice.randint(0, len(value)), None)
        elif isinstance(value, str) and value[4:5] == "-" and value[:4].isdigit():
            _set(place, dice.choice(RIGHT["time"]))
        elif isinstance(value, str):
            _set(place, dice.choice(TEXTS))
    return root


def _nasty_but_json(dice: Random) -> Any:
    return dice.choice(
        (Raw(dice.choice(WHOLES + DECIMALS)), dice.choice(TEXTS + TIMES), Raw(dice.choice(RIGHT["free"])))
    )


def _put_null(dice: Random, place: tuple[Any, int]) -> None:
    _set(place, None)


def _drop(dice: Random, place: tuple[Any, int]) -> None:
    holder, at = place
    del holder[at]


def _double(dice: Random, place: tuple[Any, int]) -> None:
    holder, at = place
    copy = holder[at]
    if isinstance(holder, Pairs) and dice.random() < 0.7:
        copy = (copy[0], dice.choice((copy[1], None, _fitting(dice, copy[1], copy[0]))))
    holder.insert(dice.choice((at, at + 1, len(holder))), copy)


def _rename(dice: Random, place: tuple[Any, int]) -> None:
    holder, at = place
    if isinstance(holder, Pairs):
        name, value = holder[at]
        known = dice.choice(
            ("sku", "quantity", "created", "customAttributes", "positions", "comment", "name1", "width")
        )
        holder[at] = (dice.choice((known, known, dice.choice(NAMES), name.upper(), name + "2")), value)


def _retype(dice: Random, place: tuple[Any, int]) -> None:
    value = _get(place)
    forms: tuple[Any, ...] = ([value], Pairs([("value", value)]), True, str(value)[:200])
    if isinstance(value, str) and not isinstance(value, Number):
        forms += (Raw(len(value)), Raw(f"{len(value)}.0"))
    elif isinstance(value, Number):
        forms += (str(value), Raw(f"{value}e0"), Raw(f"{value}.0") if value.isdigit() else "x")
    elif isinstance(value, list):
        forms += (written(value), written(value), "<array>", Pairs(value[:1]) if isinstance(value, Pairs) else Pairs())
    _set(place, dice.choice(forms))


def _nest(dice: Random, place: tuple[Any, int]) -> None:
    value = _get(place)
    depth = dice.choice(
        (1, 1, 2, 5, 50, 127, 200, 500 if dice.random() < 0.3 else 3, 5000 if dice.random() < 0.1 else 2)
    )
    name = dice.choice(("childHandlingUnits", "a", ""))
    if name == "a":
        text = '{"a":' * depth + written(value) + "}" * depth
    elif name:
        text = '[{"childHandlingUnits":' * depth + "null" + "}]" * depth
    else:
        text = "[" * depth + written(value) + "]" * depth
    _set(place, Raw(text))


def _unwrap(dice: Random, place: tuple[Any, int]) -> None:
    value = _get(place)
    if isinstance(value, list) and value:
        inner = dice.choice(value)
        _set(place, inner[1] if isinstance(value, Pairs) else inner)


def _add(dice: Random, place: tuple[Any, int]) -> None:
    value = _get(place)
    if isinstance(value, Pairs):
        name = dice.choice((*NAMES, "customAttributes", "tags", "sku"))
        value.insert(dice.randint(0, len(value)), (name, dice.choice((_nasty(dice), None, Raw(dice.choice(FREE))))))
    elif isinstance(value, list):
        value.insert(dice.randint(0, len(value)), dice.choice((None, Pairs(), _nasty(dice))))


def _move(dice: Random, root: Any) -> Any:
    source, target = _pick(dice, root), _pick(dice, root)
    if source and target:
        value = _get(source)
        if dice.random() < 0.5:
            _set(source, None if _holds(value, target[0]) else _get(target))
        if not _holds(value, target[0]):
            _set(target, value)
    return root


def _holds(value: Any, holder: Any) -> bool:
    """Whether a value is, or holds, the object or list: a document must not hold itself."""
    if value is holder:
        return True
    if not isinstance(value, list):
        return False
    return any(_holds(inner[1] if isinstance(value, Pairs) else inner, holder) for inner in value)


def _shuffle(dice: Random, root: Any) -> Any:
    holders = [root, *(value for place in _places(root) if isinstance(value := _get(place), list))]
    dice.shuffle(dice.choice(holders))
    return root


_OF_DOCUMENTS: list[Callable[[Random, Any], Any]] = [
    *map(
        _at_a_place,
        (_put_nasty, _put_fitting, _put_fitting, _put_fitting, _put_null, _drop, _double, _rename, _retype, _nest, _unwrap, _add),
    ),
    _move,
    _shuffle,
    _put_right_ones,
    _put_right_ones,
    _put_right_ones,
    _put_right_ones,
]  # fmt: skip


# Of bytes


def _flip(dice: Random, body: bytes, *_: int) -> bytes:
    at = dice.randrange(len(body)) if body else 0
    return body[:at] + bytes([body[at] ^ 1 << dice.randrange(8)]) + body[at + 1 :] if body else b"\x00"


def _delete(dice: Random, body: bytes, *_: int) -> bytes:
    at = dice.randrange(len(body) + 1)
    return body[:at] + body[at + dice.choice((1, 1, 2, 5, 50, 1000)) :]


def _insert(dice: Random, body: bytes, *_: int) -> bytes:
    at = dice.randrange(len(body) + 1)
    return body[:at] + dice.choice(TOKENS) + body[at:]


def _insert_in_text(dice: Random, body: bytes, *_: int) -> bytes:
    """Right behind a quote, where it is most likely inside a text or at an end of one."""
    quotes = [at for at, char in enumerate(body) if char == 0x22]
    at = dice.choice(quotes) + 1 if quotes else 0
    return body[:at] + dice.choice(TOKENS) + body[at:]


def _repeat(dice: Random, body: bytes, *_: int) -> bytes:
    at = dice.randrange(len(body) + 1)
    return body[:at] + body[at : at + dice.choice((1, 2, 10, 100, 1000))] * dice.choice((1, 2, 3)) + body[at:]


def _truncate(dice: Random, body: bytes, *_: int) -> bytes:
    return body[: dice.randrange(len(body) + 1)]


def _splice(dice: Random, body: bytes, number: int, seed: int) -> bytes:
    other = base(number + 1 + dice.randrange(POOL - 1), seed)
    return body[: dice.randrange(len(body) + 1)] + other[dice.randrange(len(other)) :]


def _swap(dice: Random, body: bytes, *_: int) -> bytes:
    """Two bytes of one kind (digits, or punctuation) change places."""
    kind = dice.choice((b"0123456789", b'{}[],:"', b'"\\', b"{}"))
    places = [at for at, char in enumerate(body) if char in kind]
    if len(places) < 2:
        return body
    one, two = sorted(dice.sample(places, 2))
    return body[:one] + body[two : two + 1] + body[one + 1 : two] + body[one : one + 1] + body[two + 1 :]


def _digit(dice: Random, body: bytes, *_: int) -> bytes:
    """A digit becomes another digit, or a few more of them."""
    places = [at for at, char in enumerate(body) if 0x30 <= char <= 0x39]
    if not places:
        return body
    at = dice.choice(places)
    return body[:at] + dice.choice((b"%d" % dice.randrange(10), b"9" * 18, b".5", b"e5", b"0")) + body[at + 1 :]


_OF_BYTES: list[Callable[..., bytes]] = [
    _flip, _delete, _insert, _insert, _insert_in_text, _insert_in_text, _repeat, _truncate, _splice, _swap, _digit, _digit,
]  # fmt: skip
