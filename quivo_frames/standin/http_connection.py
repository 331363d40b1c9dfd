"""How the stand-in's answers leave: one connection, and what a fault makes of the bytes on it."""

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

from quivo_frames.standin.faults import NO_FAULT, TEXT, Coding, Fault, Reply, Way

_DRIP_STEP = 0.005  # seconds between two pieces of what drips
_GRACE = 0.01  # seconds for the last bytes to arrive before a reset, which may overtake them
_CHUNK = 1000
_AMISS = 20  # bytes by which a Content-Length is wrong


class Request(NamedTuple):
    """What a client asks."""

    method: str
    target: str
    headers: dict[str, str]  # names in lower case
    body: bytes


class Answer(NamedTuple):
    """What to send, and how; `left` is told just before the last byte of a whole answer leaves."""

    reply: Reply
    fault: Fault = NO_FAULT
    wait: float = 0.0
    left: Callable[[], None] | None = None


class End(Enum):
    """What becomes of the connection after the last byte."""

    KEPT, CLOSED, RESET, STALLED = auto(), auto(), auto(), auto()


class House(Protocol):
    """Whom the connections serve."""

    def answer(self, request: Request, now: float) -> Answer:
        """What the request is answered."""

    def refuse(self, seconds: float) -> None:
        """Every connection is reset, and no new one taken for so long."""


class Wire(NamedTuple):
    """The bytes of an answer; not `whole` where a client must notice from HTTP alone, or can get nothing at all."""

    head: bytes
    body: bytes
    end: End = End.KEPT
    whole: bool = True
    late: bytes = b""  # a moment after the rest


def on_the_wire(reply: Reply, fault: Fault, accepts: str) -> Wire:
    """What the fault makes of the reply; `accepts` is the client's Accept-Encoding."""
    return _under_way(_coded(reply, fault.coding, accepts), fault.way)


