"""An archive of answers in envelopes is read like one of the same answers without, by all that read bodies."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.analysis.order_page import order_as_json, read_order
from quivo_frames.archive.archive import Archive
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.flattening.flatten import flatten
from quivo_frames.flattening.reconcile import compare_value_counts, sample_orders
from quivo_frames.maintenance.erasure import forget, honour_removed
from quivo_frames.model.records import RawOrder
from quivo_frames.model.tables import TABLES
from tests.support import independent_archive
from tests.support.archived_orders import NOON, build_both_ways, record_answers
from tests.support.personal_traces import files_with, marked_order

WRAPPERS: dict[str, Callable[[bytes], bytes]] = {
    "$.data": lambda body: b'{"status":"OK","data":' + body + b',"note":"Ida-beside"}',
    "$.order": lambda body: b'{ "order" : ' + body + b"}\n",
    "$[0]": lambda body: b"[" + body + b"]",
    "$.data[0].order": lambda body: b'\xef\xbb\xbf{"data":[{"order":' + body + b"}]}",
    "byte order mark": lambda body: b"\xef\xbb\xbf" + body,
}
NESTED = "$.data[0].order"
"""The wrapper of all kinds at once."""
EACH = [NESTED, *(pytest.param(where, marks=pytest.mark.long) for where in WRAPPERS if where != NESTED)]
IDS, DAY = range(100_001, 100_021), timedelta(days=1)
REMOVED = 100_007
CLEAN = {"comment": None, "customerIdentifier": None, "deliveryAddress": None, "customAttributes": None}


def fill_archive(path: Path, wrap: Callable[[bytes], bytes]) -> dict[int, list[bytes]]:
    """Three refetches: one of all orders, one in which one changed, and one in which Quivo removed personal values."""
    sent: dict[int, list[bytes]] = {}
    with Archive(path) as archive:
        for day, orders in enumerate(
            [
                {order_id: marked_order(order_id, f"Ida-{order_id}") for order_id in IDS},
                {100_003: marked_order(100_003, "Ida-100003", orderStatus="CHANGED", orderPriority=7)},
                {REMOVED: marked_order(REMOVED, "", piiDataRemoved=True, novelty=None, **CLEAN)},
            ]
        ):
            answers = {order_id: wrap(body) for order_id, body in orders.items()}
            record_answers(archive, answers, NOON + day * DAY)
            for order_id, body in answers.items():
                sent.setdefault(order_id, []).append(body)
    return sent


def kept_bodies(path: Path) -> dict[int, list[bytes]]:
    kept: dict[int, list[bytes]] = {}
    for response in independent_archive.stored_responses(path):
        kept.setdefault(response.order_id, []).append(response.body)
    return kept


@pytest.mark.long
@pytest.mark.parametrize("where", EACH)
def test_every_reader_finds_the_same_orders(where: str, tmp_path: Path) -> None:
    bare, wrapped = tmp_path / "bare.sqlite", tmp_path / "wrapped.sqlite"
    fill_archive(bare, bytes)
    sent = fill_archive(wrapped, WRAPPERS[where])
    assert kept_bodies(wrapped) == sent  # byte for byte
    assert qf.check(wrapped).flaws.is_empty()

    plain, built = (qf.build(path, path.with_suffix(".tables")) for path in (bare, wrapped))
    for name in TABLES:
        assert built[name].equals(plain[name]), name
    assert built.failures.is_empty()
    noted = built.notes.filter(pl.col("kind") != "envelope")
    assert noted.drop("message").equals(plain.notes.drop("message"))
    envelopes = built.notes.filter(pl.col("kind") == "envelope")
    expected = [] if where == "byte order mark" else [(where, len(IDS))]
    assert envelopes.select("path", "count").rows() == expected
    assert order_as_json(read_order(built, 100_003)) == order_as_json(read_order(plain, 100_003))
    assert list(qf.unflatten(built)) == list(qf.unflatten(plain))

    assert qf.changes(wrapped).equals(qf.changes(bare))
    assert qf.history(wrapped, 100_003).rows() == qf.history(bare, 100_003).rows() != []
    assert qf.transitions(wrapped).equals(qf.transitions(bare))

    with Archive(wrapped) as archive:
        archive.export(tmp_path / "raw")
    assert {name: frame.height for name, frame in qf.build(tmp_path / "raw", tmp_path / "from-raw").items()} == {
        name: frame.height for name, frame in plain.items()
    }
    stored = pl.concat(
        [pl.read_parquet(file) for file in (tmp_path / "raw").rglob("*.parquet") if "index" not in file.name]
    )
    assert sorted(stored["body"].to_list()) == sorted(body for bodies in sent.values() for body in bodies)

    again = WRAPPERS[where](marked_order(100_004, "Ida-100004", orderPriority=3))
    with Archive(wrapped) as archive:
        record_answers(archive, {100_004: again}, NOON + 3 * DAY)
    assert build_both_ways(wrapped, tmp_path / "wrapped.tables").orders.height == len(IDS)


@pytest.mark.long
@pytest.mark.parametrize("where", WRAPPERS)
def test_personal_values_that_quivo_removed_are_removed_from_envelopes(where: str, tmp_path: Path) -> None:
    bare, path = tmp_path / "bare.sqlite", tmp_path / "wrapped" / "orders.sqlite"
    path.parent.mkdir()
    fill_archive(bare, bytes)
    fill_archive(path, WRAPPERS[where])
    for archive in (bare, path):
        receipt = honour_removed(archive)
        assert (receipt.order_ids, receipt.responses) == ([REMOVED], 1)
    assert files_with(path.parent, f"Ida-{REMOVED}") == []
    kept = kept_bodies(path)[REMOVED]
    assert kept[0] == kept_bodies(bare)[REMOVED][0]
    assert b"Vienna" in kept[0]
    assert b"Ida" not in kept[0]
    assert honour_removed(path).responses == 0
    assert forget([REMOVED], path).responses == 2
    assert qf.check(path).flaws.is_empty()


@pytest.mark.long
@pytest.mark.parametrize("where", EACH)
def test_files_of_envelopes_are_read_and_counted(where: str, tmp_path: Path) -> None:
    orders = [marked_order(order_id, "Ida") for order_id in IDS]
    bodies = [WRAPPERS[where](body).strip() for body in orders]
    (tmp_path / "orders.ndjson").write_bytes(b"\n".join(bodies))
    (tmp_path / "bare.ndjson").write_bytes(b"\n".join(orders))
    built, plain = (qf.build(tmp_path / f"{name}.ndjson", tmp_path / name) for name in ("orders", "bare"))
    for name in TABLES:
        assert built[name].equals(plain[name]), name
        assert flatten(bodies)[name].equals(flatten(orders)[name]), name
    assert isinstance(built, Dataset)
    counts = compare_value_counts(sample_orders(_raw_orders(bodies), 0, 1), flatten(bodies))
    assert counts == compare_value_counts(sample_orders(_raw_orders(orders), 0, 1), flatten(orders))
    assert counts.orders == len(IDS)


def _raw_orders(bodies: list[bytes]) -> list[RawOrder]:
    return [RawOrder(body, None, None, "memory", f"item {number}") for number, body in enumerate(bodies)]


@pytest.mark.parametrize("where", WRAPPERS)
def test_an_envelope_of_another_order_is_found_by_check(where: str, tmp_path: Path) -> None:
    with Archive(tmp_path / "a") as archive:
        record_answers(archive, {1: WRAPPERS[where](json.dumps({"orderId": 2}).encode())}, NOON)
    (message,) = qf.check(tmp_path / "a").flaws["message"]
    assert "is about another order" in message
