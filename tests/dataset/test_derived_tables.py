"""Derived tables are written, read, validated, renewed, exported and erased as the 18, and can be left out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from click.testing import CliRunner
from deltalake import DeltaTable

import quivo_frames as qf
from quivo_frames.analysis.derived_tables import derive_tables
from quivo_frames.archive.archive import Archive
from quivo_frames.cli import main
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.errors import ConfigError, DatasetError
from quivo_frames.maintenance.integrity import check
from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.order import Privacy
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import order_json
from quivo_frames.storage.own_json import DIGEST, digest_of_facts
from tests.support.archived_orders import NOON, build_both_ways, record_answers
from tests.support.depth import sampled
from tests.support.personal_traces import files_with, marked_order

IDS = range(100_001, 100_031)
GONE = 100_005
FILES = {f"derived/{name}.parquet" for name in DERIVED_TABLES}
Build = Callable[..., Dataset]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    with Archive(tmp_path / "orders.sqlite") as made:
        record_answers(made, {order_id: order_json(order_id) for order_id in IDS}, NOON)
    return tmp_path / "orders.sqlite"


def derived_of(dataset: Dataset) -> dict[str, pl.DataFrame]:
    return {name: dataset.lazy(name).collect() for name in dataset.derived}


def files_below(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def build_with_workers(*given: Any, **options: Any) -> Dataset:
    with ThreadPoolExecutor(2) as pool:
        return qf.build(*given, executor=pool, **options)


def build_as_delta(*given: Any, **options: Any) -> Dataset:
    return qf.build(*given, form="delta", **options)


BUILDS: Mapping[str, Build] = {"folder": qf.build, "workers": build_with_workers, "delta": build_as_delta}


# Reading


@pytest.mark.long
@pytest.mark.parametrize("how", BUILDS)
def test_they_are_what_the_tables_of_the_dataset_give_and_are_read_by_name(
    archive: Path, tmp_path: Path, how: str
) -> None:
    built = BUILDS[how](archive, tmp_path / "tables")
    expected = derive_tables(dict(built))
    assert list(built.derived) == list(expected) == list(DERIVED_TABLES)
    for name, rows in expected.items():
        assert rows.height
        assert built.lazy(name).collect().equals(rows), name
        assert getattr(built.scan, name).collect().equals(rows), name
        assert pl.read_parquet(built.files(name)).equals(rows), name
        assert all(Path(file).relative_to(tmp_path / "tables" / "derived") for file in built.files(name))
    assert check(tmp_path / "tables").flaws.is_empty()


def test_a_dataset_stays_a_mapping_of_the_18_and_shows_the_others_after_them(archive: Path, tmp_path: Path) -> None:
    built = qf.build(archive, tmp_path / "tables")
    assert list(built) == list(TABLES)
    assert len(built) == 18
    assert "lines" not in built
    names = [*TABLES, *DERIVED_TABLES, "failures", "notes"]
    assert [line.split()[0] for line in repr(built).splitlines()[1:]] == names
    shown = built._repr_html_()
    assert sorted(names, key=lambda name: shown.index(f">{name}<")) == names
    assert list(built.counts()) == names
    assert set(DERIVED_TABLES) <= set(dir(built.scan))


# Leaving them out


def leave_out_by_command(archive: Path, out: Path) -> Dataset:
    done = CliRunner().invoke(main, ["build", str(archive), "--out", str(out), "--no-derived"])
    assert done.exit_code == 0, done.output
    return qf.open(out)


def test_without_them_there_are_18_tables_and_whoever_asks_is_told_how_to_get_them(
    archive: Path, tmp_path: Path
) -> None:
    built = leave_out_by_command(archive, tmp_path / "tables")
    assert built.derived == []
    assert files_below(built.folder) == {
        "manifest.json", *(f".lineage/{name}.parquet" for name in ("answers", "noticed", "parts")),
        *(f"{name}.parquet" for name in (*TABLES, "failures", "notes")),
    }  # fmt: skip
    assert "lines" not in repr(built)
    for ask in (built.lazy, built.files, lambda name: getattr(built.scan, name)):
        with pytest.raises(ConfigError, match=r"was built without derived tables, so there is no lines .*--no-derived"):
            ask("lines")
    assert check(built.folder).flaws.is_empty()
    assert check(built.folder).looked["tables"] == 18


@pytest.mark.long
@pytest.mark.parametrize("how", BUILDS)
def test_to_leave_them_out_or_not_builds_again_and_nothing_of_before_stays(
    archive: Path, tmp_path: Path, how: str
) -> None:
    build, out = BUILDS[how], tmp_path / "tables"
    first = build(archive, out)
    expected = derived_of(first)
    without = build(archive, out, derived=False)
    assert without.derived == []
    assert without.manifest["made"] == len(IDS)
    if how == "delta":  # a Delta table cannot go while others may read its log
        assert all(DeltaTable(str(out / "derived" / name)).to_pyarrow_table().num_rows == 0 for name in DERIVED_TABLES)
    else:
        assert not (out / "derived").exists()
    again = build(archive, out)
    assert again.manifest["made"] == len(IDS)
    assert all(rows.equals(expected[name]) for name, rows in derived_of(again).items())
    if how == "delta":
        logs = {name: DeltaTable(str(out / "derived" / name)).to_pyarrow_table() for name in DERIVED_TABLES}
        assert {name: log.num_rows for name, log in logs.items()} == {n: rows.height for n, rows in expected.items()}


def test_a_dataset_of_an_earlier_version_opens_and_is_built_again_with_them(archive: Path, tmp_path: Path) -> None:
    built = qf.build(archive, tmp_path / "tables", derived=False)
    earlier = {name: fact for name, fact in built.manifest.items() if name not in ("derived", "with_derived")}
    file = tmp_path / "tables" / "manifest.json"
    file.write_text(json.dumps({**earlier, DIGEST: digest_of_facts(earlier, ())}))
    opened = qf.open(tmp_path / "tables")
    assert opened.derived == []
    assert opened.orders.height == len(IDS)
    assert not list(opened.damaged_files())
    assert opened.export("csv", tmp_path / "csv").rows.keys() == TABLES.keys()
    assert qf.build(archive, tmp_path / "tables").derived == list(DERIVED_TABLES)


# Renewing


@pytest.mark.long
@pytest.mark.parametrize("sources", [1, 2])
def test_an_incremental_build_gives_those_of_a_full_one(archive: Path, tmp_path: Path, sources: int) -> None:
    given = [archive, tmp_path / "more.sqlite"][:sources]
    with Archive(tmp_path / "more.sqlite") as more:
        record_answers(more, {order_id: order_json(order_id) for order_id in range(100_020, 100_040)}, NOON)
    before = derived_of(qf.build(given, tmp_path / "tables"))
    changed = json.loads(order_json(100_009))
    changed["positions"], changed["orderStatus"] = changed["positions"] * 2, "COMPLETED"
    with Archive(archive) as opened:
        record_answers(opened, {100_009: json.dumps(changed).encode(), 90_000: order_json(90_000)}, NOON + timedelta(1))
    renewed = build_both_ways(given, tmp_path / "tables")
    assert renewed.manifest["made"] == 2
    for name, rows in derived_of(renewed).items():
        of_others = ~pl.col("order_id").is_in([100_009, 90_000])
        assert rows.filter(of_others).equals(before[name].filter(of_others)), name
        assert not rows.filter(~of_others).equals(before[name].filter(~of_others)), name
        assert rows["order_id"].unique(maintain_order=True).is_in(renewed.orders["order_id"]).all()


@pytest.mark.long
def test_one_without_a_change_keeps_its_file(archive: Path, tmp_path: Path) -> None:
    folder = qf.build(archive, tmp_path / "tables").folder
    before = {file: (folder / file).stat().st_ino for file in FILES}
    changed = json.loads(order_json(100_009)) | {"orderStatus": "ODD"}
    with Archive(archive) as opened:
        record_answers(opened, {100_009: json.dumps(changed).encode()}, NOON + timedelta(days=1))
    assert build_both_ways(archive, folder).manifest["made"] == 1
    written = {file for file in FILES if (folder / file).stat().st_ino != before[file]}
    assert written == {"derived/overview.parquet", "derived/milestones.parquet"}  # its status, and when it was known


# Damage


def test_a_missing_or_another_file_is_reported_when_the_dataset_is_opened(archive: Path, tmp_path: Path) -> None:
    folder = qf.build(archive, tmp_path / "tables").folder
    (folder / "derived" / "lines.parquet").write_bytes((folder / "derived" / "events.parquet").read_bytes())
    with pytest.raises(DatasetError, match=r"derived/lines.parquet is missing or not the file of lines"):
        qf.open(folder)
    assert qf.build(archive, folder).derived
    (folder / "derived" / "events.parquet").unlink()
    with pytest.raises(DatasetError, match=r"derived/events.parquet is missing"):
        qf.open(folder)
    assert qf.build(archive, folder).derived


def test_a_flipped_bit_is_found_and_mended_by_the_next_full_build(archive: Path, tmp_path: Path) -> None:
    folder = qf.build(archive, tmp_path / "tables").folder
    file = folder / "derived" / "overview.parquet"
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    assert set(check(folder).flaws.select("what", "place").iter_rows()) == {("file", "overview.parquet")}
    assert qf.build(archive, folder, full=True).manifest["made"] == len(IDS)
    assert check(folder).flaws.is_empty()


WRONG_MANIFESTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "one is missing": lambda derived: derived.pop("lines"),
    "one too many": lambda derived: derived.update(more=derived["lines"]),
    "all are missing": lambda derived: derived.clear(),
    "a file elsewhere": lambda derived: derived["lines"]["files"][0].update(file="lines.parquet"),
    "a file above": lambda derived: derived["lines"]["files"][0].update(file="derived/../../lines.parquet"),
    "rows below zero": lambda derived: derived["lines"].update(rows=-1),
    "files are a number": lambda derived: derived["lines"].update(files=5),
}


@pytest.mark.long
@pytest.mark.drawn
@pytest.mark.parametrize("how", sampled(WRONG_MANIFESTS))
def test_what_a_manifest_says_wrong_of_them_is_reported(archive: Path, tmp_path: Path, how: str) -> None:
    folder = qf.build(archive, tmp_path / "tables").folder
    facts = json.loads((folder / "manifest.json").read_text())
    WRONG_MANIFESTS[how](facts["derived"])
    (folder / "manifest.json").write_text(json.dumps(facts))
    with pytest.raises(DatasetError, match=r"manifest\.json|lines\.parquet"):
        qf.open(folder)
    assert qf.build(archive, folder, full=True).derived == list(DERIVED_TABLES)


def test_files_that_no_manifest_names_go_with_the_next_build_and_those_of_others_stay(
    archive: Path, tmp_path: Path
) -> None:
    folder = qf.build(archive, tmp_path / "tables", derived=False).folder
    (folder / "derived").mkdir()
    for name in ("lines.parquet", "mine.parquet"):
        (folder / "derived" / name).write_bytes(b"x")
    qf.build(archive, folder, derived=False, full=True)
    assert files_below(folder / "derived") == {"mine.parquet"}


# Personal values


SOURCES = {
    "orders": [
        "order_id", "order_identifier", "order_status", "seller_id", "seller_name", "warehouse_id", "currency",
        "delivery_address_country", "order_date", "created", "exported_at", "cancel_requested_at", "completed_at",
        "latest_ship_date", "latest_delivery_date", "fetched_at",
    ],
    "order_positions": [
        "order_position_key", "position_identifier", "sku", "name", "lot", "quantity", "bundled_by", "unit_net_price",
        "total_net_amount",
    ],
    "fulfillment_orders": ["cancelled", "warehouse_id", "warehouse_name", "fulfillment_order_created"],
    "fulfillment_positions": ["sku", "ordered_sku", "warehouse_sku", "bundle_sku", "lot", "quantity"],
    "shipments": [
        "provider", "provider_name", "reversed", "ship_date", "carrier_pick_up_date", "delivery_date", "pod_date",
    ],
    "shipment_positions": ["position_identifier", "sku", "seller_sku", "warehouse_sku", "lot", "quantity"],
    "handling_units": ["depth"],
    "handling_positions": ["position_identifier", "sku", "warehouse_sku", "quantity"],
}  # fmt: skip
"""The columns that derived tables are worked out from."""


def test_no_column_that_they_are_worked_out_from_is_personal_and_no_other_matters(
    archive: Path, tmp_path: Path
) -> None:
    columns = [TABLES[table].column(name) for table, names in SOURCES.items() for name in names]
    assert {column.privacy for column in columns} == {Privacy.NONE}
    built = qf.build(archive, tmp_path / "tables")
    others = {
        name: rows.with_columns(
            pl.lit(None, dtype).alias(column)
            for column, dtype in rows.schema.items()
            if column not in SOURCES.get(name, []) and not column.endswith(("_key", "order_id", "ordinal"))
        )
        for name, rows in built.items()
    }
    for name, rows in derive_tables(others).items():
        assert rows.equals(built.lazy(name).collect()), name


@pytest.mark.long
def test_they_are_the_same_at_every_level_and_hold_no_personal_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUIVO_PSEUDONYM_KEY", "k" * 64)
    bodies = [marked_order(order_id, "Ida-Lund") for order_id in IDS]
    (tmp_path / "orders.ndjson").write_bytes(b"\n".join(bodies))
    full = qf.build(tmp_path / "orders.ndjson", tmp_path / "full")
    assert "orders.parquet" in files_with(full.folder, "Ida-Lund")
    assert files_with(full.folder / "derived", "Ida-Lund") == []
    for level in ("pseudonym", "none"):
        filtered = qf.build(tmp_path / "orders.ndjson", tmp_path / level, privacy=level)
        full.export("parquet", tmp_path / f"{level}-export", privacy=level)
        for name, rows in derived_of(full).items():
            assert rows.equals(filtered.lazy(name).collect()), (level, name)
            assert rows.equals(pl.read_parquet(tmp_path / f"{level}-export" / f"{name}.parquet")), (level, name)


# Exports, and orders that are forgotten


def read_parquet(out: Path) -> dict[str, pl.DataFrame]:
    return {name: pl.read_parquet(out / f"{name}.parquet") for name in DERIVED_TABLES}


def read_months(out: Path) -> dict[str, pl.DataFrame]:
    found = {name: pl.read_parquet(out / name, hive_partitioning=False) for name in DERIVED_TABLES}
    return {name: rows.drop("order_month") for name, rows in found.items()}


def read_delta(out: Path) -> dict[str, pl.DataFrame]:
    return {name: pl.read_delta(str(out / name)) for name in DERIVED_TABLES}


def read_database(out: Path) -> dict[str, pl.DataFrame]:
    with duckdb.connect(out, read_only=True) as db:
        db.execute("SET TimeZone = 'UTC'")
        return {name: db.sql(f'FROM "{name}"').pl().cast(dict(DERIVED_TABLES[name].schema)) for name in DERIVED_TABLES}  # type: ignore[arg-type]


EXPORTS: dict[str, tuple[str, dict[str, Any], Callable[[Path], dict[str, pl.DataFrame]]]] = {
    "parquet": ("parquet", {}, read_parquet),
    "parquet by month": ("parquet", {"by_month": True}, read_months),
    "delta": ("delta", {}, read_delta),
    "out.duckdb": ("duckdb", {}, read_database),
}


def assert_same_rows(found: Mapping[str, pl.DataFrame], expected: Mapping[str, pl.DataFrame]) -> None:
    for name, rows in expected.items():
        key = DERIVED_TABLES[name].key
        assert found[name].sort(key).equals(rows.sort(key)), name


@pytest.mark.long
@pytest.mark.drawn
@pytest.mark.parametrize("how", sampled(EXPORTS))
def test_exports_have_them_and_lose_forgotten_orders_as_the_dataset_does(
    archive: Path, tmp_path: Path, how: str
) -> None:
    form, options, read = EXPORTS[how]
    built = qf.build(archive, tmp_path / "tables")
    before = derived_of(built)
    assert all(GONE in rows["order_id"] for rows in before.values())
    rows = built.export(form, tmp_path / how, **options).rows
    assert list(rows) == [*TABLES, *DERIVED_TABLES]
    assert_same_rows(read(tmp_path / how), before)
    receipt = qf.forget([GONE], archive, [tmp_path / "tables"])
    assert receipt.left == []
    left = {name: rows.filter(pl.col("order_id") != GONE) for name, rows in before.items()}
    after = derived_of(qf.open(tmp_path / "tables"))
    assert all(rows.equals(left[name]) for name, rows in after.items())
    assert_same_rows(read(tmp_path / how), left)
    assert check(tmp_path / "tables").flaws.is_empty()
    assert build_both_ways(archive, tmp_path / "tables").manifest["made"] == 0


@pytest.mark.long
def test_where_they_were_exported_once_no_forgotten_order_stays_in_them(archive: Path, tmp_path: Path) -> None:
    """A dataset that was built without them since does not write them, and Delta tables are not replaced as a whole."""
    qf.build(archive, tmp_path / "tables").export("delta", tmp_path / "lake")
    qf.build(archive, tmp_path / "tables", derived=False)
    receipt = qf.forget([GONE], archive, [tmp_path / "tables"])
    assert receipt.left == []
    assert qf.open(tmp_path / "tables").derived == []
    for name in DERIVED_TABLES:
        files = [pl.read_parquet(file) for file in (tmp_path / "lake" / name).rglob("*.parquet")]
        assert all(GONE not in rows["order_id"] for rows in files if "order_id" in rows.columns)
        assert pl.read_delta(str(tmp_path / "lake" / name)).is_empty()


@pytest.mark.long
def test_in_a_store_too(archive: Path, tmp_path: Path, s3: Any) -> None:
    assert s3
    qf.build(archive, tmp_path / "tables").export("parquet", "s3://lake/out")
    assert GONE in pl.read_parquet("s3://lake/out/lines.parquet")["order_id"]
    qf.build(archive, tmp_path / "tables", derived=False)
    qf.forget([GONE], archive, [tmp_path / "tables"])
    assert all(pl.read_parquet(f"s3://lake/out/{name}.parquet").is_empty() for name in DERIVED_TABLES)
    assert GONE not in pl.read_parquet("s3://lake/out/orders.parquet")["order_id"]


def test_a_duckdb_file_without_them_has_the_views_that_work(archive: Path, tmp_path: Path) -> None:
    qf.build(archive, tmp_path / "tables", derived=False).export("duckdb", tmp_path / "out.duckdb")
    with duckdb.connect(tmp_path / "out.duckdb", read_only=True) as db:
        views = db.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
        assert views == [("order_overview",)]
        assert db.execute("SELECT count(*) FROM order_overview").fetchone() == (len(IDS),)
