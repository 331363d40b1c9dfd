"""A build after 100 of 100,000 orders changed, beside a build of all: `python -m tests.benchmarks renew`. Takes minutes."""

from __future__ import annotations

import json
import os
import random
import tempfile
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.benchmarks.build import OURS
from tests.benchmarks.cores import differing
from tests.benchmarks.measure import Candidate, Cost, middle, ratios, spend
from tests.benchmarks.orders import orders_file

ORDERS, CHANGED = 100_000, 100
BEGIN = datetime(2026, 10, 12, tzinfo=UTC)
Change = Callable[[bytes, bytes], bytes]


def delivered(body: bytes, _: bytes) -> bytes:
    """The order a day later, with all else as it was: its status, its shipments, and when it was modified."""
    order = json.loads(body)
    order |= {"orderStatus": "COMPLETED", "lastModified": "2026-10-13T08:00:00Z", "completedAt": "2026-10-13T08:00:00Z"}
    for planned in order.get("fulfillmentOrders") or []:
        for shipment in planned.get("shipments") or []:
            shipment["deliveryDate"] = "2026-10-13T07:30:00Z"
    return json.dumps(order, separators=(",", ":"), ensure_ascii=False).encode()


def another(body: bytes, other: bytes) -> bytes:
    """Another order under the same id: whatever can change has changed."""
    order = json.loads(other) | {"orderId": json.loads(body)["orderId"]}
    return json.dumps(order, separators=(",", ":"), ensure_ascii=False).encode()


CHANGES: dict[str, tuple[Change, int]] = {
    "recent": (delivered, 3 * CHANGED), "anywhere": (delivered, 0), "another": (another, 0)
}  # fmt: skip
"""What changes, and among how many of the last orders; 0: among all."""


def run(orders: int = ORDERS, rounds: int = 5) -> dict[str, object]:
    """Measures, prints, and gives the results."""
    bodies = orders_file(orders).read_bytes().splitlines()
    chance = random.Random(0)
    found: dict[str, dict[str, list[Cost]]] = {}
    differs: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file, built = folder / "orders.sqlite", folder / "built"
        fetched(file, bodies, BEGIN)
        full = replace(OURS, name="full", options={"jobs": os.cpu_count()}, workers=1)
        again = Candidate("renewed", "renewing", options={"dataset": str(built)})
        spend(again, file, folder / "empty")
        for number, (way, (change, last)) in enumerate(CHANGES.items()):
            costs = found.setdefault(way, {"full": [], "renewed": []})
            for day in range(rounds):
                changed = [change(body, chance.choice(bodies)) for body in chance.sample(bodies[-last:], CHANGED)]
                fetched(file, changed, BEGIN + timedelta(days=1 + day + number * rounds))
                costs["full"].append(spend(full, file, folder / "full"))
                costs["renewed"].append(spend(again, file, folder / "empty"))
            differs += differing(folder / "full", built)
    print(f"{CHANGED} of {orders:,} orders have another answer; {rounds} rounds in turn, full")
    print(f"build with {os.cpu_count()} jobs. What a renewed build takes of the time of a full one:\n")
    print(f"{'':<12}{'of its time':>12}{'rounds':>16}{'with imports':>14}{'of its CPU':>12}{'peak MB':>10}")
    for way, costs in found.items():
        wall, cpu = (ratios(costs["renewed"], costs["full"], what) for what in ("wall", "cpu"))
        whole = [
            (one.wall + one.import_wall) / (all_.wall + all_.import_wall)
            for one, all_ in zip(costs["renewed"], costs["full"], strict=True)
        ]
        peak = middle([cost.peak_mb for cost in costs["renewed"]])
        print(
            f"{way:<12}{middle(wall):>12.3f}{f'{min(wall):.3f}-{max(wall):.3f}':>16}{middle(whole):>14.3f}"
            f"{middle(cpu):>12.3f}{peak:>10.0f}"
        )
    print(
        f"\nrecent: {CHANGED} of the last {3 * CHANGED} orders, of which status, times and shipments changed; anywhere: such"
    )
    print("orders anywhere among all; another: anywhere, and all of them changed.")
    print("Their tables are the same, row by row." if not differs else f"THEIR TABLES DIFFER: {', '.join(differs)}")
    return {"costs": found, "differing": differs}


def fetched(file: Path, bodies: list[bytes], at: datetime) -> None:
    """Puts answers into an archive as a refetch does."""
    from quivo_frames import Archive
    from quivo_frames.flattening.decode import scan_identity
    from quivo_frames.model.records import Answer, Outcome

    with Archive(file) as archive, ThreadPoolExecutor(256) as together:
        answers = {scan_identity(body).order_id or 0: body for body in bodies}
        run, _ = archive.begin(answers, new_run=True)

        def record(order_id: int) -> None:
            archive.record(run, Answer(order_id, Outcome.FETCHED, at, 200, {}, answers[order_id], 1, 0, 0.1, 0.1, ""))

        deque(together.map(record, answers), maxlen=0)
        archive.finish(run)
