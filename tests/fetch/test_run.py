from __future__ import annotations

import hashlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from quivo_frames.archive.archive import Archive
from quivo_frames.errors import ArchiveError, ConfigError, LoginError
from quivo_frames.fetch.order_ids import validate_ids
from quivo_frames.fetch.run import plan, refetch
from quivo_frames.model.records import Answer, Outcome
from quivo_frames.settings.settings import STAND_IN
from quivo_frames.standin.faults import ServerFault
from quivo_frames.standin.server import StandIn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from quivo_frames.fetch.client import Client

    Connect = Callable[..., Client]

pytestmark = pytest.mark.alone


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive(tmp_path / "orders.sqlite") as archive:
        yield archive


def test_every_order_is_asked_once_and_kept_as_it_was_sent(standin: StandIn, client: Client, archive: Archive) -> None:
    run = refetch(standin.order_ids, client, archive, workers=8)
    assert (run.asked, run.fetched, run.failed, run.duplicates, run.resumed) == (300, 300, 0, 0, False)
    assert {standin.refetch_count(order_id) for order_id in standin.order_ids} == {1}
    kept = {raw.order_id: hashlib.sha256(raw.body).digest() for raw in archive.newest()}
    assert kept == {n: hashlib.sha256(standin.body_sent(n)).digest() for n in standin.order_ids}
    assert archive.attempts().height == 300


def test_one_bad_order_never_costs_another(connect: Connect, archive: Archive) -> None:
    faults = {
        100001: [ServerFault.status(503)], 100002: [ServerFault.truncate(times=None)], 100003: [ServerFault.bad_request(times=None)],
        100004: [ServerFault.forbidden(times=None)], 100005: [ServerFault.reset(times=None)],
        100006: [ServerFault.no_content(times=None)],
        100007: [ServerFault.other_order(100001, times=None)], 100008: [ServerFault.html(times=None)], 100009: [ServerFault.cut_json()],
        100010: [ServerFault.status(500, times=None)], 100011: [ServerFault.expired()], 100012: [ServerFault.status(429)],
    }  # fmt: skip
    with StandIn(orders=60, faults=faults) as api:
        run = refetch([*api.order_ids, 7], connect(api, tries=2), archive)
        assert run.outcomes == {
            Outcome.FETCHED: 52, Outcome.UNKNOWN: 1, Outcome.REFUSED: 2, Outcome.UNREACHABLE: 2, Outcome.UNUSABLE: 4,
        }  # fmt: skip
        assert sorted(run.failures["order_id"]) == [7, 100002, 100003, 100004, 100005, 100006, 100007, 100008, 100010]
        assert {raw.order_id: raw.body for raw in archive.newest()} == {
            n: api.body_sent(n) for n in api.order_ids if n not in set(run.failures["order_id"])
        }
    assert "61 orders" in str(run)
    assert ">52</td>" in run._repr_html_()


def test_ids_may_be_numbers_or_their_digits_and_are_asked_once(
    standin: StandIn, client: Client, archive: Archive
) -> None:
    numpy_like = type("Int64", (), {"__index__": lambda _: 100003})()
    run = refetch(iter([100001, "100002", " 100001 ", numpy_like, 100002]), client, archive)
    assert (run.asked, run.duplicates, run.fetched) == (3, 2, 3)
    assert "2 ids were given more than once" in str(run)
    assert sum(map(standin.refetch_count, standin.order_ids)) == 3


@pytest.mark.parametrize(
    "wrong", ["x1", "", "1.5", 1.5, -1, 0, "0", 2**63, str(2**63), "9" * 5000, None, True, "²", [1]]
)
def test_an_invalid_id_stops_everything_before_the_first_request(
    standin: StandIn, client: Client, archive: Archive, wrong: Any
) -> None:
    with pytest.raises(ConfigError, match=r"^1 of the ids cannot be order ids: .*Nothing was done"):
        refetch([100001, wrong, 100002], client, archive)
    assert standin.requests == 0
    assert archive.runs().height == 0


def test_a_finished_run_asked_again_is_a_new_refetch(standin: StandIn, client: Client, archive: Archive) -> None:
    ids = [100001, 100002]
    first, second = refetch(ids, client, archive), refetch(ids, client, archive)
    assert (second.resumed, second.run) == (False, first.run + 1)
    assert standin.refetch_count(100001) == 2
    assert archive.counts() == {"orders": 2, "responses": 4, "runs": 2, "unfinished": 0}


