"""What audits of a dataset remember: findings are new, standing or resolved, across rebuilds, thresholds and erasures."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.analysis.checks import audit, memory
from quivo_frames.analysis.checks.accepted import accept_findings, read_accepted
from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.storage.directory import Directory
from tests.support.fair_order import changed_order

LATE = {"latestDeliveryDate": "2026-09-03"}
SHORT = {"fulfillmentOrders.0.shipments.0.positions.0.quantity": 1}
EURO = {"currency": "EURO"}
ONLY = ("delivered_late", "short_shipped", "unknown_currency")


def build_tables(folder: Path, *changes: dict[str, Any] | None, modified: str = "2026-09-06T12:00:00Z") -> qf.Dataset:
    """The tables of fair orders 1001, 1002, … with changes; None leaves one out."""
    orders = [
        changed_order(change, 1001 + place) | {"lastModified": modified}
        for place, change in enumerate(changes)
        if change is not None
    ]
    (folder / "orders.ndjson").write_text("\n".join(map(json.dumps, orders)))
    return qf.build(folder / "orders.ndjson", folder / "tables", jobs=1, progress=False)


def statuses(findings: pl.DataFrame) -> dict[str, str]:
    return dict(findings.select("finding", "status").iter_rows())


@pytest.mark.long
def test_after_a_rebuild_the_same_finding_is_the_same_and_what_is_gone_is_resolved(tmp_path: Path) -> None:
    tables = build_tables(tmp_path, LATE, EURO)
    first = qf.audit(tables, only=ONLY)
    assert statuses(first) == {"delivered_late:1001/0/0": "new", "unknown_currency:1002": "new"}
    assert (first.since, first.resolved.height, "since" in str(first)) == (None, 0, False)
    rebuilt = build_tables(tmp_path, LATE, {}, SHORT, modified="2026-09-08T00:00:00Z")
    second = qf.audit(rebuilt, only=ONLY)
    assert statuses(second) == {"delivered_late:1001/0/0": "standing", "short_shipped:1003/0": "new"}
    assert second.resolved["finding"].to_list() == ["unknown_currency:1002"]
    assert second.since == first.as_of == datetime(2026, 9, 6, 12, tzinfo=UTC)
    seen = dict(second.select("check", "first_seen").iter_rows())
    assert seen == {"delivered_late": first.as_of, "short_shipped": second.as_of}
    assert set(second["found_at"]) == {second.as_of}
    assert "1 new, 1 standing, 1 resolved since 2026-09-06 12:00 UTC" in str(second).splitlines()
    assert second.facts()["resolved"] == 1
    assert "1 new, 1 standing, 1 resolved" in second._repr_html_()
    assert qf.audit(rebuilt, only=ONLY).resolved.is_empty()


@pytest.mark.long
def test_only_checks_that_ran_resolve_anything(tmp_path: Path) -> None:
    tables = build_tables(tmp_path, LATE, EURO)
    qf.audit(tables, only=ONLY)
    fine = build_tables(tmp_path, {}, {})
    for options in ({"only": ["short_shipped"]}, {"skip": ["delivered_late", "unknown_currency"]}):
        assert qf.audit(fine, **options).resolved.is_empty()
    assert qf.audit(fine, only=["delivered_late"]).resolved["check"].to_list() == ["delivered_late"]
    assert qf.audit(fine, only=ONLY).resolved["check"].to_list() == ["unknown_currency"]


@pytest.mark.long
def test_a_skipped_check_resolves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = build_tables(tmp_path, LATE)
    qf.audit(tables, only=ONLY)
    checks = dict(CHECKS)
    late = checks["delivered_late"]
    needing = type(late)(
        late.name, late.severity, late.table, late.reference, late.function, ("shipments.delivery_date",)
    )
    monkeypatch.setitem(CHECKS, "delivered_late", needing)
    shipment = "fulfillmentOrders.0.shipments.0"
    silent = build_tables(tmp_path, LATE | {f"{shipment}.deliveryDate": None})
    found = qf.audit(silent, only=ONLY)
    assert found.checks.filter(check="delivered_late")["outcome"].item() == "skipped"
    assert found.resolved.is_empty()
    again = qf.audit(build_tables(tmp_path, LATE), only=ONLY)
    assert statuses(again)["delivered_late:1001/0/0"] == "standing"


@pytest.mark.long
def test_other_thresholds_resolve_nothing_and_keep_a_memory_of_their_own(tmp_path: Path) -> None:
    tables = build_tables(tmp_path, LATE)
    patient = qf.Limits(late_hours=48)
    qf.audit(tables, only=ONLY)
    assert qf.audit(tables, only=ONLY, limits=patient).resolved.is_empty()
    later = qf.audit(tables, only=ONLY)
    assert (statuses(later), later.resolved.height) == ({"delivered_late:1001/0/0": "standing"}, 0)
    both = build_tables(tmp_path, LATE, EURO)
    assert statuses(qf.audit(both, only=ONLY, limits=patient)) == {"unknown_currency:1002": "new"}
    assert statuses(qf.audit(both, only=ONLY))["unknown_currency:1002"] == "standing"  # seen with other thresholds


@pytest.mark.long
def test_an_audit_of_the_past_changes_nothing(tmp_path: Path) -> None:
    tables = build_tables(tmp_path, LATE)
    assert set(qf.audit(tables, "2026-10-12", only=ONLY)["status"]) == {"new"}
    assert not (tmp_path / "tables" / "findings.parquet").exists()
    qf.audit(tables, only=ONLY)
    before = (tmp_path / "tables" / "findings.parquet").read_bytes()
    past = qf.audit(tables, "2026-09-03", only=ONLY)
    assert (past.height, past.resolved.height, past.since) == (0, 0, None)
    qf.audit(tables, only=ONLY, remember=False)
    assert (tmp_path / "tables" / "findings.parquet").read_bytes() == before


@pytest.mark.long
def test_a_report_of_the_past_changes_nothing_that_is_remembered(tmp_path: Path) -> None:
    tables = build_tables(tmp_path, LATE)
    qf.audit(tables, only=ONLY)
    before = (tmp_path / "tables" / "findings.parquet").read_bytes()
    qf.report(tables, tmp_path / "report.html", "2026-09-03")
    assert (tmp_path / "tables" / "findings.parquet").read_bytes() == before
    qf.report(tables, tmp_path / "report.html")
    assert (tmp_path / "tables" / "findings.parquet").read_bytes() != before


@pytest.mark.long
def test_an_order_that_is_in_no_table_any_more_is_forgotten_and_not_resolved(tmp_path: Path) -> None:
    qf.audit(build_tables(tmp_path, LATE, LATE), only=ONLY)
    without = qf.audit(build_tables(tmp_path, None, LATE), only=ONLY)
    assert (statuses(without), without.resolved.height) == ({"delivered_late:1002/0/0": "standing"}, 0)
    back = qf.audit(build_tables(tmp_path, LATE, LATE), only=ONLY)
    assert statuses(back)["delivered_late:1001/0/0"] == "new"


@pytest.mark.long
def test_the_file_is_its_owners_alone_and_holds_keys_and_instants_only(tmp_path: Path) -> None:
    tables = build_tables(tmp_path, LATE | {"deliveryAddress.name1": "Canary"}, SHORT)
    qf.audit(tables, personal=True)
    file = tmp_path / "tables" / "findings.parquet"
    assert file.stat().st_mode & 0o777 == 0o600
    rows = pl.read_parquet(file)
    assert set(rows.columns) == {
        "finding", "check", "severity", "order_id", "table", "key", "first_seen", "last_seen", "limits",
    }  # fmt: skip
    assert all(re.fullmatch(r"\w+:(\w+/)?[\d/.]+", name) for name in rows["finding"])
    assert not [path.name for path in file.parent.iterdir() if path.name.startswith(".new")]
    assert qf.check(tmp_path / "tables").flaws.is_empty()
    build_tables(tmp_path, {}, {})  # a build keeps it
    assert pl.read_parquet(file).equals(rows)


def test_what_a_killed_audit_left_is_a_flaw_and_removed_by_the_next_build(tmp_path: Path) -> None:
    build_tables(tmp_path, LATE)
    left = tmp_path / "tables" / ".new-swap-findings.parquet"
    left.write_bytes(b"half")
    assert left.name in set(qf.check(tmp_path / "tables").flaws["place"])
    build_tables(tmp_path, LATE, LATE)
    assert not left.exists()


def test_tables_in_an_object_store_remember_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = build_tables(tmp_path, LATE)
    monkeypatch.setattr(audit, "is_remote", lambda _: True)
    found = qf.audit(tables, only=ONLY)
    assert (set(found["status"]), list(found.notices)) == ({"new"}, [])
    assert not (tmp_path / "tables" / "findings.parquet").exists()


@pytest.mark.long
def test_erased_orders_vanish_from_it(tmp_path: Path) -> None:
    tables = build_tables(tmp_path, LATE, LATE)
    qf.audit(tables, only=ONLY)
    receipt = qf.forget([1001], tables=[tmp_path / "tables"])
    file = tmp_path / "tables" / "findings.parquet"
    assert pl.read_parquet(file)["order_id"].to_list() == [1002]
    assert b"1001" not in file.read_bytes()
    assert [str(tmp_path / "tables")] == list(receipt.rows)
    left = qf.audit(tmp_path / "tables", only=ONLY)
    assert (statuses(left), left.resolved.height) == ({"delivered_late:1002/0/0": "standing"}, 0)


@pytest.mark.long
@pytest.mark.parametrize("content", [b"", b"PAR1", b"[]", None])
def test_a_damaged_file_is_a_sentence_with_the_way_out(tmp_path: Path, content: bytes | None) -> None:
    tables = build_tables(tmp_path, LATE)
    file = tmp_path / "tables" / "findings.parquet"
    if content is None:
        pl.DataFrame({"finding": [1]}).write_parquet(file)
    else:
        file.write_bytes(content)
    with pytest.raises(qf.DatasetError, match=r"findings\.parquet is damaged.* Delete it: all findings are new then\."):
        qf.audit(tables, only=ONLY)
    assert "findings.parquet" in set(qf.check(tmp_path / "tables").flaws["place"])
    file.unlink()
    assert set(qf.audit(tables, only=ONLY)["status"]) == {"new"}


@pytest.mark.long
@pytest.mark.parametrize(
    ("error", "told"), [(PermissionError(13, "x"), False), (OSError(30, "x"), False), (OSError(28, "x"), True)]
)
def test_a_folder_that_cannot_be_written_does_not_remember(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, told: bool
) -> None:
    tables = build_tables(tmp_path, LATE)
    qf.audit(tables, only=ONLY)
    rebuilt = build_tables(tmp_path, LATE, LATE)

    def refuse(*_: object) -> bool:
        raise error

    monkeypatch.setattr(Directory, "compare_and_swap", refuse)
    found = qf.audit(rebuilt, only=ONLY)
    assert sorted(statuses(found).values()) == ["new", "standing"]
    assert [("the disk is full" in notice) for notice in found.notices] == [True] * told


def test_two_audits_at_the_same_time_remember_what_both_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = build_tables(tmp_path, LATE | EURO)
    swap = Directory.compare_and_swap
    calls: list[str] = []

    def audit_meanwhile(self: Directory, name: str, data: bytes, before: bytes | None) -> bool:
        calls.append(name)
        if len(calls) == 1:
            qf.audit(tables, only=["unknown_currency"])
        return swap(self, name, data, before)

    monkeypatch.setattr(Directory, "compare_and_swap", audit_meanwhile)
    qf.audit(tables, only=["delivered_late"])
    assert calls == ["findings.parquet"] * 3  # the first writer had to look again
    assert set(pl.read_parquet(tmp_path / "tables" / "findings.parquet")["check"]) == {
        "delivered_late",
        "unknown_currency",
    }


@pytest.mark.long
def test_only_the_thresholds_used_last_are_remembered(tmp_path: Path) -> None:
    tables = build_tables(tmp_path, EURO)
    for hours in range(memory._MOST_LIMITS + 3):
        qf.audit(tables, limits=qf.Limits(late_hours=hours + 1), only=ONLY)
    assert pl.read_parquet(tmp_path / "tables" / "findings.parquet")["limits"].n_unique() == memory._MOST_LIMITS


def accept(file: Path, *findings: str, until: str = "2026-12-31") -> None:
    accept_findings(findings, date.fromisoformat(until), "known", file, CHECKS)


@pytest.mark.long
def test_accepted_findings_are_counted_apart_until_their_last_day_is_over(tmp_path: Path) -> None:
    tables = build_tables(tmp_path, LATE | EURO)
    file = tmp_path / "accepted.toml"
    accept(file, "delivered_late:1001/0/0", until="2026-09-06")
    found = qf.audit(tables, only=ONLY, accepted=file)
    assert found.as_of == datetime(2026, 9, 6, 12, tzinfo=UTC)
    assert statuses(found) == {"delivered_late:1001/0/0": "accepted", "unknown_currency:1001": "new"}
    assert found.headline().endswith("0 errors, 1 warning, 0 info; 1 accepted")
    assert found.by_check()["check"].to_list() == ["unknown_currency"]
    assert (found.facts()["findings"], found.facts()["accepted"], found.facts()["error"]) == (1, 1, 0)
    later = qf.audit(tables, "2026-09-07T00:00:00Z", only=ONLY, accepted=file)
    assert "accepted" not in set(later["status"])
    assert qf.audit(tables, only=["delivered_late"], accepted=file).headline().startswith("No findings")


def test_the_file_of_accepted_findings_is_stable_and_renewed(tmp_path: Path) -> None:
    file = tmp_path / "accepted.toml"
    accept(file, "short_shipped:1003/0", "delivered_late:1001/0/0")
    once = file.read_text()
    accept(file, "delivered_late:1001/0/0")
    assert file.read_text() == once
    assert [line.partition("finding = ")[2].partition(",")[0] for line in once.splitlines() if "finding" in line][1:] == [
        '"delivered_late:1001/0/0"', '"short_shipped:1003/0"',
    ]  # fmt: skip
    accept(file, "delivered_late:1001/0/0", until="2027-01-31")
    found = read_accepted(file, CHECKS)
    assert found["delivered_late:1001/0/0"].until == date(2027, 1, 31)
    assert found["short_shipped:1003/0"].because == "known"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("accepted = 1", "Write it as `quivo-frames accept` does"),
        ("accepted =", "is no TOML"),
        ('[[accepted]]\nfinding = "late"\nuntil = 2026-12-31\nbecause = ""', "late is no finding"),
        ('[[accepted]]\nfinding = "short_shipped:"\nuntil = 2026-12-31\nbecause = ""', "short_shipped: is no finding"),
        ('[[accepted]]\nfinding = "short_shipped:1/0"\nuntil = 2026-12-31', "because"),
        ('[[accepted]]\nfinding = "short_shipped:1/0"\nuntil = "soon"\nbecause = ""', "until"),
        ("reasons = []", "unknown field"),
        ("\udcff", "is no TOML"),
    ],
)
def test_a_file_that_does_not_fit_is_a_sentence(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "accepted.toml").write_bytes(text.encode(errors="surrogateescape"))
    tables = qf.flatten([b'{"orderId": 1}'])
    with pytest.raises(qf.ConfigError, match=r"accepted\.toml") as raised:
        qf.audit(tables, accepted=tmp_path / "accepted.toml")
    assert told in str(raised.value)
    with pytest.raises(qf.ConfigError, match=r"nowhere\.toml cannot be read"):
        qf.audit(tables, accepted="nowhere.toml")
