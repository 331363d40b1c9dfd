"""Judge what the API sent: the outcome of a request, whether to try again, and the message about it.

An answer is good only if it is complete, JSON, and about what was requested. Only the statuses 200, 400 and 401 are
documented: the others are read as HTTP (RFC 9110) defines them. A byte order mark before JSON means nothing.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from quivo_frames.fetch.redaction import mask_personal_text
from quivo_frames.flattening.order_text import BYTE_ORDER_MARK, find_order_text
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
MAX_ERROR_BYTES = 64 * 2**10
"""Bytes that are kept of the body of an answer that is not good: looking for secrets in more takes long."""
MAX_READ_ERROR_BYTES = 2**20
"""Bytes of such a body that are read for the text of the error."""
_ERROR_FIELDS = ("message", "errormessage", "error_description", "detail", "error", "errors", "title")
"""Where the text of an error stands; only `message` is documented."""


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


class LoginToken(NamedTuple):
    """The token of a login, and the field of the answer that it stood in: `token` as documented, or `data.Token`."""

    token: str
    field: str


_ORDER_DECODER = msgspec.json.Decoder(_OrderReply)
_OBJECT_DECODER = msgspec.json.Decoder(dict[str, Any])
_PAGE_DECODER = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read_token(body: bytes) -> LoginToken | None:
    """The token in the body of a login, None if there is none or two could be meant.

    Public clients of the API read `token` or `Token`: the case does not matter, and it may stand in an inner object.

    Raises:
        DecodeError: the body is not the JSON of an object.
    """
    answer = _OBJECT_DECODER.decode(body.removeprefix(BYTE_ORDER_MARK))
    if found := _token_among(answer):
        return found
    inner = [(name, _token_among(value)) for name, value in answer.items() if isinstance(value, dict)]
    tokens = [token._replace(field=f"{name}.{token.field}") for name, token in inner if token]
    return tokens[0] if len(tokens) == 1 else None


def _token_among(fields: Mapping[str, object]) -> LoginToken | None:
    tokens = [
        LoginToken(value, name) for name, value in fields.items() if name.lower() == "token" and isinstance(value, str)
    ]
    as_documented = [token for token in tokens if token.field == "token"]
    return next(iter(as_documented or tokens), None)


def read_elements(body: bytes) -> list[dict[str, msgspec.Raw]]:
    """The elements in the body of a good list."""
    return _PAGE_DECODER.decode(body.removeprefix(BYTE_ORDER_MARK))


def find_order_flaw(order_id: int, body: bytes) -> str:
    """What is wrong with the body of an order, "" if nothing. Reads the id alone: the build reads the rest."""
    try:
        found = _ORDER_DECODER.decode(find_order_text(body).text).order_id
    except _UNREADABLE as error:
        return _describe_unreadable(body, error)
    return "" if found == order_id else f"is about another order ({found})"


def find_login_flaw(body: bytes) -> str:
    """What is wrong with the body of a login, "" if nothing."""
    try:
        found = read_token(body)
    except _UNREADABLE as error:
        return _describe_unreadable(body, error)
    if found is None:
        return "has another shape than documented (without a `token`)"
    token = found.token
    return "" if token.isascii() and token.isprintable() and token.strip() else "has no token that can be sent"


def find_page_flaw(body: bytes) -> str:
    """What is wrong with a page of orders, "" if nothing."""
    try:
        read_elements(body)
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
    """The text of an error: that of its JSON object, else the body as text, else the reason phrase."""
    body = body.removeprefix(BYTE_ORDER_MARK)
    try:
        return _text_of_error(_OBJECT_DECODER.decode(body)) or phrase
    except _UNREADABLE:
        text = body.decode("utf-8", "replace").strip()
        return text if text and not text.startswith("<") else phrase


def _text_of_error(value: object) -> str:
    """The text in the fields of an error, or in the objects of them; "" if there is none."""
    if isinstance(value, list):
        return "; ".join(filter(None, map(_text_of_error, value)))
    if isinstance(value, dict):
        fields = {str(name).lower(): field for name, field in value.items()}
        return next(filter(None, (_text_of_error(fields.get(name)) for name in _ERROR_FIELDS)), "")
    return value.strip() if isinstance(value, str) else ""


def _read_error_instead(body: bytes) -> str:
    """The text of an error that came instead of what was asked for; "" if the body is something else."""
    try:
        answer = _OBJECT_DECODER.decode(body.removeprefix(BYTE_ORDER_MARK))
        return "" if "orderId" in answer else _text_of_error(answer)
    except _UNREADABLE:
        return ""


def judge_received(
    received: HttpResult, subject: str, find_flaw: Callable[[bytes], str], redact: Callable[[bytes], bytes]
) -> TryResult:
    """The result of one try.

    `find_flaw` says what is wrong with the body of a 200 ("" if nothing). `redact` removes secrets that the server
    repeats: it is applied to all but a good body, which is kept as received. Of other bodies no more than
    MAX_ERROR_BYTES are kept. In the message, personal values are masked, too.
    """

    def redact_text(text: str) -> str:
        return redact(text.encode()).decode(errors="replace")

    def quote_text(text: str) -> str:
        shown = " ".join(mask_personal_text(redact_text(text[:MAX_ERROR_BYTES])).split())
        return shown if len(shown) <= SHOWN_LENGTH else shown[: SHOWN_LENGTH - 1] + "…"

    flaw = received.flaw if received.status in {None, OK} else ""
    if received.status == OK and not flaw:
        flaw = find_flaw(received.body)
    is_good = received.status == OK and not flaw
    body = received.body if is_good else redact(received.body[:MAX_ERROR_BYTES])
    if received.status is None:
        outcome, should_retry, message = Outcome.UNREACHABLE, True, f"No answer about {subject}: {flaw}."
    elif received.status != OK:
        text = quote_text(read_error_text(received.body[:MAX_READ_ERROR_BYTES], received.reason))
        outcome, should_retry, message = _judge_error(received.status, text, subject)
    elif flaw and not received.flaw and (text := quote_text(_read_error_instead(received.body[:MAX_READ_ERROR_BYTES]))):
        outcome, should_retry = Outcome.UNUSABLE, False
        message = f"Quivo answered about {subject} with an error ({OK}: {text})."
    elif flaw:
        outcome, should_retry, message = Outcome.UNUSABLE, True, f"The answer about {subject} {flaw}."
    else:
        outcome, should_retry, message = Outcome.FETCHED, False, ""
    headers = {name: redact_text(value) for name, value in received.headers.items()}
    return TryResult(received.status, headers, body, outcome, should_retry, message, received.seconds)


def note_capped_pause(result: TryResult, asked: float, longest: float) -> TryResult:
    """The result, saying that its Retry-After asks for a longer pause (seconds) than is made."""
    said = f"It asked for a pause of {asked:,.0f} s (Retry-After); at most {longest:,.0f} s are waited."
    return result._replace(message=f"{result.message} {said}")


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
