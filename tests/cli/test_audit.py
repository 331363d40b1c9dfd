"""`quivo-frames audit`: what it prints and writes, and its exit status."""

from __future__ import annotations

import csv
import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from click.testing import CliRunner, Result

from quivo_frames.builder.build import build
from quivo_frames.cli import main
from tests.support.fair_order import AS_OF, changed_order

if TYPE_CHECKING:
    from collections.abc import Callable

LATE = {"latestDeliveryDate": "2026-09-03"}
SUBSTITUTED = {"fulfillmentOrders.0.positions.0.orderedSku": "A", "fulfillmentOrders.0.positions.0.sku": "A2"}


@pytest.fixture
def audit(tmp_path: Path) -> Callable[..., Result]:
    """Runs the command on the tables of fair orders with changes."""

    def run(*options: str, orders: tuple[dict[str, Any], ...] = ({},)) -> Result:
        file = tmp_path / "orders.ndjson"
        file.write_text("\n".join(json.dumps(changed_order(change, 1001 + n)) for n, change in enumerate(orders)))
        build(file, tmp_path / "tables", progress=False, jobs=1)
        as_of = () if "--as-of" in options else ("--as-of", AS_OF.isoformat())
        return CliRunner().invoke(main, ["audit", str(tmp_path / "tables"), *as_of, *options])

    return run


@pytest.mark.long
def test_nothing_found_is_said_and_fine(audit: Callable[..., Result]) -> None:
    done = audit()
    head, skipped = done.stdout.splitlines()
    assert (done.exit_code, head) == (0, "No findings, as of 2026-10-12 00:00 UTC")
    assert skipped.startswith("Skipped: ")
    assert "shipped_after_cancel_request (no order has orders.cancel_requested_at)" in skipped


@pytest.mark.long
def test_an_error_makes_status_1_and_the_worst_stands_first(audit: Callable[..., Result]) -> None:
    done = audit(orders=(LATE | {"currency": "EURO"},))
    assert done.exit_code == 1
    head, first, second, _ = done.stdout.splitlines()
    assert head == "2 findings in 1 order, as of 2026-10-12 00:00 UTC: 1 error, 1 warning, 0 info"
    assert first.split()[:2] == ["error", "delivered_late"]
    assert first.endswith("Order 1001: delivered on 2026-09-04, but the last day for it was 2026-09-03.")
    assert second.split()[:2] == ["warning", "unknown_currency"]


@pytest.mark.long
def test_a_warning_is_no_error(audit: Callable[..., Result]) -> None:
    assert audit(orders=({"currency": "EURO"},)).exit_code == 0


@pytest.mark.long
def test_checks_are_chosen_and_left_out(audit: Callable[..., Result]) -> None:
    orders = (LATE | {"currency": "EURO"},)
    assert audit("--skip", "delivered_late", orders=orders).exit_code == 0
    assert "1 finding in" in audit("--only", "unknown_currency", "--only", "short_shipped", orders=orders).stdout


@pytest.mark.long
def test_as_of_tells_what_had_happened_by_then(audit: Callable[..., Result]) -> None:
    assert audit("--as-of", "2026-09-03", orders=(LATE,)).exit_code == 0  # it was on its way
    assert audit("--as-of", "2026-09-04", orders=(LATE,)).exit_code == 1


@pytest.mark.long
def test_thresholds_come_from_a_file(audit: Callable[..., Result], tmp_path: Path) -> None:
    limits = tmp_path / "limits.toml"
    limits.write_text("late_hours = 24\n")
    assert audit("--limits", str(limits), orders=(LATE,)).exit_code == 0


