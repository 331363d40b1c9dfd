"""Orders are found by every kind of term, exactly and as one types; nothing personal is in the index without leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import requests

import quivo_frames as qf
from quivo_frames.analysis.order_search import SEARCHED, SEARCHED_IN_LISTS, find_orders
from quivo_frames.errors import DatasetError
from quivo_frames.explorer import search_terms
from quivo_frames.explorer.background import StopRequest
from quivo_frames.explorer.search_terms import SearchTerms, find_numbers, searched_columns
from quivo_frames.model.order import Privacy
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.orders import write_ndjson
from tests.support.fair_order import OTHER_SSCC, OTHER_UNIT, SSCC, changed_order

if TYPE_CHECKING:
    from collections.abc import Iterator

SHIPMENT = "fulfillmentOrders.0.shipments.0"
ORDERS: dict[int, dict[str, Any]] = {
    1001: {"orderReference": "#77", "customerPurchaseOrderNumber": "PO-9 canary", "tags": ["Rush\u200b ", "gift"]},
    1002: OTHER_UNIT
    | {
        "orderReference": "#77",
        f"{SHIPMENT}.trackingNumber": "TRACK-2",
        f"{SHIPMENT}.trackingNumbers": ["track-3"],
        "deliveryAddress.city": "St. Pölten",
        f"{SHIPMENT}.positions.0.serialNumbers": ["sn-4711"],
        "positions.0.sku": "only-here",
    },
    1003: {"orderIdentifier": "1001", "orderReference": "N/A", "invoiceAddress.city": "Graz"},
    10010: {"orderIdentifier": "S-2", "orderReference": "77"},
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> qf.Dataset:
    folder = tmp_path_factory.mktemp("terms")
    lines = [json.dumps(changed_order(changes, order_id)) for order_id, changes in ORDERS.items()]
    (folder / "orders.ndjson").write_text("\n".join(lines), encoding="utf-8")
    return qf.build(folder / "orders.ndjson", folder / "tables", jobs=1, progress=False)


@pytest.fixture(scope="module")
def terms(tables: qf.Dataset) -> Iterator[SearchTerms]:
    built = SearchTerms.index_dataset(tables, StopRequest(), personal=True)
    yield built
    built.close()


EXACT = [
    ("s-1002", "order identifier", [1002]),
    (" 1001\u200b", "order identifier", [1003]),
    ("#77", "order reference", [1001, 1002]),
    ("po-9 CANARY", "customer's purchase order", [1001]),
    ("track-2", "tracking number", [1002]),
    ("TRACK-3", "tracking number", [1002]),
    (OTHER_SSCC, "SSCC", [1002]),
    (f"(00){OTHER_SSCC}", "SSCC", [1002]),
    (f"00 {OTHER_SSCC[:9]} {OTHER_SSCC[9:]}", "SSCC", [1002]),
    (SSCC, "SSCC", [1001, 1003, 10010]),
    ("SN-4711", "serial number", [1002]),
    ("1003-a-1", "serial number", [1003]),
    ("ONLY-HERE", "SKU", [1002]),
    ("w-b", "SKU", [1001, 1002, 1003, 10010]),
    ("ST. PÖLTEN", "city", [1002]),
    ("St. Po\u0308lten", "city", [1002]),
    ("graz", "city", [1003]),
    ("rush", "tag", [1001]),
    ("N/A", "", []),
    ("", "", []),
    ("Graz%", "", []),
]


@pytest.mark.parametrize(("wanted", "kind", "order_ids"), EXACT)
def test_what_people_have_in_hand_finds_its_orders(
    terms: SearchTerms, wanted: str, kind: str, order_ids: list[int]
) -> None:
    rows = terms.find_exact(wanted).rows
    assert sorted(rows["order_id"]) == order_ids
    assert set(rows["found_as"]) == ({kind} if order_ids else set())
    if kind:
        assert terms.find_exact(wanted, kind).rows.sort("order_id").equals(rows.sort("order_id"))
        assert terms.find_exact(wanted, "tag" if kind == "SKU" else "SKU").rows.is_empty()


@pytest.mark.parametrize(("wanted", "kind", "order_ids"), [case for case in EXACT if case[1]])
def test_each_beginning_finds_them_as_one_types(
    terms: SearchTerms, wanted: str, kind: str, order_ids: list[int]
) -> None:
    typed = unicodedata.normalize("NFC", wanted.strip())
    for length in range(1 if kind != "SSCC" else 5, len(typed) + 1):
        found = terms.find_beginning(typed[:length], kind)
        assert found.is_complete
        assert not found.is_exact
        assert set(order_ids) <= set(found.rows["order_id"]), typed[:length]


def test_a_beginning_finds_nothing_else(terms: SearchTerms) -> None:
    found = terms.find_beginning("track-").rows.sort("term")
    assert found.rows() == [(1002, "tracking number", "TRACK-2"), (1002, "tracking number", "TRACK-3")]
    assert terms.find_beginning("rack").rows.is_empty()
    assert terms.find_beginning("\u200b ").rows.is_empty()


def test_of_too_many_beginnings_the_first_are_read_and_that_is_said(terms: SearchTerms) -> None:
    found = terms.find_beginning("10", "serial number", most=4)
    assert found.rows.height == 4
    assert not found.is_complete
    assert terms.find_beginning("10", "serial number", most=100).is_complete


@pytest.mark.parametrize(
    ("wanted", "order_ids", "is_exact"),
    [("1001", [1001], True), ("100", [1001, 1002, 1003, 10010], False), ("1", [1001, 1002, 1003, 10010], False),
     ("10010", [10010], True), ("2", [], False), ("-1", [], True), ("0", [], True), ("01001", [1001], True),
     ("9" * 30, [], True), ("x", [], True), ("9223372036854775807", [], False), ("1000000000000000000", [], False)],
)  # fmt: skip
def test_numbers_of_orders_are_found_without_the_index(wanted: str, order_ids: list[int], *, is_exact: bool) -> None:
    found = find_numbers(pl.Series([*ORDERS], dtype=pl.Int64), wanted)
    assert sorted(found.rows["order_id"]) == order_ids
    assert found.is_exact is is_exact


@pytest.mark.long
@pytest.mark.parametrize("at_a_time", [7, 100_000])
def test_the_index_finds_what_a_search_through_all_tables_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_a_time: int
) -> None:
    """With few orders at a time, files of several ranges of orders are merged."""
    monkeypatch.setattr(search_terms, "_ORDERS_AT_A_TIME", at_a_time)
    write_ndjson(tmp_path / "orders.ndjson", 60)
    tables = qf.build(tmp_path / "orders.ndjson", tmp_path / "tables", jobs=1, progress=False)
    built = SearchTerms.index_dataset(tables, StopRequest(), personal=True)
    try:
        for words, places in SEARCHED_IN_LISTS.items():
            values = pl.concat(
                [tables[table].select("order_id", pl.col(column).alias("value")) for table, column in places]
            )
            sample = values.drop_nulls().unique().sort("order_id", "value").gather_every(max(values.height // 15, 1))
            assert sample.height > 3, words
            for order_id, value in sample.iter_rows():
                found = built.find_exact(value, words).rows["order_id"].to_list()
                assert (order_id in found) == (value.strip() not in ("", "N/A")), value
                if words in SEARCHED and not value.isdigit():
                    named = find_orders(tables, value).filter(pl.col("found_as").str.contains(words, literal=True))
                    assert sorted(found) == named["order_id"].to_list()
    finally:
        built.close()


def test_without_leave_no_term_of_a_personal_column_is_in_the_index(tables: qf.Dataset) -> None:
    built = SearchTerms.index_dataset(tables, StopRequest(), personal=False)
    try:
        kept = searched_columns(personal=False)
        assert "tracking number" not in kept
        assert "customer's purchase order" not in kept
        assert built.find_exact("TRACK-2").rows.is_empty()
        assert built.find_exact("PO-9 canary").rows.is_empty()
        shown = {
            value.upper()
            for table in TABLES.values()
            for column in table.columns
            if column.privacy is Privacy.NONE and column.dtype == pl.String
            for value in tables[table.name][column.name].drop_nulls()
        }
        every = pl.concat([pl.read_parquet(file) for file in built._files.values()])["term"].unique()
        assert every.len() > 20
        assert {"SN-4711", "ST. PÖLTEN", "RUSH"} <= set(every)
        assert {term for term in every if term not in shown} <= {"RUSH"}
    finally:
        built.close()


def test_nothing_is_left_of_the_index(tables: qf.Dataset) -> None:
    built = SearchTerms.index_dataset(tables, StopRequest(), personal=True)
    folder = next(iter(built._files.values())).parent
    assert folder.stat().st_mode & 0o077 == 0
    built.close()
    assert not folder.exists()
    assert not folder.with_name(f"{folder.name}.lock").exists()


INTERRUPTED = """
import sys, time
import quivo_frames as qf
from quivo_frames.explorer.search_terms import SearchTerms
close = SearchTerms.close
SearchTerms.close = lambda terms: (time.sleep(2), close(terms))  # so that nobody is quick enough by luck
with qf.explore(sys.argv[1]) as explorer:
    print(explorer.address, flush=True)
    try:
        explorer.wait()
    except KeyboardInterrupt:
        pass
