"""Refetch under all faults and kill -9 until every order is stored: `python -m tests.support.chaos --seed 7`.

A stand-in API with random faults, a moving rate limit and short-lived tokens; against it the command line, killed at
random moments and started again with the same words. Then the failed orders are refetched with --failed-of until none
is left. According to the server and the file of the archive, this must hold:

    Every order is stored once, as the server sent it.
    Every order is acknowledged once in the ledger, over all runs.
    No more was requested than orders, retries, token renewals, and what was in flight when a process was killed.

Which fault hits which request depends on the seed; which requests are in flight at a kill does not.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from quivo_frames.standin.faults import ServerFault
from quivo_frames.standin.server import StandIn
from tests.support import independent_archive
from tests.support.impatient_command import impatient_command
from tests.support.random_faults import RandomFaults, all_faults_by_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORKERS = 32
ROUNDS = 30
STARTS = 60
LIMITS = (150.0, 300.0, 600.0, 1200.0)  # requests a second
LIMIT_SECONDS = 3.0
TOKEN_SECONDS = 5.0
NOWHERE = "http://127.0.0.1:9/"
SLOWING_FAULTS = ("429", "503")
"""After these the client goes slowly, as it should: there are fewer of them, or the run would take an hour."""
RARE_SHARE = 1 / 40


class ChaosResult(NamedTuple):
    """What happened to the client, and how it ended."""

    api: StandIn
    archive: Path
    seconds: float
    kills: int
    stops: int
    """How often it stopped by itself because too much went wrong, and was started again."""
    rounds: int
    """How often the failed orders were asked for again."""
    log: str


def spread_shares(share: float) -> dict[ServerFault, float]:
    """Every fault with its share of the requests, those that slow the client down more rarely."""
    weights: dict[ServerFault, float] = {}
    for name, fault in all_faults_by_name(seconds=0.1, elsewhere=NOWHERE).items():
        weights[fault] = weights.get(fault, 0.0) + (RARE_SHARE if name.startswith(SLOWING_FAULTS) else 1.0)
    total = sum(weights.values())
    return {fault: share * weight / total for fault, weight in weights.items()}


def run_chaos(
    orders: int, seed: int, kills: int, share: float, folder: Path, tell: Callable[[str], object]
) -> ChaosResult:
    """Run the client until every order is stored. Raises AssertionError where it ends in a wrong way."""
    chance, began = random.Random(seed), time.monotonic()
    ids, archive, log = folder / "ids.txt", folder / "orders.sqlite", folder / "log.txt"
    with StandIn(
        orders,
        seed=seed,
        chaos=RandomFaults(spread_shares(share)).choose_fault,
        rate=LIMITS[1],
        token_seconds=TOKEN_SECONDS,
    ) as api:
        ids.write_text("\n".join(map(str, api.order_ids)))
        over = threading.Event()
        mover = threading.Thread(target=_move_limit, args=(api, random.Random(seed + 1), over))
        mover.start()
        try:
            points = sorted(chance.randrange(orders) for _ in range(kills))
            ends, rounds = [], 0
            for end in _run_until_finished(api, ids, archive, log, points, chance):
                ends.append(end)
                tell(f"{_describe_end(end)} after {len(api.timeline):,} requests and {time.monotonic() - began:.0f} s")
            while ends[-1] != 0:
                rounds += 1
                assert rounds < ROUNDS, "the failed orders do not come to an end"
                last = str(max(attempt.run for attempt in independent_archive.ledger_lines(archive)))
                ends += _refetch_failed(api, archive, log, last)
                tell(f"failed orders, round {rounds}: {_describe_end(ends[-1])} after {len(api.timeline):,} requests")
        finally:
            over.set()
            mover.join()
        seconds, said = time.monotonic() - began, log.read_text()
        return ChaosResult(api, archive, seconds, ends.count(-9), ends.count(3), rounds, said)


def _describe_end(end: int) -> str:
    return "killed" if end == -9 else f"exit status {end}"


def _move_limit(api: StandIn, chance: random.Random, over: threading.Event) -> None:
    while not over.wait(LIMIT_SECONDS):
        api.rate = chance.choice(LIMITS)


def _run_until_finished(
    api: StandIn, ids: Path, archive: Path, log: Path, points: list[int], chance: random.Random
) -> Iterator[int]:
    """The exit status of each process until one finishes; a process is killed at each of `points`, in total requests."""
    for _ in range(STARTS):
        with _start_client(api, archive, log, "--ids", str(ids)) as child:
            if points:
                while child.poll() is None and len(api.timeline) < points[0]:
                    time.sleep(0.002)
                time.sleep(chance.uniform(0, 0.1))
                if child.poll() is None:
                    child.kill()
                    points.pop(0)
            yield child.wait()
        assert child.returncode in {-9, 0, 1, 3}, f"exit status {child.returncode}:\n{log.read_text()[-2000:]}"
        if child.returncode in {0, 1}:
            return
    raise AssertionError(f"after {STARTS} starts it is not at the end:\n{log.read_text()[-2000:]}")


def _refetch_failed(api: StandIn, archive: Path, log: Path, last: str) -> Iterator[int]:
    for _ in range(STARTS):
        with _start_client(api, archive, log, "--failed-of", last) as child:
            yield child.wait()
        if child.returncode != 3:
            assert child.returncode in {0, 1}, f"exit status {child.returncode}:\n{log.read_text()[-2000:]}"
            return


def _start_client(api: StandIn, archive: Path, log: Path, *words: str) -> subprocess.Popen[bytes]:
    login = {
        "QUIVO_BASE_URL": api.base_url, "QUIVO_API_KEY": api.api_key, "QUIVO_USERNAME": api.username,
        "QUIVO_PASSWORD": api.password, "XDG_CACHE_HOME": str(archive.parent / "cache"),
    }  # fmt: skip
    options = ("--archive", str(archive), "--workers", str(WORKERS), "--yes", "--json")
    with log.open("ab") as told:
        return subprocess.Popen(
            impatient_command(
                "refetch", *words, *options, timeout=1.5, tries=5, backoff=0.05, longest_pause=0.5
            ),
            env=os.environ | login, stdin=subprocess.DEVNULL, stdout=told, stderr=told,
        )  # fmt: skip


def allowed_requests(done: ChaosResult) -> int:
    """The most requests for orders that are no more than needed.

    An expired token costs no try, and what was under way when a process ended is in no ledger.
    """
    renewed = sum(status == 401 for _, status in done.api.timeline)
    return (
        sum(attempt.tries for attempt in independent_archive.ledger_lines(done.archive))
        + renewed
        + WORKERS * (done.kills + done.stops)
    )


def broken_promises(done: ChaosResult) -> list[str]:
    """The promises that do not hold, as sentences."""
    api, ids = done.api, set(done.api.order_ids)
    good = [response for response in independent_archive.stored_responses(done.archive) if response.good]
    stored = Counter(response.order_id for response in good)
    acknowledged = Counter(a.order_id for a in independent_archive.ledger_lines(done.archive) if a.outcome == "fetched")
    altered = [response.order_id for response in good if response.sha256 not in api.hashes_sent(response.order_id)]
    found = {
        "orders are not stored": ids - set(stored),
        "orders are stored that nobody asked for": set(stored) - ids,
        "orders are stored more than once": {order_id for order_id, count in stored.items() if count > 1},
        "orders are not as the server sent them": set(altered),
        "orders are not acknowledged once": {order_id for order_id in ids if acknowledged[order_id] != 1},
    }
    told = [f"{len(those):,} {what}, such as {min(those)}" for what, those in found.items() if those]
    if len(api.timeline) > allowed_requests(done):
        told.append(f"{len(api.timeline):,} requests where {allowed_requests(done):,} would do")
    if not independent_archive.is_sound(done.archive):
        told.append("SQLite finds the archive damaged")
    if "Traceback" in done.log:
        told.append("the client ended with a traceback")
    return told


def summary_rows(done: ChaosResult) -> list[tuple[str, Any]]:
    """The figures of a run."""
    api, attempts = done.api, independent_archive.ledger_lines(done.archive)
    received, statuses = len(api.timeline), Counter(status for _, status in api.timeline)
    outcomes = Counter(attempt.outcome for attempt in attempts)
    tries = sum(attempt.tries for attempt in attempts)
    lost = sum(len(api.hashes_sent(order_id)) - 1 for order_id in api.order_ids)
    return [
        ("orders", f"{len(api.order_ids):,}"),
        ("seconds", f"{done.seconds:,.0f}"),
        ("kills", done.kills),
        ("stops by itself (exit status 3)", done.stops),
        ("rounds of failed orders", done.rounds),
        ("requests for orders", f"{received:,}"),
        ("  that would do", f"{allowed_requests(done):,}"),
        ("  tries in the ledger", f"{tries:,}"),
        ("  answered 429", f"{statuses[429] / received:.2%}"),
        ("  answered 401", f"{statuses[401]:,}"),
        ("  without a whole answer", f"{statuses[0]:,}"),
        ("logins", f"{api.logins:,}"),
        ("pings and others", f"{api.requests - received - api.logins:,}"),
        ("good answers that did not arrive, or not before a kill", f"{lost:,}"),
        *((f"attempts: {outcome}", f"{count:,}") for outcome, count in outcomes.most_common()),
    ]


def main() -> None:
    """Runs the chaos, and leaves with 1 if anything does not hold."""
    parser = argparse.ArgumentParser("python -m tests.support.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--share", type=float, default=0.08, help="of the requests, how many are hit")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        done = run_chaos(
            given.orders, given.seed, given.kills, given.share, Path(folder), lambda text: print(text, flush=True)
        )
        print(f"\nchaos of seed {given.seed}")
        for name, figure in summary_rows(done):
            print(f"  {name:<56}{figure:>10}")
        faults = broken_promises(done)
        if done.kills < given.kills:
            faults.append(f"only {done.kills} kills")
    print("\n".join(faults) or "everything holds")
    raise SystemExit(bool(faults))


if __name__ == "__main__":
    main()
