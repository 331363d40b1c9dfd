"""Orders that are to be forgotten are in no byte of any file afterwards, and all others are as they were."""

from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard
from click.testing import CliRunner
from deltalake import DeltaTable

from quivo_frames.analysis.checks.audit import audit
from quivo_frames.analysis.kpi.kpis import kpis
from quivo_frames.archive import database
from quivo_frames.archive.archive import Archive
from quivo_frames.builder.build import build
from quivo_frames.cli import main
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.dataset.folder_commit import FolderCommit
from quivo_frames.errors import ArchiveError, ConfigError, DatasetError, ExportError
from quivo_frames.export import delta
from quivo_frames.fetch.client import Client
from quivo_frames.fetch.run import plan, refetch
from quivo_frames.maintenance.erasure import forget, honour_removed
from quivo_frames.maintenance.integrity import check
from quivo_frames.model.order import Privacy
from quivo_frames.model.privacy import PrivacyFilter
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import order_json
from quivo_frames.standin.server import StandIn
from tests.support.archived_orders import NOON, build_both_ways, record_answers
from tests.support.depth import sampled
from tests.support.personal_traces import marked_order, unpacked

IDS = range(100_001, 100_041)
GONE = [100_005, 100_017, 100_018]
WHO = "Ida-Lund-of-Harbour-Road"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive(tmp_path / "orders.sqlite") as made:
        answers = {order_id: marked_order(order_id, f"{WHO}-{order_id}") for order_id in IDS}
        answers[100_018] = marked_order(100_018, f"{WHO}-100018", sellerId="bad")
        record_answers(made, answers, NOON)
        record_answers(
            made, {100_017: marked_order(100_017, f"{WHO}-100017-late", strange=1)}, NOON + timedelta(days=1)
        )
        yield made


def stored_pieces(archive: Path, order_ids: list[int]) -> list[bytes]:
    """Bodies of responses as they stand in the file, in pieces that fit into one page each."""
    among = ",".join(map(str, order_ids))
    with sqlite3.connect(archive) as db:
        bodies = [body for (body,) in db.execute(f"SELECT body FROM responses WHERE order_id IN ({among})")]
    db.close()
    return [body[at : at + 48] for body in bodies for at in range(100, len(body) - 48, 200)]


def bytes_of_archive(archive: Path) -> bytes:
    """All bytes of an archive's files."""
    return b"".join(file.read_bytes() for file in archive.parent.glob(f"{archive.name}*"))


def bytes_of(place: Path) -> bytes:
    """All bytes of a file, or of the files of a folder, also as they are without compression."""
    files = [place] if place.is_file() else [file for file in place.rglob("*") if file.is_file()]
    return b"".join(file.read_bytes() + unpacked(file) for file in files)


def test_nothing_of_a_forgotten_order_is_in_any_byte_of_the_archive(archive: Archive) -> None:
    archive.close()
    pieces, others = stored_pieces(archive.path, GONE), stored_pieces(archive.path, [100_006])
    before = bytes_of_archive(archive.path)
    assert all(piece in before for piece in [*pieces, *others])
    receipt = forget(GONE, archive)
    after = bytes_of_archive(archive.path)
    assert not [piece for piece in pieces if piece in after]
    assert all(piece in after for piece in others)
    assert (receipt.responses, receipt.attempts) == (4, 4)
    assert not set(GONE) & {raw.order_id for raw in archive.newest()}
    assert not set(GONE) & set(archive.attempts()["order_id"])
    assert archive.counts()["orders"] == len(IDS) - len(GONE)
    assert archive.runs().select("asked", "fetched", "left").rows() == [(37, 37, 0), (0, 0, 0)]
    assert check(archive.path).flaws.is_empty()
    with sqlite3.connect(archive.path) as db:
        for table in ("responses", "attempts", "asked"):
            assert not {order_id for (order_id,) in db.execute(f"SELECT order_id FROM {table}")} & set(GONE)
    db.close()
    record_answers(archive, {100_006: order_json(100_006)}, NOON + timedelta(days=2))  # and it can still be written to


def test_no_page_is_left_that_once_held_a_forgotten_order(archive: Archive) -> None:
    archive.erase(
        IDS[:30]
    )  # some systems build SQLite so that it overwrites what is deleted: here, nobody relies on it
    with sqlite3.connect(archive.path) as db:
        assert db.execute("PRAGMA freelist_count").fetchone() == (0,)
    db.close()


