"""The worker threads of a run: each takes the next id, refetches it, saves the answer, and goes on.

They are as many as the rate needs: another one starts as long as no thread waits for a slot of the rate limiter.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from typing import TYPE_CHECKING

from quivo_frames.errors import Unreachable
from quivo_frames.fetch.rate_limit import Stopped
from quivo_frames.model.records import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from quivo_frames.display.progress import ProgressMeter
    from quivo_frames.fetch.client import Client
    from quivo_frames.model.records import Answer

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.1
QUICK_TICK_SECONDS = 0.01  # while another thread may be needed before the next answer comes
MIN_FAILURES = 20  # of the last orders, before the circuit breaker opens
ACCOUNT_STATUSES = frozenset({401, 403})  # a refusal of the account rather than of one order


class RefetchWorkers:
    """Up to `max_threads` threads that refetch `ids` with `client`.

    `save_answer` returns when the answer is on the disk.
    """

    def __init__(
        self, ids: Iterator[int], client: Client, save_answer: Callable[[Answer], None], max_threads: int
    ) -> None:
        self._ids = ids
        self._client = client
        self._save_answer = save_answer
        self._max_threads = max_threads
        self._circuit_breaker = _CircuitBreaker(max_threads)
        self._ids_lock = threading.Lock()
        self._stop = threading.Event()
        self._abandoned = threading.Event()
        self._threads: list[threading.Thread] = []
        self._news: queue.SimpleQueue[Answer | BaseException | None] = queue.SimpleQueue()  # None: a thread has ended

    def refetch_all(self, meter: ProgressMeter) -> None:
        """Return when every id was refetched.

        Raises:
            KeyboardInterrupt: once the answers in flight are saved; at the second Ctrl-C, at once.
            Unreachable: most of the last orders brought no usable answer.
            QuivoError: any other error that ends the run.
        """
        try:
            self._watch_threads(meter)
        except KeyboardInterrupt:
            try:
                self._stop.set()
                in_flight = sum(thread.is_alive() for thread in self._threads)
                logger.warning("Stopping when what is under way is kept (%d orders); Ctrl-C again: at once.", in_flight)
                for thread in self._threads:
                    thread.join()
            except KeyboardInterrupt:
                self._abandoned.set()
            raise
        finally:
            self._stop.set()

    def _watch_threads(self, meter: ProgressMeter) -> None:
        error: Exception | None = None
        ended = 0
        self._start_thread()
        while ended < len(self._threads):
            if len(self._threads) < self._max_threads and not self._client.waiting and not self._stop.is_set():
                self._start_thread()
            try:
                ended += self._take_news(meter)
            except Exception as reason:  # noqa: BLE001 - raised once the answers in flight are saved
                self._stop.set()
                error = error or reason
        if error:
            raise error

    def _take_news(self, meter: ProgressMeter) -> bool:
        """Wait for news of a thread: count an answer, raise an error. Returns whether a thread has ended."""
        try:
            may_start_more = len(self._threads) < self._max_threads
            news = self._news.get(timeout=QUICK_TICK_SECONDS if may_start_more else TICK_SECONDS)
        except queue.Empty:
            meter.report_if_due()
            return False
        if isinstance(news, BaseException):
            raise news
        if news is not None:
            meter.count_order(failed=news.outcome is not Outcome.FETCHED)
        return news is None

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._refetch_in_thread, name=f"refetch-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _refetch_in_thread(self) -> None:
        try:
            while not self._stop.is_set() and (order_id := self._next_id()) is not None:
                answer = self._client.refetch(order_id, stop=self._stop)
                if self._abandoned.is_set():  # another process may write to the archive by now
                    return
                self._save_answer(answer)
                self._news.put(answer)
                self._circuit_breaker.note_answer(answer)
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that watches
            self._stop.set()
            self._news.put(error)
        finally:
            self._news.put(None)

    def _next_id(self) -> int | None:
        with self._ids_lock:
            return next(self._ids, None)


class _CircuitBreaker:
    """Ends a run when most of the last orders brought no usable answer: more requests would not help.

    An answer about one order (unknown, refused) is usable. Orders that fail end late, after all their tries, and so
    come in bunches: the window is wide enough that those of a few percent cannot fill it.
    """

    def __init__(self, threads: int) -> None:
        self._lock = threading.Lock()
        self._failures: deque[bool] = deque(maxlen=max(2 * MIN_FAILURES, 4 * threads))

    def note_answer(self, answer: Answer) -> None:
        """Count an answer. Raises Unreachable when most of the last ones failed."""
        refuses_account = answer.outcome is Outcome.REFUSED and answer.status in ACCOUNT_STATUSES
        is_bad = answer.outcome in {Outcome.UNREACHABLE, Outcome.UNUSABLE} or refuses_account
        with self._lock:
            self._failures.append(is_bad)
            bad, total = sum(self._failures), len(self._failures)
        if is_bad and bad >= MIN_FAILURES and 2 * bad > total:
            raise Unreachable(
                f"Of the last {total} orders {bad} brought no usable answer, the last of them: "
                f"{answer.message} The run was stopped to spare Quivo; what was fetched is kept. "
                "When the cause is mended, the same call goes on from here."
            )
