"""Where order ids come from: every source gives the same numbers, and says where one is that cannot be an id."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from array import array
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard

from quivo_frames.archive.archive import Archive
from quivo_frames.errors import ConfigError
from quivo_frames.fetch.order_ids import Ids, read_failed_ids, read_ids, validate_ids
from quivo_frames.model.records import Answer, Outcome
from tests.support.paths import ROOT

IDS = [100_001, 7, 100_003, 7, 2**63 - 1]
EVENT = {"id": 1, "entity": "ORDERS", "lastModified": "2019-12-15T14:48:12Z", "version": 3}


def make_event(order_id: Any, entity: Any = "ORDERS", **others: Any) -> dict[str, Any]:
    return {**EVENT, "id": order_id, "entity": entity, **others}


def make_body(*events: Any) -> str:
    return json.dumps({"events": list(events)})


BODIES = "\n".join(make_body(make_event(n)) for n in IDS)
COMMAS = "order_id,name\n" + "".join(f"{n},x\n" for n in IDS)

FILES: dict[str, tuple[str, bytes]] = {
    "a line each": ("ids.txt", "\n".join(map(str, IDS)).encode()),
    "one line": ("ids", f"{IDS[0]} {IDS[1]},{IDS[2]}, {IDS[3]};\t{IDS[4]}".encode()),
    "comments": ("ids.list", f"# all\n{IDS[0]} # 12\n\n{IDS[1]}#3\n{IDS[2]}\n{IDS[3]}\n{IDS[4]}\n#".encode()),
    "windows lines and a BOM": ("ids.txt", b"\xef\xbb\xbf" + "\r\n".join(map(str, IDS)).encode()),
    "old lines": ("ids.txt", "\r".join(map(str, IDS)).encode()),
    "utf-16": ("ids.txt", "\n".join(map(str, IDS)).encode("utf-16")),
    "text, packed": ("ids.txt.gz", gzip.compress("\n".join(map(str, IDS)).encode())),
    "csv": ("ids.csv", COMMAS.encode()),
    "csv with a BOM": ("ids.CSV", b"\xef\xbb\xbf" + COMMAS.encode()),
    "csv, quoted": ("ids.csv", ('"a, b","Order ID"\r\n' + "".join(f'"x\n""y"" ,",{n}\r\n' for n in IDS)).encode()),
    "csv of Excel": ("ids.csv", ("Größe;orderId\r\n" + "".join(f"1,5;{n}\r\n" for n in IDS)).encode("cp1252")),
    "csv with a named delimiter": ("ids.csv", ("sep=;\nid;a\n" + "".join(f" {n} ;0\n" for n in IDS)).encode()),
    "text of Excel": ("ids.csv", ("a\tOrder-Id\r\n" + "".join(f"0\t{n}\r\n" for n in IDS)).encode("utf-16")),
    "tsv": ("ids.tsv", ("id\torder_id\n" + "".join(f"5\t{n}\n" for n in IDS)).encode()),
    "csv of one column": ("ids.csv", ("ORDER_ID\n" + "".join(f"{n}\n\n" for n in IDS)).encode()),
    "csv with blank first lines": ("ids.csv", (" \r\n\r\n,,\r\n" + COMMAS).encode()),
    "csv with blank lines around its delimiter": ("ids.csv", ("\n;\nsep=;\n\nid;a\n" + "".join(f"{n};0\n" for n in IDS)).encode()),
    "a blank that does not break beside an id": ("ids.txt", "\u00a0\n".join(map(str, IDS)).encode()),
    "csv, packed": ("ids.csv.zst", zstandard.compress(COMMAS.encode())),
    "events, a line each": ("events.ndjson", BODIES.encode()),
    "events in one body": ("events.json", make_body(*map(make_event, IDS)).encode()),
    "events, spread": ("events.json", json.dumps({"events": [*map(make_event, IDS)]}, indent=2).encode()),
    "events, end to end": ("events.jsonl", BODIES.replace("\n", "").encode()),
    "events in a list": ("events.json", f"[{','.join(BODIES.split(chr(10)))}]".encode()),
    "events, bare": ("events.ndjson", "\n".join(json.dumps(make_event(n)) for n in IDS).encode()),
    "events, spread after a line": (
        "events.json", (make_body(make_event(IDS[0])) + json.dumps({"events": [*map(make_event, IDS[1:])]}, indent=1)).encode()
    ),
    "events by another name": ("hooks.log", b"\xef\xbb\xbf\n " + BODIES.encode()),
    "events, packed": ("events.ndjson.gz", gzip.compress(BODIES.encode())),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content"), FILES.values(), ids=FILES)
def test_a_file_gives_its_ids_in_their_order(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    ids = read_ids(tmp_path / name)
    assert list(ids) == IDS
    assert list(ids) == IDS  # and again
    assert ids.left_out == {}


@pytest.mark.parametrize(("name", "content"), [FILES[k] for k in ("a line each", "one line", "events by another name")])
def test_a_stream_gives_its_ids_and_stays_open(name: str, content: bytes) -> None:
    stream = io.BytesIO(content)
    assert list(read_ids(stream)) == IDS
    assert not stream.closed
    assert list(read_ids(io.TextIOWrapper(io.BytesIO(content)))) == IDS  # type: ignore[arg-type]


def test_a_stream_may_be_a_table() -> None:
    assert list(read_ids(io.BytesIO(COMMAS.encode()), "order_id")) == IDS
    written = io.BytesIO()
    pl.DataFrame({"order_id": IDS}).write_parquet(written)
    written.seek(0)
    assert list(read_ids(written)) == IDS
    with pytest.raises(ConfigError, match="mode 'rb'"):
        read_ids(io.StringIO("1"))  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [pl.Int64, pl.UInt64, pl.String])
@pytest.mark.parametrize("name", ["ids.parquet", "ids.pq", "ids.parquet.zst", "ids.dat"])
def test_parquet_gives_the_ids_of_its_column(tmp_path: Path, dtype: Any, name: str) -> None:
    frame = pl.DataFrame({"id": [5] * 5, "orderId": pl.Series(IDS).cast(dtype), "other": [1.5] * 5})
    frame.write_parquet(tmp_path / "plain")
    packed = (tmp_path / "plain").read_bytes()
    (tmp_path / name).write_bytes(zstandard.compress(packed) if name.endswith("zst") else packed)
    assert list(read_ids(str(tmp_path / name))) == IDS
    assert list(read_ids(tmp_path / name, column="id")) == [5] * 5


class NumpyInteger:
    """A whole number as numpy has it."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


