"""Whatever is not as it was written is found, and told with what to do."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard
from click.testing import CliRunner

from quivo_frames.archive.archive import Archive
from quivo_frames.builder.build import build
from quivo_frames.cli import main
from quivo_frames.errors import ConfigError
from quivo_frames.maintenance import row_checks
from quivo_frames.maintenance.integrity import check
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import order_json
from tests.support.archived_orders import NOON, record_answers
from tests.support.depth import sampled

IDS = range(100_001, 100_031)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    with Archive(tmp_path / "orders.sqlite") as made:
        record_answers(made, {order_id: order_json(order_id) for order_id in IDS}, NOON)
        record_answers(
            made,
            {100_001: order_json(100_001), 100_002: b'{"orderId": 100002, "sellerId": "bad"}'},
            NOON.replace(day=2),
        )
    return tmp_path / "orders.sqlite"


@pytest.fixture
def folder(archive: Path, tmp_path: Path) -> Path:
    return build(archive, tmp_path / "tables").folder


def kinds_and_places(place: Path) -> set[tuple[str, str]]:
    return set(check(place).flaws.select("what", "place").iter_rows())


@pytest.mark.long
@pytest.mark.parametrize("level", ["full", "none"])
def test_what_was_just_written_is_as_it_was_written(archive: Path, tmp_path: Path, level: str) -> None:
    tables = build(archive, tmp_path / "tables", privacy=level)
    for place in (archive, tables.folder):
        found = check(place)
        assert found.flaws.is_empty(), found
        assert "All is as it was written" in str(found)
    assert check(archive).looked["orders"] == 30
    assert check(tables.folder).looked == {"tables": 23, "orders": 29, "rows": sum(tables.counts().values())}


def rewrite_table(folder: Path, name: str, change: Callable[[pl.DataFrame], pl.DataFrame], **facts: Any) -> None:
    """Changes a table as somebody might who also mends the manifest, so that only its content can tell."""
    file = folder / f"{name}.parquet"
    frame = change(pl.read_parquet(file))
    frame.write_parquet(file)
    manifest = json.loads((folder / "manifest.json").read_text())
    told = {"rows": frame.height, "bytes": file.stat().st_size, "sha256": sha256(file.read_bytes()).hexdigest()}
    manifest["tables"][name] = {"rows": frame.height, "files": [{"file": file.name, **told}], **facts}
    write_manifest(folder, manifest)


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Writes a manifest as a version did that had no digest of its facts."""
    facts = {name: fact for name, fact in manifest.items() if name != "digest"}
    (folder / "manifest.json").write_text(json.dumps(facts))


