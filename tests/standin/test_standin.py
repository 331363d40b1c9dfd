"""The stand-in API: orders that look like trade and never change by themselves, answers and faults as asked for."""

from __future__ import annotations

import hashlib
import http.client
import json
import math
import re
import ssl
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode

import pytest
import trustme

from quivo_frames.errors import ConfigError
from quivo_frames.standin.faults import ServerFault, date_in
from quivo_frames.standin.orders import order_json, write_ndjson
from quivo_frames.standin.random import LogNormal, draw_seconds
from quivo_frames.standin.search import Paging
from quivo_frames.standin.server import StandIn
from quivo_frames.standin.throttle import TokenBucket
from tests.support.api_caller import FIRST_ORDER, LoggedInCaller, stand_in_with_faults
from tests.support.hostile_attributes import hostile_order_json
from tests.support.paths import DOCUMENTED_ORDER

DOCUMENTED = json.loads(DOCUMENTED_ORDER.read_text())


@pytest.fixture(scope="module")
def shared():
    with StandIn(60) as api:
        yield api


@pytest.fixture
def caller(shared, log_in):
    return log_in(shared)


# --- orders ---


@pytest.fixture(scope="module")
def many():
    return [json.loads(order_json(FIRST_ORDER + number)) for number in range(3000)]


@pytest.mark.parametrize(
    ("make_order", "expected"),
    [
        (order_json, "4bf84f40e161fe02906d23b3c163fcd0d59d083eaacc28837abe970a3cc12bd4"),
        (hostile_order_json, "3d5cd88353c00a0a52e016ce11d47f0f2ff3a9111cd7399d3089f8b9756a69af"),
    ],
)
def test_orders_are_the_same_bytes_everywhere(make_order, expected):
    digest = hashlib.sha256(
        b"\n".join(make_order(FIRST_ORDER + number, seed=7, visit=number % 3) for number in range(50))
    )
    assert digest.hexdigest() == expected


def test_another_seed_gives_other_orders():
    assert order_json(FIRST_ORDER, seed=1) != order_json(FIRST_ORDER, seed=2)


def walk_json(value: object, path: str = "$"):
    """Path and value of everything in a JSON value; handling units at any depth share their paths."""
    yield path, value
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in {"customAttributes", "childHandlingUnits"}:
                yield f"{path}.{key}", inner
            else:
                yield from walk_json(inner, f"{path}.{key}")
        for inner in value.get("childHandlingUnits") or ():
            yield from walk_json(inner, path)
    elif isinstance(value, list):
        for inner in value:
            yield from walk_json(inner, f"{path}[]".replace(".childHandlingUnits[]", "[]"))


@pytest.mark.long
def test_every_documented_field_occurs_and_is_left_out_somewhere_and_no_other_occurs():
    documented = {path for path, _ in walk_json(DOCUMENTED)}
    filled, objects = defaultdict(int), defaultdict(int)
    for number in range(8000):
        for path, value in walk_json(json.loads(order_json(FIRST_ORDER + number))):
            filled[path] += value not in (None, "", [], {})
            objects[path] += isinstance(value, dict)
    assert set(filled) <= documented
    assert [path for path in documented if not filled[path]] == []
    keys = [path for path in documented if path != "$" and not path.endswith("[]")]
    assert [path for path in keys if filled[path] >= objects[path.rpartition(".")[0]]] == ["$.orderId"]


@pytest.mark.long
@pytest.mark.parametrize("nothing", ["missing", None, "", [], {}], ids=str)
def test_nothing_is_written_in_every_way(many, nothing):
    def ways(found):
        return [found.get(key, "missing") for key in ("comment", "handlingUnits", "invoiceAddress")]

    assert any(way == nothing and type(way) is type(nothing) for found in many for way in ways(found))


def test_keys_stand_in_the_documented_order(many):
    order_of = {key: place for place, key in enumerate(DOCUMENTED)}
    for found in many[:300]:
        places = [order_of[key] for key in found]
        assert places == sorted(places)


def walk_units(found: dict, depth: int = 1):
    for unit in found.get("handlingUnits" if depth == 1 else "childHandlingUnits") or ():
        yield unit, depth
        yield from walk_units(unit, depth + 1)


