"""The stand-in API: orders that look like trade and never change by themselves, answers and faults as asked for."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import math
import re
import socket
import ssl
import subprocess
import sys
import time
import zlib
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import pytest
import trustme

from quivo_frames.errors import ConfigError
from quivo_frames.standin import (
    Chaos,
    Fault,
    LogNormal,
    Paging,
    StandIn,
    date_in,
    every_fault,
    order,
    order_json,
    write_ndjson,
)
from quivo_frames.standin.chance import seconds
from quivo_frames.standin.faults import SHAPES, THROTTLED, Way

DOCUMENTED = json.loads((Path(__file__).parent / "documented_order.json").read_text())
FIRST = 100001


class Caller:
    """A plain HTTP client that is logged in."""

    def __init__(self, api: StandIn) -> None:
        self.api = api
        self.wire = http.client.HTTPConnection(api.base_url.removeprefix("http://"), timeout=5)
        self.token = self.login()

    def login(self, **wrong: str) -> str:
        status, body = self.send(
            "POST", "/login", {"username": self.api.username, "password": self.api.password} | wrong
        )
        assert status == 200
        return json.loads(body)["token"]

    def send(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
        text = None if body is None else json.dumps(body)
        keys = {"X-Api-Key": self.api.api_key} | {name.replace("_", "-"): value for name, value in headers.items()}
        self.wire.request(method, path, text, {name: value for name, value in keys.items() if value})
        self.reply = self.wire.getresponse()
        return self.reply.status, self.reply.read()

    def refetch(self, order_id: object) -> tuple[int, bytes]:
        return self.send("POST", f"/orders/{order_id}/refetch", Authorization=self.token)

    def find(self, **parameters: object) -> list[dict]:
        status, body = self.send("GET", f"/orders?{urlencode(parameters)}", Authorization=self.token)
        assert status == 200, body
        return json.loads(body)


@pytest.fixture(scope="module")
def shared():
    with StandIn(60) as api:
        yield api


@pytest.fixture
def log_in():
    with ExitStack() as closing:

        def log_in(api: StandIn) -> Caller:
            caller = Caller(api)
            closing.callback(caller.wire.close)
            return caller

        yield log_in


@pytest.fixture
def caller(shared, log_in):
    return log_in(shared)


def calling(*faults: Fault, **options) -> StandIn:
    return StandIn(20, faults={FIRST: faults}, **options)


# --- orders ---


@pytest.fixture(scope="module")
def many():
    return [order(FIRST + number) for number in range(3000)]


def test_orders_are_the_same_bytes_everywhere():
    digest = hashlib.sha256(b"\n".join(order_json(FIRST + number, seed=7, visit=number % 3) for number in range(50)))
    assert digest.hexdigest() == "3d4791aad54aa71a788242cbeb130759add23f89fa627388455e6af07ccb421e"


def test_another_seed_gives_other_orders():
    assert order_json(FIRST, seed=1) != order_json(FIRST, seed=2)


def leaves(value: object, path: str = "$"):
    """Path and value of everything in a JSON value; handling units at any depth share their paths."""
    yield path, value
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in {"customAttributes", "childHandlingUnits"}:
                yield f"{path}.{key}", inner
            else:
                yield from leaves(inner, f"{path}.{key}")
        for inner in value.get("childHandlingUnits") or ():
            yield from leaves(inner, path)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, f"{path}[]".replace(".childHandlingUnits[]", "[]"))


def test_every_documented_field_occurs_and_is_left_out_somewhere_and_no_other_occurs():
    documented = {path for path, _ in leaves(DOCUMENTED)}
    filled, objects = defaultdict(int), defaultdict(int)
    for number in range(8000):
        for path, value in leaves(order(FIRST + number)):
            filled[path] += value not in (None, "", [], {})
            objects[path] += isinstance(value, dict)
    assert set(filled) <= documented
    assert [path for path in documented if not filled[path]] == []
    keys = [path for path in documented if path != "$" and not path.endswith("[]")]
    assert [path for path in keys if filled[path] >= objects[path.rpartition(".")[0]]] == ["$.orderId"]


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


def units(found: dict, depth: int = 1):
    for unit in found.get("handlingUnits" if depth == 1 else "childHandlingUnits") or ():
        yield unit, depth
        yield from units(unit, depth + 1)


def test_handling_units_go_five_levels_deep_and_bear_valid_ssccs(many):
    ssccs = [unit["sscc"] for found in many for unit, _ in units(found) if unit.get("sscc")]
    assert max(depth for found in many for _, depth in units(found)) == 5
    assert len(ssccs) > 1000
    for sscc in ssccs:
        assert len(sscc) == 18
        assert sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(sscc)) % 10 == 0


def quantities(lines: list[dict] | None, key: str) -> dict[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for line in lines or ():
        sums[line[key]] += line["quantity"]
    return dict(sums)


def reconciles(found: dict) -> bool:
    """Ordered = planned = shipped = packed, for each line; the head of a bundle is only sold."""
    positions, parts = found["positions"] or [], found["fulfillmentOrders"] or []
    heads = {line.get("bundledBy") for line in positions}
    sold = [line for line in positions if line["sku"] not in heads]
    shipments = [sent for part in parts for sent in part["shipments"] or () if not sent["reversed"]]
    shipped = quantities([line for sent in shipments for line in sent["positions"]], "positionIdentifier")
    packed = quantities(
        [line for u, _ in units(found) for line in u.get("handlingPositions") or ()], "positionIdentifier"
    )
    every = [sent for part in parts for sent in part["shipments"] or () if sent.get("sscc")]
    labelled = quantities([line for sent in every for line in sent["positions"]], "positionIdentifier")
    planned = quantities([line for part in parts for line in part["positions"]], "sku")
    return (
        quantities(sold, "sku") == planned
        and quantities(sold, "positionIdentifier") == shipped
        and packed == labelled
        and all(round(line["quantity"] * line["unitNetPrice"], 2) == line["totalNetAmount"] for line in positions)
    )


def test_quantities_and_sums_agree_but_for_a_few_percent(many):
    verdicts = []
    for found in many:
        if found.get("orderStatus") in {"DELIVERED", "COMPLETED"}:
            with suppress(KeyError, TypeError):  # a field that is needed is missing
                verdicts.append(reconciles(found))
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
    assert lines
    assert all(len(set(line["serialNumbers"])) == line["quantity"] for line in lines)


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
    for found in removed:
        assert not any((found.get("deliveryAddress") or {}).get(name) for name in names)
        assert not any(found.get(name) for name in ("customerIdentifier", "comment", "deliveryInstruction"))


def test_the_text_of_free_form_numbers_and_of_money_is_exact():
    text = b"\n".join(order_json(FIRST + number) for number in range(300))
    assert b'"factor":1.10,"ratio":133.0' in text
    assert not any(len(number.partition(b".")[2]) > 2 for number in money(text))


def money(text: bytes) -> list[bytes]:
    return re.findall(rb'"(?:unit|total)(?:Net|Gross)(?:Price|Amount)":([0-9.e+-]+)', text)


def left_with(found: dict) -> list[tuple]:
    """What tells the shipments of an order apart, whenever it is looked at."""
    shipments = [sent for part in found.get("fulfillmentOrders") or () for sent in part.get("shipments") or ()]
    return [(sent.get("shipmentId"), sent.get("trackingNumbers"), sent.get("positions")) for sent in shipments]


def test_a_later_visit_shows_the_same_order_further_along():
    grown = 0
    for order_id in range(FIRST, FIRST + 300):
        first, later, last = (order(order_id, visit=visit) for visit in (0, 2, 5))
        assert first.get("positions") == later.get("positions") == last.get("positions")
        assert first.get("deliveryAddress") == last.get("deliveryAddress")
        assert (
            (first.get("lastModified") or "") <= (later.get("lastModified") or "") <= (last.get("lastModified") or "")
        )
        assert left_with(first) == left_with(later)[: len(left_with(first))]
        grown += first != last
        if first != last and first.get("lastModified"):
            assert first["lastModified"] < last["lastModified"]
    assert grown > 60
    assert order_json(FIRST, visit=5) == order_json(FIRST, visit=50)


def test_ids_fit_64_bits_whatever_the_order_is_called():
    body = order_json(2**63 - 1)
    assert json.loads(body)["orderId"] == 2**63 - 1
    assert all(int(number) < 2**63 for number in re.findall(rb'Id":(\d+)', body))


def test_ndjson_has_a_line_an_order_and_breaks_one_in_k(tmp_path):
    write_ndjson(tmp_path / "orders.ndjson", 20, seed=3, broken_every=5)
    lines = (tmp_path / "orders.ndjson").read_bytes().splitlines()
    assert [line == order_json(FIRST + place, seed=3) for place, line in enumerate(lines)] == ([True] * 4 + [False]) * 4
    command = [sys.executable, "-m", "quivo_frames.standin.orders", "20", "--seed", "3", "--broken-every", "5"]
    assert subprocess.run(command, capture_output=True, check=True).stdout.splitlines() == lines


# --- login and the rules of the API ---


def test_a_refetch_answers_the_order(caller):
    status, body = caller.refetch(FIRST + 1)
    assert (status, body) == (200, order_json(FIRST + 1))
    assert caller.api.body_sent(FIRST + 1) == body
    assert caller.api.served(FIRST + 1) == 1


def test_each_refetch_is_a_visit(log_in):
    moving = next(i for i in range(FIRST, FIRST + 200) if order_json(i, visit=0) != order_json(i, visit=1))
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
        assert caller.refetch(FIRST)[0] == 200
        time.sleep(0.12)
        expired = caller.refetch(FIRST)
        caller.token = caller.login()
        assert caller.refetch(FIRST)[0] == 200
        api.revoke_tokens()
        assert caller.refetch(FIRST) == expired == (401, b'{"message":"The incoming token has expired"}')
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
        assert caller.refetch(FIRST)[0] == 200


def test_latency_delays_every_answer(log_in):
    with StandIn(5, latency=0.05) as api:
        begun = time.monotonic()
        assert log_in(api).refetch(FIRST)[0] == 200
        assert time.monotonic() - begun > 0.1


def test_a_port_in_use_is_told(shared):
    with pytest.raises(ConfigError, match="choose another"):
        StandIn(port=int(shared.base_url.rpartition(":")[2])).start()


def test_a_stopped_server_can_be_started_again(log_in):
    api = StandIn(5)
    for _ in range(2):
        with api:
            assert log_in(api).refetch(FIRST)[0] == 200
        with pytest.raises(ConnectionError):
            log_in(api)


def test_a_server_may_be_stopped_at_once():
    for _ in range(20):
        StandIn(1).start().stop()


def test_requests_may_arrive_in_pieces_and_together(shared, log_in):
    caller = log_in(shared)
    request = f"GET /ping HTTP/1.1\r\nX-Api-Key: {shared.api_key}\r\nAuthorization: {caller.token}\r\n\r\n".encode()
    wire = caller.wire.sock
    wire.sendall(request[:30])
    time.sleep(0.02)
    wire.sendall(request[30:] + request)
    received = b""
    while received.count(b"UP") < 2:
        received += wire.recv(1000)
    assert received.count(b"HTTP/1.1 200 OK") == 2


# --- GET /orders ---


def test_the_list_is_a_bare_array_of_25(caller):
    found = caller.find()
    assert [element["orderId"] for element in found] == list(caller.api.order_ids)[:25]
    assert {"shipToCountry", "positions", "fulfillmentOrders", "sort"} <= set(found[0])
    assert "deliveryAddress" not in found[0]


def test_pages_cover_everything_once(caller):
    pages = [caller.find(sort="created:asc", page=page, pageSize=17) for page in range(5)]
    ids = [element["orderId"] for page in pages for element in page]
    assert [len(page) for page in pages] == [17, 17, 17, 9, 0]
    assert sorted(ids) == list(caller.api.order_ids)


@pytest.mark.parametrize("sort", ["orderId:asc", "orderId:desc", "lastModified:asc", "completedAt:desc,orderId:asc"])
def test_search_after_covers_everything_once_in_order(caller, sort):
    found = caller.find(sort=sort, pageSize=7)
    seen = list(found)
    while found:
        cursor = found[-1]["sort"] if "," in sort else found[-1]["sort"][0]
        found = caller.find(sort=sort, pageSize=7, searchAfter=json.dumps(cursor))
        seen += found
    assert sorted(element["orderId"] for element in seen) == list(caller.api.order_ids)
    filled = [element["sort"][0] for element in seen if element["sort"][0] is not None]
    assert filled == sorted(filled, reverse="desc" in sort)


def test_search_after_takes_the_plain_value_of_the_sort_field(caller):
    first, second = caller.find(sort="created:asc", pageSize=2)
    assert caller.find(sort="created:asc", pageSize=1, searchAfter=first["created"])[0]["orderId"] == second["orderId"]


def test_queries_select(caller):
    everything = caller.find(pageSize=1000)

    def ids(query: str) -> set[int]:
        return {element["orderId"] for element in caller.find(query=query, pageSize=1000)}

    def those(rule) -> set[int]:
        return {element["orderId"] for element in everything if rule(element)}

    status, middle = everything[0]["orderStatus"], "2026-08-01T00:00:00Z"
    assert ids("*") == ids("") == set(caller.api.order_ids)
    assert ids(f"orderStatus:{status}") == those(lambda e: e["orderStatus"] == status) != ids("*")
    assert ids(f"NOT orderStatus:{status}") == ids("*") - ids(f"orderStatus:{status}")
    assert ids(f"orderId:[{FIRST} TO {FIRST + 9}] AND orderStatus:{status}") == ids(f"orderStatus:{status}") & set(
        range(FIRST, FIRST + 10)
    )
    assert ids(f"orderId:{FIRST} OR orderId:{FIRST + 5}") == {FIRST, FIRST + 5}
    assert ids(f"created:[{middle} TO *]") == those(lambda e: (e["created"] or "") >= middle) != ids("*")
    assert ids(f"created:[* TO {middle}]") | ids(f"created:[{middle} TO *]") == ids("created:*")
    day = (everything[0]["created"] or "")[:10]
    assert everything[0]["orderId"] in ids(f"created:[{day} TO {day}]")
    assert ids(f'orderIdentifier:"{everything[3]["orderIdentifier"]}"') == {everything[3]["orderId"]}
    assert ids(f"NOT (orderId:{FIRST} OR orderId:{FIRST + 1})") == ids("*") - {FIRST, FIRST + 1}


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


# --- faults ---


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        (Fault.status(503), 503, b'{"message":"Service Unavailable"}'),
        (Fault.html(), 200, b"<!DOCTYPE html>"),
        (Fault.empty(), 200, b""),
        (Fault.no_content(), 204, b""),
        (Fault.shape(), 200, b"[{"),
        (Fault.body(b"\xff\xfe"), 200, b"\xff\xfe"),
        (Fault.bad_request(), 400, b"positions: must not be null"),
        (Fault.expired(), 401, b'{"message":"The incoming token has expired"}'),
        (Fault.forbidden(), 403, b'{"message":"Forbidden"}'),
        (Fault.other_order(FIRST + 3), 200, b'{"orderId":100004'),
    ],
    ids=lambda value: "",
)
def test_a_fault_is_answered_once_and_then_the_order(fault, status, body, log_in):
    with calling(fault) as api:
        caller = log_in(api)
        got = caller.refetch(FIRST)
        assert got[0] == status
        assert got[1].startswith(body)
        assert bool(got[1]) == bool(body)
        with pytest.raises(KeyError):
            api.body_sent(FIRST)
        assert caller.refetch(FIRST) == (200, api.body_sent(FIRST))


def test_faults_come_one_after_the_other_as_often_as_asked(log_in):
    with calling(Fault.status(503, times=2), Fault.html(), Fault.status(500, times=None)) as api:
        caller = log_in(api)
        assert [caller.refetch(FIRST)[0] for _ in range(6)] == [503, 503, 200, 500, 500, 500]
        assert caller.refetch(FIRST + 1)[0] == 200
        assert api.served(FIRST) == 6


def test_an_error_may_say_when_to_come_back_and_a_redirect_where_to_go(log_in):
    with calling(Fault.status(429, retry_after="1"), Fault.redirect("http://elsewhere.example/")) as api:
        caller = log_in(api)
        assert caller.refetch(FIRST)[0] == 429
        assert caller.reply.headers["Retry-After"] == "1"
        assert caller.refetch(FIRST)[0] == 307
        assert caller.reply.headers["Location"] == "http://elsewhere.example/"


def test_a_truncated_answer_ends_early(log_in):
    with calling(Fault.truncate()) as api:
        caller = log_in(api)
        with pytest.raises(http.client.IncompleteRead) as caught:
            caller.refetch(FIRST)
        assert len(caught.value.partial) + caught.value.expected == len(order_json(FIRST))


def test_cut_json_is_whole_http(log_in):
    with calling(Fault.cut_json()) as api:
        status, body = log_in(api).refetch(FIRST)
        assert status == 200
        assert order_json(FIRST).startswith(body)
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)


def test_a_reset_answers_nothing(log_in):
    with calling(Fault.reset()) as api, pytest.raises(ConnectionResetError):
        log_in(api).refetch(FIRST)


def test_a_delay_comes_before_the_answer_and_a_drip_within_it(log_in):
    with calling(Fault.delay(0.1), Fault.drip(0.1)) as api:
        caller = log_in(api)
        for _ in range(2):
            begun = time.monotonic()
            assert caller.refetch(FIRST) == (200, api.body_sent(FIRST))
            assert 0.08 < time.monotonic() - begun < 1


def test_a_dripping_body_that_is_given_up_was_not_sent(log_in):
    with calling(Fault.drip(5.0)) as api:
        caller = log_in(api)
        caller.wire.request(
            "POST", f"/orders/{FIRST}/refetch", headers={"X-Api-Key": api.api_key, "Authorization": caller.token}
        )
        caller.wire.getresponse().read(10)
        caller.wire.close()
        time.sleep(0.05)
        with pytest.raises(KeyError):
            api.body_sent(FIRST)


# --- limits ---


def test_the_timeline_tells_when_each_refetch_came_and_what_was_answered(log_in):
    with calling(Fault.status(503), Fault.truncate()) as api:
        caller = log_in(api)
        begun = time.monotonic()
        caller.refetch(FIRST)
        with pytest.raises(http.client.IncompleteRead):
            caller.refetch(FIRST)
        caller.wire.close()
        caller.refetch(FIRST)
        caller.send("GET", "/ping", Authorization=caller.token)
        caller.refetch(999)
        assert [status for _, status in api.timeline] == [503, 0, 200, 404]
        times = [at for at, _ in api.timeline]
        assert begun <= times[0] <= times[1] <= times[2] <= times[3] <= time.monotonic()


def test_a_burst_goes_at_once_and_the_limit_moves_while_it_serves(log_in):
    with StandIn(40, rate=0.001, burst=7, retry_after="0.5") as api:
        caller = log_in(api)
        assert [caller.refetch(FIRST)[0] for _ in range(9)] == [200] * 7 + [429] * 2
        assert caller.reply.headers["Retry-After"] == "0.5"
        api.retry_after = date_in(-3600)
        assert caller.refetch(FIRST)[0] == 429
        told = parsedate_to_datetime(caller.reply.headers["Retry-After"])
        assert 3590 < (datetime.now(UTC) - told).total_seconds() < 3610
        api.rate = None
        assert {caller.refetch(FIRST)[0] for _ in range(20)} == {200}
        api.rate = 0.001
        api.burst = 3
        assert [caller.refetch(FIRST)[0] for _ in range(5)] == [200] * 3 + [429] * 2


def test_log_normal_latency_has_its_median_and_repeats_itself():
    latency = LogNormal(0.2, 0.5)
    drawn = sorted(seconds(latency, 7, order_id, 0) for order_id in range(4001))
    assert drawn == sorted(seconds(latency, 7, order_id, 0) for order_id in range(4001))
    assert 0.19 < drawn[2000] < 0.21
    assert 0.47 < math.log(drawn[3364] / drawn[2000]) < 0.53  # one sigma: 84.1 %
    assert seconds(latency, 7, 1, 0) != seconds(latency, 7, 1, 1) != seconds(latency, 8, 1, 1)
    assert seconds(0.3, 7, 1, 0) == 0.3


# --- faults on the wire: read from a raw socket, not by an HTTP client ---

FULL = order_json(FIRST)
HALF = FULL[: len(FULL) // 2]


class Heard(NamedTuple):
    """All that came, and what became of the connection within `patience`."""

    head: bytes
    body: bytes
    end: str

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(line.split(b": ", 1) for line in self.head.split(b"\r\n")[1:])

    @property
    def length(self) -> int | None:
        return int(self.headers[b"Content-Length"]) if b"Content-Length" in self.headers else None


def dial(api: StandIn) -> socket.socket:
    host, port = api.base_url.rpartition("/")[2].split(":")
    return socket.create_connection((host, int(port)), timeout=5)


def ask(wire: socket.socket, api: StandIn, token: str, order_id: int = FIRST, accepts: str = "") -> None:
    keys = f"X-Api-Key: {api.api_key}\r\nAuthorization: {token}\r\nAccept-Encoding: {accepts}\r\n"
    wire.sendall(f"POST /orders/{order_id}/refetch HTTP/1.1\r\nHost: here\r\n{keys}\r\n".encode())


def hear(wire: socket.socket, patience: float = 0.2) -> Heard:
    wire.settimeout(patience)
    received, end = b"", "closed"
    try:
        while piece := wire.recv(1 << 16):
            received += piece
    except TimeoutError:
        end = "open"
    except ConnectionResetError:
        end = "reset"
    head, _, body = received.partition(b"\r\n\r\n")
    return Heard(head, body, end)


@pytest.fixture
def listen(log_in):
    """What a refetch brings on a connection of its own."""

    def listen(api: StandIn, order_id: int = FIRST, accepts: str = "", patience: float = 0.2) -> Heard:
        token = log_in(api).token
        with dial(api) as wire:
            ask(wire, api, token, order_id, accepts)
            return hear(wire, patience)

    return listen


def in_chunks(body: bytes, size: int = 1000) -> bytes:
    cut = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in cut) + b"0\r\n\r\n"


SIZE = len(FULL)
WAYS = {  # fault: Content-Length, body, end of the connection, whole HTTP, the good body
    "none": (Fault.delay(0.0), SIZE, FULL, "open", True, True),
    "stall": (Fault.stall(), None, b"", "open", False, False),
    "stall within": (Fault.stall_within(), SIZE, HALF, "open", False, False),
    "reset": (Fault.reset(), None, b"", "reset", False, False),
    "reset within": (Fault.reset_within(), SIZE, HALF, "reset", False, False),
    "reset after": (Fault.reset_after(), SIZE, FULL, "reset", True, True),
    "truncate": (Fault.truncate(), SIZE, HALF, "closed", False, False),
    "truncate unsized": (Fault.truncate_unsized(), None, HALF, "closed", False, False),
    "truncate chunked": (Fault.truncate_chunked(), None, in_chunks(FULL)[: SIZE // 2], "closed", False, False),
    "unsized": (Fault.unsized(), None, FULL, "closed", True, True),
    "chunked": (Fault.chunked(), None, in_chunks(FULL), "open", True, True),
    "too long": (Fault.too_long(), SIZE + 20, FULL, "open", False, False),
    "too short": (Fault.too_short(), SIZE - 20, FULL, "open", True, False),
    "refuse": (Fault.refuse(0.0), None, b"", "reset", False, False),
}


@pytest.mark.parametrize(("fault", "length", "body", "end", "whole", "good"), WAYS.values(), ids=WAYS)
def test_the_bytes_are_what_the_fault_says(fault, length, body, end, whole, good, listen):
    with calling(fault) as api:
        heard = listen(api)
        assert (heard.body, heard.end) == (body, end)
        if heard.head:
            assert heard.head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert heard.length == length
        assert [status for _, status in api.timeline] == [200 if whole else 0]
        assert api.hashes_sent(FIRST) == ([hashlib.sha256(FULL).hexdigest()] if good else [])
        time.sleep(0.05)  # a door that was shut is open again
        again = listen(api)  # what is stalled holds up nobody else
        assert again.body == api.body_sent(FIRST) == order_json(FIRST, visit=1)
        assert api.hashes_sent(FIRST)[-1] == hashlib.sha256(again.body).hexdigest()


def test_bodies_without_a_length_say_how_they_end(listen):
    with calling(Fault.unsized(), Fault.truncate_unsized(), Fault.chunked(), Fault.truncate_chunked()) as api:
        assert [listen(api).headers[b"Connection"] for _ in range(2)] == [b"close"] * 2
        assert [listen(api).headers[b"Transfer-Encoding"] for _ in range(2)] == [b"chunked"] * 2


def test_a_length_that_is_too_short_leaves_garbage_before_the_next_answer(log_in):
    with calling(Fault.too_short()) as api:
        caller = log_in(api)
        assert caller.refetch(FIRST) == (200, FULL[:-20])
        with pytest.raises(http.client.BadStatusLine):
            caller.refetch(FIRST)


def test_after_a_chunked_answer_the_connection_goes_on(log_in):
    with calling(Fault.chunked(), Fault.truncate_chunked()) as api:
        caller = log_in(api)
        assert caller.refetch(FIRST) == (200, FULL)
        with pytest.raises(http.client.IncompleteRead):
            caller.refetch(FIRST)


@pytest.mark.parametrize("blanks", [0, 100_000])
def test_a_reset_after_the_body_overtakes_no_byte_of_it(blanks, listen):
    fault = Fault(way=Way.RESET_AFTER, blanks=blanks)
    with calling(fault) as api:
        heard = listen(api, patience=2)
        assert heard.end == "reset"
        assert hashlib.sha256(heard.body).hexdigest() == api.hashes_sent(FIRST)[0]
        assert len(heard.body) == SIZE + blanks


def test_while_it_refuses_the_port_is_closed_and_then_open_again(listen, log_in):
    with StandIn(5) as api:
        with dial(api) as idle:
            api.refuse(0.2)
            with pytest.raises(ConnectionRefusedError):
                dial(api)
            assert hear(idle) == (b"", b"", "reset")
        api.refuse(0.3)
        api.refuse(0.01)  # the longer one holds
        time.sleep(0.1)
        with pytest.raises(ConnectionRefusedError):
            dial(api)
        time.sleep(0.35)
        assert listen(api).body == FULL
        port = int(api.base_url.rpartition(":")[2])
        api.refuse(60)
    with StandIn(5, port=port) as api:
        assert log_in(api).refetch(FIRST)[0] == 200


def test_one_order_can_close_the_door_for_all(log_in):
    with calling(Fault.refuse(0.15)) as api:
        caller, other = log_in(api), log_in(api)
        with pytest.raises(ConnectionResetError):
            caller.refetch(FIRST)
        with pytest.raises(ConnectionError):
            other.refetch(FIRST + 1)
        with pytest.raises(ConnectionRefusedError):
            dial(api)
        time.sleep(0.2)
        dial(api).close()


@pytest.mark.parametrize("part", ["head", "body"])
def test_headers_and_bodies_drip_each_on_its_own(part, log_in):
    fault = Fault.drip_head(0.3) if part == "head" else Fault.drip(0.3)
    with calling(fault) as api, dial(api) as wire:
        ask(wire, api, log_in(api).token)
        begun, came = time.monotonic(), []
        received = b""
        while not received.endswith(FULL):
            received += wire.recv(1 << 16)
            came.append((time.monotonic() - begun, len(received)))
        head = received.index(b"\r\n\r\n") + 4
        times = [at for at, size in came if (size < head if part == "head" else size > head)]
        assert len(times) > 10
        assert times[-1] - times[0] > 0.15
        assert api.body_sent(FIRST) == FULL


def test_gzip_is_sent_to_those_who_take_it(listen):
    with calling(Fault.gzip(times=2)) as api:
        packed, plain = listen(api, accepts="gzip, deflate"), listen(api)
        assert packed.headers[b"Content-Encoding"] == b"gzip"
        assert gzip.decompress(packed.body) == FULL
        assert packed.length == len(packed.body) < SIZE
        assert b"Content-Encoding" not in plain.headers
        assert plain.body == order_json(FIRST, visit=1)
        digests = [hashlib.sha256(body).hexdigest() for body in (FULL, plain.body)]
        assert api.hashes_sent(FIRST) == digests


def test_broken_gzip_is_whole_http_and_no_good_body(listen):
    with calling(Fault.cut_gzip(), Fault.bad_gzip()) as api:
        cut, bad = listen(api, accepts="gzip"), listen(api, accepts="gzip")
        assert cut.headers[b"Content-Encoding"] == bad.headers[b"Content-Encoding"] == b"gzip"
        assert (cut.length, bad.length) == (len(cut.body), len(bad.body))
        reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
        assert FULL.startswith(reader.decompress(cut.body))
        assert not reader.eof
        with pytest.raises(gzip.BadGzipFile):
            gzip.decompress(bad.body)
        assert api.hashes_sent(FIRST) == []


def test_a_large_body_is_the_order_and_blanks(listen):
    with calling(Fault.padded(3)) as api:
        heard = listen(api)
        assert heard.body == FULL + b" " * 3_000_000 == api.body_sent(FIRST)
        assert api.hashes_sent(FIRST) == [hashlib.sha256(heard.body).hexdigest()]


def test_json_is_spoiled_as_asked(log_in):
    shapes = {name: Fault.shape(name) for name in SHAPES}
    with calling(*shapes.values(), Fault.text_id(), Fault.no_id(), Fault.other_order()) as api:
        caller = log_in(api)
        found = [json.loads(caller.refetch(FIRST)[1]) for _ in shapes]
        assert {name: type(value) for name, value in zip(shapes, found, strict=True)} == {
            "list": list, "text": str, "number": int, "null": type(None), "object": dict,
        }  # fmt: skip
        assert not any(isinstance(value, dict) and "orderId" in value for value in found)
        assert json.loads(caller.refetch(FIRST)[1]) == json.loads(FULL) | {"orderId": str(FIRST)}
        last = json.loads(caller.refetch(FIRST)[1])
        assert last | {"orderId": FIRST} == order(FIRST, visit=1)
        assert "orderId" not in last
        assert json.loads(caller.refetch(FIRST)[1])["orderId"] == FIRST + 1
        assert api.hashes_sent(FIRST) == []


@pytest.mark.parametrize("status", [400, 403, 404, 408, 409, 413, 415, 422, 429, 500, 501, 502, 503, 504])
def test_any_status_can_be_answered(status, listen):
    with calling(Fault.status(status)) as api:
        heard = listen(api)
        assert heard.head.startswith(f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode())
        assert json.loads(heard.body) == {"message": HTTPStatus(status).phrase}
        assert [answered for _, answered in api.timeline] == [status]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_lead_elsewhere(status, listen):
    with calling(Fault.redirect("http://127.0.0.1:9/", status=status)) as api:
        heard = listen(api)
        assert heard.head.startswith(f"HTTP/1.1 {status} ".encode())
        assert heard.headers[b"Location"] == b"http://127.0.0.1:9/"


@pytest.mark.parametrize("hint", ["1", "0.5", "999999999", "soon", "-5", "", "Sun, 06 Nov 1994 08:49:37 GMT", None])
def test_a_429_says_when_to_come_back_in_any_words(hint, listen):
    with calling(Fault.status(429, retry_after=hint)) as api:
        assert listen(api).headers.get(b"Retry-After") == (None if hint is None else hint.encode())


def test_a_date_to_come_back_is_made_when_it_is_sent(listen):
    with calling(Fault.status(429, retry_after=date_in(90), times=2)) as api:
        for _ in range(2):
            due = parsedate_to_datetime(listen(api).headers[b"Retry-After"].decode())
            assert 85 < (due - datetime.now(UTC)).total_seconds() <= 90
            time.sleep(1)


def test_401_has_three_faces(listen, log_in):
    with calling(Fault.expired(), Fault.unauthorized()) as api:
        told = [json.loads(listen(api).body)["message"] for _ in range(2)]
        assert told == ["The incoming token has expired", "Unauthorized"]
        caller = log_in(api)
        api.forget_tokens()
        assert caller.refetch(FIRST) == (401, b'{"message":"Unauthorized"}')


def test_logins_fail_as_asked_one_after_the_other(log_in):
    faults = [Fault.status(401, times=2), Fault.status(503), Fault.body(b'{"token":["a"]}'), Fault.cut_json()]
    with StandIn(5, login_faults=faults) as api:
        wire = http.client.HTTPConnection(api.base_url.removeprefix("http://"), timeout=5)
        answers = []
        for _ in range(5):
            wire.request(
                "POST", "/login", json.dumps({"username": api.username, "password": api.password}),
                {"X-Api-Key": api.api_key},
            )  # fmt: skip
            reply = wire.getresponse()
            answers.append((reply.status, reply.read()))
        wire.close()
        assert [status for status, _ in answers] == [401, 401, 503, 200, 200]
        assert [body for _, body in answers][3:] == [b'{"token":["a"]}', b'{"token":"standin-token-000005"}'[:16]]
        assert api.logins == 5
        assert log_in(api).refetch(FIRST)[0] == 200


# --- chaos ---

SOME = Chaos({Fault.status(503): 0.3, Fault.html(): 0.1, Fault.status(429): 0.2})


def statuses(api: StandIn, log_in, order_ids, threads: int) -> dict[int, list[tuple[int, bytes]]]:
    """Four answers to each order that are not the limit's."""

    def some_of(part) -> list[tuple[int, list]]:
        caller = log_in(api)
        told = []
        for order_id in part:
            mine = []
            while len(mine) < 4:
                answer = caller.refetch(order_id)
                if answer != (429, THROTTLED.body) or caller.reply.headers["Retry-After"] != "limit":
                    mine.append(answer)
            told.append((order_id, mine))
        return told

    ids = list(order_ids)
    with ThreadPoolExecutor(threads) as pool:
        return dict(
            pair for told in pool.map(some_of, [ids[part::threads] for part in range(threads)]) for pair in told
        )