@pytest.mark.long
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("late = 1", "unknown field `late`"),
        ("late_hours = 'many'", "late_hours"),
        ("late_hours = -1", "late_hours is -1. Write a number from 0"),
        ("late_hours = inf", "late_hours is inf. Write a number from 0"),
        ("late_hours = nan", "late_hours is nan. Write a number from 0"),
        ("late_hours =", "is no TOML"),
        ("time_zone = 'Mars'", "There is no time zone 'Mars'"),
    ],
)
def test_a_wrong_threshold_is_told(audit: Callable[..., Result], tmp_path: Path, text: str, told: str) -> None:
    limits = tmp_path / "limits.toml"
    limits.write_text(text)
    done = audit("--limits", str(limits))
    assert done.exit_code == 2
    assert told in done.stderr
    assert "limits.toml: " in done.stderr or "limits.toml is no TOML" in done.stderr


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--only", "late"), "There is no check 'late'. The checks are: short_shipped,"),
        (("--skip", "late"), "There is no check 'late'"),
        (("--as-of", "tomorrow"), "tomorrow is neither a day nor an instant"),
        (("--limits", "nowhere.toml"), "nowhere.toml cannot be read: No such file or directory."),
        (("--out", "findings.pdf"), "findings.pdf: findings are written as .parquet, .csv, .ndjson, .xlsx"),
        (("--out", "nowhere/findings.csv"), "cannot be written: there is no folder nowhere. Make it"),
        (("--html", "nowhere/report.html"), "there is no folder nowhere"),
        (("--html", "report.html", "--on-time-against", "tomorrow"), "Nothing can be on time against 'tomorrow'"),
    ],
)
def test_wrong_use_is_a_sentence_and_status_2(
    audit: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = audit(*options)
    assert done.exit_code == 2
    assert told in done.stderr
    assert not (tmp_path / "report.html").exists()


@pytest.mark.long
def test_all_findings_are_written_as_parquet_csv_and_ndjson(audit: Callable[..., Result], tmp_path: Path) -> None:
    for name in ("parquet", "csv", "ndjson"):
        assert (
            f"Written: {tmp_path / 'all'}.{name}" in audit("--out", f"{tmp_path / 'all'}.{name}", orders=(LATE,)).stdout
        )
    rows = pl.read_parquet(tmp_path / "all.parquet").rows(named=True)
    assert [row["check"] for row in rows] == ["delivered_late"]
    names = ("finding", "check", "order_identifier", "warehouse", "carrier", "key", "message", "status")
    evidence = {
        "delivery_date": "2026-09-04 10:00 UTC", "latest_delivery_date": "2026-09-03", "time_zone": "UTC",
    }  # fmt: skip
    with (tmp_path / "all.csv").open(newline="", encoding="utf-8") as file:
        (flat,) = csv.DictReader(file)
    (line,) = map(json.loads, (tmp_path / "all.ndjson").read_text().splitlines())
    for written in (flat, line):
        assert list(written) == list(rows[0])
        assert [written[name] for name in names] == [rows[0][name] for name in names]
    assert flat["evidence"] == ", ".join(f"{name}={value}" for name, value in evidence.items())
    for structured in (rows[0], line):
        assert {entry["name"]: entry["value"] for entry in structured["evidence"]} == evidence


@pytest.mark.long
def test_json_is_for_programs(audit: Callable[..., Result]) -> None:
    told = json.loads(audit("--json", orders=(LATE,)).stdout)
    assert (told["as_of"], told["findings"], told["orders"]) == ("2026-10-12T00:00:00+00:00", 1, 1)
    assert (told["error"], told["warning"], told["info"]) == (1, 0, 0)
    assert [check["check"] for check in told["checks"]] == ["delivered_late"]


@pytest.mark.long
def test_the_report_is_written_and_has_the_findings(audit: Callable[..., Result], tmp_path: Path) -> None:
    done = audit("--html", str(tmp_path / "report.html"), orders=(LATE,))
    assert done.exit_code == 1
    assert f"Written: {tmp_path / 'report.html'}" in done.stdout
    assert "the last day for it was" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.long
def test_personal_values_are_shown_only_when_they_are_asked_for(audit: Callable[..., Result], tmp_path: Path) -> None:
    orders = ({"entityErrors": [{"errorCode": "E1", "errorMessage": "Anna is not at home"}]},)
    for options, shown in (((), False), (("--personal",), True)):
        audit("--only", "order_error", "--out", str(tmp_path / "all.csv"), *options, orders=orders)
        assert ("Anna" in (tmp_path / "all.csv").read_text()) is shown


@pytest.mark.long
def test_saved_files_are_for_their_owner_alone(audit: Callable[..., Result], tmp_path: Path) -> None:
    files = [tmp_path / "all.csv", tmp_path / "report.html"]
    for options in ((), ("--personal",)):
        audit("--out", str(files[0]), "--html", str(files[1]), *options, orders=(LATE,))
        assert [file.stat().st_mode & 0o777 for file in files] == [0o600, 0o600]


def test_a_terminal_obeys_nothing_in_the_data(audit: Callable[..., Result]) -> None:
    sku = "\x1b[2J"
    orders = (
        {"positions.0.sku": sku, "fulfillmentOrders.0.positions.0.sku": sku, "fulfillmentOrders.0.positions.0.orderedSku": sku,
         "fulfillmentOrders.0.shipments.0.positions.0.sku": sku, "fulfillmentOrders.0.shipments.0.positions.0.quantity": 1},
    )  # fmt: skip
    done = audit("--only", "short_shipped", orders=orders)
    assert done.exit_code == 1
    assert "\x1b" not in done.stdout
    assert "pieces of \\x1b[2J were shipped." in done.stdout


def test_a_folder_without_a_dataset_is_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["audit", str(tmp_path)])
    assert done.exit_code == 2
    assert "is not a dataset of quivo_frames" in done.stderr


