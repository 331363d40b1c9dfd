"""What users write stays what it is: public names, their parameters, commands and their options.

A change that is meant is written into tests/support/public_names.json, where a reviewer sees it:
`python -m tests.test_public_names` writes the file.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import quivo_frames
from quivo_frames.cli import main

PUBLIC_NAMES = Path(__file__).parent / "support" / "public_names.json"


def parameters_of(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def members_of(kind: type) -> dict[str, list[str] | str]:
    """The public members of a class with the parameters of its methods."""
    members: dict[str, list[str] | str] = {}
    for name in sorted(set(dir(kind)) - set(dir(Exception))):
        if not name.startswith("_"):
            value = inspect.getattr_static(kind, name)
            function = getattr(value, "__func__", value)  # of class methods and static methods
            members[name] = parameters_of(function) if inspect.isfunction(function) else "attribute"
    return members


def public_names() -> dict[str, Any]:
    names = {name: getattr(quivo_frames, name) for name in quivo_frames.__all__}
    return {
        "names": {
            name: members_of(value) if inspect.isclass(value) else parameters_of(value) if callable(value) else "value"
            for name, value in sorted(names.items())
        },
        "commands": {
            name: sorted(option for parameter in command.params for option in parameter.opts)
            for name, command in sorted(main.commands.items())
        },
    }


def test_public_names_parameters_and_options_are_the_agreed_ones() -> None:
    assert public_names() == json.loads(PUBLIC_NAMES.read_text())


if __name__ == "__main__":
    PUBLIC_NAMES.write_text(json.dumps(public_names(), indent=1) + "\n")