def test_handling_units_go_five_levels_deep_and_bear_valid_ssccs(many):
    ssccs = [unit["sscc"] for found in many for unit, _ in walk_units(found) if unit.get("sscc")]
    assert max(depth for found in many for _, depth in walk_units(found)) == 5
    assert len(ssccs) > 1000
    assert {len(sscc) for sscc in ssccs} == {18}
    assert are_few_wrong(
        [sum(int(digit) * (3, 1)[at % 2] for at, digit in enumerate(sscc)) % 10 == 0 for sscc in ssccs]
    )


def are_few_wrong(verdicts: list[bool], share: float = 0.02) -> bool:
    """Whether it is so but for the few that are wrong on purpose."""
    return 0 < verdicts.count(False) < share * len(verdicts)


def sum_quantities(lines: list[dict] | None, key: str) -> dict[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for line in lines or ():
        sums[line[key]] += line["quantity"]
    return dict(sums)


def quantities_agree(found: dict) -> bool:
    """Ordered = planned = shipped = packed, for each line; the head of a bundle is only sold."""
    positions, parts = found["positions"] or [], found["fulfillmentOrders"] or []
    heads = {line.get("bundledBy") for line in positions}
    sold = [line for line in positions if line["sku"] not in heads]
    shipments = [sent for part in parts for sent in part["shipments"] or () if not sent["reversed"]]
    shipped = sum_quantities([line for sent in shipments for line in sent["positions"]], "positionIdentifier")
    packed = sum_quantities(
        [line for u, _ in walk_units(found) for line in u.get("handlingPositions") or ()], "positionIdentifier"
    )
    every = [sent for part in parts for sent in part["shipments"] or () if sent.get("sscc")]
    labelled = sum_quantities([line for sent in every for line in sent["positions"]], "positionIdentifier")
    planned = sum_quantities([line for part in parts for line in part["positions"]], "sku")
    return (
        sum_quantities(sold, "sku") == planned
        and sum_quantities(sold, "positionIdentifier") == shipped
        and packed == labelled
        and all(round(line["quantity"] * line["unitNetPrice"], 2) == line["totalNetAmount"] for line in positions)
    )


def test_quantities_and_sums_agree_but_for_a_few_percent(many):
    verdicts = []
    for found in many:
        if found.get("orderStatus") in {"DELIVERED", "COMPLETED"}:
            with suppress(KeyError, TypeError):  # a field that is needed is missing
                verdicts.append(quantities_agree(found))
    assert len(verdicts) > 2000
    assert 0.02 < verdicts.count(False) / len(verdicts) < 0.05


def test_serial_numbers_are_as_many_as_pieces(many):
    lines = [
        line
        for found in many
        for part in found.get("fulfillmentOrders") or ()
        for shipment in part.get("shipments") or ()
        for line in shipment.get("positions") or ()
        if line.get("serialNumbers") and line.get("quantity")
    ]
    assert are_few_wrong([len(set(line["serialNumbers"])) == line["quantity"] for line in lines])


def test_orders_look_like_trade(many):
    def share(true) -> float:
        return sum(map(bool, map(true, many))) / len(many)

    parts = [found.get("fulfillmentOrders") or () for found in many]
    assert {part.get("warehouseId") for found in parts for part in found} >= {4, 7, 8}
    assert len({found.get("sellerId") for found in many}) > 4
    assert 0.05 < sum(len(found) > 1 for found in parts) / len(many) < 0.2
    assert 0.02 < share(lambda found: found.get("orderStatus") == "PARTIALLY_SHIPPED") < 0.08
    assert 0.02 < share(lambda found: found.get("cancelRequestedAt")) < 0.08
    assert 0.02 < share(lambda found: found.get("piiDataRemoved")) < 0.05
    assert 0.3 < share(lambda found: len(found.get("positions") or ()) == 1) < 0.6
    assert min(found["created"] for found in many if found.get("created")) > "2026-03"
    assert max(found["lastModified"] for found in many if found.get("lastModified")) < "2026-11"


def test_personal_data_is_gone_where_the_order_says_so(many):
    removed = [found for found in many if found.get("piiDataRemoved")]
    names = ("name1", "name2", "address1", "address2", "address3", "phone", "email", "latitude", "longitude")
    kept = [any((found.get("deliveryAddress") or {}).get(name) for name in names) for found in removed]
    assert are_few_wrong([not is_kept for is_kept in kept], share=0.15)
    for found, is_kept in zip(removed, kept, strict=True):
        assert is_kept or not any(found.get(name) for name in ("customerIdentifier", "comment", "deliveryInstruction"))


def test_the_text_of_free_form_numbers_and_of_money_is_exact():
    text = b"\n".join(order_json(FIRST_ORDER + number) for number in range(300))
    assert b'"shipping_value":12.50' in text
    assert not any(len(number.partition(b".")[2]) > 2 for number in money_texts(text))


def money_texts(text: bytes) -> list[bytes]:
    return re.findall(rb'"(?:unit|total)(?:Net|Gross)(?:Price|Amount)":([0-9.e+-]+)', text)


def shipments_of(found: dict) -> list[tuple]:
    """What tells the shipments of an order apart, whenever it is looked at."""
    shipments = [sent for part in found.get("fulfillmentOrders") or () for sent in part.get("shipments") or ()]
    return [(sent.get("shipmentId"), sent.get("trackingNumbers"), sent.get("positions")) for sent in shipments]


def test_a_later_visit_shows_the_same_order_further_along():
    grown = 0
    for order_id in range(FIRST_ORDER, FIRST_ORDER + 300):
        first, later, last = (json.loads(order_json(order_id, visit=visit)) for visit in (0, 2, 5))
        assert first.get("positions") == later.get("positions") == last.get("positions")
        assert first.get("deliveryAddress") == last.get("deliveryAddress")
        assert (
            (first.get("lastModified") or "") <= (later.get("lastModified") or "") <= (last.get("lastModified") or "")
        )
        assert shipments_of(first) == shipments_of(later)[: len(shipments_of(first))]
        grown += first != last
        if first != last and first.get("lastModified"):
            assert first["lastModified"] < last["lastModified"]
    assert grown > 60
    assert order_json(FIRST_ORDER, visit=5) == order_json(FIRST_ORDER, visit=50)


def test_ids_fit_64_bits_whatever_the_order_is_called():
    body = order_json(2**63 - 1)
    assert json.loads(body)["orderId"] == 2**63 - 1
    assert all(int(number) < 2**63 for number in re.findall(rb'Id":(\d+)', body))


def test_ndjson_has_a_line_an_order_and_breaks_one_in_k(tmp_path):
    write_ndjson(tmp_path / "orders.ndjson", 20, seed=3, broken_every=5)
    lines = (tmp_path / "orders.ndjson").read_bytes().splitlines()
    assert [line == order_json(FIRST_ORDER + place, seed=3) for place, line in enumerate(lines)] == (
        [True] * 4 + [False]
    ) * 4
    command = [sys.executable, "-m", "quivo_frames.standin.orders", "20", "--seed", "3", "--broken-every", "5"]
    assert subprocess.run(command, capture_output=True, check=True).stdout.splitlines() == lines


# --- login and the rules of the API ---


def ask_plainly(api: StandIn, path: str, body: bytes = b"", **headers: str) -> bytes:
    """The body of the answer to a POST, through nothing but the standard library."""
    connection = http.client.HTTPConnection("127.0.0.1", int(api.base_url.rpartition(":")[2]), timeout=10)
    with closing(connection):
        connection.request("POST", path, body, {"X-Api-Key": api.api_key, **headers})
        return connection.getresponse().read()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, rb'\{"token":"(.+)"\}'),
        ({"token_field": "Token"}, rb'\{"Token":"(.+)"\}'),
        ({"token_field": "Token", "login_envelope": "data"}, rb'\{"data":\{"Token":"(.+)"\}\}'),
    ],
)
def test_a_login_answers_in_every_spelling_that_clients_read(options, expected):
    with StandIn(1, **options) as api:
        login = json.dumps({"username": api.username, "password": api.password}).encode()
        found = re.fullmatch(expected, ask_plainly(api, "/login", login))
        assert found
        order = ask_plainly(api, f"/orders/{FIRST_ORDER}/refetch", Authorization=found[1].decode())
        assert order == order_json(FIRST_ORDER)


