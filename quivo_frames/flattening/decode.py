"""How the bytes of an order become records: strict types, nothing converted, nothing dropped. Floor 3.

The Structs here are derived from `order.py`, with the types that JSON has: instants stay text and money stays the
source's own bytes until the columns are read (`reading.py`), because a conversion one value at a time costs more and
because only the text tells how many decimals there were.

Unknown fields are refused by the decoder, learned, and decoded as raw bytes from then on: an API that grows a field
costs one more decoder, not one more pass over each order. Names that cannot be learned are found by a walk.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import polars as pl
from msgspec import Raw

from quivo_frames.flattening import exact
from quivo_frames.flattening.convert import wrong_integer
from quivo_frames.model.order import Kind, Order, Record, Rows
from quivo_frames.model.tables import described

WIRE: dict[Kind, Any] = {
    Kind.TEXT: str | None,
    Kind.INT64: int | float | None,
    Kind.INT32: int | float | None,
    Kind.FLAG: bool | None,
    Kind.INSTANT: str | None,
    Kind.DAY: str | None,
    Kind.MONEY: Raw,
    Kind.MEASURE: float | None,
    Kind.JSON: Raw,
}
NOTHING = Raw()
LEARNABLE = 200
"""More unknown names than this are no API that grew; they are not worth a decoder each."""

_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*?)`(?: - at `(?P<path>\$[^`]*)`)?", re.DOTALL)
_ODD_NAME = re.compile(r'[\\"`\x00-\x1f]')
_HEAD = re.compile(rb'\{"orderId":(\d{1,18}),"created":(?:null|"[^"\\]*"),"lastModified":(?:null|"([^"\\]*)"),')
_NAMED = re.compile(rb'^\s*\{\s*"orderId"\s*:\s*(\d{1,18})\s*[,}]')
_SURROGATES = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F])")
"""Pairs of surrogates, and in the group what is left over."""
_BLANK = r"[ \t\r\n]"
_AT = re.compile(r"(?P<what>.*?)(?: - at `(?P<path>\$[^`]*)`)?", re.DOTALL)
_WRONG_TYPE = re.compile(r"Expected `(?P<expected>.*?)`, got `(?P<got>.*?)`")


class Undecodable(Exception):
    """The bytes are no order: which rule they break, at which JSON path, and what stands there instead."""

    def __init__(self, rule: str, path: str = "$", expected: str = "", got: str = "") -> None:
        super().__init__(rule)
        self.rule, self.path, self.expected, self.got = rule, path, expected, got


class Peek(NamedTuple):
    """What tells which of two answers about an order is the newer one."""

    order_id: int | None
    last_modified: str | None


class _Peek(msgspec.Struct, rename="camel", gc=False):
    order_id: Any = None
    last_modified: Any = None


_encoder = msgspec.json.Encoder()
_peek = msgspec.json.Decoder(_Peek)


def peek(body: bytes) -> Peek:
    """The order's id and its last_modified as text, without reading the rest; None where they cannot be read."""
    try:
        found = _peek.decode(body)
        order_id = found.order_id
        if isinstance(order_id, float) or body.count(b'"orderId"') > 1:
            (written,) = exact.numbers(body, ["$.orderId"])
            unclear = wrong_integer(written, 2**63) or exact.repeated_field(body) == "$.orderId"
            order_id = None if unclear else int(Decimal(written))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ArithmeticError, KeyError):
        return Peek(None, None)
    usable = isinstance(order_id, int) and not isinstance(order_id, bool) and -(2**63) <= order_id < 2**63
    modified = found.last_modified if isinstance(found.last_modified, str) else None
    return Peek(order_id if usable else None, modified)


def glance(body: bytes) -> Peek:
    """What `peek` tells of an order that begins as Quivo's answers do, without looking whether the rest is JSON."""
    head = _HEAD.match(body)
    if head is None:
        return peek(body)
    return Peek(int(head[1]), head[2].decode("ascii", "replace") if head[2] else None)


Family = dict[type[Record], type[msgspec.Struct]]
"""The wire Struct of each record."""


def family(learned: Mapping[type[Record], Mapping[str, str]], *, strict: bool) -> Family:
    """Structs of all records, with the learned fields behind the described ones; strict ones refuse any other field."""
    made: Family = {}

    def make(record: type[Record]) -> type[msgspec.Struct]:
        fields: list[tuple[str, Any, Any]] = []
        rename: dict[str, str] = {}
        for name, json_name, inner, kind, says in described(record):
            rename[name] = json_name
            if isinstance(says, Rows) and inner is record:
                fields.append((name, f"list[{record.__name__}_ | None] | None", None))
            elif isinstance(says, Rows):
                entry = (made.get(inner) or make(inner)) if inner else str
                fields.append((name, list[entry | None] | None, None))  # type: ignore[valid-type]
            elif inner is not None:
                fields.append((name, (made.get(inner) or make(inner)) | None, None))
            elif kind is not None:
                fields.append((name, WIRE[kind], NOTHING if WIRE[kind] is Raw else None))
        for name, json_name in learned.get(record, {}).items():
            rename[name] = json_name
            fields.append((name, Raw, NOTHING))
        if record is Order:
            fields[0] = ("order_id", int | float, msgspec.NODEFAULT)
        # gc=False: records hold no cycles, and a batch of 500 orders is 20,000 of them for the collector to walk.
        struct = msgspec.defstruct(
            record.__name__, fields, rename=rename, forbid_unknown_fields=strict, omit_defaults=True, gc=False
        )
        setattr(struct, f"{record.__name__}_", struct)  # what the annotation of a recursive list refers to
        made[record] = struct
        return struct

    make(Order)
    return made