CHANGES: dict[str, tuple[str, Callable[[pl.DataFrame], pl.DataFrame], dict[str, int], tuple[str, str]]] = {
    "a row twice": ("order_positions", lambda f: pl.concat([f, f[:1]]), {}, ("unique", "order_positions")),
    "no key": ("shipments", lambda f: f.with_columns(shipment_key=pl.lit(None, pl.String)), {}, ("required", "shipments")),
    "no parent": ("fulfillment_orders", lambda f: f[1:], {}, ("reference", "shipments")),
    "no order": ("orders", lambda f: f[1:], {}, ("reference", "order_positions")),
    "lost order": ("orders", lambda f: f[1:], {}, ("balance", "manifest.json")),
    "no unit": ("handling_units", lambda f: f.filter(pl.col("depth") > 0), {}, ("reference", "handling_units")),
    "rows": ("serial_numbers", lambda f: f, {"rows": 7}, ("rows", "serial_numbers")),
    "type": ("orders", lambda f: f.with_columns(pl.col("seller_id").cast(pl.String)), {}, ("columns", "orders")),
    "column": ("shipments", lambda f: f.drop("sscc"), {}, ("columns", "shipments")),
    "column of a key": ("fulfillment_orders", lambda f: f.drop("fulfillment_order_key"), {}, ("columns", "fulfillment_orders")),
    "both": ("failures", lambda f: f.with_columns(order_id=pl.lit(100_003, pl.Int64)), {}, ("balance", "failures")),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.drawn
@pytest.mark.parametrize("change", sampled(CHANGES))
def test_each_flaw_of_the_content_is_found_though_the_hashes_fit(folder: Path, change: str) -> None:
    name, how, facts, expected = CHANGES[change]
    rewrite_table(folder, name, how, **facts)
    assert expected in kinds_and_places(folder)
    assert "--full" in check(folder).flaws["message"][0]


def other_order(frame: pl.DataFrame, key: str) -> pl.DataFrame:
    """The last row with the key of the first one: rows of two orders have the same key."""
    return frame.with_columns(
        pl.when(pl.int_range(pl.len()) == pl.len() - 1).then(pl.col(key).first()).otherwise(key).alias(key)
    )


ACROSS: dict[str, tuple[str, Callable[[pl.DataFrame], pl.DataFrame], tuple[str, str, int]]] = {
    "key of another order": ("order_positions", lambda f: other_order(f, "order_position_key"), ("unique", "order_positions", 2)),
    "parent of another order": ("shipments", lambda f: other_order(f, "fulfillment_order_key"), ("", "", 0)),
    "parent of no order": ("shipments", lambda f: f.with_columns(fulfillment_order_key=pl.lit("7/0")), ("reference", "shipments", 28)),
    "order of no table": ("order_tags", lambda f: f.with_columns(order_id=pl.lit(7, pl.Int64), order_tag_key=pl.format("7/{}", pl.int_range(pl.len()))), ("reference", "order_tags", 7)),
    "no order id": ("order_tags", lambda f: f.with_columns(order_id=pl.lit(None, pl.Int64)), ("required", "order_tags", 7)),
    "an order twice": ("orders", lambda f: pl.concat([f, f.tail(1)]), ("unique", "orders", 2)),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("case", ACROSS)
def test_ranges_of_orders_find_what_the_whole_tables_show(
    folder: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    name, how, (what, place, count) = ACROSS[case]
    before = pl.read_parquet(folder / f"{name}.parquet").height
    rewrite_table(folder, name, how)
    whole = check(folder).flaws
    for orders in (1, 4):
        monkeypatch.setattr(row_checks, "ORDERS_PER_RANGE", orders)
        found = check(folder).flaws
        assert found.drop("order_id", "message").equals(whole.drop("order_id", "message"))
    rows = [row for row in whole.select("what", "place", "count").iter_rows() if row[0] != "balance"]
    expected = (what, place, before if count in (7, 28) else count)
    assert (expected in rows) if what else not rows


@pytest.mark.long
def test_no_more_rows_are_held_at_a_time_than_those_of_a_range(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    look = row_checks._broken_rows

    def looked(rows: dict[str, pl.LazyFrame], tables: Any) -> Any:
        held.append(sum(frame.select(pl.len()).collect().item() for frame in rows.values()))
        return look(rows, tables)

    monkeypatch.setattr(row_checks, "_broken_rows", looked)
    monkeypatch.setattr(row_checks, "ORDERS_PER_RANGE", 5)
    rows = check(folder).looked["rows"]
    assert len(held) == 6
    assert max(held) < rows / 3
    assert sum(held) >= rows


def test_an_order_too_few_in_the_tables_is_found_where_a_failure_is_too_many(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["orders"] |= {"out": 30, "failed": 0}
    write_manifest(folder, manifest)
    assert kinds_and_places(folder) == {("balance", "manifest.json")}


@pytest.mark.drawn
@pytest.mark.parametrize("name", sampled([*(f"{name}.parquet" for name in TABLES), ".lineage/answers.parquet"]))
def test_one_changed_byte_of_any_file_is_found(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert kinds_and_places(folder) == {("file", Path(name).name)}


def test_half_written_and_older_tables_are_told(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 0}))
    assert kinds_and_places(folder) == {("dataset", "tables")}
    assert "earlier version" in check(folder).flaws["message"][0]
    (folder / "shipments.parquet").unlink()
    assert kinds_and_places(folder) == {("dataset", "tables")}
    (folder / "manifest.json").unlink()
    (folder / ".lock").touch()  # as what was cut off leaves it
    assert kinds_and_places(folder) == {("dataset", "tables")}


def edit_archive(archive: Path, sql: str, *values: object) -> None:
    with sqlite3.connect(archive) as db:
        db.execute(sql, values)
    db.close()


@pytest.mark.parametrize(
    ("sql", "values", "what", "order_id"),
    [
        ("UPDATE responses SET body = ? WHERE response = 3", [zstandard.compress(b"{}")], "response", 100_003),
        ("UPDATE responses SET body = ? WHERE response = 4", [b"not zstd"], "response", 100_004),
        ("UPDATE responses SET order_id = 7 WHERE response = 5", [], "response", 7),
        ("UPDATE responses SET size = size + 1 WHERE response = 6", [], "response", 100_006),
        ("DELETE FROM responses WHERE order_id = 100006", [], "ledger", 100_006),
        ("DELETE FROM responses WHERE order_id = 100001 AND run = 2", [], "ledger", 100_001),
    ],
)
def test_each_flaw_of_an_archive_is_found(
    archive: Path, sql: str, values: list[object], what: str, order_id: int
) -> None:
    edit_archive(archive, sql, *values)
    flaws = check(archive).flaws
    assert (what, order_id) in set(flaws.select("what", "order_id").iter_rows())
    assert f"quivo-frames refetch {order_id}" in flaws.filter(pl.col("order_id") == order_id)["message"][0]


def test_a_broken_file_is_a_flaw_and_no_traceback(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    for at in range(20_000, len(content), 5_000):
        content[at : at + 64] = b"\xee" * 64
    archive.write_bytes(content)
    assert not check(archive).flaws.is_empty()
    archive.write_bytes(content[: len(content) // 2])
    assert not check(archive).flaws.is_empty()


def test_what_sqlite_itself_finds_is_told(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    content[36:40] = (7).to_bytes(4)  # how many pages are said to be free
    archive.write_bytes(content)
    assert kinds_and_places(archive) == {("file", "orders.sqlite")}


def test_an_answer_without_a_readable_id_is_as_it_was_written(archive: Path) -> None:
    with Archive(archive) as opened:
        record_answers(opened, {100_003: b'{"orderId": '}, NOON.replace(day=3))
    assert check(archive).flaws.is_empty()


def test_nothing_is_changed_by_looking(archive: Path, folder: Path) -> None:
    before = {file: file.read_bytes() for file in (archive, *folder.rglob("*.parquet"))}
    check(archive), check(folder)
    assert {file: file.read_bytes() for file in before} == before


def test_the_command_tells_and_its_status_says_whether_all_is_well(archive: Path, folder: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    assert run(main, ["check", str(folder)]).exit_code == 0
    assert run(main, ["check", str(archive)]).exit_code == 0
    told = json.loads(run(main, ["check", str(archive), "--json"]).stdout)
    assert told["flaws"] == []
    rewrite_table(folder, "serial_numbers", lambda frame: frame, rows=7)
    done = run(main, ["check", str(folder)])
    assert done.exit_code == 1
    assert "serial_numbers has" in done.stdout
    for nothing in (tmp_path / "nowhere", tmp_path):
        done = run(main, ["check", str(nothing)])
        assert done.exit_code == 2, done.output
        assert "Traceback" not in done.output


def test_what_is_neither_is_told(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("something else")
    with pytest.raises(ConfigError, match="not an archive"):
        check(tmp_path / "file.txt")
    with pytest.raises(ConfigError, match="not a dataset"):
        check(tmp_path)