def test_chaos_repeats_itself_whatever_the_threads_and_the_limit_do(log_in):
    runs = []
    for threads, step, options in [(1, 1, {}), (8, -1, {}), (4, 1, {"rate": 2000, "burst": 2, "retry_after": "limit"})]:
        with StandIn(60, seed=5, chaos=SOME, **options) as api:
            runs.append(statuses(api, log_in, api.order_ids[::step], threads))
    assert api.throttled > 0
    assert runs[0] == runs[1] == runs[2]
    with StandIn(60, seed=6, chaos=SOME) as api:
        other = statuses(api, log_in, api.order_ids, 1)
    assert {order_id: [status for status, _ in told] for order_id, told in other.items()} != {
        order_id: [status for status, _ in told] for order_id, told in runs[0].items()
    }
    assert len({tuple(status for status, _ in told) for told in runs[0].values()}) > 10


def test_chaos_hits_as_often_as_it_says():
    drawn = Counter(SOME.fault(1, order_id, nth) for order_id in range(10000) for nth in range(2))
    shares = {fault: count / 20000 for fault, count in drawn.items()}
    assert shares == {
        Fault.status(503): pytest.approx(0.3, abs=0.015),
        Fault.html(): pytest.approx(0.1, abs=0.015),
        Fault.status(429): pytest.approx(0.2, abs=0.015),
        Fault(): pytest.approx(0.4, abs=0.015),
    }
    assert Counter(Chaos.evenly([Fault.html(), Fault.reset()], 1.0).fault(0, 1, nth) for nth in range(500)).keys() == {
        Fault.html(), Fault.reset(),
    }  # fmt: skip
    for shares in ({Fault.html(): 0.6, Fault.reset(): 0.5}, {Fault.html(): -0.1}):
        with pytest.raises(ConfigError, match="shares"):
            Chaos(shares)