@pytest.mark.parametrize(
    ("envelope", "unwrap"),
    [
        ("", lambda answer: answer),
        ("data", lambda answer: answer.pop("data") if [*answer] == ["data"] else None),
        ("order", lambda answer: answer.pop("order") if [*answer] == ["order"] else None),
        ("list", lambda answer: answer.pop() if len(answer) == 1 else None),
    ],
)
def test_an_order_may_come_in_an_envelope(envelope, unwrap, log_in):
    with StandIn(3, envelope=envelope) as api:
        caller = log_in(api)
        bodies = [caller.refetch(FIRST_ORDER)[1] for _ in range(2)]
        assert unwrap(json.loads(bodies[0])) == json.loads(order_json(FIRST_ORDER))
        assert api.body_sent(FIRST_ORDER) == bodies[-1]
        assert api.hashes_sent(FIRST_ORDER) == [hashlib.sha256(body).hexdigest() for body in bodies]


def test_a_refetch_answers_the_order(caller):
    status, body = caller.refetch(FIRST_ORDER + 1)
    assert (status, body) == (200, order_json(FIRST_ORDER + 1))
    assert caller.api.body_sent(FIRST_ORDER + 1) == body
    assert caller.api.refetch_count(FIRST_ORDER + 1) == 1


def test_each_refetch_is_a_visit(log_in):
    moving = next(i for i in range(FIRST_ORDER, FIRST_ORDER + 200) if order_json(i, visit=0) != order_json(i, visit=1))
    with StandIn(200) as api:
        caller = log_in(api)
        assert [caller.refetch(moving)[1] for _ in range(2)] == [order_json(moving), order_json(moving, visit=1)]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X_Api_Key": ""}, (403, {"message": "Forbidden"})),
        ({"X_Api_Key": "wrong"}, (403, {"message": "Forbidden"})),
        ({"Authorization": ""}, (401, {"message": "Unauthorized"})),
        ({"Authorization": "garbled"}, (401, {"message": "Unauthorized"})),
    ],
    ids=["no key", "wrong key", "no token", "garbled token"],
)
def test_without_key_and_token_nothing_is_answered(caller, headers, expected):
    status, body = caller.send("GET", "/ping", **({"Authorization": caller.token} | headers))
    assert (status, json.loads(body)) == expected


