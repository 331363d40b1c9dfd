"""Random faults of the stand-in, and a list of every fault that a refetch can meet."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Self

from quivo_frames.errors import ConfigError
from quivo_frames.standin.faults import NO_FAULT, SHAPES, HeaderText, ServerFault, date_in
from quivo_frames.standin.random import LogNormal, draw_share

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class RandomFaults:
    """Faults by their shares of the requests: the choice depends on seed, order and number of the request alone.

    Raises ConfigError unless each share is above 0 and their sum at most 1.
    """

    def __init__(self, shares: Mapping[ServerFault, float]) -> None:
        self._faults = (*shares, NO_FAULT)
        self._cumulative_shares = list(accumulate(shares.values()))
        if any(share <= 0 for share in shares.values()) or (
            self._cumulative_shares and self._cumulative_shares[-1] > 1 + 1e-9
        ):
            raise ConfigError("The shares of faults must be above 0, and together at most 1.")

    @classmethod
    def share_evenly(cls, faults: Iterable[ServerFault], share: float) -> Self:
        """All faults equally often, together in this share of the requests."""
        each = list(dict.fromkeys(faults))
        return cls(dict.fromkeys(each, share / len(each)))

    def choose_fault(self, seed: int, order_id: int, nth: int) -> ServerFault:
        """The fault of the n-th request for the order, from 0."""
        if not self._cumulative_shares:
            return NO_FAULT
        return self._faults[bisect_right(self._cumulative_shares, draw_share(seed, "fault", order_id, nth))]


def all_faults_by_name(*, seconds: float = 0.2, elsewhere: str = "http://127.0.0.1:9/") -> dict[str, ServerFault]:
    """Every fault that a refetch can meet, by name; delays last `seconds`, redirects lead to `elsewhere`."""
    statuses = (400, 403, 404, 408, 409, 413, 415, 422, 500, 501, 502, 503, 504)
    hints: dict[str, HeaderText | None] = {
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
        "delay": ServerFault.delay(seconds),
        "log-normal delay": ServerFault.delay(LogNormal(seconds / 2, 1.0)),
        "stalled": ServerFault.stall(),
        "stalled within the body": ServerFault.stall_within(),
        "refused": ServerFault.refuse(seconds),
        "reset": ServerFault.reset(),
        "reset within the body": ServerFault.reset_within(),
        "reset after the body": ServerFault.reset_after(),
        "truncated": ServerFault.truncate(),
        "truncated without a length": ServerFault.truncate_unsized(),
        "truncated in chunks": ServerFault.truncate_chunked(),
        "without a length": ServerFault.unsized(),
        "in chunks": ServerFault.chunked(),
        "length too long": ServerFault.too_long(),
        "length too short": ServerFault.too_short(),
        "dripping body": ServerFault.drip(seconds),
        "dripping headers": ServerFault.drip_head(seconds),
        "gzip": ServerFault.gzip(),
        "gzip cut": ServerFault.cut_gzip(),
        "gzip in name only": ServerFault.bad_gzip(),
        "large body": ServerFault.padded(2),
        "204": ServerFault.no_content(),
        "empty": ServerFault.empty(),
        "html": ServerFault.html(),
        "not UTF-8": ServerFault.body(b'{"orderId":\xff}'),
        "deep": ServerFault.body(b'{"a":' * 5000),
        **{f"json of another shape: {shape}": ServerFault.shape(shape) for shape in SHAPES},
        "cut JSON": ServerFault.cut_json(),
        "no orderId": ServerFault.no_id(),
        "orderId as text": ServerFault.text_id(),
        "another order": ServerFault.other_order(),
        "400 text": ServerFault.bad_request(),
        "401 expired": ServerFault.expired(),
        "401 unauthorized": ServerFault.unauthorized(),
        **{str(status): ServerFault.status(status) for status in statuses},
        **{f"429, Retry-After {how}": ServerFault.status(429, retry_after=hint) for how, hint in hints.items()},
        "503, Retry-After": ServerFault.status(503, retry_after="1"),
        **{
            f"redirect {status}": ServerFault.redirect(elsewhere, status=status) for status in (301, 302, 303, 307, 308)
        },
    }
