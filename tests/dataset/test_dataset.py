"""A dataset is whole or not there, describes itself, and is read by other tools."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.parquet as pq
import pytest

from quivo_frames.builder.build import build, build_with
from quivo_frames.builder.build_settings import BuildSettings
from quivo_frames.dataset import folder_commit
from quivo_frames.dataset.dataset import Dataset, as_tables
from quivo_frames.dataset.folder_commit import FolderCommit
from quivo_frames.errors import ConfigError, DatasetError, QuivoError
from quivo_frames.flattening.flatten import flatten
from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.privacy import PrivacyFilter
from quivo_frames.model.tables import REPORT_TABLES, TABLES
from quivo_frames.standin.orders import order_json, write_ndjson
from quivo_frames.storage.directory import Directory

EVERYTHING = {**TABLES, **DERIVED_TABLES, **REPORT_TABLES}
PATHS = {name: f"derived/{name}.parquet" if name in DERIVED_TABLES else f"{name}.parquet" for name in EVERYTHING}
"""Where each of them lies in the folder of a dataset."""


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    write_ndjson(tmp_path / "orders.ndjson", 40, broken_every=20)
    return tmp_path / "orders.ndjson"


def file_contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.parquet")}


def test_there_is_a_file_for_each_table_and_nothing_else(orders: Path, tmp_path: Path) -> None:
    build(orders, tmp_path / "out")
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    lineage = {".lineage/noticed.parquet", ".lineage/parts.parquet"}
    assert found == {"manifest.json", *PATHS.values(), *lineage}


@pytest.mark.long
@pytest.mark.parametrize("name", EVERYTHING)
def test_fields_carry_sentence_unit_and_privacy_class(orders: Path, tmp_path: Path, name: str) -> None:
    build(orders, tmp_path / "out")
    schema = pq.read_schema(tmp_path / "out" / PATHS[name])
    for column, field in zip(EVERYTHING[name].columns, schema, strict=True):
        metadata = {key.decode(): value.decode() for key, value in field.metadata.items()}
        unit = {"unit": column.unit} if column.unit else {}
        assert metadata == {"description": column.sentence, "privacy": str(column.privacy), **unit}
        assert field.nullable is not column.required
        assert str(field.type) != "string_view"


@pytest.mark.long
@pytest.mark.parametrize("orders_per_partition", [40, 7])
def test_other_tools_read_what_polars_reads(orders: Path, tmp_path: Path, orders_per_partition: int) -> None:
    built = build_with(BuildSettings(orders_per_partition=orders_per_partition), orders, tmp_path / "out")
    for name, table in (TABLES | DERIVED_TABLES).items():
        file = str(tmp_path / "out" / PATHS[name])
        height = built.lazy(name).collect().height
        assert pl.read_parquet(file).schema == table.schema
        duck = duckdb.sql(f"SELECT count(*), count(DISTINCT {table.key}) FROM read_parquet('{file}')")
        assert duck.fetchall()[0] == (height, height)
        assert pq.read_table(file).num_rows == height
    money = duckdb.sql(
        f"SELECT sum(total_net_amount) FROM read_parquet('{tmp_path / 'out' / 'order_positions.parquet'}')"
    )
    assert money.fetchall()[0] == (built.order_positions["total_net_amount"].sum(),)


def test_the_same_input_gives_the_same_bytes(orders: Path, tmp_path: Path) -> None:
    build(orders, tmp_path / "one")
    build(orders, tmp_path / "two")
    assert file_contents(tmp_path / "one") == file_contents(tmp_path / "two")


@pytest.mark.long
def test_the_same_tables_have_the_same_name_whatever_was_noted_beside(orders: Path, tmp_path: Path) -> None:
    one = build(orders, tmp_path / "one").name
    (tmp_path / "other.ndjson").write_bytes(b'{"orderId": 1, "orderStatus": "ODD"}')
    assert build(tmp_path / "other.ndjson", tmp_path / "two").name != one
    two = build(orders, tmp_path / "two")
    assert "new_value" in two.notes["kind"]
    assert two.name == one


@pytest.mark.long
def test_the_size_of_a_part_changes_no_value(orders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = build(orders, tmp_path / "one")
    two = build_with(BuildSettings(orders_per_partition=7, orders_per_batch=3), orders, tmp_path / "two")
    assert all(one[name].equals(two[name]) for name in TABLES)
    assert one.failures.equals(two.failures)
    assert one.notes.equals(two.notes)


def test_files_are_for_their_owner_alone(orders: Path, tmp_path: Path) -> None:
    build(orders, tmp_path / "out")
    modes = {(path.is_file(), stat.S_IMODE(path.stat().st_mode)) for path in (tmp_path / "out").rglob("*")}
    assert modes == {(True, 0o600), (False, 0o700)}


def test_a_later_build_replaces_an_earlier_one_whole(orders: Path, tmp_path: Path) -> None:
    earlier = build(orders, tmp_path / "out")
    write_ndjson(orders, 5)
    later = build(orders, tmp_path / "out")
    assert later.orders.height == 5
    with pytest.raises(DatasetError, match="was rebuilt"):
        _ = earlier.orders


def test_a_build_that_fails_leaves_the_earlier_one(
    orders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = build(orders, tmp_path / "out").orders

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder_commit, "write_table_file", full)
    with pytest.raises(DatasetError, match="disk is full"):
        build(orders, tmp_path / "out")
    assert Dataset.open(tmp_path / "out").orders.equals(before)
    assert [file.name for file in (tmp_path / "out").glob(".*")] == [".lineage"]


@pytest.mark.long
def test_a_build_that_dies_while_it_moves_files_is_no_dataset(orders: Path, tmp_path: Path) -> None:
    build(orders, tmp_path / "out")
    code = f"""
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from quivo_frames.builder.build import build
moved = []
def dies(self, target):
    moved.append(target)
    if len(moved) > 3:
        os._exit(9)
    os.replace(self, target)
