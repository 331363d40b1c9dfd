"""Replies of the stand-in, and the faults that a test or demo can ask for."""

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

from quivo_frames.standin.random import LogNormal, draw_share

JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain;charset=UTF-8"
NEXT_ORDER = -1  # in place of an order id: the id after the requested one
HeaderText = str | Callable[[], str]  # value of a header; a callable is called for every reply


class HttpReply(NamedTuple):
    """An HTTP reply, before a fault is applied to it."""

    status: int
    body: bytes
    content_type: str = JSON_TYPE
    headers: tuple[tuple[str, HeaderText], ...] = ()

    def with_header(self, name: str, text: HeaderText) -> HttpReply:
        """The reply with one more header."""
        return self._replace(headers=(*self.headers, (name, text)))

    def head_bytes(self, framing: str | None = None) -> bytes:
        """Status line and headers with the empty line; `framing` replaces Content-Length."""
        headers = ((name, text if isinstance(text, str) else text()) for name, text in self.headers)
        lines = [f"HTTP/1.1 {self.status} {reason_phrase(self.status)}", *(f"{name}: {text}" for name, text in headers)]
        if self.status != HTTPStatus.NO_CONTENT:
            lines += [f"Content-Type: {self.content_type}", framing or f"Content-Length: {len(self.body)}"]
        return "\r\n".join([*lines, "\r\n"]).encode()


@cache
def reason_phrase(status: int) -> str:
    """The reason phrase of a status."""
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"


def json_message(status: int, text: str, headers: tuple[tuple[str, HeaderText], ...] = ()) -> HttpReply:
    """A {"message"} reply as AWS API Gateway sends it."""
    return HttpReply(status, msgspec.json.encode({"message": text}), headers=headers)


def date_in(seconds: float) -> Callable[[], str]:
    """A Retry-After with the HTTP date this many seconds after the reply is sent."""
    return lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


EXPIRED = json_message(401, "The incoming token has expired")
UNAUTHORIZED = json_message(401, "Unauthorized")
FORBIDDEN = json_message(403, "Forbidden")
THROTTLED = json_message(429, "Too Many Requests")


class JsonDamage(Enum):
    """What is wrong with the JSON of an order inside a correct HTTP answer."""

    NOTHING = auto()
    CUT = auto()
    NO_ID = auto()
    TEXT_ID = auto()


class DeliveryMode(Enum):
    """How the bytes of an answer are sent, or not sent."""

    WHOLE = auto()
    STALLED, STALLED_WITHIN = auto(), auto()
    RESET, RESET_WITHIN, RESET_AFTER = auto(), auto(), auto()
    TRUNCATED, TRUNCATED_UNSIZED, UNSIZED = auto(), auto(), auto()
    TOO_LONG, TOO_SHORT = auto(), auto()
    CHUNKED, TRUNCATED_CHUNKED = auto(), auto()
    REFUSED = auto()


class BodyCoding(Enum):
    """How the body is compressed; GZIP sends it plain to a client that does not accept gzip."""

    PLAIN = auto()
    GZIP = auto()
    CUT_GZIP = auto()
    BAD_GZIP = auto()