@pytest.mark.long
def test_tables_are_as_if_the_orders_had_never_been_there(archive: Archive, tmp_path: Path) -> None:
    tables = build(archive, tmp_path / "tables")
    before = {name: tables[name] for name in TABLES}
    assert f"{WHO}-100017".encode() in bytes_of(tables.folder)
    assert 100_017 in tables.notes["order_id"]
    receipt = forget(GONE, archive, [tables.folder])
    after = Dataset.open(tables.folder)
    content = bytes_of(tables.folder)
    assert f"{WHO}-100006".encode() in content
    assert not [order_id for order_id in GONE if f"{WHO}-{order_id}".encode() in content]
    assert not [order_id for order_id in GONE if f"shop-{order_id}".encode() in content]
    for name in TABLES:
        assert after[name].equals(before[name].filter(~pl.col("order_id").is_in(GONE)))
    assert set(GONE).isdisjoint(after.failures["order_id"])
    assert set(GONE).isdisjoint(after.notes["order_id"])
    assert after.manifest["orders"] == {"in": 37, "out": 37, "failed": 0, "superseded": 0}
    assert receipt.rows[str(tables.folder)] > 10
    assert check(tables.folder).flaws.is_empty()
    frames = {name: after[name] for name in TABLES}
    renewed = build_both_ways(archive, tables.folder)
    assert renewed.manifest["made"] == 0
    assert all(renewed[name].equals(frames[name]) for name in TABLES)


def test_tables_made_from_files_lose_them_too(tmp_path: Path) -> None:
    bodies = [marked_order(order_id, f"{WHO}-{order_id}") for order_id in reversed(IDS)]  # not by their ids
    (tmp_path / "orders.ndjson").write_bytes(b"\n".join(bodies))
    tables = build(tmp_path / "orders.ndjson", tmp_path / "tables")
    before = {name: tables[name] for name in TABLES}
    with Archive(tmp_path / "orders.sqlite") as archive:
        record_answers(archive, {100_001: order_json(100_001)}, NOON)
        forget([100_005], archive, [tables.folder])
    after = Dataset.open(tables.folder)
    for name in TABLES:
        assert after[name].equals(before[name].filter(pl.col("order_id") != 100_005))
    assert f"{WHO}-100005".encode() not in bytes_of(tables.folder)