Path.replace = dies
build({str(orders)!r}, {str(tmp_path / "out")!r})
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    with pytest.raises(DatasetError, match="build it again"):
        Dataset.open(tmp_path / "out")
    assert build(orders, tmp_path / "out").orders.height == 38


@pytest.mark.long
@pytest.mark.parametrize("earlier", [True, False])
def test_a_build_that_fails_while_it_moves_files_can_be_built_again(
    orders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: bool
) -> None:
    if earlier:
        build(orders, tmp_path / "out")

    def fails(self: Path, target: Path) -> None:
        if self.name == "shipments.parquet":
            raise OSError(5, "Input/output error")
        self.rename(target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fails)
        with pytest.raises(DatasetError, match=r"Input/output error\. Make room"):
            build(orders, tmp_path / "out")
    with pytest.raises(DatasetError, match="build it again"):
        Dataset.open(tmp_path / "out")
    assert build(orders, tmp_path / "out").orders.height == 38
    assert [file.name for file in (tmp_path / "out").glob(".*")] == [".lineage"]


def test_a_full_disk_is_reported_and_leaves_nothing(orders: Path, tmp_path: Path) -> None:
    code = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from quivo_frames.cli import main
main(["build", {str(orders)!r}, "--out", {str(tmp_path / "out")!r}])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_dataset_is_left_alone(orders: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "orders.parquet").write_text("mine")
    with pytest.raises(ConfigError, match="holds no dataset"):
        build(orders, tmp_path / "mine")
    assert (tmp_path / "mine" / "orders.parquet").read_text() == "mine"
    assert len(list((tmp_path / "mine").iterdir())) == 1
    with pytest.raises(ConfigError, match="not a dataset"):
        Dataset.open(tmp_path / "mine")
    with pytest.raises(ConfigError, match="is a file"):
        build(orders, orders)