def test_a_token_is_taken_bare_and_as_bearer(caller):
    assert caller.send("GET", "/ping", Authorization=caller.token)[0] == 200
    assert caller.send("GET", "/ping", Authorization=f"Bearer {caller.token}")[0] == 200


def test_a_wrong_password_and_a_wrong_key_are_refused_at_login(caller):
    right = {"username": caller.api.username, "password": caller.api.password}
    assert caller.send("POST", "/login", right | {"password": "wrong"})[0] == 401
    assert caller.send("POST", "/login", right, X_Api_Key="wrong")[0] == 403
    assert caller.send("POST", "/login", [1])[0] == 400


def test_tokens_expire_and_can_be_revoked(log_in):
    with StandIn(5, token_seconds=0.1) as api:
        caller = log_in(api)
        assert caller.refetch(FIRST_ORDER)[0] == 200
        time.sleep(0.12)
        expired = caller.refetch(FIRST_ORDER)
        caller.token = caller.log_in()
        assert caller.refetch(FIRST_ORDER)[0] == 200
        api.revoke_tokens()
        assert caller.refetch(FIRST_ORDER) == expired == (401, b'{"message":"The incoming token has expired"}')
        assert (api.logins, api.requests) == (2, 6)


def test_an_unknown_order_is_a_404_and_a_malformed_id_a_plain_400(caller):
    status, body = caller.refetch(999)
    assert status == 404
    assert "999" in json.loads(body)["message"]
    for malformed in ("abc", "0", "-1", "1.5", 2**63, "9" * 5000):
        status, body = caller.refetch(malformed)
        assert status == 400
        assert body.startswith(b"orderId: must be")
        assert caller.reply.headers["Content-Type"].startswith("text/plain")


