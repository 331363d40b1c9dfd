"""Orders are erased from tables wherever they are: files of some parts, Delta tables, object stores."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from quivo_frames.archive.archive import Archive
from quivo_frames.builder.build import build_with
from quivo_frames.builder.build_settings import BuildSettings
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.maintenance.erasure import forget
from quivo_frames.maintenance.integrity import check
from quivo_frames.model.tables import REPORT_TABLES, TABLES
from quivo_frames.standin.orders import order_json
from quivo_frames.storage.place import open_place
from tests.support.archived_orders import NOON, assert_same_dataset, record_answers
from tests.support.personal_traces import files_with, marked_order

IDS = range(100_001, 100_031)
GONE = [100_005, 100_017]
WHO = "Ida-Lund-of-Harbour-Road"
SMALL = BuildSettings(orders_per_partition=4, partitions_per_file=2, orders_per_seek_point=1)
PLACES = {
    "folder": {"jobs": 1},
    "files of parts": {},
    "delta": {"form": "delta"},
    "store": {},
    "delta in a store": {"form": "delta"},
}


@pytest.fixture
def archive(tmp_path: Path) -> Any:
    with Archive(tmp_path / "orders.sqlite") as made:
        answers = {order_id: marked_order(order_id, f"{WHO}-{order_id}") for order_id in IDS}
        answers[100_017] = b'{"orderId": 100017, "sellerId": "bad"}'
        record_answers(made, answers, NOON)
        yield made


def build_at(place: str, source: Any, out: str, **more: Any) -> Dataset:
    options = {**PLACES[place], **more}
    if "jobs" in options:
        return build_with(SMALL, source, out, progress=False, **options)
    with ThreadPoolExecutor(2) as executor:
        return build_with(SMALL, source, out, executor=executor, progress=False, **options)


def copied(out: str, folder: Path) -> Path:
    """All files of a place, in a folder of this machine."""
    for entry in open_place(out).list_entries():
        (folder / entry.name).parent.mkdir(parents=True, exist_ok=True)
        (folder / entry.name).write_bytes(open_place(out).read(entry.name) or b"")
    return folder


@pytest.mark.long
@pytest.mark.parametrize("source", ["archive", "file"])
@pytest.mark.parametrize("place", PLACES)
def test_nothing_of_forgotten_orders_is_left_in_any_file(
    place: str, source: str, archive: Archive, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    out = str(tmp_path / "tables")
    if "store" in place:
        request.getfixturevalue("s3")
        out = "s3://lake/tables"
    given: Any = archive
    if source == "file":
        given = tmp_path / "orders.ndjson"
        bodies = (raw.body for raw in archive.newest())
        given.write_bytes(b"\n".join(bodies))
    build_at(place, given, out)
    record_answers(archive, {100_005: marked_order(100_005, f"{WHO}-100005-late")}, NOON + timedelta(days=1))
    before = build_at(place, given, out)
    rows = {name: before[name] for name in TABLES}
    if PLACES[place].get("form"):  # somebody else's file
        pl.DataFrame({"mine": [1]}).write_parquet(mine := io.BytesIO())
        open_place(out).write("orders/mine.parquet", mine.getvalue())
    names_before = {entry.name for entry in open_place(out).list_entries()}
    assert files_with(copied(out, tmp_path / "before"), f"{WHO}-100005")
    receipt = forget(GONE, archive, [out])
    assert not files_with(copied(out, tmp_path / "after"), f"{WHO}-100005")
    assert files_with(tmp_path / "after", f"{WHO}-100006")
    after = Dataset.open(out)
    for name in TABLES:
        assert after[name].equals(rows[name].filter(~pl.col("order_id").is_in(GONE))), name
    assert after.manifest["orders"] == {"in": 28, "out": 28, "failed": 0, "superseded": 0}
    assert check(out).flaws.is_empty(), check(out)
    assert receipt.rows[out] == sum(rows[name].filter(pl.col("order_id").is_in(GONE)).height for name in rows) + 1
    assert len(receipt.left) == (source == "file")  # the file that still holds them is named
    if place == "folder":
        return
    names_after = {entry.name for entry in open_place(out).list_entries()}
    stays = {name for name in names_before & names_after if name.startswith("orders/") and name.endswith("parquet")}
    assert stays  # files without these orders are left where they are
    if PLACES[place]:
        assert "orders/mine.parquet" in names_after
        assert bool(receipt.earlier_versions[out])
        for name in TABLES:
            found = pl.DataFrame(pa.table(DeltaTable(f"{out}/{name}").to_pyarrow_table()))
            assert found.sort(TABLES[name].key).equals(after[name].cast(found.schema).sort(TABLES[name].key)), name


@pytest.mark.long
@pytest.mark.parametrize("place", ["files of parts", "delta"])
def test_builds_go_on_from_tables_without_the_forgotten_orders(place: str, archive: Archive, tmp_path: Path) -> None:
    out = str(tmp_path / "tables")
    build_at(place, archive, out)
    forget(GONE, archive, [out])
    again = build_at(place, archive, out)
    assert again.manifest["made"] == 0
    record_answers(archive, {100_020: order_json(100_021).replace(b"100021", b"100020")}, NOON + timedelta(days=2))
    renewed = build_at(place, archive, out)
    assert renewed.manifest["made"] == 1
    full = build_at(place, archive, str(tmp_path / "full"))
    notes = {name: renewed[name] for name in REPORT_TABLES}  # they tell what changed since the tables of before
    assert notes["failures"].equals(full.failures)
    assert_same_dataset(renewed, full, notes=False)


@pytest.mark.long
@pytest.mark.parametrize("place", ["folder", "files of parts"])
def test_tables_without_a_record_of_their_parts_lose_them_too(place: str, archive: Archive, tmp_path: Path) -> None:
    """As earlier versions have built them."""
    out = tmp_path / "tables"
    before = build_at(place, archive, str(out))
    orders, facts = before.orders, {name: fact for name, fact in before.manifest.items() if name != "files"}
    facts["lineage"] = {name: found for name, found in facts["lineage"].items() if name != "parts"}
    (out / "manifest.json").write_text(json.dumps(facts))
    forget(GONE, archive, [out])
    after = Dataset.open(out)
    assert after.orders.equals(orders.filter(~pl.col("order_id").is_in(GONE)))
    assert check(out).flaws.is_empty(), check(out)
    assert not files_with(out, f"{WHO}-100005")
    profile = build_at(place, archive, str(tmp_path / "full"), full=True).manifest["profile"]
    assert after.manifest["profile"] == profile
