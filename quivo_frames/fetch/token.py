"""The token that all threads of a client share."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from quivo_frames.errors import LoginError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_UNACCEPTED_TOKENS = 3  # in a row, none of which opened anything


class TakenToken(NamedTuple):
    """The token as it was when a request went.

    `is_new`: it was requested for this request. `was_awaited`: another thread requested it meanwhile.
    """

    text: str
    taken_at: float
    is_new: bool
    was_awaited: bool


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
        self._refused: str | None = None
        self._accepted: tuple[str | None, float] = (None, 0.0)  # a token, and when the last request went that it let in
        self._unaccepted = 0  # tokens in a row that opened nothing
        self._refusal: str | None = None

    def take_token(self, stop: threading.Event) -> TakenToken:
        """The token for a request that goes now; a new one if the latest is too old or was refused."""
        before = self.latest
        with self._lock:
            if self._refusal:
                raise LoginError(self._refusal)
            is_old = time.monotonic() - self._requested_at > self.lifetime
            is_new = self.latest in {None, self._refused} or is_old
            if is_new:
                self.latest = self._request_new_token(stop)
            assert self.latest is not None
            was_awaited = not is_new and self.latest != before
            return TakenToken(self.latest, time.monotonic(), is_new, was_awaited)

    def note_accepted(self, token: TakenToken) -> None:
        """Note that a request with the token was let in."""
        if token.text == self.latest:
            self._unaccepted = 0
            text, at = self._accepted
            self._accepted = (token.text, max(token.taken_at, at if text == token.text else token.taken_at))

    def note_refused(self, token: TakenToken) -> bool:
        """Note that a request with the token was not let in; whether the token was good, so that the order was refused.

        A token that is not the latest any more says nothing. The latest was good if it was new, or if others were let
        in with it later.
        """
        if token.text != self.latest:
            return False
        self._refused = token.text
        text, at = self._accepted
        return token.is_new or (text == token.text and at >= token.taken_at)

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