def accept(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["accept", *arguments])


ACCEPT_LATE = ("delivered_late:1001/0/0", "--because", "agreed")


@pytest.mark.long
def test_accepted_errors_set_no_exit_status_until_their_day_is_over(
    audit: Callable[..., Result], tmp_path: Path
) -> None:
    file = str(tmp_path / "accepted.toml")
    done = accept(*ACCEPT_LATE, "--until", "2099-12-31", "--file", file)
    assert (done.exit_code, done.stdout) == (
        0, f"1 finding accepted until 2099-12-31; {file} has 1. Give it to the audit: --accepted {file}\n",
    )  # fmt: skip
    only = ("--only", "delivered_late")
    assert audit(*only, orders=(LATE,)).exit_code == 1
    done = audit(*only, "--accepted", file, orders=(LATE,))
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0] == "No findings, as of 2026-10-12 00:00 UTC; 1 accepted"
    assert audit(*only, "--accepted", file, orders=(LATE, LATE)).exit_code == 1  # another order's
    assert audit(*only, "--accepted", file, "--as-of", "2100-01-01", orders=(LATE,)).exit_code == 1


@pytest.mark.long
def test_the_report_counts_what_is_accepted(audit: Callable[..., Result], tmp_path: Path) -> None:
    file, report = str(tmp_path / "accepted.toml"), tmp_path / "report.html"
    accept(*ACCEPT_LATE, "--until", "2099-12-31", "--file", file)
    audit("--accepted", file, "--html", str(report), orders=(LATE,))
    assert "1 finding more is accepted, and not counted here." in report.read_text(encoding="utf-8")


def test_accept_writes_beside_the_user_and_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert accept(*ACCEPT_LATE, "short_shipped:1/0", "--until", "2099-12-31").exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["accepted-findings.toml"]
    assert len(tomllib.loads(Path("accepted-findings.toml").read_text())["accepted"]) == 2
    for arguments, told in (
        ((*ACCEPT_LATE, "--until", "2020-01-01"), "2020-01-01 is over. Give a later day."),
        ((*ACCEPT_LATE, "--until", "soon"), "soon is not a day. Write one such as 2026-12-31."),
        (("late:1", "--because", "x", "--until", "2099-12-31"), "late:1 is no finding. Write a check and the key"),
        (("short_shipped:1", "--because", " ", "--until", "2099-12-31"), "Give a reason"),
        (
            ("short_shipped:1", "--because", "\udcff", "--until", "2099-12-31"),
            "The reason or a finding is not UTF-8 text.",
        ),
        (("short_shipped:\udcff", "--because", "x", "--until", "2099-12-31"), "is not UTF-8 text."),
        (("--because", "x", "--until", "2099-12-31"), "Missing argument"),
        ((*ACCEPT_LATE, "--until", "2099-12-31", "--file", "x.txt"), "x.txt"),
    ):
        done = accept(*arguments)
        assert (done.exit_code, told in done.stderr) == (2, True), done.stderr
    assert len(tomllib.loads(Path("accepted-findings.toml").read_text())["accepted"]) == 2


@pytest.mark.long
def test_only_new_errors_set_the_exit_status_of_only_new(tmp_path: Path) -> None:
    file = tmp_path / "orders.ndjson"
    folder = str(tmp_path / "tables")

    def audit_built(*changes: dict[str, Any]) -> Result:
        file.write_text("\n".join(json.dumps(changed_order(change, 1001 + n)) for n, change in enumerate(changes)))
        build(file, folder, progress=False, jobs=1)
        return CliRunner().invoke(main, ["audit", folder, "--only", "new", "--only", "delivered_late"])

    assert audit_built(LATE).exit_code == 1
    done = audit_built(LATE)
    assert (done.exit_code, done.stdout.splitlines()[0].partition(",")[0]) == (0, "No findings")
    done = audit_built(LATE, LATE)
    assert done.exit_code == 1
    assert "Order 1002" in done.stdout
    assert "Order 1001" not in done.stdout
    assert "1 new, 1 standing, 0 resolved since" in done.stdout


@pytest.mark.long
def test_json_counts_what_is_new_standing_resolved_and_accepted(audit: Callable[..., Result]) -> None:
    told = json.loads(audit("--json", orders=(LATE,)).stdout)
    assert [told[name] for name in ("new", "standing", "resolved", "accepted", "since")] == [1, 0, 0, 0, None]
    assert told["skipped"]["shipped_after_cancel_request"] == "no order has orders.cancel_requested_at"
    assert "delivered_late" not in told["skipped"]
