"""The command line: one function per command, without logic of its own.

Exit status: 0 all good; 1 done, but orders failed (with --strict: or something was noted), a finding is an error, a
reader would refuse something, a check found a flaw, or something could not be erased; 2 wrong use or configuration;
3 cannot go on, also if stdout cannot be written; 130 interrupted. Data and ids go to stdout, everything else to stderr.
A reader that leaves early (`| head`) changes no exit status: what is left to print is dropped.
"""

from __future__ import annotations

import atexit
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from quivo_frames.analysis.definition import read_docstring
from quivo_frames.cli import (
    assistant_command,
    audit_commands,
    change_commands,
    definition_commands,
    doctor_command,
    explore_command,
    fetch_commands,
    figure_commands,
    maintenance_commands,
    order_command,
    project_commands,
    shell_command,
    table_commands,
)
from quivo_frames.cli.default_places import TABLES_HELP
from quivo_frames.cli.failures import INTERRUPTED, explain_failure, install_hooks
from quivo_frames.cli.options import quiet_option
from quivo_frames.cli.params import FileParam
from quivo_frames.cli.shell_command import print_version
from quivo_frames.display.text import TerminalStream, prepare_streams

SECTIONS = {
    "To begin": ("demo", "doctor", "init"),
    "Every night": ("sync",),
    "Orders from Quivo": ("find", "refetch", "status"),
    "Tables": ("build", "columns", "check"),
    "Answers": ("show", "lines", "audit", "checks", "accept", "kpis", "report", "explore", "mcp", "history", "changes"),
    "For others": ("export", "export-raw", "forget"),
    "Besides": ("serve", "completion"),
}
"""The commands as the help lists them."""
_SECONDS_FOR_THREADS = 1.0
"""How long the end waits for threads of libraries that are about to end."""


class _CommandGroup(click.Group):
    """A group of commands that print errors as sentences and end with the exit status of the error."""

    _ends_process = False
    """Whether the process is there for the command alone."""

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run a command, and end the process with its exit status."""
        self._ends_process = args is None
        if self._ends_process:
            install_hooks()
            atexit.register(_skip_last_collection)
        with suppress(ValueError):  # not the main thread of a process of our own
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as cleanly as Ctrl-C
        try:
            returned = super().main(args, prog_name, **{**extra, "standalone_mode": False})
        except (KeyboardInterrupt, click.Abort):  # once more, while the command was ending
            returned = INTERRUPTED
        status = returned if isinstance(returned, int) else 0
        if self._ends_process:
            _end_process(status)
        sys.exit(status)

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the options before the name of a command."""
        with self._failures_explained():
            prepare_streams()
            logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=TerminalStream(sys.stderr))
            return super().make_context(*args, **extra)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands by what they are for."""
        for section, names in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([
                    (f"{name:<10}", self.commands[name].get_short_help_str(formatter.width - 20)) for name in names
                ])  # fmt: skip

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that the context names."""
        with self._failures_explained(ctx):
            return super().invoke(ctx)

    @contextmanager
    def _failures_explained(self, ctx: click.Context | None = None) -> Iterator[None]:
        """End the process with a sentence and an exit status, whatever the block raises."""
        try:
            yield
        except (click.exceptions.Exit, SystemExit):
            raise
        except BaseException as error:  # a panic of a library in Rust is no Exception
            if self._ends_process:
                _ignore_signals()
            command = ctx.invoked_subcommand if ctx else None
            raise click.exceptions.Exit(explain_failure(error, command or "")) from error


def _skip_last_collection() -> None:
    """Skip the search for cycles at the end, which nobody needs: it took a tenth of a short build."""
    if "_duckdb" not in sys.modules:  # which then reports all its objects as leaked, on stderr
        gc.freeze()


def _end_process(status: int) -> NoReturn:
    """End the process, whatever signals come, and whatever threads still work on what nobody waits for any more.

    Python would wait for them, as when a server is ended while it answers: a query of a library cannot be interrupted.
    """
    _ignore_signals()
    deadline, this_one = time.monotonic() + _SECONDS_FOR_THREADS, threading.current_thread()
    threads = [thread for thread in threading.enumerate() if thread is not this_one and not thread.daemon]
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        os._exit(status)
    sys.exit(status)


def _ignore_signals() -> None:
    for one in (signal.SIGINT, signal.SIGTERM) * 2:  # twice, as a signal that has just come is raised by this
        with suppress(ValueError, KeyboardInterrupt):  # ValueError: not the main thread
            signal.signal(one, signal.SIG_IGN)


@click.group(cls=_CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    callback=print_version,
    help="Show versions and exit.",
)
@click.option("-v", "verbose", is_flag=True, is_eager=True, help="With --version: which core builds tables, too.")
@quiet_option
def main(verbose: bool) -> None:
    """Refetch batches of Quivo orders, keep every answer, and build validated tables.

    Begin with `quivo-frames demo`: it needs no account and no network.
    """
    if verbose:
        raise click.UsageError("-v goes with --version.")


@main.command()
@click.option("--out", default="quivo-demo", show_default=True, type=FileParam(), help="Where to work.")
@click.option("--orders", default=300, show_default=True, type=click.IntRange(20, 10_000), help="How many orders.")
@quiet_option
def demo(out: Path, orders: int) -> None:
    """Show everything on the stand-in API, offline, in under a minute.

    Example: quivo-frames demo
    """
    from quivo_frames.cli.demo import run_demo

    run_demo(out, orders)


_MODULES = (
    project_commands, fetch_commands, doctor_command, change_commands, table_commands, audit_commands, figure_commands,
    order_command, explore_command, assistant_command, definition_commands, maintenance_commands, shell_command,
)  # fmt: skip
for _module in _MODULES:
    for _command in vars(_module).values():
        if isinstance(_command, click.Command):
            main.add_command(_command)

for _command in main.commands.values():
    if any(parameter.metavar == "[TABLES]" for parameter in _command.params):
        _command.epilog = f"TABLES is the folder or the address of the tables, by default {TABLES_HELP}."

for _command in (main, *main.commands.values()):
    if _command.help is None and _command.callback is not None:  # Python was started with -OO
        _command.help = read_docstring(_command.callback)
