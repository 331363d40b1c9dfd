"""An export to Delta Lake merges whole orders, repeats without harm, and is read by delta-rs, polars and pandas alike."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, Schema, write_deltalake
from hypothesis import given, settings

import quivo_frames as qf
from quivo_frames.errors import ConfigError, ExportError
from quivo_frames.export import delta
from quivo_frames.export.formats import ExportFormat, ExportJob, export_tables
from quivo_frames.flattening.flatten import flatten
from quivo_frames.model.frames import Frames
from quivo_frames.model.privacy import PrivacyLevel
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import write_ndjson
from quivo_frames.storage.parquet import arrow_schema
from tests.support.depth import examples
from tests.support.drawn_orders import DRAWN_SETTINGS, several_orders
from tests.support.hostile_attributes import hostile_order_json
from tests.support.order_comparison import assert_orders_come_back, flatten_drawn_orders
from tests.support.reader_environment import run_in_reader_environment
from tests.support.round_trips import assert_tables_equal, export_job, flatten_standin_orders, read_every_byte


@pytest.fixture(scope="module")
def frames() -> Frames:
    return flatten_standin_orders(range(1, 61))


@pytest.fixture
def out(tmp_path: Path) -> str:
    return str(tmp_path / "lake")


def export_to_delta(
    tables: Mapping[str, pl.DataFrame], out: str, *erased: int, max_ids: int | None = None
) -> list[str]:
    job = export_job(tables, erased)
    if max_ids is not None:
        return list(delta.write_tables(job, out, max_ids_in_predicate=max_ids).notices)
    return list(export_tables(job, ExportFormat.DELTA, out).notices)


def read_tables(out: str) -> dict[str, pl.DataFrame]:
    """All tables, by delta-rs and its own engine."""
    return {name: pl.DataFrame(pa.table(DeltaTable(f"{out}/{name}").to_pyarrow_table())) for name in TABLES}


def read_with_polars(out: str) -> dict[str, pl.DataFrame]:
    return {name: pl.read_delta(f"{out}/{name}") for name in TABLES}


def table_versions(out: str) -> dict[str, int]:
    return {name: DeltaTable(f"{out}/{name}").version() for name in TABLES}


def merge_orders(below: Frames, above: Frames) -> dict[str, pl.DataFrame]:
    """What a target has when the orders of `above` came to those of `below`."""
    rest = below.without_orders(above.orders["order_id"])
    return {name: pl.concat([rest[name], above[name]]) for name in TABLES}


# What is read


@pytest.mark.long
def test_every_cell_of_every_table_is_read_as_it_was(frames: Frames, out: str) -> None:
    exported = export_tables(export_job(frames), ExportFormat.DELTA, out)
    assert_tables_equal(read_tables(out), frames)
    assert_tables_equal(read_with_polars(out), frames)
    assert exported.rows == {name: frame.height for name, frame in frames.items()}


PANDAS = """
import json, sys
from deltalake import DeltaTable
frame = DeltaTable(sys.argv[1]).to_pandas(types_mapper=__import__("pandas").ArrowDtype)
kinds = {column: str(kind) for column, kind in frame.dtypes.items()}
rows = [[None if value is None or value != value else str(value) for value in row]
        for row in frame.astype(object).where(frame.notna(), None).itertuples(index=False, name=None)]
