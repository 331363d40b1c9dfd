"""refetch beside what others would write, against limits of the stand-in API: `python -m tests.benchmarks fetch`."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import Candidate, Cost, Unavailable, middle, spend
from tests.benchmarks.scenarios import ALL, NOISY, QUICK, QUICK_NOISY, WARM_UP, Scenario
from tests.benchmarks.serving import Seen, Server
from tests.benchmarks.timeline import Timeline

OURS = Candidate("quivo_frames", "refetching")
PEERS = (Candidate("requests+Retry", "requests_retry"), Candidate("stamina", "stamina_requests"))
NAMES = [one.name for one in (OURS, *PEERS)]
ALLOWED = 64
"""Workers that quivo_frames may use."""
PATIENCE = 2.0
"""A candidate is killed after so many times the seconds of an ideal one, and 20."""
GENTLE = 100
"""Requests a second up to which all candidates run at the same time, each with a server of its own."""

_READ = """\
A line is a candidate that fetches a batch of orders from a stand-in API, each in a process of its own; the API noted
when each request came. goodput is good answers a second over the ideal, min(limit, workers / latency): 1.00 is all that
was to be had; 429s is the share of requests that were refused: 0 % is what those who run the API wish for.
  goodput  from the first to the last good answer; a saved-up burst can make it more than 1.00
  >{warm_up:.0f} s    the same from {warm_up:.0f} s on, to the last good answer, or to where an ideal client ends if that is earlier
  80 % in  seconds until the first window of 2 s began that held 80 % of the ideal
  CPU      of the client, in seconds per 1,000 good answers: 429s, waiting and login included, imports not
  an order requests over orders: 1.00 is one request for each
  lost     orders that it did not keep, byte for byte as the server sent them, at the end
  twice    good answers sent for an order that had one already
