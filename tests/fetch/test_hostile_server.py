"""Every fault that the stand-in knows, through a real refetch: judged by what the server sent and what the file holds."""

from __future__ import annotations

import shutil
import socket
import sqlite3
import ssl
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from quivo_frames.archive.archive import Archive
from quivo_frames.errors import LoginError, UnexpectedResponse, Unreachable
from quivo_frames.fetch.run import Run, refetch
from quivo_frames.standin.faults import HttpReply, ServerFault
from quivo_frames.standin.server import StandIn
from tests.support import chaos, independent_archive
from tests.support.depth import sampled
from tests.support.random_faults import all_faults_by_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from quivo_frames.fetch.client import Client

    Connect = Callable[..., Client]

pytestmark = pytest.mark.alone

ORDERS = 12
HIT = 100006

# What becomes of an order whose every answer is hit, by what HTTP (RFC 9110) and the documentation of the API say.
FETCHED, UNKNOWN, REFUSED = "fetched", "unknown order", "refused"
UNREACHABLE, UNUSABLE = "unreachable", "unusable answer"
ENDS = {
    "delay": FETCHED,
    "log-normal delay": FETCHED,
    "stalled": UNREACHABLE,  # not one byte
    "stalled within the body": UNUSABLE,  # a status, and no whole answer
    "refused": UNREACHABLE,
    "reset": UNREACHABLE,
    "reset within the body": UNUSABLE,
    "reset after the body": FETCHED,  # all of it is there
    "truncated": UNUSABLE,
    "truncated without a length": UNUSABLE,
    "truncated in chunks": UNUSABLE,
    "without a length": FETCHED,
    "in chunks": FETCHED,
    "length too long": UNUSABLE,
    "length too short": UNUSABLE,  # or, when its rest was taken for the next answer: unreachable
    "dripping body": FETCHED,
    "dripping headers": FETCHED,
    "gzip": FETCHED,
    "gzip cut": UNUSABLE,
    "gzip in name only": UNUSABLE,
    "large body": FETCHED,
    "204": UNUSABLE,  # success without a body: there is no order
    "empty": UNUSABLE,
    "html": UNUSABLE,
    "not UTF-8": UNUSABLE,
    "deep": UNUSABLE,
    "json of another shape: list": UNUSABLE,
    "json of another shape: text": UNUSABLE,
    "json of another shape: number": UNUSABLE,
    "json of another shape: null": UNUSABLE,
    "json of another shape: object": UNUSABLE,
    "cut JSON": UNUSABLE,
    "no orderId": UNUSABLE,
    "orderId as text": UNUSABLE,  # documented as an integer
    "another order": UNUSABLE,
    "400 text": REFUSED,
    "401 expired": REFUSED,  # each new token as well
    "401 unauthorized": REFUSED,
    "400": REFUSED,
    "403": REFUSED,
    "404": UNKNOWN,
    "408": UNREACHABLE,  # 15.5.9: the server did not wait any longer; it may be asked again
    "409": REFUSED,
    "413": REFUSED,
    "415": REFUSED,
    "422": REFUSED,
    "500": UNREACHABLE,
    "501": UNREACHABLE,
    "502": UNREACHABLE,
    "503": UNREACHABLE,
    "504": UNREACHABLE,
    **{
        f"429, Retry-After {how}": UNREACHABLE
        for how in (
            "in seconds", "as a fraction", "as a date", "as a date long ago", "as a date far ahead", "beyond reason",
            "as a word", "below 0", "empty", "absent",
        )
    },
    "503, Retry-After": UNREACHABLE,
    **{f"redirect {status}": UNUSABLE for status in (301, 302, 303, 307, 308)},  # documented nowhere
    "body without end": UNUSABLE,
    "headers without end": UNREACHABLE,
}  # fmt: skip
NOT_RETRIED = {
    "204",
    "400",
    "400 text",
    "401 expired",
    "401 unauthorized",
    "403",
    "404",
    "409",
    "413",
    "415",
    "422",
    "501",
    "json of another shape: object",  # an error that says what it is
}
NOT_RETRIED |= {f"redirect {status}" for status in (301, 302, 303, 307, 308)}
"""What another try would not help."""
PASSES_AT_ONCE = {"401 expired", "401 unauthorized"}
"""What a new token helps."""
WITHOUT_STATUS = {"stalled", "refused", "reset", "headers without end"}
STALLING = {"stalled", "stalled within the body", "length too long", "body without end", "headers without end"}
REACHES_OTHERS = {"refused", "reset after the body", "length too short"}
"""What also hits requests under way, or the next one on the same connection: these are asked again."""


