"""Judge what the API sent: the outcome of a request, whether to try again, and the message about it.

An answer is good only if it is complete, JSON, and about what was requested. Only the statuses 200, 400 and 401 are
documented: the others are read as HTTP (RFC 9110) defines them.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from quivo_frames.model.records import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from quivo_frames.fetch.http import HttpResult

OK, NO_CONTENT, UNAUTHORIZED, NOT_FOUND, TOO_MANY = 200, 204, 401, 404, 429
TRANSIENT_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
CURES = {
    Outcome.UNKNOWN: "Check the id, and the account that it belongs to.",
    Outcome.REFUSED: "Check the id, and what your account may do.",
    Outcome.UNREACHABLE: "Ask again later.",
    Outcome.UNUSABLE: "Ask again; if it stays so, ask Quivo.",
}
"""What a user can do about an order that was not fetched."""
SHOWN_LENGTH = 200
"""Characters of an error text in a message."""


class TryResult(NamedTuple):
    """The end of one try: status None where no answer came; `should_retry` where another try may help."""

    status: int | None
    headers: Mapping[str, str]
    body: bytes
    outcome: Outcome
    should_retry: bool
    message: str
    seconds: float


class _OrderReply(msgspec.Struct, rename="camel"):
    order_id: int | float  # 2.0 is an integer, too


class _LoginReply(msgspec.Struct):
    token: str


_ORDER_DECODER = msgspec.json.Decoder(_OrderReply)
_LOGIN_DECODER = msgspec.json.Decoder(_LoginReply)
_PAGE_DECODER = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read_token(body: bytes) -> str:
    """The token in the body of a good login."""
    return _LOGIN_DECODER.decode(body).token


def read_elements(body: bytes) -> list[dict[str, msgspec.Raw]]:
    """The elements in the body of a good list."""
    return _PAGE_DECODER.decode(body)


def find_order_flaw(order_id: int, body: bytes) -> str:
    """What is wrong with the body of an order, "" if nothing. Reads the id alone: the build reads the rest."""
    try:
        found = _ORDER_DECODER.decode(body).order_id
    except _UNREADABLE as error:
        return _describe_unreadable(body, error)
    return "" if found == order_id else f"is about another order ({found})"


def find_login_flaw(body: bytes) -> str:
    """What is wrong with the body of a login, "" if nothing."""
    try:
        token = _LOGIN_DECODER.decode(body).token
    except _UNREADABLE as error:
        return _describe_unreadable(body, error)
    return "" if token.isascii() and token.isprintable() and token.strip() else "has no token that can be sent"


def find_page_flaw(body: bytes) -> str:
    """What is wrong with a page of orders, "" if nothing."""
    try:
        _PAGE_DECODER.decode(body)
    except _UNREADABLE as error:
        return _describe_unreadable(body, error)
    return ""


def accept_any_body(_: bytes) -> str:
    """No flaw: the body does not matter."""
    return ""


def _describe_unreadable(body: bytes, error: Exception) -> str:
    if not body.strip():
        return "is empty"
    if body.lstrip().startswith(b"<"):
        return "is a web page, not JSON"
    if isinstance(error, msgspec.ValidationError):
        return f"has another shape than documented ({error})"
    return f"cannot be read as JSON ({error})"


def read_error_text(body: bytes, phrase: str) -> str:
    """The text of an error: `message` of its JSON, else the body as text, else the reason phrase."""
    try:
        message = msgspec.json.decode(body, type=dict[str, Any]).get("message")
    except _UNREADABLE:
        text = body.decode("utf-8", "replace").strip()
        return text if text and not text.startswith("<") else phrase
    return message if isinstance(message, str) and message else phrase


def judge_received(
    received: HttpResult, subject: str, find_flaw: Callable[[bytes], str], redact: Callable[[bytes], bytes]
) -> TryResult:
    """The result of one try.

    `find_flaw` says what is wrong with the body of a 200 ("" if nothing). `redact` removes secrets that the server
    repeats: it is applied to all but a good body, which is kept as received.
    """

    def redact_text(text: str) -> str:
        return redact(text.encode()).decode(errors="replace")

    if received.status is None:
        outcome, should_retry, message = Outcome.UNREACHABLE, True, f"No answer about {subject}: {received.flaw}."
    elif received.status != OK:
        text = " ".join(read_error_text(redact(received.body), redact_text(received.reason)).split())
        text = text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 1] + "…"
        outcome, should_retry, message = _judge_error(received.status, text, subject)
    elif flaw := received.flaw or find_flaw(received.body):
        outcome, should_retry, message = Outcome.UNUSABLE, True, f"The answer about {subject} {flaw}."
    else:
        outcome, should_retry, message = Outcome.FETCHED, False, ""
    headers = {name: redact_text(value) for name, value in received.headers.items()}
    body = received.body if outcome is Outcome.FETCHED else redact(received.body)
    return TryResult(received.status, headers, body, outcome, should_retry, message, received.seconds)


def _judge_error(status: int, text: str, subject: str) -> tuple[Outcome, bool, str]:
    """Outcome, whether to try again, and the message, for a status other than 200."""
    answer = f"{status}: {text}" if text else str(status)
    should_retry = status in TRANSIENT_STATUSES
    if status == NO_CONTENT:
        return Outcome.UNUSABLE, False, f"The answer about {subject} has no body (204)."
    if status == NOT_FOUND:
        return Outcome.UNKNOWN, False, f"Quivo does not know {subject} ({answer})."
    if should_retry or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        message = f"Quivo was busy or down when asked about {subject} ({answer})."
        return Outcome.UNREACHABLE, should_retry, message
    if status >= HTTPStatus.BAD_REQUEST:
        return Outcome.REFUSED, False, f"Quivo refused {subject} ({answer})."
    return Outcome.UNUSABLE, False, f"Quivo answered about {subject} in an undocumented way ({answer})."
