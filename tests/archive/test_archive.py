from __future__ import annotations

import hashlib
import sqlite3
import stat
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from quivo_frames.archive.archive import Archive
from quivo_frames.archive.erasures import ERASED, erased_orders, last_erasure
from quivo_frames.archive.run_survey import pending_ids
from quivo_frames.errors import ArchiveError, ConfigError
from quivo_frames.model.records import Answer, Outcome

NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)


def make_answer(
    order_id: int, body: bytes = b'{"orderId":1}', at: datetime = NOON, outcome: Outcome = Outcome.FETCHED
) -> Answer:
    headers = {
        "Content-Type": "application/json",
        "Set-Cookie": "canary",
        "Authorization": "canary",
        "x-api-key": "canary",
    }
    message = "" if outcome is Outcome.FETCHED else f"order {order_id}: {outcome}"
    return Answer(order_id, outcome, at, 200, headers, body, 1, 0, 0.5, 0.25, message)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders ?#%.sqlite"


def record_run(path: Path, *answers: Answer) -> int:
    with Archive(path) as archive:
        run, _ = archive.begin(given.order_id for given in answers)
        for given in answers:
            archive.record(run, given)
        archive.finish(run)
    return run


def test_what_was_recorded_comes_back_byte_for_byte_in_order(path: Path) -> None:
    bodies = {3: b"{\n}\xff\x00", 1: "Łódź 東京".encode(), 2: b"x" * 100_000}
    record_run(path, *(make_answer(order_id, body) for order_id, body in bodies.items()))
    found = list(Archive(path).newest())
    assert [(raw.order_id, raw.body) for raw in found] == sorted(bodies.items())
    assert {raw.fetched_at for raw in found} == {NOON}
    assert (found[0].source, found[0].place) == (path.name, "response 2")


def test_the_newest_good_answer_wins_and_no_other_is_lost(path: Path) -> None:
    hour = timedelta(hours=1)
    record_run(path, make_answer(1, b"old"), make_answer(2, b"only"))
    record_run(path, make_answer(1, b"new", NOON + hour))
    record_run(
        path, make_answer(1, b"bad", NOON + 2 * hour, Outcome.UNUSABLE), make_answer(3, b"bad", NOON, Outcome.UNUSABLE)
    )
    archive = Archive(path)
    assert [raw.body for raw in archive.newest()] == [b"new", b"only"]
    assert [raw.body for raw in archive.newest(as_of=NOON)] == [b"old", b"only"]
    assert list(archive.newest(as_of=NOON - hour)) == []
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM responses").fetchone() == (5,)


def test_what_was_recorded_last_is_the_newest_whatever_the_clock_said(path: Path) -> None:
    hour = timedelta(hours=1)
    record_run(path, make_answer(1, b"ahead", NOON + hour), make_answer(2, b"first"))
    record_run(path, make_answer(1, b"behind"), make_answer(2, b"second"))
    record_run(path, make_answer(1, b"bad", NOON + 2 * hour, Outcome.UNUSABLE))
    archive = Archive(path)
    assert [raw.body for raw in archive.newest()] == [b"behind", b"second"]
    assert [raw.body for raw in archive.newest(order_ids=[1])] == [b"behind"]
    assert [raw.body for raw in archive.newest(last=2)] == [b"ahead", b"first"]
    assert [raw.body for raw in archive.newest(as_of=NOON - hour)] == []
    (index,) = archive.index_newest()
    assert index.select("order_id", "size", "clock_ran_backwards").rows() == [(1, 6, True), (2, 6, False)]
    (index,) = archive.index_newest(as_of=NOON)  # what says that it came later does not count
    assert index.select("order_id", "size", "clock_ran_backwards").rows() == [(1, 6, False), (2, 6, False)]


