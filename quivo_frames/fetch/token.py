"""The token that all threads of a client share."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from quivo_frames.errors import LoginError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_UNACCEPTED_TOKENS = 3  # in a row, none of which opened anything


class SharedToken:
    """One token for all threads: renewed early, once for all, and never requested again after a refusal.

    `request_token` brings a new token; what it raises is raised, a LoginError again at each later call without another
    request. A token is renewed after `lifetime` seconds; Quivo's lives one hour.
    """

    def __init__(self, request_token: Callable[[threading.Event], str], *, lifetime: float = 50 * 60.0) -> None:
        self.lifetime = lifetime
        self._request_token = request_token
        self._lock = threading.Lock()
        self.latest: str | None = None
        """The last token, whether it is still valid or not."""
        self._requested_at = 0.0
        self._unaccepted = 0  # tokens in a row that opened nothing
        self._refusal: str | None = None

    def current_token(self, stop: threading.Event, *, refused: str | None = None) -> str:
        """The token; a new one if the latest is too old, or is the one that was `refused`."""
        with self._lock:
            if self._refusal:
                raise LoginError(self._refusal)
            if self.latest is None or self.latest == refused or time.monotonic() - self._requested_at > self.lifetime:
                self.latest = self._request_new_token(stop)
            return self.latest

    def note_accepted(self, token: str) -> None:
        """Note that a request with the token was let in."""
        if token == self.latest:
            self._unaccepted = 0

    def _request_new_token(self, stop: threading.Event) -> str:
        try:
            if self._unaccepted >= MAX_UNACCEPTED_TOKENS:
                raise LoginError(
                    "Quivo gives tokens but does not accept them. If it wants a word before the token, "
                    "set QUIVO_TOKEN_PREFIX (for example Bearer)."
                )
            since = time.monotonic()
            token = self._request_token(stop)
        except LoginError as error:
            self._refusal = str(error)
            raise
        self._requested_at = since
        self._unaccepted += 1
        return token