_ID = re.compile(rb'"orderId":([0-9]+),?')
_DAMAGED: dict[JsonDamage, Callable[[bytes], bytes]] = {
    JsonDamage.NOTHING: lambda body: body,
    JsonDamage.CUT: lambda body: body[: len(body) // 2],
    JsonDamage.NO_ID: lambda body: _ID.sub(b"", body, count=1),
    JsonDamage.TEXT_ID: lambda body: _ID.sub(rb'"orderId":"\1",', body, count=1),
}
_SOUND_DELIVERIES = frozenset(
    {DeliveryMode.WHOLE, DeliveryMode.RESET_AFTER, DeliveryMode.UNSIZED, DeliveryMode.CHUNKED}
)
_READABLE_CODINGS = frozenset({BodyCoding.PLAIN, BodyCoding.GZIP})
SHAPES = {
    "list": b'[{"orderId":1}]',
    "text": b'"order"',
    "number": b"100001",
    "null": b"null",
    "object": b'{"message":"Internal server error"}',
}

ENVELOPES = {"": b"%s", "data": b'{"data":%s}', "order": b'{"order":%s}', "list": b"[%s]"}
"""What an answer may be wrapped in, in whole: none is documented, and each is usual elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFault:
    """What goes wrong with a request: `times` times, or always when `times` is None.

    Attributes:
        reply: sent in place of the answer.
        order_id: this order is sent in place of the requested one.
        damage, coding, delivery: what is done to the JSON, to the body, and to the bytes on the connection.
        blanks: number of blanks added after the JSON.
        wait_before: seconds before the answer.
        body_seconds: seconds over which the body is sent; of REFUSED, how long connections are refused.
        head_seconds: seconds over which status line and headers are sent.
    """

    reply: HttpReply | None = None
    order_id: int | None = None
    damage: JsonDamage = JsonDamage.NOTHING
    coding: BodyCoding = BodyCoding.PLAIN
    delivery: DeliveryMode = DeliveryMode.WHOLE
    blanks: int = 0
    wait_before: float | LogNormal = 0.0
    body_seconds: float = 0.0
    head_seconds: float = 0.0
    times: int | None = 1

    @property
    def is_harmless(self) -> bool:
        """Whether the whole good answer arrives, however late and in whatever form."""
        sound = (
            self.delivery in _SOUND_DELIVERIES
            and self.coding in _READABLE_CODINGS
            and self.damage is JsonDamage.NOTHING
        )
        return sound and self.reply is None and self.order_id is None

    def apply_to(self, good: HttpReply) -> HttpReply:
        """The reply with the fault applied to its content; `http_connection` applies coding and delivery."""
        if self.reply:
            return self.reply
        if self.damage is JsonDamage.NOTHING and not self.blanks:
            return good
        return good._replace(body=_DAMAGED[self.damage](good.body) + b" " * self.blanks)

    # Another answer

    @classmethod
    def status(cls, status: int, *, retry_after: HeaderText | None = None, times: int | None = 1) -> Self:
        """An error status with {"message"} as AWS API Gateway sends it, and Retry-After as given."""
        headers = (("Retry-After", retry_after),) if retry_after is not None else ()
        return cls(reply=json_message(status, reason_phrase(status), headers), times=times)

    @classmethod
    def redirect(cls, location: str, *, status: int = 307, times: int | None = 1) -> Self:
        """A redirect, which credentials must not follow."""
        return cls(reply=HttpReply(status, b"", headers=(("Location", location),)), times=times)

    @classmethod
    def body(cls, body: bytes, *, content_type: str = JSON_TYPE, times: int | None = 1) -> Self:
        """A 200 with this body."""
        return cls(reply=HttpReply(200, body, content_type), times=times)

    @classmethod
    def html(cls, *, times: int | None = 1) -> Self:
        """A 200 with a web page, as from a proxy."""
        page = b"<!DOCTYPE html><html><body><h1>Sign in to continue</h1></body></html>"
        return cls.body(page, content_type="text/html", times=times)

    @classmethod
    def shape(cls, shape: str = "list", *, times: int | None = 1) -> Self:
        """A 200 with JSON that is no order: one of `SHAPES`."""
        return cls.body(SHAPES[shape], times=times)

    @classmethod
    def empty(cls, *, times: int | None = 1) -> Self:
        """A 200 with an empty body."""
        return cls.body(b"", times=times)

    @classmethod
    def no_content(cls, *, times: int | None = 1) -> Self:
        """A 204."""
        return cls(reply=HttpReply(204, b""), times=times)

    @classmethod
    def bad_request(cls, *, times: int | None = 1) -> Self:
        """The documented plain-text 400."""
        return cls(reply=HttpReply(400, b"positions: must not be null", TEXT_TYPE), times=times)

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
    def other_order(cls, order_id: int = NEXT_ORDER, *, times: int | None = 1) -> Self:
        """The answer for another order."""
        return cls(order_id=order_id, times=times)

    # The JSON of the order, damaged

    @classmethod
    def cut_json(cls, *, times: int | None = 1) -> Self:
        """Well-formed HTTP around half of the order's JSON."""
        return cls(damage=JsonDamage.CUT, times=times)

    @classmethod
    def no_id(cls, *, times: int | None = 1) -> Self:
        """The order without its orderId."""
        return cls(damage=JsonDamage.NO_ID, times=times)

    @classmethod
    def text_id(cls, *, times: int | None = 1) -> Self:
        """The order with its orderId as a string."""
        return cls(damage=JsonDamage.TEXT_ID, times=times)

    @classmethod
    def gzip(cls, *, times: int | None = 1) -> Self:
        """A good answer, compressed if the client accepts it."""
        return cls(coding=BodyCoding.GZIP, times=times)

    @classmethod
    def cut_gzip(cls, *, times: int | None = 1) -> Self:
        """Well-formed HTTP around half of the compressed answer; never plain."""
        return cls(coding=BodyCoding.CUT_GZIP, times=times)

    @classmethod
    def bad_gzip(cls, *, times: int | None = 1) -> Self:
        """A plain body that Content-Encoding calls gzip."""
        return cls(coding=BodyCoding.BAD_GZIP, times=times)

    @classmethod
    def padded(cls, megabytes: float, *, times: int | None = 1) -> Self:
        """A good answer with this many megabytes of blanks after its JSON."""
        return cls(blanks=int(megabytes * 1_000_000), times=times)

    # A good answer, badly sent

    @classmethod
    def truncate(cls, *, times: int | None = 1) -> Self:
        """Half of the bytes that Content-Length promises; then the connection is closed."""
        return cls(delivery=DeliveryMode.TRUNCATED, times=times)

    @classmethod
    def truncate_unsized(cls, *, times: int | None = 1) -> Self:
        """Half of the body, ended by closing the connection: HTTP cannot show that anything is missing."""
        return cls(delivery=DeliveryMode.TRUNCATED_UNSIZED, times=times)

    @classmethod
    def truncate_chunked(cls, *, times: int | None = 1) -> Self:
        """A chunked body that breaks off within a chunk."""
        return cls(delivery=DeliveryMode.TRUNCATED_CHUNKED, times=times)

    @classmethod
    def unsized(cls, *, times: int | None = 1) -> Self:
        """A good answer without Content-Length, ended by closing the connection."""
        return cls(delivery=DeliveryMode.UNSIZED, times=times)

    @classmethod
    def chunked(cls, *, times: int | None = 1) -> Self:
        """A good answer in chunks."""
        return cls(delivery=DeliveryMode.CHUNKED, times=times)

    @classmethod
    def too_long(cls, *, times: int | None = 1) -> Self:
        """Content-Length promises more than comes, and the connection stays open."""
        return cls(delivery=DeliveryMode.TOO_LONG, times=times)

    @classmethod
    def too_short(cls, *, times: int | None = 1) -> Self:
        """Content-Length promises less than comes: the rest stays in the connection, which stays open."""
        return cls(delivery=DeliveryMode.TOO_SHORT, times=times)

    @classmethod
    def reset(cls, *, times: int | None = 1) -> Self:
        """The connection reset before any answer."""
        return cls(delivery=DeliveryMode.RESET, times=times)

    @classmethod
    def reset_within(cls, *, times: int | None = 1) -> Self:
        """The connection reset after half of the body."""
        return cls(delivery=DeliveryMode.RESET_WITHIN, times=times)

    @classmethod
    def reset_after(cls, *, times: int | None = 1) -> Self:
        """A good answer and, a moment after its last byte, a reset, which may overtake part of a large body."""
        return cls(delivery=DeliveryMode.RESET_AFTER, times=times)

    @classmethod
    def refuse(cls, seconds: float, *, times: int | None = 1) -> Self:
        """No answer: every connection is reset and new ones are refused for this many seconds."""
        return cls(delivery=DeliveryMode.REFUSED, body_seconds=seconds, times=times)

    @classmethod
    def stall(cls, *, times: int | None = 1) -> Self:
        """Not one byte on a connection that stays open."""
        return cls(delivery=DeliveryMode.STALLED, times=times)

    @classmethod
    def stall_within(cls, *, times: int | None = 1) -> Self:
        """Half of the body, then nothing on a connection that stays open."""
        return cls(delivery=DeliveryMode.STALLED_WITHIN, times=times)

    @classmethod
    def delay(cls, seconds: float | LogNormal, *, times: int | None = 1) -> Self:
        """A good answer, this many seconds late."""
        return cls(wait_before=seconds, times=times)

    @classmethod
    def drip(cls, seconds: float, *, times: int | None = 1) -> Self:
        """A good answer whose body arrives in small pieces over this many seconds."""
        return cls(body_seconds=seconds, times=times)

    @classmethod
    def drip_head(cls, seconds: float, *, times: int | None = 1) -> Self:
        """A good answer whose headers arrive in small pieces over this many seconds."""
        return cls(head_seconds=seconds, times=times)


NO_FAULT = ServerFault()
FaultChooser = Callable[[int, int, int], ServerFault]
"""Chooses the fault of a request from the seed, the order id, and the number of the request for that order, from 0."""
NOISE = (
    ServerFault.status(500),
    ServerFault.status(502),
    ServerFault.status(503),
    ServerFault.reset(),
    ServerFault.reset_within(),
    ServerFault.truncate(),
    ServerFault.html(),
)
"""What fails now and then on any network, each as often as the others."""


def choose_noise(share: float, seed: int, order_id: int, nth: int) -> ServerFault:
    """One of `NOISE` for this share of the requests, else `NO_FAULT`."""
    drawn = draw_share(seed, "noise", order_id, nth)
    return NOISE[int(drawn / share * len(NOISE))] if drawn < share else NO_FAULT
