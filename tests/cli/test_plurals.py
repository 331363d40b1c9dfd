"""One of a thing is said in the singular: what commands print about an archive of one order, line by line."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

import quivo_frames as qf
from quivo_frames.cli import main
from tests.support.archived_orders import NOON, record_answers
from tests.support.fair_order import changed_order

COMMANDS = [
    "status", "build --jobs 1", "build --jobs 1 --full", "audit", "kpis", "kpis --by seller", "lines", "lines --out l.csv", "show 1",
    "columns", "columns orders", "checks", "changes", "changes --out c.csv", "history 1", "check", "export --to csv out",
    "export --check excel", "accept order_error:1 --until 2099-01-01 --because x", "export-raw raw", "audit --limits l.toml",
    "forget 1 --yes",
]  # fmt: skip
SEVERAL = re.compile(
    r"(?<![\d.,:/-])1 (?:more |good |short |other |good answer )?(?:order|row|line|piece|finding|answer|run|request|file|table|"
    r"change|field|column|check|error|warning|shipment|unit|place|thing|value|note|id|copy|export|serial number|reader|day)(?:s|es)\b"
)
"""Text of tables has two blanks between cells, and headings no numbers."""
ONE = {
    "positions.0.quantity": 1, "positions.0.totalNetAmount": 9.0, "positions.0.totalGrossAmount": 9.0, "positions.0.totalWeight": 9.0,
    "fulfillmentOrders.0.shipments.0.positions.0.quantity": 1, "fulfillmentOrders.0.shipments.0.positions.0.serialNumbers": ["a", "b"],
    "latestDeliveryDate": "2026-09-03",
}  # fmt: skip


@pytest.mark.long
def test_one_of_a_thing_is_never_said_in_the_plural(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("l.toml").write_text("late_hours = 1\n")
    with qf.Archive("orders.sqlite") as archive:
        for hours, change in enumerate(({}, ONE)):
            body = json.dumps(changed_order(change, 1)).encode()
            record_answers(archive, {1: body}, NOON + timedelta(hours=hours))
    shown = {words: CliRunner().invoke(main, words.split(), env={"COLUMNS": "300"}) for words in COMMANDS}
    for words, done in shown.items():
        assert done.exit_code in (0, 1), (words, done.output)
        assert not SEVERAL.findall(done.output), (words, done.output)
    found = qf.audit(qf.flatten([json.dumps(changed_order(ONE, 1))]))["message"].to_list()
    assert "Order 1: shipped 1 piece of A with 2 serial numbers." in found
    assert "Order 1: the weight of 1 piece of A is 1.5 each, but 9 together." in found