class FailingClient:
    """A client that fails once, after some orders."""

    service = STAND_IN

    def __init__(self, client: Client, after: int, error: BaseException) -> None:
        self.client, self.left, self.error, self.waiting = client, after, error, 0

    def refetch(self, order_id: int, *, stop: threading.Event) -> Answer:
        self.left -= 1
        if self.left == -1:
            raise self.error
        return self.client.refetch(order_id, stop=stop)


def test_the_same_call_goes_on_where_an_error_stopped_it(standin: StandIn, client: Client, archive: Archive) -> None:
    with pytest.raises(LoginError, match="expired account"):
        refetch(standin.order_ids, FailingClient(client, 100, LoginError("expired account")), archive)  # type: ignore[arg-type]
    assert archive.runs()["finished_at"].null_count() == 1
    assert 99 <= plan(standin.order_ids, archive).done < 110  # the other threads stopped soon
    run = refetch(reversed(standin.order_ids), client, archive)
    assert (run.resumed, run.fetched) == (True, 300)
    assert {standin.refetch_count(order_id) for order_id in standin.order_ids} == {1}
    assert archive.runs().height == 1
    assert "(resumed)" in str(run)


def test_a_new_run_starts_over_when_asked(standin: StandIn, client: Client, archive: Archive) -> None:
    with pytest.raises(LoginError):
        refetch(standin.order_ids[:9], FailingClient(client, 5, LoginError("")), archive)  # type: ignore[arg-type]
    assert archive.runs()["finished_at"].null_count() == 1
    run = refetch(standin.order_ids[:9], client, archive, new_run=True)
    assert (run.resumed, run.fetched) == (False, 9)
    assert 11 <= sum(map(standin.refetch_count, standin.order_ids)) <= 17


def test_recent_answers_are_not_asked_for_again(standin: StandIn, client: Client, archive: Archive) -> None:
    refetch(standin.order_ids[:3], client, archive)
    run = refetch(standin.order_ids[:5], client, archive, max_age=timedelta(hours=1))
    assert (run.skipped, run.fetched, run.failed) == (3, 2, 0)
    assert refetch(standin.order_ids[:3], client, archive, max_age=timedelta(0)).skipped == 0
    with pytest.raises(ConfigError, match="max_age"):
        refetch([1], client, archive, max_age=timedelta(-1))


def test_a_plan_tells_what_refetch_would_do_and_does_nothing(
    standin: StandIn, client: Client, archive: Archive
) -> None:
    assert (
        str(plan([1, 2, 2], archive, rate=0.001))
        == "2 requests for 2 orders (a new run; 1 given twice); 0:33:20 at 0.001 a second"
    )
    assert not archive.path.exists()
    refetch(standin.order_ids[:3], client, archive)
    with pytest.raises(LoginError):
        refetch(standin.order_ids[:9], FailingClient(client, 4, LoginError("")), archive, workers=1)  # type: ignore[arg-type]
    seen, requests = archive.counts(), standin.requests
    planned = plan([*standin.order_ids[:9], 100001], archive, max_age=timedelta(hours=1), rate=2)
    assert (planned.asked, planned.duplicates, planned.requests, planned.seconds) == (9, 1, 5, 2.5)
    assert planned.done + planned.skipped == 4
    assert planned.resumed == 2
    assert plan(standin.order_ids[:9], archive, new_run=True).requests == 9
    assert (archive.counts(), standin.requests) == (seen, requests)


def test_ctrl_c_keeps_what_is_in_flight_and_the_next_call_goes_on(connect: Connect, tmp_path: Path) -> None:
    with StandIn(orders=40, latency=0.1) as api, Archive(tmp_path / "orders.sqlite") as archive:
        client = connect(api)
        threading.Timer(0.35, os.kill, (os.getpid(), signal.SIGINT)).start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            refetch(api.order_ids, client, archive)
        assert time.monotonic() - began < 0.35 + 0.1 + 0.4
        sent = sum(map(api.refetch_count, api.order_ids))
        assert 0 < sent < 40
        assert plan(api.order_ids, archive).done == sent
        assert refetch(api.order_ids, client, archive).resumed
        assert {api.refetch_count(order_id) for order_id in api.order_ids} == {1}


CHILD = """
import sys
from quivo_frames.archive.archive import Archive
from quivo_frames.fetch.client import Client
from quivo_frames.fetch.run import refetch
url, key, user, password, path, first, last = sys.argv[1:]
login = {"base_url": url, "api_key": key, "username": user, "password": password}
with Client.from_env(**login, rate=500.0) as client, Archive(path) as archive:
    print("ready", flush=True)
    print(refetch(range(int(first), int(last)), client, archive, workers=4))
"""


