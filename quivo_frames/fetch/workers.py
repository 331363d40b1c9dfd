"""The threads of one run: each takes an id, asks, has the answer kept, and takes the next. Floor 4.

There are as many of them as are needed: while nobody waits for a turn to ask, another one begins.
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

    from quivo_frames.display.progress import Meter
    from quivo_frames.fetch.client import Client
    from quivo_frames.model.records import Answer

logger = logging.getLogger(__name__)

TICK, QUICK_TICK = 0.1, 0.01  # seconds; quick while another thread may be needed before the next answer comes
ENOUGH = 20  # orders that tell whether a run is worth going on with
REFUSED_TO_ALL = frozenset({401, 403})  # says more of the account than of one order


class Askers:
    """The threads that ask for `ids` with `client`, `most` of them at the most.

    `keep` has an answer on the disk when it returns.
    """

    def __init__(self, ids: Iterator[int], client: Client, keep: Callable[[Answer], None], most: int) -> None:
        self._ids = ids
        self._client = client
        self._keep = keep
        self._most = most
        self._breaker = _Breaker(most)
        self._taking = threading.Lock()
        self._stop = threading.Event()
        self._abandoned = threading.Event()
        self._threads: list[threading.Thread] = []
        self._news: queue.SimpleQueue[Answer | BaseException | None] = queue.SimpleQueue()  # None: a thread has ended

    def work(self, meter: Meter) -> None:
        """Return when every id had its turn.

        Raises:
            KeyboardInterrupt: after the answers under way were kept; at once, when it comes again.
            Unreachable: most of the last orders brought no usable answer.
            QuivoError: what else ended the run.
        """
        try:
            self._watch(meter)
        except KeyboardInterrupt:
            try:
                self._stop.set()
                under_way = sum(thread.is_alive() for thread in self._threads)
                logger.warning("Stopping when what is under way is kept (%d orders); Ctrl-C again: at once.", under_way)
                for thread in self._threads:
                    thread.join()
            except KeyboardInterrupt:
                self._abandoned.set()
            raise
        finally:
            self._stop.set()

    def _watch(self, meter: Meter) -> None:
        error: Exception | None = None
        ended = 0
        self._begin_one()
        while ended < len(self._threads):
            if len(self._threads) < self._most and not self._client.waiting and not self._stop.is_set():
                self._begin_one()
            try:
                ended += self._hear(meter)
            except Exception as reason:  # noqa: BLE001 - raised when the answers under way are kept
                self._stop.set()
                error = error or reason
        if error:
            raise error

    def _hear(self, meter: Meter) -> bool:
        """Whether a thread has ended; counts an answer, and raises what went wrong."""
        try:
            news = self._news.get(timeout=QUICK_TICK if len(self._threads) < self._most else TICK)
        except queue.Empty:
            meter.tick()
            return False
        if isinstance(news, BaseException):
            raise news
        if news is not None:
            meter.note(failed=news.outcome is not Outcome.FETCHED)
        return news is None

    def _begin_one(self) -> None:
        thread = threading.Thread(target=self._ask, name=f"refetch-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _ask(self) -> None:
        try:
            while not self._stop.is_set() and (order_id := self._next()) is not None:
                answer = self._client.refetch(order_id, stop=self._stop)
                if self._abandoned.is_set():  # the archive may be another's by now
                    return
                self._keep(answer)
                self._news.put(answer)
                self._breaker.note(answer)
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for all
            self._stop.set()
            self._news.put(error)
        finally:
            self._news.put(None)

    def _next(self) -> int | None:
        with self._taking:
            return next(self._ids, None)


class _Breaker:
    """Ends a run when most of the last orders brought nothing that can be used: then more requests help nobody.

    What Quivo says of one order (unknown, refused) is an answer. The window is so wide that orders which fail for
    themselves, and so end last, do not fill it.
    """

    def __init__(self, threads: int) -> None:
        self._lock = threading.Lock()
        self._bad: deque[bool] = deque(maxlen=max(2 * ENOUGH, 4 * threads))

    def note(self, answer: Answer) -> None:
        """Raises Unreachable when it is enough."""
        refused_to_all = answer.outcome is Outcome.REFUSED and answer.status in REFUSED_TO_ALL
        is_bad = answer.outcome in {Outcome.UNREACHABLE, Outcome.UNUSABLE} or refused_to_all
        with self._lock:
            self._bad.append(is_bad)
            bad, all_ = sum(self._bad), len(self._bad)
        if is_bad and bad >= ENOUGH and 2 * bad > all_:
            raise Unreachable(
                f"Of the last {all_} orders {bad} brought no usable answer, the last of them: "
                f"{answer.message} The run was stopped to spare Quivo; what was fetched is kept. "
                "When the cause is mended, the same call goes on from here."
            )
