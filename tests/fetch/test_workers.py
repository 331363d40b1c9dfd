from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from quivo_frames.display.progress import Progress, ProgressMeter
from quivo_frames.errors import ArchiveError, Unreachable
from quivo_frames.fetch.rate_limit import Stopped
from quivo_frames.fetch.workers import MIN_FAILURES, RefetchWorkers
from quivo_frames.model.records import Answer, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.alone

NOW = datetime(2026, 3, 5, tzinfo=UTC)


def make_answer(order_id: int, outcome: Outcome = Outcome.FETCHED, status: int = 200) -> Answer:
    return Answer(order_id, outcome, NOW, status, {}, b"{}", 1, 0, 0.1, 0.1, f"so it is with order {order_id}.")


class ScriptedClient:
    """A client without a server: `reply` makes the answers, `waiting` is the number of threads that wait for a slot."""

    def __init__(self, reply: Callable[[int, threading.Event], Answer], *, waiting: int = 0) -> None:
        self.reply, self.waiting = reply, waiting
        self.at_once = self.most = 0
        self.guard = threading.Lock()

    def refetch(self, order_id: int, *, stop: threading.Event) -> Answer:
        with self.guard:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        try:
            return self.reply(order_id, stop)
        finally:
            with self.guard:
                self.at_once -= 1


def run_workers(
    client: ScriptedClient, orders: int, most: int = 4, keep: Callable[[Answer], None] | None = None
) -> list[Answer]:
    kept: list[Answer] = []
    workers = RefetchWorkers(iter(range(1, orders + 1)), client, keep or kept.append, most)  # type: ignore[arg-type]
    workers.refetch_all(ProgressMeter(orders, lambda _: None))
    return kept


def answer_slowly(order_id: int, _: threading.Event) -> Answer:
    time.sleep(0.02)
    return make_answer(order_id)


def test_every_order_is_asked_once_and_kept() -> None:
    assert sorted(kept.order_id for kept in run_workers(ScriptedClient(answer_slowly), 50)) == list(range(1, 51))


def test_threads_begin_while_nobody_waits_and_no_more_than_allowed() -> None:
    free = ScriptedClient(answer_slowly)
    run_workers(free, 100, most=7)
    assert free.most == 7
    held_up = ScriptedClient(answer_slowly, waiting=1)
    run_workers(held_up, 20, most=7)
    assert held_up.most == 1


@pytest.mark.parametrize(
    ("outcome", "status"), [(Outcome.UNREACHABLE, 503), (Outcome.UNUSABLE, 200), (Outcome.REFUSED, 403)]
)
def test_a_run_that_only_fails_is_ended_early_and_says_why(outcome: Outcome, status: int) -> None:
    asked: list[int] = []

    def fail(order_id: int, _: threading.Event) -> Answer:
        asked.append(order_id)
        return make_answer(order_id, outcome, status)

    with pytest.raises(Unreachable, match=r"Of the last \d+ orders \d+ brought no usable answer, .* order \d"):
        run_workers(ScriptedClient(fail), 10_000)
    assert MIN_FAILURES <= len(asked) < MIN_FAILURES + 4


@pytest.mark.parametrize(
    ("outcome", "status"), [(Outcome.UNKNOWN, 404), (Outcome.REFUSED, 400), (Outcome.REFUSED, 409)]
)
def test_what_quivo_says_of_single_orders_ends_no_run(outcome: Outcome, status: int) -> None:
    assert len(run_workers(ScriptedClient(lambda order_id, _: make_answer(order_id, outcome, status)), 200)) == 200


def test_orders_that_fail_among_others_end_no_run_also_when_they_end_last() -> None:
    over = threading.Event()

    def some(order_id: int, _: threading.Event) -> Answer:
        if order_id % 4 == 0:  # as with waits between tries: good ones pass them
            over.wait(0.05)
            return make_answer(order_id, Outcome.UNUSABLE)
        return make_answer(order_id)

    assert len(run_workers(ScriptedClient(some), 400, most=32)) == 400