def test_two_builds_into_one_folder_do_not_mix(orders: Path, tmp_path: Path) -> None:
    with FolderCommit(str(tmp_path / "out"), PrivacyFilter()), pytest.raises(DatasetError, match="Another build"):
        build(orders, tmp_path / "out")


@pytest.mark.long
@pytest.mark.parametrize("change", ["swapped", "gone", "later version", "earlier version"])
def test_what_is_not_the_built_dataset_is_reported(orders: Path, tmp_path: Path, change: str) -> None:
    folder = build(orders, tmp_path / "out").folder
    if change == "swapped":
        (folder / "shipments.parquet").write_bytes((folder / "orders.parquet").read_bytes())
    elif change == "gone":
        (folder / "shipments.parquet").unlink()
    else:
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(
            json.dumps({**manifest, "schema_version": 99 * (change == "later version")})
        )
    with pytest.raises(DatasetError, match=r"shipments|(later|earlier) version"):
        Dataset.open(folder)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ('{"dataset": "quivo_frames"}', "manifest.json is damaged. Build the tables again with --full"),
        ('{"dataset": "quivo_frames", "schema_version": "1", "tables": {}}', r"is damaged \(at \$.schema_version\)"),
        ('{"dataset": "quiv', "manifest.json is damaged: nobody can tell what belongs to it"),
    ],
    ids=["empty", "text for a number", "cut"],
)
def test_a_damaged_manifest_is_reported(orders: Path, tmp_path: Path, manifest: str, message: str) -> None:
    tables = build(orders, tmp_path / "tables")
    (tables.folder / "manifest.json").write_text(manifest)
    with pytest.raises(QuivoError, match=message):
        Dataset.open(tables.folder)


def test_an_export_that_cannot_be_remembered_is_reported(
    orders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = build(orders, tmp_path / "tables")

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Directory, "compare_and_swap", refused)
    exported = tables.export("csv", tmp_path / "csv")
    assert "`forget` will not find this export" in exported.notices[-1]
    assert (tmp_path / "csv" / "orders.csv").exists()
    monkeypatch.undo()
    assert tables.exports() == []


def test_exports_that_end_at_the_same_time_are_all_remembered(orders: Path, tmp_path: Path) -> None:
    tables = build(orders, tmp_path / "tables")
    with ThreadPoolExecutor(4) as several:
        list(several.map(lambda number: tables.export("csv", tmp_path / str(number)), range(4)))
    assert {export.out for export in tables.exports()} == {str(tmp_path / str(number)) for number in range(4)}


