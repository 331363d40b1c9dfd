"""Options that several commands have, questions to the user, and printing of results and of long lists."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import click

from quivo_frames.display.progress import progress_hidden
from quivo_frames.display.question import ask_on_terminal
from quivo_frames.display.text import print_json, print_text, terminal_text
from quivo_frames.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def _be_quiet(ctx: click.Context, _: click.Parameter, quiet: bool) -> None:
    if quiet:
        ctx.with_resource(progress_hidden())


quiet_option = click.option(
    "-q", "--quiet", is_flag=True, expose_value=False, callback=_be_quiet, help="No progress, only results."
)


def require_consent(consequence: str, declined: str) -> None:
    """Return if the user at the terminal agrees to a consequence.

    Raises:
        ConfigError: the user declines, or there is no terminal.
    """
    agreed = ask_on_terminal(f"{consequence}. Go on?")
    if agreed is None:
        raise ConfigError(f"{consequence}: give --yes where nobody can be asked. {declined}")
    if not agreed:
        raise ConfigError(declined)


def connection_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options of a command that reaches the API; it gets them as `connection`, arguments of `Client.from_env`."""

    @click.option("--sandbox", is_flag=True, help="Use Quivo's sandbox, as QUIVO_ENV=sandbox does.")
    @click.option(
        "--trust-env-file",
        is_flag=True,
        help="Let the file .env of this folder name the address for credentials from elsewhere, or the reverse.",
    )
    @functools.wraps(command)
    def with_connection(*, sandbox: bool, trust_env_file: bool, **options: Any) -> None:
        env = "sandbox" if sandbox else None
        command(**options, connection={"env": env, "trust_env_file": trust_env_file})

    return with_connection


def print_facts(facts: Any) -> None:
    """Print plain values as one line of JSON, for programs."""
    print_json(json.dumps(facts, default=str))


def print_result(facts: Any, text: object, *, as_json: bool) -> None:
    """Print a result: its facts as JSON, or its text."""
    if as_json:
        print_facts(facts)
    else:
        print_text(text)


def print_written(files: Iterable[Path | str | None], notices: Iterable[str] = ()) -> None:
    """Print which files were written, a line each, and sentences that users should read."""
    for sentence in (*(f"Written: {file}" for file in files if file), *notices):
        print_text(terminal_text(sentence))


def print_lines(texts: list[str], most: int = 10) -> None:
    """Print the first `most` texts, a line each, and how many more there are."""
    for text in texts[:most]:
        print_text(f"  {terminal_text(text)}")
    if len(texts) > most:
        print_text(f"  … and {len(texts) - most:,} more")