def named(body: bytes) -> int | None:
    """The order that an undecodable answer names, as far as its text can be trusted; for messages only."""
    found = _NAMED.search(body)
    return peek(body).order_id or (int(found[1]) if found else None)


class OrderDecoder:
    """Decodes orders, and learns the fields that the description does not know."""

    def __init__(self) -> None:
        plain = family({}, strict=False)
        self.nothing = {record: struct() for record, struct in plain.items() if record is not Order}
        """By record: an object in which every field is missing."""
        self.learned: dict[type[Record], dict[str, str]] = {}
        """By record: attribute of the Struct -> JSON name of the unknown field."""
        self.odd: list[str] = []
        """JSON paths of unknown fields whose names cannot be learned, one entry a value, until they are cleared."""
        self._tolerant = msgspec.json.Decoder(plain[Order])
        self._decoder = msgspec.json.Decoder(family({}, strict=True)[Order])

    def decode(self, body: bytes) -> Any:
        """The order as a Struct of wire values; of a field that stands twice, the last: see `repeated`.

        Raises:
            Undecodable: broken or too deep JSON, invalid UTF-8, a value of the wrong type, no orderId.
        """
        try:
            if not body.isascii():
                body.decode()  # the decoder does not look inside raw values
            while True:
                try:
                    return self._decoder.decode(body)
                except msgspec.ValidationError as error:
                    unknown = _UNKNOWN.fullmatch(str(error))
                    if unknown is None:
                        raise _wrong(str(error)) from error
                    if not self._learn(unknown["name"], unknown["path"] or "$"):
                        return self._walk(body)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise _broken(body, error) from error

    def repeated(self, bodies: Sequence[bytes]) -> dict[int, Undecodable]:
        """By place, why some decodable orders are none: a field stands twice, and nobody can tell which is meant."""
        texts, again = as_texts(bodies), as_texts([_encoder.encode(self._again(body)) for body in bodies])
        # Where nothing is escaped, counting is exact; with a quote inside a text it is not.
        suspects = (fields(texts) != fields(again)) | texts.str.contains("\\", literal=True)
        found = {}
        for place in suspects.arg_true().to_list():
            try:
                path = exact.repeated_field(bodies[place])
            except RecursionError:
                found[place] = Undecodable("too_deep")
            else:
                if path:
                    found[place] = Undecodable("repeated_field", path)
        return found

    def _again(self, body: bytes) -> Any:
        try:
            return self._decoder.decode(body)
        except msgspec.ValidationError:  # a field whose name cannot be learned
            return self._tolerant.decode(body)

    def _learn(self, name: str, path: str) -> bool:
        record = _record_at(path)
        known = sum(map(len, self.learned.values()))
        if record is None or _ODD_NAME.search(name) or known >= LEARNABLE:
            return False
        names = self.learned.setdefault(record, {})
        if name in names.values():
            return False
        names[f"unknown_{len(names)}"] = name
        self._decoder = msgspec.json.Decoder(family(self.learned, strict=True)[Order])
        return True

    def _walk(self, body: bytes) -> Any:
        try:
            order: Any = self._tolerant.decode(body)
        except msgspec.ValidationError as error:
            raise _wrong(str(error)) from error
        self.odd += exact.unknown_fields(body)
        return order


def as_texts(bodies: Sequence[bytes]) -> pl.Series:
    """JSON texts as a column."""
    return pl.Series(bodies, dtype=pl.Binary).cast(pl.String)


def fields(texts: pl.Series) -> pl.Series:
    """How many fields with another value than null stand in each JSON text: never fewer, and mostly no more.

    A quote and a colon inside a text look like one more field; nothing looks like one less.
    """
    count = _count(texts)
    spaced = texts.str.contains(rf"{_BLANK}:|:{_BLANK}").arg_true()  # a fraction of the time of the next step
    if spaced.is_empty():
        return count
    tight = texts.gather(spaced).str.replace_all(rf"{_BLANK}+:", ":").str.replace_all(rf":{_BLANK}+", ":")
    return count.scatter(spaced, _count(tight))


def _count(tight: pl.Series) -> pl.Series:
    # As patterns, not as literals: polars counts these in half of the time.
    fields, nulls = (tight.str.count_matches(found, literal=False).cast(pl.Int64) for found in ('":', '":null'))
    return fields - nulls


def _record_at(path: str) -> type[Record] | None:
    """The record at a JSON path such as `$.positions[0].url`."""
    record: type[Record] | None = Order
    for name in re.findall(r"\.([^.\[]+)", path):
        if record is None:
            return None
        record = next((inner for _, json_name, inner, *_ in described(record) if json_name == name), None)
    return record


def _wrong(message: str) -> Undecodable:
    at = _AT.fullmatch(message)
    what, path = (at["what"], at["path"] or "$") if at else (message, "$")
    if "missing required field" in what or (path == "$.orderId" and "`null`" in what):
        return Undecodable("no_order_id", "$.orderId")
    types = _WRONG_TYPE.fullmatch(what)
    if types is None:
        return Undecodable("out_of_range", path, got="number out of range")
    rule = "not_an_object" if path == "$" else "wrong_type"
    return Undecodable(rule, path, types["expected"], types["got"])


def _broken(body: bytes, error: Exception) -> Undecodable:
    if isinstance(error, UnicodeDecodeError):
        return Undecodable("not_utf8", got=f"byte {error.start}")
    if isinstance(error, RecursionError):
        return Undecodable("too_deep")
    start = body.lstrip()[:1]
    if not start:
        return Undecodable("empty")
    if start == b"<":
        return Undecodable("html")
    if any(lone for lone in _SURROGATES.findall(body)):
        return Undecodable("lone_surrogate")
    place = re.search(r"byte (\d+)", str(error))
    return Undecodable("broken_json", got=f"byte {place[1]}" if place else "the end")
