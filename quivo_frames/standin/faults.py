"""What the stand-in may answer: replies, and the faults that can be asked for, order by order or by chance."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from enum import Enum, auto
from functools import cache
from http import HTTPStatus
from typing import NamedTuple, Self

import msgspec

from quivo_frames.standin.random import LogNormal

JSON = "application/json"
TEXT = "text/plain;charset=UTF-8"
NEIGHBOUR = -1  # in place of an order id: the one after the order asked for
Text = str | Callable[[], str]  # of a header; a callable is asked whenever it is sent


class Reply(NamedTuple):
    """One HTTP answer."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, Text], ...] = ()

    def saying(self, name: str, text: Text) -> Reply:
        """The same with one more header."""
        return self._replace(headers=(*self.headers, (name, text)))

    def head(self, framing: str | None = None) -> bytes:
        """The status line and headers, up to the empty line; `framing` stands in place of Content-Length."""
        said = ((name, text if isinstance(text, str) else text()) for name, text in self.headers)
        lines = [f"HTTP/1.1 {self.status} {phrase(self.status)}", *(f"{name}: {text}" for name, text in said)]
        if self.status != HTTPStatus.NO_CONTENT:
            lines += [f"Content-Type: {self.content_type}", framing or f"Content-Length: {len(self.body)}"]
        return "\r\n".join([*lines, "\r\n"]).encode()


@cache
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


class Spoil(Enum):
    """What is wrong with the JSON of an order, while all around it is well."""

    NOTHING = auto()
    CUT = auto()
    NO_ID = auto()
    TEXT_ID = auto()


class Way(Enum):
    """How an answer leaves, or does not."""

    WHOLE = auto()
    STALLED, STALLED_WITHIN = auto(), auto()
    RESET, RESET_WITHIN, RESET_AFTER = auto(), auto(), auto()
    TRUNCATED, TRUNCATED_UNSIZED, UNSIZED = auto(), auto(), auto()
    TOO_LONG, TOO_SHORT = auto(), auto()
    CHUNKED, TRUNCATED_CHUNKED = auto(), auto()
    REFUSED = auto()


class Coding(Enum):
    """What Content-Encoding: gzip is written over; plain where the client does not accept it."""

    PLAIN = auto()
    GZIP = auto()
    CUT_GZIP = auto()
    BAD_GZIP = auto()


