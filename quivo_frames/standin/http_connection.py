"""One HTTP connection of the stand-in, and the bytes that a fault makes of a reply."""

from __future__ import annotations

import asyncio
import gzip
import math
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import NamedTuple, Protocol, cast

from quivo_frames.standin.faults import NO_FAULT, TEXT_TYPE, BodyCoding, DeliveryMode, HttpReply, ServerFault

_DRIP_SECONDS = 0.005  # between two pieces of a dripping answer
_GRACE_SECONDS = 0.01  # for the last bytes to arrive before a reset, which may overtake them
_CHUNK_BYTES = 1000
_WRONG_BY = 20  # bytes by which a Content-Length is wrong


class HttpRequest(NamedTuple):
    """A request of a client."""

    method: str
    target: str
    headers: dict[str, str]  # names in lower case
    body: bytes


class ScheduledReply(NamedTuple):
    """A reply, when and how to send it; `before_last_byte` is called before the last byte of a whole answer."""

    reply: HttpReply
    fault: ServerFault = NO_FAULT
    wait: float = 0.0
    before_last_byte: Callable[[], None] | None = None


class ConnectionEnd(Enum):
    """What happens to the connection after the last byte."""

    KEPT, CLOSED, RESET, STALLED = auto(), auto(), auto(), auto()


class ConnectionOwner(Protocol):
    """The server that connections belong to."""

    def answer_request(self, request: HttpRequest, now: float) -> ScheduledReply:
        """The reply to a request that arrived at `now`, and how to send it."""

    def refuse_connections(self, seconds: float) -> None:
        """Reset every connection and refuse new ones for this many seconds."""


class WireBytes(NamedTuple):
    """The bytes of an answer. `whole`: HTTP alone does not show that anything is missing."""

    head: bytes
    body: bytes
    end: ConnectionEnd = ConnectionEnd.KEPT
    whole: bool = True
    late: bytes = b""  # sent a moment after the rest


def encode_reply(reply: HttpReply, fault: ServerFault, accepts: str) -> WireBytes:
    """The bytes of a reply with the fault applied; `accepts` is Accept-Encoding of the client."""
    return _frame_reply(_encode_body(reply, fault.coding, accepts), fault.delivery)