def test_python_gives_ids_as_it_has_them() -> None:
    expected = [3, 1, 2]
    for given in (
        (3, 1, 2), iter(["3", " 1", "2 "]), array("Q", expected),
        pl.Series(expected, dtype=pl.UInt64), pl.Series(["3", "1", "2"]), pl.DataFrame({"a": expected})["a"],
        map(NumpyInteger, expected), Ids(expected, "here"), dict.fromkeys(expected),
    ):  # fmt: skip
        assert list(validate_ids(given)) == expected
    assert list(validate_ids([1, str(2**63 - 1)])) == [1, 2**63 - 1]


def test_a_whole_table_or_a_single_id_is_told_from_a_column_of_them() -> None:
    for not_a_list in ("100001", 100001, Path("ids.txt"), None):
        with pytest.raises(ConfigError, match=r"must be a list .* read_ids\(path\)"):
            validate_ids(not_a_list)  # type: ignore[arg-type]
    for table in (pl.DataFrame({"order_id": [1]}), pl.LazyFrame({"order_id": [1]})):
        with pytest.raises(ConfigError, match=r'one column, not a whole table: give table\["order_id"\]'):
            validate_ids(table)  # type: ignore[arg-type]


def test_invalid_ids_are_counted_and_five_are_shown_with_their_places() -> None:
    with pytest.raises(
        ConfigError, match=r"^1,000 of the ids cannot .*: 'a0' \(no\. 2\), 'a1' \(no\. 3\), .* and 995 more\. "
    ):
        list(validate_ids(["1", *(f"a{n}" for n in range(1000))]))
    with pytest.raises(
        ConfigError, match=r"^1 of the ids .*: None \(no\. 2\)\. An order id is a whole number from 1 to"
    ):
        list(validate_ids(pl.Series([1, None])))