_ID = re.compile(rb'"orderId":([0-9]+),?')
_SPOIL: dict[Spoil, Callable[[bytes], bytes]] = {
    Spoil.NOTHING: lambda body: body,
    Spoil.CUT: lambda body: body[: len(body) // 2],
    Spoil.NO_ID: lambda body: _ID.sub(b"", body, count=1),
    Spoil.TEXT_ID: lambda body: _ID.sub(rb'"orderId":"\1",', body, count=1),
}
_SOUND = frozenset({Way.WHOLE, Way.RESET_AFTER, Way.UNSIZED, Way.CHUNKED})
_READABLE = frozenset({Coding.PLAIN, Coding.GZIP})
SHAPES = {
    "list": b'[{"orderId":1}]',
    "text": b'"order"',
    "number": b"100001",
    "null": b"null",
    "object": b'{"message":"Internal server error"}',
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with one request, `times` times, or always when `times` is None.

    `reply` is sent instead of the answer, or the order `order_id`; `spoil`, `coding` and `way` tell what is done to it
    on its way; `blanks` are added to its JSON; `wait` are the seconds before it, `spread` those within its body (or of
    a refusal) and `head_spread` those within its headers.
    """

    reply: Reply | None = None
    order_id: int | None = None
    spoil: Spoil = Spoil.NOTHING
    coding: Coding = Coding.PLAIN
    way: Way = Way.WHOLE
    blanks: int = 0
    wait: float | LogNormal = 0.0
    spread: float = 0.0
    head_spread: float = 0.0
    times: int | None = 1

    @property
    def harmless(self) -> bool:
        """Whether what arrives, however late and in whatever form, is the good answer and whole."""
        sound = self.way in _SOUND and self.coding in _READABLE and self.spoil is Spoil.NOTHING
        return sound and self.reply is None and self.order_id is None

    def upon(self, good: Reply) -> Reply:
        """What the fault makes of a reply, apart from its way."""
        if self.reply:
            return self.reply
        if self.spoil is Spoil.NOTHING and not self.blanks:
            return good
        return good._replace(body=_SPOIL[self.spoil](good.body) + b" " * self.blanks)

    # Answers of another kind.

    @classmethod
    def status(cls, status: int, *, retry_after: Text | None = None, times: int | None = 1) -> Self:
        """An error status with an AWS-like {"message"}, and Retry-After as given."""
        headers = (("Retry-After", retry_after),) if retry_after is not None else ()
        return cls(reply=message(status, phrase(status), headers), times=times)

    @classmethod
    def redirect(cls, location: str, *, status: int = 307, times: int | None = 1) -> Self:
        """A redirect to another place, where no credentials should follow."""
        return cls(reply=Reply(status, b"", headers=(("Location", location),)), times=times)

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
    def shape(cls, shape: str = "list", *, times: int | None = 1) -> Self:
        """A 200 with JSON of another shape than an order's: one of `SHAPES`."""
        return cls.body(SHAPES[shape], times=times)

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
    def unauthorized(cls, *, times: int | None = 1) -> Self:
        """The 401 of the gateway, as for a token that was revoked."""
        return cls(reply=UNAUTHORIZED, times=times)

    @classmethod
    def forbidden(cls, *, times: int | None = 1) -> Self:
        """The 403 of the gateway."""
        return cls(reply=FORBIDDEN, times=times)

    @classmethod
    def other_order(cls, order_id: int = NEIGHBOUR, *, times: int | None = 1) -> Self:
        """The answer of another order."""
        return cls(order_id=order_id, times=times)

    # The order's JSON, spoiled.

    @classmethod
    def cut_json(cls, *, times: int | None = 1) -> Self:
        """Well-formed HTTP around half of the order's JSON."""
        return cls(spoil=Spoil.CUT, times=times)

    @classmethod
    def no_id(cls, *, times: int | None = 1) -> Self:
        """The order without its orderId."""
        return cls(spoil=Spoil.NO_ID, times=times)

    @classmethod
    def text_id(cls, *, times: int | None = 1) -> Self:
        """The order with its orderId as a text."""
        return cls(spoil=Spoil.TEXT_ID, times=times)

    @classmethod
    def gzip(cls, *, times: int | None = 1) -> Self:
        """A good answer, compressed if the client accepts it."""
        return cls(coding=Coding.GZIP, times=times)

    @classmethod
    def cut_gzip(cls, *, times: int | None = 1) -> Self:
        """Well-formed HTTP around half of the compressed answer; never plain."""
        return cls(coding=Coding.CUT_GZIP, times=times)

    @classmethod
    def bad_gzip(cls, *, times: int | None = 1) -> Self:
        """Called compressed, but it is not."""
        return cls(coding=Coding.BAD_GZIP, times=times)

    @classmethod
    def padded(cls, megabytes: float, *, times: int | None = 1) -> Self:
        """A good answer with so many blanks behind its JSON."""
        return cls(blanks=int(megabytes * 1_000_000), times=times)

    # A good answer on a bad way.

    @classmethod
    def truncate(cls, *, times: int | None = 1) -> Self:
        """Half of the bytes that Content-Length promises, then the connection is closed."""
        return cls(way=Way.TRUNCATED, times=times)

    @classmethod
    def truncate_unsized(cls, *, times: int | None = 1) -> Self:
        """Half of the body, ended by closing the connection: HTTP cannot tell that anything is missing."""
        return cls(way=Way.TRUNCATED_UNSIZED, times=times)

    @classmethod
    def truncate_chunked(cls, *, times: int | None = 1) -> Self:
        """A chunked body that breaks off within a chunk."""
        return cls(way=Way.TRUNCATED_CHUNKED, times=times)

    @classmethod
    def unsized(cls, *, times: int | None = 1) -> Self:
        """A good answer without Content-Length, ended by closing the connection."""
        return cls(way=Way.UNSIZED, times=times)

    @classmethod
    def chunked(cls, *, times: int | None = 1) -> Self:
        """A good answer in chunks."""
        return cls(way=Way.CHUNKED, times=times)

    @classmethod
    def too_long(cls, *, times: int | None = 1) -> Self:
        """Content-Length promises more than comes, and the connection stays open."""
        return cls(way=Way.TOO_LONG, times=times)

    @classmethod
    def too_short(cls, *, times: int | None = 1) -> Self:
        """Content-Length promises less than comes: the rest lies in the connection, which stays open."""
        return cls(way=Way.TOO_SHORT, times=times)

    @classmethod
    def reset(cls, *, times: int | None = 1) -> Self:
        """The connection reset before any answer."""
        return cls(way=Way.RESET, times=times)

    @classmethod
    def reset_within(cls, *, times: int | None = 1) -> Self:
        """The connection reset after half of the body."""
        return cls(way=Way.RESET_WITHIN, times=times)

    @classmethod
    def reset_after(cls, *, times: int | None = 1) -> Self:
        """A good answer, and a moment after its last byte a reset, which overtakes some of a body of many 100 KB."""
        return cls(way=Way.RESET_AFTER, times=times)

    @classmethod
    def refuse(cls, seconds: float, *, times: int | None = 1) -> Self:
        """No answer: every connection is reset, and new ones are refused for so many seconds."""
        return cls(way=Way.REFUSED, spread=seconds, times=times)

    @classmethod
    def stall(cls, *, times: int | None = 1) -> Self:
        """Not one byte, for ever, on an open connection."""
        return cls(way=Way.STALLED, times=times)

    @classmethod
    def stall_within(cls, *, times: int | None = 1) -> Self:
        """Half of the body, and then nothing for ever."""
        return cls(way=Way.STALLED_WITHIN, times=times)

    @classmethod
    def delay(cls, seconds: float | LogNormal, *, times: int | None = 1) -> Self:
        """A good answer, so many seconds late."""
        return cls(wait=seconds, times=times)

    @classmethod
    def drip(cls, seconds: float, *, times: int | None = 1) -> Self:
        """A good answer whose body takes so many seconds to arrive, in little pieces."""
        return cls(spread=seconds, times=times)

    @classmethod
    def drip_head(cls, seconds: float, *, times: int | None = 1) -> Self:
        """A good answer whose headers take so many seconds to arrive, in little pieces."""
        return cls(head_spread=seconds, times=times)


NO_FAULT = Fault()
