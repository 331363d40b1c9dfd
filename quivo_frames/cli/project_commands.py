"""Commands of quivo.toml: init writes it, sync does what it says."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from quivo_frames.cli.default_places import PROJECT_FILE
from quivo_frames.cli.options import as_json, connection_options, print_facts, print_result, quiet_option
from quivo_frames.cli.params import FileParam
from quivo_frames.display.question import ask_text_on_terminal
from quivo_frames.display.text import print_text, terminal_text

project_option = click.option(
    "--project", default=PROJECT_FILE, show_default=True, type=FileParam(), help="The file that says what to do."
)


@click.command()
@click.option("--query", help="Which orders, in Quivo's query syntax, such as sellerId:2101; empty: all.")
@click.option("--first", help="The first sync looks for orders that changed within this time, such as 30d, or all.")
@click.option("--tables", help="Folder for the tables.")
@click.option(
    "--export", "exports", help="What each sync exports: excel, duckdb, parquet, csv, delta, or others; or none."
)
@click.option("--privacy", help="Personal values in these exports: none, pseudonym or full.")
@project_option
def init(**given: Any) -> None:
    """Write quivo.toml, after five questions: which orders, since when, where the tables go, exports and privacy.

    What an option answers is not asked. Where nobody can be asked, the answers are the ones in brackets.

    Example: quivo-frames init

    Example: quivo-frames init --query sellerId:2101 --first 30d --tables tables --export excel,duckdb --privacy none
    """
    from quivo_frames.nightly.project_file import OUTPUT_NAMES, ProjectAnswers, write_project

    file: Path = given.pop("project")
    plain = ProjectAnswers()
    questions = {
        "query": ("1. Which orders, in Quivo's query syntax, such as sellerId:2101? Empty means all", plain.query),
        "first": ("2. The first sync looks for orders that changed within (or all)", plain.first),
        "tables": ("3. Folder for the tables", plain.tables),
        "exports": (f"4. What should each sync export ({', '.join(OUTPUT_NAMES)})", "none"),
        "privacy": ("5. Personal values in the exports (none, pseudonym, full)", plain.privacy),
    }
    answers = {
        name: ask_text_on_terminal(question, default) if given[name] is None else given[name]
        for name, (question, default) in questions.items()
    }
    chosen = answers.pop("exports").replace(",", " ").split()
    write_project(file, ProjectAnswers(**answers, exports=tuple(name for name in chosen if name != "none")))
    print_text(terminal_text(f"Written: {file}. Then:"))
    print_text("  quivo-frames doctor           is everything set up?")
    print_text("  quivo-frames sync --dry-run   what would be refetched?")
    print_text("  quivo-frames sync             refetch, build, audit, report; every night the same command")


@click.command()
@project_option
@click.option(
    "--max-requests", type=click.IntRange(1), help="Allow so many orders this time, whatever quivo.toml says."
)
@click.option(
    "--jobs", type=click.IntRange(1), help="Processes that build.  [default: as many as the machine has cores]"
)
@click.option("--dry-run", is_flag=True, help="Only search, and say what would be refetched.")
@connection_options
@quiet_option
@as_json
def sync(
    project: Path, max_requests: int | None, jobs: int | None, dry_run: bool, connection: dict[str, Any], as_json: bool
) -> None:
    """Find, refetch, build, audit, export and report, as quivo.toml says; then tell what is new since the last sync.

    It goes on where the last one ended or was interrupted, and may be repeated at any time. Exit status 1 if orders
    failed, a finding is an error, or something could not be written; the rest is done then.

    Example: quivo-frames sync

    Example: quivo-frames sync --dry-run
    """
    from quivo_frames.fetch.client import Client
    from quivo_frames.nightly.sync import plan_sync, require_project
    from quivo_frames.nightly.sync import sync as sync_orders

    rate = require_project(project).refetch.rate
    with Client.from_env(rate=rate, **connection) as client:
        if dry_run:
            plan = plan_sync(client, project)
            print_result(plan.facts(), plan, as_json=as_json)
            return
        result = sync_orders(client, project, max_requests=max_requests, jobs=jobs)
    if as_json:
        print_facts(result.facts())
    else:
        print_text(str(result))
    sys.exit(1 if result.needs_attention else 0)
