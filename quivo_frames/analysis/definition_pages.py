"""The definitions of checks, thresholds and KPIs at the prompt."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.padding import Padding
from rich.text import Text

from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.analysis.checks.limits import describe_limits
from quivo_frames.analysis.kpi.kpis import KPIS, UNTOLD
from quivo_frames.analysis.report.sheets import ColumnHeading, Sheet, format_percent
from quivo_frames.analysis.terminal_sheets import open_console, print_sheet
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.errors import ConfigError


def check_facts(name: str | None, dataset: Dataset | None) -> list[dict[str, Any]]:
    """The checks, or one: what it finds, its definition, what it cannot see, and the columns that it needs.

    Of each needed column stands there in what share of the rows of a dataset it is filled; None if that is not known.

    Raises:
        ConfigError: there is no such check.
    """
    if name is not None and name not in CHECKS:
        raise ConfigError(f"There is no check {name!r}. The checks are: {', '.join(CHECKS)}.")
    return [
        {
            "check": check.name, "severity": str(check.severity), "subject": check.subject, "finds": check.title,
            "definition": check.definition, "limits": check.limits, "table": check.table,
            "reference": check.reference, "needs": {column: _filled_share(column, dataset) for column in check.needs},
        }
        for check in CHECKS.values()
        if name in (None, check.name)
    ]  # fmt: skip


def kpi_definitions(names: Iterable[str] = ()) -> list[dict[str, Any]]:
    """The definitions of some KPIs, or of all: title, definition, what it cannot see, and the standard it follows."""
    chosen = list(names) or list(KPIS)
    return [{"kpi": name, **KPIS[name].definition._asdict()} for name in chosen]


def _filled_share(column: str, dataset: Dataset | None) -> float | None:
    table, _, name = column.partition(".")
    if dataset is None:
        return None
    profile = dataset.manifest["profile"][table]
    return profile["filled"].get(name, 0) / profile["rows"] if profile["rows"] else None


def print_checks() -> None:
    """Print all checks, and the thresholds."""
    console = open_console()
    heads = [ColumnHeading(words, is_number=False) for words in ("check", "severity", "finds")]
    rows = [[check.name, str(check.severity), check.title] for check in CHECKS.values()]
    note = "`quivo-frames checks NAME` defines one."
    print_sheet(console, Sheet("Checks", heads, rows, note))
    heads = [ColumnHeading(words, is_number=False) for words in ("threshold", "default", "meaning")]
    rows = [[limit.name, _default_text(limit.default), limit.sentence] for limit in describe_limits()]
    console.print()
    print_sheet(console, Sheet("Thresholds, for a TOML file that --limits names", heads, rows))


def print_check(name: str, dataset: Dataset | None) -> None:
    """Print the definition of a check."""
    (facts,) = check_facts(name, dataset)
    needs = [f"{column}{_rows_text(share)}" for column, share in facts["needs"].items()]
    _print_definition(
        f"{name}: {facts['severity']}, about {facts['table']}",
        [
            facts["finds"],
            facts["definition"],
            f"What it cannot see: {facts['limits']}" if facts["limits"] else "",
            f"Needs: {', '.join(needs)}. It is skipped where one is filled in no row." if needs else "",
            f"Follows: {facts['reference']}.",
        ],
    )


def print_kpi_definitions(names: Iterable[str] = ()) -> None:
    """Print the definitions of some KPIs, or of all; then also what the orders cannot tell."""
    chosen = list(names)
    for facts in kpi_definitions(chosen):
        _print_definition(
            f"{facts['kpi']}: {facts['title']}",
            [facts["text"], f"What it cannot see: {facts['limits']}", f"Follows: {facts['reference']}."],
        )
    if not chosen:
        _print_definition("What these orders cannot tell", [f"{name}: {why}" for name, why in UNTOLD.items()])


def _print_definition(title: str, paragraphs: Iterable[str]) -> None:
    console = open_console()
    console.print(Text(title, style="bold"))
    for paragraph in filter(None, paragraphs):
        console.print(Padding(Text(paragraph.replace("\u00a0", " ")), (0, 0, 0, 2)))
    console.print()


def _default_text(default: object) -> str:
    return (", ".join(default) or "none") if isinstance(default, tuple | dict) else f"{default}"


def _rows_text(share: float | None) -> str:
    return "" if share is None else f" (filled in {format_percent(share)} of the rows)"
