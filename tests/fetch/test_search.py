from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quivo_frames.errors import ConfigError, UnexpectedResponse
from quivo_frames.fetch.search import find_order_ids, narrow_to_changes
from tests.support.depth import examples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quivo_frames.fetch.client import Client
    from quivo_frames.standin.server import StandIn

pytestmark = pytest.mark.alone

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
Page = list[dict[str, msgspec.Raw]]


def make_page(*shown: Mapping[str, Any]) -> Page:
    return msgspec.json.decode(json.dumps(shown), type=Page)


class Elasticsearch:
    """A list of orders as the search engine behind it would give it: strictly after the cursor, nulls last.

    `page_cap` is the most elements of a page; orders with one sort value come in a fixed order of their own.
    """

    def __init__(self, orders: Sequence[Mapping[str, Any]], *, page_cap: int = 1000, shows_sort: bool = True) -> None:
        self.orders = list(orders)
        self.page_cap, self.shows_sort = page_cap, shows_sort
        self.asked: list[dict[str, str]] = []

    def __call__(self, parameters: Mapping[str, str]) -> Page:
        self.asked.append(dict(parameters))
        assert "page" not in parameters
        sort = [part.split(":") for part in parameters["sort"].split(",")]
        rows = [([order.get(field) for field, _ in sort], order) for order in self.orders]
        for n, (_, direction) in reversed(list(enumerate(sort))):
            blank = [row for row in rows if row[0][n] is None]
            rows = sorted(
                (row for row in rows if row[0][n] is not None),
                key=lambda row, n=n: row[0][n], reverse=direction == "desc",
            ) + blank  # fmt: skip
        if "searchAfter" in parameters:
            after = json.loads(parameters["searchAfter"])
            after = after if isinstance(after, list) else [after]
            rows = [row for row in rows if self.is_after(row[0], after, [direction for _, direction in sort])]
        page = rows[: min(int(parameters["pageSize"]), self.page_cap)]
        return make_page(*({**order, **({"sort": key} if self.shows_sort else {})} for key, order in page))

    @staticmethod
    def is_after(key: list[Any], after: list[Any], directions: list[str]) -> bool:
        for value, last, direction in zip(key, after, directions, strict=True):
            if value != last:
                if value is None or last is None:
                    return value is None
                return bool(value < last) if direction == "desc" else bool(value > last)
        return False


ORDERS = st.lists(
    st.tuples(st.integers(1, 60), st.none() | st.integers(0, 5), st.integers(0, 3)), unique_by=lambda row: row[0], max_size=40
)  # fmt: skip
SORTS = ["orderId:asc", "orderId:desc", "seen:asc", "seen:desc", "seen:asc,seller:desc", "seen:desc,orderId:asc"]


@pytest.mark.drawn
@settings(max_examples=examples(1000), deadline=None)
@example([(3, None, 0), (1, 1, 0), (2, 1, 0)], "seen:asc", 2, 1, False, 2)  # a server that gives less than is asked for
@given(
    ORDERS,
    st.sampled_from(SORTS),
    st.integers(1, 12),
    st.integers(1, 12),
    st.booleans(),
    st.none() | st.integers(1, 50),
)
def test_every_order_is_found_once_at_any_page_size_and_sort_or_the_sort_is_refused(
    rows: list[tuple[int, int | None, int]], sort: str, size: int, page_cap: int, shows_sort: bool, limit: int | None
) -> None:
    orders = [{"orderId": n, "seen": seen, "seller": seller} for n, seen, seller in rows]
    server = Elasticsearch(orders, page_cap=page_cap, shows_sort=shows_sort)
    expected = [n for page in (Elasticsearch(orders)({"sort": sort, "pageSize": "1000"}),) for n in map(read_id, page)]
    ids: list[int] = []
    told = None
    try:
        ids += find_order_ids(server, "", sort=sort, limit=limit, page_size=size)
    except UnexpectedResponse as error:
        told = str(error)
    assert server.asked[0]["pageSize"] == str(min(size, limit or size))
    keys = {order["orderId"]: tuple(order[field.split(":")[0]] for field in sort.split(",")) for order in orders}
    if told:
        assert "sort by orderId:asc" in told
        assert max(Counter(keys.values()).values()) >= min(size, page_cap, limit or size)
        assert "orderId" not in sort
    else:
        assert [keys[n] for n in ids] == [keys[n] for n in expected[:limit]]
        assert len(set(ids)) == len(ids)
    if "orderId" in sort:
        assert ids == expected[:limit]