def test_beyond_the_rate_comes_429_without_a_hint(log_in):
    with StandIn(40, rate=50) as api:
        caller = log_in(api)
        begun = time.monotonic()
        statuses = [caller.refetch(order_id)[0] for order_id in api.order_ids]
        spent = time.monotonic() - begun
        assert caller.reply.headers["Retry-After"] is None
        assert statuses[:5] == [200] * 5
        assert statuses.count(200) <= 5 + 50 * spent + 1
        assert statuses.count(429) == api.throttled > 20
        time.sleep(0.05)
        assert caller.refetch(FIRST_ORDER)[0] == 200


def test_latency_delays_every_answer(log_in):
    with StandIn(5, latency=0.05) as api:
        begun = time.monotonic()
        assert log_in(api).refetch(FIRST_ORDER)[0] == 200
        assert time.monotonic() - begun > 0.1


def test_a_port_in_use_is_told(shared):
    with pytest.raises(ConfigError, match="choose another"):
        StandIn(port=int(shared.base_url.rpartition(":")[2])).start()


def test_a_stopped_server_can_be_started_again(log_in):
    api = StandIn(5)
    for _ in range(2):
        with api:
            assert log_in(api).refetch(FIRST_ORDER)[0] == 200
        with pytest.raises(ConnectionError):
            log_in(api)


def test_a_server_may_be_stopped_at_once():
    for _ in range(20):
        StandIn(1).start().stop()


def test_requests_may_arrive_in_pieces_and_together(shared, log_in):
    caller = log_in(shared)
    request = f"GET /ping HTTP/1.1\r\nX-Api-Key: {shared.api_key}\r\nAuthorization: {caller.token}\r\n\r\n".encode()
    wire = caller.connection.sock
    wire.sendall(request[:30])
    time.sleep(0.02)
    wire.sendall(request[30:] + request)
    received = b""
    while received.count(b"UP") < 2:
        received += wire.recv(1000)
    assert received.count(b"HTTP/1.1 200 OK") == 2


# --- GET /orders ---


def test_the_list_is_a_bare_array_of_25(caller):
    found = caller.find_orders()
    assert [element["orderId"] for element in found] == list(caller.api.order_ids)[:25]
    assert {"shipToCountry", "positions", "fulfillmentOrders", "sort"} <= set(found[0])
    assert "deliveryAddress" not in found[0]


def test_pages_cover_everything_once(caller):
    pages = [caller.find_orders(sort="created:asc", page=page, pageSize=17) for page in range(5)]
    ids = [element["orderId"] for page in pages for element in page]
    assert [len(page) for page in pages] == [17, 17, 17, 9, 0]
    assert sorted(ids) == list(caller.api.order_ids)


@pytest.mark.parametrize("sort", ["orderId:asc", "orderId:desc", "lastModified:asc", "completedAt:desc,orderId:asc"])
def test_search_after_covers_everything_once_in_order(caller, sort):
    found = caller.find_orders(sort=sort, pageSize=7)
    seen = list(found)
    while found:
        cursor = found[-1]["sort"] if "," in sort else found[-1]["sort"][0]
        found = caller.find_orders(sort=sort, pageSize=7, searchAfter=json.dumps(cursor))
        seen += found
    assert sorted(element["orderId"] for element in seen) == list(caller.api.order_ids)
    filled = [element["sort"][0] for element in seen if element["sort"][0] is not None]
    assert filled == sorted(filled, reverse="desc" in sort)


def test_search_after_takes_the_plain_value_of_the_sort_field(caller):
    first, second = caller.find_orders(sort="created:asc", pageSize=2)
    assert (
        caller.find_orders(sort="created:asc", pageSize=1, searchAfter=first["created"])[0]["orderId"]
        == second["orderId"]
    )


