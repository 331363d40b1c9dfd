"""What commands and functions write: never over something else, for its owner alone, and complete or not at all.

Everything that writes to a path is found by itself; see tests/support/outputs.py.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import os
import shutil
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

import quivo_frames as qf
from quivo_frames.cli import main
from quivo_frames.cli.params import DurationParam, InstantParam
from tests.support.depth import sampled
from tests.support.outputs import (
    COMMAND_OUTPUTS,
    DEMO,
    FUNCTION_OUTPUTS,
    NO_OUTPUTS,
    OUTPUTS_OF_COMMANDS,
    OUTPUTS_OF_FUNCTIONS,
    READING_FUNCTIONS,
    Output,
    Result,
    World,
    make_world,
    record_and_build,
)
from tests.support.paths import ROOT

resource = pytest.importorskip("resource", reason="sets a limit to files, which this system does not know")
PACKAGE = ROOT / "quivo_frames"
MINE = b"mine: nobody's business, and no file of quivo_frames\n"
QUICK = {name: output for name, output in OUTPUTS_OF_COMMANDS.items() if output is not DEMO}
each_output = pytest.mark.parametrize(
    "output", sampled(pytest.param(output, id=name) for name, output in (QUICK | OUTPUTS_OF_FUNCTIONS).items())
)
each_successful_output = pytest.mark.parametrize(
    "output",
    sampled(pytest.param(output, id=name) for name, output in QUICK.items())
    + [pytest.param(output, id=name, marks=pytest.mark.long) for name, output in OUTPUTS_OF_FUNCTIONS.items()],
)
"""Functions write as the commands that call them do."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def changed_world(world: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The same a day later, so that there is something to write where only what is new is written."""
    copied = world.copy_to(tmp_path_factory.mktemp("changed") / "world")
    record_and_build(copied, days=1)
    return copied


FIRST_OF_KIND = {output.kind: output for output in reversed(OUTPUTS_OF_COMMANDS.values())}