def read_id(element: Mapping[str, msgspec.Raw]) -> int:
    return int(msgspec.json.decode(element["orderId"]))


class ScriptedPages:
    """A list that gives these pages, whatever it is asked, and then the last one for ever."""

    def __init__(self, *pages: Page) -> None:
        self.pages, self.asked = pages, []

    def __call__(self, parameters: Mapping[str, str]) -> Page:
        self.asked.append(dict(parameters))
        return self.pages[min(len(self.asked), len(self.pages)) - 1]

    @property
    def cursors(self) -> list[str | None]:
        return [parameters.get("searchAfter") for parameters in self.asked]


def page_of_ids(*ids: int) -> Page:
    return make_page(*({"orderId": n, "sort": [n]} for n in ids))


def sorted_by(**orders: Any) -> Page:
    """Orders and what they are sorted by: `sorted_by(_7="a")`."""
    return make_page(*({"orderId": int(name[1:]), "sort": [value]} for name, value in orders.items()))


def test_pages_follow_by_cursor_until_one_is_empty() -> None:
    server = ScriptedPages(page_of_ids(1, 2), page_of_ids(3), page_of_ids())
    assert list(find_order_ids(server, "a:b")) == [1, 2, 3]
    assert server.asked[0] == {"sort": "orderId:asc", "pageSize": "1000", "query": "a:b"}
    assert server.cursors == [None, "2", "3"]


def test_orders_that_share_the_sort_value_at_the_end_of_a_page_are_read_again_and_given_once() -> None:
    server = ScriptedPages(
        sorted_by(_1="a", _2="b", _3="b"), sorted_by(_3="b", _2="b", _4="b", _5="c"), sorted_by(_5="c"), sorted_by()
    )
    assert list(find_order_ids(server, "", sort="x:asc")) == [1, 2, 3, 4, 5]
    assert server.cursors == [None, "a", "b", "c"]


def test_a_page_of_one_sort_value_says_to_sort_by_order_id() -> None:
    with pytest.raises(UnexpectedResponse, match=r"one and the same value of x:asc, .* sort by orderId:asc"):
        list(find_order_ids(ScriptedPages(sorted_by(_1="a", _2="a")), "", sort="x:asc", page_size=2))
    assert list(find_order_ids(ScriptedPages(sorted_by(_1="a", _2="a")), "", sort="x:asc", limit=2, page_size=2)) == [
        1,
        2,
    ]


def test_a_few_orders_of_one_sort_value_are_looked_up_by_order_id_too() -> None:
    """A server that gives less than it was asked for may have cut them off: here at two."""
    server = Elasticsearch([{"orderId": n, "x": 7} for n in (5, 3, 9, 4)], page_cap=2)
    assert list(find_order_ids(server, "q", sort="x:asc")) == [5, 3, 4, 9]
    assert {parameters["query"] for parameters in server.asked} == {"q"}
    server = Elasticsearch([{"orderId": n, "x": x} for n, x in ((5, 7), (3, 7), (9, 7), (4, 8))], page_cap=2)
    with pytest.raises(UnexpectedResponse, match="sort by orderId:asc"):
        list(find_order_ids(server, "q", sort="x:asc"))


@pytest.mark.parametrize("sort", ["orderId:asc", "lastModified:desc"])
def test_a_list_that_ignores_the_cursor_is_told_and_not_taken_for_complete(sort: str) -> None:
    server = ScriptedPages(make_page(*({"orderId": n, "lastModified": f"2026-06-0{n}"} for n in (1, 2, 3))))
    ids = find_order_ids(server, "", sort=sort)
    assert list(islice(ids, 3)) == [1, 2, 3]
    with pytest.raises(UnexpectedResponse, match="ignores searchAfter"):
        next(ids)
    assert len(server.asked) == 2


def test_a_list_that_goes_round_in_a_circle_is_told() -> None:
    pages = [page_of_ids(1, 2), page_of_ids(3, 4)] * 5
    with pytest.raises(UnexpectedResponse, match="ignores searchAfter"):
        list(find_order_ids(ScriptedPages(*pages), ""))