WRONG: dict[str, tuple[str, bytes, str | None, str]] = {
    "a word": ("ids.txt", b"1\n# two\n\n3 canary,4", None, "1 of the ids in ids.txt cannot be order ids: a text of 6 characters, not shown (line 4). An order id is a whole number from 1 to 9223372036854775807. If this is a table, tell the column of the ids: column, --column. Nothing was done."),
    "a fraction": ("ids.txt", b"1\n1.5", None, "'1.5' (line 2)"),
    "too high": ("ids.txt", b"9223372036854775808", None, "'9223372036854775808' (line 1)"),
    "a cell": ("ids.csv", b'id,n\n1,"a\nb"\n-2,c', None, "1 of the ids in the column id of ids.csv cannot be order ids: '-2' (line 4)."),
    "a cell after blank lines": ("ids.csv", b"\n;;\n\nid;n\n1;a\n0;b", None, "'0' (line 6)"),
    "a cell after sep=": ("ids.csv", b"sep=;\nid;n\n1;a\n0;b", None, "'0' (line 4)"),
    "a number with points": ("ids.csv", b"id\n100,001\n", None, "ids.csv, line 2: there are more cells than names of columns: which is the id?"),
    "a value of parquet": ("ids.parquet", b"", "text", "1 of the ids in the column text of ids.parquet cannot be order ids: a text of 6 characters, not shown (row 3)."),
    "fractions in parquet": ("ids.parquet", b"", "float", "1 of the ids in the column float of ids.parquet cannot be order ids: '3.5' (row 3)."),
    "days in parquet": ("ids.parquet", b"", "day", "The column day of ids.parquet holds Date, not numbers or text: an id cannot be read from it for sure."),
    "no such column": ("ids.csv", b"a,b;c\n1,2", "order", "In ids.csv there is no column order. Name one of its columns (column, --column): a, b;c."),
    "no column of ids": ("ids.csv", b"number;sku\n1;2", None, "In ids.csv no column means the order id. Name one of its columns (column, --column): number, sku."),
    "no column of ids in parquet": ("ids.parquet", b"", None, "no column means the order id. Name one of its columns (column, --column): text, float, day."),
    "two columns of ids": ("ids.csv", b"orderId,x,Order ID\n1,2,3", None, "Several columns of ids.csv may hold the order ids: orderId, Order ID. Name one"),
    "one column twice": ("ids.csv", b"id,id\n1,2", "id", "Several columns of ids.csv may hold the order ids: id, id."),
    "many columns": ("ids.csv", ",".join(f"c{chr(97 + n % 26)}{'x' * n}" for n in range(40)).encode(), None, "and 10 more"),
    "no names of columns": ("ids.csv", b"100017\n100018", None, "The first line of ids.csv does not look like the names of columns. Put them there, or, if there is nothing but ids in it, save it as .txt."),
    "persons for names of columns": ("ids.csv", b"canary@example.com,Canary\n", None, "does not look like the names of columns"),
    "an empty csv": ("ids.csv", b"", None, "ids.csv is empty"),
    "an open quote": ("ids.csv", b'id,n\n1,"a\n2,b\n', None, "ids.csv cannot be read as CSV (unexpected end of data)"),
    "no parquet": ("ids.parquet", b"canary", None, "ids.parquet cannot be read as parquet"),
    "no such file": ("gone.txt", b"", None, "There is no file gone.txt. Check the name and the folder you are in."),
    "a folder without events": ("folder", b"", None, "There are no files of webhook events (.json, .ndjson, .jsonl) in the folder folder"),
    "a workbook": ("ids.xlsx", b"PK\x03\x04canary", None, "ids.xlsx cannot be read as an Excel workbook. Save it as CSV."),
    "no workbook": ("ids.xlsx", b"id\ncanary", None, "ids.xlsx cannot be read as an Excel workbook. Save it as CSV."),
    "a zero-width space": ("ids.txt", "1\n100001\u200b\n".encode(), None, "1 of the ids in ids.txt cannot be order ids: '100001' with U+200B after the number (line 2). "),
    "marks around an id of a csv": ("ids.csv", "id\n\u2060100001\u200e\u200e\n".encode(), None, "'100001' with U+2060 before the number and U+200E after the number (line 2)"),
    "French thousands": ("ids.txt", "100\u202f001".encode(), None, "'100001' with U+202F within the number (line 1)"),
    "a word with a mark": ("ids.txt", "canary\u200b1".encode(), None, "a text of 8 characters, not shown (line 1)"),
    "thousands with a point": ("ids.txt", b"100.000", None, "'100.000' (line 1)"),
    "half an order": ("ids.csv", b"id\n100001.5\n", None, "'100001.5' (line 2)"),
    "a float of too many digits": ("ids.csv", b"id\n1234567890123456.0\n", None, "'1234567890123456.0' (line 2)"),
    "shortened by Excel": ("ids.csv", b"id\n1.23457E+11\n", None, "A spreadsheet has shortened numbers: format the column as text, and enter longer ids again. Nothing was done."),
    "an archive": ("orders.sqlite", b"SQLite format 3\0canary", None, "orders.sqlite is neither text nor one"),
    "packed under another name": ("ids.txt", gzip.compress(b"1"), None, "ids.txt is neither text nor one"),
    "a torn gz": ("ids.txt.gz", gzip.compress(b"1" * 99)[:-9], None, "The file ids.txt.gz cannot be read: it is broken or not packed so."),
    "no gz": ("ids.txt.gz", b"1", None, "The file ids.txt.gz cannot be read"),
    "a torn zst": ("ids.txt.zst", zstandard.compress(b"1" * 99)[:-4], None, "The file ids.txt.zst cannot be read"),
    "an event of a wrong id": ("events.ndjson", f"{make_body(make_event(1))}\n{make_body(make_event('canary'))}\n{make_body(make_event(True))}".encode(), None, "2 of the ids in events.ndjson cannot be order ids: a text of 6 characters, not shown (line 2), a text of 4 characters, not shown (line 3)."),
    "a wrong id in a spread body": ("events.json", "\n".join(json.dumps({"events": [make_event(n)]}, indent=2) for n in (1, 2, 0)).encode(), None, "'0' (line 21)"),
    "digits of another script": ("ids.txt", "1\n\u0663".encode(), None, "a text of 1 characters, not shown (line 2)"),
    "an event without an id": ("events.ndjson", b'\n{"events":[{"entity":"ORDERS"}]}', None, "(line 2)"),
    "no event": ("events.ndjson", f'{make_body(make_event(1))}\n{{"orderId":1}}'.encode(), None, 'events.ndjson, line 2: this is no webhook event of Quivo, which looks like {"events": [{"id": …, "entity": "ORDERS", …}]}.'),
    "no object": ("events.json", b"[1]", None, "events.json, line 1: this is no webhook event"),
    "a torn line": ("events.ndjson", f'{make_body(make_event(1))}\n{make_body(make_event(2))}\n{{"events":[{{"id":3'.encode(), None, "events.ndjson, line 3: this cannot be read as JSON ("),
    "a broken line": ("events.ndjson", f"{make_body(make_event(1))}\n{{canary\n{make_body(make_event(2))}".encode(), None, "events.ndjson, line 2: this cannot be read as JSON (Expecting property name enclosed in double quotes)."),
    "a broken place in a spread body": ("events.json", b'{"events":\n[\n{"id": canary}]}', None, "events.json, line 3: this cannot be read as JSON (Expecting value)."),
    "too deep": ("events.json", b"[" * 100_000, None, "events.json, line 1: this cannot be read as JSON (nested too deep"),
    "too many digits": ("events.json", b'{"id":' + b"1" * 5000 + b"}", None, "cannot be read as JSON (nested too deep, or a number of too many digits"),
    "a column of events": ("events.json", BODIES.encode(), "id", "events.json holds events, not a table: it has no column id."),
}  # fmt: skip


