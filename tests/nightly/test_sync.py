"""`sync`: each changed order is refetched once, none is missed, and the same again changes nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.nightly.sync import plan_sync
from quivo_frames.nightly.sync_state import SyncMemory
from quivo_frames.standin.faults import ServerFault
from quivo_frames.standin.server import StandIn

ORDERS = 30


class Night:
    """A stand-in API and a folder with quivo.toml, in which syncs run."""

    def __init__(self, folder: Path, api: StandIn) -> None:
        self.folder, self.api = folder, api
        self.write(first="all")

    def write(self, *, first: str = "all", overlap: str = "2h", more: str = "", find: str = "") -> None:
        """Writes quivo.toml."""
        text = f'[find]\nfirst = "{first}"\noverlap = "{overlap}"\n{find}\n[report]\nfile = ""\n{more}\n'
        (self.folder / "quivo.toml").write_text(text, encoding="utf-8")

    def client(self) -> qf.Client:
        """A client of the stand-in that does not wait long."""
        settings = qf.Settings.load(
            api_key=self.api.api_key, username=self.api.username, password=self.api.password,
            base_url=self.api.base_url,
        )  # fmt: skip
        return qf.Client(settings, backoff=0.01, rate=1000)

    def sync(self, **options: int):
        """One sync; its result."""
        with self.client() as client:
            return qf.sync(client, self.folder / "quivo.toml", jobs=1, progress=False, **options)

    def requests(self) -> Counter[int]:
        """How often each order was refetched so far."""
        return Counter({order_id: self.api.refetch_count(order_id) for order_id in self.api.order_ids})

    def touch(self, *order_ids: int, ago: timedelta = timedelta()) -> None:
        """Change orders at Quivo, some time ago."""
        self.api.touch_orders(*order_ids, at=datetime.now(UTC) - ago + timedelta(seconds=1))

    def later(self, **passed: float) -> None:
        """Let time pass: what the last sync knows of times lies further back."""
        memory = SyncMemory(self.folder / "orders.sqlite")
        state = memory.read_state()
        assert state.searched_at
        memory.write_state(msgspec.structs.replace(state, searched_at=state.searched_at - timedelta(**passed)))


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    with StandIn(ORDERS) as api:
        yield Night(tmp_path, api)


@pytest.mark.long
def test_the_first_sync_fetches_all_and_the_next_nothing(night: Night) -> None:
    first = night.sync()
    assert first.new_orders == ORDERS
    assert night.requests().total() == ORDERS
    tables = {file.name: file.read_bytes() for file in (night.folder / "tables").glob("*.parquet")}
    second = night.sync()
    assert night.requests().total() == ORDERS
    assert not second.runs
    assert second.new_orders == 0
    assert second.since is not None
    assert second.new_findings.is_empty()
    assert second.findings.height == first.findings.height
    assert {file.name: file.read_bytes() for file in (night.folder / "tables").glob("*.parquet")} == tables | {
        "findings.parquet": (night.folder / "tables" / "findings.parquet").read_bytes()
    }


@pytest.mark.long
def test_only_what_changed_is_refetched(night: Night) -> None:
    night.sync()
    before = night.requests()
    changed = night.api.order_ids[3:8]
    night.touch(*changed)
    new = night.api.add_orders(2)
    night.touch(*new)
    result = night.sync()
    assert night.requests() - before == Counter([*changed, *new])
    assert result.new_orders == 2
    assert sorted(qf.open(night.folder / "tables").orders["order_id"]) == [*night.api.order_ids]


@pytest.mark.long
def test_what_changed_within_the_overlap_is_not_refetched_again(night: Night) -> None:
    """It was fetched after that change; what changed in the newer half of the overlap may not have been."""
    night.sync()
    early, late = night.api.order_ids[1], night.api.order_ids[2]
    night.touch(early, ago=timedelta(minutes=90))
    night.touch(late, ago=timedelta(minutes=20))
    result = night.sync()
    assert result.search.found == 2
    assert result.search.covered == 1
    assert result.search.order_ids == (late,)


@pytest.mark.long
def test_an_order_that_the_index_shows_late_is_found_by_the_overlap(night: Night) -> None:
    night.sync()
    night.sync()  # its search is after the last refetch of the order
    slow = night.api.order_ids[5]
    night.touch(slow, ago=timedelta(minutes=100))  # which that search should have found
    assert night.sync().search.order_ids == (slow,)


@pytest.mark.long
def test_failed_orders_are_asked_for_again_but_unknown_ones_are_not(night: Night, tmp_path: Path) -> None:
    broken, unknown = night.api.order_ids[4], night.api.order_ids[-1] + 100
    night.api._faults[broken] = iter([ServerFault.status(500)] * 5)
    (tmp_path / "more.ndjson").write_text(json.dumps({"events": [{"id": unknown, "entity": "ORDERS"}]}) + "\n")
    night.write(find=f'events = ["{tmp_path / "more.ndjson"}"]')
    first = night.sync()
    assert first.needs_attention
    assert sorted(first.failures["order_id"]) == [broken, unknown]
    asked = night.api.refetch_count(unknown)
    second = night.sync()
    assert second.search.order_ids == (broken,)
    assert second.failures.is_empty()
    assert night.api.refetch_count(unknown) == asked
    assert broken in qf.open(night.folder / "tables").orders["order_id"]


@pytest.mark.long
def test_max_age_postpones_and_does_not_forget(night: Night) -> None:
    night.sync()
    changed = night.api.order_ids[7]
    night.touch(changed, ago=timedelta(minutes=5))
    night.write(more='[refetch]\nmax_age = "12h"')
    waiting = night.sync()
    assert waiting.search.order_ids == ()
    assert waiting.search.postponed == (changed,)
    assert night.requests()[changed] == 1
    night.write(overlap="0s")  # so that the next search does not find it
    result = night.sync()
    assert result.search.found == 0
    assert result.search.order_ids == (changed,)
    assert night.requests()[changed] == 2


@pytest.mark.long
def test_an_interrupted_sync_goes_on_without_asking_again(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    record, recorded = qf.Archive.record, []

    def record_some(self: qf.Archive, run: int, answer: object) -> None:
        if len(recorded) == 12:
            raise qf.ArchiveError("The disk is full.")
        recorded.append(answer)
        record(self, run, answer)

    with monkeypatch.context() as patch:
        patch.setattr(qf.Archive, "record", record_some)
        with pytest.raises(qf.ArchiveError):
            night.sync()
    (new,) = night.api.add_orders(1)
    night.touch(new)
    result = night.sync()
    assert [(run.resumed, run.asked) for run in result.runs] == [(True, ORDERS), (False, 1)]
    assert night.requests().total() <= ORDERS + 1 + 4  # those in flight are asked for again
    assert result.new_orders == ORDERS + 1  # since there has been no complete sync


@pytest.mark.long
def test_a_sync_that_is_killed_when_all_is_refetched_asks_for_nothing_again(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = SyncMemory.write_state, []

    def write_first(self: SyncMemory, state: object) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(state)
        write(self, state)

    with monkeypatch.context() as patch:
        patch.setattr(SyncMemory, "write_state", write_first)
        with pytest.raises(KeyboardInterrupt):
            night.sync()
    assert night.requests().total() == ORDERS
    night.sync()
    assert night.requests().total() == ORDERS


@pytest.mark.long
def test_more_orders_than_allowed_are_not_requested(night: Night) -> None:
    night.write(more="[refetch]\nmax_requests = 10")
    with pytest.raises(qf.ConfigError, match=r"30 orders are to be refetched, and quivo.toml allows 10 .* 30\."):
        night.sync()
    assert not night.requests().total()
    assert night.sync(max_requests=30).new_orders == ORDERS


def test_a_plan_requests_and_writes_nothing(night: Night) -> None:
    with night.client() as client:
        plan = plan_sync(client, night.folder / "quivo.toml")
    assert len(plan.search.order_ids) == ORDERS
    assert not night.requests().total()
    assert [file.name for file in night.folder.iterdir()] == ["quivo.toml"]
    assert "30 orders would be refetched" in str(plan)


def test_another_sync_is_refused(night: Night) -> None:
    with SyncMemory(night.folder / "orders.sqlite").locked(), pytest.raises(qf.ArchiveError, match="Another sync"):
        night.sync()
    assert not night.requests().total()


@pytest.mark.long
def test_a_damaged_state_is_a_sentence(night: Night) -> None:
    night.sync()
    file = night.folder / "orders.sqlite.sync.json"
    file.write_text('{"searched_at": 3}')
    with pytest.raises(qf.ArchiveError, match=r"sync\.json is damaged \(at \$\.searched_at\).*Delete it"):
        night.sync()
    file.unlink()
    assert night.sync().new_orders == 0


@pytest.mark.long
def test_a_clock_that_was_set_back_misses_nothing(night: Night) -> None:
    night.sync()
    night.later(days=-400)
    changed = night.api.order_ids[0]
    night.touch(changed)
    assert changed in night.sync().search.order_ids


@pytest.mark.long
def test_what_is_new_is_said(night: Night) -> None:
    night.sync()
    night.touch(*night.api.order_ids)
    result = night.sync()
    seen = qf.transitions(night.folder / "orders.sqlite").filter(
        pl.col("table").is_in(["orders", "fulfillment_orders"]), pl.col("before").is_not_null(),
        pl.col("after").is_not_null(),
    )  # fmt: skip
    assert seen.height
    assert result.status_changes["count"].sum() == seen.height
    text = str(result)
    assert "order status: " in text
    assert f"orders: 0 new, {ORDERS} known ones were refetched" in text
    known = {row["finding"] for row in result.new_findings.iter_rows(named=True)}
    again = qf.audit(night.folder / "tables", remember=False)
    assert known <= set(again["finding"])
    assert json.loads(json.dumps(result.facts(), default=str))["search"]["found"] == ORDERS


@pytest.mark.long
def test_what_was_new_once_is_not_new_again(night: Night) -> None:
    night.sync()
    night.touch(*night.api.order_ids[:10], ago=timedelta(minutes=5))
    assert night.sync().status_changes.height
    night.write(overlap="0s")  # so that nothing is found again
    third = night.sync()
    assert third.status_changes.is_empty()
    assert "orders: 0 new, 0 known ones were refetched" in str(third)


@pytest.mark.long
def test_what_came_with_a_sync_that_was_killed_is_new_in_the_next(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    night.sync()
    night.touch(*night.api.order_ids[:10])
    night.touch(*night.api.add_orders(2))
    with monkeypatch.context() as patch:
        patch.setattr("quivo_frames.nightly.sync._build_tables", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            night.sync()
    result = night.sync()
    assert "orders: 2 new, 10 known ones were refetched" in str(result)
    assert result.status_changes.height


@pytest.mark.long
def test_a_failing_export_is_a_problem_and_the_others_are_written(night: Night) -> None:
    (night.folder / "mine.csv").mkdir()
    (night.folder / "mine.csv" / "diary.txt").write_text("mine")
    exports = '[[exports]]\nto = "csv"\nout = "mine.csv"\n[[exports]]\nto = "parquet"\nout = "bi"\nprivacy = "none"'
    night.write(more=exports)
    result = night.sync()
    assert result.needs_attention
    assert any("mine.csv was not exported" in problem for problem in result.problems)
    assert [Path(file).name for file in result.written] == ["bi"]
    assert (night.folder / "mine.csv" / "diary.txt").read_text() == "mine"
    assert (night.folder / "bi" / "orders.parquet").exists()


def test_without_quivo_toml_nothing_is_asked(night: Night) -> None:
    (night.folder / "quivo.toml").unlink()
    with pytest.raises(qf.ConfigError, match=r"There is no .*quivo\.toml here\. `quivo-frames init` writes it"):
        night.sync()
    assert not night.api.requests


def test_nothing_found_is_said(night: Night) -> None:
    night.write(first="1h")
    with pytest.raises(qf.ConfigError, match="No order was found, so there is nothing to build"):
        night.sync()
