"""Commands that audit the tables: audit, report, and accept for findings."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quivo_frames.cli.default_places import (
    accepted_option,
    default_tables,
    limits_option,
    on_time_option,
    read_project,
    tables_argument,
)
from quivo_frames.cli.options import as_json, print_facts, print_written, quiet_option
from quivo_frames.cli.params import DayOrInstantParam, DayParam, FileParam, PlaceParam
from quivo_frames.cli.slice_options import open_slice, slice_options
from quivo_frames.display.text import format_count, print_text, terminal_text
from quivo_frames.errors import ConfigError

if TYPE_CHECKING:
    from quivo_frames.analysis.checks.findings import Findings

_REPORT, _ACCEPTED = "report.html", "accepted-findings.toml"
_REPORT_ENDINGS = (".html", ".htm")


def audit_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options of an audit; the command gets them as `chosen`, arguments of `qf.audit` and `qf.report`."""
    options = (
        click.option(
            "--as-of",
            type=DayOrInstantParam(),
            help="Day (its end) or instant, UTC, or yesterday, 7d (ago).  [default: when the last answer arrived]",
        ),
        click.option(
            "--only",
            multiple=True,
            metavar="CHECK|new",
            help="Only this check, or only what the last audit did not find; may be given several times.",
        ),
        click.option(
            "--skip", multiple=True, metavar="CHECK", help="Leave out this check; may be given several times."
        ),
        limits_option,
        accepted_option,
        click.option("--personal", is_flag=True, help="Show the personal values in findings."),
        click.option(
            "--jobs", default=1, show_default=True, type=click.IntRange(1), help="Processes that share the work."
        ),
    )

    @functools.wraps(command)
    def with_choice(
        *, as_of: str | None, only: tuple[str, ...], skip: tuple[str, ...], limits: Path | None, accepted: Path | None,
        personal: bool, jobs: int, **others: Any,
    ) -> None:  # fmt: skip
        chosen = {
            "as_of": as_of, "only": only, "skip": skip, "limits": limits, "accepted": accepted, "personal": personal,
            "jobs": jobs,
        }  # fmt: skip
        command(chosen=chosen, **others)

    return functools.reduce(lambda decorated, option: option(decorated), reversed(options), with_choice)


@click.command()
@tables_argument
@audit_options
@slice_options
@click.option("--html", type=FileParam(), help="Write a report for any browser, offline.")
@on_time_option
@click.option("--out", type=FileParam(), help="Write all findings: .parquet, .csv, .ndjson or .xlsx.")
@quiet_option
@as_json
def audit(
    folder: str, html: Path | None, on_time: str, out: Path | None, as_json: bool, chosen: dict[str, Any],
    where: dict[str, Any],
) -> None:  # fmt: skip
    """Audit the tables: what went wrong in fulfillment. Exit status 1 if a finding is an error that is not accepted.

    A folder of tables remembers what was found: the next audit says what is new, and what is resolved. An audit with
    --as-of, or of some of the orders, changes nothing in this. `quivo-frames checks` defines the checks.

    Example: quivo-frames audit --html report.html

    Example: quivo-frames audit tables --only delivered_late --out late.csv

    Example: quivo-frames audit --seller 2101 --since 7d

    Example: quivo-frames audit --only new --accepted accepted-findings.toml
    """
    from quivo_frames.analysis.checks.audit import audit as audit_tables
    from quivo_frames.analysis.checks.findings import FINDINGS
    from quivo_frames.export.frame_file import refuse_frame_file

    dataset = open_slice(folder, where)
    if out:
        refuse_frame_file(out, FINDINGS)
    if html:
        from quivo_frames.analysis.report.report import report as write_report

        findings = write_report(dataset, html, on_time_against=on_time, **chosen)
    else:
        findings = audit_tables(dataset, **chosen)
    notices = [*findings.notices, *(findings.save(out) if out else ())]
    _print_findings(findings, [out, html], notices, as_json=as_json)


@click.command()
@click.argument("folder", metavar="[TABLES]", required=False, type=PlaceParam())
@click.argument("out", metavar="[OUT]", required=False, type=FileParam())
@audit_options
@slice_options
@on_time_option
@quiet_option
@as_json
def report(
    folder: str | None, out: Path | None, on_time: str, as_json: bool, chosen: dict[str, Any], where: dict[str, Any]
) -> None:  # fmt: skip
    """Write the report of an audit: one page for any browser, offline, with findings, figures and charts.

    OUT is report.html by default, or what quivo.toml names. A single name that ends in .html is OUT. Exit status 1 if
    a finding is an error that is not accepted.

    Example: quivo-frames report

    Example: quivo-frames report tables june.html --as-of 2026-06-30
    """
    from quivo_frames.analysis.report.report import report as write_report

    if folder and out is None and folder.lower().endswith(_REPORT_ENDINGS):
        out, folder = Path(folder), None
    page = out or Path(read_project().report.file or _REPORT)
    findings = write_report(open_slice(folder or default_tables(), where), page, on_time_against=on_time, **chosen)
    _print_findings(findings, [page], findings.notices, as_json=as_json)


def _print_findings(
    findings: Findings, files: list[Path | None], notices: Sequence[str], *, as_json: bool
) -> None:  # fmt: skip
    """Print the summary of an audit and what was written, and end with the exit status."""
    from quivo_frames.analysis.checks.check import Severity

    if as_json:
        print_facts(findings.facts())
    else:
        print_text(str(findings))
        print_written(files, notices)
    sys.exit(1 if findings.counts()[Severity.ERROR] else 0)


@click.command()
@click.argument("findings", metavar="FINDING...", nargs=-1, required=True)
@click.option("--until", required=True, type=DayParam(), help="The last day on which they are accepted, UTC.")
@click.option("--because", required=True, metavar="TEXT", help="Why.")
@click.option(
    "--file",
    default=lambda: read_project().audit.accepted or _ACCEPTED,
    type=FileParam(),
    help=f"TOML file to add them to, for `audit --accepted`.  [default: {_ACCEPTED}, or what quivo.toml names]",
)
def accept(findings: tuple[str, ...], until: date, because: str, file: Path) -> None:
    """Accept findings until a day: `audit --accepted FILE` counts them apart, and they set no exit status.

    A finding is named by its check and the key of its row, as in the column `finding` of what `audit --out` writes. A
    finding that is accepted already gets the new day and reason. The file can be committed: it is sorted, with one line
    for each.

    Example: quivo-frames accept short_shipped:100017/0 --until 2026-12-31 --because "Replaced by order 100020"
    """
    from quivo_frames.analysis.checks.accepted import accept_findings
    from quivo_frames.analysis.checks.audit import CHECKS

    if until < datetime.now(UTC).date():
        raise ConfigError(f"{until} is over. Give a later day.")
    total = accept_findings(findings, until, because, file, CHECKS)
    accepted = f"{format_count(len(set(findings)), 'finding')} accepted until {until}"
    is_known = read_project().audit.accepted == str(file)
    advice = "" if is_known else f" Give it to the audit: --accepted {file}"
    print_text(terminal_text(f"{accepted}; {file} has {total:,}.{advice}"))