Medians of {rounds} round(s), in a round some scenarios several times (then the lowest and the highest goodput are told).
What is known of a limit: quivo_frames gets it as rate=; the others wait for pyrate-limiter, N per second, before each
order. Threads where there is a limit: quivo_frames {allowed}, or what the others get if that is more; these get twice
what limit x latency takes, 8 at least, which their users would have to guess.
Up to {gentle} requests a second all candidates run at the same time, each on a server of its own; above, in turn.
"""


@dataclass(frozen=True)
class Measured:
    """One run of one candidate; None is what does not exist."""

    goodput: float | None
    goodput_warm: float | None
    refused: float | None
    refused_warm: float | None
    reached: float | None
    followed: float | None
    """Seconds after the limit changed; the next two are of the time from then on."""
    goodput_after: float | None
    refused_after: float | None
    cpu: float | None
    wall: float | None
    requests: float
    """For each order."""
    lost: int
    twice: int
    server_cpu: float
    a_second: list[tuple[int, int]]
    broke_off: str = ""


def run(
    quick: bool = False, rounds: int = 1, only: Sequence[str] = (), scenario: Sequence[str] = (), noise: bool = False
) -> dict[str, Any]:
    """Measures, prints, and gives the results; `scenario` holds words of which each must be in the name of a scenario."""
    scenarios = (QUICK_NOISY if quick else NOISY) if noise else (QUICK if quick else ALL)
    chosen = [one for one in scenarios if all(f" {word}" in f" {one.name}" for word in scenario)]
    candidates = [one for one in (OURS, *PEERS) if not only or one.name in only]
    found: dict[str, dict[str, list[Measured]]] = {}
    missing: dict[str, str] = {}
    print(_READ.format(warm_up=WARM_UP, rounds=rounds, allowed=ALLOWED, gentle=GENTLE))
    print(
        f"{'':<16}{'goodput':>9}{'':>13}{f'>{WARM_UP:.0f} s':>8}{'429s':>9}{f'>{WARM_UP:.0f} s':>8}{'80 % in':>9}{'CPU':>8}{'an order':>9}{'lost':>6}{'twice':>7}"
    )
    for one in chosen:
        for turn in range(rounds * one.repeats):
            for name, result in _once(one, [c for c in candidates if c.name not in missing], turn).items():
                if isinstance(result, Measured):
                    found.setdefault(one.name, {}).setdefault(name, []).append(result)
                else:
                    missing[name] = result
        ideal = f"ideal {one.ideal:.0f}/s, " if one.ideal else ""
        print(f"{one.name} ({ideal}{len(one.order_ids):,} orders)", flush=True)
        for name, results in found.get(one.name, {}).items():
            _line(name, results, following=one.then is not None)
    for name, why in missing.items():
        print(f"{name}: {why}. `make bench-fetch` sets up what it takes.")
    print("\nWhat they leave out, beside what quivo_frames does:")
    for candidate in candidates:
        if candidate.name not in missing:
            module = _module(candidate)
            print(f"- {candidate.name}: {(module.__doc__ or '').splitlines()[0]}\n    leaves out: {module.LEAVES_OUT}")
    return {"rounds": rounds, "scenarios": [asdict(one) for one in chosen], "measured": found, "missing": missing}


def _once(scenario: Scenario, candidates: Sequence[Candidate], turn: int) -> dict[str, Measured | str]:
    """A run of each candidate, or why it cannot take part; whose turn it is to begin changes."""
    shift = turn % len(candidates) if candidates else 0
    order = [*candidates[shift:], *candidates[:shift]]
    together = scenario.limit is not None and scenario.limit <= GENTLE
    with ThreadPoolExecutor(len(order) if together else 1) as pool:
        results = dict(
            zip((one.name for one in order), pool.map(lambda one: measured(scenario, one), order), strict=True)
        )
    return {one.name: results[one.name] for one in candidates}


def measured(scenario: Scenario, candidate: Candidate) -> Measured | str:
    """One run of one candidate, or why it cannot take part."""
    cost, broke_off = None, ""
    with tempfile.TemporaryDirectory() as name, Server(scenario.settings, scenario.then) as server:
        file, out = Path(name) / "ids.txt", Path(name) / "out"
        file.write_text("\n".join(map(str, scenario.order_ids)))
        workers = max(ALLOWED, scenario.enough) if candidate == OURS else scenario.enough
        options = {
            "api": server.api,
            "workers": scenario.workers or workers,
            "rate": scenario.limit if scenario.known else None,
        }
        try:
            alone = {"XDG_CACHE_HOME": name}  # what an earlier client knew of the pace would help
            cost = spend(
                replace(candidate, options=options, environment=alone), file, out, scenario.seconds * PATIENCE + 20
            )
        except Unavailable as why:
            broke_off = str(why)
        seen = server.stop()
        if not seen.answers:
            return broke_off or "asked for nothing"
        missed = lost(scenario.order_ids, seen.sent, _module(candidate).answers(out))
    return figures(scenario, seen, cost, missed, broke_off)


def figures(scenario: Scenario, seen: Seen, cost: Cost | None, lost: int, broke_off: str = "") -> Measured:
    """What a run comes to."""
    timeline = Timeline.of(seen.answers)
    good, ideal, until = len(timeline.good), scenario.ideal, min(scenario.seconds, timeline.end)
    warm = ideal is not None and scenario.limit is not None and not scenario.known and scenario.then is None
    change = seen.changed - seen.answers[0][0] if seen.changed else None
    limit = scenario.then[1] if scenario.then else 0.0
    followed = timeline.followed(change, limit) if change else None
    return Measured(
        goodput=timeline.goodput(ideal) if ideal else None,
        goodput_warm=timeline.goodput_within(WARM_UP, until, ideal) if ideal and warm else None,
        refused=timeline.share_refused(),
        refused_warm=timeline.share_refused(WARM_UP) if warm and until - WARM_UP >= 1 else None,
        reached=timeline.reached(scenario.ideal_at_first) if scenario.ideal_at_first else None,
        followed=followed,
        goodput_after=timeline.goodput_within(change + followed, until, limit)
        if change and followed is not None
        else None,
        refused_after=timeline.share_refused(change) if change else None,
        cpu=cost.cpu / good * 1000 if cost and good else None,
        wall=cost.wall if cost else None,
        requests=len(seen.answers) / len(scenario.order_ids),
        lost=lost,
        twice=good - len(seen.sent),
        server_cpu=seen.cpu,
        a_second=timeline.a_second(),
        broke_off=broke_off,
    )


def _line(name: str, results: Sequence[Measured], *, following: bool) -> None:
    def mid(field: str, how: str) -> str:
        values = [value for one in results if (value := getattr(one, field)) is not None]
        return format(middle(values), how) if values else "-"

    goodputs = [one.goodput for one in results if one.goodput is not None]
    between = f"({min(goodputs):.2f}-{max(goodputs):.2f})" if len(goodputs) > 1 else ""
    print(
        f"  {name:<16}{mid('goodput', '.2f'):>7}{between:>13}{mid('goodput_warm', '.2f'):>8}{mid('refused', '.1%'):>9}"
        f"{mid('refused_warm', '.1%'):>8}{mid('reached', '.1f'):>9}{mid('cpu', '.2f'):>8}{mid('requests', '.2f'):>9}"
        f"{max(one.lost for one in results):>6}{max(one.twice for one in results):>7}"
        + "".join(f"  {one.broke_off}" for one in results if one.broke_off)
    )
    if following:
        print(
            f"{'':<18}new limit followed in {mid('followed', '.1f')} s, goodput from then on "
            f"{mid('goodput_after', '.2f')}, 429s since the change {mid('refused_after', '.1%')}"
        )


def lost(order_ids: Iterable[int], sent: Mapping[int, str], kept: Iterable[tuple[int, bytes]]) -> int:
    """Orders that were not kept byte for byte as they were sent."""
    right = {order_id for order_id, body in kept if sha256(body).hexdigest() == sent.get(order_id)}
    return sum(order_id not in right for order_id in order_ids)


def _module(candidate: Candidate) -> Any:
    return importlib.import_module(f"tests.benchmarks.candidates.{candidate.module}")
