"""Pages of messages: failures, notes, errors, and what the exit status says, from where their wording stands."""

from __future__ import annotations

import inspect
import re

import quivo_frames.cli
from quivo_frames import errors
from quivo_frames.analysis.checks.audit import CHECKS
from quivo_frames.model.messages import NOTES, RULES

_ABOUT = """What quivo_frames says of orders, and what to do. A message names the order, the file or archive with the
place in it, the column and the path in the JSON; words in capitals stand for them here. No message shows a secret, nor
a value that may be personal."""
_FAILURES = """An order that cannot be read exactly is in no table. It is a row of `failures`, whose column `rule` has
the name below, and the others are built."""
_NOTES = """A value that needed a decision, once for each place in the JSON, with a count. It is a row of `notes`; its
column `kind` has the name below. `quivo-frames build --strict` exits with 1 if there are any."""
_FINDINGS = """What an audit finds in the tables. [Each check](checks.md) has a definition, and what it cannot see."""
_ERRORS = """What ends a command, or a call in Python. The message names the cure. In Python all of them are a
[`QuivoError`](api/class-QuivoError.md)."""


def render_pages() -> dict[str, str]:
    """The messages, and what the exit status says."""
    return {"messages.md": _render_messages(), "exit-status.md": _render_exit_status()}


def _render_messages() -> str:
    lines = ["# Messages", "", _ABOUT, "", "## Failures", "", _FAILURES]
    for name, rule in RULES.items():
        cures = [f"Of an answer: {rule.cure}", f"Of a file: {rule.file_cure}"] if rule.file_cure else [rule.cure]
        lines += ["", f"### {name}", "", f"> {_in_capitals(rule.message)}.", "", *(f"- {cure}" for cure in cures)]
    lines += ["", "## Notes", "", _NOTES]
    for name, message in NOTES.items():
        lines += ["", f"### {name}", "", f"> {_in_capitals(message)}"]
    lines += ["", "## Findings", "", _FINDINGS, "", "| check | severity | finds |", "|---|---|---|"]
    lines += [f"| [{name}](checks.md#{name}) | {check.severity} | {check.title} |" for name, check in CHECKS.items()]
    return "\n".join([*lines, ""])


def _in_capitals(message: str) -> str:
    """A message with words in capitals where an order's own will stand."""
    text = message.replace("{got}", " VALUE" if re.search(r"\w\{got\}", message) else "VALUE")
    text = text.replace("{text}", "ANSWER").replace("{column}", "COLUMN").replace("{expected}", "WHAT IS EXPECTED")
    return text.replace("  ", " ")


def _render_exit_status() -> str:
    said = (quivo_frames.cli.__doc__ or "").partition("Exit status: ")[2].partition("\n\n")[0].replace("\n", " ")
    statuses, _, rest = said.partition(". ")
    lines = ["# Exit status", "", "| status | what it says |", "|---|---|"]
    for part in statuses.split("; "):
        status, _, words = part.partition(" ")
        lines.append(f"| {status} | {words[:1].upper()}{words[1:]} |")
    lines += ["", rest, "", "## Errors", "", _ERRORS, ""]
    lines += ["| error | status | what it says |", "|---|---|---|"]
    for name, error in vars(errors).items():
        if inspect.isclass(error) and issubclass(error, errors.QuivoError) and error is not errors.QuivoError:
            shown = f"[`{name}`](api/class-{name}.md)" if name in quivo_frames.__all__ else f"`{name}`"
            first = (error.__doc__ or "").partition("\n")[0]
            lines.append(f"| {shown} | {error.exit_status} | {first} |")
    return "\n".join([*lines, ""])
