"""GET /orders of the stand-in: part of the query-string syntax, sorting, and pages.

Documented for lists: the parameters query, sort (`field:direction`), page, searchAfter and pageSize (25, at most 1000),
bare arrays, and that queries are Elasticsearch's query strings.
Guesses: that GET /orders takes them all; pages count from 0; several sort fields are separated by commas; an element of
the list has `sort`, the values to send as searchAfter, with instants as epoch milliseconds; the texts of the 400s.
The stand-in knows `*`, `field:value`, `field:*`, `field:[a TO b]`, AND, OR, NOT and brackets, for a few fields, and
answers anything else with a plain-text 400.
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


class SearchableOrder(dict[str, Any]):
    """The searchable fields of one order, with instants as epoch milliseconds; loaded at the first use."""

    def __init__(self, order_id: int, load: Callable[[int], Mapping[str, Any]]) -> None:
        super().__init__(orderId=order_id)
        self._load = load

    def __missing__(self, name: str) -> Any:
        order = self._load(self["orderId"])
        found = {field: order.get(field) for field in FIELDS}
        found["shipToCountry"] = (order.get("deliveryAddress") or {}).get("country")
        self.update(
            {field: _epoch_millis(value) if value and field in INSTANTS else value for field, value in found.items()}
        )
        return self[name]


Predicate = Callable[[SearchableOrder], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """How the list pages; none of it is documented for GET /orders.

    Attributes:
        first: number of the first page.
        largest: most elements of a page, whatever pageSize asks for.
        shows_sort: whether elements have `sort`.
        follows_cursor: False ignores every searchAfter.
        twice: ids of orders that are listed twice.
    """

    first: int = 0
    largest: int = 1000
    shows_sort: bool = True
    follows_cursor: bool = True
    twice: frozenset[int] = frozenset()


class SearchError(ValueError):
    """A parameter that the list does not understand; its text is the plain-text body of the 400."""


class ListRequest(NamedTuple):
    """The parsed parameters of a request for the list."""

    matches: Predicate
    sort: list[tuple[str, bool]]  # field, descending
    after: list[Any] | None
    skip: int
    size: int


def parse_request(parameters: Mapping[str, str], paging: Paging) -> ListRequest:
    """Parse the parameters of the URL. Raises SearchError."""
    size = _parse_count(parameters, "pageSize", 25, 1)
    if size > 1000:
        raise SearchError("pageSize: must be less than or equal to 1000")
    sort = [_parse_sort(part) for part in parameters.get("sort", "").split(",") if part]
    after = None
    if "searchAfter" in parameters:
        if not sort:
            raise SearchError("searchAfter: needs sort")
        after = _parse_cursor(parameters["searchAfter"], sort) if paging.follows_cursor else None
    size = min(size, paging.largest)
    skip = 0 if after else (_parse_count(parameters, "page", paging.first, paging.first) - paging.first) * size
    return ListRequest(
        _QueryParser(parameters.get("query", "")).matches, sort or [("orderId", False)], after, skip, size
    )


def select_page(
    search: ListRequest, orders: Iterable[SearchableOrder], paging: Paging
) -> Iterator[tuple[int, list[Any] | None]]:
    """Order id and sort values (None: not shown) of each element of the page."""
    found = [row for row in orders if search.matches(row)]
    for field, descending in reversed(search.sort):
        blank = [row for row in found if row[field] is None]
        found = [row for row in found if row[field] is not None]
        found.sort(key=itemgetter(field), reverse=descending)
        found += blank  # last in both directions, as in Elasticsearch
    rows = [
        (row["orderId"], [row[field] for field, _ in search.sort])
        for row in found
        for _ in range(1 + (row["orderId"] in paging.twice))
    ]
    if search.after:
        rows = [row for row in rows if _is_after(row[1], search.after, search.sort)]
    for order_id, sort in rows[search.skip : search.skip + search.size]:
        yield order_id, sort if paging.shows_sort else None


def list_element(order: Mapping[str, Any], sort: list[Any] | None) -> dict[str, Any]:
    """The order as an element of the list, as far as the list is documented."""
    address = order.get("deliveryAddress") or {}
    shown: dict[str, Any] = {name: order.get(name) for name in _SHOWN}
    ship_to = {f"shipTo{name[0].upper()}{name[1:]}": address.get(name) for name in _SHIP_TO}
    lines = [_pick_fields(line, _POSITION) for line in order.get("positions") or ()]
    parts = order.get("fulfillmentOrders") or ()
    return {
        **shown,
        **ship_to,
        "shipToEmail": address.get("email"),
        "billToEmail": (order.get("invoiceAddress") or {}).get("email"),
        "positions": lines,
        "fulfillmentOrders": [
            {
                **_pick_fields(part, ("fulfillmentOrderId", "fulfillmentOrderIdentifier", "fulfillmentStatus")),
                "positions": [_pick_fields(line, _FULFILLMENT_POSITION) for line in part.get("positions") or ()],
                "shipments": [_pick_fields(shipment, ("shipmentId",)) for shipment in part.get("shipments") or ()],
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


def _pick_fields(record: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: record.get(name) for name in names}


def _parse_count(parameters: Mapping[str, str], name: str, default: int, least: int) -> int:
    text = parameters.get(name, str(default))
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) < least:
        raise SearchError(f"{name}: must be a whole number of at least {least}")
    return int(text)


def _parse_sort(text: str) -> tuple[str, bool]:
    field, _, direction = text.partition(":")
    if field not in FIELDS or direction not in {"asc", "desc"}:
        raise SearchError("sort: must be field:asc or field:desc")
    return field, direction == "desc"


def _parse_cursor(text: str, sort: list[tuple[str, bool]]) -> list[Any]:
    try:
        given = msgspec.json.decode(text)
    except msgspec.DecodeError:
        given = text
    values = given if isinstance(given, list) else [text]
    if len(values) != len(sort):
        raise SearchError("searchAfter: must have one value for each sort field")
    pairs = zip(values, sort, strict=True)
    return [None if value is None else _parse_value(field, str(value)) for value, (field, _) in pairs]


def _is_after(values: list[Any], cursor: list[Any], sort: list[tuple[str, bool]]) -> bool:
    for value, last, (_, descending) in zip(values, cursor, sort, strict=True):
        if value != last:
            if value is None or last is None:
                return value is None
            return bool(value < last if descending else value > last)
    return False


def _parse_value(field: str, text: str) -> Any:
    if field in TEXTS:
        return text
    try:
        return int(text) if field in NUMBERS or text.isdecimal() else _epoch_millis(text)
    except ValueError:
        raise SearchError(f"{field}: cannot be compared with {text}") from None


def _epoch_millis(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


class _QueryParser:
    """A recursive descent parser: query string -> predicate. NOT binds before AND, AND before OR."""

    def __init__(self, text: str) -> None:
        self._tokens = list(self._split_tokens(text.strip() or "*"))
        self.matches = self._parse_or()
        if self._tokens:
            raise SearchError(f"query: cannot be understood: {text}")

    @staticmethod
    def _split_tokens(text: str) -> Iterator[re.Match[str]]:
        at = 0
        while at < len(text):
            token = _TOKEN.match(text, at)
            if not token:
                raise SearchError(f"query: cannot be understood: {text}")
            yield token
            at = token.end()

    def _accept_token(self, *words: str) -> bool:
        if self._tokens and (self._tokens[0]["word"] or self._tokens[0]["mark"]) in words:
            del self._tokens[0]
            return True
        return False

    def _parse_or(self) -> Predicate:
        left = self._parse_and()
        while self._accept_token("OR"):
            left = _combine_predicates(any, left, self._parse_and())
        return left

    def _parse_and(self) -> Predicate:
        left = self._parse_operand()
        while self._accept_token("AND"):
            left = _combine_predicates(all, left, self._parse_operand())
        return left

    def _parse_operand(self) -> Predicate:
        if self._accept_token("NOT"):
            negated = self._parse_operand()
            return lambda row: not negated(row)
        if self._accept_token("("):
            inner = self._parse_or()
            if not self._accept_token(")"):
                raise SearchError("query: a bracket is not closed")
            return inner
        token = self._tokens.pop(0) if self._tokens else None
        if token and token["all"]:
            return lambda _: True
        if token and token["field"]:
            return _field_predicate(token["field"], token["value"])
        raise SearchError("query: a term is missing")


def _combine_predicates(rule: Callable[[Iterator[bool]], bool], *parts: Predicate) -> Predicate:
    return lambda row: rule(part(row) for part in parts)


def _field_predicate(field: str, value: str) -> Predicate:
    if field not in FIELDS:
        raise SearchError(f"query: the stand-in cannot search {field}")
    if value == "*":
        return lambda row: row[field] is not None
    if not value.startswith("["):
        wanted = _parse_value(field, value.strip('"'))
        return lambda row: bool(row[field] == wanted)
    bounds = _RANGE.fullmatch(value)
    if not bounds:
        raise SearchError(f"query: must be {field}:[from TO to]")
    low, high = (None if bound == "*" else _parse_value(field, bound) for bound in bounds.groups())
    if high is not None and field in INSTANTS and len(bounds[2]) == len("2026-01-31"):
        high += 86_400_000 - 1  # a day as upper bound includes all of it

    def is_within(row: SearchableOrder) -> bool:
        value = row[field]
        return value is not None and (low is None or value >= low) and (high is None or value <= high)

    return is_within