def test_an_answer_is_on_the_disk_when_record_returns(path: Path) -> None:
    with Archive(path) as archive:
        run, _ = archive.begin([1])
        archive.record(run, make_answer(1))
        with sqlite3.connect(path) as db:
            assert db.execute("SELECT order_id FROM responses").fetchall() == [(1,)]
        mode, full = archive._writer.commit_job(
            lambda db: [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
        )
        assert (mode, full) == ("wal", 2)


def test_many_threads_may_record_at_once(path: Path) -> None:
    with Archive(path) as archive:
        run, _ = archive.begin(range(1, 401))
        threads = [
            threading.Thread(target=lambda n=n: [archive.record(run, make_answer(n * 50 + i)) for i in range(1, 51)])
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert archive.outcomes(run) == {Outcome.FETCHED: 400}
    assert [raw.order_id for raw in Archive(path).newest()] == list(range(1, 401))


def test_a_damaged_answer_does_not_pass(path: Path) -> None:
    record_run(path, make_answer(1), make_answer(2))
    with sqlite3.connect(path) as db:
        db.execute("UPDATE responses SET sha256 = ? WHERE order_id = 2", (hashlib.sha256(b"").digest(),))
    with pytest.raises(ArchiveError, match=r"response 2 \(order 2\) was damaged .* refetch 2"):
        list(Archive(path).newest())
    with sqlite3.connect(path) as db:
        db.execute("UPDATE responses SET body = x'00' WHERE order_id = 1")
    with pytest.raises(ArchiveError, match=r"order 1\) was damaged"):
        list(Archive(path).newest())


def test_the_files_are_for_their_owner_alone(path: Path) -> None:
    with Archive(path) as archive:
        archive.begin([1])
        made = list(path.parent.iterdir())
        assert len(made) == 4
        assert {stat.S_IMODE(file.stat().st_mode) for file in made} == {0o600}


def test_headers_are_kept_without_what_opens_doors(path: Path) -> None:
    record_run(path, make_answer(1))
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT headers FROM responses").fetchone() == ('{"Content-Type": "application/json"}',)


@pytest.mark.parametrize("content", [b"orderId;name\n1;x\n" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_another_file_is_not_touched(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="is not an archive of quivo_frames"):
        Archive(path)
    assert path.read_bytes() == content


def test_a_database_of_somebody_else_is_not_touched(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (x)")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="is not an archive"):
        Archive(path)
    with pytest.raises(ConfigError, match="is not an archive"):
        Archive(path.parent)
    assert path.read_bytes() == before


def test_an_archive_of_a_later_version_is_refused(path: Path) -> None:
    record_run(path, make_answer(1))
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigError, match="newer quivo_frames"):
        Archive(path)


def test_an_archive_that_was_only_begun_is_taken_up(path: Path) -> None:
    """A crash between creating the file and its tables leaves it empty or without tables."""
    path.touch()
    record_run(path, make_answer(1))
    other = path.with_name("other.sqlite")
    sqlite3.connect(other).execute("PRAGMA journal_mode = WAL")
    record_run(other, make_answer(1))
    assert [raw.order_id for raw in Archive(other).newest()] == [1]


def test_reading_a_missing_archive_is_an_error_and_creates_nothing(path: Path) -> None:
    archive = Archive(path)
    for read in (archive.attempts, archive.failures, archive.runs, lambda: list(archive.newest())):
        with pytest.raises(ConfigError, match="There is no archive"):
            read()
    assert repr(archive).endswith("0 orders, 0 responses, 0 runs, 0 unfinished>")
    assert not path.exists()
    with pytest.raises(ConfigError, match=r"folder .* does not exist"):
        Archive(path / "none" / "orders.sqlite")


def test_a_second_writer_gets_an_error_and_readers_do_not_wait(path: Path) -> None:
    record_run(path, make_answer(1))
    with Archive(path) as first:
        first.begin([1, 2])
        with Archive(path) as second:
            with pytest.raises(ArchiveError, match="is being written by another run"):
                second.begin([1])
            assert second.runs().height == 2
            assert len(list(second.newest())) == 1
    with Archive(path) as third:
        third.begin([1])


def test_a_full_disk_is_named_and_costs_nothing_that_was_written(path: Path) -> None:
    body = hashlib.shake_256(b"incompressible").digest(100_000)
    with Archive(path) as archive:
        run, _ = archive.begin(range(1, 101))
        archive._writer.commit_job(lambda db: db.execute("PRAGMA max_page_count = 50").fetchone())
        kept = 0
        with pytest.raises(ArchiveError, match="disk is full"):  # noqa: PT012 - whichever write it is
            for order_id in range(1, 101):
                archive.record(run, make_answer(order_id, body))
                kept += 1
        assert 0 < kept < 100
        archive._writer.commit_job(lambda db: db.execute("PRAGMA max_page_count = 100000").fetchone())
        assert len(list(archive.newest())) == kept
        assert list(archive.pending(run)) == list(range(kept + 1, 101))
        archive.record(run, make_answer(kept + 1, body))
    assert len(list(Archive(path).newest())) == kept + 1


def test_a_write_is_kept_whole_or_not_at_all(path: Path) -> None:
    with Archive(path) as archive:
        run, _ = archive.begin([1])
        with pytest.raises(ZeroDivisionError):
            archive._writer.commit_job(lambda db: (db.execute("INSERT INTO asked VALUES (?, 2)", (run,)), 1 // 0))
        archive.record(run, make_answer(1))
        assert list(archive.pending(run)) == []


def test_the_same_ids_in_any_order_go_on_with_an_unfinished_run(path: Path) -> None:
    with Archive(path) as archive:
        run, survey = archive.begin([1, 2, 3, 2])
        assert (survey.resumed, survey.asked, survey.duplicates, survey.done, survey.requests) == (None, 3, 1, 0, 3)
        archive.record(run, make_answer(2))
        archive.record(run, make_answer(3, outcome=Outcome.REFUSED))
        other, survey = archive.begin([1, 2])
        assert survey.resumed is None
        assert other != run
        again, survey = archive.begin([3, 2, 1])
        assert (again, survey.resumed, survey.done, survey.requests) == (run, run, 1, 2)
        assert list(archive.pending(run)) == [1, 3]
        new, survey = archive.begin([1, 2, 3], new_run=True)
        assert survey.resumed is None
        archive.finish(new)
        assert archive.survey([1, 2, 3]).resumed is None
        assert archive.survey([1, 2]).resumed == other


def test_fresh_orders_are_skipped_and_stand_in_the_ledger(path: Path) -> None:
    record_run(
        path,
        make_answer(1, at=NOON),
        make_answer(2, at=NOON - timedelta(days=2)),
        make_answer(3, outcome=Outcome.UNUSABLE),
    )
    with Archive(path) as archive:
        seen = archive.survey([1, 2, 3, 4], fresh_since=NOON - timedelta(days=1))
        run, survey = archive.begin([1, 2, 3, 4], fresh_since=NOON - timedelta(days=1))
        assert survey == seen
        assert (survey.fresh, survey.requests) == (1, 3)
        assert list(archive.pending(run)) == [2, 3, 4]
        assert archive.outcomes(run) == {Outcome.SKIPPED: 1}


def test_a_survey_writes_nothing(path: Path) -> None:
    assert Archive(path).survey([1, 2, 2]).requests == 2
    assert not path.exists()
    record_run(path, make_answer(1))
    before = path.read_bytes()
    Archive(path).survey(range(1, 5000))
    assert path.read_bytes() == before


def test_pending_orders_come_in_flat_chunks_each_once(path: Path) -> None:
    with Archive(path) as archive:
        run, _ = archive.begin(range(1, 51))
        seen = []
        for order_id in pending_ids(path, run, chunk_size=7):
            seen.append(order_id)
            archive.record(run, make_answer(order_id, outcome=Outcome.REFUSED if order_id % 2 else Outcome.FETCHED))
        assert seen == list(range(1, 51))
        assert list(archive.pending(run)) == list(range(1, 51, 2))


def test_the_ledger_comes_as_frames(path: Path) -> None:
    run = record_run(
        path, make_answer(1), make_answer(2, b"", outcome=Outcome.UNREACHABLE), make_answer(3, outcome=Outcome.UNUSABLE)
    )
    later = record_run(path, make_answer(2), make_answer(4, b"", outcome=Outcome.UNKNOWN))
    archive = Archive(path)
    attempts = archive.attempts()
    assert attempts.height == 5
    assert attempts.schema["at"] == pl.Datetime("us", "UTC")
    assert attempts.row(1) == (2, run, NOON, 1, 0, 0.5, 0.25, "unreachable", 200, "order 2: unreachable")
    assert archive.failures(run)["order_id"].to_list() == [2, 3]
    assert archive.failures(later)["order_id"].to_list() == [4]
    assert archive.failures()["order_id"].to_list() == [3, 4]
    runs = archive.runs()
    assert runs.select("run", "asked", "fetched", "skipped", "failed").rows() == [
        (run, 3, 1, 0, 2),
        (later, 2, 1, 0, 1),
    ]
    assert runs["finished_at"].null_count() == 0
    assert "2 orders, 2 responses, 2 runs, 0 unfinished" in repr(archive)
    assert ">2</td>" in archive._repr_html_()


def test_empty_frames_have_their_types(path: Path) -> None:
    with Archive(path) as archive:
        archive.begin([])
        assert archive.attempts().schema["at"] == pl.Datetime("us", "UTC")
        assert archive.runs().schema["finished_at"] == pl.Datetime("us", "UTC")


def test_the_pace_of_a_run_stands_in_the_ledger(path: Path) -> None:
    with Archive(path) as archive:
        run, _ = archive.begin(range(1, 12))
        for n in range(10):
            late = timedelta(hours=1) * (n > 4)  # a pause is no slowness
            given = make_answer(n + 1, at=NOON + timedelta(seconds=n / 2) + late)
            archive.record(run, given._replace(latency=(n + 1) / 10, tries=2, throttled=n % 2))
        archive.begin([99])
    row = archive.runs().row(0, named=True)
    names = ("left", "requests", "throttled", "rate", "latency_p50", "latency_p90", "latency_p99")
    assert tuple(row[name] for name in names) == (1, 20, 5, 4.0, 0.6, 0.9, 1.0)
    nothing = archive.runs().row(1, named=True)
    assert (nothing["left"], nothing["requests"], nothing["rate"], nothing["latency_p50"]) == (1, 0, None, None)


def test_the_rate_of_late_leaves_pauses_out_and_is_not_guessed(path: Path) -> None:
    assert Archive(path).recent_rate() is None
    with Archive(path) as archive:
        run, _ = archive.begin(range(1, 100))
        for n in range(10):
            archive.record(run, make_answer(n + 1, at=NOON + timedelta(seconds=n)))
        assert archive.recent_rate() is None
        for n in range(10, 30):
            archive.record(run, make_answer(n + 1, at=NOON + timedelta(hours=1, seconds=n)))
        assert archive.recent_rate() == 1.0


def make_format(path: Path, version: int) -> None:
    """Turns an archive into one of an earlier format."""
    later = {1: {"attempts": ["throttled", "latency"]}, 2: {}}[version]
    for table in ("attempts", "responses", "runs"):
        later.setdefault(table, []).append("seal")
    drops = [f"ALTER TABLE {table} DROP COLUMN {name};" for table, names in later.items() for name in names]
    with closing(sqlite3.connect(path)) as db:
        db.executescript(f"{''.join(drops)} DROP TABLE erasures; PRAGMA user_version = {version}")


@pytest.mark.parametrize("version", [1, 2])
def test_an_archive_of_an_earlier_format_is_read_and_migrated(path: Path, version: int) -> None:
    record_run(path, make_answer(1), make_answer(2, b"", outcome=Outcome.UNREACHABLE), make_answer(4, b"{}"))
    make_format(path, version)
    before = path.read_bytes()
    archive, latency = Archive(path), None if version == 1 else 0.25
    assert archive.attempts().select("order_id", "latency").rows() == [(1, latency), (2, latency), (4, latency)]
    assert archive.runs()["failed"].to_list() == [1]
    assert archive.failures()["order_id"].to_list() == [2]
    assert [raw.order_id for raw in archive.newest()] == [raw.order_id for raw in archive.responses()] == [1, 4]
    assert sum(frame.height for frame in archive.index_newest()) == 2
    assert list(archive.find_flaws()) == []
    assert erased_orders(path) == []
    assert path.read_bytes() == before
    archive.erase([4])
    record_run(path, make_answer(3, b"{}"))
    assert archive.attempts().select("order_id", "latency").rows() == [(1, latency), (2, latency), (3, 0.25)]
    assert [raw.order_id for raw in archive.newest()] == [1, 3]
    assert [(order.number, order.order_id, order.reason) for order in erased_orders(path)] == [(1, 4, ERASED)]
    assert list(archive.find_flaws()) == []
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (3,)
        assert db.execute("SELECT order_id, seal IS NULL FROM responses").fetchall() == [(1, 1), (3, 0)]


def test_the_record_of_erasures_has_ids_and_times_alone_and_its_numbers_never_come_again(path: Path) -> None:
    record_run(path, make_answer(1), make_answer(2))
    archive = Archive(path)
    assert last_erasure(path) == 0
    archive.erase([2, 7])
    assert [(order.number, order.order_id) for order in erased_orders(path)] == [(1, 2), (2, 7)]
    archive.erase([7])
    assert [(order.number, order.order_id) for order in erased_orders(path)] == [(1, 2), (3, 7)]
    assert [order.order_id for order in erased_orders(path, 1)] == [7]
    assert last_erasure(path) == 3
    assert all(datetime.fromisoformat(order.at) <= datetime.now(UTC) for order in erased_orders(path))
    with closing(sqlite3.connect(path)) as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(erasures)")]
    assert columns == ["erasure", "order_id", "at", "reason", "seal"]
