"""quivo.toml: what `init` writes, what is read of it, and messages about what does not fit."""

from __future__ import annotations

import os
import re
import stat
import sys
import tomllib
from pathlib import Path

import pytest

import quivo_frames as qf
from quivo_frames.nightly.project_file import OUTPUT_NAMES, ProjectAnswers, write_project
from quivo_frames.settings.project import Project, read_project
from tests.support.terminal_session import run_on_terminal


def test_what_is_written_is_read(tmp_path: Path) -> None:
    answers = ProjectAnswers('sku:"A\\"1" AND sellerId:2101', "8w", "täbles", ("excel", "csv"), "pseudonym")
    written = write_project(tmp_path / "quivo.toml", answers)
    assert written == read_project(tmp_path / "quivo.toml")
    assert (written.find.query, written.find.first) == (answers.query, "8w")
    assert written.tables == str(tmp_path / "täbles")
    assert [(one.to, one.out, one.privacy) for one in written.exports] == [
        ("excel", str(tmp_path / "orders.xlsx"), "pseudonym"), ("csv", str(tmp_path / "csv"), "pseudonym"),
    ]  # fmt: skip
    assert stat.S_IMODE((tmp_path / "quivo.toml").stat().st_mode) == 0o600


def test_every_setting_is_in_the_file_with_its_default_or_as_a_comment(tmp_path: Path) -> None:
    write_project(tmp_path / "quivo.toml", ProjectAnswers(first="30d"))
    text = (tmp_path / "quivo.toml").read_text(encoding="utf-8")
    plain = Project().placed_in(tmp_path)
    assert read_project(tmp_path / "quivo.toml") == plain
    everything = tomllib.loads(re.sub(r"^# (?=\w+ = |\[\[)", "", text, flags=re.MULTILINE))
    for section in ("find", "refetch", "build", "audit", "report"):
        names = set(type(getattr(plain, section)).__struct_fields__)
        assert set(everything[section]) | ({"workers", "derived"} & names) == names, section


@pytest.mark.parametrize("form", OUTPUT_NAMES)
def test_every_format_has_a_place(form: str, tmp_path: Path) -> None:
    assert write_project(tmp_path / "quivo.toml", ProjectAnswers(exports=(form,))).exports[0].to == form


def test_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("a = 1")
    (tmp_path / "empty.toml").touch()
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "link.toml").symlink_to(tmp_path / "nowhere.toml")
    os.mkfifo(tmp_path / "pipe.toml")
    for file in sorted(tmp_path.iterdir()):
        with pytest.raises(qf.ConfigError, match="is there already, and stays as it is"):
            write_project(file, ProjectAnswers())
    assert (tmp_path / "mine.toml").read_text() == "a = 1"
    assert not (tmp_path / "nowhere.toml").exists()
    for name in ("quivo.sqlite", "no-folder/quivo.toml", "x" * 300 + ".toml"):
        with pytest.raises(qf.ConfigError):
            write_project(tmp_path / name, ProjectAnswers())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('tabels = "x"', "unknown field `tabels`"),
        ('[find]\noverlap = "soon"', "overlap is 'soon'. Write a duration"),
        ('[find]\noverlap = "all"', "overlap is 'all'"),
        ("[refetch]\nmax_requests = 0", "`int` >= 1"),
        ("archive = ", "is no TOML"),
        ('archive = ""', "length >= 1"),
        ('[[exports]]\nto = "csv"', "missing required field `out`"),
        ('password = "hunter2"', "holds credentials"),
        ('[refetch]\napi_key = "hunter2"', "holds credentials"),
    ],
)
def test_what_does_not_fit_is_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "quivo.toml").write_text(text)
    with pytest.raises(qf.ConfigError, match=r"quivo\.toml") as raised:
        read_project(tmp_path / "quivo.toml")
    assert said in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_answers_that_cannot_be_used_write_nothing(tmp_path: Path) -> None:
    for answers in (ProjectAnswers(first="soon"), ProjectAnswers(exports=("word",)), ProjectAnswers(privacy="some")):
        with pytest.raises(qf.ConfigError):
            write_project(tmp_path / "quivo.toml", answers)
    assert not list(tmp_path.iterdir())


def test_init_asks_five_questions_on_the_terminal(tmp_path: Path) -> None:
    command = f"{sys.executable} -m quivo_frames.cli init"
    typed = "sellerId:2101\n\nmy tables\nduckdb, csv\npseudonym\n"
    ended = run_on_terminal(command, typed, folder=tmp_path, environment=dict(os.environ), question="]: ")
    assert ended.status == 0, ended.shown
    assert re.findall(r"(\d)\. [A-Z]", ended.shown) == [*"12345"]
    project = read_project(tmp_path / "quivo.toml")
    assert (project.find.query, project.find.first) == ("sellerId:2101", "30d")
    assert project.tables == str(tmp_path / "my tables")
    assert [(one.to, one.privacy) for one in project.exports] == [("duckdb", "pseudonym"), ("csv", "pseudonym")]
