"""An empty name, as of a variable of a script that is not set, never means the folder that the user is in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

import quivo_frames as qf
from quivo_frames.archive.archive import Archive
from quivo_frames.cli import main
from quivo_frames.cli.params import FileParam, PlaceParam
from quivo_frames.errors import ConfigError
from quivo_frames.standin.orders import write_ndjson
from tests.support.archived_orders import NOON, record_answers

TEXTS = {
    "refetch": {"ids", "column"}, "find": {"query", "sort"}, "doctor": {"order_id"}, "build": {"on"},
    "accept": {"findings", "because"}, "init": {"query", "first", "tables", "exports", "privacy"},
    "audit": {"only", "skip", "on_time"}, "report": {"only", "skip", "on_time"}, "kpis": {"only", "on_time"},
    "forget": {"ids"}, "explore": {"on_time"}, "mcp": {"on_time"},
}  # fmt: skip
"""The parameters that are texts, and no names of files or folders."""


def required_arguments(command: click.Command, without: click.Parameter) -> list[str]:
    """Values for all other parameters that a command needs."""
    found: list[str] = []
    for parameter in command.params:
        if parameter is not without and parameter.required:
            value = "1" if isinstance(parameter.type, click.IntRange) else "x"
            found += [value] if isinstance(parameter, click.Argument) else [parameter.opts[0], value]
    return found


PLACES = [
    pytest.param(name, parameter, id=f"{name} {parameter.opts[-1]}")
    for name, command in sorted(main.commands.items())
    for parameter in command.params
    if isinstance(parameter.type, FileParam | PlaceParam)
]


def test_every_parameter_is_known_to_be_a_name_or_a_text() -> None:
    for name, command in main.commands.items():
        for parameter in command.params:
            if type(parameter.type) in (click.types.StringParamType, click.Path):
                assert parameter.name in TEXTS.get(name, ()), f"{name} {parameter.name}: use FileParam or PlaceParam"


@pytest.mark.parametrize(("name", "parameter"), PLACES)
def test_an_empty_name_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, parameter: click.Parameter
) -> None:  # fmt: skip
    write_ndjson(tmp_path / "orders.ndjson", 3)
    monkeypatch.chdir(tmp_path)
    command = main.commands[name]
    empty = ["--", ""] if isinstance(parameter, click.Argument) else [parameter.opts[0], ""]
    others = required_arguments(command, parameter)
    arguments = [*others, *empty] if isinstance(parameter, click.Argument) else [*empty, *others]
    if isinstance(parameter, click.Argument) and others and not others[0].startswith("-"):
        arguments = [*empty, *others]
    with pytest.raises(SystemExit) as ended:
        main(["".join(name), *arguments])
    assert ended.value.code == 2
    assert "it is empty. Name a file or a folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["orders.ndjson"]


def test_build_of_an_unset_variable_does_not_read_the_folder_that_the_user_is_in(tmp_path: Path) -> None:
    write_ndjson(tmp_path / "orders.ndjson", 3)
    done = subprocess.run(
        [sys.executable, "-m", "quivo_frames.cli", "build", "", "--out", "tables"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "it is empty" in done.stderr


@pytest.mark.long
@pytest.mark.parametrize(
    "use",
    [
        lambda: qf.build("", "tables"),
        lambda: qf.build("orders.ndjson", ""),
        lambda: qf.build(["orders.ndjson", ""], "tables"),
        lambda: qf.open(""),
        lambda: qf.check(""),
        lambda: qf.read_ids(""),
        lambda: qf.Archive(""),
        lambda: Archive("orders.sqlite").export(""),
        lambda: qf.open("built").export("csv", ""),
        lambda: qf.open("built").export("parquet", ""),
    ],
)  # fmt: skip
def test_an_empty_name_in_python_is_refused_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use) -> None:
    monkeypatch.chdir(tmp_path)
    write_ndjson(tmp_path / "orders.ndjson", 3)
    qf.build("orders.ndjson", "built", jobs=1)
    with Archive("orders.sqlite") as archive:
        record_answers(archive, {1: b'{"orderId":1}'}, NOON)
    with pytest.raises(ConfigError, match="The name of a file or folder is empty"):
        use()
