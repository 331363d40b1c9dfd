"""What the stand-in may answer: replies, and the faults that can be asked for, order by order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import NamedTuple, Self

import msgspec

JSON = "application/json"
TEXT = "text/plain;charset=UTF-8"
Text = str | Callable[[], str]  # of a header; a callable is asked whenever it is sent


class Reply(NamedTuple):
    """One HTTP answer."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, Text], ...] = ()

    def head(self) -> bytes:
        """The status line and headers, up to the empty line."""
        said = ((name, text if isinstance(text, str) else text()) for name, text in self.headers)
        lines = [f"HTTP/1.1 {self.status} {phrase(self.status)}", *(f"{name}: {text}" for name, text in said)]
        if self.status != HTTPStatus.NO_CONTENT:
            lines += [f"Content-Type: {self.content_type}", f"Content-Length: {len(self.body)}"]
        return "\r\n".join([*lines, "\r\n"]).encode()

    def saying(self, name: str, text: Text) -> Reply:
        """The same with one more header."""
        return self._replace(headers=(*self.headers, (name, text)))

    def wire(self) -> bytes:
        """All of the answer's bytes."""
        return self.head() + self.body


def phrase(status: int) -> str:
    """The reason phrase of a status."""
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"


def message(status: int, text: str, headers: tuple[tuple[str, Text], ...] = ()) -> Reply:
    """A JSON reply of the gateway's kind."""
    return Reply(status, msgspec.json.encode({"message": text}), headers=headers)


def date_in(seconds: float) -> Callable[[], str]:
    """A Retry-After that is a date, so many seconds after it is sent."""
    return lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


EXPIRED = message(401, "The incoming token has expired")
UNAUTHORIZED = message(401, "Unauthorized")
FORBIDDEN = message(403, "Forbidden")
THROTTLED = message(429, "Too Many Requests")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with the refetch of one order, `times` times, or always when `times` is None.

    `reply` is sent instead of the order, or the order `order_id`; `spoil` cuts the JSON ("cut"), sends half of what
    Content-Length says ("truncate") or nothing at all ("reset"); `wait` and `spread` are seconds before and within the
    body.
    """

    reply: Reply | None = None
    order_id: int | None = None
    spoil: str = ""
    wait: float = 0.0
    spread: float = 0.0
    times: int | None = 1

    @classmethod
    def status(cls, status: int, *, retry_after: Text | None = None, times: int | None = 1) -> Self:
        """An error status with an AWS-like {"message"}, and Retry-After as given."""
        headers = (("Retry-After", retry_after),) if retry_after is not None else ()
        return cls(reply=message(status, phrase(status), headers), times=times)

    @classmethod
    def redirect(cls, location: str, *, times: int | None = 1) -> Self:
        """A 307 to another place, where no credentials should follow."""
        return cls(reply=Reply(307, b"", headers=(("Location", location),)), times=times)

    @classmethod
    def body(cls, body: bytes, *, content_type: str = JSON, times: int | None = 1) -> Self:
        """A 200 with any body."""
        return cls(reply=Reply(200, body, content_type), times=times)

    @classmethod
    def html(cls, *, times: int | None = 1) -> Self:
        """A 200 with a web page, as from a proxy."""
        page = b"<!DOCTYPE html><html><body><h1>Sign in to continue</h1></body></html>"
        return cls.body(page, content_type="text/html", times=times)

    @classmethod
    def shape(cls, *, times: int | None = 1) -> Self:
        """A 200 with a JSON array where an object belongs."""
        return cls.body(b'[{"orderId":1}]', times=times)

    @classmethod
    def empty(cls, *, times: int | None = 1) -> Self:
        """A 200 with an empty body."""
        return cls.body(b"", times=times)

    @classmethod
    def no_content(cls, *, times: int | None = 1) -> Self:
        """A 204."""
        return cls(reply=Reply(204, b""), times=times)

    @classmethod
    def bad_request(cls, *, times: int | None = 1) -> Self:
        """The documented plain-text 400."""
        return cls(reply=Reply(400, b"positions: must not be null", TEXT), times=times)

    @classmethod
    def expired(cls, *, times: int | None = 1) -> Self:
        """The documented 401 of an expired token."""
        return cls(reply=EXPIRED, times=times)

    @classmethod
    def forbidden(cls, *, times: int | None = 1) -> Self:
        """The 403 of the gateway."""
        return cls(reply=FORBIDDEN, times=times)

    @classmethod
    def other_order(cls, order_id: int, *, times: int | None = 1) -> Self:
        """The answer of another order."""
        return cls(order_id=order_id, times=times)

    @classmethod
    def cut_json(cls, *, times: int | None = 1) -> Self:
        """Well-formed HTTP around half of the order's JSON."""
        return cls(spoil="cut", times=times)

    @classmethod
    def truncate(cls, *, times: int | None = 1) -> Self:
        """Half of the bytes that Content-Length promises, then the connection is closed."""
        return cls(spoil="truncate", times=times)

    @classmethod
    def reset(cls, *, times: int | None = 1) -> Self:
        """The connection reset before any answer."""
        return cls(spoil="reset", times=times)

    @classmethod
    def delay(cls, seconds: float, *, times: int | None = 1) -> Self:
        """A good answer, so many seconds late."""
        return cls(wait=seconds, times=times)

    @classmethod
    def drip(cls, seconds: float, *, times: int | None = 1) -> Self:
        """A good answer whose body takes so many seconds to arrive, in little pieces."""
        return cls(spread=seconds, times=times)
