"""The ids of the orders that a query finds: keyset pagination over GET /orders, each id once.

How paging knows that no order was missed:

- Pages follow each other by `searchAfter` alone, the sort key of an order (page numbers shift when orders change, and
  the number of the first page is not documented). A page begins strictly after its cursor.
- If the sort contains orderId, keys are unique: the cursor is the key of the last order, and nothing lies between.
- Otherwise orders that share the last key of a page may continue on the next one, and a cursor at that key would skip
  them. The cursor is therefore the last key *before* it: orders with the last key are read again, and given once.
- That needs two different keys in a page. A full page with a single key raises an error that says to sort by orderId.
  A page shorter than an earlier one was not cut off. A first page with a single key that is shorter than `pageSize` may
  be all there is, or cut off by a server that gives less (`may_be_truncated`): if nothing follows, the same query
  sorted by orderId gives what is missing; if anything follows, that is the same error.
- An order that changes while pages are read moves in the list. Only orders that mark a place there decide the cursor:
  new ones, those expected again, and those that moved.
- The list ends with an empty page, not with a short one. A cursor that comes twice raises an error: the server ignores
  `searchAfter`, and what follows the page is unknown.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from quivo_frames.errors import ConfigError, UnexpectedResponse

if TYPE_CHECKING:
    from quivo_frames.model.time import InstantLike

Element = Mapping[str, msgspec.Raw]
FetchPage = Callable[[Mapping[str, str]], Sequence[Element]]
"""Requests the page of GET /orders with these parameters."""

PAGE_SIZE = 1000
"""The documented maximum."""
_SORT = re.compile(r"[\w.]+:(asc|desc)(,[\w.]+:(asc|desc))*")
_QUOTED = re.compile(r'\\.|"(?:\\.|[^"\\])*"', re.DOTALL)


def narrow_to_changes(query: str, since: InstantLike, now: datetime) -> str:
    """The query narrowed to orders last modified at an instant (without a zone: UTC) or later; a day is its beginning.

    Raises:
        ConfigError: the instant is in the future, or the query cannot be put in brackets.
    """
    if not isinstance(since, datetime):
        from quivo_frames.model.time import parse_beginning  # late, as polars takes time to load

        since = parse_beginning(since)
    try:
        moment = (since if since.tzinfo else since.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise ConfigError(f"{since} is out of the range of UTC: give a later instant.") from None
    if moment > now:
        raise ConfigError(f"{moment:%Y-%m-%dT%H:%M:%SZ} lies in the future: nothing can have changed since then.")
    changed = f"lastModified:[{moment.replace(microsecond=0, tzinfo=None).isoformat()}Z TO *]"
    if not query.strip():
        return changed
    if not _is_balanced(query):
        raise ConfigError(f"The brackets or quotes of the query do not match, so that no instant can be added: {query}")
    return f"({query}) AND {changed}"


def find_order_ids(
    fetch_page: FetchPage,
    query: str,
    *,
    sort: str = "orderId:asc",
    limit: int | None = None,
    page_size: int = PAGE_SIZE,
) -> Iterator[int]:
    """The ids of the orders that a query finds, in the order of `sort`, page after page.

    Takes 8 bytes per id if sorted by orderId, otherwise about 200, because the sort key of an order can change.

    Raises:
        ConfigError: the query is not UTF-8 text, or `sort` or `limit` makes no sense.
        UnexpectedResponse: the list cannot be read to its end.
    """
    try:
        query.encode()
    except UnicodeEncodeError as error:
        raise ConfigError("The query is not UTF-8 text. Write it again, in a terminal that uses UTF-8.") from error
    if not _SORT.fullmatch(sort):
        raise ConfigError(f"The sort must be field:asc or field:desc, such as orderId:asc, not {sort!r}.")
    if limit is not None and limit < 1:
        raise ConfigError(f"The limit must be at least 1, not {limit}.")
    return _walk_pages(fetch_page, query, sort, limit, page_size)


def _walk_pages(fetch_page: FetchPage, query: str, sort: str, limit: int | None, page_size: int) -> Iterator[int]:
    size = min(page_size, limit or page_size)
    parameters = {"sort": sort, "pageSize": str(size)} | ({"query": query} if query else {})
    seen, pagination = _SeenIds(descending=sort.startswith("orderId:desc")), _Pagination(sort, size)
    while page := fetch_page(parameters):
        elements = {_read_order_id(element): element for element in reversed(page)}  # the first element of each id wins
        page_ids = [*reversed(elements)]
        new = [order_id for order_id in page_ids if seen.add(order_id)]
        if new and pagination.may_be_truncated:  # the server gives less than `pageSize`, and may have skipped orders
            raise pagination.tied_page_error()
        yield from new[: None if limit is None else limit + len(new) - len(seen)]
        if limit is not None and len(seen) >= limit:
            return
        keys = {order_id: _sort_key(elements[order_id], pagination.fields) for order_id in page_ids}
        cursor = pagination.next_cursor(keys, set(new), len(page))
        if cursor is None:
            break
        parameters["searchAfter"] = cursor
    if pagination.may_be_truncated:
        by_id = _walk_pages(fetch_page, query, "orderId:asc", None, page_size)
        yield from islice(filter(seen.add, by_id), None if limit is None else limit - len(seen))


class _Pagination:
    """Keyset pagination: the cursor of each page. See the module for why nothing is missed."""

    def __init__(self, sort: str, size: int) -> None:
        self.fields = [part.partition(":")[0] for part in sort.split(",")]
        self.is_unique = "orderId" in self.fields
        self._sort = sort
        self._page_size = size
        self._longest_page = 0  # elements: what the server gives at most
        self._expected_again: set[int] = set()  # orders that the next page should repeat
        self._key_hashes: dict[int, int] = {}  # of the sort key of each order, where it can change
        self._used_cursors: set[str] = set()
        self.may_be_truncated = False
        """All pages so far are one page with one sort key: only another sort can show whether it was cut off."""

    def next_cursor(self, keys: Mapping[int, list[Any]], new: set[int], count: int) -> str | None:
        """The cursor after a page of `count` elements with these sort keys by order; None at the end of the list."""
        placed = {order_id: key for order_id, key in keys.items() if self._marks_a_place(order_id, key, new)} or keys
        values = list(placed.values())
        last = values[-1]
        if self.is_unique:
            key = last
        else:
            previous = next((value for value in reversed(values) if value != last), None)
            if previous is None and count >= (self._longest_page or self._page_size):
                raise self.tied_page_error() if new or len(placed) == len(keys) else _repeated_page_error()
            self.may_be_truncated |= previous is None and not self._longest_page
            key = previous or last
            self._key_hashes.update((order_id, hash(_cursor_text(value))) for order_id, value in keys.items())
        self._longest_page = max(self._longest_page, count)
        self._expected_again = {order_id for order_id, value in placed.items() if value == last}
        if _is_null_key(key):
            if key == last:
                return None  # orders without the value come last, and this page was not full
            raise self._hidden_keys_error()
        cursor = _cursor_text(key)
        if cursor in self._used_cursors:
            raise _repeated_page_error()
        self._used_cursors.add(cursor)
        return cursor

    def _marks_a_place(self, order_id: int, key: list[Any], new: set[int]) -> bool:
        """Whether the order marks a place in the list: it is new, expected again, or has moved. Duplicates do not."""
        if order_id in new or order_id in self._expected_again:
            return True
        return order_id in self._key_hashes and self._key_hashes[order_id] != hash(_cursor_text(key))

    def tied_page_error(self) -> UnexpectedResponse:
        """The error for pages that may skip orders."""
        return UnexpectedResponse(
            f"A whole page of the list has one and the same value of {self._sort}, or does not show it, and the next "
            "page might pass over orders: sort by orderId:asc."
        )

    def _hidden_keys_error(self) -> UnexpectedResponse:
        return UnexpectedResponse(
            f"The list of orders does not show by which values {self._sort} sorts: sort by orderId:asc."
        )


def _repeated_page_error() -> UnexpectedResponse:
    return UnexpectedResponse(
        "The list of orders does not go on: it ignores searchAfter and gives the same page again. What comes after "
        "that page cannot be found so; ask Quivo, or give the ids another pagination."
    )


class _SeenIds:
    """The ids so far: 8 bytes each while they rise (or fall, if `descending`), and a set of the others."""

    def __init__(self, *, descending: bool) -> None:
        self._sign = -1 if descending else 1
        self._rising = array("q")
        self._others: set[int] = set()

    def add(self, order_id: int) -> bool:
        """Add an id; returns whether it is new."""
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


def _sort_key(element: Element, fields: Sequence[str]) -> list[Any]:
    """The sort key of an element: its `sort` (assumed to be the key), else the values of the sort fields."""
    sort = msgspec.json.decode(element["sort"]) if "sort" in element else None
    if isinstance(sort, list) and not _is_null_key(sort):
        return sort
    if isinstance(sort, (str, int, float)):
        return [sort]
    return [msgspec.json.decode(element[name]) if name in element else None for name in fields]


def _is_null_key(key: list[Any]) -> bool:
    return all(value is None for value in key)


def _cursor_text(key: list[Any]) -> str:
    """A key as `searchAfter` takes it: one value as it is, several as a JSON array."""
    if len(key) == 1 and isinstance(key[0], str):
        return key[0]
    return msgspec.json.encode(key[0] if len(key) == 1 else key).decode()


def _read_order_id(element: Element) -> int:
    try:
        order_id = msgspec.json.decode(element["orderId"], type=int | float)  # 2.0 is an integer, too
    except (KeyError, msgspec.DecodeError) as error:
        raise UnexpectedResponse("The list of orders has an element without an orderId: it cannot be used.") from error
    if not 1 <= order_id < 2**63 or order_id != int(order_id):
        raise UnexpectedResponse(f"The list of orders has {order_id} for an orderId: it cannot be used.")
    return int(order_id)


def _is_balanced(query: str) -> bool:
    depth = 0
    rest = _QUOTED.sub("", query)
    for mark in rest:
        depth += {"(": 1, ")": -1}.get(mark, 0)
        if depth < 0:
            return False
    return depth == 0 and not set(rest) & {'"', "\\"}
