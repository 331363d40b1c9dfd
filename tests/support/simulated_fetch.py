"""A fetch without network or clock: the rate limiter, workers that retry, and a server with a limit and noise.

`python -m tests.support.simulated_fetch` prints what the rate limiter makes of limits, latencies, bursts and noise: its
figures were chosen by it. A minute of a fetch takes less than a second.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from dataclasses import dataclass, replace
from itertools import count
from statistics import mean
from typing import TYPE_CHECKING, NamedTuple

from quivo_frames.fetch.rate_limit import RateLimiter, Slot

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

LATE = 0.0005  # seconds that a thread wakes late
TRIES = 5
WARM_UP = 20.0


@dataclass(frozen=True)
class SimulatedServer:
    """A token bucket, noise behind it, and a latency (log-normal with a `spread`).

    Attributes:
        limit: requests per second, None for no limit; `then` is another one from some second on.
        burst: tokens of the bucket, None for those of a tenth of a second.
        retry_after: seconds that a refusal asks for.
        status: of a refusal: 429, or a fault without Retry-After such as 503.
        noise: share of the admitted requests that fail whatever the rate, without Retry-After.
        broken: share of the orders that always fail.
        outage: from when to when every request fails.
        outage_status: None for connections that break.
    """

    limit: float | None = None
    latency: float = 0.05
    spread: float = 0.0
    burst: float | None = None
    retry_after: float = 0.0
    status: int = 429
    noise: float = 0.0
    broken: float = 0.0
    then: tuple[float, float | None] | None = None
    outage: tuple[float, float] = (0.0, 0.0)
    outage_status: int | None = None

    def __str__(self) -> str:
        words = ["no limit" if self.limit is None else f"{self.limit:g}/s", f"{self.latency:g} s"]
        words += ["log-normal"] if self.spread else []
        words += [f"burst {self.burst:g}"] if self.burst else []
        words += [f"Retry-After {self.retry_after:g}"] if self.retry_after else []
        words += [f"limit by {self.status}"] if self.status != 429 else []
        words += [f"from {self.then[0]:g} s {self.then[1]}/s"] if self.then else []
        words += [f"{self.broken:.0%} of orders broken"] if self.broken else []
        words += [f"out {self.outage[0]:g}-{self.outage[1]:g} s ({self.outage_status})"] if self.outage[1] else []
        return ", ".join(words)


class Sent(NamedTuple):
    """A request: when it came, its status (200, 429; 500 for noise, 503 for a limit by faults, None), and the rate."""

    at: float
    status: int | None
    rate: float


@dataclass
class Simulated:
    """What a server saw. Times are seconds since the first request."""

    sent: list[Sent]
    orders: int
    lost: int

    def good(self, since: float = 0.0, until: float = math.inf) -> int:
        """Good answers to what was sent in a time."""
        return sum(one.status == 200 for one in self.sent if since <= one.at < until)

    def admitted(self, since: float, until: float) -> int:
        """Requests that the limit let pass, noise included."""
        return sum(one.status in {200, 500} for one in self.sent if since <= one.at < until)

    def refused(self, since: float = 0.0, until: float = math.inf) -> float:
        """The share of 429s, or of the other refusals of a limit."""
        seen = [one.status in {429, 503} for one in self.sent if since <= one.at < until]
        return mean(seen) if seen else 0.0

    @property
    def requests_per_order(self) -> float:
        """All requests over the orders that came to an end."""
        return len(self.sent) / max(self.orders, 1)


class _Clock:
    """Moves from event to event."""

    def __init__(self) -> None:
        self.now = 100.0
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def __call__(self) -> float:
        return self.now

    def at(self, when: float, act: Callable[[], None]) -> None:
        heapq.heappush(self.events, (when, next(self._numbers), act))

    def run_until(self, when: float) -> None:
        while self.events and self.events[0][0] <= when:
            at, _, act = heapq.heappop(self.events)
            self.now = max(self.now, at)
            act()
        self.now = max(self.now, when)

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self.run_until(self.now + seconds + LATE)
        return stop.is_set()


class _Never:
    def is_set(self) -> bool:
        return False


class _Fetch:
    def __init__(
        self, server: SimulatedServer, limiter: RateLimiter, clock: _Clock, workers: int, seed: int, backoff: float
    ) -> None:
        self.server, self.limiter, self.clock, self.backoff = server, limiter, clock, backoff
        self.chance = random.Random(seed)
        self.most, self.threads = workers, 1
        self.ready: deque[tuple[int, bool]] = deque([(0, self.draw_broken())])  # number of failed tries, is broken
        self.began = clock.now
        self.limit = server.limit
        self.tokens, self.filled_at = math.inf, clock.now
        self.sent: list[Sent] = []
        self.orders = self.lost = 0
        clock.at(clock.now + 0.01, self.start_thread)

    def draw_broken(self) -> bool:
        return self.chance.random() < self.server.broken

    def start_thread(self) -> None:
        """As RefetchWorkers: another thread while none waits for a slot."""
        if self.threads < self.most:
            if not self.ready:
                self.threads += 1
                self.ready.append((0, self.draw_broken()))
            self.clock.at(self.clock.now + 0.01, self.start_thread)

    def take_token(self, now: float) -> bool:
        if self.server.then and now - self.began >= self.server.then[0]:
            self.limit = self.server.then[1]
        if self.limit is None:
            return True
        size = max(2.0, self.limit / 10) if self.server.burst is None else self.server.burst
        self.tokens = min(size, self.tokens + (now - self.filled_at) * self.limit)
        self.filled_at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def status(self, now: float, is_broken: bool) -> int | None:
        if self.server.outage[0] <= now - self.began < self.server.outage[1]:
            return self.server.outage_status
        if not self.take_token(now):
            return self.server.status
        return 500 if is_broken or self.chance.random() < self.server.noise else 200

    def run(self, seconds: float) -> Simulated:
        never = _Never()
        while self.clock.now < self.began + seconds:
            if not self.ready:
                self.clock.run_until(self.clock.events[0][0])
                continue
            slot = self.limiter.wait_for_slot(never)  # type: ignore[arg-type]
            self.send(slot, *self.ready.popleft())
        return Simulated(self.sent, self.orders, self.lost)

    def send(self, slot: Slot, failed: int, is_broken: bool) -> None:
        now, server = self.clock.now, self.server
        status = self.status(now, is_broken)
        self.sent.append(Sent(now - self.began, status, self.limiter.rate))
        latency = server.latency
        if server.spread:
            median = server.latency / math.exp(server.spread**2 / 2)
            latency = median * math.exp(self.chance.gauss(0, server.spread))
        self.clock.at(now + latency, lambda: self.receive(slot, status, failed, is_broken))

    def receive(self, slot: Slot, status: int | None, failed: int, is_broken: bool) -> None:
        if status == 429:
            self.limiter.note_congestion(slot, self.server.retry_after)
        elif status == 200:
            self.limiter.note_success(slot, is_first_try=not failed)
        else:
            self.limiter.note_fault(slot, is_answered=status is not None, is_first_try=not failed)
        failed = 0 if status == 200 else failed + 1
        wait = 0.0
        if failed in {0, TRIES}:
            self.orders += 1
            self.lost += failed == TRIES
            failed, is_broken = 0, self.draw_broken()
        else:
            wait = self.backoff_seconds(status, failed)
        self.clock.at(self.clock.now + wait, lambda: self.ready.append((failed, is_broken)))

    def backoff_seconds(self, status: int | None, failed: int) -> float:
        if status == 429:
            return self.chance.uniform(0, self.backoff * 2 ** (failed - 1))
        return 0.0 if failed == 1 else self.chance.uniform(0, self.backoff / 2 * 4 ** (failed - 2))


def simulate(
    server: SimulatedServer,
    seconds: float = 60.0,
    *,
    ceiling: float | None = None,
    workers: int = 64,
    seed: int = 0,
    backoff: float = 1.0,
) -> Simulated:
    """What the server sees of a fetch of that many seconds."""
    clock = _Clock()
    limiter = RateLimiter(ceiling, clock=clock, wait=clock.wait)
    return _Fetch(server, limiter, clock, workers, seed, backoff).run(seconds)


NOISES = (0.0, 0.02, 0.05, 0.1)
LATENCIES = ((0.05, 0.0), (0.3, 0.5), (1.0, 0.0))
SERVERS = (
    *(
        SimulatedServer(limit, latency, spread, retry_after=retry_after)
        for limit in (10, 50, 200)
        for latency, spread in LATENCIES
        for retry_after in (0.0, 1.0)
    ),
    *(SimulatedServer(50, 0.3, 0.5, burst=250, retry_after=retry_after) for retry_after in (0.0, 1.0)),
    *(SimulatedServer(limit, latency, status=503) for limit in (10, 50, 200) for latency in (0.05, 0.3)),
    *(SimulatedServer(100, then=(30, limit), retry_after=pause) for limit in (50, 20) for pause in (0.0, 1.0)),
    SimulatedServer(None),
    SimulatedServer(None, outage=(20, 40)),
    SimulatedServer(None, outage=(20, 40), outage_status=503),
)
SEEDS = range(3)
WORKERS = {None: 16}


def main() -> None:
    """Prints the table."""
    print("requests a second that a limit let pass (noise included), of those that were to be had; refusals; 60 s")
    print(f"{'':<48}{'noise':>6}{'passed':>8}{'>20 s':>8}{'refused':>9}{'>20 s':>8}{'a order':>9}{'lost':>7}")
    for server in SERVERS:
        for noise in NOISES:
            workers = WORKERS.get(server.limit, max(64, int(2 * (server.limit or 0) * server.latency)))
            runs = [simulate(replace(server, noise=noise), workers=workers, seed=seed) for seed in SEEDS]
            had = min(bound for bound in (server.limit, workers / server.latency) if bound)
            passed = mean(run.admitted(0, 60) for run in runs) / 60 / had
            later = mean(run.admitted(WARM_UP, 60) for run in runs) / (60 - WARM_UP) / had
            refused, refused_later = (mean(run.refused(since) for run in runs) for since in (0.0, WARM_UP))
            print(
                f"{server!s:<48}{noise:>6.0%}{passed:>8.2f}{later:>8.2f}{refused:>9.2%}{refused_later:>8.2%}"
                f"{mean(run.requests_per_order for run in runs):>9.2f}{sum(run.lost for run in runs):>7}",
                flush=True,
            )


if __name__ == "__main__":
    main()