def test_queries_select(caller):
    everything = caller.find_orders(pageSize=1000)

    def ids(query: str) -> set[int]:
        return {element["orderId"] for element in caller.find_orders(query=query, pageSize=1000)}

    def those(rule) -> set[int]:
        return {element["orderId"] for element in everything if rule(element)}

    status, middle = everything[0]["orderStatus"], "2026-08-01T00:00:00Z"
    assert ids("*") == ids("") == set(caller.api.order_ids)
    assert ids(f"orderStatus:{status}") == those(lambda e: e["orderStatus"] == status) != ids("*")
    assert ids(f"NOT orderStatus:{status}") == ids("*") - ids(f"orderStatus:{status}")
    assert ids(f"orderId:[{FIRST_ORDER} TO {FIRST_ORDER + 9}] AND orderStatus:{status}") == ids(
        f"orderStatus:{status}"
    ) & set(range(FIRST_ORDER, FIRST_ORDER + 10))
    assert ids(f"orderId:{FIRST_ORDER} OR orderId:{FIRST_ORDER + 5}") == {FIRST_ORDER, FIRST_ORDER + 5}
    assert ids(f"created:[{middle} TO *]") == those(lambda e: (e["created"] or "") >= middle) != ids("*")
    assert ids(f"created:[* TO {middle}]") | ids(f"created:[{middle} TO *]") == ids("created:*")
    day = (everything[0]["created"] or "")[:10]
    assert everything[0]["orderId"] in ids(f"created:[{day} TO {day}]")
    assert ids(f'orderIdentifier:"{everything[3]["orderIdentifier"]}"') == {everything[3]["orderId"]}
    assert ids(f"NOT (orderId:{FIRST_ORDER} OR orderId:{FIRST_ORDER + 1})") == ids("*") - {FIRST_ORDER, FIRST_ORDER + 1}


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"pageSize": 1001}, "pageSize"),
        ({"pageSize": "many"}, "pageSize"),
        ({"page": -1}, "page"),
        ({"sort": "created"}, "sort"),
        ({"sort": "comment:asc"}, "sort"),
        ({"searchAfter": 5}, "searchAfter"),
        ({"sort": "orderId:asc", "searchAfter": "[1,2]"}, "searchAfter"),
        ({"query": "orderId:abc"}, "orderId"),
        ({"query": "nonsense"}, "query"),
        ({"query": "orderId:1 AND"}, "query"),
        ({"query": "(orderId:1"}, "query"),
        ({"query": "colour:red"}, "query"),
        ({"query": "orderId:[1 2]"}, "query"),
    ],
)
def test_a_list_request_that_cannot_be_understood_is_a_plain_400(caller, parameters, field):
    status, body = caller.send("GET", f"/orders?{urlencode(parameters)}", Authorization=caller.token)
    assert status == 400
    assert body.decode().startswith(f"{field}: ")


def test_an_unknown_path_is_refused(caller):
    assert caller.send("GET", "/nowhere", Authorization=caller.token)[0] == 403


# --- limits ---


def test_the_timeline_tells_when_each_refetch_came_and_what_was_answered(log_in):
    with stand_in_with_faults(ServerFault.status(503), ServerFault.truncate()) as api:
        caller = log_in(api)
        begun = time.monotonic()
        caller.refetch(FIRST_ORDER)
        with pytest.raises(http.client.IncompleteRead):
            caller.refetch(FIRST_ORDER)
        caller.connection.close()
        caller.refetch(FIRST_ORDER)
        caller.send("GET", "/ping", Authorization=caller.token)
        caller.refetch(999)
        assert [status for _, status in api.timeline] == [503, 0, 200, 404]
        times = [at for at, _ in api.timeline]
        assert begun <= times[0] <= times[1] <= times[2] <= times[3] <= time.monotonic()


def test_a_burst_goes_at_once_and_the_limit_moves_while_it_serves(log_in):
    with StandIn(40, rate=0.001, burst=7, retry_after="0.5") as api:
        caller = log_in(api)
        assert [caller.refetch(FIRST_ORDER)[0] for _ in range(9)] == [200] * 7 + [429] * 2
        assert caller.reply.headers["Retry-After"] == "0.5"
        api.retry_after = date_in(-3600)
        assert caller.refetch(FIRST_ORDER)[0] == 429
        told = parsedate_to_datetime(caller.reply.headers["Retry-After"])
        assert 3590 < (datetime.now(UTC) - told).total_seconds() < 3610
        api.rate = None
        assert {caller.refetch(FIRST_ORDER)[0] for _ in range(20)} == {200}
        api.rate = 0.001
        api.burst = 3
        assert [caller.refetch(FIRST_ORDER)[0] for _ in range(5)] == [200] * 3 + [429] * 2


