"""Whatever is damaged in an archive is reported with its response and order, and everything else can still be checked."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner

from quivo_frames.analysis.changes.changes import changes, history
from quivo_frames.archive.archive import Archive
from quivo_frames.archive.database import PAGE_BYTES
from quivo_frames.archive.erasures import erased_orders
from quivo_frames.archive.responses import MAX_BODY_BYTES
from quivo_frames.builder.build import build
from quivo_frames.cli import main
from quivo_frames.errors import ArchiveError, ConfigError, QuivoError
from quivo_frames.maintenance.erasure import forget, honour_removed
from quivo_frames.maintenance.integrity import check
from quivo_frames.model.records import Answer, Outcome
from quivo_frames.standin.orders import order_json
from tests.support.archived_orders import NOON, record_answers
from tests.support.depth import IS_DEEP
from tests.support.memory import grows_by_less_than
from tests.support.paths import ROOT

IDS = range(100_001, 100_041)
THIRD, FIFTH = IDS[2], IDS[4]
HUGE = 2**62


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An archive in which order 100003 was refetched."""
    with Archive(tmp_path / "orders.sqlite") as made:
        record_answers(made, {order_id: order_json(order_id) for order_id in IDS}, NOON)
        record_answers(made, {THIRD: order_json(THIRD)[:-1] + b', "novelty": 1}'}, NOON + timedelta(days=1))
    return tmp_path / "orders.sqlite"


LAST = len(IDS) + 1
"""The number of the newest response of order 100003."""


