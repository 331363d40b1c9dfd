"""The bytes of an order -> a record: strict types, nothing converted, nothing dropped.

The Structs here are derived from `order.py`, but with the types of JSON: instants stay text and money stays the bytes
of the source until whole columns are converted (`convert.py`). Converting one value at a time costs more, and only the
text tells how many decimals there were.

Unknown fields are learned. A strict decoder refuses the first order that has one; the field is then added to the
Structs as raw bytes, and a new decoder reads this order and all that follow at full speed. So a field that the API
added costs one new decoder instead of a second pass over every order. A name that the error message of the decoder
cannot give back exactly is not learned; the unknown fields of such an order are found by a walk (`exact.py`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any, NamedTuple

import msgspec
import polars as pl
from msgspec import Raw

from quivo_frames.flattening import exact
from quivo_frames.flattening.order_text import find_order_text
from quivo_frames.model.messages import json_type_of
from quivo_frames.model.order import Kind, Order, Record
from quivo_frames.model.tables import fields_of

_DECODED_TYPES: dict[Kind, Any] = {
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
_MISSING_RAW = Raw()
MOST_LEARNED_FIELDS = 200
"""An API does not grow by more fields than this; more unknown names are not worth a decoder each."""
_LEARNED_ONE_BY_ONE = 4
"""Of an order with more unknown fields all are learned at once: for each of them it would be decoded again."""
MOST_NOTED_FIELDS = 200
"""Unknown fields of the objects at one place of an order that are noted by name; of more only their number."""

_PATH_IN_ERROR = r"(?: - at `(?P<path>\$[^`]*)`)?"
_UNKNOWN_FIELD_ERROR = re.compile(rf"Object contains unknown field `(?P<name>.*?)`{_PATH_IN_ERROR}", re.DOTALL)
_WRONG_TYPE_ERROR = re.compile(r"Expected `(?P<expected>.*?)`, got `(?P<got>.*?)`")
_ANY_ERROR = re.compile(rf"(?P<message>.*?){_PATH_IN_ERROR}", re.DOTALL)
_UNLEARNABLE_NAME = re.compile(r'[\\"`\x00-\x1f]')
_USUAL_BEGINNING = re.compile(
    rb'\{"orderId":(-?[1-9]\d{0,18}|0),"created":(?:null|"[^"\\]*"),"lastModified":(?:null|"([^"\\]*)"),'
)
_ORDER_ID_FIRST = re.compile(rb'^\s*\{\s*"orderId"\s*:\s*(\d{1,18})\s*[,}]')
_SURROGATES = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F])")
"""Escaped surrogates: pairs, and in the group those without a partner."""
_JSON_BLANK = r"[ \t\r\n]"


class UndecodableOrder(Exception):
    """The bytes are not an order: which rule they break, at which JSON path, what was expected and what was found."""

    def __init__(self, rule: str, path: str = "$", expected: str = "", got: str = "") -> None:
        super().__init__(rule)
        self.rule, self.path, self.expected, self.got = rule, path, expected, got


class UnlearnedField(NamedTuple):
    """An unknown field of an order that was not learned, or all of them at one place beyond the first ones."""

    kind: str
    """Of the note about it."""
    path: str
    times: int
    json_type: str
    """Of its value, in words; empty if it is about several fields."""


class OrderIdentity(NamedTuple):
    """The id of an order, and `lastModified` as text: which order an answer is about, and which answer is newer."""

    order_id: int | None
    last_modified: str | None
    seller_id: int | None = None
    """The seller, where the whole order was read."""


class _IdentityFields(msgspec.Struct, rename="camel", gc=False):
    order_id: Any = None
    last_modified: Any = None
    seller_id: Any = None


_encoder = msgspec.json.Encoder()
_identity_decoder = msgspec.json.Decoder(_IdentityFields)


def read_identity(body: bytes) -> OrderIdentity:
    """The identity of the order in a body without decoding the rest; None for what cannot be read."""
    return _read_identity_of_order(find_order_text(body).text)


def _read_identity_of_order(text: bytes) -> OrderIdentity:
    try:
        found = _identity_decoder.decode(text)
        order_id = found.order_id
        if isinstance(order_id, float) or text.count(b'"orderId"') > 1:
            (written,) = exact.read_numbers_as_text(text, ["$.orderId"])
            unclear = exact.find_integer_error(written, 2**63) or exact.find_repeated_field(text) == "$.orderId"
            order_id = None if unclear else int(Decimal(written))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ArithmeticError, KeyError):
        return OrderIdentity(None, None)
    usable = isinstance(order_id, int) and not isinstance(order_id, bool) and -(2**63) <= order_id < 2**63
    modified = found.last_modified if isinstance(found.last_modified, str) else None
    seller_id = found.seller_id if isinstance(found.seller_id, int) and abs(found.seller_id) < 2**63 else None
    return OrderIdentity(order_id if usable else None, modified, seller_id)


def scan_identity(body: bytes) -> OrderIdentity:
    """The same from the first bytes alone if they are as Quivo writes them, whether or not the rest is JSON."""
    if head := _USUAL_BEGINNING.match(body):
        text = body
    else:
        text = find_order_text(body).text
        head = _USUAL_BEGINNING.match(text)
    if head is None or not -(2**63) <= (order_id := int(head[1])) < 2**63:
        return _read_identity_of_order(text)
    return OrderIdentity(order_id, head[2].decode("ascii", "replace") if head[2] else None)


RecordStructs = dict[type[Record], type[msgspec.Struct]]
"""The Struct that each record of `order.py` is decoded into."""


def define_structs(learned: Mapping[type[Record], Mapping[str, str]], *, strict: bool) -> RecordStructs:
    """The Structs of all records, learned fields after the described ones; strict Structs refuse any other field."""
    structs: RecordStructs = {}

    def define_struct(record: type[Record]) -> type[msgspec.Struct]:
        if record in structs:
            return structs[record]
        unknown = learned.get(record, {})
        rename = {field.name: field.json_name for field in fields_of(record)} | dict(unknown)
        types: dict[str, Any] = {}
        for field in fields_of(record):
            if field.child_table is not None and field.record is record:
                types[field.name] = f"list[{record.__name__}_ | None] | None"
            elif field.child_table is not None:
                entry = define_struct(field.record) if field.record else str
                types[field.name] = list[entry | None] | None  # type: ignore[valid-type]
            elif field.record is not None:
                types[field.name] = define_struct(field.record) | None
            elif field.kind is not None:
                types[field.name] = _DECODED_TYPES[field.kind]
        types |= dict.fromkeys(unknown, Raw)
        fields: list[Any] = [(name, hint, _MISSING_RAW if hint is Raw else None) for name, hint in types.items()]
        if record is Order:
            fields[0] = ("order_id", int | float)
        # gc=False: records hold no cycles, and 500 orders make 20,000 of them that the collector would walk.
        struct = msgspec.defstruct(
            record.__name__, fields, rename=rename, forbid_unknown_fields=strict, omit_defaults=True, gc=False
        )
        setattr(struct, f"{record.__name__}_", struct)  # what the annotation of a recursive list refers to
        structs[record] = struct
        return struct

    define_struct(Order)
    return structs


def guess_order_id(body: bytes) -> int | None:
    """The order that an undecodable answer seems to be about; for messages only."""
    found = _ORDER_ID_FIRST.search(find_order_text(body).text)
    return read_identity(body).order_id or (int(found[1]) if found else None)


class OrderDecoder:
    """Decodes orders, and learns fields that `order.py` does not describe."""

    def __init__(self) -> None:
        plain = define_structs({}, strict=False)
        self.empty_objects = {record: struct() for record, struct in plain.items() if record is not Order}
        """By record: an object without any field."""
        self.learned_fields: dict[type[Record], dict[str, str]] = {}
        """By record: attribute of the Struct -> JSON name of the unknown field."""
        self.unlearned_fields: list[UnlearnedField] = []
        """The unknown fields of the last order that were not learned."""
        self._tolerant_decoder = msgspec.json.Decoder(plain[Order])
        self._strict_decoder = msgspec.json.Decoder(define_structs({}, strict=True)[Order])

    def decode(self, body: bytes) -> Any:
        """The order as a Struct of JSON values; of a field that stands twice it has the last (`find_repeated_fields`).

        Raises:
            UndecodableOrder: broken or too deep JSON, invalid UTF-8, a value of the wrong type, or not one orderId.
        """
        self.unlearned_fields = []
        try:
            order = self._decode_and_learn(body)
            order.order_id = _confirm_order_id(order.order_id, body)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise _explain_broken_json(body, error) from error
        return order

    def _decode_and_learn(self, body: bytes) -> Any:
        if not body.isascii():
            body.decode()  # the decoder does not look inside raw values
        for _ in range(_LEARNED_ONE_BY_ONE):
            try:
                return self._strict_decoder.decode(body)
            except msgspec.ValidationError as error:
                unknown = _UNKNOWN_FIELD_ERROR.fullmatch(str(error))
                if unknown is None:
                    raise _explain_validation_error(str(error)) from error
                record = _record_at_path(unknown["path"] or "$")
                if record is None or not self._learn_fields([(record, unknown["name"])]):
                    break
        return self._decode_and_walk(body)

    def find_repeated_fields(self, bodies: Sequence[bytes]) -> dict[int, UndecodableOrder]:
        """By position, the error of each order in which a field stands twice: no one can tell which of them is meant.

        An order is encoded again from its record, which has each field once, and the fields of both texts are counted.
        Where the text escapes nothing, the count is exact; all other orders are walked.
        """
        texts = to_text_series(bodies)
        encoded = to_text_series([_encoder.encode(self._decode_again(body)) for body in bodies])
        suspects = (count_fields(texts) != count_fields(encoded)) | texts.str.contains("\\", literal=True)
        found = {}
        for position in suspects.arg_true().to_list():
            try:
                path = exact.find_repeated_field(bodies[position])
            except RecursionError:
                found[position] = UndecodableOrder("too_deep")
            else:
                if path:
                    found[position] = UndecodableOrder("repeated_field", path)
        return found

    def _decode_again(self, body: bytes) -> Any:
        try:
            return self._strict_decoder.decode(body)
        except msgspec.ValidationError:  # a field whose name cannot be learned
            return self._tolerant_decoder.decode(body)

    def _learn_fields(self, fields: Iterable[tuple[type[Record], str]]) -> bool:
        """Whether all of these fields could be added to the Structs; else none is."""
        new = [(record, name) for record, name in fields if name not in self.learned_fields.get(record, {}).values()]
        count = sum(map(len, self.learned_fields.values())) + len(new)
        if not new or count > MOST_LEARNED_FIELDS or any(_UNLEARNABLE_NAME.search(name) for _, name in new):
            return False
        for record, name in new:
            names = self.learned_fields.setdefault(record, {})
            names[f"unknown_{len(names)}"] = name
        self._strict_decoder = msgspec.json.Decoder(define_structs(self.learned_fields, strict=True)[Order])
        return True

    def _decode_and_walk(self, body: bytes) -> Any:
        try:
            order: Any = self._tolerant_decoder.decode(body)
        except msgspec.ValidationError as error:
            raise _explain_validation_error(str(error)) from error
        names, unlearned = _list_unknown_fields(body)
        if self._learn_fields(names):
            return self._strict_decoder.decode(body)
        self.unlearned_fields = unlearned
        return order


def _list_unknown_fields(body: bytes) -> tuple[Iterable[tuple[type[Record], str]], list[UnlearnedField]]:
    """The unknown fields of an order: those to be learned, if they are not too many, and what to note of all."""
    names: dict[tuple[type[Record], str], None] = {}
    noted: dict[str, dict[str, UnlearnedField]] = {}
    beyond: Counter[str] = Counter()
    for record, object_path, name, value in exact.find_unknown_fields(body):
        if len(names) <= MOST_LEARNED_FIELDS:
            names[record, name] = None
        if value is None:
            continue
        fields = noted.setdefault(object_path, {})
        if name in fields:
            fields[name] = fields[name]._replace(times=fields[name].times + 1)
        elif len(fields) < MOST_NOTED_FIELDS:
            json_type = json_type_of(exact.first_byte(value))
            fields[name] = UnlearnedField("unknown_field", f"{object_path}.{name}", 1, json_type)
        else:
            beyond[object_path] += 1
    more = [UnlearnedField("more_unknown_fields", path, times, "") for path, times in beyond.items()]
    return names, [*chain.from_iterable(fields.values() for fields in noted.values()), *more]


def to_text_series(bodies: Sequence[bytes]) -> pl.Series:
    """JSON texts as a column of text."""
    return pl.Series(bodies, dtype=pl.Binary).cast(pl.String)


def count_fields(texts: pl.Series) -> pl.Series:
    """How many fields that are not null stand in each JSON text, counted without decoding it.

    A quote followed by a colon inside a string counts as one field too many; none is ever missed.
    """
    counts = _count_in_compact_json(texts)
    spaced = texts.str.contains(rf"{_JSON_BLANK}:|:{_JSON_BLANK}").arg_true()  # a fraction of the time of the next step
    if spaced.is_empty():
        return counts
    compact = texts.gather(spaced).str.replace_all(rf"{_JSON_BLANK}+:", ":").str.replace_all(rf":{_JSON_BLANK}+", ":")
    return counts.scatter(spaced, _count_in_compact_json(compact))


def _count_in_compact_json(texts: pl.Series) -> pl.Series:
    # As patterns, not as literals: polars counts these in half the time.
    fields, nulls = (texts.str.count_matches(found, literal=False).cast(pl.Int64) for found in ('":', '":null'))
    return fields - nulls


def _confirm_order_id(value: float, body: bytes) -> int:
    """The id exactly as it was written, if it stands in the order once: an answer with two ids is about no order."""
    if scan_identity(body).order_id == value and isinstance(value, int):  # all but a few
        return value
    if body.count(b'"orderId"') > 1 and exact.find_repeated_field(body) == "$.orderId":
        raise UndecodableOrder("repeated_field", "$.orderId")
    (written,) = exact.read_numbers_as_text(body, ["$.orderId"])
    if rule := exact.find_integer_error(written, 2**63):
        raise UndecodableOrder(rule, "$.orderId", got=written)
    return int(Decimal(written))


def _record_at_path(path: str) -> type[Record] | None:
    """The record at a JSON path such as `$.positions[0].url`."""
    record: type[Record] | None = Order
    for name in re.findall(r"\.([^.\[]+)", path):
        if record is None:
            return None
        record = next((field.record for field in fields_of(record) if field.json_name == name), None)
    return record


def _explain_validation_error(message: str) -> UndecodableOrder:
    parts = _ANY_ERROR.fullmatch(message)
    what, path = (parts["message"], parts["path"] or "$") if parts else (message, "$")
    if "missing required field" in what or (path == "$.orderId" and "`null`" in what):
        return UndecodableOrder("no_order_id", "$.orderId")
    types = _WRONG_TYPE_ERROR.fullmatch(what)
    if types is None:
        return UndecodableOrder("out_of_range", path, got="number out of range")
    rule = "not_an_object" if path == "$" else "wrong_type"
    return UndecodableOrder(rule, path, types["expected"], types["got"])


def _explain_broken_json(body: bytes, error: Exception) -> UndecodableOrder:
    if isinstance(error, UnicodeDecodeError):
        return UndecodableOrder("not_utf8", got=f"byte {error.start}")
    if isinstance(error, RecursionError):
        return UndecodableOrder("too_deep")
    start = body.lstrip()[:1]
    if not start:
        return UndecodableOrder("empty")
    if start == b"<":
        return UndecodableOrder("html")
    if any(lone for lone in _SURROGATES.findall(body)):
        return UndecodableOrder("lone_surrogate")
    position = re.search(r"byte (\d+)", str(error))
    return UndecodableOrder("broken_json", got=f"byte {position[1]}" if position else "the end")