@pytest.mark.parametrize(("rate", "at_once"), [(0.001, 2), (15, 2), (40, 4)])
def test_without_a_burst_what_comes_in_a_tenth_of_a_second_goes_at_once_and_at_least_two(rate, at_once, log_in):
    bucket = TokenBucket()
    assert [bucket.take_token(1.0, rate, None) for _ in range(6)] == [True] * at_once + [False] * (6 - at_once)
    with StandIn(5, rate=0.001) as api:
        caller = log_in(api)
        assert [caller.refetch(FIRST_ORDER)[0] for _ in range(3)] == [200, 200, 429]


@pytest.mark.alone
def test_log_normal_latency_is_what_was_drawn_for_the_order(log_in):
    latency = LogNormal(0.03, 1.0)
    with StandIn(8, seed=3) as api:
        caller = log_in(api)
        api.latency = latency
        for order_id in api.order_ids:
            begun = time.monotonic()
            assert caller.refetch(order_id)[0] == 200
            drawn = draw_seconds(latency, 3, "latency", order_id, 0)
            assert drawn - 0.002 < time.monotonic() - begun < drawn + 0.5


def test_log_normal_latency_has_its_median_and_repeats_itself():
    latency = LogNormal(0.2, 0.5)
    drawn = sorted(draw_seconds(latency, 7, order_id, 0) for order_id in range(4001))
    assert drawn == sorted(draw_seconds(latency, 7, order_id, 0) for order_id in range(4001))
    assert 0.19 < drawn[2000] < 0.21
    assert 0.47 < math.log(drawn[3364] / drawn[2000]) < 0.53  # one sigma: 84.1 %
    assert draw_seconds(latency, 7, 1, 0) != draw_seconds(latency, 7, 1, 1) != draw_seconds(latency, 8, 1, 1)
    assert draw_seconds(0.3, 7, 1, 0) == 0.3


# --- lists that are not as one would wish ---


@pytest.fixture
def paged(log_in):
    with ExitStack() as closing:

        def paged(count: int = 12, **options) -> tuple[StandIn, LoggedInCaller]:
            api = closing.enter_context(StandIn(count, **options))
            return api, log_in(api)

        yield paged


def ids_of(found: list[dict]) -> list[int]:
    return [element["orderId"] for element in found]


def cursor_after(found: list[dict]) -> str:
    return json.dumps(found[-1]["sort"])


def test_a_list_may_show_orders_twice(paged):
    _, caller = paged(paging=Paging(twice=frozenset({FIRST_ORDER + 1, FIRST_ORDER + 3})))
    pages = [ids_of(caller.find_orders(pageSize=5, page=page)) for page in range(3)]
    assert [[order_id - FIRST_ORDER for order_id in page] for page in pages] == [
        [0, 1, 1, 2, 3],
        [3, 4, 5, 6, 7],
        [8, 9, 10, 11],
    ]


def test_a_list_may_ignore_the_cursor(paged):
    _, caller = paged(paging=Paging(follows_cursor=False))
    first = caller.find_orders(pageSize=5, sort="orderId:asc")
    assert caller.find_orders(pageSize=5, sort="orderId:asc", searchAfter=cursor_after(first)) == first


def test_a_list_may_give_less_than_was_asked_for(paged):
    _, caller = paged(paging=Paging(largest=5))
    assert [len(caller.find_orders(pageSize=10, page=page)) for page in range(4)] == [5, 5, 2, 0]


def test_a_list_may_hide_its_cursors(paged):
    _, caller = paged(paging=Paging(shows_sort=False))
    assert not any("sort" in element for element in caller.find_orders(sort="orderId:asc"))


def test_the_first_page_may_be_1(paged):
    _, caller = paged(paging=Paging(first=1))
    assert (
        ids_of(caller.find_orders(pageSize=5))
        == ids_of(caller.find_orders(pageSize=5, page=1))
        == list(range(FIRST_ORDER, FIRST_ORDER + 5))
    )
    assert ids_of(caller.find_orders(pageSize=5, page=2))[0] == FIRST_ORDER + 5
    assert caller.send("GET", "/orders?page=0", Authorization=caller.token)[0] == 400


