"""The house: imports go down, each dependency has one door, and importing the package loads nothing heavy."""

from __future__ import annotations

import ast
import graphlib
import importlib
import inspect
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import quivo_frames
from tests.support.paths import ROOT

PACKAGE = ROOT / "quivo_frames"
MODULES = sorted(PACKAGE.rglob("*.py"))
LAYERS = (
    ("errors",),
    ("display", "settings"),
    ("model",),
    ("storage", "flattening", "standin"),
    ("archive",),
    ("export",),
    ("dataset", "fetch"),
    ("builder", "analysis"),
    ("maintenance",),
    ("cli",),
)
"""The one rule of imports: a room imports rooms that stand before its own line, never its neighbours in it."""
DOORS = {
    "altair": {"analysis"},
    "jinja2": {"analysis"},
    "vl_convert": {"analysis"},
    "pycountry": {"analysis"},
    "rich": {"analysis"},
    "loky": {"builder"},
    "distributed": {"builder"},
    "pyspark": {"builder"},
    "requests": {"fetch"},
    "sqlite3": {"archive"},
    "pandera": {"flattening"},
    "pydantic_settings": {"settings"},
    "keyring": {"settings"},
    "nanoarrow": {"storage"},
    "obstore": {"storage"},
    "zstandard": {"archive", "storage"},
    "deltalake": {"export"},
    "duckdb": {"export"},
    "xlsxwriter": {"export"},
    "tqdm": {"display"},
    "click": {"cli"},
    "yaml": set(),
}
"""Which rooms may import a library."""


def imports(path: Path) -> set[str]:
    """Full names of all that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(path: Path) -> str:
    """The top-level module or folder that a module belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


ROOMS = sorted({room_of(path) for path in MODULES} - {"__init__"})
LAYER_OF = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}


def test_every_room_has_its_place_in_the_list() -> None:
    assert sorted(LAYER_OF) == ROOMS


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_down(room: str) -> None:
    for path in (path for path in MODULES if room_of(path) == room):
        for imported in imports(path):
            top, *rest = imported.split(".")
            if top == "quivo_frames" and rest and rest[0] in ROOMS and rest[0] != room:
                assert LAYER_OF[rest[0]] < LAYER_OF[room], f"{path.relative_to(PACKAGE)} imports {imported}"


def test_modules_of_a_room_do_not_import_each_other_in_a_circle() -> None:
    names = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in MODULES
    }
    needs = {
        name: {found for imported in imports(path) for found in (imported, imported.rpartition(".")[0]) if found in names} - {name}
        for name, path in names.items()
    }  # fmt: skip
    needs.pop("quivo_frames")  # the public page names everything
    assert list(graphlib.TopologicalSorter(needs).static_order())


@pytest.mark.parametrize("dependency", DOORS)
def test_a_dependency_has_one_door(dependency: str) -> None:
    users = {room_of(path) for path in MODULES if any(found.split(".")[0] == dependency for found in imports(path))}
    assert users == DOORS[dependency]


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = "{'polars', 'pandera', 'requests', 'pydantic', 'sqlite3', 'msgspec', 'rich'}"
    code = f"import sys, quivo_frames; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    for name in quivo_frames.__all__:
        assert inspect.getdoc(getattr(quivo_frames, name)), name
    assert set(dir(quivo_frames)) == {*quivo_frames.__all__, "__version__"}
    assert quivo_frames.__version__ == version("quivo_frames")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = quivo_frames.nothing


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_every_public_function_and_class_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), path
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    for node in (inner for part in (tree, *classes) for inner in part.body if isinstance(inner, kinds)):
        assert node.name.startswith("_") or ast.get_docstring(node), node.name


def test_a_public_function_stays_itself_when_modules_are_imported_on_their_own() -> None:
    for path in MODULES:
        if path.stem != "__main__" and path.parent.name not in {"export", "executors"}:  # those need their extras
            importlib.import_module(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
    assert not [name for name in quivo_frames.__all__ if inspect.ismodule(getattr(quivo_frames, name))]


def test_no_module_is_a_drawer_for_everything() -> None:
    assert not {path.stem for path in MODULES} & {"utils", "util", "helpers", "common", "base", "manager", "core"}


def test_the_top_level_is_the_agreed_one() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    if not listed:
        pytest.skip("not a git checkout")
    files = {"README.md", "LICENSE", "CHANGELOG.md", "Makefile", "pyproject.toml", "uv.lock"}
    tops = {name.split("/")[0] for name in listed}
    assert {top for top in tops if not top.startswith(".")} <= files | {
        "quivo_frames", "notebooks", "schemas", "tests", "data",
    }  # fmt: skip