def all_faults(elsewhere: str = "http://127.0.0.1:9/") -> dict[str, ServerFault]:
    known = all_faults_by_name(seconds=0.05, elsewhere=elsewhere)
    long = HttpReply(200, b"{}", headers=(("X-Long", "x" * 2000),))  # drips for 10 s, a byte at a time
    endless = ServerFault(reply=long, head_seconds=10.0)
    return known | {"body without end": ServerFault.drip(30.0), "headers without end": endless}


class Elsewhere:
    """A port at which nobody must ever come by."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"

    def saw_nobody(self) -> bool:
        with pytest.raises(BlockingIOError):
            self._listener.accept()
        return True

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    with closing(Elsewhere()) as place:
        yield place


@pytest.fixture
def connect(connect: Connect) -> Connect:
    return partial(connect, longest_pause=0.05)


def check_archive(
    run: Run, api: StandIn, path: Path, failing: Mapping[int, set[str]] | None = None
) -> dict[int, independent_archive.LedgerLine]:
    """The last attempt of each order, when all is as it must be: `failing` orders end so, all others are fetched."""
    failing, ids = failing or {}, set(api.order_ids)
    lines = independent_archive.ledger_lines(path)
    assert Counter(line.order_id for line in lines if line.run == run.run) == Counter(ids)
    ends = {line.order_id: line for line in lines}
    told = {n: line.outcome for n, line in ends.items() if line.outcome not in failing.get(n, {FETCHED})}
    assert told == {}
    assert {str(outcome): count for outcome, count in run.outcomes.items()} == Counter(
        line.outcome for line in ends.values()
    )
    assert sum(run.outcomes.values()) == run.asked == len(ids)
    good = [response for response in independent_archive.stored_responses(path) if response.good]
    assert {r.order_id: r.sha256 for r in good} == {n: api.hashes_sent(n)[-1] for n in ids - set(failing)}
    assert {r.order_id: r.body for r in good} == {n: api.body_sent(n) for n in ids - set(failing)}
    assert len(good) == len(ids) - len(failing)
    assert independent_archive.is_sound(path)
    renewed = sum(status == 401 for _, status in api.timeline)
    assert len(api.timeline) <= sum(line.tries for line in lines) + renewed
    return ends


def run_refetch(connect: Connect, api: StandIn, path: Path, **options: Any) -> Run:
    with Archive(path) as archive:
        return refetch(api.order_ids, connect(api, **options), archive)


def try_seconds(name: str) -> float:
    """Seconds for one try: a fault that stalls takes them all."""
    return 0.7 if name in STALLING else 10.0


def test_the_table_of_ends_names_every_fault() -> None:
    assert set(ENDS) == set(all_faults())


@pytest.mark.drawn
@pytest.mark.parametrize("name", sampled(ENDS))
def test_a_fault_that_hits_once_costs_no_order_that_may_be_asked_again(
    name: str, connect: Connect, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    fault, hit = replace(all_faults(elsewhere.url)[name], times=1), (100002, HIT)
    with StandIn(ORDERS, faults={order_id: [fault] for order_id in hit}) as api:
        tries = 8 if name == "refused" else 4  # which resets all connections at each hit, also those that come again
        run = run_refetch(connect, api, tmp_path / "a", tries=tries, timeout=try_seconds(name))
        failing = {order_id: {ENDS[name]} for order_id in hit if name in NOT_RETRIED - PASSES_AT_ONCE}
        ends = check_archive(run, api, tmp_path / "a", failing)
        if name not in REACHES_OTHERS:
            again = name not in NOT_RETRIED and ENDS[name] != FETCHED
            assert {n: line.tries for n, line in ends.items()} == {n: 1 + (again and n in hit) for n in api.order_ids}
            twice = again or name in PASSES_AT_ONCE
            assert {n: api.refetch_count(n) for n in api.order_ids} == {
                n: 1 + (twice and n in hit) for n in api.order_ids
            }
    assert elsewhere.saw_nobody()


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in ENDS if name != "refused"])
def test_a_fault_that_stays_costs_its_order_alone_and_is_told(
    name: str, connect: Connect, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    fault = replace(all_faults(elsewhere.url)[name], times=None)
    allowed = {ENDS[name], UNREACHABLE} if name == "length too short" else {ENDS[name]}
    with StandIn(ORDERS, faults={HIT: [fault]}) as api:
        run = run_refetch(connect, api, tmp_path / "a", tries=2, timeout=try_seconds(name))
        ends = check_archive(run, api, tmp_path / "a", {HIT: allowed} if ENDS[name] != FETCHED else {})
        if name not in REACHES_OTHERS:
            again = name not in NOT_RETRIED and ENDS[name] != FETCHED
            assert {n: line.tries for n, line in ends.items()} == {n: 1 + (again and n == HIT) for n in api.order_ids}
            more = {n: api.refetch_count(n) - 1 for n in api.order_ids}
            if name in PASSES_AT_ONCE:  # two good tokens; before them some that had run out, or that nobody had tried
                assert 1 <= more.pop(HIT) <= 4
                assert max(more.values()) <= 2  # others may be under way when a token runs out
            else:
                assert sum(more.values()) == again
    if ENDS[name] != FETCHED:
        hit = ends[HIT]
        assert str(HIT) in hit.message
        assert run.failures["order_id"].to_list() == [HIT]
        sent = None if name in WITHOUT_STATUS else fault.reply.status if fault.reply else 200
        assert hit.status == sent or name == "length too short"
        if hit.status not in {None, 200}:
            assert str(hit.status) in hit.message
    assert elsewhere.saw_nobody()


@pytest.mark.long
def test_an_order_that_takes_the_connections_down_is_not_asked_for_without_end(connect: Connect) -> None:
    with StandIn(ORDERS, faults={HIT: [ServerFault.refuse(0.05, times=None)]}) as api:
        client, stop = connect(api, tries=2), threading.Event()
        assert client.refetch(HIT + 1).outcome == FETCHED
        threading.Timer(4.0, stop.set).start()
        assert client.refetch(HIT, stop=stop).outcome == UNREACHABLE
        assert api.refetch_count(HIT) <= 4


# Of all requests, not of one order.


def act_after_requests(api: StandIn, requests: int, act: Callable[[], object]) -> threading.Thread:
    """Acts in the midst of a batch, when so many refetches have come."""

    def wait() -> None:
        while len(api.timeline) < requests:
            time.sleep(0.001)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_refused_credentials_are_sent_once_and_the_same_call_goes_on_with_right_ones(
    connect: Connect, tmp_path: Path
) -> None:
    with StandIn(ORDERS, login_faults=[ServerFault.unauthorized()]) as api, Archive(tmp_path / "a") as archive:
        with pytest.raises(LoginError, match="401"):
            refetch(api.order_ids, connect(api), archive)
        assert (api.logins, len(api.timeline), independent_archive.ledger_lines(tmp_path / "a")) == (1, 0, [])
        run = refetch(api.order_ids, connect(api), archive)
        assert (run.run, run.resumed) == (1, True)
        check_archive(run, api, tmp_path / "a")
        assert len(api.timeline) == ORDERS


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_login_that_fails_for_a_moment_is_tried_again(connect: Connect, tmp_path: Path, status: int) -> None:
    with StandIn(ORDERS, login_faults=[ServerFault.status(status, times=2)]) as api:
        check_archive(run_refetch(connect, api, tmp_path / "a"), api, tmp_path / "a")
        assert (api.logins, len(api.timeline)) == (3, ORDERS)


def test_a_login_that_stays_down_ends_the_run_with_nothing_asked(connect: Connect, tmp_path: Path) -> None:
    with StandIn(ORDERS, login_faults=[ServerFault.status(500, times=3)]) as api, Archive(tmp_path / "a") as archive:
        with pytest.raises(Unreachable, match="500"):
            refetch(api.order_ids, connect(api, tries=3), archive)
        assert (api.logins, len(api.timeline), independent_archive.ledger_lines(tmp_path / "a")) == (3, 0, [])
        run = refetch(api.order_ids, connect(api), archive)
        assert run.resumed
        check_archive(run, api, tmp_path / "a")


def test_tokens_that_end_in_mid_batch_cost_no_order_and_no_try(connect: Connect, tmp_path: Path) -> None:
    with StandIn(40, token_seconds=0.15, latency=0.02) as api:
        began = time.monotonic()
        ends = check_archive(run_refetch(connect, api, tmp_path / "a"), api, tmp_path / "a")
        assert {line.tries for line in ends.values()} == {1}
        assert 2 <= api.logins <= 1 + (time.monotonic() - began) / 0.15


@pytest.mark.parametrize("revoke", ["revoke_tokens", "forget_tokens"])
def test_a_token_that_is_revoked_in_mid_batch_is_renewed_once_for_all(
    connect: Connect, tmp_path: Path, revoke: str
) -> None:
    with StandIn(40, latency=0.02) as api:
        act_after_requests(api, 10, getattr(api, revoke))
        ends = check_archive(run_refetch(connect, api, tmp_path / "a"), api, tmp_path / "a")
        assert {line.tries for line in ends.values()} == {1}
        assert api.logins == 2
        assert 1 <= sum(status == 401 for _, status in api.timeline) <= 4  # those under way


@pytest.mark.long
def test_connections_refused_for_a_moment_cost_no_order(connect: Connect, tmp_path: Path) -> None:
    with StandIn(40, latency=0.02) as api:
        act_after_requests(api, 10, partial(api.refuse_connections, 0.5))
        check_archive(run_refetch(connect, api, tmp_path / "a", tries=2), api, tmp_path / "a")
        assert len(api.timeline) <= 40 + 4  # those under way


@pytest.mark.long
def test_a_limit_that_moves_costs_no_order_and_no_more_than_what_it_refused(connect: Connect, tmp_path: Path) -> None:
    with StandIn(60, rate=100.0) as api:
        act_after_requests(api, 20, partial(setattr, api, "rate", 15.0))
        act_after_requests(api, 40, partial(setattr, api, "rate", 300.0))
        ends = check_archive(run_refetch(connect, api, tmp_path / "a", rate=None, tries=20), api, tmp_path / "a")
        assert api.throttled > 0
        assert sum(line.tries for line in ends.values()) == len(api.timeline) == 60 + api.throttled


def test_an_authority_is_trusted_only_when_it_is_named(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    stranger.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    with StandIn(ORDERS, tls=tls) as api, Archive(tmp_path / "a") as archive:
        for bundle in ("", str(tmp_path / "other.pem")):
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
            monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
            with pytest.raises(Unreachable, match=r"certificate was not accepted .* REQUESTS_CA_BUNDLE"):
                refetch(api.order_ids, connect(api, tries=1), archive)
            assert (api.requests, independent_archive.ledger_lines(tmp_path / "a")) == (0, [])
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        run = refetch(api.order_ids, connect(api), archive)
        check_archive(run, api, tmp_path / "a")
        assert len(api.timeline) == ORDERS


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_login_that_is_sent_elsewhere_does_not_go_there(connect: Connect, status: int, elsewhere: Elsewhere) -> None:
    with StandIn(ORDERS, login_faults=[ServerFault.redirect(elsewhere.url, status=status, times=None)]) as api:
        with pytest.raises(UnexpectedResponse, match=str(status)):
            connect(api).refetch(HIT)
        assert (api.logins, len(api.timeline)) == (1, 0)
    assert elsewhere.saw_nobody()


def test_a_list_that_is_sent_elsewhere_does_not_go_there(connect: Connect, elsewhere: Elsewhere) -> None:
    with (
        StandIn(ORDERS, list_faults=[ServerFault.redirect(elsewhere.url, times=None)]) as api,
        pytest.raises(UnexpectedResponse, match="307"),
    ):
        list(connect(api).find())
    assert elsewhere.saw_nobody()


# All at once: `make chaos`, small.


@pytest.mark.long
def test_all_faults_at_once_and_kill_9_cost_nothing(tmp_path: Path) -> None:
    done = chaos.run_chaos(300, seed=2, kills=2, share=0.08, folder=tmp_path, tell=lambda _: None)
    assert chaos.broken_promises(done) == []
    assert done.kills == 2
    figures = dict(chaos.summary_rows(done))
    assert figures["attempts: fetched"] == "300"
    _chaos_sees_what_is_broken(done, tmp_path)


def _chaos_sees_what_is_broken(done: chaos.ChaosResult, folder: Path) -> None:
    copy = "INSERT INTO {0} SELECT {1} FROM {0} WHERE order_id = 100007 AND {2}"
    response = "NULL, order_id, run, fetched_at, http_status, headers, good, size, sha256, body, seal"
    attempt = "NULL, order_id, run, at, tries, seconds, outcome, http_status, message, throttled, latency, seal"
    other = "(SELECT {} FROM responses WHERE order_id = 100008 AND good)"
    for sql, told in {
        "DELETE FROM responses WHERE order_id = 100007": "1 orders are not stored, such as 100007",
        copy.format("responses", response, "good"): "1 orders are stored more than once, such as 100007",
        f"UPDATE responses SET body = {other.format('body')}, sha256 = {other.format('sha256')},"
        f" size = {other.format('size')} WHERE order_id = 100007 AND good": "1 orders are not as the server sent them",
        copy.format("attempts", attempt, "outcome = 'fetched'"): "1 orders are not acknowledged once, such as 100007",
        "UPDATE attempts SET outcome = 'refused' WHERE order_id = 100007": "1 orders are not acknowledged once",
        "UPDATE attempts SET tries = 0": "requests where",
    }.items():
        shutil.copy(done.archive, folder / "broken.sqlite")
        with closing(sqlite3.connect(folder / "broken.sqlite")) as db, db:
            assert db.execute(sql).rowcount >= 1
        (found,) = chaos.broken_promises(done._replace(archive=folder / "broken.sqlite"))
        assert told in found
