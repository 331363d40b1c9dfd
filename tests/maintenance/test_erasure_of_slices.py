"""Orders that are forgotten are in no byte of a slice that was written, which stays the slice that it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.archive.archive import Archive
from quivo_frames.dataset.exports import KnownOutputs, RecordedExport
from quivo_frames.export.formats import ExportFormat
from quivo_frames.maintenance.erasure import forget
from quivo_frames.model.order_selection import OrderConditions
from quivo_frames.model.privacy import PrivacyLevel
from tests.support.archived_orders import NOON, record_answers
from tests.support.personal_traces import marked_order, unpacked

IDS = range(100_001, 100_021)
EVEN = [order_id for order_id in IDS if order_id % 2 == 0]
GONE = [100_002, 100_004, 100_005]
WHO = "Ida-Lund-of-Harbour-Road"


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[qf.Dataset]:
    with Archive(tmp_path / "orders.sqlite") as archive:
        answers = {
            order_id: marked_order(order_id, f"{WHO}-{order_id}", sellerId=7 + order_id % 2, sellerName=None)
            for order_id in IDS
        }
        record_answers(archive, answers, NOON)
        yield qf.build(archive, tmp_path / "tables", jobs=1, progress=False)


def ids_in(place: Path) -> set[int]:
    """The orders of which any file of a place holds a value, or the id."""
    files = [place] if place.is_file() else [file for file in place.rglob("*") if file.is_file()]
    content = b"".join(file.read_bytes() + unpacked(file) for file in files)
    return {
        order_id for order_id in IDS if f"{WHO}-{order_id}".encode() in content or str(order_id).encode() in content
    }


@pytest.mark.long
@pytest.mark.parametrize(
    ("to", "out"), [("parquet", "slice"), ("csv", "csv"), *(pytest.param(to, out, marks=pytest.mark.long) for to, out in
                                                            [("duckdb", "out.duckdb"), ("delta", "delta"), ("excel", "out.xlsx")])],
)  # fmt: skip
@pytest.mark.parametrize("given", ["seller", "ids"])
def test_a_slice_that_is_renewed_is_the_same_slice(
    tables: qf.Dataset, tmp_path: Path, to: str, out: str, given: str
) -> None:
    cut = tables.where(seller=7) if given == "seller" else tables.only([*EVEN, 100_777])
    cut.export(to, tmp_path / out)
    assert ids_in(tmp_path / out) == set(EVEN)
    receipt = forget([*GONE, 100_777], tables=[tables.folder])
    assert receipt.exports == [f"{tmp_path / out} ({to})"]
    assert ids_in(tmp_path / out) == set(EVEN) - set(GONE)
    register = (tables.folder / "exports.json").read_text()
    assert not [order_id for order_id in (*GONE, 100_777) if str(order_id) in register]
    if to == "parquet":
        renewed = qf.open(tmp_path / out)
        assert renewed.origin is not None
        assert renewed.origin.where[0].seller == cut.conditions[0].seller
        assert qf.check(renewed.folder).flaws.is_empty()
        assert "100777" not in (renewed.folder / "manifest.json").read_text()
    assert forget([100_008], tables=[tables.folder]).exports == [f"{tmp_path / out} ({to})"]
    assert ids_in(tmp_path / out) == set(EVEN) - {*GONE, 100_008}


def test_a_slice_whose_seller_is_gone_is_renewed_without_orders(tables: qf.Dataset, tmp_path: Path) -> None:
    tables.where(seller=7).write(tmp_path / "slice")
    receipt = forget(EVEN, tables=[tables.folder])
    assert not [sentence for sentence in receipt.left if sentence.startswith(str(tmp_path / "slice"))]
    assert qf.open(tmp_path / "slice").counts()["orders"] == 0
    assert ids_in(tmp_path / "slice") == set()


@pytest.mark.long
def test_what_was_made_from_a_written_slice_is_reached_too(tables: qf.Dataset, tmp_path: Path) -> None:
    written = tables.where(seller=7).write(tmp_path / "slice")
    qf.audit(written)
    written.export("csv", tmp_path / "csv")
    written.where(ids=EVEN[:4]).write(tmp_path / "part")
    qf.audit(written, only=["tracking_missing"]).save(tmp_path / "findings.csv")
    qf.report(written, tmp_path / "report.html")
    assert GONE[0] in ids_in(tmp_path / "csv") & ids_in(tmp_path / "part")
    receipt = forget(GONE, tables=[tables.folder])
    assert receipt.exports == [f"{tmp_path / name} ({form})" for name, form in
                               (("slice", "parquet"), ("csv", "csv"), ("part", "parquet"))]  # fmt: skip
    for name in ("slice", "csv", "part"):
        assert not ids_in(tmp_path / name) & set(GONE), name
    assert ids_in(tmp_path / "part") == set(EVEN[:4]) - set(GONE)
    named = [sentence.split(" ")[0] for sentence in receipt.left]
    saved = {str(tmp_path / name) for name in ("findings.csv", "report.html") if ids_in(tmp_path / name) & set(GONE)}
    assert saved <= set(named)
    assert not forget(GONE, tables=[tables.folder]).exports


@pytest.mark.long
@pytest.mark.parametrize("privacy", ["full", "none"])
def test_orders_are_erased_from_a_written_slice_itself(tables: qf.Dataset, tmp_path: Path, privacy: str) -> None:
    written = tables.only(EVEN).write(tmp_path / "slice", privacy=privacy)
    qf.audit(written)
    before = {name: written[name].filter(~pl.col("order_id").is_in(GONE)) for name in written}
    receipt = forget(GONE, tables=[tmp_path / "slice"])
    after = qf.open(tmp_path / "slice")
    assert receipt.rows == {str(tmp_path / "slice"): sum(written_rows(before, written).values())}
    assert all(after[name].equals(rows) for name, rows in before.items())
    assert not ids_in(tmp_path / "slice") & set(GONE)
    assert after.level == privacy
    assert after.origin is not None
    assert after.origin.where == (OrderConditions(ids=tuple(one for one in EVEN if one not in GONE)),)
    assert qf.check(after.folder).flaws.is_empty()
    assert not receipt.left
    assert tables.counts()["orders"] == len(IDS)


def written_rows(kept: dict[str, pl.DataFrame], written: qf.Dataset) -> dict[str, int]:
    """The rows that were erased, as the manifest counted them before."""
    return {name: written.manifest["tables"][name]["rows"] - rows.height for name, rows in kept.items()}


def test_where_nobody_knows_which_slice_is_there_the_conditions_of_both_hold() -> None:
    def export(*where: OrderConditions, begun: bool = False) -> RecordedExport:
        return RecordedExport(ExportFormat.CSV, "/out", PrivacyLevel.FULL, False, "", where, begun)

    seller, dated = OrderConditions(seller=(7,)), OrderConditions(status=("SHIPPED",))
    known = KnownOutputs().with_export(export(seller)).with_export(export(dated, begun=True))
    assert known.targets() == [export(seller, dated, begun=True)]
    assert KnownOutputs().with_export(export(seller)).with_export(export(seller, begun=True)).targets()[0].where == (
        seller,
    )
    assert known.with_export(export()).targets() == [export()]


def test_a_recorded_slice_is_read_as_it_was_written(tables: qf.Dataset, tmp_path: Path) -> None:
    cut = tables.where(seller=["7", 8], since="2026-06-01", until="2026-12-31", status="SHIPPED", ids=EVEN)
    cut = cut.with_conditions(cut.conditions, allow_unknown=True)
    cut.export("csv", tmp_path / "csv")
    assert tables.exports()[0].where == cut.conditions
    recorded = json.loads((tables.folder / "exports.json").read_text())["exports"][0]["where"]
    assert recorded == [
        {
            "seller": ["7", 8], "since": "2026-06-01T00:00:00Z", "until": "2027-01-01T00:00:00Z", "ids": EVEN,
            "status": ["SHIPPED"],
        }
    ]  # fmt: skip
    assert tables.outputs.is_intact()
    tables.export("csv", tmp_path / "csv")
    assert tables.exports()[0].where == ()
