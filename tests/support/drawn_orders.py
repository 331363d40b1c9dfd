"""Orders drawn by hypothesis: every field of order.py missing, null or filled, in every spelling that JSON allows.

`drawn_orders` draws the text of one order. None of them fails; only free-form values that are not objects need a note.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from quivo_frames.model.order import HandlingUnit, Kind, Order, Record
from quivo_frames.model.tables import RecordField, fields_of
from tests.support.depth import examples

Draw = st.DrawFn
Texts = st.SearchStrategy[str]

DEEPEST_UNITS = 120
"""Nested handling units: deeper than the API will ever send, and far from the limit of the decoder."""

_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
DRAWN_SETTINGS = settings(
    max_examples=examples(120), deadline=None, phases=_PHASES, suppress_health_check=list(HealthCheck)
)
"""Without shrinking, which takes minutes for an order of this size and tells little more than the comparison does."""

_SPACES = st.sampled_from(["", "", "", " ", "\n\t", " \r\n "])
_ODD_TEXTS = [
    "", "\0", "a\0b", '"', "\\", "\\u0041", '\\"', "/", "\b\f\n\r\t", "\x1e\x1f\x7f\x9b", "\u2028\u2029\ufeff", "null",
    "\U0001f600", "e\u0301", "\U0010ffff\uffff", "{}", "2026-01-01T00:00:00Z", "1.10", " ", "[bold]", "\x1b[31m",
]  # fmt: skip


def _spell_text(text: str, way: str) -> str:
    """A text as JSON: as it is, in ASCII, or with every character escaped."""
    if way != "escaped":
        return json.dumps(text, ensure_ascii=way == "ascii").replace("/", "\\/" if way == "ascii" else "/")
    units = text.encode("utf-16-be")
    return '"' + "".join(f"\\u{units[at]:02x}{units[at + 1]:02X}" for at in range(0, len(units), 2)) + '"'


def json_texts(most: int = 12) -> Texts:
    """JSON strings of any characters."""
    content = st.one_of(st.text(max_size=most), st.sampled_from(_ODD_TEXTS))
    return st.builds(_spell_text, content, st.sampled_from(["raw", "ascii", "escaped"]))


def json_integers(bits: int) -> Texts:
    """JSON numbers that are integers of so many bits."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    whole = st.one_of(st.integers(low, high), st.sampled_from([low, high, 0, -1, min(2**53 + 1, high)]))
    return st.one_of(whole.map(str), st.sampled_from(["-0", "2.0", "1e3", "-5.00E+2", "0.0", "120e-1", "2147483647.0"]))


@st.composite
def json_money(draw: Draw) -> str:
    """JSON numbers of at most 14 digits and 4 decimals, in any spelling."""
    limit = 10**18 - 1
    amount = Decimal(draw(st.one_of(st.integers(-limit, limit), st.sampled_from([limit, -limit, 1, -1, 0])))).scaleb(-4)
    way = draw(st.sampled_from(["plain", "zeros", "power"]))
    if way == "power":
        power = draw(st.integers(-30, 30))
        return f"{amount.scaleb(-power):f}{draw(st.sampled_from('eE'))}{power:+d}"
    if way == "zeros":
        return f"{amount:f}" + "0" * draw(st.integers(0, 30))
    return f"{amount:f}".rstrip("0").rstrip(".")


def json_measures() -> Texts:
    """JSON numbers that a float holds."""
    floats = st.floats(allow_nan=False, allow_infinity=False)
    odd = ["-0.0", "1E5", "5e-324", "1.7976931348623157e308", "0.1000000000000000055511151231257827", "1.10", "7", "-0"]
    return st.one_of(floats.map(repr), st.integers(-(2**63), 2**63 - 1).map(str), st.sampled_from(odd))


@st.composite
def json_instants(draw: Draw) -> str:
    """Times from year 1 to 9999, with fractions and offsets."""
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    utc = draw(st.one_of(st.datetimes(timezones=st.just(UTC)), st.sampled_from([first, last])))
    offset = timedelta(minutes=draw(st.sampled_from([0, 0, 0, 60, -150, 1439, -1439, 330])))
    try:
        local = utc.astimezone(timezone(offset))
    except OverflowError:
        local, offset = utc, timedelta()
    digits = draw(st.integers(0, 6))
    fraction = f".{local.microsecond:06d}"[: digits + 1] if digits else ""
    minutes = abs(offset) // timedelta(minutes=1)
    sign, colon = "-" if offset < timedelta() else "+", draw(st.sampled_from([":", ""]))
    zone = f"{sign}{minutes // 60:02d}{colon}{minutes % 60:02d}"
    if not offset:
        zone = draw(st.sampled_from(["Z", "Z", "Z", zone, "-00:00", "+00"]))
    return f'"{local.replace(microsecond=0, tzinfo=None).isoformat()}{fraction}{zone}"'


def json_days() -> Texts:
    """Days from year 1 to 9999."""
    return st.one_of(st.dates().map(str), st.sampled_from(["0001-01-01", "9999-12-31"])).map(lambda day: f'"{day}"')


_KEYS = [
    "a",
    "A",
    "ä",
    "a\u0308",
    "a ",
    "",
    "\uff41",
    "orderId",
    "customAttributes",
    "positions",
    "null",
    "\0",
    '"',
    "\\",
]
_NUMBERS = ["1.10", "133.0", "-0", "1E400", "0.1e-7", "12345678901234567890123456789.012345678901234567890", "1" * 60]