def test_an_order_that_comes_twice_is_given_once_and_does_not_turn_the_way_back() -> None:
    server = ScriptedPages(page_of_ids(1, 2, 2), page_of_ids(2, 3, 4, 1), page_of_ids(4, 5, 3), page_of_ids())
    assert list(find_order_ids(server, "")) == [1, 2, 3, 4, 5]
    assert server.cursors == [None, "2", "4", "5"]
    server = ScriptedPages(
        sorted_by(_1="a", _2="b", _3="c"), sorted_by(_3="c", _1="a", _4="d"), sorted_by(_4="d", _2="b"), sorted_by()
    )
    assert list(find_order_ids(server, "", sort="x:asc")) == [1, 2, 3, 4]
    assert server.cursors == [None, "b", "c", "d"]


def test_an_order_that_is_changed_while_the_list_is_read_moves_on_and_hides_no_other() -> None:
    orders = [{"orderId": n, "x": n} for n in range(1, 13)]
    for sort in ("x:asc", "orderId:asc"):
        server = Elasticsearch(orders, page_cap=3)

        def ask(parameters: Mapping[str, str], server: Elasticsearch = server) -> Page:
            page = server(parameters)
            if len(server.asked) < 5:  # the first and the last of the page are changed right after it was read
                moved = {read_id(page[0]), read_id(page[-1])}
                server.orders = [
                    {**order, "x": 100 * len(server.asked) + order["orderId"]} if order["orderId"] in moved else order
                    for order in server.orders
                ]
            return page

        assert sorted(find_order_ids(ask, "", sort=sort)) == list(range(1, 13))


def test_orders_without_the_sort_value_come_last_and_end_the_list() -> None:
    server = ScriptedPages(sorted_by(_1="a", _2="b", _3=None, _4=None), sorted_by(_3=None, _4=None, _5=None))
    assert list(find_order_ids(server, "", sort="x:asc")) == [1, 2, 3, 4, 5]
    assert server.cursors == [None, "b"]


def test_a_list_that_does_not_show_what_it_sorts_by_is_told() -> None:
    page = make_page({"orderId": 1, "x": None}, {"orderId": 2, "x": 5})
    with pytest.raises(UnexpectedResponse, match="does not show by which values x:asc sorts"):
        list(find_order_ids(ScriptedPages(page), "", sort="x:asc"))


@pytest.mark.parametrize(
    ("shown", "cursor"),
    [
        ({"sort": [7]}, "7"), ({"sort": ["a b"]}, "a b"), ({"sort": [7, "x"]}, '[7,"x"]'), ({"sort": "s"}, "s"),
        ({"sort": {"nodeType": "ARRAY"}, "x": 8}, "8"), ({"sort": [None], "x": "y"}, "y"), ({"sort": [], "x": 9}, "9"),
        ({"x": "2026-06-01T00:00:00Z"}, "2026-06-01T00:00:00Z"), ({"sort": [True]}, "true"), ({"sort": [1.5]}, "1.5"),
    ],
)  # fmt: skip
def test_the_cursor_is_what_the_list_shows_that_it_sorts_by(shown: dict[str, Any], cursor: str) -> None:
    server = ScriptedPages(make_page({"orderId": 1, **shown}, {"orderId": 2, "sort": ["z"], "x": "z"}), [])
    list(find_order_ids(server, "", sort="x:asc"))
    assert server.cursors == [None, cursor]


def test_the_values_of_several_sort_fields_are_the_cursor_where_the_list_shows_no_sort() -> None:
    server = ScriptedPages(make_page({"orderId": 7, "x": None}), [])
    assert list(find_order_ids(server, "", sort="x:desc,orderId:asc")) == [7]
    assert server.cursors == [None, "[null,7]"]


