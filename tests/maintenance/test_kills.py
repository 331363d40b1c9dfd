"""Commands are killed at random moments, 100 times: after the next runs and a forget, no file holds the person any more."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from quivo_frames.archive.archive import Archive
from quivo_frames.maintenance.integrity import check
from tests.support.archived_orders import NOON, record_answers
from tests.support.killed_command import run_or_kill
from tests.support.personal_traces import files_with, marked_order

ROUNDS, KILLS_PER_ROUND = 10, 10
IDS = range(100_001, 100_101)
GONE, STAYS = IDS[0], IDS[1]
WHO = "Ida-Lund-of-Harbour-Road"
EXPORTS = {
    "parquet": "parquet",
    "delta": "lake",
    "duckdb": "x.duckdb",
    "excel": "x.xlsx",
    "csv": "csv",
    "ocel": "log.sqlite",
    "powerbi": "power-bi",
}
COMMANDS = {
    "build": "build orders.sqlite --out tables --jobs 1",
    "full build": "build orders.sqlite --out tables --full --jobs 2",
    "raw export": "export-raw raw",
    "forget": f"forget {GONE} --tables tables --yes",
    "audit": "audit tables --personal --out findings.csv",
    **{form: f"export tables --to {form} {out}" for form, out in EXPORTS.items()},
}
NEXT_RUNS = (("build", "forget", "audit", "raw export"), ("build", *EXPORTS, "forget", "audit", "raw export"))
"""What runs after the kills: `forget` finds what killed exports left; or exports run again before it."""

pytestmark = [pytest.mark.long, pytest.mark.skipif(os.name != "posix", reason="kills process groups")]


def run(name: str, folder: Path, kill_after: float | None = None) -> int:
    """The exit status of a command; below 0 if it was killed after some seconds, with all that it had started."""
    return run_or_kill(COMMANDS[name].split(), folder, kill_after)


def record_orders(folder: Path) -> None:
    with Archive(folder / "orders.sqlite") as archive:
        record_answers(archive, {order_id: marked_order(order_id, f"{WHO}-{order_id}") for order_id in IDS}, NOON)


@pytest.fixture(scope="module")
def seconds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """How long each command takes where nobody disturbs it."""
    folder, taken = tmp_path_factory.mktemp("timed"), {}
    record_orders(folder)
    for name in COMMANDS:
        began = time.monotonic()
        assert run(name, folder) in (0, 1), name
        taken[name] = time.monotonic() - began
    return taken


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_after_kills_at_random_moments_a_forget_leaves_nothing_of_the_person(
    tmp_path: Path, seconds: dict[str, float], seed: int
) -> None:
    record_orders(tmp_path)
    drawn, killed = random.Random(seed), 0
    while killed < KILLS_PER_ROUND:
        name, began = drawn.choice(list(COMMANDS)), time.monotonic()
        if run(name, tmp_path, drawn.uniform(0.3, 1.0) * seconds[name]) < 0:
            killed += 1
        else:
            seconds[name] = time.monotonic() - began  # it ended earlier than when it was measured
    for name in NEXT_RUNS[seed % 2]:
        assert run(name, tmp_path) in (0, 1), name
    assert not files_with(tmp_path, f"{WHO}-{GONE}")
    assert files_with(tmp_path, f"{WHO}-{STAYS}")
    for place in ("tables", "orders.sqlite", "raw"):
        assert check(tmp_path / place).flaws.is_empty(), check(tmp_path / place)
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith((".new", ".before", ".temporary"))]
