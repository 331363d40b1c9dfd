"""Options that several commands have, and printing of long lists."""

from __future__ import annotations

from pathlib import Path

import click

archive_option = click.option(
    "--archive", default="orders.sqlite", show_default=True, type=click.Path(path_type=Path), help="The archive file."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def print_lines(lines: list[str], most: int = 10) -> None:
    """Prints the first `most` lines, and how many more there are."""
    for line in lines[:most]:
        click.echo(f"  {line}")
    if len(lines) > most:
        click.echo(f"  … and {len(lines) - most:,} more")
