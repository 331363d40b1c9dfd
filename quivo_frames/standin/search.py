"""What GET /orders finds: a small part of the query-string syntax, sorting, and pages.

Documented for lists: the parameters query, sort (`field:direction`), page, searchAfter and pageSize (25, at most 1000),
bare arrays, and that queries are Elasticsearch's query strings.
Guesses: that GET /orders takes them all; pages count from 0; several sort fields are parted by commas; an element of
this list carries `sort`, the values to hand back as searchAfter, instants as epoch milliseconds; the texts of the 400s.
The stand-in knows `*`, `field:value`, `field:*`, `field:[a TO b]`, AND, OR, NOT and brackets, for a few fields; to
anything else it answers a plain-text 400.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

INSTANTS = frozenset({"created", "lastModified", "orderDate", "exportedAt", "cancelRequestedAt", "completedAt"})
NUMBERS = frozenset({"orderId", "sellerId"})
TEXTS = frozenset({"orderStatus", "orderIdentifier", "orderReference", "shipToCountry"})
FIELDS = INSTANTS | NUMBERS | TEXTS

_TOKEN = re.compile(
    r"""\s*(?: (?P<mark>[()]) | (?P<word>AND|OR|NOT)\b
                          | (?P<field>\w+):(?P<value>\[[^\]]*\]|"[^"]*"|[^\s()]+) | (?P<all>\*) )""",
    re.VERBOSE,
)
_RANGE = re.compile(r"\[\s*(\S+)\s+TO\s+(\S+)\s*\]")


class Row(dict[str, Any]):
    """What can be searched and sorted of one order, instants as epoch milliseconds; the order is read when needed."""

    def __init__(self, order_id: int, load: Callable[[int], Mapping[str, Any]]) -> None:
        super().__init__(orderId=order_id)
        self._load = load

    def __missing__(self, name: str) -> Any:
        order = self._load(self["orderId"])
        found = {field: order.get(field) for field in FIELDS}
        found["shipToCountry"] = (order.get("deliveryAddress") or {}).get("country")
        self.update({field: _millis(value) if value and field in INSTANTS else value for field, value in found.items()})
        return self[name]


Matches = Callable[[Row], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """How the list pages; none of it is documented for GET /orders.

    `first` is the number of the first page; pages never hold more than `largest`, whatever was asked for; elements
    have `sort` if `shows_sort`; without `follows_cursor` every searchAfter is ignored; the orders `twice` stand twice.
    """

    first: int = 0
    largest: int = 1000
    shows_sort: bool = True
    follows_cursor: bool = True
    twice: frozenset[int] = frozenset()


class SearchError(ValueError):
    """A parameter that the list does not understand; `str(error)` is the plain-text body of the 400."""


class Search(NamedTuple):
    """One request to the list, understood."""

    matches: Matches
    sort: list[tuple[str, bool]]  # field, descending
    after: list[Any] | None
    skip: int
    size: int


def read(parameters: Mapping[str, str], paging: Paging) -> Search:
    """The search that the URL's parameters ask for; raises SearchError."""
    size = _count(parameters, "pageSize", 25, 1)
    if size > 1000:
        raise SearchError("pageSize: must be less than or equal to 1000")
    sort = [_sort_field(part) for part in parameters.get("sort", "").split(",") if part]
    after = None
    if "searchAfter" in parameters:
        if not sort:
            raise SearchError("searchAfter: needs sort")
        after = _cursor(parameters["searchAfter"], sort) if paging.follows_cursor else None
    size = min(size, paging.largest)
    skip = 0 if after else (_count(parameters, "page", paging.first, paging.first) - paging.first) * size
    return Search(_Query(parameters.get("query", "")).matches, sort or [("orderId", False)], after, skip, size)


def page(search: Search, orders: Iterable[Row], paging: Paging) -> Iterator[tuple[int, list[Any] | None]]:
    """Order id and sort values (None: not shown) of each element of the page, in order."""
    found = [row for row in orders if search.matches(row)]
    for field, descending in reversed(search.sort):
        blank = [row for row in found if row[field] is None]
        found = [row for row in found if row[field] is not None]
        found.sort(key=itemgetter(field), reverse=descending)
        found += blank  # last either way, as in Elasticsearch
    rows = [
        (row["orderId"], [row[field] for field, _ in search.sort])
        for row in found
        for _ in range(1 + (row["orderId"] in paging.twice))
    ]
    if search.after:
        rows = [row for row in rows if _is_after(row[1], search.after, search.sort)]
    for order_id, sort in rows[search.skip : search.skip + search.size]:
        yield order_id, sort if paging.shows_sort else None


def element(order: Mapping[str, Any], sort: list[Any] | None) -> dict[str, Any]:
    """The order as the list shows it, as far as the list's documentation is known."""
    address = order.get("deliveryAddress") or {}
    shown: dict[str, Any] = {name: order.get(name) for name in _SHOWN}
    ship_to = {f"shipTo{name[0].upper()}{name[1:]}": address.get(name) for name in _SHIP_TO}
    lines = [_only(line, _POSITION) for line in order.get("positions") or ()]
    parts = order.get("fulfillmentOrders") or ()
    return {
        **shown,
        **ship_to,
        "shipToEmail": address.get("email"),
        "billToEmail": (order.get("invoiceAddress") or {}).get("email"),
        "positions": lines,
        "fulfillmentOrders": [
            {
                **_only(part, ("fulfillmentOrderId", "fulfillmentOrderIdentifier", "fulfillmentStatus")),
                "positions": [_only(line, _FULFILLMENT_POSITION) for line in part.get("positions") or ()],
                "shipments": [_only(shipment, ("shipmentId",)) for shipment in part.get("shipments") or ()],
            }
            for part in parts
        ],
        **({} if sort is None else {"sort": sort}),
    }


_SHOWN = (
    "orderId", "sellerId", "created", "lastModified", "orderIdentifier", "orderReference", "orderStatus", "tags",
    "orderDate", "cancelRequestedAt", "completedAt", "exportedAt", "piiDataRemoved",
)  # fmt: skip
_SHIP_TO = ("country", "zip", "company", "name1", "name2", "addressIdentifier", "additionalIdentifiers")
_POSITION = ("positionId", "positionIdentifier", "name", "sku", "customAttributes")
_FULFILLMENT_POSITION = (
    "fulfillmentOrderPositionId", "orderedSku", "sku", "warehouseSku", "quantity", "lot", "location", "customsValue",
    "expirationDate",
)  # fmt: skip


def _only(record: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: record.get(name) for name in names}


def _count(parameters: Mapping[str, str], name: str, default: int, least: int) -> int:
    text = parameters.get(name, str(default))
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) < least:
        raise SearchError(f"{name}: must be a whole number of at least {least}")
    return int(text)