@pytest.fixture(scope="module")
def earlier(world: World, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """An earlier output of a kind, made when it is first asked for."""
    folder = tmp_path_factory.mktemp("earlier")

    @functools.cache
    def make_earlier(kind: str) -> Path:
        output, copied = FIRST_OF_KIND[kind], world.copy_to(folder / f"world of {kind}")
        (folder / kind).mkdir()
        made = folder / kind / output.name
        result = output.write(copied, made)
        assert result.status in (0, 1), result
        assert made.exists(), kind
        shutil.rmtree(copied.folder)
        return made

    return make_earlier


@pytest.fixture(autouse=True)
def _no_endless_wait() -> Iterator[None]:
    """Who opens a pipe that nobody writes to waits for ever."""

    def fail(*_: object) -> None:
        raise TimeoutError("it waits for ever")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(100)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def contents_below(*folders: Path) -> dict[str, object]:
    """All that is in folders: the content of files, the target of links, the kind of everything else."""
    found: dict[str, object] = {}
    for path in (path for folder in folders for path in (folder, *folder.rglob("*"))):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            found[str(path)] = path.readlink()
        elif stat.S_ISREG(mode):
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[str(path)] = stat.S_IFMT(mode)
    return found


def assert_refused(result: Result, what: str) -> None:
    """Wrong use, in one sentence that no traceback stands beside."""
    assert_ended(result, 2, what)


def assert_ended(result: Result, status: int, what: str) -> None:
    assert result.status == status, (what, result)
    assert result.message.startswith("quivo-frames: "), (what, result)
    assert result.message.count("\n") == 1, (what, result)
    assert len(result.message) < 6_000, what


def link(path: Path, target: Path) -> Path:
    path.symlink_to(target)
    return path


def make_device(path: Path) -> Path:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        os.mkfifo(path)  # at least a pipe, where devices need rights
    return path


def make_pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def make_socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(path.parent)  # the name of a socket is short
        try:
            listener.bind(path.name)
        finally:
            os.chdir(here)
    return path


def make_file(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(MINE)
    return path


def make_folder(path: Path) -> Path:
    make_file(path / "mine.txt")
    return path


FOREIGN: dict[str, Callable[[World, Path], Path]] = {
    "the archive": lambda world, _: world.archive,
    "a link to the archive": lambda world, path: link(path, world.archive),
    "a table": lambda world, _: world.tables / "orders.parquet",
    "a link to a table": lambda world, path: link(path, world.tables / "orders.parquet"),
    "a manifest": lambda world, _: world.tables / "manifest.json",
    "a link to a manifest": lambda world, path: link(path, world.tables / "manifest.json"),
    "a file of somebody else": lambda _, path: make_file(path),
    "a link to a file of somebody else": lambda _, path: link(path, make_file(path.with_name("theirs"))),
    "a folder of somebody else": lambda _, path: make_folder(path),
    "a link to a folder of somebody else": lambda _, path: link(path, make_folder(path.with_name("theirs"))),
    "a path below a file": lambda _, path: make_file(path.with_name("file")) / path.name,
    "a path far below a file": lambda _, path: make_file(path.with_name("file")) / "deep" / path.name,
    "a pipe": lambda _, path: make_pipe(path),
    "a device": lambda _, path: make_device(path),
    "a socket": lambda _, path: make_socket(path),
    "a link to a pipe": lambda _, path: link(path, make_pipe(path.with_name("pipe"))),
    "links in a circle": lambda _, path: link(path, path),
    "a name that is too long": lambda _, path: path.with_name(f"{'x' * 5_000}{path.suffix}"),
}


@pytest.mark.long
@pytest.mark.drawn
@each_output
def test_what_is_not_an_earlier_one_is_not_overwritten(
    output: Output, world: World, earlier: Callable[[str], Path], tmp_path: Path
) -> None:
    before = contents_below(world.folder)
    own = {"archive": ("the archive", "a link to the archive")}.get(output.kind, ())
    places = {name: place for name, place in FOREIGN.items() if name not in own}
    for kind in sampled(FIRST_OF_KIND):
        if kind != output.kind:
            made = earlier(kind)
            places[f"an earlier {kind}"] = lambda _, there, path=made: Path(
                (shutil.copytree if path.is_dir() else shutil.copy2)(path, there)
            )
    for number, (name, make) in enumerate(places.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        target = make(world, folder / output.name)
        there = contents_below(folder)
        result = output.write(world, target)
        assert_refused(result, name)
        assert contents_below(folder) == there, name
    assert contents_below(world.folder) == before


@pytest.mark.drawn
@each_output
def test_nothing_is_written_into_an_export(
    output: Output, world: World, earlier: Callable[[str], Path], tmp_path: Path
) -> None:
    """It would be lost with the next export, or with an erasure."""
    exports = {kind: Path(shutil.copytree(earlier(kind), tmp_path / kind)) for kind in ("csv export", "raw export")}
    exports["delta export"] = Path(shutil.copytree(earlier("delta export") / "orders", tmp_path / "orders"))
    before = contents_below(tmp_path)
    for kind, folder in exports.items():
        assert_refused(output.write(world, folder / output.name), kind)
        if not output.is_folder:
            assert_refused(output.write(world, next(file for file in folder.iterdir() if file.is_file())), kind)
    assert contents_below(tmp_path) == before


@pytest.mark.drawn
@each_output
@pytest.mark.parametrize("ending", [".pdf", ".py", "other"])
def test_an_ending_that_says_something_else_is_refused(
    output: Output, world: World, tmp_path: Path, ending: str
) -> None:
    if output.kind == "archive":
        pytest.skip("an archive may have any name")
    others = [".html", ".xlsx", ".duckdb", ".parquet"]
    other = next(one for one in others if not output.name.endswith(one)) if ending == "other" else ending
    if other == ".parquet" and output.kind.endswith(".csv"):
        other = ".html"
    if output.kind.partition(".")[0] in ("findings", "changes"):
        other = ".html"
    assert_refused(output.write(world, tmp_path / f"out{other}"), other)
    assert not list(tmp_path.iterdir())


@pytest.mark.long
@pytest.mark.drawn
@each_successful_output
def test_a_link_stays_and_what_it_leads_to_is_replaced(
    output: Output, world: World, earlier: Callable[[str], Path], tmp_path: Path
) -> None:
    copied = world.copy_to(tmp_path / "world")
    real = tmp_path / "elsewhere" / output.name
    real.parent.mkdir()
    for what in ("an earlier one", "nothing"):
        if what == "an earlier one":
            (shutil.copytree if output.is_folder else shutil.copy2)(earlier(output.kind), real)
        to = link(tmp_path / f"{what}-{output.name}", real)
        result = output.write(copied, to)
        assert result.status in (0, 1), result
        assert to.is_symlink(), what
        assert real.exists(), what
        assert not real.is_symlink()
        if real.is_dir():
            assert any(real.iterdir())
            shutil.rmtree(real)
        else:
            assert real.stat().st_size
            real.unlink()


@pytest.mark.long
@pytest.mark.drawn
@each_successful_output
def test_an_empty_file_or_folder_is_replaced(
    output: Output, world: World, earlier: Callable[[str], Path], tmp_path: Path
) -> None:
    copied, target = world.copy_to(tmp_path / "world"), tmp_path / output.name
    target.mkdir() if output.is_folder else target.touch()
    assert output.write(copied, target).status in (0, 1)
    assert any(target.iterdir()) if output.is_folder else target.stat().st_size


def is_private(path: Path) -> bool:
    return stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


@pytest.mark.long
@pytest.mark.drawn
@each_successful_output
def test_what_is_written_is_its_owners_alone(output: Output, world: World, tmp_path: Path) -> None:
    copied = world.copy_to(tmp_path / "world")
    there, new = tmp_path / "there", tmp_path / "new"
    there.mkdir(mode=0o755)
    place = there if output.is_folder else there / output.name
    umask = os.umask(0o022)
    try:
        for target in (place, new / "deep" / output.name):
            if target is not place and not output.creates_parents:
                new.mkdir(mode=0o700)
                (new / "deep").mkdir(mode=0o700)
            assert output.write(copied, target).status in (0, 1)
    finally:
        os.umask(umask)
    written = [*there.rglob("*"), new, *new.rglob("*"), *copied.tables.rglob("*")]
    assert len([path for path in written if path.is_file()]) >= 2
    assert not [str(path) for path in written if not is_private(path)]


@contextmanager
def limited_files(limit: int) -> Iterator[None]:
    """As on a full disk: no file can grow beyond a limit, which the system says in the same way."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.long
@pytest.mark.drawn
@each_successful_output
def test_a_full_disk_leaves_what_was_there_and_is_one_sentence(
    output: Output, changed_world: World, earlier: Callable[[str], Path], tmp_path: Path
) -> None:
    copied, target = changed_world.copy_to(tmp_path / "world"), tmp_path / "out" / output.name
    target.parent.mkdir()
    (shutil.copytree if output.is_folder else shutil.copy2)(earlier(output.kind), target)
    if output.kind == "receipts":
        target.write_bytes(target.read_bytes() * 300)
    before = contents_below(target.parent)
    with limited_files(output.file_limit):
        result = output.write(copied, target)
    assert_ended(result, 3, "a full disk")
    assert "File too large" in result.message or "full" in result.message, result
    if output.kind == "archive":
        assert qf.Archive(target).counts()["responses"] == 1
    else:
        assert contents_below(target.parent) == before


NEVER_A_PATH = (
    click.types.IntParamType, click.types.FloatParamType, click.types.BoolParamType, click.Choice, DurationParam, InstantParam,
)  # fmt: skip


def test_every_parameter_that_may_be_a_path_is_known() -> None:
    found = {
        (name, parameter.name or "")
        for name, command in main.commands.items()
        for parameter in command.params
        if not isinstance(parameter.type, NEVER_A_PATH)
    }
    known = {(command, name) for command, names in NO_OUTPUTS.items() for name in names}
    assert found == {*COMMAND_OUTPUTS, *known}
    assert not set(COMMAND_OUTPUTS) & known


def functions_of(tree: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in getattr(tree, "body", []):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from functions_of(node, f"{prefix}.{node.name}")
        if isinstance(node, ast.FunctionDef) and (node.name == "__init__" or not node.name.startswith("_")):
            yield f"{prefix}.{node.name}", node


def test_every_public_function_that_takes_a_path_is_known() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for name, function in functions_of(ast.parse(path.read_text(encoding="utf-8")), module):
            for argument in (*function.args.args, *function.args.kwonlyargs):
                annotation = ast.unparse(argument.annotation) if argument.annotation else ""
                is_written = name.endswith(".write") and "Path" in annotation
                if "PathLike" in annotation or is_written:
                    found.add((name, argument.arg))
    assert found == {*FUNCTION_OUTPUTS, *READING_FUNCTIONS}


WRITING_CALLS = frozenset(
    [
        "write_bytes",
        "write_text",
        "touch",
        "mkdir",
        "makedirs",
        "rmtree",
        "rmdir",
        "unlink",
        "copyfile",
        "copytree",
        "move",
        "symlink_to",
        "sink_parquet",
        "sink_csv",
        "sink_ndjson",
        "sink_ipc",
        "write_parquet",
        "write_csv",
        "write_ndjson",
        "write_ipc",
        "write_excel",
        "TemporaryDirectory",
        "NamedTemporaryFile",
        "mkstemp",
        "mkdtemp",
    ]
)
WRITERS = {
    "storage/atomic.py", "storage/directory.py", "storage/leftovers.py", "storage/parquet.py", "storage/parquet_join.py",
    "export/csv.py", "export/duckdb.py", "export/ducklake.py", "export/lake_history.py", "export/frame_file.py", "export/ocel.py", "export/parquet.py",
    "export/powerbi.py",
    "dataset/commit.py", "dataset/export_manifest.py", "dataset/folder_commit.py", "dataset/parts.py", "cli/demo.py",
    "display/question.py",  # to the terminal
    "fetch/rate_limit.py",  # a file of its own in the user's cache
    "explorer/search_terms.py", "assistant/sql_tables.py", "assistant/sql_process.py",  # below a temporary folder of its own
    "standin/orders.py",  # made-up orders for tests and benchmarks
    "archive/raw_export/index.py", "archive/raw_export/writer.py", "builder/order_index.py", "cli/change_commands.py", "cli/figure_commands.py", "analysis/checks/memory.py", "analysis/checks/audit.py", "explorer/background.py",  # to memory
}  # fmt: skip
"""Modules that write files: to a path that storage/atomic.py has looked at, or below it, if nothing else is said."""


@pytest.mark.long
def test_files_are_written_where_somebody_looked_at_what_is_there() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = getattr(node.func, "attr", getattr(node.func, "id", ""))
                opened = called == "open" and any(
                    isinstance(argument, ast.Constant) and isinstance(argument.value, str) and set(argument.value) & set("wax+")
                    and len(argument.value) < 4
                    for argument in node.args
                )  # fmt: skip
                if called in WRITING_CALLS or opened:
                    found.add(path.relative_to(PACKAGE).as_posix())
    assert found == WRITERS
