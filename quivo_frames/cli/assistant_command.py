"""The command `mcp`: the tables for an assistant."""

from __future__ import annotations

from pathlib import Path

import click

from quivo_frames.cli.default_places import accepted_option, limits_option, on_time_option, tables_argument


@click.command()
@tables_argument
@click.option("--personal", is_flag=True, help="Let the assistant read personal and secret values, and search by them.")
@accepted_option
@limits_option
@on_time_option
def mcp(folder: str, personal: bool, accepted: Path | None, limits: Path | None, on_time: str) -> None:
    """Let an assistant (a language model) read the tables: search, findings, figures, SQL.

    It is a server of the Model Context Protocol over stdin and stdout, which an assistant starts: put the command into
    its settings. All tools only read. Nothing is sent anywhere by this command, but what the assistant reads goes to
    whoever runs its model.

    Example: quivo-frames mcp tables
    """
    from quivo_frames.assistant.server import serve_assistant

    serve_assistant(folder, personal=personal, accepted=accepted, limits=limits, on_time_against=on_time)
