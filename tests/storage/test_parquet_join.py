"""Joined parquet files are what polars, pyarrow and DuckDB read as the rows of the pieces, one after the other."""

from __future__ import annotations

import hashlib
import random
import stat
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from quivo_frames.errors import DatasetError
from quivo_frames.model.frames import Frames
from quivo_frames.model.tables import TABLES
from quivo_frames.storage import parquet
from quivo_frames.storage.compact_thrift import BrokenStruct, read_struct, write_struct
from quivo_frames.storage.parquet import write_parquet_table
from quivo_frames.storage.parquet_join import JoinedFile, ParquetPiece, join_parquet_files
from tests.support.round_trips import flatten_standin_orders


def read_with_duckdb(path: Path) -> pl.DataFrame:
    with duckdb.connect() as db:
        db.execute("SET TimeZone = 'UTC'")
        return pl.DataFrame(db.sql(f"SELECT * FROM '{path}'").to_arrow_table())


def read_with_pyarrow(path: Path) -> pl.DataFrame:
    return pl.DataFrame(pq.ParquetFile(path).read())


READERS = [pl.read_parquet, read_with_pyarrow, read_with_duckdb]


def assert_reads_as(path: Path, expected: pl.DataFrame) -> None:
    for read in READERS:
        assert_frame_equal(read(path).cast(expected.schema), expected)  # type: ignore[operator]


def numbers(ids: range) -> pl.DataFrame:
    """Columns with a dictionary and without, decimals, nulls, times, texts of all lengths, booleans."""
    return pl.DataFrame(
        {
            "order_id": ids,
            "code": [f"code {order_id % 3}" for order_id in ids],
            "amount": pl.Series([Decimal(order_id) / 8 for order_id in ids], dtype=pl.Decimal(38, 12)),
            "often_null": [order_id if order_id % 5 == 0 else None for order_id in ids],
            "null": pl.Series([None] * len(ids), dtype=pl.Float64),
            "text": ["ä" * (order_id % 50) for order_id in ids],
            "when": pl.Series(ids, dtype=pl.Int64).cast(pl.Datetime("us", "UTC")),
            "flag": [order_id % 2 == 0 for order_id in ids],
        },
        schema_overrides={
            "order_id": pl.Int64,
            "code": pl.String,
            "often_null": pl.Int64,
            "text": pl.String,
            "flag": pl.Boolean,
        },
    )


def write_numbers(path: Path, ids: range, row_group_size: int = 100) -> ParquetPiece:
    numbers(ids).write_parquet(path, row_group_size=row_group_size)
    return ParquetPiece(path)


@pytest.fixture
def pieces(tmp_path: Path) -> list[ParquetPiece]:
    """1,000 rows in three files, one of them empty, and one with a row group of one row."""
    ranges = [range(301), range(0), range(301, 302), range(302, 1000)]
    return [write_numbers(tmp_path / f"{part}.parquet", ids) for part, ids in enumerate(ranges)]


def test_joined_rows_are_those_of_the_pieces(tmp_path: Path, pieces: list[ParquetPiece]) -> None:
    joined = join_parquet_files(pieces, out := tmp_path / "out.parquet")
    assert_reads_as(out, numbers(range(1000)))
    data = out.read_bytes()
    assert joined == JoinedFile(1000, len(data), hashlib.sha256(data).hexdigest(), 12)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def test_what_was_joined_can_be_joined_again(tmp_path: Path, pieces: list[ParquetPiece]) -> None:
    join_parquet_files(pieces, once := tmp_path / "once.parquet")
    write_numbers(more := tmp_path / "more.parquet", range(1000, 1100))
    join_parquet_files([ParquetPiece(once), ParquetPiece(more)], once)  # also over one of its own pieces
    assert_reads_as(once, numbers(range(1100)))


def test_row_groups_are_joined_by_range(tmp_path: Path, pieces: list[ParquetPiece]) -> None:
    first, last = pieces[0].path, pieces[-1].path
    ranges = [ParquetPiece(last, 2, 4), ParquetPiece(first, 0, 0), ParquetPiece(first, 3), ParquetPiece(first, 1, 2)]
    join_parquet_files(ranges, out := tmp_path / "out.parquet")
    expected = [numbers(range(502, 702)), numbers(range(300, 301)), numbers(range(100, 200))]
    assert_reads_as(out, pl.concat(expected))
    groups = pq.ParquetFile(out).metadata
    assert [groups.row_group(number).num_rows for number in range(groups.num_row_groups)] == [100, 100, 1, 100]