def test_faults_of_an_order_come_before_chaos(log_in):
    with StandIn(5, faults={FIRST: [Fault.html()]}, chaos=Chaos({Fault.status(418): 1.0})) as api:
        caller = log_in(api)
        assert [caller.refetch(order_id)[0] for order_id in (FIRST, FIRST, FIRST + 1)] == [200, 418, 418]


def test_every_fault_can_be_sent_and_only_the_harmless_ones_bring_the_order(log_in):
    every = {name: fault for name, fault in every_fault(seconds=0.05).items() if name != "refused"}
    ids = dict(zip(every, range(FIRST, FIRST + len(every)), strict=True))
    with (
        StandIn(len(every), faults={ids[name]: [fault] for name, fault in every.items()}) as api,
        ExitStack() as closing,
    ):
        token = log_in(api).token
        wires = {name: closing.enter_context(dial(api)) for name in every}
        for name, wire in wires.items():
            ask(wire, api, token, ids[name], "gzip")
        time.sleep(0.3)
        heard = {name: hear(wire, 0.05) for name, wire in wires.items()}
        delivered = {name for name in every if api.hashes_sent(ids[name])}
        assert delivered == {name for name, fault in every.items() if fault.harmless}
        assert delivered == {
            "delay", "log-normal delay", "reset after the body", "without a length", "in chunks", "dripping body",
            "dripping headers", "gzip", "large body",
        }  # fmt: skip
        unlike = {(each.head.split(b"\r\nX")[0], each.body, each.end) for each in heard.values()}
        assert len(unlike) == len(every)


