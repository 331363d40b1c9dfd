"""Commands that explain what is in the tables, and what an audit looks for: columns and checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from quivo_frames.cli.default_places import TABLES_HELP, has_tables, read_project
from quivo_frames.cli.options import as_json, print_facts
from quivo_frames.cli.params import PlaceParam, WordParam

if TYPE_CHECKING:
    from quivo_frames.dataset.dataset import Dataset

from_option = click.option(
    "--from",
    "folder",
    metavar="TABLES",
    type=PlaceParam(),
    help=f"Tables that it is about.  [default: {TABLES_HELP}, if they are there]",
)


@click.command()
@click.argument("table", metavar="[TABLE]", required=False, type=WordParam())
@from_option
@as_json
def columns(table: str | None, folder: str | None, as_json: bool) -> None:
    """Describe the tables, or the columns of one: type, meaning, unit, privacy.

    Where there are tables, also how many rows they have, in what share of them a column is filled, and the codes that
    occur, each with its number of rows.

    Example: quivo-frames columns

    Example: quivo-frames columns shipments
    """
    from quivo_frames.analysis.dictionary_page import column_facts, print_columns, print_tables, table_facts

    dataset = _open_if_there(folder)
    if as_json:
        print_facts(column_facts(table, dataset) if table else table_facts(dataset))
    elif table:
        print_columns(table, dataset)
    else:
        print_tables(dataset)


@click.command()
@click.argument("name", metavar="[NAME]", required=False, type=WordParam())
@from_option
@as_json
def checks(name: str | None, folder: str | None, as_json: bool) -> None:
    """List the checks of an audit and the thresholds, or define one check: what it finds, and what it cannot see.

    Where there are tables, it says how far the columns that the check needs are filled.

    Example: quivo-frames checks

    Example: quivo-frames checks short_shipped
    """
    from quivo_frames.analysis.definition_pages import check_facts, print_check, print_checks

    dataset = _open_if_there(folder)
    if as_json:
        print_facts(check_facts(name, dataset))
    elif name:
        print_check(name, dataset)
    else:
        print_checks()


def _open_if_there(folder: str | None) -> Dataset | None:
    """The tables that were named, or those of this folder if there are some."""
    from quivo_frames.dataset.dataset import Dataset

    if folder is None:
        usual = read_project().tables
        folder = usual if has_tables(usual) else None
    return Dataset.open(folder) if folder else None
