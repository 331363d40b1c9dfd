"""The command line: one function per command, without logic of its own.

Exit status: 0 all good; 1 done, but orders failed (with --strict: or something was noted), a finding is an error, a
reader would refuse something, a check found a flaw, or something could not be erased; 2 wrong use or configuration;
3 cannot go on; 130 interrupted. Data and ids go to stdout, everything else to stderr.
"""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from quivo_frames.cli import change_commands, fetch_commands, maintenance_commands, table_commands
from quivo_frames.errors import DatasetError, QuivoError

_INTERRUPTED = {
    "refetch": "What was done is kept; the same command goes on from here.",
    "export-raw": "What was exported earlier is still there; the same command again goes on.",
    "forget": "What was erased stays erased; the same command again erases the rest.",
    "export": "The same command again completes it.",  # of Delta tables, some may be written already
}
"""What an interrupted command leaves behind. All others change nothing before they end."""


class _CommandGroup(click.Group):
    """A group of commands that print errors as sentences and end with the exit status of the error."""

    def invoke(self, ctx: click.Context) -> Any:
        with suppress(ValueError):  # not the main thread of a process of our own
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as cleanly as Ctrl-C
        try:
            return super().invoke(ctx)
        except QuivoError as error:
            click.echo(f"quivo-frames: {error}", err=True)
            ctx.exit(error.exit_status)
        except Exception as error:
            if not type(error).__module__.startswith("polars"):
                raise
            cause = f"The tables cannot be read ({type(error).__name__})."  # the text of the error may hold a value
            cure = "`quivo-frames check DIR` says which file is damaged. If it finds none, please report this."
            click.echo(f"quivo-frames: {cause} {cure}", err=True)
            ctx.exit(DatasetError.exit_status)
        except KeyboardInterrupt:
            outcome = _INTERRUPTED.get(ctx.invoked_subcommand or "", "Nothing was changed.")
            click.echo(f"\nInterrupted. {outcome}", err=True)
            ctx.exit(130)


@click.group(cls=_CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="quivo_frames")
def main() -> None:
    """Refetch batches of Quivo orders, keep every answer, and build validated tables.

    Begin with `quivo-frames demo`: it needs no account and no network.
    """


@main.command()
@click.option("--out", default="quivo-demo", show_default=True, type=click.Path(path_type=Path), help="Where to work.")
@click.option("--orders", default=300, show_default=True, type=click.IntRange(20, 10_000), help="How many orders.")
def demo(out: Path, orders: int) -> None:
    """Show everything on the stand-in API, offline, in under a minute.

    Example: quivo-frames demo
    """
    from quivo_frames.cli.demo import run_demo

    run_demo(out, orders)


for _module in (fetch_commands, change_commands, table_commands, maintenance_commands):
    for _command in vars(_module).values():
        if isinstance(_command, click.Command):
            main.add_command(_command)
