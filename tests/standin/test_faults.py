"""What goes wrong in the stand-in: each fault is, byte by byte, what it says, by order and by chance."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import socket
import time
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import NamedTuple

import pytest

from quivo_frames.errors import ConfigError
from quivo_frames.standin.faults import (
    NO_FAULT,
    NOISE,
    SHAPES,
    THROTTLED,
    DeliveryMode,
    ServerFault,
    choose_noise,
    date_in,
)
from quivo_frames.standin.orders import order_json
from quivo_frames.standin.server import StandIn
from tests.support.api_caller import FIRST_ORDER, stand_in_with_faults
from tests.support.random_faults import RandomFaults, all_faults_by_name

# --- faults ---


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        (ServerFault.status(503), 503, b'{"message":"Service Unavailable"}'),
        (ServerFault.html(), 200, b"<!DOCTYPE html>"),
        (ServerFault.empty(), 200, b""),
        (ServerFault.no_content(), 204, b""),
        (ServerFault.shape(), 200, b"[{"),
        (ServerFault.body(b"\xff\xfe"), 200, b"\xff\xfe"),
        (ServerFault.bad_request(), 400, b"positions: must not be null"),
        (ServerFault.expired(), 401, b'{"message":"The incoming token has expired"}'),
        (ServerFault.forbidden(), 403, b'{"message":"Forbidden"}'),
        (ServerFault.other_order(FIRST_ORDER + 3), 200, b'{"orderId":100004'),
    ],
    ids=lambda value: "",
)
def test_a_fault_is_answered_once_and_then_the_order(fault, status, body, log_in):
    with stand_in_with_faults(fault) as api:
        caller = log_in(api)
        got = caller.refetch(FIRST_ORDER)
        assert got[0] == status
        assert got[1].startswith(body)
        assert bool(got[1]) == bool(body)
        with pytest.raises(KeyError):
            api.body_sent(FIRST_ORDER)
        assert caller.refetch(FIRST_ORDER) == (200, api.body_sent(FIRST_ORDER))


def test_faults_come_one_after_the_other_as_often_as_asked(log_in):
    with stand_in_with_faults(
        ServerFault.status(503, times=2), ServerFault.html(), ServerFault.status(500, times=None)
    ) as api:
        caller = log_in(api)
        assert [caller.refetch(FIRST_ORDER)[0] for _ in range(6)] == [503, 503, 200, 500, 500, 500]
        assert caller.refetch(FIRST_ORDER + 1)[0] == 200
        assert api.refetch_count(FIRST_ORDER) == 6


def test_an_error_may_say_when_to_come_back_and_a_redirect_where_to_go(log_in):
    with stand_in_with_faults(
        ServerFault.status(429, retry_after="1"), ServerFault.redirect("http://elsewhere.example/")
    ) as api:
        caller = log_in(api)
        assert caller.refetch(FIRST_ORDER)[0] == 429
        assert caller.reply.headers["Retry-After"] == "1"
        assert caller.refetch(FIRST_ORDER)[0] == 307
        assert caller.reply.headers["Location"] == "http://elsewhere.example/"


def test_a_truncated_answer_ends_early(log_in):
    with stand_in_with_faults(ServerFault.truncate()) as api:
        caller = log_in(api)
        with pytest.raises(http.client.IncompleteRead) as caught:
            caller.refetch(FIRST_ORDER)
        assert len(caught.value.partial) + caught.value.expected == len(order_json(FIRST_ORDER))


def test_cut_json_is_whole_http(log_in):
    with stand_in_with_faults(ServerFault.cut_json()) as api:
        status, body = log_in(api).refetch(FIRST_ORDER)
        assert status == 200
        assert order_json(FIRST_ORDER).startswith(body)
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)


def test_a_reset_answers_nothing(log_in):
    with stand_in_with_faults(ServerFault.reset()) as api, pytest.raises(ConnectionResetError):
        log_in(api).refetch(FIRST_ORDER)


@pytest.mark.alone
def test_a_delay_comes_before_the_answer_and_a_drip_within_it(log_in):
    with stand_in_with_faults(ServerFault.delay(0.1), ServerFault.drip(0.1)) as api:
        caller = log_in(api)
        for _ in range(2):
            begun = time.monotonic()
            assert caller.refetch(FIRST_ORDER) == (200, api.body_sent(FIRST_ORDER))
            assert 0.08 < time.monotonic() - begun < 1


def test_a_dripping_body_that_is_given_up_was_not_sent(log_in):
    with stand_in_with_faults(ServerFault.drip(5.0)) as api:
        caller = log_in(api)
        caller.connection.request(
            "POST", f"/orders/{FIRST_ORDER}/refetch", headers={"X-Api-Key": api.api_key, "Authorization": caller.token}
        )
        caller.connection.getresponse().read(10)
        caller.connection.close()
        time.sleep(0.05)
        with pytest.raises(KeyError):
            api.body_sent(FIRST_ORDER)


# --- faults on the wire: read from a raw socket, not by an HTTP client ---

ORDER_BODY = order_json(FIRST_ORDER)
HALF_BODY = ORDER_BODY[: len(ORDER_BODY) // 2]


class HeardBytes(NamedTuple):
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


def open_socket(api: StandIn) -> socket.socket:
    host, port = api.base_url.rpartition("/")[2].split(":")
    return socket.create_connection((host, int(port)), timeout=5)


def send_refetch(wire: socket.socket, api: StandIn, token: str, order_id: int = FIRST_ORDER, accepts: str = "") -> None:
    keys = f"X-Api-Key: {api.api_key}\r\nAuthorization: {token}\r\nAccept-Encoding: {accepts}\r\n"
    wire.sendall(f"POST /orders/{order_id}/refetch HTTP/1.1\r\nHost: here\r\n{keys}\r\n".encode())


def read_until_end(wire: socket.socket, patience: float = 0.2) -> HeardBytes:
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
    return HeardBytes(head, body, end)


@pytest.fixture
def listen(log_in):
    """What a refetch brings on a connection of its own."""

    def listen(api: StandIn, order_id: int = FIRST_ORDER, accepts: str = "", patience: float = 0.2) -> HeardBytes:
        token = log_in(api).token
        with open_socket(api) as wire:
            send_refetch(wire, api, token, order_id, accepts)
            return read_until_end(wire, patience)

    return listen


def encode_chunks(body: bytes, size: int = 1000) -> bytes:
    cut = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in cut) + b"0\r\n\r\n"


BODY_SIZE = len(ORDER_BODY)
DELIVERIES = {  # fault: Content-Length, body, end of the connection, whole HTTP, the good body
    "none": (ServerFault.delay(0.0), BODY_SIZE, ORDER_BODY, "open", True, True),
    "stall": (ServerFault.stall(), None, b"", "open", False, False),
    "stall within": (ServerFault.stall_within(), BODY_SIZE, HALF_BODY, "open", False, False),
    "reset": (ServerFault.reset(), None, b"", "reset", False, False),
    "reset within": (ServerFault.reset_within(), BODY_SIZE, HALF_BODY, "reset", False, False),
    "reset after": (ServerFault.reset_after(), BODY_SIZE, ORDER_BODY, "reset", True, True),
    "truncate": (ServerFault.truncate(), BODY_SIZE, HALF_BODY, "closed", False, False),
    "truncate unsized": (ServerFault.truncate_unsized(), None, HALF_BODY, "closed", False, False),
    "truncate chunked": (
        ServerFault.truncate_chunked(),
        None,
        encode_chunks(ORDER_BODY)[: BODY_SIZE // 2],
        "closed",
        False,
        False,
    ),
    "unsized": (ServerFault.unsized(), None, ORDER_BODY, "closed", True, True),
    "chunked": (ServerFault.chunked(), None, encode_chunks(ORDER_BODY), "open", True, True),
    "too long": (ServerFault.too_long(), BODY_SIZE + 20, ORDER_BODY, "open", False, False),
    "too short": (ServerFault.too_short(), BODY_SIZE - 20, ORDER_BODY, "open", True, False),
    "refuse": (ServerFault.refuse(0.0), None, b"", "reset", False, False),
}


@pytest.mark.long
@pytest.mark.parametrize(("fault", "length", "body", "end", "whole", "good"), DELIVERIES.values(), ids=DELIVERIES)
def test_the_bytes_are_what_the_fault_says(fault, length, body, end, whole, good, listen):
    with stand_in_with_faults(fault) as api:
        heard = listen(api)
        assert (heard.body, heard.end) == (body, end)
        if heard.head:
            assert heard.head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert heard.length == length
        assert [status for _, status in api.timeline] == [200 if whole else 0]
        assert api.hashes_sent(FIRST_ORDER) == ([hashlib.sha256(ORDER_BODY).hexdigest()] if good else [])
        time.sleep(0.05)  # a door that was shut is open again
        again = listen(api)  # what is stalled holds up nobody else
        for _ in range(100):  # the server notes what it has sent after the client has it
            if len(api.hashes_sent(FIRST_ORDER)) > good:
                break
            time.sleep(0.05)
        assert again.body == api.body_sent(FIRST_ORDER) == order_json(FIRST_ORDER, visit=1)
        assert api.hashes_sent(FIRST_ORDER)[-1] == hashlib.sha256(again.body).hexdigest()


def test_bodies_without_a_length_say_how_they_end(listen):
    with stand_in_with_faults(
        ServerFault.unsized(), ServerFault.truncate_unsized(), ServerFault.chunked(), ServerFault.truncate_chunked()
    ) as api:
        assert [listen(api).headers[b"Connection"] for _ in range(2)] == [b"close"] * 2
        assert [listen(api).headers[b"Transfer-Encoding"] for _ in range(2)] == [b"chunked"] * 2


def test_a_length_that_is_too_short_leaves_garbage_before_the_next_answer(log_in):
    with stand_in_with_faults(ServerFault.too_short()) as api:
        caller = log_in(api)
        assert caller.refetch(FIRST_ORDER) == (200, ORDER_BODY[:-20])
        with pytest.raises(http.client.BadStatusLine):
            caller.refetch(FIRST_ORDER)


def test_after_a_chunked_answer_the_connection_goes_on(log_in):
    with stand_in_with_faults(ServerFault.chunked(), ServerFault.truncate_chunked()) as api:
        caller = log_in(api)
        assert caller.refetch(FIRST_ORDER) == (200, ORDER_BODY)
        with pytest.raises(http.client.IncompleteRead):
            caller.refetch(FIRST_ORDER)


@pytest.mark.parametrize("blanks", [0, 100_000])
def test_a_reset_after_the_body_overtakes_no_byte_of_it(blanks, listen):
    fault = ServerFault(delivery=DeliveryMode.RESET_AFTER, blanks=blanks)
    with stand_in_with_faults(fault) as api:
        heard = listen(api, patience=2)
        assert heard.end == "reset"
        assert hashlib.sha256(heard.body).hexdigest() == api.hashes_sent(FIRST_ORDER)[0]
        assert len(heard.body) == BODY_SIZE + blanks


def test_while_it_refuses_the_port_is_closed_and_then_open_again(listen, log_in):
    with StandIn(5) as api:
        with open_socket(api) as idle:
            api.refuse_connections(0.2)
            with pytest.raises(ConnectionRefusedError):
                open_socket(api)
            assert read_until_end(idle) == (b"", b"", "reset")
        api.refuse_connections(0.3)
        api.refuse_connections(0.01)  # the longer one holds
        time.sleep(0.1)
        with pytest.raises(ConnectionRefusedError):
            open_socket(api)
        time.sleep(0.35)
        assert listen(api).body == ORDER_BODY
        port = int(api.base_url.rpartition(":")[2])
        api.refuse_connections(60)
    with StandIn(5, port=port) as api:
        assert log_in(api).refetch(FIRST_ORDER)[0] == 200


def test_one_order_can_close_the_door_for_all(log_in):
    with stand_in_with_faults(ServerFault.refuse(0.15)) as api:
        caller, other = log_in(api), log_in(api)
        with pytest.raises(ConnectionResetError):
            caller.refetch(FIRST_ORDER)
        with pytest.raises(ConnectionError):
            other.refetch(FIRST_ORDER + 1)
        with pytest.raises(ConnectionRefusedError):
            open_socket(api)
        time.sleep(0.2)
        open_socket(api).close()


@pytest.mark.parametrize("part", ["head", "body"])
def test_headers_and_bodies_drip_each_on_its_own(part, log_in):
    fault = ServerFault.drip_head(0.3) if part == "head" else ServerFault.drip(0.3)
    with stand_in_with_faults(fault) as api, open_socket(api) as wire:
        send_refetch(wire, api, log_in(api).token)
        begun, came = time.monotonic(), []
        received = b""
        while not received.endswith(ORDER_BODY):
            received += wire.recv(1 << 16)
            came.append((time.monotonic() - begun, len(received)))
        head = received.index(b"\r\n\r\n") + 4
        times = [at for at, size in came if (size < head if part == "head" else size > head)]
        assert len(times) > 10
        assert times[-1] - times[0] > 0.15
        assert api.body_sent(FIRST_ORDER) == ORDER_BODY


def test_gzip_is_sent_to_those_who_take_it(listen):
    with stand_in_with_faults(ServerFault.gzip(times=2)) as api:
        packed, plain = listen(api, accepts="gzip, deflate"), listen(api)
        assert packed.headers[b"Content-Encoding"] == b"gzip"
        assert gzip.decompress(packed.body) == ORDER_BODY
        assert packed.length == len(packed.body) < BODY_SIZE
        assert b"Content-Encoding" not in plain.headers
        assert plain.body == order_json(FIRST_ORDER, visit=1)
        digests = [hashlib.sha256(body).hexdigest() for body in (ORDER_BODY, plain.body)]
        assert api.hashes_sent(FIRST_ORDER) == digests


def test_broken_gzip_is_whole_http_and_no_good_body(listen):
    with stand_in_with_faults(ServerFault.cut_gzip(), ServerFault.bad_gzip()) as api:
        cut, bad = listen(api, accepts="gzip"), listen(api, accepts="gzip")
        assert cut.headers[b"Content-Encoding"] == bad.headers[b"Content-Encoding"] == b"gzip"
        assert (cut.length, bad.length) == (len(cut.body), len(bad.body))
        reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
        assert ORDER_BODY.startswith(reader.decompress(cut.body))
        assert not reader.eof
        with pytest.raises(gzip.BadGzipFile):
            gzip.decompress(bad.body)
        assert api.hashes_sent(FIRST_ORDER) == []


def test_a_large_body_is_the_order_and_blanks(listen):
    with stand_in_with_faults(ServerFault.padded(3)) as api:
        heard = listen(api, patience=1)
        assert heard.body == ORDER_BODY + b" " * 3_000_000 == api.body_sent(FIRST_ORDER)
        assert api.hashes_sent(FIRST_ORDER) == [hashlib.sha256(heard.body).hexdigest()]


def test_json_is_spoiled_as_asked(log_in):
    shapes = {name: ServerFault.shape(name) for name in SHAPES}
    with stand_in_with_faults(
        *shapes.values(), ServerFault.text_id(), ServerFault.no_id(), ServerFault.other_order()
    ) as api:
        caller = log_in(api)
        found = [json.loads(caller.refetch(FIRST_ORDER)[1]) for _ in shapes]
        assert {name: type(value) for name, value in zip(shapes, found, strict=True)} == {
            "list": list, "text": str, "number": int, "null": type(None), "object": dict,
        }  # fmt: skip
        assert not any(isinstance(value, dict) and "orderId" in value for value in found)
        assert json.loads(caller.refetch(FIRST_ORDER)[1]) == json.loads(ORDER_BODY) | {"orderId": str(FIRST_ORDER)}
        last = json.loads(caller.refetch(FIRST_ORDER)[1])
        assert last | {"orderId": FIRST_ORDER} == json.loads(order_json(FIRST_ORDER, visit=1))
        assert "orderId" not in last
        assert json.loads(caller.refetch(FIRST_ORDER)[1])["orderId"] == FIRST_ORDER + 1
        assert api.hashes_sent(FIRST_ORDER) == []


@pytest.mark.long
@pytest.mark.parametrize("status", [400, 403, 404, 408, 409, 413, 415, 422, 429, 500, 501, 502, 503, 504])
def test_any_status_can_be_answered(status, listen):
    with stand_in_with_faults(ServerFault.status(status)) as api:
        heard = listen(api)
        assert heard.head.startswith(f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode())
        assert json.loads(heard.body) == {"message": HTTPStatus(status).phrase}
        assert [answered for _, answered in api.timeline] == [status]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_lead_elsewhere(status, listen):
    with stand_in_with_faults(ServerFault.redirect("http://127.0.0.1:9/", status=status)) as api:
        heard = listen(api)
        assert heard.head.startswith(f"HTTP/1.1 {status} ".encode())
        assert heard.headers[b"Location"] == b"http://127.0.0.1:9/"


@pytest.mark.long
@pytest.mark.parametrize("hint", ["1", "0.5", "999999999", "soon", "-5", "", "Sun, 06 Nov 1994 08:49:37 GMT", None])
def test_a_429_says_when_to_come_back_in_any_words(hint, listen):
    with stand_in_with_faults(ServerFault.status(429, retry_after=hint)) as api:
        assert listen(api).headers.get(b"Retry-After") == (None if hint is None else hint.encode())


@pytest.mark.long
def test_a_date_to_come_back_is_made_when_it_is_sent(listen):
    with stand_in_with_faults(ServerFault.status(429, retry_after=date_in(90), times=2)) as api:
        for _ in range(2):
            due = parsedate_to_datetime(listen(api).headers[b"Retry-After"].decode())
            assert 85 < (due - datetime.now(UTC)).total_seconds() <= 90
            time.sleep(1)


def test_401_has_three_faces(listen, log_in):
    with stand_in_with_faults(ServerFault.expired(), ServerFault.unauthorized()) as api:
        told = [json.loads(listen(api).body)["message"] for _ in range(2)]
        assert told == ["The incoming token has expired", "Unauthorized"]
        caller = log_in(api)
        api.forget_tokens()
        assert caller.refetch(FIRST_ORDER) == (401, b'{"message":"Unauthorized"}')


def test_logins_fail_as_asked_one_after_the_other(log_in):
    faults = [
        ServerFault.status(401, times=2),
        ServerFault.status(503),
        ServerFault.body(b'{"token":["a"]}'),
        ServerFault.cut_json(),
    ]
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
        assert log_in(api).refetch(FIRST_ORDER)[0] == 200


# --- chaos ---

SOME_FAULTS = RandomFaults({ServerFault.status(503): 0.3, ServerFault.html(): 0.1, ServerFault.status(429): 0.2})


def collect_answers(api: StandIn, log_in, order_ids, threads: int) -> dict[int, list[tuple[int, bytes]]]:
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


@pytest.mark.long
def test_chaos_repeats_itself_whatever_the_threads_and_the_limit_do(log_in):
    runs = []
    for threads, step, options in [(1, 1, {}), (8, -1, {}), (4, 1, {"rate": 400, "burst": 2, "retry_after": "limit"})]:
        with StandIn(60, seed=5, chaos=SOME_FAULTS.choose_fault, **options) as api:
            runs.append(collect_answers(api, log_in, api.order_ids[::step], threads))
    assert api.throttled > 0
    assert runs[0] == runs[1] == runs[2]
    with StandIn(60, seed=6, chaos=SOME_FAULTS.choose_fault) as api:
        other = collect_answers(api, log_in, api.order_ids, 1)
    assert {order_id: [status for status, _ in told] for order_id, told in other.items()} != {
        order_id: [status for status, _ in told] for order_id, told in runs[0].items()
    }
    assert len({tuple(status for status, _ in told) for told in runs[0].values()}) > 10


def test_chaos_hits_as_often_as_it_says():
    drawn = Counter(SOME_FAULTS.choose_fault(1, order_id, nth) for order_id in range(10000) for nth in range(2))
    shares = {fault: count / 20000 for fault, count in drawn.items()}
    assert shares == {
        ServerFault.status(503): pytest.approx(0.3, abs=0.015),
        ServerFault.html(): pytest.approx(0.1, abs=0.015),
        ServerFault.status(429): pytest.approx(0.2, abs=0.015),
        ServerFault(): pytest.approx(0.4, abs=0.015),
    }
    assert Counter(RandomFaults.share_evenly([ServerFault.html(), ServerFault.reset()], 1.0).choose_fault(0, 1, nth) for nth in range(500)).keys() == {
        ServerFault.html(), ServerFault.reset(),
    }  # fmt: skip
    for shares in ({ServerFault.html(): 0.6, ServerFault.reset(): 0.5}, {ServerFault.html(): -0.1}):
        with pytest.raises(ConfigError, match="shares"):
            RandomFaults(shares)


def test_every_fault_can_come_by_chance():
    every = all_faults_by_name()
    chaos = RandomFaults.share_evenly(every.values(), 0.8)
    drawn = {chaos.choose_fault(1, order_id, 0) for order_id in range(5000)}
    assert drawn == {*every.values(), ServerFault()}
    assert len(set(every.values())) == len(every)


def test_faults_of_an_order_come_before_chaos(log_in):
    with StandIn(
        5, faults={FIRST_ORDER: [ServerFault.html()]}, chaos=RandomFaults({ServerFault.status(418): 1.0}).choose_fault
    ) as api:
        caller = log_in(api)
        assert [caller.refetch(order_id)[0] for order_id in (FIRST_ORDER, FIRST_ORDER, FIRST_ORDER + 1)] == [
            200,
            418,
            418,
        ]


@pytest.mark.long
def test_every_fault_can_be_sent_and_only_the_harmless_ones_bring_the_order(log_in):
    every = {name: fault for name, fault in all_faults_by_name(seconds=0.05).items() if name != "refused"}
    ids = dict(zip(every, range(FIRST_ORDER, FIRST_ORDER + len(every)), strict=True))
    with (
        StandIn(len(every), faults={ids[name]: [fault] for name, fault in every.items()}) as api,
        ExitStack() as closing,
    ):
        token = log_in(api).token
        wires = {name: closing.enter_context(open_socket(api)) for name in every}
        for name, wire in wires.items():
            send_refetch(wire, api, token, ids[name], "gzip")
        time.sleep(0.3)
        heard = {name: read_until_end(wire, 0.05) for name, wire in wires.items()}
        delivered = {name for name in every if api.hashes_sent(ids[name])}
        assert delivered == {name for name, fault in every.items() if fault.is_harmless}
        assert delivered == {
            "delay", "log-normal delay", "reset after the body", "without a length", "in chunks", "dripping body",
            "dripping headers", "gzip", "large body",
        }  # fmt: skip
        unlike = {(each.head.split(b"\r\nX")[0], each.body, each.end) for each in heard.values()}
        assert len(unlike) == len(every)


def test_noise_has_its_share_of_the_requests_and_every_way_to_fail():
    drawn = [choose_noise(0.1, 7, order_id, nth) for order_id in range(5000) for nth in range(2)]
    counts = Counter(drawn)
    assert set(counts) == {NO_FAULT, *NOISE}
    assert counts[NO_FAULT] == pytest.approx(9000, abs=150)
    assert all(counts[fault] == pytest.approx(1000 / len(NOISE), abs=50) for fault in NOISE)
    assert choose_noise(0.0, 7, 1, 0) is NO_FAULT
    assert {choose_noise(1.0, 7, order_id, 0) for order_id in range(500)} == set(NOISE)