def _encode_body(reply: HttpReply, coding: BodyCoding, accepts: str) -> HttpReply:
    if coding is BodyCoding.PLAIN or (coding is BodyCoding.GZIP and "gzip" not in accepts):
        return reply
    body = reply.body if coding is BodyCoding.BAD_GZIP else gzip.compress(reply.body, 1, mtime=0)
    if coding is BodyCoding.CUT_GZIP:
        body = body[: len(body) // 2]
    return reply._replace(body=body).with_header("Content-Encoding", "gzip")


def _frame_reply(reply: HttpReply, way: DeliveryMode) -> WireBytes:  # noqa: C901 - a table
    body, half = reply.body, reply.body[: len(reply.body) // 2]
    match way:
        case DeliveryMode.STALLED:
            return WireBytes(b"", b"", ConnectionEnd.STALLED, whole=False)
        case DeliveryMode.STALLED_WITHIN:
            return WireBytes(reply.head_bytes(), half, ConnectionEnd.STALLED, whole=False)
        case DeliveryMode.RESET | DeliveryMode.REFUSED:
            return WireBytes(b"", b"", ConnectionEnd.RESET, whole=False)
        case DeliveryMode.RESET_WITHIN:
            return WireBytes(reply.head_bytes(), half, ConnectionEnd.RESET, whole=False)
        case DeliveryMode.RESET_AFTER:
            return WireBytes(reply.head_bytes(), body, ConnectionEnd.RESET)
        case DeliveryMode.TRUNCATED:
            return WireBytes(reply.head_bytes(), half, ConnectionEnd.CLOSED, whole=False)
        case DeliveryMode.TRUNCATED_UNSIZED:
            return WireBytes(reply.head_bytes("Connection: close"), half, ConnectionEnd.CLOSED, whole=False)
        case DeliveryMode.UNSIZED:
            return WireBytes(reply.head_bytes("Connection: close"), body, ConnectionEnd.CLOSED)
        case DeliveryMode.TOO_LONG:
            return WireBytes(
                reply.head_bytes(f"Content-Length: {len(body) + _WRONG_BY}"), body, ConnectionEnd.STALLED, whole=False
            )
        case DeliveryMode.TOO_SHORT:
            size = max(0, len(body) - _WRONG_BY)
            return WireBytes(reply.head_bytes(f"Content-Length: {size}"), body[:size], late=body[size:])
        case DeliveryMode.CHUNKED:
            return WireBytes(reply.head_bytes("Transfer-Encoding: chunked"), _encode_chunks(body))
        case DeliveryMode.TRUNCATED_CHUNKED:
            return WireBytes(
                reply.head_bytes("Transfer-Encoding: chunked"),
                _encode_chunks(body)[: len(half)],
                ConnectionEnd.CLOSED,
                whole=False,
            )
    return WireBytes(reply.head_bytes(), body)


def _encode_chunks(body: bytes) -> bytes:
    pieces = (body[at : at + _CHUNK_BYTES] for at in range(0, len(body), _CHUNK_BYTES))
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


class ServerConnection(asyncio.Protocol):
    """The connection of one client: answers one request at a time. All of it runs in the server thread."""

    def __init__(
        self, house: ConnectionOwner, loop: asyncio.AbstractEventLoop, open_ones: set[ServerConnection]
    ) -> None:
        self._owner = house
        self._loop = loop
        self._open_ones = open_ones
        self._buffer = bytearray()
        self._busy = False
        self._resetting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._open_ones.add(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        """The connection is closed."""
        self._open_ones.discard(self)

    def data_received(self, data: bytes) -> None:
        """Bytes arrived, perhaps the rest of a request."""
        self._buffer += data
        self._handle_requests()

    def resume_writing(self) -> None:
        """The system took all bytes to send."""
        if self._resetting:
            self._loop.call_later(_GRACE_SECONDS, self.abort)

    def abort(self) -> None:
        """Close the connection with a reset."""
        if self in self._open_ones and (client := self._transport.get_extra_info("socket")):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    def _handle_requests(self) -> None:
        while not self._busy and not self._transport.is_closing() and (request := self._take_request()):
            self._busy = True
            answer = self._owner.answer_request(request, self._loop.time())
            accepts = request.headers.get("accept-encoding", "")
            if answer.wait:
                self._loop.call_later(answer.wait, self._send_late, answer, accepts)
            else:
                self._send_reply(answer, accepts)

    def _take_request(self) -> HttpRequest | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        end += 4
        length = headers.get("content-length", "0")
        method, target, *_ = [*first.split(" "), "", ""]
        if not length.isdecimal() or "transfer-encoding" in headers or not target:
            refusal = HttpReply(400, b"request: cannot be read", TEXT_TYPE)
            self._transport.write(refusal.head_bytes() + refusal.body)
            self._transport.close()
            return None
        if len(self._buffer) < end + int(length):
            return None
        body = bytes(self._buffer[end : end + int(length)])
        del self._buffer[: end + int(length)]
        return HttpRequest(method, target, headers, body)

    def _send_late(self, answer: ScheduledReply, accepts: str) -> None:
        self._send_reply(answer, accepts)
        self._handle_requests()

    def _send_reply(self, answer: ScheduledReply, accepts: str) -> None:
        fault = answer.fault
        if fault.delivery is DeliveryMode.REFUSED:
            self._owner.refuse_connections(fault.body_seconds)
            return
        wire = encode_reply(answer.reply, fault, accepts)
        if fault.body_seconds or fault.head_seconds:
            pieces = (*_split_pieces(wire.head, fault.head_seconds), *_split_pieces(wire.body, fault.body_seconds))
            self._send_pieces(answer, wire, deque(pieces))
        elif wire.late:  # late enough that no client reads it with the rest
            self._send_pieces(answer, wire, deque([(wire.head + wire.body, _GRACE_SECONDS), (wire.late, 0.0)]))
        else:
            self._send_rest(answer, wire, wire.head + wire.body)

    def _send_pieces(self, answer: ScheduledReply, wire: WireBytes, pieces: deque[tuple[bytes, float]]) -> None:
        if self._transport.is_closing():
            return
        piece, pause = pieces.popleft()
        if pieces:
            self._transport.write(piece)
            self._loop.call_later(pause, self._send_pieces, answer, wire, pieces)
        else:
            self._send_rest(answer, wire, piece)
            self._handle_requests()

    def _send_rest(self, answer: ScheduledReply, wire: WireBytes, rest: bytes) -> None:
        """Send the rest. A whole answer is reported just before, because its reader may ask about it at once."""
        if self._transport.is_closing():
            return
        if wire.whole and answer.before_last_byte:
            answer.before_last_byte()
        self._busy = wire.end is not ConnectionEnd.KEPT
        if wire.end is ConnectionEnd.RESET and rest:
            self._resetting = True
            self._transport.set_write_buffer_limits(high=0)
        self._transport.write(rest)
        if wire.end is ConnectionEnd.CLOSED:
            self._transport.close()
        elif wire.end is ConnectionEnd.RESET and not (rest and self._transport.get_write_buffer_size()):
            self._loop.call_later(_GRACE_SECONDS if rest else 0, self.abort)


def _split_pieces(data: bytes, seconds: float) -> Iterator[tuple[bytes, float]]:
    """The pieces of some bytes that take `seconds` to send, and the pause after each."""
    step = math.ceil(len(data) * _DRIP_SECONDS / seconds) if seconds else len(data)
    for at in range(0, len(data), step or 1):
        yield data[at : at + step], _DRIP_SECONDS if seconds else 0.0