def free_form_values() -> Texts:
    """Free-form values, most of them objects, with odd spacing, long numbers and similar keys."""
    plain = st.one_of(json_texts(), st.sampled_from([*_NUMBERS, "true", "false", "null"]))
    value = st.recursive(plain, lambda inner: st.one_of(_free_objects(inner), _free_lists(inner)), max_leaves=4)
    return st.one_of(_free_objects(value), _free_objects(value), st.sampled_from(["{}", "{ }", "{\n}"]), value)


@st.composite
def _free_objects(draw: Draw, values: Texts) -> str:
    keys = draw(st.lists(st.one_of(st.sampled_from(_KEYS), st.text(max_size=3)), max_size=4, unique=True))
    ways = st.sampled_from(["raw", "ascii", "escaped"])
    return _write_object(draw, [(_spell_text(key, draw(ways)), draw(values)) for key in keys])


@st.composite
def _free_lists(draw: Draw, values: Texts) -> str:
    return _write_list(draw, draw(st.lists(values, max_size=3)))


def _write_object(draw: Draw, members: list[tuple[str, str]]) -> str:
    a, b, c, d = (draw(_SPACES) for _ in range(4))
    return "{" + a + ",".join(f"{b}{key}{c}:{d}{value}{a}" for key, value in members) + "}"


def _write_list(draw: Draw, entries: list[str]) -> str:
    a, b = draw(_SPACES), draw(_SPACES)
    return "[" + a + ",".join(f"{b}{entry}{a}" for entry in entries) + "]"


VALUES_BY_KIND: dict[Kind, Texts] = {
    Kind.TEXT: json_texts(),
    Kind.INT64: json_integers(64),
    Kind.INT32: json_integers(32),
    Kind.FLAG: st.sampled_from(["true", "false"]),
    Kind.INSTANT: json_instants(),
    Kind.DAY: json_days(),
    Kind.MONEY: json_money(),
    Kind.MEASURE: json_measures(),
    Kind.JSON: free_form_values(),
}
"""By kind, JSON texts that need no failure and, except for free-form values, no note."""


@st.composite
def record_objects(draw: Draw, record: type[Record], full: bool = False) -> str:
    """The text of an object with some or all of its fields, in any order."""
    return _write_object(draw, _draw_members(draw, record, full))


def _draw_members(draw: Draw, record: type[Record], full: bool) -> list[tuple[str, str]]:
    fields = [field for field in fields_of(record) if field.json_name != "orderId"]
    some = st.lists(st.sampled_from(fields), unique=True)
    there = draw(st.permutations(fields) if full else st.one_of(some, some, st.permutations(fields)))
    # otherwise the innermost lists are hardly ever reached
    lists = [field for field in fields if field.child_table is not None and field not in there]
    there = [*there, *(field for field in lists if draw(st.booleans()))]
    return [(json.dumps(field.json_name), _draw_value(draw, record, field, full)) for field in there]


def _draw_value(draw: Draw, record: type[Record], field: RecordField, full: bool) -> str:
    if not full and draw(st.integers(0, 7)) == 7:
        return "null"
    if field.record is HandlingUnit and record is HandlingUnit:
        return draw(st.sampled_from(["[]", "null", "[null]", "[null,{}]", "[{},null]"]))
    if field.record is HandlingUnit:
        return draw(_unit_lists(full))
    if field.child_table is not None:
        entry = record_objects(field.record, full) if field.record else json_texts()
        entries = draw(st.lists(st.one_of(entry, entry, st.just("null")), max_size=3))
        return _write_list(draw, [draw(entry), *entries[:1]] if full else entries)
    if field.record is not None:
        return draw(record_objects(field.record, full))
    assert field.kind
    return draw(VALUES_BY_KIND[field.kind].filter(lambda text: not full or text != "null"))


@st.composite
def _unit_lists(draw: Draw, full: bool) -> str:
    """Handling units: trees, and chains of any depth made of a few repeated units."""
    units = draw(st.lists(record_objects(HandlingUnit, full), min_size=1, max_size=1 if full else 3))
    # only units without children get some, so that no unit has childHandlingUnits twice
    childless = [unit for unit in units if '"childHandlingUnits"' not in unit] or ["{}"]
    trees = st.recursive(st.sampled_from([*units, "null"]), lambda inner: _unit_trees(childless, inner), max_leaves=6)
    chain = draw(st.sampled_from(units))
    for depth in range(draw(st.one_of(st.just(0), st.integers(1, DEEPEST_UNITS)))):
        chain = _add_children(childless[depth % len(childless)], f"[{'null,' * (depth % 3)}{chain}]")
    return _write_list(draw, [*draw(st.lists(trees, max_size=3)), chain])


@st.composite
def _unit_trees(draw: Draw, childless: list[str], inner: Texts) -> str:
    return _add_children(draw(st.sampled_from(childless)), _write_list(draw, draw(st.lists(inner, max_size=4))))


def _add_children(unit: str, children: str) -> str:
    rest = unit[1:].strip()
    return f'{{"childHandlingUnits":{children}{"}" if rest == "}" else "," + rest}'


@st.composite
def drawn_orders(draw: Draw, order_id: int | None = None, *, full: bool = False) -> str:
    """The JSON text of one order; a full one has a value in every field and an entry in every list."""
    members = _draw_members(draw, Order, full)
    number = str(order_id) if order_id is not None else draw(json_integers(64))
    members.insert(draw(st.integers(0, len(members))), ('"orderId"', number))
    return draw(_SPACES) + _write_object(draw, members) + draw(_SPACES)


def several_orders(most: int = 3) -> st.SearchStrategy[list[str]]:
    """Several orders with different ids."""
    ids = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=most, unique=True)
    return ids.flatmap(lambda found: st.tuples(*map(drawn_orders, found))).map(list)