# --- lists that are not as one would wish ---


@pytest.fixture
def paged(log_in):
    with ExitStack() as closing:

        def paged(count: int = 12, **options) -> tuple[StandIn, Caller]:
            api = closing.enter_context(StandIn(count, **options))
            return api, log_in(api)

        yield paged


def ids_of(found: list[dict]) -> list[int]:
    return [element["orderId"] for element in found]


def after(found: list[dict]) -> str:
    return json.dumps(found[-1]["sort"])


def test_a_list_may_show_orders_twice(paged):
    _, caller = paged(paging=Paging(twice=frozenset({FIRST + 1, FIRST + 3})))
    pages = [ids_of(caller.find(pageSize=5, page=page)) for page in range(3)]
    assert [[order_id - FIRST for order_id in page] for page in pages] == [
        [0, 1, 1, 2, 3],
        [3, 4, 5, 6, 7],
        [8, 9, 10, 11],
    ]


def test_a_list_may_ignore_the_cursor(paged):
    _, caller = paged(paging=Paging(follows_cursor=False))
    first = caller.find(pageSize=5, sort="orderId:asc")
    assert caller.find(pageSize=5, sort="orderId:asc", searchAfter=after(first)) == first


def test_a_list_may_give_less_than_was_asked_for(paged):
    _, caller = paged(paging=Paging(largest=5))
    assert [len(caller.find(pageSize=10, page=page)) for page in range(4)] == [5, 5, 2, 0]


