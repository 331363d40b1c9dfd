"""The places that commands work on where none is named: those of quivo.toml in this folder, else the usual names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from quivo_frames.cli.params import FileParam, PlaceParam
from quivo_frames.errors import ConfigError

if TYPE_CHECKING:
    from quivo_frames.settings.project import Project

MANIFEST, PROJECT_FILE = "manifest.json", "quivo.toml"
"""Repeated here, as the modules that have them load polars and msgspec; a test compares them."""
TABLES_HELP = f"tables, or what {PROJECT_FILE} in this folder names"
_HOW_TO_REFETCH = "`quivo-frames refetch` fetches orders (`quivo-frames init` sets up to do so every night)"
_ARCHIVE_HELP = f"orders.sqlite, or what {PROJECT_FILE} names"


def read_project() -> Project:
    """What quivo.toml of this folder says; the defaults if there is none."""
    from quivo_frames.settings import project  # late, as it loads msgspec

    return project.read_project()


def default_tables() -> str:
    """The tables of this folder.

    Raises:
        ConfigError: there are none yet; it says what to run first.
    """
    project = read_project()
    if has_tables(project.tables):
        return project.tables
    if Path(project.archive).exists():
        first = "`quivo-frames build` makes them"
    elif Path(PROJECT_FILE).exists():
        first = "`quivo-frames sync` fetches the orders and makes them"
    else:
        first = f"{_HOW_TO_REFETCH}, and `quivo-frames build` makes them"
    raise ConfigError(f"The folder {project.tables} has no tables yet. {first}. Or name other tables.")


def default_archive() -> Path:
    """The archive of this folder.

    Raises:
        ConfigError: there is none yet; it says what to run first.
    """
    file = Path(read_project().archive)
    if file.exists():
        return file
    first = "`quivo-frames sync` fetches the orders" if Path(PROJECT_FILE).exists() else _HOW_TO_REFETCH
    raise ConfigError(f"There is no archive {file} yet. {first}. Or name another archive.")


def existing_places() -> list[str]:
    """The tables and the archive of this folder, as far as they are there."""
    project = read_project()
    places = [project.tables] if has_tables(project.tables) else []
    places += [project.archive] if Path(project.archive).exists() else []
    return places


def has_tables(place: str) -> bool:
    """Whether there are tables in a folder; an address is believed."""
    return "://" in place or Path(place, MANIFEST).exists()


def tables_or_default(ctx: click.Context, _: click.Parameter, given: str | None) -> str | None:
    """The tables that were given to a command, else those of this folder."""
    return given if given is not None or ctx.resilient_parsing else default_tables()


def _archive_or_default(ctx: click.Context, _: click.Parameter, given: Path | None) -> Path | None:
    return given if given is not None or ctx.resilient_parsing else default_archive()


tables_argument = click.argument(
    "folder", metavar="[TABLES]", required=False, type=PlaceParam(), callback=tables_or_default
)
"""The tables that a command reads."""
archive_option = click.option(
    "--archive",
    type=FileParam(),
    callback=_archive_or_default,
    help=f"The archive file.  [default: {_ARCHIVE_HELP}]",
)
"""The archive that a command reads."""
new_archive_option = click.option(
    "--archive",
    default=lambda: read_project().archive,
    type=FileParam(),
    help=f"The archive file.  [default: {_ARCHIVE_HELP}]",
)
"""The archive that a command writes, or can do without."""
limits_option = click.option(
    "--limits",
    default=lambda: read_project().audit.limits,
    type=FileParam(),
    help=f"TOML file of thresholds, such as pod_days = 3.  [default: what {PROJECT_FILE} names]",
)
accepted_option = click.option(
    "--accepted",
    default=lambda: existing_file(read_project().audit.accepted),
    type=FileParam(),
    help="TOML file of accepted findings, which are counted apart; see `accept`.  "
    f"[default: what {PROJECT_FILE} names]",
)
on_time_option = click.option(
    "--on-time-against",
    "on_time",
    default=lambda: read_project().report.on_time_against,
    metavar="DATE",
    help="Promised date that figures measure against: latest_delivery_date, expected_delivery_date, "
    "delivery_window_end_time or latest_ship_date.  [default: what quivo.toml says, else the first]",
)


def existing_file(name: str | None) -> str | None:
    """A file that may not be there yet, as nothing was accepted so far."""
    return name if name and Path(name).exists() else None