def test_orders_that_are_touched_between_pages_come_again_or_push_others_out(paged):
    api, caller = paged()
    by_time = ids_of(caller.find_orders(sort="lastModified:asc"))
    calls: list[int] = []

    def touch_the_first(pages: int) -> None:
        calls.append(pages)
        if pages == 2:
            api.touch_orders(by_time[0])

    api.between_pages = touch_the_first
    first = caller.find_orders(sort="lastModified:asc", pageSize=6)
    rest = caller.find_orders(sort="lastModified:asc", pageSize=20, searchAfter=cursor_after(first))
    assert ids_of(first) == by_time[:6]
    assert ids_of(rest) == [*by_time[6:], by_time[0]]
    assert rest[-1]["lastModified"] > max(element["lastModified"] for element in rest[:-1])
    assert calls == [1, 2]

    api.between_pages = None
    assert ids_of(caller.find_orders(sort="lastModified:asc", pageSize=6, page=0)) == by_time[1:7]
    api.between_pages = lambda pages: api.touch_orders(by_time[1])
    second = ids_of(caller.find_orders(sort="lastModified:asc", pageSize=6, page=1))
    assert second == [*by_time[8:], *by_time[:2]]  # by page number, order 7 is missed
    api.between_pages = None
    query = f"lastModified:[{rest[-1]['lastModified']} TO *]"
    assert ids_of(caller.find_orders(query=query, sort="lastModified:asc")) == [by_time[0], by_time[1]]


def test_orders_may_appear_between_pages(paged):
    api, caller = paged()
    first = caller.find_orders(sort="orderId:asc", pageSize=6)
    api.between_pages = lambda pages: api.add_orders(2)
    rest = caller.find_orders(sort="orderId:asc", pageSize=20, searchAfter=cursor_after(first))
    assert ids_of(rest) == list(range(FIRST_ORDER + 6, FIRST_ORDER + 14))
    assert caller.refetch(FIRST_ORDER + 13)[0] == 200


def test_a_list_may_fail_page_by_page(paged):
    _, caller = paged(list_faults=[ServerFault.status(503), ServerFault.cut_json(), ServerFault.html()])
    answers = [caller.send("GET", "/orders", Authorization=caller.token) for _ in range(4)]
    assert [status for status, _ in answers] == [503, 200, 200, 200]
    assert answers[3][1].startswith(answers[1][1])
    assert len(answers[1][1]) == len(answers[3][1]) // 2
    assert answers[2][1].startswith(b"<!DOCTYPE")


# --- TLS ---


def test_it_speaks_tls_with_a_certificate_of_ones_own(tmp_path):
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with StandIn(
        5, faults={FIRST_ORDER + 1: [ServerFault.truncate()], FIRST_ORDER + 2: [ServerFault.reset()]}, tls=server
    ) as api:
        assert api.base_url.startswith("https://127.0.0.1:")
        host = api.base_url.removeprefix("https://")
        with pytest.raises(ssl.SSLCertVerificationError):
            http.client.HTTPSConnection(host, timeout=5).connect()
        wire = http.client.HTTPSConnection(host, timeout=5, context=trusting)

        def send(path: str, body: str | None = None, token: str = "") -> bytes:
            wire.request("POST", path, body, {"X-Api-Key": api.api_key, "Authorization": token})
            return wire.getresponse().read()

        login = json.dumps({"username": api.username, "password": api.password})
        token = json.loads(send("/login", login))["token"]
        assert send(f"/orders/{FIRST_ORDER}/refetch", token=token) == order_json(FIRST_ORDER)
        with pytest.raises(http.client.IncompleteRead):
            send(f"/orders/{FIRST_ORDER + 1}/refetch", token=token)
        wire.close()
        with pytest.raises((ConnectionResetError, ssl.SSLError)):
            send(f"/orders/{FIRST_ORDER + 2}/refetch", token=token)
        wire.close()
        assert send(f"/orders/{FIRST_ORDER + 2}/refetch", token=token) == order_json(FIRST_ORDER + 2, visit=1)
        wire.close()
