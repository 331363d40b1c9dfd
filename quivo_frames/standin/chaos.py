"""Faults by chance: which one hits depends on the seed, the order and how often it was asked for, on nothing else."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Self

from quivo_frames.errors import ConfigError
from quivo_frames.standin.faults import NO_FAULT, SHAPES, Fault, Text, date_in
from quivo_frames.standin.random import LogNormal, draw

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Chaos:
    """Each fault hits such a share of the requests for orders that were let in; one of them may be hit again and again.

    Raises ConfigError unless the shares are above 0 and 1 together at most.
    """

    def __init__(self, shares: Mapping[Fault, float]) -> None:
        self._faults = (*shares, NO_FAULT)
        self._ends = list(accumulate(shares.values()))
        if any(share <= 0 for share in shares.values()) or (self._ends and self._ends[-1] > 1 + 1e-9):
            raise ConfigError("The shares of chaos must be above 0, and together at most 1.")

    @classmethod
    def evenly(cls, faults: Iterable[Fault], share: float) -> Self:
        """All of the faults equally often, together in such a share of the requests."""
        each = list(dict.fromkeys(faults))
        return cls(dict.fromkeys(each, share / len(each)))

    def fault(self, seed: int, order_id: int, nth: int) -> Fault:
        """What happens to the n-th request for the order, from 0."""
        if not self._ends:
            return NO_FAULT
        return self._faults[bisect_right(self._ends, draw(seed, "fault", order_id, nth))]


def every_fault(*, seconds: float = 0.2, elsewhere: str = "http://127.0.0.1:9/") -> dict[str, Fault]:
    """Each fault that can hit a refetch, by name; short things last `seconds`, redirects point `elsewhere`."""
    statuses = (400, 403, 404, 408, 409, 413, 415, 422, 500, 501, 502, 503, 504)
    hints: dict[str, Text | None] = {
        "in seconds": "1",
        "as a fraction": "0.5",
        "as a date": date_in(1),
        "as a date long ago": "Sun, 06 Nov 1994 08:49:37 GMT",
        "as a date far ahead": date_in(10**8),
        "beyond reason": "999999999",
        "as a word": "soon",
        "below 0": "-5",
        "empty": "",
        "absent": None,
    }
    return {
        "delay": Fault.delay(seconds),
        "log-normal delay": Fault.delay(LogNormal(seconds / 2, 1.0)),
        "stalled": Fault.stall(),
        "stalled within the body": Fault.stall_within(),
        "refused": Fault.refuse(seconds),
        "reset": Fault.reset(),
        "reset within the body": Fault.reset_within(),
        "reset after the body": Fault.reset_after(),
        "truncated": Fault.truncate(),
        "truncated without a length": Fault.truncate_unsized(),
        "truncated in chunks": Fault.truncate_chunked(),
        "without a length": Fault.unsized(),
        "in chunks": Fault.chunked(),
        "length too long": Fault.too_long(),
        "length too short": Fault.too_short(),
        "dripping body": Fault.drip(seconds),
        "dripping headers": Fault.drip_head(seconds),
        "gzip": Fault.gzip(),
        "gzip cut": Fault.cut_gzip(),
        "gzip in name only": Fault.bad_gzip(),
        "large body": Fault.padded(2),
        "204": Fault.no_content(),
        "empty": Fault.empty(),
        "html": Fault.html(),
        "not UTF-8": Fault.body(b'{"orderId":\xff}'),
        "deep": Fault.body(b'{"a":' * 5000),
        **{f"json of another shape: {shape}": Fault.shape(shape) for shape in SHAPES},
        "cut JSON": Fault.cut_json(),
        "no orderId": Fault.no_id(),
        "orderId as text": Fault.text_id(),
        "another order": Fault.other_order(),
        "400 text": Fault.bad_request(),
        "401 expired": Fault.expired(),
        "401 unauthorized": Fault.unauthorized(),
        **{str(status): Fault.status(status) for status in statuses},
        **{f"429, Retry-After {how}": Fault.status(429, retry_after=hint) for how, hint in hints.items()},
        "503, Retry-After": Fault.status(503, retry_after="1"),
        **{f"redirect {status}": Fault.redirect(elsewhere, status=status) for status in (301, 302, 303, 307, 308)},
    }
