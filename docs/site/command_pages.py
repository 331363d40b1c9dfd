"""Pages of the command line: a page a command, from its help, and a list of them as the help has it."""

from __future__ import annotations

import sys

from quivo_frames.cli import SECTIONS, main

_ABOUT = """`quivo-frames COMMAND --help` shows the same at the prompt. [What the exit status says](exit-status.md)."""
_EXAMPLE = "Example:"


def render_pages() -> dict[str, str]:
    """The list of commands, and the page of each."""
    names = [name for section in SECTIONS.values() for name in section]
    lines = ["# Command line", "", _ABOUT, "", "```{toctree}", ":hidden:", ""]
    lines += [*(f"{name} <commands/{name}>" for name in names), "```"]
    for section, commands in SECTIONS.items():
        lines += ["", f"## {section}", "", "| command | what it does |", "|---|---|"]
        lines += [f"| [`{name}`](commands/{name}.rst) | {_what_it_does(name)} |" for name in commands]
    return {"commands.md": "\n".join([*lines, ""])} | {f"commands/{name}.rst": _render_command(name) for name in names}


def _what_it_does(name: str) -> str:
    return main.commands[name].get_short_help_str(200).replace("|", "\\|")


def _render_command(name: str) -> str:
    callback = main.commands[name].callback
    if callback is None:
        raise LookupError(f"the command {name} does nothing")
    module = vars(sys.modules[callback.__module__])
    attribute = next(key for key, value in module.items() if value is main.commands[name])
    lines = [f".. click:: {callback.__module__}:{attribute}", f"   :prog: quivo-frames {name}", "   :nested: full"]
    return "\n".join([*lines, ""])


def mark_examples(_app: object, _context: object, lines: list[str]) -> None:
    """Let the paragraphs of a help that begin with "Example:" be code; called by Sphinx."""
    marked: list[str] = []
    for line in lines:
        if line.startswith(_EXAMPLE):
            marked += [".. code-block:: console", "", f"   $ {line.removeprefix(_EXAMPLE).strip()}"]
        else:
            marked.append(f"   {line.strip()}" if _is_inside_example(marked) and line.strip() else line)
    lines[:] = marked


def _is_inside_example(marked: list[str]) -> bool:
    return bool(marked) and marked[-1].startswith("   ")
