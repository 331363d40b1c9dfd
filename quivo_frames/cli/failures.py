"""How a command ends that did not succeed: a sentence on stderr, and an exit status. The last line of defence."""

from __future__ import annotations

import io
import os
import sys
import threading
import traceback
from importlib.metadata import version
from pathlib import Path

import click

from quivo_frames.display.native_text import DEBUG_VARIABLE
from quivo_frames.display.text import explain_output_error, print_text, terminal_text
from quivo_frames.errors import DatasetError, Fault, QuivoError, is_disk_full, is_panic

INTERRUPTED = 130
_REPORT_ADVICE = (
    f"Please report this message; it holds no value of an order. {DEBUG_VARIABLE}=1 shows more, which may hold some."
)

_PACKAGE = Path(__file__).parent.parent
_AFTER_INTERRUPT = {
    "refetch": "What was done is kept; the same command goes on from here.",
    "sync": "What was done is kept; the same command goes on from here.",
    "export-raw": "What was exported earlier is still there; the same command again goes on.",
    "forget": "What was erased stays erased; the same command again erases the rest.",
    "export": "The same command again completes it.",  # of Delta tables, some may be written already
}
"""What an interrupted command leaves behind. All others change nothing before they end."""


def explain_failure(error: BaseException, command: str) -> int:
    """Print why a command failed, and return its exit status. No text of other libraries is shown: it may hold values.

    `command` is empty where no command was recognised.
    """
    if os.environ.get(DEBUG_VARIABLE):
        print_text("".join(traceback.format_exception(error)), to_stderr=True)
    if isinstance(error, click.ClickException):
        shown = io.StringIO()
        error.show(shown)
        print_text(shown.getvalue().rstrip("\n"), to_stderr=True)
        return error.exit_code
    if isinstance(error, KeyboardInterrupt | EOFError | click.Abort):
        outcome = _AFTER_INTERRUPT.get(command, "Nothing was changed.")
        print_text(f"\nInterrupted. {outcome}", to_stderr=True)
        return INTERRUPTED
    failure: BaseException | None = error
    if isinstance(error, OSError) and _raised_by_click(error):  # when it printed a help text
        failure = explain_output_error(error)
    if failure is None:
        return 0
    message, status = _describe_failure(failure, command)
    print_text(f"quivo-frames: {terminal_text(message)}", to_stderr=True)
    return status


def install_hooks() -> None:
    """Keep Python from printing tracebacks of its own: of errors while it cleans up, and of errors in threads."""
    if os.environ.get(DEBUG_VARIABLE):
        return
    sys.unraisablehook = lambda _: None
    threading.excepthook = lambda thread: print_failure_of_thread(thread.exc_value)


def print_failure_of_thread(error: BaseException | None) -> None:
    """Print that a thread failed, which nobody waited for."""
    if error is not None and not isinstance(error, SystemExit):
        explain_failure(error, "a thread")


def _describe_failure(error: BaseException, command: str) -> tuple[str, int]:
    """The sentence about an error, and the exit status."""
    if isinstance(error, QuivoError):
        return str(error), error.exit_status
    if is_disk_full(error):
        return "The disk is full. Make room, and run the same command again.", QuivoError.exit_status
    if isinstance(error, MemoryError):
        return "There is not enough memory. Give it more, or fewer orders at once.", QuivoError.exit_status
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{os.fsdecode(error.filename)} cannot be used: {error.strerror}.", QuivoError.exit_status
    if type(error).__module__.startswith("polars") or is_panic(error):
        cause = f"The tables cannot be read ({type(error).__name__})."
        cure = "`quivo-frames check DIR` says which file is damaged. If it finds none, please report this."
        return f"{cause} {cure}", DatasetError.exit_status
    place = f"{_innermost_place(error)} (version {version('quivo_frames')})"
    ended = f"`{command}` ended with {type(error).__name__} {place}"
    return f"This is a fault of quivo_frames, not of your orders: {ended}. {_REPORT_ADVICE}", Fault.exit_status


def _innermost_place(error: BaseException) -> str:
    """The file and line of our own code in which an error was raised, or passed through last."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _PACKAGE in Path(frame.filename).parents]
    if not frames:
        return "in its command line"
    return f"in {Path(frames[-1].filename).relative_to(_PACKAGE.parent).as_posix()}, line {frames[-1].lineno}"


def _raised_by_click(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and Path(frames[-1].filename).parent == Path(click.__file__).parent
