"""Every command of the command line, with arguments that work, in a folder whose names and values are hostile.

A new command needs an entry in `WORKING_COMMANDS`: a test compares it with `main.commands`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import tomli_w

from quivo_frames.archive.archive import Archive
from quivo_frames.builder.build import build
from quivo_frames.model.records import Answer, Outcome
from quivo_frames.standin.faults import HttpReply, ServerFault, json_message
from quivo_frames.standin.server import StandIn
from tests.support.archived_orders import NOON, record_answers
from tests.support.fair_order import changed_order

HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202egnp\u200b\u2192\x7f\u00e4"
"""Clears a terminal, renames its window, prints backwards, and has characters that few encodings have."""
ARCHIVE, TABLES, ORDERS, LIMITS, IDS, PROJECT = f"a{HOSTILE}.sqlite", f"t{HOSTILE}", f"o{HOSTILE}.ndjson", f"l{HOSTILE}.toml", f"i{HOSTILE}.csv", f"q{HOSTILE}.toml.in"  # fmt: skip
FAILING, REFUSED = 4, 9
"""Orders of the archive: the last answer of one is broken, Quivo refused the other."""


SERVING = ("serve", "explore")
"""The commands that run until somebody ends them."""


class WorkingCommand(NamedTuple):
    """The arguments of a command, its exit status, and whether its output shows something hostile."""

    arguments: tuple[str, ...]
    status: int = 0
    shows_hostile: bool = True
    api: dict[str, object] = {}  # noqa: RUF012 - never changed
    """Options of the stand-in API that it needs."""


_SKUS = (
    "positions.0.sku", "fulfillmentOrders.0.positions.0.sku", "fulfillmentOrders.0.positions.0.orderedSku",
    "fulfillmentOrders.0.shipments.0.positions.0.sku",
)  # fmt: skip
_REFUSAL = ServerFault(reply=json_message(400, HOSTILE), times=None)
_PAGE = ServerFault(reply=HttpReply(403, json.dumps({"message": HOSTILE}).encode()), times=None)
_API: dict[str, object] = {"orders": 5}
_REFUSING: dict[str, object] = {"orders": 5, "faults": {100_002: [_REFUSAL]}}

WORKING_COMMANDS: dict[str, list[WorkingCommand]] = {
    "refetch": [
        WorkingCommand(("100001", "100002", "--archive", f"new{HOSTILE}.sqlite"), 1, api=_REFUSING),
        WorkingCommand(("100001", "100002", "--archive", "new.sqlite", "--json"), 1, shows_hostile=False, api=_API | _REFUSING),
        WorkingCommand(("--ids", IDS, "--column", f"id{HOSTILE}", "--dry-run"), shows_hostile=False),
        WorkingCommand(("--ids", IDS), 2),
        WorkingCommand(("--ids", IDS, "--column", f"other{HOSTILE}"), 2),
        WorkingCommand(("100001",), 3, api=_API | {"login_faults": [_PAGE]}),
        WorkingCommand(("100001", "--max-age", HOSTILE), 2),
    ],
    "find": [
        WorkingCommand((), shows_hostile=False, api=_API),
        WorkingCommand((HOSTILE,), 2, api=_API | {"list_faults": [_REFUSAL]}),
        WorkingCommand(("--since", HOSTILE), 2),
    ],
    "doctor": [
        WorkingCommand((), shows_hostile=False, api=_API),
        WorkingCommand(("100001", "--yes", "--json"), shows_hostile=False, api=_API),
        WorkingCommand(("100002", "--yes"), 1, shows_hostile=False, api=_REFUSING),
        WorkingCommand((), 1, shows_hostile=False, api=_API | {"login_faults": [_PAGE]}),
    ],
    "init": [
        WorkingCommand(("--query", HOSTILE, "--export", "duckdb", "--project", f"q{HOSTILE}.toml")),
        WorkingCommand(("--first", HOSTILE), 2),
        WorkingCommand(("--export", HOSTILE), 2),
        WorkingCommand(("--tables", HOSTILE, "--privacy", HOSTILE), 2),
    ],
    "sync": [
        WorkingCommand(("--project", PROJECT, "--jobs", "1"), 1, api=_API | _REFUSING),
        WorkingCommand(("--project", PROJECT, "--jobs", "1", "--json"), 1, api=_API | _REFUSING),
        WorkingCommand(("--project", PROJECT, "--dry-run"), api=_API, shows_hostile=False),
        WorkingCommand(("--project", LIMITS), 2),
    ],
    "status": [WorkingCommand(("--archive", ARCHIVE)), WorkingCommand(("--archive", ARCHIVE, "--json"))],
    "serve": [WorkingCommand(("--orders", "3"), shows_hostile=False)],
    "explore": [WorkingCommand((TABLES, "--no-browser"))],
    "mcp": [WorkingCommand((TABLES,))],  # which ends when stdin does
    "build": [
        WorkingCommand((ARCHIVE, "--out", TABLES, "--jobs", "1"), 1),
        WorkingCommand((ORDERS, "--out", f"n{HOSTILE}", "--jobs", "1"), 1),
        WorkingCommand((ORDERS, "--out", f"n{HOSTILE}", "--jobs", "1", "--json"), 1),
    ],
    "accept": [
        WorkingCommand(("short_shipped:1/0", "--until", "2099-12-31", "--because", HOSTILE, "--file", f"p{HOSTILE}.toml")),
        WorkingCommand((HOSTILE, "--until", "2099-12-31", "--because", "x"), 2),
        WorkingCommand(("short_shipped:1/0", "--until", HOSTILE, "--because", "x"), 2),
    ],
    "audit": [
        WorkingCommand((TABLES, "--as-of", "2026-10-12", "--out", f"f{HOSTILE}.csv", "--html", f"r{HOSTILE}.html"), 1),
        WorkingCommand((TABLES, "--as-of", "2026-10-12", "--limits", LIMITS, "--json"), 1),
        WorkingCommand((TABLES, "--only", HOSTILE), 2),
        WorkingCommand((TABLES, "--seller", HOSTILE), 1),
        WorkingCommand((TABLES, "--status", HOSTILE, "--json"), 1),
        WorkingCommand((TABLES, "--as-of", HOSTILE), 2),
    ],
    "report": [
        WorkingCommand((TABLES, f"r{HOSTILE}.html", "--as-of", "2026-10-12"), 1),
        WorkingCommand((TABLES, "--as-of", "2026-10-12", "--json"), 1),
        WorkingCommand((TABLES, "--only", HOSTILE), 2),
    ],
    "kpis": [
        WorkingCommand((TABLES, "--by", "seller", "--out", f"k{HOSTILE}.csv")),
        WorkingCommand((TABLES, "--by", "seller", "--limits", LIMITS, "--json")),
        WorkingCommand((TABLES, "--only", HOSTILE), 2),
    ],
    "columns": [
        WorkingCommand(("orders", "--from", TABLES)),
        WorkingCommand(("--from", TABLES, "--json"), shows_hostile=False),
        WorkingCommand((HOSTILE,), 2),
    ],
    "checks": [
        WorkingCommand(("short_shipped", "--from", TABLES), shows_hostile=False),
        WorkingCommand(("--json",), shows_hostile=False),
        WorkingCommand((HOSTILE,), 2),
    ],
    "completion": [WorkingCommand(("bash",), shows_hostile=False), WorkingCommand((HOSTILE,), 2)],
    "lines": [
        WorkingCommand((TABLES,)),
        WorkingCommand((TABLES, "--json")),
        WorkingCommand((TABLES, "--out", f"l{HOSTILE}.csv")),
    ],
    "show": [
        WorkingCommand(("1", "--from", TABLES)),
        WorkingCommand(("1", "--from", TABLES, "--json")),
        WorkingCommand((str(FAILING), "--from", TABLES), 2),
    ],
    "export": [
        WorkingCommand((TABLES, "--to", "csv", f"c{HOSTILE}")),
        WorkingCommand((TABLES, "--to", "csv", f"c{HOSTILE}", "--json")),
        WorkingCommand((TABLES, "--to", "ocel", f"l{HOSTILE}.sqlite")),
        WorkingCommand((TABLES, "--to", "powerbi", f"p{HOSTILE}")),
        WorkingCommand((TABLES, "--check", "excel"), shows_hostile=False),
    ],
    "export-raw": [WorkingCommand(("--archive", ARCHIVE, f"x{HOSTILE}")), WorkingCommand(("--archive", ARCHIVE, f"x{HOSTILE}", "--json"))],
    "history": [WorkingCommand(("1", "--archive", ARCHIVE)), WorkingCommand(("1", "--archive", ARCHIVE, "--json"))],
    "changes": [
        WorkingCommand(("--archive", ARCHIVE, "--out", f"h{HOSTILE}.csv"), 1),
        WorkingCommand(("--archive", ARCHIVE, "--json"), 1),
    ],
    "check": [WorkingCommand((TABLES,)), WorkingCommand((ARCHIVE, "--json"), shows_hostile=True)],
    "forget": [
        WorkingCommand(("1", "--archive", ARCHIVE, "--tables", TABLES, "--yes")),
        WorkingCommand(("1", "--archive", ARCHIVE, "--tables", TABLES, "--yes", "--json")),
    ],
    "demo": [WorkingCommand(("--orders", "20", "--out", f"d{HOSTILE}"))],
}  # fmt: skip


def make_hostile_folder(folder: Path, value: str = HOSTILE) -> None:
    """Fill a folder with an archive, tables, files of orders, ids and limits: what the commands above read.

    `value` stands in many places of the orders.
    """
    changed = {"orderStatus": value, "sellerName": value, "fulfillmentOrders.0.shipments.0.positions.0.quantity": 1}
    changed |= dict.fromkeys(_SKUS, value)
    earlier, later = ({number: _order_body(number, change) for number in (1, 2, FAILING)} for change in ({}, changed))
    later[FAILING] = b'{"orderId":4,'
    with Archive(folder / ARCHIVE) as archive:
        record_answers(archive, earlier, NOON)
        build(archive, folder / TABLES, progress=False, jobs=1)
        record_answers(archive, later, NOON + timedelta(hours=1))
        run, _ = archive.begin([REFUSED], new_run=True)
        message = f"Quivo refused order {REFUSED} (400: {HOSTILE})."
        archive.record(run, Answer(REFUSED, Outcome.REFUSED, NOON, 400, {}, b"", 1, 0, 0.1, 0.1, message))
    (folder / ORDERS).write_bytes(b"\n".join([later[1], b"{", b'{"orderId":3,"sellerId":"x"}']))
    build(folder / ARCHIVE, folder / TABLES, progress=False, jobs=1)
    (folder / LIMITS).write_text("late_hours = 0\n")
    hostile_names = {
        "archive": f"s{HOSTILE}.sqlite",
        "tables": f"u{HOSTILE}",
        "exports": [{"to": "csv", "out": f"v{HOSTILE}"}],
    }
    sections = {"find": {"first": "all"}, "report": {"file": f"w{HOSTILE}.html"}}
    (folder / PROJECT).write_text(tomli_w.dumps(hostile_names | sections), encoding="utf-8")
    (folder / IDS).write_text(f"id{HOSTILE},b\n100001,1\n", encoding="utf-8")


def fill_folder(folder: Path, hostile_folder: Path, command: str | None) -> None:
    """The files that commands work on; of copied tables, `forget` says that their first archive still holds the order."""
    if command == "forget":
        folder.mkdir()
        make_hostile_folder(folder)
    else:
        shutil.copytree(hostile_folder, folder)


def _order_body(order_id: int, change: dict[str, object]) -> bytes:
    order = changed_order(change, order_id)
    return json.dumps(order | ({f"new{HOSTILE}": {"a": 1}} if change else {}), ensure_ascii=False).encode()


@contextmanager
def environment_of(command: WorkingCommand) -> Iterator[dict[str, str]]:
    """The environment of a command: nothing of the user's, and the login of a stand-in API where it needs one."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("QUIVO_")}
    clean |= {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring", "COLUMNS": "1000"}
    if not command.api:
        yield clean
        return
    with StandIn(**command.api) as api:  # type: ignore[arg-type]
        login = {"api_key": api.api_key, "username": api.username, "password": api.password, "base_url": api.base_url}
        yield clean | {f"QUIVO_{name.upper()}": value for name, value in login.items()}