@pytest.mark.long
def test_kill_9_costs_at_most_the_requests_in_flight(tmp_path: Path) -> None:
    with StandIn(orders=150, latency=0.005) as api:
        bounds = (str(api.order_ids.start), str(api.order_ids.stop))
        command = [sys.executable, "-c", CHILD, api.base_url, api.api_key, api.username, api.password,
                   str(tmp_path / "orders.sqlite"), *bounds]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            deadline = time.monotonic() + 20
            while sum(map(api.refetch_count, api.order_ids)) < 60 and time.monotonic() < deadline:
                time.sleep(0.002)
            child.kill()
        assert 60 <= sum(map(api.refetch_count, api.order_ids)) < 150
        again = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        assert "(resumed)" in again.stdout
        served = Counter(api.refetch_count(order_id) for order_id in api.order_ids)
        assert set(served) <= {1, 2}
        assert served[2] <= 4
        kept = {raw.order_id: raw.body for raw in Archive(tmp_path / "orders.sqlite").newest()}
        assert kept == {order_id: api.body_sent(order_id) for order_id in api.order_ids}


def test_a_second_run_on_the_same_archive_is_told(standin: StandIn, client: Client, archive: Archive) -> None:
    archive.begin([1])
    with Archive(archive.path) as second, pytest.raises(ArchiveError, match="being written by another run"):
        refetch([100001], client, second)
    assert standin.requests == 0


def test_a_full_disk_ends_the_run_and_the_next_call_goes_on(standin: StandIn, client: Client, archive: Archive) -> None:
    archive._writer.commit_job(lambda db: db.execute("PRAGMA max_page_count = 30").fetchone())
    with pytest.raises(ArchiveError, match="disk is full"):
        refetch(standin.order_ids, client, archive)
    kept = archive.counts()["orders"]
    assert 0 < kept < 300
    archive._writer.commit_job(lambda db: db.execute("PRAGMA max_page_count = 100000").fetchone())
    assert refetch(standin.order_ids, client, archive).fetched == 300
    assert sum(map(standin.refetch_count, standin.order_ids)) <= 300 + 4


def test_no_credential_is_left_anywhere(
    connect: Connect, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    faults = {100001 + n: [fault] for n, fault in enumerate([
        ServerFault.status(500, times=None), ServerFault.bad_request(times=None), ServerFault.forbidden(times=None), ServerFault.expired(),
        ServerFault.expired(times=None), ServerFault.html(times=None), ServerFault.reset(times=None), ServerFault.truncate(times=None),
        ServerFault.redirect("http://127.0.0.1:9/", times=None), ServerFault.status(429),
    ])}  # fmt: skip
    path = tmp_path / "orders.sqlite"
    with StandIn(orders=30, faults=faults) as api, Archive(path) as archive:
        client = connect(api, tries=2)
        run = refetch(api.order_ids, client, archive, progress=True)
        told = f"{run!r}{run._repr_html_()}{client!r}{archive!r}{run.failures.rows()}{archive.attempts().rows()}"
        with pytest.raises(LoginError) as caught:
            connect(api, password="canary-word").ping()
        told += f"{caught.value!r}{caught.value.__cause__!r}"
        files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    told += caplog.text + "".join(capfd.readouterr())
    files += path.read_bytes()
    for secret in (api.api_key, api.username, api.password, "standin-token", "canary"):
        assert secret not in told
        assert secret[:10] not in told
        assert secret.encode() not in files
    assert run.fetched == 22


def test_progress_is_shown_only_when_asked_for_or_seen(
    standin: StandIn, client: Client, archive: Archive, capfd: pytest.CaptureFixture[str]
) -> None:
    refetch(standin.order_ids[:5], client, archive)
    assert capfd.readouterr() == ("", "")
    refetch([*standin.order_ids[:5], 7], client, archive, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "6/6" in err
    assert "failed=1" in err


@pytest.mark.long
def test_many_ids_take_flat_memory(archive: Archive) -> None:
    tracemalloc.start()
    try:
        run, batch = archive.begin(validate_ids(range(1, 100_001)))
        assert (batch.asked, sum(1 for _ in archive.pending(run))) == (100_000, 100_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000  # a list of them takes 3.6 MB


def test_no_workers_no_run(client: Client, archive: Archive) -> None:
    with pytest.raises(ConfigError, match="at least 1 worker"):
        refetch([1], client, archive, workers=0)
