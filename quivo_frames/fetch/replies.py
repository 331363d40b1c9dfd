"""Verb: an answer of the API -> what is wrong with it, what became of the order, and in which words. Floor 2.

An answer is good only if it is complete, JSON, and about what was asked for. What a status means beyond 200, 400 and
401 is not documented: the readings here follow the habits of HTTP.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from quivo_frames.model.records import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

OK, NO_CONTENT, UNAUTHORIZED, NOT_FOUND, TOO_MANY, UNAVAILABLE = 200, 204, 401, 404, 429, 503
TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
CONGESTION = frozenset({TOO_MANY, UNAVAILABLE})
CURES = {
    Outcome.UNKNOWN: "Check the id, and the account that it belongs to.",
    Outcome.REFUSED: "Check the id, and what your account may do.",
    Outcome.UNREACHABLE: "Ask again later.",
    Outcome.UNUSABLE: "Ask again; if it stays so, ask Quivo.",
}
"""What to do about an order that was not fetched."""


class Reply(NamedTuple):
    """The end of one try: no status where no answer came; `again` where another try may help; `seconds` on the way."""

    status: int | None
    headers: Mapping[str, str]
    body: bytes
    outcome: Outcome
    again: bool
    message: str
    seconds: float


class _Order(msgspec.Struct, rename="camel"):
    order_id: int | float  # 2.0 is an integer, too


class _Login(msgspec.Struct):
    token: str


_ORDER = msgspec.json.Decoder(_Order)
_LOGIN = msgspec.json.Decoder(_Login)
_LIST = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def token_in(body: bytes) -> str:
    """The token in the body of a good login."""
    return _LOGIN.decode(body).token


def elements_in(body: bytes) -> list[dict[str, msgspec.Raw]]:
    """The elements in the body of a good list."""
    return _LIST.decode(body)


def flaw_of_order(order_id: int, body: bytes) -> str:
    """What is wrong with an order's body, "" if nothing. Skips everything but the id: the build looks closer."""
    try:
        found = _ORDER.decode(body).order_id
    except _UNREADABLE as error:
        return _unreadable(body, error)
    return "" if found == order_id else f"is about another order ({found})"


def flaw_of_login(body: bytes) -> str:
    """What is wrong with the body of a login, "" if nothing."""
    try:
        token = _LOGIN.decode(body).token
    except _UNREADABLE as error:
        return _unreadable(body, error)
    return "" if token.isascii() and token.isprintable() and token.strip() else "has no token that can be sent"


def flaw_of_list(body: bytes) -> str:
    """What is wrong with a page of orders, "" if nothing."""
    try:
        _LIST.decode(body)
    except _UNREADABLE as error:
        return _unreadable(body, error)
    return ""


def no_flaw(_: bytes) -> str:
    """Any body will do."""
    return ""


def _unreadable(body: bytes, error: Exception) -> str:
    if not body.strip():
        return "is empty"
    if body.lstrip().startswith(b"<"):
        return "is a web page, not JSON"
    if isinstance(error, msgspec.ValidationError):
        return f"has another shape than documented ({error})"
    return f"cannot be read as JSON ({error})"


def words(body: bytes, phrase: str) -> str:
    """What the body of an error says: JSON `message`, else its text, else the phrase of the status line."""
    try:
        message = msgspec.json.decode(body, type=dict[str, Any]).get("message")
    except _UNREADABLE:
        text = body.decode("utf-8", "replace").strip()
        return text if text and not text.startswith("<") else phrase
    return message if isinstance(message, str) and message else phrase


def verdict_on_body(flaw: str, subject: str) -> tuple[Outcome, bool, str]:
    """Outcome, whether to try again, and the message, of an answer that is 200."""
    if not flaw:
        return Outcome.FETCHED, False, ""
    return Outcome.UNUSABLE, True, f"The answer about {subject} {flaw}."


def verdict(status: int, said: str, subject: str) -> tuple[Outcome, bool, str]:
    """Outcome, whether to try again, and the message, of an answer that is not 200."""
    answer = f"{status}: {said}" if said else str(status)
    again = status in TRANSIENT
    if status == NO_CONTENT:
        return Outcome.UNUSABLE, False, f"The answer about {subject} has no body (204)."
    if status == NOT_FOUND:
        return (
            Outcome.UNKNOWN,
            False,
            f"Quivo does not know {subject} ({answer}).",
        )
    if again or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return (
            Outcome.UNREACHABLE,
            again,
            f"Quivo was busy or down when asked about {subject} ({answer}).",
        )
    if status >= HTTPStatus.BAD_REQUEST:
        return Outcome.REFUSED, False, f"Quivo refused {subject} ({answer})."
    return Outcome.UNUSABLE, False, f"Quivo answered about {subject} in an undocumented way ({answer})."