def test_a_list_may_hide_its_cursors(paged):
    _, caller = paged(paging=Paging(shows_sort=False))
    assert not any("sort" in element for element in caller.find(sort="orderId:asc"))


def test_the_first_page_may_be_1(paged):
    _, caller = paged(paging=Paging(first=1))
    assert ids_of(caller.find(pageSize=5)) == ids_of(caller.find(pageSize=5, page=1)) == list(range(FIRST, FIRST + 5))
    assert ids_of(caller.find(pageSize=5, page=2))[0] == FIRST + 5
    assert caller.send("GET", "/orders?page=0", Authorization=caller.token)[0] == 400


def test_orders_that_are_touched_between_pages_come_again_or_push_others_out(paged):
    api, caller = paged()
    by_time = ids_of(caller.find(sort="lastModified:asc"))
    calls: list[int] = []

    def touch_the_first(pages: int) -> None:
        calls.append(pages)
        if pages == 2:
            api.touch(by_time[0])

    api.between_pages = touch_the_first
    first = caller.find(sort="lastModified:asc", pageSize=6)
    rest = caller.find(sort="lastModified:asc", pageSize=20, searchAfter=after(first))
    assert ids_of(first) == by_time[:6]
    assert ids_of(rest) == [*by_time[6:], by_time[0]]
    assert rest[-1]["lastModified"] > max(element["lastModified"] for element in rest[:-1])
    assert calls == [1, 2]

    api.between_pages = lambda pages: api.touch(by_time[1])
    seen = ids_of(first)  # by page number an order is missed
    assert by_time[6] not in ids_of(caller.find(sort="lastModified:asc", pageSize=6, page=1)) or by_time[7] in seen
    query = f"lastModified:[{rest[-1]['lastModified']} TO *]"
    assert ids_of(caller.find(query=query, sort="lastModified:asc")) == [by_time[0], by_time[1]]


def test_orders_may_appear_between_pages(paged):
    api, caller = paged()
    first = caller.find(sort="orderId:asc", pageSize=6)
    api.between_pages = lambda pages: api.add_orders(2)
    rest = caller.find(sort="orderId:asc", pageSize=20, searchAfter=after(first))
    assert ids_of(rest) == list(range(FIRST + 6, FIRST + 14))
    assert caller.refetch(FIRST + 13)[0] == 200


def test_a_list_may_fail_page_by_page(paged):
    _, caller = paged(list_faults=[Fault.status(503), Fault.cut_json(), Fault.html()])
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
    with StandIn(5, faults={FIRST + 1: [Fault.truncate()], FIRST + 2: [Fault.reset()]}, tls=server) as api:
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
        assert send(f"/orders/{FIRST}/refetch", token=token) == FULL
        with pytest.raises(http.client.IncompleteRead):
            send(f"/orders/{FIRST + 1}/refetch", token=token)
        wire.close()
        with pytest.raises((ConnectionResetError, ssl.SSLError)):
            send(f"/orders/{FIRST + 2}/refetch", token=token)
        wire.close()
        assert send(f"/orders/{FIRST + 2}/refetch", token=token) == order_json(FIRST + 2, visit=1)
        wire.close()