@pytest.mark.long
@pytest.mark.parametrize("level", ["pseudonym", "none"])
def test_filtered_tables_stay_filtered(
    archive: Archive, tmp_path: Path, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUIVO_PSEUDONYM_KEY", "k" * 64)
    tables = build(archive, tmp_path / "tables", privacy=level)
    kept = tables.orders.filter(~pl.col("order_id").is_in(GONE))
    monkeypatch.delenv("QUIVO_PSEUDONYM_KEY")  # no key is needed to forget
    forget(GONE, archive, [tables.folder])
    after = Dataset.open(tables.folder)
    assert after.level == level
    assert after.orders.equals(kept)
    assert check(tables.folder).flaws.is_empty()


@pytest.mark.long
def test_a_second_time_finds_nothing_and_harms_nothing(archive: Archive, tmp_path: Path) -> None:
    tables = build(archive, tmp_path / "tables")
    forget(GONE, archive, [tables.folder])
    before = {name: Dataset.open(tables.folder)[name] for name in (*TABLES,)}
    again = forget(reversed([*GONE, *GONE]), archive, [tables.folder])
    assert again.order_ids == GONE
    assert (again.responses, again.attempts, again.rows) == (0, 0, {str(tables.folder): 0})
    assert all(Dataset.open(tables.folder)[name].equals(before[name]) for name in TABLES)


def test_the_receipt_tells_which_orders_and_no_personal_data(archive: Archive, tmp_path: Path) -> None:
    tables = build(archive, tmp_path / "tables")
    archive.close()
    command = ["forget", "100005", "100017", "--archive", str(archive.path), "--tables", str(tables.folder), "--yes"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    file = archive.path.with_name("orders.sqlite.forgotten.ndjson")
    told = json.loads(file.read_text())
    assert told["order_ids"] == [100_005, 100_017]
    assert told["responses"] == 3
    assert told["reason"] == "erased"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert WHO not in file.read_text() + done.output
    assert "A later refetch leaves these orders out" in done.output
    assert CliRunner().invoke(main, command).exit_code == 0
    assert len(file.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "Give either orders"),
        (["100005", "--honour-removed", "--yes"], "Give either orders"),
        (["--honour-removed", "--yes", "--tables", "nowhere"], "Give either orders"),
        (["100005"], "give --yes where nobody can be asked"),
        (["x", "--yes"], "x"),
        (["100005", "--yes", "--tables", "nowhere"], "nowhere is not a dataset"),
    ],
)
def test_wrong_use_is_told_and_erases_nothing(
    archive: Archive, arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.close()
    monkeypatch.setattr("quivo_frames.cli.options.ask_on_terminal", lambda _: None)  # no terminal
    done = CliRunner().invoke(main, ["forget", *arguments, "--archive", str(archive.path)])
    assert done.exit_code == 2
    assert told in done.output
    assert archive.counts()["responses"] == len(IDS) + 1


@pytest.mark.parametrize(("agrees", "left"), [(False, len(IDS) + 1), (True, len(IDS))])
def test_who_is_asked_and_says_no_erases_nothing(
    archive: Archive, agrees: bool, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.close()
    monkeypatch.setattr("quivo_frames.cli.options.ask_on_terminal", lambda _: agrees)
    done = CliRunner().invoke(main, ["forget", "100005", "--archive", str(archive.path)])
    assert ("Nothing was erased." in done.output, done.exit_code) == ((False, 0) if agrees else (True, 2))
    assert archive.counts()["responses"] == left


def test_an_archive_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    for job in (lambda: forget([1], tmp_path / "no.sqlite"), lambda: honour_removed(tmp_path / "no.sqlite")):
        with pytest.raises(ConfigError, match="There is no archive"):
            job()
    assert not list(tmp_path.glob("no.sqlite*"))


def test_a_reader_that_keeps_old_pages_is_told(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    archive.close()
    with sqlite3.connect(archive.path) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM responses").fetchall()
        with pytest.raises(ArchiveError, match="being read by another process"):
            Archive(archive.path).erase(GONE)
    reader.close()
    pieces = stored_pieces(archive.path, [100_006])
    Archive(archive.path).erase([*GONE, 100_006])
    assert not [piece for piece in pieces if piece in bytes_of_archive(archive.path)]


def test_an_archive_that_cannot_be_compacted_is_told_and_goes_on(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("quivo_frames.archive.maintenance.compact_database", full)
        with pytest.raises(
            ArchiveError, match=r"The disk is full, so the bytes of what was erased may still be in the file. Make room"
        ):
            archive.erase(GONE)
    assert archive.erase(GONE) == (0, 0)


def test_removed_orders_lose_their_personal_values_in_older_answers(archive: Archive, tmp_path: Path) -> None:
    clean = {"comment": None, "customerIdentifier": None, "deliveryAddress": None, "customAttributes": None}
    removed = {order_id: marked_order(order_id, "", piiDataRemoved=True, novelty=None, **clean) for order_id in GONE}
    record_answers(archive, removed, NOON + timedelta(days=3))
    kept = {**removed, 100_017: removed[100_017]}
    archive.close()
    pieces, others = stored_pieces(archive.path, [100_005]), stored_pieces(archive.path, [100_006])
    newest = {raw.order_id: raw.body for raw in archive.newest()}
    receipt = honour_removed(archive.path)
    assert receipt.order_ids == GONE
    assert receipt.responses == 4
    after = bytes_of_archive(archive.path)
    assert [piece for piece in pieces if piece in after] == [
        piece for piece in stored_pieces(archive.path, [100_005]) if piece in pieces
    ]  # nothing but the newest answer, which stays as it is
    assert all(piece in after for piece in others)
    for raw in archive.responses():
        if raw.order_id in GONE:
            assert WHO.encode() not in raw.body
            assert b"Vienna" in raw.body or raw.body in kept.values()
        else:
            assert WHO.encode() in raw.body
    assert {raw.order_id: raw.body for raw in archive.newest()} == newest
    assert check(archive.path).flaws.is_empty()
    assert honour_removed(archive.path).responses == 0
    then = build(archive.path, tmp_path / "then", as_of=NOON)
    personal = [column.name for column in TABLES["orders"].columns if column.privacy is not Privacy.NONE]
    of_gone = then.orders.filter(pl.col("order_id").is_in(GONE))
    assert of_gone.height == 2  # the third cannot be flattened
    assert of_gone.select(pl.all_horizontal(pl.col(personal).is_null())).to_series().all()
    assert then.orders["delivery_address_city"].drop_nulls().unique().to_list() == ["Vienna"]


def test_answers_that_were_not_good_keep_nothing(archive: Archive) -> None:
    record_answers(archive, {100_005: marked_order(100_005, "", piiDataRemoved=True)}, NOON + timedelta(days=3))
    page = marked_order(100_006, WHO)  # an order, but not the one that was asked for

    def insert(db: sqlite3.Connection) -> None:
        db.execute(
            "INSERT INTO responses (order_id, run, fetched_at, http_status, headers, good, size, sha256, body) "
            "VALUES (100005, 1, '2026-10-09T12:00:00.000000Z', 500, '{}', 0, ?, ?, ?)",
            (len(page), sha256(page).digest(), zstandard.compress(page)),
        )

    archive._writer.commit_job(insert)
    assert honour_removed(archive).responses == 2
    assert not honour_removed(archive).responses
    with sqlite3.connect(archive.path) as db:
        assert db.execute("SELECT size FROM responses WHERE NOT good").fetchall() == [(0,)]
    db.close()
    assert check(archive.path).flaws.is_empty()
    archive._writer.commit_job(insert)
    archive._writer.commit_job(lambda db: db.execute("DELETE FROM responses WHERE order_id = 100005 AND good").rowcount)
    assert archive.remove_personal_values([100_005]) == 1  # also where no answer is good


@pytest.mark.long
def test_forgetting_that_is_cut_off_in_the_tables_is_finished_by_the_next(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = build(archive, tmp_path / "tables")
    with monkeypatch.context() as patch:
        patch.setattr(pl.LazyFrame, "sink_parquet", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space")))
        receipt = forget(GONE, archive, [tables.folder])
    assert "the disk is full" in receipt.left[0]
    assert receipt.responses == 4
    assert Dataset.open(tables.folder).orders.height == tables.manifest["orders"]["out"]
    forget(GONE, archive, [tables.folder])
    assert not set(GONE) & set(Dataset.open(tables.folder).orders["order_id"])


@pytest.mark.long
def test_tables_that_are_being_built_are_told_and_what_was_erased_has_its_receipt(
    archive: Archive, tmp_path: Path
) -> None:
    tables = build(archive, tmp_path / "tables")
    others = build(archive, tmp_path / "others")
    with FolderCommit(str(tables.folder), PrivacyFilter()):
        receipt = forget(GONE, archive, [tables.folder, others.folder])
    assert receipt.responses == 4
    assert list(receipt.rows) == [str(others.folder)]
    assert "Another build is writing" in receipt.left[0]
    again = forget(GONE, archive, [tables.folder, others.folder])
    assert not again.left
    assert again.rows[str(tables.folder)] > 10


def test_a_folder_that_is_named_twice_is_one(archive: Archive, tmp_path: Path) -> None:
    tables = build(archive, tmp_path / "tables")
    receipt = forget(GONE, archive, [tables.folder, tables.folder / ".." / "tables"])
    assert (len(receipt.rows), receipt.left) == (1, [])


@pytest.mark.long
@pytest.mark.parametrize("file", ["orders.parquet", ".lineage/answers.parquet", "exports.json"])
def test_damaged_tables_are_told_before_anything_is_erased(archive: Archive, tmp_path: Path, file: str) -> None:
    tables = build(archive, tmp_path / "tables")
    tables.export("csv", tmp_path / "csv")
    damaged = tables.folder / file
    damaged.write_bytes(bytes(damaged.stat().st_size))
    with pytest.raises(DatasetError, match=f"{file} is damaged"):
        forget(GONE, archive, [tables.folder])
    assert archive.counts()["responses"] == len(IDS) + 1


@pytest.mark.parametrize("receipt", ["nowhere/receipt.ndjson", "."])
def test_without_a_place_for_the_receipt_nothing_is_erased(archive: Archive, tmp_path: Path, receipt: str) -> None:
    archive.close()
    command = ["forget", "100005", "--archive", str(archive.path), "--yes", "--receipt", str(tmp_path / receipt)]
    done = CliRunner().invoke(main, command)
    assert (done.exit_code, "The receipt cannot be written" in done.output) == (2, True)
    assert archive.counts()["responses"] == len(IDS) + 1


EXPORTS = {
    "parquet": "parquet",
    "by month": "by-month",
    "delta": "delta",
    "duckdb": "orders.duckdb",
    "excel": "orders.xlsx",
    "csv": "csv",
    "ocel": "log.sqlite",
}


def export_as(tables: Dataset, folder: Path, way: str) -> Path:
    """An export of each form, and where it is."""
    tables.export("parquet" if way == "by month" else way, folder / EXPORTS[way], by_month=way == "by month")
    return folder / EXPORTS[way]


@pytest.mark.parametrize(
    "way",
    [
        "parquet",
        "duckdb",
        *(pytest.param(way, marks=pytest.mark.long) for way in EXPORTS if way not in {"parquet", "duckdb", "ocel"}),
    ],
)
def test_nothing_of_a_forgotten_order_is_in_any_byte_of_an_export(archive: Archive, tmp_path: Path, way: str) -> None:
    tables = build(archive, tmp_path / "tables")
    place = export_as(tables, tmp_path, way)
    record_answers(archive, {100_005: marked_order(100_005, f"{WHO}-100005-late")}, NOON + timedelta(days=2))
    export_as(build(archive, tables.folder), tmp_path, way)
    before = bytes_of(place)
    for mark in (f"{WHO}-100005", f"{WHO}-100006", "shop-100017"):
        assert mark.encode() in before, mark
    receipt = forget(GONE, archive, [tables.folder])
    after = bytes_of(place)
    assert f"{WHO}-100006".encode() in after
    assert not [order_id for order_id in GONE if f"{WHO}-{order_id}".encode() in after]
    assert not [order_id for order_id in GONE if f"shop-{order_id}".encode() in after]
    assert receipt.exports == [f"{place} ({'parquet' if way == 'by month' else way})"]
    assert not receipt.left


@pytest.mark.long
def test_a_workbook_from_which_orders_are_erased_has_no_findings_any_more(archive: Archive, tmp_path: Path) -> None:
    """They and the key figures are of all orders, also of those that are gone."""
    tables = build(archive, tmp_path / "tables")
    findings = audit(tables, remember=False)
    tables.export("excel", tmp_path / "orders.xlsx", sheets=[findings, kpis(tables)])
    (gone, *_) = findings["order_id"].unique().sort()
    assert f"Order {gone}: ".encode() in unpacked(tmp_path / "orders.xlsx")
    receipt = forget([gone], archive, [tables.folder])
    after = unpacked(tmp_path / "orders.xlsx")
    assert receipt.exports == [f"{tmp_path / 'orders.xlsx'} (excel)"]
    assert b'<sheet name="orders"' in after
    assert b'<sheet name="findings"' not in after
    assert b'<sheet name="kpis"' not in after
    assert str(gone).encode() not in after


@pytest.mark.long
def test_exports_that_cannot_be_reached_are_told_and_the_others_erased(archive: Archive, tmp_path: Path) -> None:
    tables = build(archive, tmp_path / "tables")
    for way in ("csv", "parquet", "duckdb"):
        export_as(tables, tmp_path, way)
    (tmp_path / "csv").rename(tmp_path / "moved")
    (tmp_path / "orders.duckdb").write_bytes(b"something else")
    receipt = forget(GONE, archive, [tables.folder])
    assert receipt.exports == [f"{tmp_path / 'parquet'} (parquet)"]
    assert len(receipt.left) == 2
    assert "csv (csv) is not there any more" in receipt.left[0]
    assert "is no earlier DuckDB export" in receipt.left[1]
    archive.close()
    command = ["forget", "100005", "--archive", str(archive.path), "--tables", str(tables.folder), "--yes"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 1
    assert "LEFT, to be erased by hand" in done.output
    (tmp_path / "moved").rename(tmp_path / "csv")
    (tmp_path / "orders.duckdb").unlink()
    assert any("csv" in told for told in forget(GONE, archive, [tables.folder]).exports)
    assert WHO.encode() in bytes_of(tmp_path / "csv")
    assert f"{WHO}-100005".encode() not in bytes_of(tmp_path / "csv")


@pytest.mark.long
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")], ids=["stop", "disk"])
def test_orders_are_erased_also_from_an_export_that_was_cut_off(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException] | OSError
) -> None:
    tables = build(archive, tmp_path / "tables")
    written, write_table = [], delta._replace_orders

    def cut_off(table: DeltaTable, *rest: Any) -> None:
        if "/orders" in table.table_uri:
            raise error
        written.append(table)
        write_table(table, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(delta, "_replace_orders", cut_off)
        with pytest.raises((KeyboardInterrupt, ExportError)):
            tables.export("delta", tmp_path / "lake")
    assert written
    assert f"{WHO}-100005".encode() in bytes_of(tmp_path / "lake")
    receipt = forget(GONE, archive, [tables.folder])
    assert receipt.exports == [f"{tmp_path / 'lake'} (delta)"]
    assert f"{WHO}-100005".encode() not in bytes_of(tmp_path / "lake")


def test_an_export_that_was_refused_is_not_remembered(archive: Archive, tmp_path: Path) -> None:
    tables = build(archive, tmp_path / "tables")
    with pytest.raises(ConfigError):
        tables.export("delta", tmp_path)
    assert tables.exports() == []


@pytest.mark.long
def test_exports_keep_the_privacy_that_they_had(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUIVO_PSEUDONYM_KEY", "k" * 64)
    tables = build(archive, tmp_path / "tables")
    for level in ("none", "pseudonym"):
        tables.export("parquet", tmp_path / level, privacy=level)
    before = {level: pl.read_parquet(tmp_path / level / "orders.parquet") for level in ("none", "pseudonym")}
    forget(GONE, archive, [tables.folder])
    for level, frame in before.items():
        after = pl.read_parquet(tmp_path / level / "orders.parquet")
        assert after.equals(frame.filter(~pl.col("order_id").is_in(GONE)))
        assert WHO.encode() not in bytes_of(tmp_path / level)


@pytest.mark.long
def test_pseudonyms_of_an_export_are_not_changed_by_forgetting(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUIVO_PSEUDONYM_KEY", "k" * 64)
    tables = build(archive, tmp_path / "tables")
    tables.export("csv", tmp_path / "csv", privacy="pseudonym")
    before = (tmp_path / "csv" / "orders.csv").read_bytes()
    monkeypatch.setenv("QUIVO_PSEUDONYM_KEY", "o" * 64)
    receipt = forget([100_005], archive, [tables.folder])
    assert "under another QUIVO_PSEUDONYM_KEY" in receipt.left[0]
    assert (tmp_path / "csv" / "orders.csv").read_bytes() == before
    monkeypatch.setenv("QUIVO_PSEUDONYM_KEY", "k" * 64)
    assert forget([100_005], archive, [tables.folder]).exports
    assert (tmp_path / "csv" / "orders.csv").read_bytes() != before


def test_an_export_is_not_emptied_by_tables_that_have_less(archive: Archive, tmp_path: Path) -> None:
    build(archive, tmp_path / "tables").export("csv", tmp_path / "csv")
    build(archive, tmp_path / "tables", privacy="none")
    receipt = forget([100_005], archive, [tmp_path / "tables"])
    assert "were built with --privacy none" in receipt.left[0]
    assert f"{WHO}-100006".encode() in bytes_of(tmp_path / "csv")


def run_forget(*words: str) -> tuple[int, str]:
    """The exit status and the output of a forget that is confirmed."""
    done = CliRunner().invoke(main, ["forget", "100005", "--yes", *words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@pytest.mark.long
def test_a_second_forget_says_nothing_of_places_where_nothing_was_left(archive: Archive, tmp_path: Path) -> None:
    tables = build(archive, tmp_path / "tables")
    for way in EXPORTS:
        export_as(tables, tmp_path, way)
    archive.close()
    words = ("--archive", str(archive.path), "--tables", str(tables.folder))
    status, output = run_forget(*words)
    assert (status, output.count("Erased from")) == (0, len(EXPORTS))
    written = {way: (tmp_path / place).stat().st_mtime_ns for way, place in EXPORTS.items()}
    status, output = run_forget(*words)
    assert (status, "Erased from" in output) == (0, False)
    assert {way: (tmp_path / place).stat().st_mtime_ns for way, place in EXPORTS.items()} == written


@pytest.mark.long
def test_tables_that_were_built_from_files_are_erased_without_an_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where there is no orders.sqlite
    bodies = {order_id: marked_order(order_id, f"{WHO}-{order_id}") for order_id in IDS}
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "first.ndjson").write_bytes(b"\n".join(bodies[order_id] for order_id in IDS[:20]))
    (tmp_path / "in" / "second.ndjson").write_bytes(b"\n".join(bodies[order_id] for order_id in IDS[20:]))
    tables = build(tmp_path / "in", tmp_path / "tables")
    export_as(tables, tmp_path, "duckdb")
    status, output = run_forget("--tables", str(tables.folder))
    assert status == 1
    assert f"{tmp_path}/in/first.ndjson, from which {tables.folder} was built, still holds order 100005" in output
    assert "second.ndjson" not in output
    assert not bytes_of(tables.folder).count(f"{WHO}-100005".encode())
    assert not bytes_of(tmp_path / "orders.duckdb").count(f"{WHO}-100005".encode())
    receipt = json.loads((tmp_path / "tables.forgotten.ndjson").read_text())
    assert (receipt["archive"], receipt["responses"], receipt["order_ids"]) == ("", 0, [100_005])
    (tmp_path / "in" / "first.ndjson").unlink()
    assert run_forget("--tables", str(tables.folder))[0] == 0
    assert not list(tmp_path.glob("orders.sqlite*"))
    status, output = run_forget("--archive", "no.sqlite", "--tables", str(tables.folder))
    assert (status, "There is no archive" in output) == (2, True)
    with pytest.raises(ConfigError, match="an archive, tables, or both"):
        forget([100_005])


def test_other_archives_that_the_tables_were_built_from_are_named(archive: Archive, tmp_path: Path) -> None:
    with Archive(tmp_path / "other.sqlite") as other:
        record_answers(other, {100_005: marked_order(100_005, WHO), 7: order_json(7)}, NOON)
        other.export(tmp_path / "raw")
    tables = build([archive, tmp_path / "other.sqlite", tmp_path / "raw"], tmp_path / "tables")
    left = forget([100_005], archive, [tables.folder]).left
    assert left[0].startswith(f"{tmp_path / 'other.sqlite'}, from which {tables.folder} was built, still holds")
    assert left[1].startswith(f"{tmp_path / 'raw'}, from which {tables.folder} was built, still holds")
    assert "Forget them there as well" in left[0]
    assert "Export the archive there again" in left[1]
    forget([100_005], tmp_path / "other.sqlite")
    with Archive(tmp_path / "other.sqlite") as other:
        other.export(tmp_path / "raw")
    assert not forget([100_005], archive, [tables.folder]).left


@pytest.mark.long
@pytest.mark.drawn
@pytest.mark.parametrize("ending", sampled(["csv", "html", "parquet", "ndjson", "xlsx"]))
def test_saved_reports_and_findings_that_still_hold_an_order_are_named(
    archive: Archive, tmp_path: Path, ending: str
) -> None:
    tables = build(archive, tmp_path / "tables")
    archive.close()
    file = tmp_path / f"saved.{ending}"
    words = ["audit", str(tables.folder), "--personal", "--html" if ending == "html" else "--out", str(file)]
    assert CliRunner().invoke(main, words).exit_code in (0, 1)
    held = [order_id for order_id in IDS if str(order_id).encode() in bytes_of(file)]
    others = [order_id for order_id in IDS if order_id not in held]
    assert held
    receipt = forget(held[:1], archive, [tables.folder])
    kind = "report" if ending == "html" else "findings"
    assert receipt.left == [f"{file} ({kind}) still holds order {held[0]}. Delete it, or save it again."]
    if others:
        assert not forget(others[:1], archive, [tables.folder]).left
    assert CliRunner().invoke(main, words).exit_code in (0, 1)
    assert not forget(held[:1], archive, [tables.folder]).left
    file.write_bytes(b"\x80 no longer readable")
    unreadable = f"{file} ({kind}) cannot be searched, and may still hold these orders. Delete it, or save it again."
    is_text = ending in ("html", "csv", "ndjson")
    assert forget(held[:1], archive, [tables.folder]).left == ([] if is_text else [unreadable])
    file.unlink()
    assert not forget(held[:1], archive, [tables.folder]).left
    assert not Dataset.open(tables.folder).outputs.read().saved


def test_saved_changes_and_raw_exports_of_an_archive_that_still_hold_an_order_are_named(
    archive: Archive, tmp_path: Path
) -> None:
    archive.close()
    file, raw = tmp_path / "changes.csv", tmp_path / "raw"
    saving = ["changes", "--archive", str(archive.path), "--out", str(file)]
    exporting = ["export-raw", "--archive", str(archive.path), str(raw)]
    for words in (saving, exporting):
        assert CliRunner().invoke(main, words).exit_code in (0, 1)  # 1: an order cannot be read
    changed = next(order_id for order_id in IDS if str(order_id).encode() in file.read_bytes())
    assert sorted(forget([changed], archive).left) == [
        f"{file} (changes) still holds order {changed}. Delete it, or save it again.",
        f"{raw} (raw export) still holds order {changed}. Export the archive there again, after they are erased in it.",
    ]
    for words in (saving, exporting):
        assert CliRunner().invoke(main, words).exit_code in (0, 1)  # 1: an order cannot be read
    receipt = forget([changed], archive)
    assert not receipt.left
    assert "; 1 had been erased before" in str(receipt)
    file.unlink()
    assert not forget([changed], archive).left
    assert [saved.path for saved in archive.outputs.read().saved] == [str(raw)]
    register = Path(archive.outputs.file)
    register.write_text(register.read_text().replace("raw export", "raw_export"))
    assert check(archive.path).flaws["place"].to_list() == [register.name]
    register.write_text("{")
    assert check(archive.path).flaws["place"].to_list() == [register.name]
    with pytest.raises(ArchiveError, match=r"orders\.sqlite\.outputs\.json is damaged"):
        forget([IDS[-1]], archive)
    register.unlink()
    assert forget([IDS[-1]], archive).responses


def test_a_later_refetch_leaves_forgotten_orders_out_unless_it_is_again(
    standin: StandIn, client: Client, tmp_path: Path
) -> None:
    gone, *others = ids = list(standin.order_ids[:4])
    with Archive(tmp_path / "orders.sqlite") as archive:
        refetch(ids, client, archive, progress=False)
        forget([gone], archive)
        asked = standin.requests
        planned, run = plan(ids, archive), refetch(ids, client, archive, progress=False)
        assert (planned.requests, planned.asked, planned.forgotten) == (3, 3, 1)
        assert (run.asked, run.fetched, run.forgotten, run.duplicates) == (3, 3, 1, 0)
        assert standin.requests - asked == 3
        for said in (planned, run):
            assert str(said).endswith(". 1 order is left out because `forget` erased it; --again fetches it")
        assert sorted({raw.order_id for raw in archive.newest()}) == others
        assert check(archive.path).flaws.is_empty()
        assert refetch(ids, client, archive, again=True, progress=False).fetched == 4
        assert plan(ids, archive).forgotten == 0  # it is there again, on purpose
        forget([gone], archive)
        assert plan(ids, archive).forgotten == 1


def test_an_unfinished_run_goes_on_without_an_order_that_was_forgotten_meanwhile(tmp_path: Path) -> None:
    with Archive(tmp_path / "orders.sqlite") as archive:
        run, _ = archive.begin([1, 2, 3])
        forget([2], archive)
        resumed, survey = archive.begin([1, 2, 3])
        assert (resumed, survey.asked, survey.forgotten) == (run, 2, 1)
        assert list(archive.pending(run)) == [1, 3]


def test_what_workers_left_in_the_temporary_folder_is_removed(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    code = """
import os, signal
from quivo_frames.storage.leftovers import temporary_folder
with temporary_folder() as folder:
    (folder / "rows.parquet").write_text("Ida")
    if "DIE" in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)
    input()
"""
    alive = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    while not list((tmp_path / "tmp").glob("*/rows.parquet")):
        pass
    monkeypatch.setenv("DIE", "1")
    subprocess.run([sys.executable, "-c", code])
    assert len(list((tmp_path / "tmp").glob("*/rows.parquet"))) == 2
    (tmp_path / "tmp" / "quivo-frames-mine").mkdir()
    forget([100_005], archive)
    assert len(list((tmp_path / "tmp").glob("*/rows.parquet"))) == 1
    assert (tmp_path / "tmp" / "quivo-frames-mine").exists()
    alive.communicate(b"\n")
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == ["quivo-frames-mine"]
