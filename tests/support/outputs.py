"""Everything that writes to a path which a user gives: options of commands, and public functions.

A new one needs an entry in `COMMAND_OUTPUTS` or `FUNCTION_OUTPUTS`: tests compare them with what there is.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from unittest import mock

import polars as pl

import quivo_frames as qf
from quivo_frames.analysis.changes.differences import CHANGES_TABLE
from quivo_frames.analysis.checks.accepted import accept_findings
from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.analysis.checks.findings import FINDINGS, Findings
from quivo_frames.cli import main
from quivo_frames.errors import QuivoError
from quivo_frames.export.frame_file import write_frame_file
from quivo_frames.maintenance.receipt import ErasureReceipt
from quivo_frames.model.tables import Table
from quivo_frames.standin.orders import order_json
from quivo_frames.standin.server import StandIn
from tests.support.archived_orders import NOON, record_answers

ORDER_IDS = range(100_001, 100_101)
AS_OF = "2027-01-01"


class World(NamedTuple):
    """A folder with an archive `orders.sqlite` of two answers per order, and its tables `t`."""

    folder: Path

    @property
    def archive(self) -> Path:
        return self.folder / "orders.sqlite"

    @property
    def tables(self) -> Path:
        return self.folder / "t"

    def copy_to(self, folder: Path) -> World:
        return World(Path(shutil.copytree(self.folder, folder)))


class Result(NamedTuple):
    """How a command or a function ended: its exit status, and what it said on stderr."""

    status: int
    message: str


Write = Callable[[World, Path], Result]


class Output(NamedTuple):
    """One way to write to a path. Outputs of the same `kind` may replace each other."""

    kind: str
    name: str
    """A name that fits."""
    write: Write
    is_folder: bool = False
    file_limit: int = 1_000
    """Bytes of a file at which it fails: the index of an archive that is read takes 32 KiB."""
    creates_parents: bool = True


def make_world(folder: Path) -> World:
    world = World(folder)
    with qf.Archive(world.archive) as archive:
        record_answers(archive, {order_id: order_json(order_id) for order_id in ORDER_IDS}, NOON)
    record_and_build(world, days=0)
    return world


def record_and_build(world: World, days: int) -> None:
    """Add an answer of each order, with values that cannot be compressed, and build the tables."""
    dice = Random(days)
    later = {
        order_id: json.dumps(
            json.loads(order_json(order_id)) | {"orderStatus": "CHANGED", "shopSystemName": dice.randbytes(500).hex()}
        ).encode()
        for order_id in ORDER_IDS
    }
    with qf.Archive(world.archive) as archive:
        record_answers(archive, later, NOON + timedelta(hours=1, days=days))
    qf.build(world.archive, world.tables, jobs=1, progress=False)


@contextmanager
def _streams_captured() -> Iterator[StringIO]:
    out, err = StringIO(), StringIO()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with mock.patch.object(sys, "stdout", out), mock.patch.object(sys, "stderr", err):
            yield err
    finally:
        signal.signal(signal.SIGTERM, handler)


def run_command(*arguments: object) -> Result:
    """Run a command in this process."""
    with _streams_captured() as stderr:
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
    return Result(status, stderr.getvalue())


def call(function: Callable[..., Any], *arguments: Any, **options: Any) -> Result:
    """Call a function; an error of ours is a message and the exit status that it has at the prompt."""
    try:
        function(*arguments, **options)
    except QuivoError as error:
        return Result(error.exit_status, f"quivo-frames: {error}\n")
    return Result(0, "")


def rows_of(table: Table) -> pl.DataFrame:
    """Some rows of a table, all the same."""
    values = {pl.String: "x" * 50, pl.Int64: 1}
    row = {name: values.get(type(kind)) for name, kind in table.schema.items()}
    return pl.DataFrame([row] * 99, schema=table.schema)


def _audit(option: str) -> Write:
    return lambda world, target: run_command("audit", world.tables, "--as-of", AS_OF, option, target)


def _export(*options: str) -> Write:
    return lambda world, target: run_command("export", world.tables, *options, target)


def _build(*options: str) -> Write:
    return lambda world, target: run_command("build", world.archive, "--jobs", "1", "--full", *options, "--out", target)


def _record_one(_: World, target: Path) -> Result:
    """What `refetch` does with its archive."""

    def record() -> None:
        with qf.Archive(target) as archive:
            record_answers(archive, {1: b'{"orderId":1}'}, NOON)

    return call(record)


def _refetch(_: World, target: Path) -> Result:
    with StandIn(1) as api:
        login = {"API_KEY": api.api_key, "USERNAME": api.username, "PASSWORD": api.password, "BASE_URL": api.base_url}
        with mock.patch.dict(os.environ, {f"QUIVO_{name}": value for name, value in login.items()}):
            return run_command("refetch", api.order_ids[0], "--archive", target, "--yes")


REPORT = Output("report", "out.html", _audit("--html"), creates_parents=False)
FRAME_FILES = {
    ending: (
        Output(f"findings{ending}", f"out{ending}", _audit("--out"), creates_parents=False),
        Output(
            f"changes{ending}",
            f"out{ending}",
            lambda world, target: run_command("changes", "--archive", world.archive, "--out", target),
            file_limit=40_000,
            creates_parents=False,
        ),
    )
    for ending in (".csv", ".parquet", ".ndjson", ".xlsx")
}
LINES = Output(
    "lines.csv",
    "out.csv",
    lambda world, target: run_command("lines", world.tables, "--out", target),
    creates_parents=False,
)
KPIS = Output(
    "kpis.csv",
    "out.csv",
    lambda world, target: run_command("kpis", world.tables, "--out", target),
    creates_parents=False,
)
RECEIPTS = Output(
    "receipts",
    "out.ndjson",
    lambda world, target: run_command("forget", ORDER_IDS[0], "--archive", world.archive, "--yes", "--receipt", target),
    file_limit=40_000,
    creates_parents=False,
)
EXPORTS = [
    Output("duckdb export", "out.duckdb", _export("--to", "duckdb")),
    Output("excel export", "out.xlsx", _export("--to", "excel")),
    Output("event log", "out.json", _export("--to", "ocel")),
    Output("event log", "out.sqlite", _export("--to", "ocel")),
    Output("power bi export", "out", _export("--to", "powerbi"), is_folder=True),
    Output("csv export", "out", _export("--to", "csv"), is_folder=True),
    Output("parquet export", "out", _export("--to", "parquet"), is_folder=True),
    Output("parquet export", "out", _export("--to", "parquet", "--by-month"), is_folder=True),
    Output("delta export", "out", _export("--to", "delta"), is_folder=True),
]
BUILDS = [
    Output("tables", "out", _build(), is_folder=True, file_limit=40_000),
    Output("delta tables", "out", _build("--format", "delta"), is_folder=True, file_limit=40_000),
]
RAW_EXPORT = Output(
    "raw export",
    "out",
    lambda world, target: run_command("export-raw", "--archive", world.archive, target),
    is_folder=True,
    file_limit=40_000,
)
DEMO = Output("demo", "out", lambda _, target: run_command("demo", "--orders", "20", "--out", target), is_folder=True)

COMMAND_OUTPUTS: dict[tuple[str, str], Sequence[Output]] = {
    ("accept", "file"): [
        Output(
            "file of accepted findings",
            "out.toml",
            lambda _, target: run_command(
                "accept", "short_shipped:1/0", "--until", "2099-12-31", "--because", "x", "--file", target
            ),
            file_limit=40,
            creates_parents=False,
        )
    ],
    ("audit", "html"): [REPORT],
    ("audit", "out"): [findings for findings, _ in FRAME_FILES.values()],
    ("report", "out"): [
        Output(
            "report",
            "out.html",
            lambda world, target: run_command("report", world.tables, target, "--as-of", AS_OF),
            creates_parents=False,
        )
    ],
    ("kpis", "out"): [KPIS],
    ("lines", "out"): [LINES],
    ("changes", "out"): [changes for _, changes in FRAME_FILES.values()],
    ("forget", "receipt"): [RECEIPTS],
    ("export", "out"): EXPORTS,
    ("build", "out"): BUILDS,
    ("export-raw", "address"): [RAW_EXPORT],
    ("demo", "out"): [DEMO],
    ("refetch", "archive"): [Output("archive", "out.sqlite", _refetch, file_limit=40_000, creates_parents=False)],
}
"""By command and parameter."""
_SLICE = {"sellers", "warehouses", "statuses", "until", "chosen_ids"}
NO_OUTPUTS = {
    "accept": {"findings", "because", "until"},
    "audit": {"folder", "as_of", "only", "skip", "limits", "accepted", "on_time"} | _SLICE,
    "report": {"folder", "as_of", "only", "skip", "limits", "accepted", "on_time"} | _SLICE,
    "kpis": {"folder", "as_of", "only", "limits", "on_time"} | _SLICE,
    "lines": {"folder", "skus"} | _SLICE,
    "columns": {"table", "folder"},
    "checks": {"name", "folder"},
    "build": {"inputs", "on", "as_of"},
    "changes": {"archive"},
    "check": {"target"},
    "explore": {"folder", "host", "archive", "limits", "on_time", "accepted"},  # which is written by a form
    "mcp": {"folder", "accepted", "limits", "on_time"},
    "export": {"folder"} | _SLICE,
    "export-raw": {"archive"},
    "find": {"query", "sort"},
    "init": {
        "query",
        "first",
        "tables",
        "exports",
        "privacy",
        "project",
    },  # quivo.toml: never replaced, see tests/nightly
    "sync": {"project"},
    "doctor": {"order_id"},
    "forget": {"ids", "archive", "tables"},
    "history": {"archive"},
    "refetch": {"ids", "ids_file", "column"},
    "show": {"wanted", "folder", "archive", "limits", "accepted"},
    "status": {"archive"},
}
"""Parameters that are text, or a path that is read: an archive or tables must be there for `forget` to change them."""

FUNCTION_OUTPUTS: dict[tuple[str, str], Sequence[Output]] = {
    ("analysis.report.report.report", "file"): [
        Output(
            "report",
            "out.html",
            lambda world, target: call(qf.report, world.tables, target, AS_OF),
            creates_parents=False,
        )
    ],
    ("analysis.checks.accepted.accept_findings", "file"): [
        Output(
            "file of accepted findings",
            "out.toml",
            lambda _, target: call(accept_findings, ["short_shipped:1/0"], date(2099, 12, 31), "x", target, CHECKS),
            file_limit=40,
            creates_parents=False,
        )
    ],
    ("analysis.checks.findings.Findings.write", "file"): [
        Output(
            "findings.csv",
            "out.csv",
            lambda _, target: call(Findings(rows_of(FINDINGS)).write, target),
            creates_parents=False,
        )
    ],
    ("export.frame_file.write_frame_file", "file"): [
        Output(
            "changes.csv",
            "out.csv",
            lambda _, target: call(write_frame_file, rows_of(CHANGES_TABLE), target, CHANGES_TABLE),
            creates_parents=False,
        )
    ],
    ("maintenance.receipt.ErasureReceipt.write", "file"): [
        Output(
            "receipts",
            "out.ndjson",
            lambda _, target: call(ErasureReceipt("erased", list(range(300)), archive="x").write, target),
        )
    ],
    ("dataset.dataset.Dataset.export", "out"): [
        Output(
            "csv export", "out", lambda world, target: call(qf.open(world.tables).export, "csv", target), is_folder=True
        )
    ],
    ("dataset.dataset.Dataset.write", "folder"): [
        Output("parquet export", "out", lambda world, target: call(qf.open(world.tables).write, target), is_folder=True)
    ],
    ("archive.archive.Archive.export", "address"): [
        Output(
            "raw export",
            "out",
            lambda world, target: call(qf.Archive(world.archive).export, target),
            is_folder=True,
            file_limit=40_000,
        )
    ],
    ("archive.archive.Archive.__init__", "path"): [
        Output("archive", "out.sqlite", _record_one, file_limit=40_000, creates_parents=False)
    ],
    ("builder.build.build", "out"): [
        Output(
            "tables",
            "out",
            lambda world, target: call(qf.build, world.archive, target, jobs=1, full=True, progress=False),
            is_folder=True,
            file_limit=40_000,
        )
    ],
}
"""By function, as it is called inside `quivo_frames`, and parameter."""
READING_FUNCTIONS = {
    ("explorer.explore.explore", "accepted"),  # written by accept_findings, when a form is sent
    ("explorer.explore.explore", "archive"),
    ("explorer.explore.explore", "limits"),
    ("assistant.server.serve_assistant", "accepted"),
    ("assistant.server.serve_assistant", "limits"),
    ("analysis.checks.accepted.read_accepted", "file"),
    ("analysis.checks.audit.audit", "accepted"),
    ("analysis.checks.audit.audit", "limits"),
    ("analysis.checks.findings.Findings.save", "file"),  # what `write` calls
    ("archive.raw_export.export.export_archive", "address"),  # what `Archive.export` calls
    ("analysis.checks.limits.read_limits", "file"),
    ("analysis.kpi.fact_tables.kpi_fact_tables", "limits"),
    ("analysis.kpi.fact_tables.pivot_tables", "limits"),
    ("analysis.kpi.kpis.kpis", "limits"),
    ("analysis.report.report.report", "accepted"),
    ("analysis.workbook.export_with_answers", "out"),  # by what `Dataset.export` calls
    ("analysis.single_order.order", "accepted"),
    ("analysis.single_order.order", "limits"),
    ("analysis.report.report.report", "limits"),
    ("builder.build.build_with", "out"),  # what `build` calls
    ("dataset.dataset.Dataset.open", "folder"),
    ("fetch.order_ids.read_ids", "source"),
    ("maintenance.erasure.forget", "archive"),
    ("maintenance.erasure.forget", "tables"),
    ("maintenance.erasure.honour_removed", "archive"),
    ("maintenance.integrity.check", "place"),
    ("nightly.sync.plan_sync", "project"),
    ("nightly.sync.require_project", "file"),
    ("nightly.sync.sync", "project"),
    ("settings.toml_file.read_toml_file", "file"),
    ("storage.path_names.check_path", "given"),
    ("storage.place.open_place", "out"),
    ("storage.place.refuse_output_place", "out"),
}
"""Parameters that are a path which is read, or checked, or written by a function above."""


def _named(outputs: Mapping[tuple[str, str], Sequence[Output]]) -> dict[str, Output]:
    return {
        f"{' '.join(name)} {number} ({output.kind})": output
        for name, found in outputs.items()
        for number, output in enumerate(found)
    }


OUTPUTS_OF_COMMANDS, OUTPUTS_OF_FUNCTIONS = _named(COMMAND_OUTPUTS), _named(FUNCTION_OUTPUTS)