def edit_body(change: Callable[[bytearray], object]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            (body,) = db.execute("SELECT body FROM responses WHERE response = ?", (LAST,)).fetchone()
            content = bytearray(body)
            change(content)
            db.execute("UPDATE responses SET body = ? WHERE response = ?", (bytes(content), LAST))

    return damage


def edit_row(assignment: str, *values: object) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute(f"UPDATE responses SET {assignment} WHERE response = {LAST}", values)

    return damage


def flip_highest_size_bit(body: bytearray) -> None:
    body[4] ^= 0x80  # the frame then claims another form of its size


def claim_exabytes(body: bytearray) -> None:
    body[4:] = bytes([0xE0]) + HUGE.to_bytes(8, "little") + body[5:]


DAMAGES = {
    "a flipped bit that makes the frame claim another size": edit_body(flip_highest_size_bit),
    "a frame that claims exabytes": edit_body(claim_exabytes),
    "an empty body": edit_row("body = x''"),
    "a body that is text": edit_row("body = 'a text'"),
    "a frame and a size that claim exabytes": edit_row(
        "size = ?, body = ?", HUGE, b"\x28\xb5\x2f\xfd\xe0" + HUGE.to_bytes(8, "little")
    ),
    "a size that is text": edit_row("size = 'large'"),
    "a size below zero": edit_row("size = -1"),
    "a digest that is text": edit_row("sha256 = 'digest'"),
    "a time that is none": edit_row("fetched_at = 'yesterday'"),
    "a time of no calendar": edit_row("fetched_at = '2026-13-45T12:00:00.000000Z'"),
    "a time that is not UTF-8": edit_row("fetched_at = CAST(x'ff32303236' AS TEXT)"),
    "a time that is binary": edit_row("fetched_at = x'ff'"),
    "a status that is text": edit_row("http_status = 'fine'"),
    "a status that no protocol has": edit_row("http_status = 9000000000"),
    "another verdict": edit_row("good = 2"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_answer_is_reported_by_name_and_all_others_are_checked(
    path: Path, tmp_path: Path, damage: str
) -> None:
    DAMAGES[damage](path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE responses SET body = ? WHERE order_id = ?", (zstandard.compress(b"{}"), FIFTH))
    found = check(path).flaws.filter(what="response")
    assert set(found["order_id"]) == {THIRD, FIFTH}
    assert any(f"Response {LAST} is not what was received" in message for message in found["message"])
    assert all("quivo-frames refetch" in message for message in found["message"])
    (tmp_path / "none").mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DELETE FROM responses WHERE order_id = ?", (FIFTH,))
    readers: list[Callable[[], object]] = [
        lambda: build(path, tmp_path / "tables", jobs=1),
        lambda: build(path, tmp_path / "tables", as_of=NOON + timedelta(days=2), jobs=1),
        lambda: changes(path),
        lambda: changes(path, NOON + timedelta(hours=1)),
        lambda: history(path, THIRD),
        lambda: Archive(path).export(tmp_path / "raw"),
    ]
    for read in readers:
        with pytest.raises(ArchiveError, match=rf"response {LAST} \(order {THIRD}\) was damaged .* refetch {THIRD}"):
            read()


@pytest.mark.parametrize("assignment", ["order_id = 'one'", "order_id = x'ff'", "order_id = 1.5"])
def test_an_order_id_that_is_no_number_is_reported_with_its_response(
    path: Path, tmp_path: Path, assignment: str
) -> None:
    edit_row(assignment)(path)
    assert any(f"Response {LAST} is not what was received" in message for message in check(path).flaws["message"])
    for read in (lambda: build(path, tmp_path / "tables", jobs=1), lambda: changes(path)):
        with pytest.raises(ArchiveError, match=f"response {LAST} "):
            read()


@pytest.mark.parametrize("damage", ["a frame that claims exabytes", "a body that is text", "a time that is none"])
def test_commands_on_a_damaged_archive_end_in_a_sentence_and_their_exit_status(
    path: Path, tmp_path: Path, damage: str
) -> None:
    DAMAGES[damage](path)
    commands = {
        ("check", str(path)): 1,
        ("build", str(path), "--out", str(tmp_path / "tables"), "--jobs", "1"): 3,
        ("changes", "--archive", str(path)): 3,
        ("export-raw", "--archive", str(path), str(tmp_path / "raw")): 3,
    }
    for command, status in commands.items():
        done = CliRunner().invoke(main, list(command))
        assert done.exit_code == status, done.output
        assert "Traceback" not in done.output
        assert f"esponse {LAST} " in done.output


def test_rows_of_an_unreadable_page_are_named_from_the_index_and_the_rows_behind_it_are_checked(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        bodies = dict(db.execute("SELECT order_id, body FROM responses WHERE run = 1"))
        db.execute("UPDATE responses SET sha256 = x'00' WHERE response = ?", (len(IDS),))  # on a page behind it
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    page = content.index(bodies[FIFTH]) // PAGE_BYTES
    content[page * PAGE_BYTES : (page + 1) * PAGE_BYTES] = b"\xee" * PAGE_BYTES
    path.write_bytes(content)
    found = check(path).flaws
    unreadable = found.filter(what="response")
    assert {FIFTH, IDS[-1]} <= set(unreadable["order_id"])
    assert len(unreadable) < len(IDS) / 2
    assert "file" in found["what"]
    with pytest.raises(ArchiveError, match="was damaged on the disk: it cannot be read"):
        list(Archive(path).newest())


def test_a_changed_row_of_the_ledger_is_found(path: Path) -> None:
    changes_by_table = {
        "attempts": ("UPDATE attempts SET message = 'x' WHERE attempt = 3", "its attempts"),
        "runs": ("UPDATE runs SET finished_at = NULL WHERE run = 1", "its runs"),
        "asked": ("UPDATE asked SET order_id = 7 WHERE order_id = 100040", "other orders"),
        "responses": ("UPDATE responses SET headers = '{\"x\": 1}' WHERE response = 1", "headers have changed"),
    }
    content = path.read_bytes()
    for sql, explanation in changes_by_table.values():
        path.write_bytes(content)
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute(sql)
        assert any(explanation in message for message in check(path).flaws["message"]), sql
    with Archive(path) as archive:
        archive.erase([IDS[1]])
    assert check(path).flaws.height == 1


def test_a_ledger_with_values_of_other_types_ends_in_a_sentence(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE attempts SET at = 'noon', tries = 'three', outcome = 'fine' WHERE attempt = 1")
    archive = Archive(path)
    for read in (archive.attempts, archive.runs, archive.recent_rate, lambda: archive.outcomes(1)):
        with pytest.raises(ArchiveError, match=r"is damaged \(a value of the ledger cannot be read\): take it from a"):
            read()


def test_an_answer_that_no_archive_keeps_is_refused(path: Path) -> None:
    class Large(bytes):
        def __len__(self) -> int:
            return MAX_BODY_BYTES + 1

    with Archive(path) as archive, pytest.raises(ConfigError, match="order 1 is too large: 268,435,457 bytes"):
        archive.record(1, Answer(1, Outcome.FETCHED, NOON, 200, {}, Large(), 1, 0, 0.1, 0.1, ""))


@pytest.mark.long
@pytest.mark.parametrize("command", ["check", "build", "changes", "export-raw"])
def test_a_bomb_takes_no_memory(path: Path, tmp_path: Path, command: str) -> None:
    compressor, block = zstandard.ZstdCompressor().compressobj(size=3 * 2**30), bytes(2**24)
    bomb = b"".join(compressor.compress(block) for _ in range(3 * 2**6)) + compressor.flush()
    edit_row("body = ?", bomb)(path)
    arguments = {
        "check": ["check", str(path)],
        "build": ["build", str(path), "--out", str(tmp_path / "tables"), "--jobs", "1"],
        "changes": ["changes", "--archive", str(path)],
        "export-raw": ["export-raw", "--archive", str(path), str(tmp_path / "raw")],
    }[command]
    program = (
        "import sys\nfrom quivo_frames.cli import main\nfrom tests.support.memory import peak_kib\n"
        "try: main(sys.argv[1:])\n"
        "finally: print(peak_kib(), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == (1 if command == "check" else 3)
    assert f"esponse {LAST} " in done.stdout + done.stderr
    assert int(done.stderr.split()[-1]) < 600_000


def damage_anywhere(content: bytes, chance: random.Random) -> bytes:
    """A file of which some pieces have other bytes, or the end is missing."""
    damaged = bytearray(content)
    for _ in range(chance.choice([1, 1, 3, 10, 40])):
        place, size = chance.randrange(len(damaged)), chance.choice([1, 4, 64, 1000])
        damaged[place : place + size] = chance.choice([bytes(size), b"\xff" * size, chance.randbytes(size)])
    return bytes(damaged[: chance.randrange(len(damaged)) if chance.random() < 0.1 else len(content)])


@pytest.mark.long
@pytest.mark.parametrize("seed", range(200 if IS_DEEP else 8))
def test_a_randomly_damaged_archive_never_ends_in_a_traceback(path: Path, tmp_path: Path, seed: int) -> None:
    path.write_bytes(damage_anywhere(path.read_bytes(), random.Random(seed)))
    reports = []
    with suppress(ConfigError):  # its first bytes say that it is none, or of a later version
        reports = check(path).flaws["message"].to_list()
    archive_readers: list[Callable[[Archive], object]] = [
        lambda archive: build(archive, tmp_path / "tables", jobs=1),
        changes,
        lambda archive: archive.export(tmp_path / "raw"),
        Archive.attempts, Archive.failures, Archive.runs, Archive.recent_rate, Archive.counts,
        lambda archive: archive.survey([IDS[0]], fresh_since=NOON),
        lambda archive: erased_orders(archive.path),
        honour_removed,
        lambda archive: record_answers(archive, {1: b"{}"}, NOON),
        lambda archive: forget([FIFTH], archive),
    ]  # fmt: skip
    for read in archive_readers:
        with suppress(QuivoError), grows_by_less_than(1000), Archive(path) as archive:
            read(archive)
    assert all(json.dumps(report) for report in reports)


def write_any_value(path: Path, table: str, column: str, value: object) -> None:
    """Puts a value of any type in a row, as damage does, which no constraint stops."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        (declared,) = db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        lenient = declared.replace(" NOT NULL", "").replace(" STRICT", "")
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (lenient, table))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA ignore_check_constraints = ON")
        with suppress(sqlite3.IntegrityError):  # the number of a row is always one
            db.execute(
                f"UPDATE {table} SET {column} = ? WHERE {column} = (SELECT max({column}) FROM {table})", (value,)
            )
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (declared, table))


def columns_of_archive(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [(table, row[1]) for table in tables for row in db.execute(f"PRAGMA table_info({table})")]


@pytest.mark.long
@pytest.mark.parametrize("value", [None, "x", b"\xff", 1.5], ids=repr)
def test_a_value_of_another_type_in_any_column_is_no_traceback(path: Path, tmp_path: Path, value: object) -> None:
    forget([FIFTH], path)
    columns = columns_of_archive(path)
    assert ("runs", "asked") in columns
    for table, column in columns:
        damaged = tmp_path / "damaged.sqlite"
        damaged.write_bytes(path.read_bytes())
        write_any_value(damaged, table, column, value)
        found = check(damaged).flaws["message"].to_list()
        if (table, column) == ("runs", "asked"):
            assert any(message.startswith("Run 1 asked for other orders than its list says.") for message in found)
        for read in (Archive.attempts, Archive.failures, Archive.runs, Archive.counts, changes):
            with suppress(QuivoError), Archive(damaged) as archive:
                read(archive)