def test_the_manifest_tells_rows_sizes_and_hashes(orders: Path, tmp_path: Path) -> None:
    import hashlib

    built = build(orders, tmp_path / "out")
    assert built.manifest["orders"] == {"in": 40, "out": 38, "failed": 2, "superseded": 0}
    assert list(built.manifest["derived"]) == list(DERIVED_TABLES)
    for table in (built.manifest["tables"] | built.manifest["derived"]).values():
        (facts,) = table["files"]
        assert facts["rows"] == table["rows"]
        content = (tmp_path / "out" / facts["file"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (facts["bytes"], facts["sha256"])
        assert pl.read_parquet(content).height == facts["rows"]


def test_a_dataset_shows_itself(orders: Path, tmp_path: Path) -> None:
    built = build(orders, tmp_path / "out")
    assert "40 orders in, 38 in the tables, 2 failed" in repr(built)
    assert "<table>" in built._repr_html_()
    assert "shipments" in dir(built)
    assert "shipments" in dir(built.scan)
    assert built.scan.shipments.select(pl.len()).collect().item() == built.shipments.height == len(built["shipments"])
    assert dict(built).keys() == TABLES.keys()
    with pytest.raises(AttributeError, match="no table 'shipment'"):
        _ = built.shipment
    with pytest.raises(AttributeError, match="no table 'shipment'"):
        _ = built.scan.shipment
    with pytest.raises(ConfigError, match="no table 'shipment'"):
        _ = built["shipment"]


def test_a_dataset_of_nothing_has_all_tables(tmp_path: Path) -> None:
    (tmp_path / "none.json").write_text("[]")
    built = build(tmp_path / "none.json", tmp_path / "out")
    assert {name: built[name].schema for name in TABLES} == {name: table.schema for name, table in TABLES.items()}
    assert built.counts() == dict.fromkeys(EVERYTHING, 0)
    assert {name: built.lazy(name).collect_schema() for name in DERIVED_TABLES} == {
        name: table.schema for name, table in DERIVED_TABLES.items()
    }


def test_memory_and_disk_give_the_same_tables(tmp_path: Path) -> None:
    bodies = [order_json(order_id) for order_id in range(100_001, 100_041)]
    (tmp_path / "orders.ndjson").write_bytes(b"\n".join(bodies))
    built, held = build(tmp_path / "orders.ndjson", tmp_path / "out"), flatten(bodies)
    assert all(built[name].equals(held[name]) for name in TABLES)


def test_some_orders_alone_are_the_rows_that_they_have_in_the_whole(orders: Path, tmp_path: Path) -> None:
    built = build(orders, tmp_path / "out")
    failed = built.failures["order_id"].to_list()
    wanted = [100_031, 100_002, failed[0], 4711]
    some = built.only(wanted)
    for name in TABLES:
        assert some[name].equals(built[name].filter(pl.col("order_id").is_in(wanted)))
    assert sorted(some.orders["order_id"]) == [100_002, 100_031]
    assert some.shipments.height
    assert some.failures["order_id"].to_list() == failed[:1]
    assert some.notes.is_empty()
    assert built.only([]).counts() == dict.fromkeys(EVERYTHING, 0)


def test_one_order_is_asked_for_by_its_id_alone(orders: Path, tmp_path: Path) -> None:
    built = build(orders, tmp_path / "out")
    one, listed = built.only(100_031), built.only([100_031])
    assert one.orders["order_id"].to_list() == [100_031]
    assert all(one[name].equals(listed[name]) for name in TABLES)


@pytest.mark.long
@pytest.mark.parametrize("given", ["100031", [100_031, "100002"], 1.5, None, 2**63])
def test_ids_that_are_no_whole_numbers_are_refused_in_a_sentence(orders: Path, tmp_path: Path, given: Any) -> None:
    built = build(orders, tmp_path / "out")
    with pytest.raises(ConfigError, match="Order ids are whole numbers"):
        built.only(given)


def test_tables_are_given_as_a_folder_or_as_frames(orders: Path, tmp_path: Path) -> None:
    built = build(orders, tmp_path / "out")
    for folder in (tmp_path / "out", str(tmp_path / "out")):
        opened = as_tables(folder)
        assert isinstance(opened, Dataset)
        assert opened.manifest == built.manifest
    frames = flatten(orders.read_bytes().splitlines())
    for given in (built, frames, dict(frames), {"orders": frames.orders.lazy()}):
        assert as_tables(given) is given  # type: ignore[arg-type]  # lazy frames work, though none are promised


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (None, "None"),
        ([], "a list"),
        (b"tables", "a bytes"),
        (pl.DataFrame(), "a single DataFrame"),
        (pl.LazyFrame(), "a single LazyFrame"),
        ({"orders": pl.DataFrame(), "shipments": [1]}, "a dict in which 'shipments' is a list"),
    ],
)
def test_what_are_no_tables_is_said_in_a_sentence(given: object, kind: str) -> None:
    with pytest.raises(ConfigError) as caught:
        as_tables(given)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "Give the tables: the folder of a dataset, what qf.open, qf.build or qf.flatten return, "
        f"or a dict of frames by table name. This is {kind}."
    )
