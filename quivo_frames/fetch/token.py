"""Noun: the token of all threads. Floor 1: knows nothing of HTTP."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from quivo_frames.errors import LoginError

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN_SECONDS = 50 * 60.0  # a token lives one hour
TOKENS_REFUSED = 3  # in a row, before any worked


class Login:
    """One token for all threads: renewed early and once for all, and never asked for again after a refusal.

    `fetch` brings a new token; what it raises is raised, a LoginError again each time without another request.
    """

    def __init__(self, fetch: Callable[[threading.Event], str]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self.last: str | None = None
        """The token, old or not."""
        self._since = 0.0
        self._unproven = 0  # tokens in a row that opened nothing
        self._refusal: str | None = None

    def token(self, stop: threading.Event, *, refused: str | None = None) -> str:
        """The token; a new one when the present one is old, or is the one that was `refused`."""
        with self._lock:
            if self._refusal:
                raise LoginError(self._refusal)
            if self.last is None or self.last == refused or time.monotonic() - self._since > TOKEN_SECONDS:
                self.last = self._renewed(stop)
            return self.last

    def worked(self, token: str) -> None:
        """Note that the token opened a door."""
        if token == self.last:
            self._unproven = 0

    def _renewed(self, stop: threading.Event) -> str:
        try:
            if self._unproven >= TOKENS_REFUSED:
                raise LoginError(
                    "Quivo gives tokens but does not accept them. If it wants a word before the token, "
                    "set QUIVO_TOKEN_PREFIX (for example Bearer)."
                )
            since = time.monotonic()
            token = self._fetch(stop)
        except LoginError as error:
            self._refusal = str(error)
            raise
        self._since = since
        self._unproven += 1
        return token