print(json.dumps([kinds, rows]))
"""


@pytest.mark.long
@pytest.mark.parametrize("name", ["orders", "order_positions"])
def test_pandas_reads_every_cell(frames: Frames, out: str, name: str) -> None:
    export_tables(export_job(frames), ExportFormat.DELTA, out)
    kinds, rows = run_in_reader_environment(PANDAS, f"{out}/{name}")
    wanted = [
        [None if value is None else str(value) for value in row] for row in frames[name].iter_rows()
    ]  # Python's own texts
    assert sorted(rows, key=str) == sorted(wanted, key=str)
    assert set(kinds) == set(TABLES[name].schema)


@pytest.mark.long
@pytest.mark.parametrize("read", [read_tables, read_with_polars], ids=["delta_rs", "polars"])
def test_orders_come_back_through_delta(out: str, read: object) -> None:
    bodies = [hostile_order_json(number, 3) for number in range(1, 61)]
    export_to_delta(flatten(bodies), out)
    assert_orders_come_back(bodies, read(out))


@pytest.mark.long
@pytest.mark.drawn
def test_drawn_orders_come_back_through_delta(tmp_path: Path) -> None:
    count = iter(range(1_000))

    @settings(DRAWN_SETTINGS, max_examples=examples(12))
    @given(several_orders())
    def law(bodies: list[str]) -> None:
        out = str(tmp_path / str(next(count)))
        export_to_delta(flatten_drawn_orders(bodies), out)
        assert_orders_come_back(bodies, read_tables(out))

    law()


def test_a_table_says_what_it_and_its_columns_are(frames: Frames, out: str) -> None:
    export_to_delta(frames, out)
    for name, described in TABLES.items():
        table = DeltaTable(f"{out}/{name}")
        metadata = table.metadata()
        assert (metadata.name, metadata.description) == (name, f"One row per {described.grain}.")
        assert metadata.configuration["quivo_frames.schema_version"] == "1"
        for column, field in zip(described.columns, table.schema().fields, strict=True):
            assert field.metadata["comment"] == column.sentence
            assert field.metadata["privacy"] == str(column.privacy)
            assert field.metadata.get("unit") == column.unit
            assert field.nullable is not column.required


def test_types_are_those_that_spark_reads_without_a_setting(frames: Frames, out: str) -> None:
    export_to_delta(frames, out)
    kinds = {field.type.type for name in TABLES for field in DeltaTable(f"{out}/{name}").schema().fields}
    assert kinds == {"string", "long", "integer", "boolean", "timestamp", "date", "decimal(18,4)", "double"}
    protocol = DeltaTable(f"{out}/orders").protocol()
    assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2)
    (file,) = Path(out, "orders").glob("*.parquet")
    physical = {column.name: column for column in pq.ParquetFile(file).schema}
    assert "microseconds" in str(physical["order_date"].logical_type)
    assert "isAdjustedToUTC=true" in str(physical["order_date"].logical_type)
    assert physical["order_date"].physical_type == "INT64"  # no INT96, no nanoseconds


def test_the_history_tells_the_run(frames: Frames, out: str) -> None:
    job = export_job(frames)
    export_tables(job, ExportFormat.DELTA, out)
    history = json.loads(DeltaTable(f"{out}/shipments").history(1)[0]["userMetadata"])
    assert history == {
        "by": "quivo_frames", "version": "1.2.3", "tables": f"{job.snapshot_name} full", "rows": frames.shipments.height
    }  # fmt: skip


def test_without_an_order_all_tables_are_there(out: str) -> None:
    export_to_delta({name: table.empty_frame() for name, table in TABLES.items()}, out)
    assert_tables_equal(read_tables(out), {name: table.empty_frame() for name, table in TABLES.items()})


@pytest.mark.long
def test_pyarrow_is_not_needed(frames: Frames, out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyarrow", "pyarrow.dataset", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    export_to_delta(frames, out)
    export_to_delta(flatten_standin_orders(range(50, 71), seed=2), out)


# Merging


@pytest.mark.long
@pytest.mark.parametrize("max_ids", [0, 1_000], ids=["written_anew", "by_ids"])
def test_orders_are_replaced_as_a_whole_and_others_stay(frames: Frames, out: str, max_ids: int) -> None:
    export_to_delta(frames, out, max_ids=max_ids)
    later = flatten_standin_orders(range(41, 81), seed=7)
    assert not later["shipments"].equals(frames["shipments"])
    export_to_delta(later, out, max_ids=max_ids)
    assert_tables_equal(read_tables(out), merge_orders(frames, later))
    assert set(table_versions(out).values()) == {2}  # created, and one commit each


@pytest.mark.long
@pytest.mark.parametrize("max_ids", [0, 1_000], ids=["written_anew", "by_ids"])
def test_lines_that_vanished_vanish(frames: Frames, out: str, max_ids: int) -> None:
    export_to_delta(frames, out, max_ids=max_ids)
    bare = flatten([b'{"orderId":%d}' % number for number in frames.orders["order_id"][:10]])
    export_to_delta(bare, out, max_ids=max_ids)
    found = read_tables(out)
    assert found["order_positions"].filter(pl.col("order_id").is_in(bare.orders["order_id"].implode())).is_empty()
    assert_tables_equal(found, merge_orders(frames, bare))


@pytest.mark.long
@pytest.mark.parametrize("max_ids", [0, 1_000])
@pytest.mark.parametrize("name", ["aus gabe", "Lager München", "50%"])
def test_a_place_may_be_called_anything(frames: Frames, tmp_path: Path, name: str, max_ids: int) -> None:
    out = str(tmp_path / name)
    export_to_delta(frames, out, max_ids=max_ids)
    below, above = frames.without_orders(range(1, 11)), frames.without_orders(range(11, 61))
    export_to_delta(below, out, *range(1, 11), max_ids=max_ids)
    assert_tables_equal(read_tables(out), below)
    export_to_delta(above, out, max_ids=max_ids)
    assert_tables_equal(read_tables(out), frames)


@pytest.mark.parametrize("name", ["a%20b", "[x]", "a#b", "a?b"])
def test_a_name_that_delta_lake_cannot_write_to_is_refused(frames: Frames, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="Give another name"):
        export_to_delta(frames, str(tmp_path / name))
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_orders_that_are_only_in_the_target_stay(frames: Frames, out: str) -> None:
    export_to_delta(frames, out)
    export_to_delta(Frames.of(frames.without_orders(frames.orders["order_id"][5:])), out)
    assert_tables_equal(read_tables(out), frames)


def test_the_same_tables_again_commit_nothing(frames: Frames, out: str) -> None:
    export_to_delta(frames, out)
    before = table_versions(out)
    assert export_to_delta(frames, out) == ["All of them were there already: nothing was written."]
    assert table_versions(out) == before


@pytest.mark.long
def test_an_earlier_state_is_written_again_after_a_later_one(frames: Frames, out: str) -> None:
    later = flatten_standin_orders(range(1, 61), seed=7)
    for tables in (frames, later, frames):
        export_to_delta(tables, out)
        assert_tables_equal(read_tables(out), tables)


@pytest.mark.long
def test_what_somebody_else_changed_since_is_mended(frames: Frames, out: str) -> None:
    export_to_delta(frames, out)
    DeltaTable(f"{out}/shipments").delete("ordinal = 0")
    export_to_delta(frames, out)
    assert_tables_equal(read_tables(out), frames)


@pytest.mark.long
@pytest.mark.parametrize("name", ["custom_attributes", "shipments", "orders"])
def test_an_export_that_was_cut_off_goes_on_when_repeated(
    frames: Frames, out: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = flatten_standin_orders(range(41, 81), seed=7)
    export_to_delta(frames, out)
    plain = delta._replace_orders

    def cut(table: DeltaTable, *others: object) -> None:
        if table.metadata().name == name:
            raise OSError(28, "No space left on device")
        plain(table, *others)

    monkeypatch.setattr(delta, "_replace_orders", cut)
    with pytest.raises(ExportError, match="the disk is full"):
        export_to_delta(later, out)
    assert read_tables(out)["orders"].sort("order_id").equals(frames.orders.sort("order_id"))  # orders come last
    monkeypatch.undo()
    export_to_delta(later, out)
    assert_tables_equal(read_tables(out), merge_orders(frames, later))
    assert set(table_versions(out).values()) == {2}  # what was done is not done again


@pytest.mark.long
def test_of_two_exports_at_a_time_one_wins_and_the_other_is_reported(
    frames: Frames, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_to_delta(frames, out)
    first, second = flatten_standin_orders(range(41, 81), seed=7), flatten_standin_orders(range(61, 101), seed=8)
    plain, once = delta._replace_orders, iter([True])

    def late(*given: object) -> None:
        if next(once, False):
            export_to_delta(first, out)  # comes between the look at the table and its commit
        plain(*given)

    monkeypatch.setattr(delta, "_replace_orders", late)
    with pytest.raises(ExportError, match=r"Another job changed the table \w+ of .* at the same time, and was first"):
        export_to_delta(second, out)
    assert_tables_equal(read_tables(out), merge_orders(frames, first))
    export_to_delta(second, out)
    assert_tables_equal(read_tables(out), merge_orders(Frames.of(merge_orders(frames, first)), second))


@pytest.mark.long
def test_exports_of_several_threads_end_as_if_one_after_the_other(frames: Frames, out: str) -> None:
    export_to_delta(frames, out)
    states = [flatten_standin_orders(range(1, 61), seed=seed) for seed in (11, 12)]
    messages: list[str] = []

    def work(tables: Frames) -> None:
        try:
            export_to_delta(tables, out)
        except ExportError as error:
            messages.append(str(error))

    threads = [threading.Thread(target=work, args=[tables]) for tables in states]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all("Another job changed" in text for text in messages)
    export_to_delta(states[0], out)
    assert_tables_equal(read_tables(out), states[0])


# Erasing


@pytest.mark.long
@pytest.mark.parametrize("max_ids", [0, 1_000], ids=["written_anew", "by_ids"])
def test_of_erased_orders_no_byte_stays(out: str, max_ids: int) -> None:
    bodies = [json.loads(hostile_order_json(number, 5)) for number in range(1, 41)]
    for place, body in enumerate(bodies):  # the first is the least and the last the greatest of all
        mark = f"{'AAA' if place == 0 else 'zzz'}secret{place}"
        body["orderDate"] = body["lastModified"] = f"{1990 + place}-03-04T05:06:07.654321Z"
        body["deliveryAddress"] = {"name1": mark, "city": f"{mark}city", "email": f"{mark}@example.org"}
        body["customAttributes"] = {f"{mark}key": f"{mark}value"}
        body["tags"] = [f"{mark}tag"]
    frames = flatten(json.dumps(body).encode() for body in bodies)
    erased = [bodies[0]["orderId"], bodies[-1]["orderId"]]
    export_to_delta(frames, out, max_ids=max_ids)
    DeltaTable(f"{out}/orders").create_checkpoint()
    export_to_delta(Frames.of(frames.without_orders([bodies[5]["orderId"]])), out, max_ids=max_ids)
    marks = [b"secret0", b"secret39", b"1990-03-04", b"2029-03-04", b"datetime.datetime(1990, 3, 4", b"(2029, 3, 4"]
    assert all(mark in read_every_byte(Path(out)) for mark in marks)
    rest = Frames.of(frames.without_orders(erased))
    sentences = export_to_delta(rest, out, *erased, max_ids=max_ids)
    assert "Earlier versions of the tables are gone" in sentences[0]
    assert_tables_equal(read_tables(out), rest)
    left = read_every_byte(Path(out))
    assert [mark for mark in marks if mark in left] == []
    assert b"secret1" in left  # else nothing would have been looked at


@pytest.mark.long
def test_orders_are_erased_also_where_the_tables_without_them_were_written_before(frames: Frames, out: str) -> None:
    gone = frames.orders["order_id"][3]
    rest = Frames.of(frames.without_orders([gone]))
    export_to_delta(frames, out)
    export_to_delta(rest, out)
    assert gone in read_tables(out)["orders"]["order_id"].to_list()
    export_to_delta(rest, out, gone)
    assert_tables_equal(read_tables(out), rest)


@pytest.mark.long
def test_after_erasing_exports_and_the_log_go_on_as_before(frames: Frames, out: str) -> None:
    export_to_delta(frames, out)
    DeltaTable(f"{out}/orders").alter.set_table_properties({"delta.logRetentionDuration": "interval 5 days"})
    cut_off = {"delta.logRetentionDuration": "interval 0 days"}  # as an erasing leaves it that was killed
    DeltaTable(f"{out}/shipments").alter.set_table_properties(cut_off)
    rest = Frames.of(frames.without_orders([frames.orders["order_id"][0]]))
    export_to_delta(rest, out, frames.orders["order_id"][0])
    assert export_to_delta(rest, out) == ["All of them were there already: nothing was written."]
    kept = {name: DeltaTable(f"{out}/{name}").metadata().configuration["delta.logRetentionDuration"] for name in TABLES}
    assert kept == dict.fromkeys(TABLES, "interval 30 days") | {"orders": "interval 5 days"}
    later = flatten_standin_orders(range(41, 81), seed=7)
    export_to_delta(later, out)
    assert_tables_equal(read_tables(out), merge_orders(rest, later))


def test_the_log_tells_no_value_but_ids_of_orders_and_times(frames: Frames, out: str) -> None:
    export_to_delta(frames, out)
    for log in Path(out).rglob("*.json"):
        for line in log.read_text().splitlines():
            added = json.loads(line).get("add")
            for values in json.loads(added["stats"]).items() if added else ():
                if values[0] in ("minValues", "maxValues"):
                    assert values[1].pop("order_id") > 0
                    assert all(datetime.fromisoformat(value) for value in values[1].values())


# What goes wrong


def change_table(out: str, name: str, change: object) -> dict[str, int]:
    """Replaces a table of the target by one of another shape; the versions of all tables."""
    shutil.rmtree(f"{out}/{name}")
    write_deltalake(f"{out}/{name}", change(TABLES[name].empty_frame()))
    return table_versions(out)


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop("carrier_pick_up_date"), "carrier_pick_up_date is missing there, and is timestamp"),
        (lambda frame: frame.with_columns(more=1), "more is integer there, and is missing in"),
        (lambda frame: frame.cast({"ordinal": pl.String}), "ordinal is string there, and is long in"),
    ],
    ids=["a_column_less", "a_column_more", "another_type"],
)
def test_a_table_of_another_shape_changes_no_table(frames: Frames, out: str, change: object, message: str) -> None:
    export_to_delta(frames, out)
    before = change_table(out, "shipments", change)
    with pytest.raises(ConfigError, match=message) as error:
        export_to_delta(flatten_standin_orders(range(1, 5), seed=9), out)
    assert "shipments" in str(error.value)
    assert table_versions(out) == before


def test_a_table_of_the_same_shape_that_somebody_else_made_is_left_alone(frames: Frames, out: str) -> None:
    DeltaTable.create(f"{out}/shipments", Schema.from_arrow(arrow_schema(TABLES["shipments"])))
    with pytest.raises(ConfigError, match=r"quivo_frames did not write the Delta table .*shipments"):
        export_to_delta(frames, out)
    assert [path.name for path in Path(out).iterdir()] == ["shipments"]


def test_a_table_of_another_version_of_the_tables_is_left_alone(
    frames: Frames, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_to_delta(frames, out)
    monkeypatch.setattr(delta, "SCHEMA_VERSION", 2)
    with pytest.raises(ConfigError, match="has schema version 1, these tables have version 2"):
        export_to_delta(flatten_standin_orders(range(1, 5)), out)


@pytest.mark.long
def test_levels_of_privacy_do_not_mix(frames: Frames, out: str) -> None:
    export_to_delta(frames, out)
    before = table_versions(out)
    for level in (PrivacyLevel.PSEUDONYM, PrivacyLevel.NONE):
        with pytest.raises(ConfigError, match=f"holds orders with --privacy full, these have --privacy {level}"):
            export_tables(export_job(frames, level=level), ExportFormat.DELTA, out)
    assert table_versions(out) == before
    export_tables(
        export_job(frames, level=PrivacyLevel.PSEUDONYM, privacy="pseudonym 1a2b3c4d"), ExportFormat.DELTA, f"{out}2"
    )
    with pytest.raises(ConfigError, match="do not mix"):  # another key
        export_tables(
            export_job(frames, level=PrivacyLevel.PSEUDONYM, privacy="pseudonym 5e6f7a8b"),
            ExportFormat.DELTA,
            f"{out}2",
        )


@pytest.mark.long
def test_without_personal_values_their_columns_may_be_empty(frames: Frames, out: str) -> None:
    export_tables(export_job(frames, level=PrivacyLevel.NONE), ExportFormat.DELTA, out)
    field = next(f for f in DeltaTable(f"{out}/tracking_numbers").schema().fields if f.name == "tracking_number")
    assert field.nullable
    assert read_tables(out)["tracking_numbers"]["tracking_number"].null_count() == frames.tracking_numbers.height > 0


def test_a_folder_of_something_else_is_left_alone(frames: Frames, tmp_path: Path) -> None:
    (tmp_path / "report.xlsx").touch()
    with pytest.raises(ConfigError, match=r"other content than Delta tables \(report.xlsx, for one\)"):
        export_to_delta(frames, str(tmp_path))
    (tmp_path / "lake" / "shipments").mkdir(parents=True)
    (tmp_path / "lake" / "shipments" / "part-0.parquet").touch()
    with pytest.raises(ConfigError, match="other content than Delta tables"):
        export_to_delta(frames, str(tmp_path / "lake"))
    with pytest.raises(ConfigError, match="is a file"):
        export_to_delta(frames, str(tmp_path / "report.xlsx"))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["lake", "part-0.parquet", "report.xlsx", "shipments"]


def test_other_delta_tables_beside_ours_stay(frames: Frames, out: str) -> None:
    write_deltalake(f"{out}/customers", pl.DataFrame({"a": [1]}))
    export_to_delta(frames, out)
    assert DeltaTable(f"{out}/customers").version() == 0


def test_a_disk_that_refuses_is_reported_without_a_value_of_an_order(
    frames: Frames, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: pl.DataFrame) -> pl.DataFrame:
        raise ValueError("Ms Secret lives here")

    job = export_job(frames)
    broken = job._replace(tables={**job.tables, "orders": job.tables["orders"].map_batches(refuse)})
    with pytest.raises(ExportError, match="cannot be written") as caught:
        export_tables(broken, ExportFormat.DELTA, out)
    assert "Secret" not in str(caught.value)


def test_a_folder_that_may_not_be_made_is_reported(frames: Frames, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises((ConfigError, ExportError), match="cannot be written"):
        export_to_delta(frames, str(tmp_path / "file" / "lake"))


def test_the_files_are_for_their_owner_alone(frames: Frames, out: str) -> None:
    export_to_delta(frames, out)
    assert Path(out).stat().st_mode & 0o777 == 0o700


@pytest.mark.long
def test_a_dataset_is_exported_with_its_level_of_privacy(tmp_path: Path) -> None:
    write_ndjson(tmp_path / "orders.ndjson", 20)
    tables = qf.build(tmp_path / "orders.ndjson", tmp_path / "tables")
    tables.export("delta", f"{tmp_path}/lake/", privacy="none")
    assert DeltaTable(tmp_path / "lake" / "orders").metadata().configuration["quivo_frames.privacy"] == "none"
    result = tables.export("delta", tmp_path / "lake", privacy="none")
    assert "nothing was written" in str(result)


def test_an_export_job_without_a_privacy_level_is_full() -> None:
    assert ExportJob({}, {}, "", "").privacy == "full"
