"""Verb: the pages of GET /orders -> the ids that a query finds, each once. Floor 2.

Pages go on by searchAfter alone: which number the first page has is not documented. A page begins strictly after the
cursor, so orders that share their sort value with the end of a page could be passed over. Unless the sort has orderId
in it, the cursor is therefore the last value before those: they are read again, and given once.
The list ends with an empty page: a server may give less than it was asked for.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import msgspec

from quivo_frames.errors import ConfigError, UnexpectedResponse

Element = Mapping[str, msgspec.Raw]
Ask = Callable[[Mapping[str, str]], Sequence[Element]]
"""The page that some parameters of GET /orders bring."""

PAGE_SIZE = 1000
"""The documented maximum."""
_SORT = re.compile(r"[\w.]+:(asc|desc)(,[\w.]+:(asc|desc))*")
_QUOTED = re.compile(r'\\.|"(?:\\.|[^"\\])*"', re.DOTALL)


def changed_since(query: str, since: datetime, now: datetime) -> str:
    """The query narrowed to orders last modified at an instant (without a zone: UTC) or later.

    Raises:
        ConfigError: the instant lies in the future, or the query cannot be put in brackets.
    """
    try:
        moment = (since if since.tzinfo else since.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise ConfigError(f"{since} is out of the range of UTC: give a later instant.") from None
    if moment > now:
        raise ConfigError(f"{moment:%Y-%m-%dT%H:%M:%SZ} lies in the future: nothing can have changed since then.")
    changed = f"lastModified:[{moment.replace(microsecond=0, tzinfo=None).isoformat()}Z TO *]"
    if not query.strip():
        return changed
    if not _balanced(query):
        raise ConfigError(f"The brackets or quotes of the query do not match, so that no instant can be added: {query}")
    return f"({query}) AND {changed}"


def found(ask: Ask, query: str, *, sort: str = "orderId:asc", limit: int | None = None) -> Iterator[int]:
    """The ids of the orders that a query finds, in the order of `sort`, page after page.

    Sorted by orderId it takes 8 bytes an id; otherwise some 200, for what each order is sorted by can change.

    Raises:
        ConfigError: `sort` or `limit` makes no sense.
        UnexpectedResponse: the list cannot be read to its end.
    """
    if not _SORT.fullmatch(sort):
        raise ConfigError(f"The sort must be field:asc or field:desc, such as orderId:asc, not {sort!r}.")
    if limit is not None and limit < 1:
        raise ConfigError(f"The limit must be at least 1, not {limit}.")
    return _found(ask, query, sort, limit)


def _found(ask: Ask, query: str, sort: str, limit: int | None) -> Iterator[int]:
    size = min(PAGE_SIZE, limit or PAGE_SIZE)
    parameters = {"sort": sort, "pageSize": str(size)} | ({"query": query} if query else {})
    seen, way = _Seen(descending=sort.startswith("orderId:desc")), _Way(sort, size)
    while page := ask(parameters):
        elements = {_order_id(element): element for element in reversed(page)}  # the first of each id is kept
        page_ids = [*reversed(elements)]
        new = [order_id for order_id in page_ids if seen.add(order_id)]
        if new and way.in_doubt:  # the server gives less than was asked for, and may have passed over orders
            raise way.ties()
        yield from new[: None if limit is None else limit + len(new) - len(seen)]
        if limit is not None and len(seen) >= limit:
            return
        keys = {order_id: _key(elements[order_id], way.fields) for order_id in page_ids}
        cursor = way.after(keys, set(new), len(page))
        if cursor is None:
            break
        parameters["searchAfter"] = cursor
    if way.in_doubt:
        rest = (order_id for order_id in _found(ask, query, "orderId:asc", None) if seen.add(order_id))
        yield from islice(rest, None if limit is None else limit - len(seen))


class _Way:
    """The way through the pages: where each of them begins."""

    def __init__(self, sort: str, size: int) -> None:
        self.fields = [part.partition(":")[0] for part in sort.split(",")]
        self.is_unique = "orderId" in self.fields
        self._sort = sort
        self._size = size
        self._most = 0  # elements of the longest page: what the server gives at most
        self._end_of_last: set[int] = set()  # orders that the next page is expected to repeat
        self._known: dict[int, int] = {}  # what each order was sorted by, if that can change
        self._used: set[str] = set()
        self.in_doubt = False
        """All that came is one page of one sort value: only another sort can tell whether it was cut off."""

    def after(self, keys: Mapping[int, list[Any]], new: set[int], count: int) -> str | None:
        """The cursor behind a page of `count` elements, from the sort values of its orders; None: there is no more."""
        standing = {order_id: key for order_id, key in keys.items() if self._stands(order_id, key, new)} or keys
        values = list(standing.values())
        last = values[-1]
        if self.is_unique:
            key = last
        else:
            before = next((value for value in reversed(values) if value != last), None)
            if before is None and count >= (self._most or self._size):
                raise self.ties() if new or len(standing) == len(keys) else _stuck()
            self.in_doubt |= before is None and not self._most
            key = before or last
            self._known.update((order_id, hash(_text(value))) for order_id, value in keys.items())
        self._most = max(self._most, count)
        self._end_of_last = {order_id for order_id, value in standing.items() if value == last}
        if _is_blank(key):
            if key == last:
                return None  # orders without the value come last, and this was not a full page
            raise self._not_shown()
        cursor = _text(key)
        if cursor in self._used:
            raise _stuck()
        self._used.add(cursor)
        return cursor

    def _stands(self, order_id: int, key: list[Any], new: set[int]) -> bool:
        """Whether the order tells a place in the list: it is new, expected again, or moved, and not just doubled."""
        if order_id in new or order_id in self._end_of_last:
            return True
        return order_id in self._known and self._known[order_id] != hash(_text(key))

    def ties(self) -> UnexpectedResponse:
        """The message for pages that may pass over orders."""
        return UnexpectedResponse(
            f"A whole page of the list has one and the same value of {self._sort}, or does not show it, and the next "
            "page might pass over orders: sort by orderId:asc."
        )

    def _not_shown(self) -> UnexpectedResponse:
        return UnexpectedResponse(
            f"The list of orders does not show by which values {self._sort} sorts: sort by orderId:asc."
        )


def _stuck() -> UnexpectedResponse:
    return UnexpectedResponse(
        "The list of orders does not go on: it ignores searchAfter and gives the same page again. What comes after "
        "that page cannot be found so; ask Quivo, or give the ids another way."
    )


class _Seen:
    """The ids so far: 8 bytes each as long as they rise (or fall), and a set of the others."""

    def __init__(self, *, descending: bool) -> None:
        self._sign = -1 if descending else 1
        self._rising = array("q")
        self._others: set[int] = set()

    def add(self, order_id: int) -> bool:
        """Whether the id is new."""
        value = self._sign * order_id
        if not self._rising or value > self._rising[-1]:
            self._rising.append(value)
            return True
        if self._rising[bisect_left(self._rising, value)] == value or value in self._others:
            return False
        self._others.add(value)
        return True

    def __len__(self) -> int:
        return len(self._rising) + len(self._others)


def _key(element: Element, fields: Sequence[str]) -> list[Any]:
    """What the element is sorted by: its `sort` (inferred to be that), else the values of the sort fields."""
    sort = msgspec.json.decode(element["sort"]) if "sort" in element else None
    if isinstance(sort, list) and not _is_blank(sort):
        return sort
    if isinstance(sort, (str, int, float)):
        return [sort]
    return [msgspec.json.decode(element[name]) if name in element else None for name in fields]


def _is_blank(key: list[Any]) -> bool:
    return all(value is None for value in key)


def _text(key: list[Any]) -> str:
    """A key as searchAfter takes it: one value bare, several as a JSON array."""
    if len(key) == 1 and isinstance(key[0], str):
        return key[0]
    return msgspec.json.encode(key[0] if len(key) == 1 else key).decode()


def _order_id(element: Element) -> int:
    try:
        order_id = msgspec.json.decode(element["orderId"], type=int | float)  # 2.0 is an integer, too
    except (KeyError, msgspec.DecodeError) as error:
        raise UnexpectedResponse("The list of orders has an element without an orderId: it cannot be used.") from error
    if not 1 <= order_id < 2**63 or order_id != int(order_id):
        raise UnexpectedResponse(f"The list of orders has {order_id} for an orderId: it cannot be used.")
    return int(order_id)


def _balanced(query: str) -> bool:
    depth = 0
    rest = _QUOTED.sub("", query)
    for mark in rest:
        depth += {"(": 1, ")": -1}.get(mark, 0)
        if depth < 0:
            return False
    return depth == 0 and not set(rest) & {'"', "\\"}