def _coded(reply: Reply, coding: Coding, accepts: str) -> Reply:
    if coding is Coding.PLAIN or (coding is Coding.GZIP and "gzip" not in accepts):
        return reply
    body = reply.body if coding is Coding.BAD_GZIP else gzip.compress(reply.body, 1, mtime=0)
    if coding is Coding.CUT_GZIP:
        body = body[: len(body) // 2]
    return reply._replace(body=body).saying("Content-Encoding", "gzip")


def _under_way(reply: Reply, way: Way) -> Wire:  # noqa: C901 - a table
    body, half = reply.body, reply.body[: len(reply.body) // 2]
    match way:
        case Way.STALLED:
            return Wire(b"", b"", End.STALLED, whole=False)
        case Way.STALLED_WITHIN:
            return Wire(reply.head(), half, End.STALLED, whole=False)
        case Way.RESET | Way.REFUSED:
            return Wire(b"", b"", End.RESET, whole=False)
        case Way.RESET_WITHIN:
            return Wire(reply.head(), half, End.RESET, whole=False)
        case Way.RESET_AFTER:
            return Wire(reply.head(), body, End.RESET)
        case Way.TRUNCATED:
            return Wire(reply.head(), half, End.CLOSED, whole=False)
        case Way.TRUNCATED_UNSIZED:
            return Wire(reply.head("Connection: close"), half, End.CLOSED, whole=False)
        case Way.UNSIZED:
            return Wire(reply.head("Connection: close"), body, End.CLOSED)
        case Way.TOO_LONG:
            return Wire(reply.head(f"Content-Length: {len(body) + _AMISS}"), body, End.STALLED, whole=False)
        case Way.TOO_SHORT:
            told = max(0, len(body) - _AMISS)
            return Wire(reply.head(f"Content-Length: {told}"), body[:told], late=body[told:])
        case Way.CHUNKED:
            return Wire(reply.head("Transfer-Encoding: chunked"), _chunks(body))
        case Way.TRUNCATED_CHUNKED:
            return Wire(reply.head("Transfer-Encoding: chunked"), _chunks(body)[: len(half)], End.CLOSED, whole=False)
    return Wire(reply.head(), body)


def _chunks(body: bytes) -> bytes:
    pieces = (body[at : at + _CHUNK] for at in range(0, len(body), _CHUNK))
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One client's connection: requests in, one at a time, answers out. All of it runs in the server's thread."""

    def __init__(self, house: House, loop: asyncio.AbstractEventLoop, open_ones: set[Connection]) -> None:
        self._house = house
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
        """It is over."""
        self._open_ones.discard(self)

    def data_received(self, data: bytes) -> None:
        """Something came, perhaps the rest of a request."""
        self._buffer += data
        self._go_on()

    def resume_writing(self) -> None:
        """The system took all that was to be sent."""
        if self._resetting:
            self._loop.call_later(_GRACE, self.abort)

    def abort(self) -> None:
        """Drops the connection with a reset."""
        if self in self._open_ones and (wire := self._transport.get_extra_info("socket")):
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    def _go_on(self) -> None:
        while not self._busy and not self._transport.is_closing() and (request := self._take()):
            self._busy = True
            answer = self._house.answer(request, self._loop.time())
            accepts = request.headers.get("accept-encoding", "")
            if answer.wait:
                self._loop.call_later(answer.wait, self._send_late, answer, accepts)
            else:
                self._send(answer, accepts)

    def _take(self) -> Request | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        end += 4
        length = headers.get("content-length", "0")
        method, target, *_ = [*first.split(" "), "", ""]
        if not length.isdecimal() or "transfer-encoding" in headers or not target:
            refusal = Reply(400, b"request: cannot be read", TEXT)
            self._transport.write(refusal.head() + refusal.body)
            self._transport.close()
            return None
        if len(self._buffer) < end + int(length):
            return None
        body = bytes(self._buffer[end : end + int(length)])
        del self._buffer[: end + int(length)]
        return Request(method, target, headers, body)

    def _send_late(self, answer: Answer, accepts: str) -> None:
        self._send(answer, accepts)
        self._go_on()

    def _send(self, answer: Answer, accepts: str) -> None:
        fault = answer.fault
        if fault.way is Way.REFUSED:
            self._house.refuse(fault.spread)
            return
        wire = on_the_wire(answer.reply, fault, accepts)
        if fault.spread or fault.head_spread:
            pieces = (*_pieces(wire.head, fault.head_spread), *_pieces(wire.body, fault.spread))
            self._drip(answer, wire, deque(pieces))
        elif wire.late:  # so late that no client has read it along with the rest
            self._drip(answer, wire, deque([(wire.head + wire.body, _GRACE), (wire.late, 0.0)]))
        else:
            self._finish(answer, wire, wire.head + wire.body)

    def _drip(self, answer: Answer, wire: Wire, pieces: deque[tuple[bytes, float]]) -> None:
        if self._transport.is_closing():
            return
        piece, pause = pieces.popleft()
        if pieces:
            self._transport.write(piece)
            self._loop.call_later(pause, self._drip, answer, wire, pieces)
        else:
            self._finish(answer, wire, piece)
            self._go_on()

    def _finish(self, answer: Answer, wire: Wire, rest: bytes) -> None:
        """Sends the rest; what is whole is noted just before: who has read it may ask for it at once."""
        if self._transport.is_closing():
            return
        if wire.whole and answer.left:
            answer.left()
        self._busy = wire.end is not End.KEPT
        if wire.end is End.RESET and rest:
            self._resetting = True
            self._transport.set_write_buffer_limits(high=0)
        self._transport.write(rest)
        if wire.end is End.CLOSED:
            self._transport.close()
        elif wire.end is End.RESET and not (rest and self._transport.get_write_buffer_size()):
            self._loop.call_later(_GRACE if rest else 0, self.abort)


def _pieces(data: bytes, seconds: float) -> Iterator[tuple[bytes, float]]:
    """What goes at once, and the seconds after it."""
    step = math.ceil(len(data) * _DRIP_STEP / seconds) if seconds else len(data)
    for at in range(0, len(data), step or 1):
        yield data[at : at + step], _DRIP_STEP if seconds else 0.0
