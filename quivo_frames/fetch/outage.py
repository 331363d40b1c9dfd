"""Tell a request that gets no answer from an outage of all of Quivo, and wait until an outage ends."""

from __future__ import annotations

import logging
import math
import threading
import time
from http import HTTPStatus
from itertools import chain, repeat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from quivo_frames.fetch.replies import TryResult

logger = logging.getLogger(__name__)


class OutageWatch:
    """Whether Quivo is out of reach, for all threads of a client.

    Args:
        ping: sends one ping; the event ends waiting for its turn.
        raise_unless_good: raises the error of a ping that was not answered well.
        patience: seconds without any answer until an outage ends the run.
    """

    def __init__(
        self,
        ping: Callable[[threading.Event], TryResult],
        raise_unless_good: Callable[[TryResult], None],
        *,
        patience: float = 120.0,
    ) -> None:
        self.patience = patience
        self._ping = ping
        self._raise_unless_good = raise_unless_good
        self._lock = threading.Lock()
        self._was_reached = False  # until it was, no answer means a wrong address and not an outage
        self._ended_at = -math.inf

    def note_result(self, result: TryResult) -> None:
        """Take a result of any request into account."""
        self._was_reached = self._was_reached or _is_reachable(result)

    def wait_if_out_since(self, began: float, stop: threading.Event) -> bool:
        """Whether Quivo was out of reach at any time since `began` (time.monotonic); if it still is, wait for its end.

        Raises:
            Unreachable: it lasts longer than `patience`.
            Stopped: `stop` was set while waiting.
        """
        with self._lock:  # one thread pings, the others wait for what it finds
            if self._ended_at > began:
                return True
            if not self._was_reached:
                return False
            lost_at = time.monotonic()
            for pause in chain((0.0, 1.0, 2.0, 4.0, 8.0), repeat(15.0)):
                stop.wait(pause)
                result = self._ping(stop)
                if _is_reachable(result):
                    break
                if not pause:
                    logger.warning("Quivo gives no answer any more: waiting up to %.0f s for its return", self.patience)
                if time.monotonic() - lost_at >= self.patience:
                    self._raise_unless_good(result)
            if not pause:
                return False
            logger.warning("Quivo is back after %.0f s", time.monotonic() - lost_at)
            self._ended_at = time.monotonic()
            return True


def _is_reachable(result: TryResult) -> bool:
    return result.status is not None and result.status < HTTPStatus.INTERNAL_SERVER_ERROR
