"""Tables built as Delta tables: what readers see, whoever dies, comes too late, or works on them in between."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError

import quivo_frames as qf
from quivo_frames.archive.archive import Archive
from quivo_frames.builder import build as building
from quivo_frames.builder.build import build_with
from quivo_frames.builder.build_settings import BuildSettings
from quivo_frames.dataset import place_commit as delivering
from quivo_frames.errors import ConfigError, DatasetError
from quivo_frames.export import delta
from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import order_json
from quivo_frames.storage.bucket import Bucket
from quivo_frames.storage.directory import Directory
from tests.support.archived_orders import NOON, record_answers
from tests.support.local_stores import SECRET_KEY, post_to_server
from tests.support.round_trips import assert_tables_equal

ORDERS, PARTS = 20, 2
BUILT = TABLES | DERIVED_TABLES
PATHS = {name: f"derived/{name}" if name in DERIVED_TABLES else name for name in BUILT}
"""Where the Delta table of each lies."""
KEY_OF = "quivo_frames.schema_version"
UTC = "Timestamp(isAdjustedToUTC=true, timeUnit=microseconds, is_from_converted_type=false, force_set_converted_type=false)"
PHYSICAL = {
    ("string", "BYTE_ARRAY", "String"), ("long", "INT64", "None"), ("integer", "INT32", "None"),
    ("boolean", "BOOLEAN", "None"), ("double", "DOUBLE", "None"), ("date", "INT32", "Date"),
    ("timestamp", "INT64", UTC), ("decimal(18,4)", "INT64", "Decimal(precision=18, scale=4)"),
}  # fmt: skip
"""How the parquet files hold the types of Delta Lake."""


SMALL_PARTITIONS = BuildSettings(orders_per_partition=ORDERS // PARTS, partitions_per_file=1, orders_per_seek_point=5)


@pytest.fixture
def _no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a folder that several machines share, or in a store."""
    monkeypatch.setattr(delivering, "lock_folder", lambda _: nullcontext())


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Three archives of the same orders, each with other lines."""
    folder = tmp_path_factory.mktemp("orders")
    files = (folder / "0.sqlite", folder / "1.sqlite", folder / "2.sqlite")
    for seed, file in enumerate(files):
        with Archive(file) as archive:
            record_answers(archive, {number: order_json(number, seed) for number in range(1, ORDERS + 1)}, NOON)
    return files


@pytest.fixture(scope="module")
def wanted(inputs: Sequence[Path], tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, pl.DataFrame]]:
    """The tables of each file as a build on this machine makes them."""
    folder = tmp_path_factory.mktemp("wanted")
    built = [qf.build(file, folder / file.stem, jobs=1) for file in inputs]
    return [{name: dataset.lazy_as_stored(name).collect() for name in BUILT} for dataset in built]


@pytest.fixture
def out(tmp_path: Path) -> str:
    return str(tmp_path / "lake")


@pytest.fixture(scope="module")
def first(inputs: Sequence[Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("first") / "lake")
    build_delta(inputs[0], folder)
    return folder


@pytest.fixture
def lake(first: str, out: str) -> str:
    """A place that holds the tables of the first archive already."""
    shutil.copytree(first, out)
    return out


def build_delta(file: Path, out: str, **options: Any) -> qf.Dataset:
    return build_with(SMALL_PARTITIONS, file, out, form="delta", jobs=1, progress=False, **options)


def read_by_logs(out: str, version: int | None = None) -> dict[str, pl.DataFrame]:
    """All tables by their logs, by delta-rs."""
    logs = {name: DeltaTable(f"{out}/{PATHS[name]}", version=version) for name in BUILT}
    return {name: pl.DataFrame(pa.table(log.to_pyarrow_table())) for name, log in logs.items()}


def count_commits(out: str) -> dict[str, int]:
    """How many commits with rows each table has: the first makes it."""
    return {name: DeltaTable(f"{out}/{PATHS[name]}").version() for name in BUILT}


def tables_of(dataset: qf.Dataset) -> dict[str, pl.DataFrame]:
    return {name: dataset.lazy_as_stored(name).collect() for name in BUILT}


def for_all_tables(count: int) -> dict[str, int]:
    return dict.fromkeys(BUILT, count)


# What is read


@pytest.mark.long
def test_delta_rs_duckdb_and_the_dataset_read_what_a_local_build_makes(
    inputs: Sequence[Path], wanted: Sequence[Mapping[str, pl.DataFrame]], out: str
) -> None:
    dataset = build_delta(inputs[0], out)
    assert_tables_equal(read_by_logs(out), wanted[0])
    assert_tables_equal(tables_of(dataset), wanted[0])
    with duckdb.connect() as database:
        for name, frame in wanted[0].items():
            files = DeltaTable(f"{out}/{PATHS[name]}").file_uris()
            rows = database.from_parquet(files)
            key = BUILT[name].key
            found = pl.DataFrame(rows.to_arrow_table()).cast(dict(frame.schema)).sort(key)  # type: ignore[arg-type]
            assert found.equals(frame.sort(key)), name
    assert len(DeltaTable(f"{out}/orders").file_uris()) == PARTS


@pytest.mark.long
def test_a_table_says_what_it_is_and_its_history_which_build_wrote_it(inputs: Sequence[Path], out: str) -> None:
    dataset = build_delta(inputs[0], out)
    told = set()
    for name, described in BUILT.items():
        table = DeltaTable(f"{out}/{PATHS[name]}")
        facts = table.metadata()
        assert (facts.name, facts.description) == (name, f"One row per {described.grain}.")
        assert (facts.configuration[KEY_OF], facts.configuration["quivo_frames.privacy"]) == ("1", "full")
        for column, field in zip(described.columns, table.schema().fields, strict=True):
            assert field.metadata["comment"] == column.sentence
            assert field.nullable is not column.required
        history = json.loads(table.history(1)[0]["userMetadata"])
        assert history["by"] == "quivo_frames"
        assert history["version"] == dataset.manifest["version"]
        assert history["rows"] == dataset.counts()[name]
        told.add(history["tables"])
    assert len(told) == 1


@pytest.mark.long
def test_the_log_tells_rows_and_ids_of_orders_so_that_readers_pass_over_files_and_nothing_else(first: str) -> None:
    for name in BUILT:
        table = DeltaTable(f"{first}/{PATHS[name]}")
        logged = pl.DataFrame(pa.table(table.get_add_actions(flatten=True)))
        values = [column for column in logged.columns if column.split(".")[0] in ("min", "max", "null_count")]
        told = {column for column in values if logged[column].count()}
        filled = logged.filter(pl.col("num_records") > 0)
        assert told <= {"min.order_id", "max.order_id", "null_count.order_id"}
        for file in filled.iter_rows(named=True):
            ids = pl.read_parquet(f"{first}/{PATHS[name]}/{file['path']}")["order_id"]
            assert (file["num_records"], file["min.order_id"], file["max.order_id"]) == (len(ids), ids.min(), ids.max())
    logged = pl.DataFrame(pa.table(DeltaTable(f"{first}/orders").get_add_actions(flatten=True)))
    assert logged.sort("min.order_id").select((pl.col("max.order_id") < pl.col("min.order_id").shift(-1)).all()).item()


@pytest.mark.long
def test_types_and_protocol_are_those_that_spark_reads_without_a_setting(first: str) -> None:
    kinds = set()
    for name in BUILT:
        table = DeltaTable(f"{first}/{PATHS[name]}")
        protocol = table.protocol()
        assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2)
        assert not protocol.reader_features
        assert not any(key.startswith("delta.columnMapping") for key in table.metadata().configuration)
        fields = {field.name: str(field.type.type) for field in table.schema().fields}  # type: ignore[union-attr]
        kinds |= set(fields.values())
        for file in Path(first, PATHS[name]).glob("*.parquet"):
            columns = pq.ParquetFile(file).schema
            assert [column.name for column in columns] == list(fields)
            physical = {(fields[column.name], column.physical_type, str(column.logical_type)) for column in columns}
            assert physical <= PHYSICAL, physical - PHYSICAL
    assert kinds == {kind for kind, *_ in PHYSICAL}


@pytest.mark.long
def test_privacy_is_that_of_the_build(inputs: Sequence[Path], out: str) -> None:
    build_delta(inputs[0], out, privacy="none")
    table = DeltaTable(f"{out}/orders")
    assert table.metadata().configuration["quivo_frames.privacy"] == "none"
    with pytest.raises(ConfigError, match=r"holds orders with --privacy none, these have --privacy full"):
        build_delta(inputs[1], out)
    assert count_commits(out) == for_all_tables(1)


def test_the_same_input_again_is_recognised(inputs: Sequence[Path], out: str) -> None:
    before = build_delta(inputs[0], out).manifest
    assert build_delta(inputs[0], out).manifest == before
    assert count_commits(out) == for_all_tables(1)


@pytest.mark.long
def test_another_input_replaces_all_rows_in_one_commit_a_table_and_earlier_versions_stay(
    inputs: Sequence[Path], wanted: Sequence[Mapping[str, pl.DataFrame]], out: str
) -> None:
    for number in (0, 1, 0, 2):
        build_delta(inputs[number], out)
        assert_tables_equal(read_by_logs(out), wanted[number])
        assert_tables_equal(tables_of(qf.open(out)), wanted[number])
    assert count_commits(out) == for_all_tables(4)
    for version, number in enumerate((0, 1, 0, 2), 1):
        assert_tables_equal(read_by_logs(out, version), wanted[number])
    assert len(list(Path(out, "failures").iterdir())) == 1  # no log needs those of before


@pytest.mark.long
def test_full_rebuilds_all(inputs: Sequence[Path], wanted: Sequence[Mapping[str, pl.DataFrame]], lake: str) -> None:
    write_deltalake(f"{lake}/order_tags", pl.read_delta(f"{lake}/order_tags"), mode="append")
    build_delta(inputs[0], lake, full=True)
    assert_tables_equal(read_by_logs(lake), wanted[0])


# Death

DYING = """
import sys
from pathlib import Path
from tests.builder.test_build_delta import build_delta, die_during_build
file, out, when = sys.argv[1:]
with die_during_build(when, lambda: __import__("os")._exit(9)):
    build_delta(Path(file), out)
