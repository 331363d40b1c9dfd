"""`sync` is killed at ten moments; the next one ends with the tables, exports and findings of one that was left alone."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import duckdb
import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.maintenance.integrity import check
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import LAST_VISIT
from quivo_frames.standin.server import StandIn
from tests.nightly.test_sync import Night
from tests.support.killed_command import run_or_kill

pytestmark = [pytest.mark.long, pytest.mark.skipif(os.name != "posix", reason="kills process groups")]

KILLS, ORDERS = 10, 60
EXPORTS = '[[exports]]\nto = "duckdb"\nout = "x.duckdb"\n[[exports]]\nto = "csv"\nout = "csv"\nprivacy = "none"\n'


def run_sync(night: Night, kill_after: float | None = None) -> int:
    """The exit status of the command; below 0 if it was killed after some seconds, with all that it had started."""
    credentials = {name: getattr(night.api, name) for name in ("api_key", "username", "password", "base_url")}
    settings = {f"QUIVO_{name.upper()}": value for name, value in credentials.items()}
    return run_or_kill(["sync", "--jobs", "2"], night.folder, kill_after, settings)


def make_night(folder: Path, api: StandIn) -> Night:
    """A folder with quivo.toml, before whose first sync every order has reached its end: its answers stay the same."""
    folder.mkdir(exist_ok=True)
    night = Night(folder, api)
    night.write(more=f"[refetch]\nrate = 40\n{EXPORTS}".replace("[refetch]", "[audit]\n[refetch]"))
    api._visits.update(dict.fromkeys(api.order_ids, LAST_VISIT))
    return night


def read_tables(folder: Path) -> dict[str, pl.DataFrame]:
    tables = qf.open(folder / "tables")
    frames = {name: tables[name] for name in TABLES} | {name: tables.lazy(name).collect() for name in tables.derived}
    return {name: frame.drop("fetched_at", "known_at", strict=False) for name, frame in frames.items()}


def test_after_kills_a_sync_ends_like_one_that_was_left_alone(tmp_path: Path) -> None:
    with StandIn(ORDERS) as api:
        clean, killed = make_night(tmp_path / "clean", api), make_night(tmp_path / "killed", api)
        began = time.monotonic()
        assert run_sync(clean) in (0, 1)
        seconds, drawn = time.monotonic() - began, random.Random(0)
        kills = 0
        while kills < KILLS:
            before = time.monotonic()
            if run_sync(killed, drawn.uniform(0.1, 1.0) * seconds) < 0:
                kills += 1
            else:
                seconds = time.monotonic() - before  # it ended earlier than the one that was measured
        assert run_sync(killed) in (0, 1)
        refetches = sum(api.refetch_count(order_id) for order_id in api.order_ids)
    assert refetches <= 2 * ORDERS + 4 * KILLS  # at most the requests in flight are repeated, of 4 workers
    expected, found = read_tables(clean.folder), read_tables(killed.folder)
    for name, frame in expected.items():
        assert found[name].equals(frame), name
    for place in ("tables", "orders.sqlite"):
        assert check(killed.folder / place).flaws.is_empty()
    with duckdb.connect(str(killed.folder / "x.duckdb"), read_only=True) as db:
        assert db.execute("SELECT count(*) FROM orders").fetchone() == (ORDERS,)
    known = set(qf.audit(clean.folder / "tables", remember=False)["finding"])
    assert set(qf.audit(killed.folder / "tables", remember=False)["finding"]) == known
    assert not [file.name for file in killed.folder.rglob("*") if file.name.startswith((".new", ".before"))]
