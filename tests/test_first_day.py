"""A first day, from the wheel to a slice for a colleague: every command runs, and docs/first-day.md shows what it says.

    python -m tests.test_first_day

writes the page from a run. Where numbers differ from those of the page, nothing is wrong: some depend on the day.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest

from quivo_frames.dataset.dataset import Dataset
from quivo_frames.model.order import Privacy
from quivo_frames.model.privacy import PrivacyLevel
from quivo_frames.model.tables import TABLES
from quivo_frames.standin.server import StandIn
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "first-day.md"
BIN = ROOT / ".venv-plain" / "bin"
"""An environment in which there is the wheel, what it needs, and nothing else."""
ORDERS = 60
INSTANT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d")


INTRODUCTION = """\
A transcript: the wheel in an empty environment, and the stand-in API in place of Quivo (`quivo-frames serve`). A test runs
these commands, and compares what they say with this page."""


class Step(NamedTuple):
    """A command, what is said before it, its exit status, and the folder it runs in."""

    text: str
    command: str
    status: int = 0
    folder: str = "quivo"
    lines: int = 40
    """So many lines of the output are shown."""


STEPS = (
    Step("What is installed, and does Quivo answer?", "quivo-frames --version"),
    Step("", "quivo-frames doctor"),
    Step(
        "Five questions set up the folder; options answer them here.",
        "quivo-frames init --query '' --first all --tables tables --export csv --privacy none",
    ),
    Step("What would the first sync do? It only searches.", "quivo-frames sync --dry-run"),
    Step("The first sync. Its exit status is 1, as some findings are errors.", "quivo-frames sync", 1),
    Step("The next night, 5 orders have changed at Quivo, and 2 are new.", "quivo-frames sync", 1),
    Step("One order, without personal data:", "quivo-frames show 100001"),
    Step("What went wrong?", "quivo-frames audit", 1, lines=14),
    Step("Which lines are not shipped in full?", "quivo-frames lines --open", lines=16),
    Step(
        "A slice for a colleague: one seller, without personal values.",
        "quivo-frames export --to parquet seller-2101 --seller 2101 --privacy none",
        lines=12,
    ),
    Step("The colleague gets that folder, and opens it:", "quivo-frames audit seller-2101", 1, "colleague", 14),
)


class Transcript(NamedTuple):
    """What each step printed, and the folder in which all of it happened."""

    outputs: list[str]
    folder: Path


def run_first_day(folder: Path) -> Transcript:
    """Runs the steps against a stand-in API."""
    for name in ("quivo", "colleague"):
        (folder / name).mkdir()
    outputs = []
    with StandIn(ORDERS, seed=7) as api:
        credentials = {name: getattr(api, name) for name in ("api_key", "username", "password", "base_url")}
        clean = {name: os.environ[name] for name in ("HOME", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
        environment = clean | {f"QUIVO_{name.upper()}": value for name, value in credentials.items()}
        environment |= {"PATH": f"{BIN}:{os.environ['PATH']}", "COLUMNS": "110"}
        for step in STEPS:
            if "next night" in step.text:
                changed = [*api.order_ids[:5], *api.add_orders(2)]
                api.touch_orders(*changed, at=datetime.now(UTC) + timedelta(seconds=1))
            if "colleague gets" in step.text:
                shutil.copytree(folder / "quivo" / "seller-2101", folder / "colleague" / "seller-2101")
            done = subprocess.run(
                ["bash", "-c", step.command], cwd=folder / step.folder, env=environment, text=True, encoding="utf-8",
                capture_output=True, check=False,
            )  # fmt: skip
            assert done.returncode == step.status, (step.command, done.returncode, done.stdout, done.stderr)
            assert "Traceback" not in done.stderr
            outputs.append(show_stable(done.stdout + done.stderr, folder))
    return Transcript(outputs, folder)


def show_stable(output: str, folder: Path) -> str:
    """The output without what differs from run to run: folders, ports, the time of the run."""
    today = datetime.now(UTC)

    def replace(found: re.Match[str]) -> str:
        moment = datetime.strptime(found[0], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
        return found[0] if today - moment > timedelta(days=1) else "2026-12-01 02:15"

    output = INSTANT.sub(replace, output.replace(str(folder), "/home/me"))
    output = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8080", output)
    output = re.sub(r"in \d+\.\d\d s\b", "in 0.01 s", re.sub(r"in \d+\.\d s\b", "in 1.0 s", output))
    return "\n".join(line.rstrip() for line in output.splitlines()).rstrip()


def render_page(transcript: Transcript) -> str:
    parts = [
        "# A first day",
        INTRODUCTION,
        "```text\n$ python3 -m venv .venv\n$ .venv/bin/pip install quivo_frames-*.whl\n```",
    ]
    for step, output in zip(STEPS, transcript.outputs, strict=True):
        shown = output.splitlines()
        more = [f"… and {len(shown) - step.lines} more lines"] if len(shown) > step.lines else []
        parts += [step.text] if step.text else []
        parts.append("\n".join(["```text", f"$ {step.command}", *shown[: step.lines], *more, "```"]))
    return "\n\n".join(parts) + "\n"


def shape_of(page: str) -> list[str]:
    """The lines of a page without numbers and blanks, of each command the first: what does not depend on the day."""
    return [re.sub(r"\s+", " ", re.sub(r"\d[\d,.:-]*", "#", line)) for line in page.splitlines()]


def commands_of(page: str) -> list[str]:
    return re.findall(r"^\$ (.*)$", page, re.MULTILINE)


def personal_texts(tables: Dataset) -> set[str]:
    """Every personal or secret text of the tables that is long enough to be told from others."""
    found: set[str] = set()
    for name, table in TABLES.items():
        for column in table.columns:
            if column.privacy is not Privacy.NONE and tables[name].schema.get(column.name) == pl.String:
                found |= {text for text in tables[name][column.name].drop_nulls().unique() if len(text) > 7}
    return found


@pytest.fixture(scope="module")
def transcript(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transcript]:
    if not BIN.exists():
        pytest.skip("There is no .venv-plain: make .venv-plain/.made")
    return run_first_day(tmp_path_factory.mktemp("day"))


@pytest.mark.long
def test_the_page_shows_what_the_commands_say(transcript: Transcript) -> None:
    page, now = PAGE.read_text(encoding="utf-8"), render_page(transcript)
    assert commands_of(page) == commands_of(now)
    known, said = set(shape_of(page)), shape_of(now)
    strange = [line for line in said if line not in known]
    assert len(strange) <= 0.15 * len(said), (strange, "python -m tests.test_first_day writes the page")


@pytest.mark.long
def test_the_second_sync_fetches_what_changed(transcript: Transcript) -> None:
    first, second = (
        out for step, out in zip(STEPS, transcript.outputs, strict=True) if step.command == "quivo-frames sync"
    )
    assert f"orders: {ORDERS} new" in first
    assert "7 orders changed since" in second
    assert "orders: 2 new, 5 known ones were refetched" in second


@pytest.mark.long
def test_the_colleague_gets_a_dataset_without_personal_values(transcript: Transcript) -> None:
    whole, part = (Dataset.open(transcript.folder / place) for place in ("quivo/tables", "colleague/seller-2101"))
    expected = whole.orders.filter(pl.col("seller_id") == 2101)
    assert part.orders["order_id"].to_list() == expected["order_id"].to_list()
    assert part.level is PrivacyLevel.NONE
    personal = personal_texts(whole)
    assert len(personal) > 50
    for name in TABLES:
        cells = {
            text for column in part[name].get_columns() if column.dtype == pl.String for text in column.drop_nulls()
        }
        assert not cells & personal, name


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        PAGE.write_text(render_page(run_first_day(Path(made))), encoding="utf-8")