def test_what_cannot_be_kept_ends_the_run_and_what_is_under_way_is_kept() -> None:
    kept: list[int] = []

    def keep(given: Answer) -> None:
        if given.order_id == 10:
            raise ArchiveError("the disk is full")
        kept.append(given.order_id)

    with pytest.raises(ArchiveError, match="disk is full"):
        run_workers(ScriptedClient(answer_slowly), 1000, keep=keep)
    assert 3 <= len(kept) < 40
    assert len(set(kept)) == len(kept)


def test_a_function_of_the_user_that_fails_ends_the_run_and_costs_no_answer() -> None:
    class Failing(ProgressMeter):
        def report_if_due(self) -> None:
            raise BrokenPipeError

    begun: list[int] = []
    kept: list[Answer] = []

    def reply(order_id: int, _: threading.Event) -> Answer:
        begun.append(order_id)
        time.sleep(0.3)  # nothing comes meanwhile: it is told so
        return make_answer(order_id)

    with pytest.raises(BrokenPipeError):
        RefetchWorkers(iter(range(99)), ScriptedClient(reply), kept.append, 4).refetch_all(Failing(99, lambda _: None))  # type: ignore[arg-type]
    assert sorted(given.order_id for given in kept) == sorted(begun)


class InterruptingMeter(ProgressMeter):
    """Ctrl-C at some order, as it reaches the thread that watches."""

    def __init__(self, at: int) -> None:
        super().__init__(1000, lambda _: None)
        self.at = at

    def count_order(self, *, failed: bool) -> None:
        self.at -= 1
        if self.at == 0:
            raise KeyboardInterrupt


def test_ctrl_c_keeps_what_is_under_way_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    begun: list[int] = []
    kept: list[Answer] = []

    def reply(order_id: int, stop: threading.Event) -> Answer:
        begun.append(order_id)
        time.sleep(0.05)
        return make_answer(order_id)

    with caplog.at_level(logging.WARNING), pytest.raises(KeyboardInterrupt):
        RefetchWorkers(iter(range(1000)), ScriptedClient(reply), kept.append, 4).refetch_all(InterruptingMeter(5))  # type: ignore[arg-type]
    assert sorted(given.order_id for given in kept) == sorted(begun)
    assert len(begun) < 20
    assert "Ctrl-C again: at once" in caplog.text


def test_ctrl_c_again_waits_for_nobody_and_what_comes_later_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive may be closed by then, and be another's."""
    over, later = threading.Event(), threading.Event()
    kept: list[Answer] = []

    def reply(order_id: int, _: threading.Event) -> Answer:
        if order_id > 2:
            over.wait(10)
            later.set()
        return make_answer(order_id)

    def again(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(logging.getLogger("quivo_frames.fetch.workers"), "warning", again)
    workers = RefetchWorkers(iter(range(1, 99)), ScriptedClient(reply), kept.append, 4)  # type: ignore[arg-type]
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        workers.refetch_all(InterruptingMeter(2))
    assert time.monotonic() - began < 5
    over.set()
    assert later.wait(5)
    for thread in workers._threads:
        thread.join(5)
    assert [given.order_id for given in kept] == [1, 2]


def test_who_waits_for_a_turn_ends_at_once_when_told_to_stop() -> None:
    def reply(order_id: int, stop: threading.Event) -> Answer:
        if order_id < 3:
            return make_answer(order_id)
        stop.wait(30)
        raise Stopped

    kept: list[Answer] = []
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        RefetchWorkers(iter(range(1, 99)), ScriptedClient(reply), kept.append, 4).refetch_all(InterruptingMeter(2))  # type: ignore[arg-type]
    assert time.monotonic() - began < 5
    assert len(kept) == 2


def test_progress_is_told_about_once_a_second_and_adds_up() -> None:
    now = 0.0
    told: list[Progress] = []
    meter = ProgressMeter(100, told.append, lambda: now)
    for _ in range(40):
        now += 0.25
        meter.count_order(failed=False)
    assert [progress.done for progress in told] == list(range(4, 41, 4))
    assert told[-1] == Progress(done=40, failed=0, left=60, rate=4.0, eta_seconds=15.0)
    now += 100  # nothing comes any more
    for _ in range(20):
        now += 1
        meter.report_if_due()
    assert told[-1][2:] == (60, None, None)
    meter.count_order(failed=True)
    meter.report_now()
    assert told[-1][:3] == (41, 1, 59)