@pytest.mark.parametrize(("name", "content", "column", "told"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_read_is_told_with_its_place_and_without_what_stands_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, column: str | None, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    if name == "ids.parquet" and not content:
        pl.DataFrame(
            {"text": ["1", None, "canary"], "float": [1.0, 2.0, 3.5], "day": [date(2026, 6, 1)] * 3}
        ).write_parquet(name)
    elif not name.startswith(("gone", "folder")):
        Path(name).write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_ids(name, column)
    assert told in str(caught.value)
    assert "canary" not in str(caught.value).lower()


def test_a_file_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ids.txt").touch()

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("quivo_frames.storage.compressed.open_decompressed", refused)
    with pytest.raises(ConfigError, match=r"ids\.txt cannot be read: Permission denied\."):
        read_ids(tmp_path / "ids.txt")


def test_events_of_other_entities_are_left_out_and_counted(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    others = [
        make_event(4, "SHIPMENTS"),
        make_event(5, "SHIPMENTS"),
        make_event(None, "RETURNS"),
        make_event(6, "canary"),
        make_event(7, None),
    ]
    file.write_text(
        "\n".join(
            [make_body(make_event(1), *others[:2]), make_body(), make_body(*others[2:]), make_body(make_event(2))]
        )
    )
    ids = read_ids(file)
    assert list(ids) == [1, 2]
    assert ids.left_out == {
        "events of SHIPMENTS (no ids of orders)": 2,
        "events of RETURNS (no ids of orders)": 1,
        "events of an unknown entity (no ids of orders)": 2,
    }
    assert str(ids).startswith(
        f"2 order ids from {file}; left out: 2 events of SHIPMENTS (no ids of orders), 1 event of"
    )


def test_rows_without_an_id_are_left_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "ids.csv").write_text("n,id\na,1\nb,\nc\n,\n\nd,2\n,,\n")
    ids = read_ids(tmp_path / "ids.csv")
    assert (list(ids), ids.left_out) == ([1, 2], {"rows without an id": 2})
    pl.DataFrame({"id": [None, 1, None, 2]}).write_parquet(tmp_path / "ids.parquet")
    ids = read_ids(tmp_path / "ids.parquet")
    assert (list(ids), ids.left_out) == ([1, 2], {"rows without an id": 2})


def test_whole_floats_of_a_spreadsheet_are_ids_and_noted(tmp_path: Path) -> None:
    (tmp_path / "ids.csv").write_text("id\n100001.0\n100002\n100003.00\n")
    (tmp_path / "ids.txt").write_text("100001.0 100002,100003.0")
    pl.DataFrame({"id": [100_001.0, None, 100_002.0, 100_003.0]}).write_parquet(tmp_path / "ids.parquet")
    for name, count in (("ids.csv", 2), ("ids.txt", 2), ("ids.parquet", 3)):
        ids = read_ids(tmp_path / name)
        assert list(ids) == [100_001, 100_002, 100_003]
        assert ids.notes == {"with a decimal point (100001.0)": count}
        assert str(ids).endswith(f"; noted: {count} with a decimal point (100001.0)")


def test_whole_floats_of_python_are_ids_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    for given in ([100_001, 100_002.0], [100_001, "100002.0"], pl.Series([100_001, 100_002], dtype=pl.Float64)):
        caplog.clear()
        assert list(validate_ids(given)) == [100_001, 100_002]
        count = sum(isinstance(value, float) or str(value).endswith(".0") for value in given)
        assert caplog.messages == [f"Of the order ids, {count} came with a decimal point (100001.0)."]
    for wrong in (1.5, float("nan"), float("inf"), 1e15, -1.0, 0.0, True):
        with pytest.raises(ConfigError, match=r"1 of the ids cannot be order ids"):
            list(validate_ids([wrong]))


def test_ids_are_a_sequence_that_says_what_it_is() -> None:
    ids = Ids([5, 6, 7], "here", {"rows": 2})
    assert (len(ids), ids[0], list(ids[1:]), 6 in ids, ids.index(7)) == (3, 5, [6, 7], True, 2)
    assert repr(ids) == "<Ids: 3 order ids from here; left out: 2 rows>"
    assert pl.DataFrame({"order_id": ids})["order_id"].to_list() == [5, 6, 7]
    assert not Ids([], "nowhere")


def make_answer(order_id: int, outcome: Outcome) -> Answer:
    return Answer(order_id, outcome, datetime.now(UTC), 200, {}, b"{}", 1, 0, 0.1, 0.1, "so")


def test_the_failures_of_a_run_are_ids(tmp_path: Path) -> None:
    with Archive(tmp_path / "orders.sqlite") as archive:
        with pytest.raises(ConfigError, match="no archive"):
            read_failed_ids(archive, 1)
        run, _ = archive.begin([1, 2, 3, 4])
        archive.record(run, make_answer(1, Outcome.FETCHED))
        archive.record(run, make_answer(2, Outcome.UNREACHABLE))
        archive.record(run, make_answer(3, Outcome.UNKNOWN))
        archive.record(run, make_answer(2, Outcome.UNREACHABLE))
        archive.record(run, make_answer(3, Outcome.FETCHED))
        archive.record(run, make_answer(4, Outcome.REFUSED))
        other, _ = archive.begin([1, 2])
        archive.record(other, make_answer(1, Outcome.UNKNOWN))
        archive.record(other, make_answer(2, Outcome.FETCHED))
        assert sorted(read_failed_ids(archive, run)) == [2, 4]
        assert sorted(validate_ids(archive.failures(run)["order_id"])) == [2, 4]
        assert list(read_failed_ids(archive, other)) == [1]
        with pytest.raises(ConfigError, match=r"orders\.sqlite has no run 3: its runs are 1 to 2\."):
            read_failed_ids(archive, 3)


LONG = " " * 2000
TOO_LARGE: dict[str, tuple[str, bytes, int]] = {
    "text": ("ids.txt.gz", f"1\n2\n3{LONG}\n4".encode(), 3),
    "text without an end": ("ids.txt.zst", f"1\n2{LONG}".encode(), 2),
    "csv": ("ids.csv", f"id,a\n1,b\n2,{LONG}\n".encode(), 3),
    "the names of a csv": ("ids.csv", f"id,{LONG}\n1,b\n".encode(), 1),
    "events": ("events.ndjson", f"{make_body(EVENT)}\n{LONG}{make_body(EVENT)}\n".encode(), 2),
    "events, spread": ("events.json", json.dumps({"events": [EVENT] * 20}, indent=2).encode(), 1),
    "utf-16": ("ids.txt", f"1\n2{LONG}\n".encode("utf-16"), 2),
}


@pytest.mark.parametrize(("name", "content", "line"), TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_line_beyond_the_limit_is_refused_by_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, line: int
) -> None:
    for module in ("order_ids", "event_ids"):
        monkeypatch.setattr(f"quivo_frames.fetch.{module}.MAX_LINE_BYTES", 1000)
    pack = {".gz": gzip.compress, ".zst": zstandard.compress}.get(name[name.rindex(".") :], bytes)
    (tmp_path / name).write_bytes(pack(content))
    with pytest.raises(ConfigError, match=rf"{name}, line {line}: there is more than can be read at once"):
        read_ids(tmp_path / name)


def test_a_packed_table_beyond_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pl.DataFrame({"id": range(1000)}).write_parquet(plain := io.BytesIO())
    (tmp_path / "ids.parquet.gz").write_bytes(gzip.compress(plain.getvalue()))
    monkeypatch.setattr("quivo_frames.fetch.order_ids.MAX_LINE_BYTES", 1000)
    with pytest.raises(ConfigError, match=r"ids\.parquet\.gz: there is more than can be read at once"):
        read_ids(tmp_path / "ids.parquet.gz")


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="what the system counts differs")
def test_a_small_file_of_ids_that_is_one_line_of_gigabytes_takes_little_memory(tmp_path: Path) -> None:
    """It took 6.6 GB and 150 s."""
    compressor = zstandard.ZstdCompressor(level=19).compressobj()
    with (tmp_path / "ids.txt.zst").open("wb") as file:
        for _ in range(3072):
            file.write(compressor.compress(b"7" * 2**20))
        file.write(compressor.flush())
    assert (tmp_path / "ids.txt.zst").stat().st_size < 120_000
    code = f"""
from quivo_frames.errors import ConfigError
from quivo_frames.fetch.order_ids import read_ids
from tests.support.memory import peak_kib
try:
    read_ids({str(tmp_path / "ids.txt.zst")!r})
except ConfigError as error:
    assert "line 1: there is more" in str(error)
    print(peak_kib())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert int(done.stdout) / 1024 < 1000


MEASURE = """
from quivo_frames.fetch.order_ids import read_ids
from tests.support.memory import peak_kib
import polars
read_ids({small!r})
before = peak_kib()
ids = read_ids({large!r})
assert len(ids) == 200_000 and sum(1 for _ in ids) == sum(1 for _ in ids)
print(peak_kib() - before)
"""


@pytest.mark.alone
@pytest.mark.skipif(sys.platform != "linux", reason="what the system counts differs")
@pytest.mark.parametrize("suffix", [".txt", ".csv", ".ndjson", ".parquet"])
def test_ids_are_read_in_little_memory(tmp_path: Path, suffix: str) -> None:
    small, large = tmp_path / f"small{suffix}", tmp_path / f"large{suffix}"
    for file, count in ((small, 10), (large, 200_000)):
        ids = range(10**9, 10**9 + count)
        if suffix == ".parquet":
            pl.DataFrame({"order_id": ids}).write_parquet(file)
        elif suffix == ".ndjson":
            file.write_text("".join(f'{{"events":[{{"id":{n},"entity":"ORDERS"}}]}}\n' for n in ids))
        else:
            file.write_text(
                "order_id,b\n" * (suffix == ".csv")
                + "".join(f"{n},{1}\n" if suffix == ".csv" else f"{n}\n" for n in ids)
            )
    code = MEASURE.format(small=str(small), large=str(large))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert int(done.stdout) < 8_000  # KB; a list of them takes 8 MB at least, their text 13 MB


def test_a_folder_of_webhook_events(tmp_path: Path) -> None:
    """Each body that a receiver got, in a file of its own, or as lines of one file."""
    (tmp_path / "1.json").write_text('{"events":[{"id":7,"entity":"ORDERS"}]}')
    (tmp_path / "2.ndjson.gz").write_bytes(gzip.compress(b'{"events":[{"id":8,"entity":"ORDERS"}]}\n' * 2))
    (tmp_path / "3.jsonl").write_text('{"events":[{"id":9,"entity":"RETURNS"}]}')
    (tmp_path / "notes.txt").write_text("10")
    (tmp_path / ".new.4.json").write_text("{")
    ids = read_ids(tmp_path)
    assert list(ids) == [7, 8, 8]
    assert str(ids) == (f"3 order ids from 3 files in {tmp_path}; left out: 1 event of RETURNS (no ids of orders)")