def _sort_field(text: str) -> tuple[str, bool]:
    field, _, direction = text.partition(":")
    if field not in FIELDS or direction not in {"asc", "desc"}:
        raise SearchError("sort: must be field:asc or field:desc")
    return field, direction == "desc"


def _cursor(text: str, sort: list[tuple[str, bool]]) -> list[Any]:
    try:
        given = msgspec.json.decode(text)
    except msgspec.DecodeError:
        given = text
    values = given if isinstance(given, list) else [text]
    if len(values) != len(sort):
        raise SearchError("searchAfter: must have one value for each sort field")
    pairs = zip(values, sort, strict=True)
    return [None if value is None else _typed(field, str(value)) for value, (field, _) in pairs]


def _is_after(values: list[Any], cursor: list[Any], sort: list[tuple[str, bool]]) -> bool:
    for value, last, (_, descending) in zip(values, cursor, sort, strict=True):
        if value != last:
            if value is None or last is None:
                return value is None
            return bool(value < last if descending else value > last)
    return False


def _typed(field: str, text: str) -> Any:
    if field in TEXTS:
        return text
    try:
        return int(text) if field in NUMBERS or text.isdecimal() else _millis(text)
    except ValueError:
        raise SearchError(f"{field}: cannot be compared with {text}") from None


def _millis(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


class _Query:
    """A query string as a predicate; NOT binds before AND, AND before OR."""

    def __init__(self, text: str) -> None:
        self._tokens = list(self._split(text.strip() or "*"))
        self.matches = self._either()
        if self._tokens:
            raise SearchError(f"query: cannot be understood: {text}")

    @staticmethod
    def _split(text: str) -> Iterator[re.Match[str]]:
        at = 0
        while at < len(text):
            token = _TOKEN.match(text, at)
            if not token:
                raise SearchError(f"query: cannot be understood: {text}")
            yield token
            at = token.end()

    def _take(self, *words: str) -> bool:
        if self._tokens and (self._tokens[0]["word"] or self._tokens[0]["mark"]) in words:
            del self._tokens[0]
            return True
        return False

    def _either(self) -> Matches:
        left = self._both()
        while self._take("OR"):
            left = _joined(any, left, self._both())
        return left

    def _both(self) -> Matches:
        left = self._one()
        while self._take("AND"):
            left = _joined(all, left, self._one())
        return left

    def _one(self) -> Matches:
        if self._take("NOT"):
            negated = self._one()
            return lambda row: not negated(row)
        if self._take("("):
            inner = self._either()
            if not self._take(")"):
                raise SearchError("query: a bracket is not closed")
            return inner
        token = self._tokens.pop(0) if self._tokens else None
        if token and token["all"]:
            return lambda _: True
        if token and token["field"]:
            return _term(token["field"], token["value"])
        raise SearchError("query: a term is missing")


def _joined(rule: Callable[[Iterator[bool]], bool], *parts: Matches) -> Matches:
    return lambda row: rule(part(row) for part in parts)


def _term(field: str, value: str) -> Matches:
    if field not in FIELDS:
        raise SearchError(f"query: the stand-in cannot search {field}")
    if value == "*":
        return lambda row: row[field] is not None
    if not value.startswith("["):
        wanted = _typed(field, value.strip('"'))
        return lambda row: bool(row[field] == wanted)
    bounds = _RANGE.fullmatch(value)
    if not bounds:
        raise SearchError(f"query: must be {field}:[from TO to]")
    low, high = (None if bound == "*" else _typed(field, bound) for bound in bounds.groups())
    if high is not None and field in INSTANTS and len(bounds[2]) == len("2026-01-31"):
        high += 86_400_000 - 1  # a day as the upper bound is meant whole

    def within(row: Row) -> bool:
        value = row[field]
        return value is not None and (low is None or value >= low) and (high is None or value <= high)

    return within
