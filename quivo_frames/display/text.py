"""Text for people, and the one way out to a terminal: `print_text`, `print_json`, and `TerminalStream` for libraries.

Text from outside (values of orders, names of files and fields, messages of the API) cannot control a terminal: control
characters, bidirectional overrides and invisible characters are printed as escapes, and so is what the encoding of the
terminal lacks. Nothing is left out.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from quivo_frames.errors import OutputError, is_disk_full

_STYLE = re.compile(r"(\x1b\[[0-9;]*m|[\r\n])")
"""What a `TerminalStream` passes through: the styles of a library, and the end of a line or the return to its start."""
_CLOSED_PIPE = frozenset({errno.EPIPE, errno.ESHUTDOWN} | ({errno.EINVAL} if os.name == "nt" else set()))


def terminal_text(value: object) -> str:
    """A value as one line of text, its control characters and other unprintable ones escaped."""
    text = str(value)
    return text if text.isprintable() else "".join(map(_escape_character, text))


def terminal_lines(lines: Iterable[object]) -> str:
    """Text of several lines, each as `terminal_text` returns it."""
    return "\n".join(map(terminal_text, lines))


def print_text(text: object = "", *, bold: bool = False, to_stderr: bool = False) -> bool:
    """Print text and a line break to stdout, or to stderr; `bold` shows on a terminal only.

    Returns False if nobody reads it any more, as after `| head`: then all further text is dropped without a word.

    Raises:
        OutputError: stdout cannot be written, for example because it is a file on a full disk. What cannot be written
            to stderr is dropped, as there is no place left to say so.
    """
    stream = sys.stderr if to_stderr else sys.stdout
    safe = terminal_lines(str(text).split("\n"))
    if bold and stream is not None and stream.isatty():
        safe = f"\x1b[1m{safe}\x1b[0m"
    return _write_safely(f"{safe}\n", stream)


def print_json(document: str) -> bool:
    """Print JSON, or lines of JSON, to stdout: what must not reach a terminal is escaped as JSON does it.

    A program reads the same values as before. Returns and raises as `print_text` does.
    """
    encoding = _encoding_of(sys.stdout)
    lines = (line if line.isprintable() else "".join(map(_json_character, line)) for line in document.split("\n"))
    text = "\n".join(lines).rstrip("\n")
    try:
        text.encode(encoding)
    except UnicodeError:  # only texts have characters beyond ASCII, where an escape means the same
        text = "".join(sign if sign.isascii() else _json_escape(sign) for sign in text)
    return _write_safely(f"{text}\n" if text else "", sys.stdout)


class TerminalStream(io.TextIOBase):
    """Stands in for stdout or stderr where a library prints: only text, styles and line ends come through.

    What cannot be written is treated as `print_text` treats it.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the terminal, by which a library chooses its signs."""
        return _encoding_of(self._stream)

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """The descriptor, by which a library finds the width of the terminal."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write text of a library, which contains styles."""
        parts = _STYLE.split(text)  # at odd places what may pass
        parts[::2] = map(terminal_text, parts[::2])
        _write_safely("".join(parts), self._stream)
        return len(text)


def prepare_streams() -> None:
    """Make stdin, stdout and stderr usable, whatever the caller of this process left of them.

    A closed one is replaced, so that no file is opened in its place, into which text would be written.

    Raises:
        OutputError: stdout is closed.
    """
    stdout_is_closed = sys.stdout is None
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - for the whole process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # for help texts and warnings, which libraries print
            stream.reconfigure(errors="backslashreplace")
    if stdout_is_closed:
        raise OutputError("stdout is closed, and nothing was done. Send the output to a file, or to /dev/null.")


def explain_output_error(error: OSError) -> OutputError | None:
    """The error that a failed write to stdout ends with, None for a closed pipe; later output is dropped."""
    _drop_further_output(sys.stdout)
    if error.errno in _CLOSED_PIPE:
        return None
    reason = "the disk is full" if is_disk_full(error) else error.strerror or str(error)
    return OutputError(
        f"The output could not be written to stdout: {reason}. The rest of it is lost; files and archives that the "
        "command wrote are not affected. Make room, or send the output elsewhere."
    )


def _write_safely(text: str, stream: IO[str] | None) -> bool:
    """Write text in the encoding of the stream; False if nobody reads it.

    Raises:
        OutputError: the text cannot be written to stdout.
    """
    if stream is None:
        return False
    encoding = _encoding_of(stream)
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except OSError as error:
        if stream is not sys.stdout:
            _drop_further_output(stream)
        elif (failure := explain_output_error(error)) is not None:
            raise failure from error
        return False
    return True


def _drop_further_output(stream: Any) -> None:
    """Send what follows, and what the stream still holds, to the null device: else Python fails on it at the end."""
    with suppress(OSError, ValueError, AttributeError):  # not a stream of the system
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _encoding_of(stream: Any) -> str:
    return getattr(stream, "encoding", None) or "utf-8"


def _escape_character(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def _json_character(character: str) -> str:
    return character if character.isprintable() else _json_escape(character)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def format_count(count: int, singular: str, plural: str | None = None) -> str:
    """A number with its noun: "1 order", "1,024 orders"; the plural adds an s unless it is given."""
    return f"{count:,} {noun_for(count, singular, plural)}"


def noun_for(count: int, singular: str, plural: str | None = None) -> str:
    """The noun alone, in the form that goes with the number."""
    return singular if count == 1 else plural or f"{singular}s"


def type_with_article(value: object) -> str:
    """The type of a value as a message names it: a dict, an int, None."""
    name = type(value).__name__
    return "None" if value is None else f"an {name}" if name[0] in "aeiou" else f"a {name}"