"""


class Death(BaseException):
    """Ends a build, as nothing in it expects."""


def raise_death() -> None:
    raise Death


@contextmanager
def die_during_build(when: str, die: Callable[[], object] = raise_death) -> Iterator[None]:
    """Ends a build when it is announced, after so many commits, or before its manifest."""
    with pytest.MonkeyPatch.context() as patch:
        commit, swaps, count = (
            DeltaTable.create_write_transaction,
            {kind: kind.compare_and_swap for kind in (Directory, Bucket)},
            0,
        )

        def swapping(self: Any, name: str, data: bytes, before: bytes | None) -> bool:
            announces = b'"committing"' in data
            if when == ("before it is announced" if announces else "before the manifest"):
                die()
            swapped = swaps[type(self)](self, name, data, before)
            if when == "announced" and announces:
                die()
            return swapped

        def committing(*given: Any, **named: Any) -> None:
            nonlocal count
            commit(*given, **named)
            count += 1
            if str(count) == when:
                die()

        for kind in swaps:
            patch.setattr(kind, "compare_and_swap", swapping)
        patch.setattr(DeltaTable, "create_write_transaction", committing)
        yield


def build_and_die(file: Path, out: str, when: str) -> None:
    with die_during_build(when), pytest.raises(Death):
        build_delta(file, out)


LAST = str(len(BUILT))
DEATHS = {"announced": 0, "1": 1, "9": 9, LAST: len(BUILT), "before the manifest": len(BUILT)}


@pytest.mark.long
@pytest.mark.parametrize("when", DEATHS)
def test_a_build_that_died_is_completed_by_the_same_again(
    inputs: Sequence[Path], wanted: Sequence[Mapping[str, pl.DataFrame]], lake: str, when: str
) -> None:
    earlier = qf.open(lake)
    build_and_die(inputs[1], lake, when)
    assert_tables_equal(tables_of(earlier), wanted[0])  # also as it was opened before
    assert qf.open(lake).manifest == earlier.manifest
    assert sum(count_commits(lake).values()) == len(BUILT) + DEATHS[when]
    assert_tables_equal(tables_of(build_delta(inputs[1], lake)), wanted[1])
    assert_tables_equal(read_by_logs(lake), wanted[1])
    assert count_commits(lake) == for_all_tables(2)
    assert b"committing" not in Path(lake, "manifest.json").read_bytes()


@pytest.mark.long
def test_a_build_that_was_killed_is_completed_by_the_same_again(
    inputs: Sequence[Path], wanted: Sequence[Mapping[str, pl.DataFrame]], lake: str
) -> None:
    done = subprocess.run([sys.executable, "-c", DYING, inputs[1], lake, "9"], capture_output=True, text=True)
    assert done.returncode == 9, done.stderr
    assert_tables_equal(tables_of(qf.open(lake)), wanted[0])
    assert_tables_equal(tables_of(build_delta(inputs[1], lake)), wanted[1])
    assert_tables_equal(read_by_logs(lake), wanted[1])
    assert count_commits(lake) == for_all_tables(2)


@pytest.mark.long
@pytest.mark.parametrize("when", ["before it is announced", "announced", "9"])
def test_the_first_build_that_died_is_completed_by_the_same_again(
    inputs: Sequence[Path], wanted: Sequence[Mapping[str, pl.DataFrame]], out: str, when: str
) -> None:
    build_and_die(inputs[0], out, when)
    with pytest.raises(DatasetError, match="is being built, or a build of it was cut off"):
        qf.open(out)
    assert_tables_equal(tables_of(build_delta(inputs[0], out)), wanted[0])
    assert_tables_equal(read_by_logs(out), wanted[0])
    assert count_commits(out) == for_all_tables(1)


@pytest.mark.long
def test_of_files_of_orders_the_same_again_commits_once_more_and_no_row_is_there_twice(
    tmp_path: Path, out: str
) -> None:
    file = tmp_path / "orders.ndjson"
    file.write_bytes(b"\n".join(order_json(number) for number in range(1, ORDERS + 1)))
    build_and_die(file, out, "9")
    dataset = build_delta(file, out)
    assert set(count_commits(out).values()) == {1, 2}
    assert_tables_equal(read_by_logs(out), tables_of(dataset))
    assert read_by_logs(out)["orders"].height == ORDERS


@pytest.mark.long
def test_after_a_death_another_input_replaces_all(
    inputs: Sequence[Path], wanted: Sequence[Mapping[str, pl.DataFrame]], lake: str
) -> None:
    build_and_die(inputs[1], lake, "9")
    assert_tables_equal(tables_of(build_delta(inputs[2], lake)), wanted[2])
    assert_tables_equal(read_by_logs(lake), wanted[2])


@pytest.mark.long
def test_after_a_death_the_input_of_before_replaces_all(
    inputs: Sequence[Path], wanted: Sequence[Mapping[str, pl.DataFrame]], lake: str
) -> None:
    build_and_die(inputs[1], lake, "9")
    assert_tables_equal(
        tables_of(build_delta(inputs[0], lake)), wanted[0]
    )  # the manifest still names it, but the logs do not
    assert_tables_equal(read_by_logs(lake), wanted[0])


# Two at a time


def do_before_call(
    monkeypatch: pytest.MonkeyPatch, kind: Any, name: str, number: int, do: Callable[[], object]
) -> None:
    """Does something before the call of that number of a method, once."""
    plain, calls = getattr(kind, name), iter(range(1, 1_000))

    def wrapped(*given: Any, **named: Any) -> Any:
        if next(calls) == number:
            do()
        return plain(*given, **named)

    monkeypatch.setattr(kind, name, wrapped)


@pytest.mark.long
@pytest.mark.usefixtures("_no_lock")
@pytest.mark.parametrize(("number", "first"), [(1, True), (9, True), (1, False), (2, False), (len(BUILT), False)])
def test_a_build_that_another_overtakes_between_its_commits_is_told_and_the_tables_are_all_of_the_other(
    inputs: Sequence[Path], wanted: Sequence[Mapping[str, pl.DataFrame]], out: str, number: int, first: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if not first:
        build_delta(inputs[0], out)
    do_before_call(monkeypatch, DeltaTable, "create_write_transaction", number, lambda: build_delta(inputs[2], out))
    with pytest.raises(DatasetError, match=r"Another build into .* ended first, and its tables stand"):
        build_delta(inputs[1], out)
    assert_tables_equal(read_by_logs(out), wanted[2])
    assert_tables_equal(tables_of(qf.open(out)), wanted[2])


@pytest.mark.long
@pytest.mark.usefixtures("_no_lock")
def test_a_build_that_ended_before_another_announced_itself_stands(
    inputs: Sequence[Path], wanted: Sequence[Mapping[str, pl.DataFrame]], out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    do_before_call(monkeypatch, Directory, "compare_and_swap", 1, lambda: build_delta(inputs[2], out))
    with pytest.raises(DatasetError, match="ended first"):
        build_delta(inputs[1], out)
    assert_tables_equal(read_by_logs(out), wanted[2])
    assert count_commits(out) == for_all_tables(1)


@pytest.mark.long
@pytest.mark.usefixtures("_no_lock")
def test_a_build_that_looked_at_the_tables_of_another_does_not_replace_them_after_it_was_overtaken(
    inputs: Sequence[Path], wanted: Sequence[Mapping[str, pl.DataFrame]], out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    do_before_call(monkeypatch, delta, "open_or_create_tables", 1, lambda: build_delta(inputs[2], out))
    with pytest.raises(DatasetError, match="ended first"):
        build_delta(inputs[1], out)
    assert_tables_equal(read_by_logs(out), wanted[2])
    assert_tables_equal(tables_of(qf.open(out)), wanted[2])


@pytest.mark.long
@pytest.mark.usefixtures("_no_lock")
def test_a_build_whose_tables_were_committed_goes_when_another_begins_to_commit(
    inputs: Sequence[Path], wanted: Sequence[Mapping[str, pl.DataFrame]], out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    do_before_call(monkeypatch, Directory, "compare_and_swap", 2, lambda: build_and_die(inputs[2], out, "9"))
    with pytest.raises(DatasetError, match=r"was first to commit its tables; they stand when .* done again"):
        build_delta(inputs[1], out)
    assert_tables_equal(tables_of(build_delta(inputs[2], out)), wanted[2])
    assert_tables_equal(read_by_logs(out), wanted[2])


@pytest.mark.long
@pytest.mark.usefixtures("_no_lock")
@pytest.mark.parametrize("same", [True, False], ids=["the_same_input", "two_inputs"])
def test_of_builds_at_the_same_time_one_ends_and_the_tables_are_all_of_it(
    inputs: Sequence[Path], wanted: Sequence[Mapping[str, pl.DataFrame]], out: str, same: bool
) -> None:
    def work(number: int) -> int | str:
        try:
            build_delta(inputs[number], out)
        except DatasetError as error:
            return str(error)
        return number

    with ThreadPoolExecutor(3) as pool:
        ended = list(pool.map(work, [0, 0, 0] if same else [0, 1, 2]))
    won = [number for number in ended if isinstance(number, int)]
    assert won, ended
    assert all("Another build into" in told for told in ended if isinstance(told, str))
    stands = qf.open(out).manifest["inputs"][0]["name"]
    number = [str(file) for file in inputs].index(stands)
    assert number in won
    assert_tables_equal(tables_of(qf.open(out)), wanted[number])
    assert_tables_equal(read_by_logs(out), wanted[number])


# Somebody else


def append_rows(table: DeltaTable) -> None:
    write_deltalake(table, pl.read_delta(table), mode="append")


def replace_rows(table: DeltaTable) -> None:
    write_deltalake(table, pl.read_delta(table).head(1), mode="overwrite")


def compact_files(table: DeltaTable) -> None:
    assert table.optimize.compact()["numFilesRemoved"] > 0


def vacuum_files(table: DeltaTable) -> None:
    compact_files(table)
    assert table.vacuum(0, dry_run=False, enforce_retention_duration=False, full=True)


CHANGES = [append_rows, replace_rows, compact_files, vacuum_files]


@pytest.mark.long
@pytest.mark.parametrize("change", CHANGES)
def test_what_somebody_else_did_to_a_table_between_two_builds_is_replaced(
    inputs: Sequence[Path], wanted: Sequence[Mapping[str, pl.DataFrame]], lake: str, change: Callable[..., None]
) -> None:
    change(DeltaTable(f"{lake}/order_positions"))
    assert_tables_equal(tables_of(build_delta(inputs[1], lake)), wanted[1])
    assert_tables_equal(read_by_logs(lake), wanted[1])


@pytest.mark.long
@pytest.mark.parametrize("change", [append_rows, replace_rows, compact_files])
def test_what_somebody_else_does_to_a_table_while_it_is_committed_to_is_replaced(
    inputs: Sequence[Path], wanted: Sequence[Mapping[str, pl.DataFrame]], lake: str, change: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    do_before_call(monkeypatch, DeltaTable, "create_write_transaction", 1, lambda: change(DeltaTable(f"{lake}/orders")))
    assert_tables_equal(tables_of(build_delta(inputs[1], lake)), wanted[1])
    assert_tables_equal(read_by_logs(lake), wanted[1])


@pytest.mark.long
def test_a_compact_table_is_read_by_the_dataset_until_its_files_are_removed_and_built_again_then(
    inputs: Sequence[Path], wanted: Sequence[Mapping[str, pl.DataFrame]], lake: str
) -> None:
    compact_files(DeltaTable(f"{lake}/orders"))
    assert_tables_equal(tables_of(qf.open(lake)), wanted[0])
    assert_tables_equal(read_by_logs(lake), wanted[0])
    table = DeltaTable(f"{lake}/orders")
    assert table.vacuum(0, dry_run=False, enforce_retention_duration=False)
    with pytest.raises(DatasetError, match=r"is missing or not the file of orders that was built. Build it again"):
        qf.open(lake)
    assert_tables_equal(tables_of(build_delta(inputs[0], lake)), wanted[0])
    assert_tables_equal(read_by_logs(lake), wanted[0])


@pytest.mark.long
def test_a_table_that_is_changed_without_end_is_told(
    inputs: Sequence[Path], out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise CommitFailedError("Ms Secret at C:/secret")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", refuse)
    with pytest.raises(DatasetError, match=r"cannot be written to .*another job.*build again") as told:
        build_delta(inputs[0], out)
    assert "ecret" not in str(told.value)


# What is refused before any work


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def forbid() -> None:
        def work(*_: object, **__: object) -> None:
            raise AssertionError("it works already")

        monkeypatch.setattr(building, "OrderIndex", work)

    return forbid


@pytest.mark.long
def test_tables_of_another_shape_or_of_somebody_else_are_refused_first(
    inputs: Sequence[Path], lake: str, no_work: Callable[[], None]
) -> None:
    no_work()
    shutil.rmtree(f"{lake}/order_tags")
    write_deltalake(f"{lake}/order_tags", TABLES["order_tags"].empty_frame().with_columns(more=1))
    with pytest.raises(ConfigError, match=r"lake/order_tags has other columns: more"):
        build_delta(inputs[1], lake)
    write_deltalake(f"{lake}/order_tags", TABLES["order_tags"].empty_frame(), mode="overwrite", schema_mode="overwrite")
    with pytest.raises(
        ConfigError, match=r"quivo_frames did not write the Delta table .*lake/order_tags|another shape"
    ):
        build_delta(inputs[1], lake)


@pytest.mark.long
def test_tables_of_another_version_are_refused_first(
    inputs: Sequence[Path], lake: str, no_work: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    no_work()
    monkeypatch.setattr(delta, "SCHEMA_VERSION", 2)
    with pytest.raises(ConfigError, match="has schema version 1, these tables have version 2"):
        build_delta(inputs[1], lake)


@pytest.mark.long
def test_tables_that_an_export_wrote_are_refused_first(
    inputs: Sequence[Path], out: str, tmp_path: Path, no_work: Callable[[], None]
) -> None:
    qf.build(inputs[0], tmp_path / "tables").export("delta", out)
    no_work()
    with pytest.raises(ConfigError, match=r"is not empty and holds no dataset .*Give an empty or a new place"):
        build_delta(inputs[0], out)
    assert {name: DeltaTable(f"{out}/{name}").version() for name in BUILT} == for_all_tables(1)


@pytest.mark.long
def test_without_deltalake_it_is_told_what_to_install(
    inputs: Sequence[Path], out: str, no_work: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    no_work()
    monkeypatch.delitem(sys.modules, "quivo_frames.export.delta")
    monkeypatch.setitem(sys.modules, "deltalake", None)
    with pytest.raises(ConfigError, match=r"delta needs deltalake. Install it: pip install 'quivo-frames\[export\]'"):
        build_delta(inputs[0], out)
    assert not Path(out).exists()


@pytest.mark.long
@pytest.mark.parametrize("name", ["a%20b", "[x]", "a#b"])
def test_a_name_that_delta_lake_does_not_take_is_refused_first(
    inputs: Sequence[Path], tmp_path: Path, name: str, no_work: Callable[[], None]
) -> None:
    no_work()
    with pytest.raises(ConfigError, match="Give another name"):
        build_delta(inputs[0], str(tmp_path / name))
    assert not list(tmp_path.iterdir())


@pytest.mark.long
@pytest.mark.parametrize("name", ["Lager München", "50%"])
def test_a_place_may_be_called_anything_else(
    inputs: Sequence[Path], wanted: Sequence[Mapping[str, pl.DataFrame]], tmp_path: Path, name: str
) -> None:
    out = str(tmp_path / name)
    build_delta(inputs[0], out)
    assert_tables_equal(read_by_logs(out), wanted[0])


@pytest.mark.long
def test_forms_do_not_mix(
    inputs: Sequence[Path], wanted: Sequence[Mapping[str, pl.DataFrame]], lake: str, tmp_path: Path
) -> None:
    other = str(tmp_path / "parquet")
    qf.build(inputs[0], other)
    with pytest.raises(ConfigError, match=r"lake holds Delta tables\. .*Build as delta again, or give another place"):
        qf.build(inputs[1], lake)
    with ThreadPoolExecutor(1) as pool, pytest.raises(ConfigError, match=r"lake holds Delta tables"):
        qf.build(inputs[1], lake, executor=pool)
    with pytest.raises(ConfigError, match=r"parquet holds tables that are not Delta tables\. .*Build as parquet again"):
        build_delta(inputs[1], other)
    assert_tables_equal(read_by_logs(lake), wanted[0])
    assert_tables_equal(tables_of(qf.open(other)), wanted[0])


# In an object store


@pytest.mark.long
def test_a_store_holds_the_same_also_after_a_death(
    inputs: Sequence[Path], wanted: Sequence[Mapping[str, pl.DataFrame]], s3: Any
) -> None:
    out = "s3://lake/out"
    build_and_die(inputs[0], out, "9")
    with pytest.raises(DatasetError, match="a build of it was cut off"):
        qf.open(out)
    assert_tables_equal(tables_of(build_delta(inputs[0], out)), wanted[0])
    build_and_die(inputs[1], out, "9")
    assert_tables_equal(tables_of(qf.open(out)), wanted[0])
    assert_tables_equal(tables_of(build_delta(inputs[1], out)), wanted[1])
    assert_tables_equal(read_by_logs(out), wanted[1])
    assert count_commits(out) == for_all_tables(2)
    assert_tables_equal(read_by_logs(out, 1), wanted[0])


@pytest.mark.long
def test_two_that_write_to_a_store_do_not_mix(
    inputs: Sequence[Path], wanted: Sequence[Mapping[str, pl.DataFrame]], s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = "s3://lake/out"
    do_before_call(monkeypatch, DeltaTable, "create_write_transaction", 9, lambda: build_delta(inputs[2], out))
    with pytest.raises(DatasetError, match="ended first, and its tables stand"):
        build_delta(inputs[1], out)
    assert_tables_equal(read_by_logs(out), wanted[2])


@pytest.mark.long
def test_what_a_store_refuses_is_a_sentence(inputs: Sequence[Path], s3: Any, server: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be written to s3://nowhere/out: there is no such bucket"):
        build_delta(inputs[0], "s3://nowhere/out")
    with die_during_build("9", lambda: post_to_server(server, "reset-auth", b"0")):
        try:
            with pytest.raises(
                ConfigError, match=r"access was refused.*build again. The earlier tables are still"
            ) as told:
                build_delta(inputs[0], "s3://lake/out")
        finally:
            post_to_server(server, "reset-auth", b"inf")
    assert SECRET_KEY not in str(told.value)
