"""Commands that show what changed from one refetch to the next: history and changes."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from quivo_frames.cli.default_places import archive_option
from quivo_frames.cli.options import as_json, print_written
from quivo_frames.cli.params import FileParam, InstantParam
from quivo_frames.display.text import print_json, print_text
from quivo_frames.settings.durations import INSTANT_FORMS

if TYPE_CHECKING:
    import polars as pl

MAX_CHANGES = 200
"""At most this many changes are printed; a file (--out) has all of them."""

personal_option = click.option("--personal", is_flag=True, help="Show personal values.")


@click.command()
@click.argument("order_id", metavar="ORDER", type=click.IntRange(-(2**63), 2**63 - 1))
@archive_option
@personal_option
@as_json
def history(order_id: int, archive: Path, personal: bool, as_json: bool) -> None:
    """Show what changed in one order from each refetch to the next. Exit status 1 if an answer cannot be read.

    A list in another order has not changed. Changes that were undone between two refetches are not seen.

    Example: quivo-frames history 100017
    """
    from quivo_frames.analysis.changes.changes import history as find_history
    from quivo_frames.analysis.changes.sentences import describe_changes

    found = find_history(archive, order_id, personal=personal)
    if as_json:
        print_json(found.write_ndjson())
    else:
        for line in describe_changes(found):
            print_text(line)
    sys.exit(_exit_status(found))


@click.command()
@click.option(
    "--since",
    type=InstantParam(),
    help=f"Only what was seen since then: {INSTANT_FORMS}. Days, and times without a zone, are UTC.",
)
@archive_option
@click.option("--out", type=FileParam(), help="Write all changes: .parquet, .csv, .ndjson or .xlsx.")
@personal_option
@as_json
def changes(since: datetime | None, archive: Path, out: Path | None, personal: bool, as_json: bool) -> None:
    """Show what changed in the orders of an archive: first how often by table and field, then the changes.

    That Quivo touched an order (last_modified) is no change by itself. With --out, all changes are in the file, and
    nothing is listed. Exit status 1 if an answer cannot be read.

    Example: quivo-frames changes --since '2 weeks ago'

    Example: quivo-frames changes --since 2026-06-01 --out changes.csv
    """
    from quivo_frames.analysis.changes.changes import changes as find_changes
    from quivo_frames.analysis.changes.differences import CHANGES_TABLE
    from quivo_frames.analysis.changes.sentences import count_changes, list_changes, summarize_changes
    from quivo_frames.archive.archive import Archive
    from quivo_frames.export.frame_file import refuse_frame_file, write_frame_file

    if out:
        refuse_frame_file(out, CHANGES_TABLE)
    found, notices = find_changes(archive, since, personal=personal), []
    if out:
        notices += Archive(archive).outputs.record_saved_file(out, CHANGES_TABLE.name)
        notices += write_frame_file(found, out, CHANGES_TABLE)
    if as_json:
        print_json(found.write_ndjson())
    elif out:
        print_written([f"{out}, {count_changes(found)}"], notices)
    else:
        for line in (count_changes(found), *summarize_changes(found), *list_changes(found, MAX_CHANGES)):
            print_text(line)
    sys.exit(_exit_status(found))


def _exit_status(found: pl.DataFrame) -> int:
    from quivo_frames.analysis.changes.differences import UNREADABLE

    return 1 if UNREADABLE in found["kind"] else 0
