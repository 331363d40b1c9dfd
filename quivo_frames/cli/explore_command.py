"""The command `explore`: the tables in a browser."""

from __future__ import annotations

import webbrowser
from contextlib import suppress
from pathlib import Path

import click

from quivo_frames.cli.default_places import limits_option, on_time_option, read_project, tables_argument
from quivo_frames.cli.params import FileParam, WordParam
from quivo_frames.display.text import print_text, terminal_text

LOCAL_HOST, ACCEPTED = "127.0.0.1", "accepted-findings.toml"
"""Repeated here, as the modules that have them load what is heavy; a test compares them."""


@click.command()
@tables_argument
@click.option(
    "--port", default=0, type=click.IntRange(0, 65535), metavar="N", help="Listen here.  [default: a free one]"
)
@click.option(
    "--host",
    default=LOCAL_HOST,
    show_default=True,
    type=WordParam(),
    help="Listen for others too, who need the address.",
)
@click.option("--personal", is_flag=True, help="Show personal and secret values, and search by them.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option(
    "--archive",
    type=FileParam(),
    help="The archive that knows what orders were before.  [default: the one that the tables were built from]",
)
@click.option(
    "--accepted",
    default=lambda: read_project().audit.accepted or ACCEPTED,
    type=FileParam(),
    help=f"TOML file for findings that are accepted.  [default: {ACCEPTED}, or what quivo.toml names]",
)
@limits_option
@on_time_option
def explore(
    folder: str, port: int, host: str, personal: bool, no_browser: bool, archive: Path | None, accepted: Path,
    limits: Path | None, on_time: str,
) -> None:  # fmt: skip
    """Explore the tables in a browser: figures, orders, all that is known of one order, findings, lines.

    It runs until Ctrl-C, on this machine alone, and changes nothing but the file of accepted findings. The address that
    it prints lets a browser in: whoever has it can read the tables.

    Example: quivo-frames explore

    Example: quivo-frames explore tables --port 8500 --no-browser
    """
    from quivo_frames.explorer.explore import explore as start_explorer

    with start_explorer(
        folder, port=port, host=host, personal=personal, archive=archive, accepted=accepted, limits=limits,
        on_time_against=on_time,
    ) as explorer, suppress(KeyboardInterrupt):  # fmt: skip
        if host not in (LOCAL_HOST, "localhost", "::1"):
            print_text(
                f"Others can reach {host}: whoever has this address can read the tables, and nothing is encrypted.",
                to_stderr=True,
            )
        print_text(f"Exploring {terminal_text(folder)}. Ctrl-C ends it.", to_stderr=True)
        print_text(explorer.address)
        if not no_browser:
            webbrowser.open(explorer.address)
        explorer.wait()
