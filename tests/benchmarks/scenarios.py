"""What is fetched from which server: limits known and unknown, latencies, bursts, Retry-After, a limit that moves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, exp
from typing import Any

FIRST_ID = 100001
WARM_UP = 20.0
_LATENCIES = ((0.05, 0.0), (0.3, 0.5), (1.0, 0.0))


@dataclass(frozen=True)
class Scenario:
    """A server, and a batch for which an ideal client needs so many `seconds`."""

    name: str
    seconds: float
    limit: float | None = None
    """Requests a second; None: no limit."""
    latency: float = 0.0
    """Seconds of every answer; with `spread`, the mean of a log-normal distribution with that sigma."""
    spread: float = 0.0
    known: bool = False
    """Whether the client is told the limit."""
    burst: float | None = None
    retry_after: str | None = None
    noise: float = 0.0
    """Share of the requests that fail in one of the ways of `quivo_frames.standin.faults.NOISE`."""
    then: tuple[float, float] | None = None
    """The limit is another one so many seconds after the first request."""
    workers: int = 0
    """Threads of every candidate; 0: as many as the limit takes."""
    orders: int = 0
    """To fetch where there is no ideal."""
    repeats: int = 1
    """Runs in a round: more where they are cheap."""

    @property
    def ideal_at_first(self) -> float | None:
        """Good answers a second that are to be had; None where only the machine sets a bound."""
        bounds = [self.limit] if self.limit else []
        bounds += [self.workers / self.latency] if self.workers and self.latency else []
        return min(bounds, default=None)

    @property
    def ideal(self) -> float | None:
        """The same, on average over all of the time."""
        first = self.ideal_at_first
        if first is None or self.then is None:
            return first
        after, limit = self.then
        return (first * after + limit * (self.seconds - after)) / self.seconds

    @property
    def order_ids(self) -> range:
        """What is fetched."""
        return range(FIRST_ID, FIRST_ID + (round(self.ideal * self.seconds) if self.ideal else self.orders))

    @property
    def enough(self) -> int:
        """Twice the threads that the limit takes at this latency."""
        return max(8, ceil(2 * (self.limit or 0) * self.latency))

    @property
    def settings(self) -> dict[str, Any]:
        """The stand-in's."""
        median = self.latency / exp(self.spread**2 / 2)
        return {
            "orders": len(self.order_ids),
            "first_id": FIRST_ID,
            "rate": self.limit,
            "latency": {"median": median, "sigma": self.spread} if self.spread else self.latency,
            "burst": self.burst,
            "retry_after": self.retry_after,
            "noise": self.noise,
        }


def _known(limit: float, latency: float) -> Scenario:
    name = f"known limit {limit:.0f}/s, latency {latency:g} s"
    return Scenario(name, 15, limit, latency, known=True, repeats=2 if limit <= 50 else 1)


def _unknown(limit: float, latency: float, spread: float = 0.0, **more: Any) -> Scenario:
    told = [f"unknown limit {limit:.0f}/s", f"latency {latency:g} s{' (log-normal)' if spread else ''}"]
    told += [f"burst {more['burst']:.0f}"] if "burst" in more else []
    told += [f"Retry-After {more['retry_after']}"] if "retry_after" in more else []
    return Scenario(", ".join(told), 35 if limit > 100 else 40, limit, latency, spread, **more)


def _halving(**more: Any) -> Scenario:
    told = f", Retry-After {more['retry_after']}" if more else ""
    return Scenario(
        f"unknown limit 100/s, from 30 s on 50/s, latency 0.05 s{told}", 60, 100, 0.05, then=(30, 50), **more
    )


def _unlimited(latency: float, workers: int, seconds: float) -> Scenario:
    return Scenario(f"no limit, latency {latency:g} s, {workers} threads", seconds, latency=latency, workers=workers)


_BARE = Scenario("no limit, no latency, 4 threads", 10, workers=4, orders=3000, repeats=3)
_VARIED = (
    *(_unknown(limit, latency, spread) for limit in (10, 50, 200) for latency, spread in _LATENCIES),
    *(_unknown(limit, 0.05, retry_after="1") for limit in (10, 50, 200)),
    _unknown(50, 0.3, 0.5, burst=250),
    _unknown(50, 0.3, 0.5, burst=250, retry_after="1"),
)
ALL = (
    *(_known(limit, latency) for limit in (10, 50, 200) for latency in (0.05, 0.5)),
    *_VARIED,
    _halving(),
    _halving(retry_after="1"),
    _unlimited(0.05, 4, 10),
    _unlimited(0.05, 16, 10),
    _BARE,
)
QUICK = (
    replace(_known(50, 0.05), seconds=5, repeats=1),
    replace(_unknown(50, 0.05), seconds=35),
    replace(_unknown(50, 0.05, retry_after="1"), seconds=35),
    replace(_halving(), seconds=50),
    _unlimited(0.05, 16, 5),
    replace(_BARE, orders=1500, repeats=1),
)
"""About four minutes."""


def _noisy(noise: float, scale: float) -> tuple[Scenario, ...]:
    quiet = (
        Scenario("no limit, latency 0.05 s, 16 threads", 10, latency=0.05, workers=16),
        Scenario("unknown limit 50/s, latency 0.05 s", 25, 50, 0.05),
        Scenario("known limit 10/s, latency 0.05 s", 15, 10, 0.05, known=True),
    )
    return tuple(
        replace(one, name=f"{one.name}, noise {noise:.0%}", seconds=scale * one.seconds, noise=noise) for one in quiet
    )


NOISY = tuple(scenario for noise in (0.0, 0.02, 0.05, 0.1) for scenario in _noisy(noise, 1.0))
"""About seven minutes."""
QUICK_NOISY = tuple(scenario for noise in (0.0, 0.1) for scenario in _noisy(noise, 0.6))
"""About two minutes."""