def test_a_limit_ends_the_list_and_asks_for_no_more_than_it_needs() -> None:
    server = Elasticsearch([{"orderId": n} for n in range(1, 100)])
    assert list(find_order_ids(server, "", limit=5)) == [1, 2, 3, 4, 5]
    assert [parameters["pageSize"] for parameters in server.asked] == ["5"]
    server.page_cap = 3
    assert list(find_order_ids(server, "", limit=5)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("sort", ["", "orderId", "orderId:up", "orderId:asc,", "a b:asc"])
def test_a_sort_that_makes_no_sense_is_refused_at_once(sort: str) -> None:
    with pytest.raises(ConfigError, match="field:asc or field:desc"):
        find_order_ids(ScriptedPages(), "", sort=sort)
    with pytest.raises(ConfigError, match="limit must be at least 1"):
        find_order_ids(ScriptedPages(), "", limit=0)


@pytest.mark.parametrize(
    "element", [{}, {"orderId": "1"}, {"orderId": None}, {"orderId": 0}, {"orderId": 2**63}, {"orderId": 1.5}]
)
def test_an_element_without_a_usable_id_ends_the_list(element: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedResponse, match="cannot be used"):
        list(find_order_ids(ScriptedPages(make_page(element)), ""))


@pytest.mark.long
def test_a_million_ids_by_order_id_take_8_bytes_each() -> None:
    def ask(parameters: Mapping[str, str]) -> Page:
        start = int(parameters.get("searchAfter", "0")) + 1
        return page_of_ids(*range(start, min(start + 1000, 100_001)))

    tracemalloc.start()
    try:
        assert sum(1 for _ in find_order_ids(ask, "")) == 100_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_500_000  # 0.8 MB of ids, and a page; a set of them takes 8 MB


@pytest.mark.parametrize(
    ("query", "narrowed"),
    [
        ("", "lastModified:[2026-06-01T08:30:00Z TO *]"),
        (" ", "lastModified:[2026-06-01T08:30:00Z TO *]"),
        ("a:1 OR b:2", "(a:1 OR b:2) AND lastModified:[2026-06-01T08:30:00Z TO *]"),
        (r'a:"(" OR (b:\) AND c:"\"")', r'(a:"(" OR (b:\) AND c:"\"")) AND lastModified:[2026-06-01T08:30:00Z TO *]'),
    ],
)  # fmt: skip
def test_since_narrows_the_whole_query(query: str, narrowed: str) -> None:
    assert narrow_to_changes(query, datetime(2026, 6, 1, 8, 30, 0, 999_999), NOW) == narrowed  # noqa: DTZ001 - taken as UTC
    east = timezone(timedelta(hours=2))
    assert narrow_to_changes(query, datetime(2026, 6, 1, 10, 30, tzinfo=east), NOW) == narrowed


@pytest.mark.parametrize("query", ["a:1) OR (b:2", "(a:1", 'a:"1', "a:1\\", ")("])
def test_a_query_that_would_break_out_of_its_brackets_is_refused(query: str) -> None:
    with pytest.raises(ConfigError, match="brackets or quotes of the query do not match"):
        narrow_to_changes(query, NOW, NOW)


def test_since_cannot_lie_in_the_future() -> None:
    with pytest.raises(ConfigError, match="2026-06-01T12:00:01Z lies in the future"):
        narrow_to_changes("", NOW + timedelta(seconds=1), NOW)
    with pytest.raises(ConfigError, match="out of the range"):
        narrow_to_changes("", datetime.min.replace(tzinfo=timezone(timedelta(hours=2))), NOW)


# Through the client, over HTTP


def test_find_gives_each_id_once_page_after_page(standin: StandIn, client: Client) -> None:
    def find_by_forty(query: str = "", **options: Any) -> list[int]:
        return list(find_order_ids(client._fetch_page, query, page_size=40, **options))

    assert list(client.find()) == find_by_forty() == list(standin.order_ids)
    descending = find_by_forty("orderId:[100010 TO *]", sort="orderId:desc", limit=50)
    assert descending == list(range(100300, 100250, -1))
    assert list(client.find("orderId:[100010 TO 100019]")) == list(range(100010, 100020))
    assert list(client.find("orderId:7")) == []
    for sort in ("lastModified:desc", "completedAt:asc,orderId:asc"):
        assert sorted(find_by_forty(sort=sort)) == list(standin.order_ids)


def test_find_since_gives_what_was_changed_since_and_the_query_finds(standin: StandIn, client: Client) -> None:
    modified = {n: json.loads(client.refetch(n).body)["lastModified"] for n in standin.order_ids[:60]}
    middle = sorted(modified.values())[30]
    since = datetime.fromisoformat(middle)
    either = " OR ".join(f"orderId:{n}" for n in modified)
    assert set(client.find(either, since=since)) == {n for n, at in modified.items() if at >= middle}


def test_a_query_that_quivo_refuses_is_the_users(client: Client) -> None:
    with pytest.raises(ConfigError, match=r"Quivo refused the search \(400: .*\). Check the query"):
        list(client.find("((("))