"""


@pytest.mark.alone
@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_nothing_is_left_of_the_index_after_ctrl_c(tables: qf.Dataset, tmp_path: Path) -> None:
    """The index has values of orders. An interrupted `Thread.join` takes a running thread for one that has ended."""
    command = [sys.executable, "-c", INTERRUPTED, tables.address]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout
            address = process.stdout.readline().strip()
            session = requests.Session()
            session.get(address, timeout=30)
            for _ in range(300):
                if (
                    "still being made"
                    not in session.get(address.partition("/enter")[0] + "/orders?q=z", timeout=30).text
                ):
                    break
                threading.Event().wait(0.1)
            assert list(tmp_path.glob("quivo-frames-*/*.parquet"))
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="sets the folder for temporary files")
def test_nothing_is_left_of_the_index_at_the_end_of_python(tables: qf.Dataset, tmp_path: Path) -> None:
    """Also of an explorer that nobody stopped, as in a notebook that is closed."""
    code = (
        "import os, pathlib, sys, time\n"
        "import quivo_frames as qf\n"
        "explorer = qf.explore(sys.argv[1])\n"
        "while not list(pathlib.Path(os.environ['TMPDIR']).glob('quivo-frames-*/*.parquet')): time.sleep(0.05)\n"
        "print('indexed')"
    )
    words, environment = [sys.executable, "-c", code, tables.address], os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "indexed\n", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="sets the folder for temporary files")
def test_nothing_is_left_of_an_index_that_was_given_up(
    tables: qf.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    stop_request = StopRequest()
    write_terms = search_terms._write_terms

    def close_at_the_third(*args: Any) -> Path:
        if args[4].name == "2":
            assert list(tmp_path.glob("*/*.parquet"))
            stop_request.set()
        return write_terms(*args)

    monkeypatch.setattr(search_terms, "_write_terms", close_at_the_third)
    with pytest.raises(DatasetError, match="rebuilt meanwhile"):
        SearchTerms.index_dataset(tables, stop_request, personal=False)
    assert list(tmp_path.iterdir()) == []


def test_no_orders_have_no_terms(tmp_path: Path) -> None:
    (tmp_path / "orders.ndjson").write_text("{}")
    built = SearchTerms.index_dataset(
        qf.build(tmp_path / "orders.ndjson", tmp_path / "tables", jobs=1, progress=False), StopRequest(), personal=True
    )
    assert built.find_exact("A").rows.is_empty()
    assert built.find_beginning("A").rows.is_empty()
    built.close()