@pytest.mark.long
@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_every_table_is_joined(tmp_path: Path, table: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 64)
    name = table.name  # type: ignore[attr-defined]
    frames = [flatten_standin_orders(ids)[name] for ids in (range(1, 40), range(40, 41), range(41, 60))]
    frames.insert(1, frames[0].head(0))
    paths = [tmp_path / f"{part}.parquet" for part in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        write_parquet_table(frame.lazy(), path, TABLES[name])
    join_parquet_files([ParquetPiece(path) for path in paths], out := tmp_path / "out.parquet")
    assert_reads_as(out, pl.concat(frames))
    # Descriptions of columns, and which of them are never null, are still there.
    assert pq.read_schema(out).equals(pq.read_schema(paths[0]), check_metadata=True)
    assert pq.ParquetFile(out).metadata.created_by == pq.ParquetFile(paths[0]).metadata.created_by


@pytest.mark.long
def test_many_pieces_take_little_memory(tmp_path: Path) -> None:
    frame = flatten_standin_orders(range(1, 4))["orders"]
    write_parquet_table(frame.lazy(), path := tmp_path / "piece.parquet", TABLES["orders"])
    tracemalloc.start()
    try:
        joined = join_parquet_files([ParquetPiece(path)] * 60, out := tmp_path / "out.parquet")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (joined.rows, joined.row_groups) == (180, 60)
    assert most < 5_000_000  # a row group of 67 columns takes 150,000 bytes as a struct
    assert_reads_as(out, pl.concat([frame] * 60))


def test_statistics_stay_right(tmp_path: Path, pieces: list[ParquetPiece]) -> None:
    join_parquet_files(pieces[::-1], out := tmp_path / "out.parquet")
    expected = pl.concat(map(numbers, (range(302, 1000), range(301, 302), range(301))))
    footer = pq.ParquetFile(out).metadata
    for number in range(footer.num_row_groups):
        found = pl.DataFrame(pq.ParquetFile(out).read_row_group(number))
        statistics = footer.row_group(number).column(0).statistics
        assert (statistics.min, statistics.max) == (found["order_id"].min(), found["order_id"].max())
    for low, high in ((0, 0), (299, 303), (999, 999), (150, 820), (1000, 2000)):
        wanted = expected.filter(pl.col("order_id").is_between(low, high))
        assert_frame_equal(pl.scan_parquet(out).filter(pl.col("order_id").is_between(low, high)).collect(), wanted)
        with duckdb.connect() as db:
            ids = db.sql(f"SELECT order_id FROM '{out}' WHERE order_id BETWEEN {low} AND {high}").fetchall()
        assert [order_id for (order_id,) in ids] == wanted["order_id"].to_list()
        by_pyarrow = pq.read_table(out, filters=[("order_id", ">=", low), ("order_id", "<=", high)])
        assert by_pyarrow["order_id"].to_pylist() == wanted["order_id"].to_list()


@pytest.mark.long
def test_files_of_another_writer_with_indexes_and_filters_are_joined(tmp_path: Path) -> None:
    paths = [tmp_path / f"{part}.parquet" for part in range(2)]
    for part, path in enumerate(paths):
        table = pa.Table.from_batches(numbers(range(part * 500, part * 500 + 500)).to_arrow().to_batches())
        pq.write_table(
            table, path, row_group_size=200, data_page_size=256, write_page_index=True, use_dictionary=["code"],
            compression="zstd", bloom_filter_options={"order_id": True, "text": True},
        )  # fmt: skip
    assert pq.ParquetFile(paths[0]).metadata.row_group(0).column(0).has_offset_index
    join_parquet_files([ParquetPiece(path) for path in paths], out := tmp_path / "out.parquet")
    assert_reads_as(out, numbers(range(1000)))
    column = pq.ParquetFile(out).metadata.row_group(4).column(0)
    assert not column.has_offset_index
    assert not column.has_column_index
    with duckdb.connect() as db:  # which reads bloom filters
        assert db.sql(f"SELECT order_id FROM '{out}' WHERE order_id = 777").fetchall() == [(777,)]
    with pytest.raises(DatasetError, match=r"other columns .* or was written by another version"):
        join_parquet_files([ParquetPiece(paths[0]), write_numbers(tmp_path / "p.parquet", range(5))], out)


def test_no_pieces_are_an_empty_table(tmp_path: Path) -> None:
    joined = join_parquet_files([], out := tmp_path / "out.parquet", TABLES["orders"])
    assert_reads_as(out, Frames.of({})["orders"])
    assert joined == JoinedFile(0, out.stat().st_size, hashlib.sha256(out.read_bytes()).hexdigest(), 0)


def test_nothing_but_empty_files_is_an_empty_table(tmp_path: Path) -> None:
    pieces = [write_numbers(tmp_path / f"{part}.parquet", range(0)) for part in range(3)]
    joined = join_parquet_files(pieces, out := tmp_path / "out.parquet")
    assert (joined.rows, joined.row_groups) == (0, 0)
    assert_reads_as(out, numbers(range(0)))


def test_other_columns_are_refused_and_nothing_is_replaced(tmp_path: Path, pieces: list[ParquetPiece]) -> None:
    out = write_numbers(tmp_path / "out.parquet", range(3)).path
    numbers(range(3)).drop("flag").write_parquet(other := tmp_path / "other.parquet")
    with pytest.raises(DatasetError, match=r"other\.parquet has other columns than .*0\.parquet"):
        join_parquet_files([*pieces, ParquetPiece(other)], out)
    assert_reads_as(out, numbers(range(3)))
    assert not list(tmp_path.glob(".new*"))


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut off": lambda data: data[:-1],
    "its beginning alone": lambda data: data[:6],
    "no footer": lambda data: data[:4] + data[-8:],
    "a shorter body": lambda data: data[:4] + data[8000:],
    "a footer of zeros": lambda data: data[:-200] + bytes(192) + data[-8:],
    "something else": lambda _: b"SQLite format 3\0" * 40,
    "a footer that is longer than the file": lambda data: data[:-8] + b"\xff\xff\xff\x7fPAR1",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_an_error_that_names_it(
    tmp_path: Path, pieces: list[ParquetPiece], damage: Callable[[bytes], bytes]
) -> None:
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(damage(pieces[0].path.read_bytes()))
    with pytest.raises(DatasetError, match=r"broken\.parquet is no complete parquet file"):
        join_parquet_files([pieces[-1], ParquetPiece(broken)], tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_a_changed_footer_is_an_error_or_a_footer(tmp_path: Path, pieces: list[ParquetPiece]) -> None:
    data, chance = pieces[0].path.read_bytes(), random.Random(1)
    size = int.from_bytes(data[-8:-4], "little") + 8
    broken = tmp_path / "broken.parquet"
    for _ in range(500):
        changed = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            changed[-chance.randint(1, size)] = chance.randrange(256)
        broken.write_bytes(changed)
        with suppress(DatasetError):
            join_parquet_files([ParquetPiece(broken)], tmp_path / "o")


def test_footers_are_written_as_they_were_read(pieces: list[ParquetPiece]) -> None:
    data = pieces[0].path.read_bytes()
    footer = data[-8 - int.from_bytes(data[-8:-4], "little") : -8]
    fields, size = read_struct(footer)
    assert size == len(footer)
    assert write_struct(fields) == footer


def test_every_type_is_read_and_written() -> None:
    fields = {
        1: (1, True), 2: (2, False), 3: (3, 255), 4: (4, -3), 20: (5, -(2**31)), 21: (6, 2**63 - 1), 22: (7, b"12345678"),
        23: (8, b"x" * 300), 24: (9, (1, [True, False] * 20)), 25: (10, (6, [0, -1, 1, 2**40])), 300: (12, {1: (12, {})}),
        301: (9, (9, [(8, [b""]), (8, [])])),
    }  # fmt: skip
    data = write_struct(fields)
    assert read_struct(data + b"more") == (fields, len(data))
    for cut in range(len(data)):
        with pytest.raises(BrokenStruct):
            read_struct(data[:cut])
    with pytest.raises(BrokenStruct):
        read_struct(b"\x1c" * 10**5)
    with pytest.raises(BrokenStruct):
        read_struct(b"\x1b\x00\x00")
