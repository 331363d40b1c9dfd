"""The recipes for cron, systemd, Task Scheduler and GitHub: their syntax, and the commands in them."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import click
import pytest
import yaml

from quivo_frames.cli import main
from tests.support.paths import ROOT
from tests.support.reader_environment import PYTHON

RECIPES = ROOT / "docs" / "recipes"
CRON_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
TASKS = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
TASK_ELEMENTS = {
    "Task": {"RegistrationInfo", "Triggers", "Principals", "Settings", "Data", "Actions"},
    "RegistrationInfo": {"Description", "Author", "Date", "URI"},
    "Triggers": {"CalendarTrigger"},
    "CalendarTrigger": {"StartBoundary", "EndBoundary", "Enabled", "Repetition", "RandomDelay", "ScheduleByDay"},
    "ScheduleByDay": {"DaysInterval"},
    "Settings": {
        "MultipleInstancesPolicy", "StartWhenAvailable", "RunOnlyIfNetworkAvailable", "ExecutionTimeLimit",
        "AllowStartOnDemand", "Enabled", "WakeToRun", "RestartOnFailure",
    },
    "Actions": {"Exec"},
    "Exec": {"Command", "Arguments", "WorkingDirectory"},
}  # fmt: skip
"""What the schema of Task Scheduler (version 1.2) has below each element, as far as a recipe needs it."""


def is_command(words: str) -> bool:
    """Whether quivo-frames understands the words after its name; nothing runs."""
    given = shlex.split(words)
    try:
        context = main.make_context("quivo-frames", given)
        name, command, rest = main.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
        command.make_context(name, rest, parent=context)
    except click.ClickException:
        return False
    return True


def command_of(line: str) -> str:
    return re.split(r"\|\||&&|;", line.partition("quivo-frames ")[2])[0].strip()


def test_every_recipe_runs_a_command_that_there_is() -> None:
    texts = {file.name: file.read_text(encoding="utf-8") for file in RECIPES.rglob("*") if file.is_file()}
    lines = {
        "cron": texts["quivo-frames.cron"].splitlines()[-1],
        "systemd": re.search(r"ExecStart=(.*)", texts["quivo-frames.service"])[1],
        "github": next(line for line in texts["github-workflow.yml"].splitlines() if "sync ||" in line),
    }
    commands = {name: command_of(line) for name, line in lines.items()}
    for name, before in (("Containerfile", "-v quivo-data:/data quivo-frames "), ("recipe.yaml", "- quivo-frames ")):
        found = re.findall(rf"{before}(?!=|--)(.*)", texts[name])
        commands |= {f"{name}: {words}": words for words in found}
        assert found
    for name, words in commands.items():
        assert is_command(words), name
    assert not is_command("synch")
    assert not is_command("sync --every-night")


def test_the_line_of_cron() -> None:
    file = RECIPES / "quivo-frames.cron"
    *comments, line = file.read_text(encoding="utf-8").splitlines()
    assert all(comment.startswith("#") for comment in comments)
    *fields, _ = line.split(None, 5)
    for field, (least, most) in zip(fields, CRON_FIELDS, strict=True):
        assert field == "*" or least <= int(field) <= most
    assert "%" not in line  # which cron reads as a line end
    if shutil.which("crontab"):
        done = subprocess.run(["crontab", "-n", file], capture_output=True, text=True, check=False)
        assert done.returncode == 0 or "usage" in done.stderr, done.stderr


def test_the_units_of_systemd(tmp_path: Path) -> None:
    for name, sections in (
        ("quivo-frames.service", {"Unit", "Service"}), ("quivo-frames.timer", {"Unit", "Timer", "Install"}),
    ):  # fmt: skip
        unit = configparser.ConfigParser(delimiters="=", interpolation=None)
        unit.optionxform = str
        unit.read(RECIPES / name, encoding="utf-8")
        assert set(unit.sections()) == sections
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed (Debian: apt-get install systemd)")
    command = ["systemd-analyze", "verify", "--user", RECIPES / "quivo-frames.timer"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"XDG_RUNTIME_DIR": str(tmp_path), "PATH": "/usr/bin"}
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr


def test_the_task_of_windows() -> None:
    root = ElementTree.parse(RECIPES / "task-scheduler.xml").getroot()

    def check_element(element: ElementTree.Element) -> None:
        name = element.tag.removeprefix(TASKS)
        assert element.tag.startswith(TASKS)
        for child in element:
            assert child.tag.removeprefix(TASKS) in TASK_ELEMENTS[name], child.tag
            if len(child):
                check_element(child)

    check_element(root)
    assert root.attrib == {"version": "1.2"}
    assert is_command(root.findtext(f".//{TASKS}Arguments"))


def test_the_workflow_of_github_names_extras_that_there_are() -> None:
    text = (RECIPES / "github-workflow.yml").read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["concurrency"]
    extras = re.search(r"quivo-frames\[([\w,]+)\]", text)[1].split(",")
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(extras) <= set(known)


@pytest.mark.long
def test_the_workflow_of_github_fits_its_schema() -> None:
    if not PYTHON.exists():
        pytest.skip("There is no .venv-readers: make .venv-readers/.made")
    check = [PYTHON, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*check, RECIPES / "github-workflow.yml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
