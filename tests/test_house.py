"""The house: imports go down, each dependency has one door, and importing the package loads nothing heavy."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import quivo_frames

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "quivo_frames"
MODULES = sorted(PACKAGE.rglob("*.py"))
DOORS = {
    "altair": {"reporting"},
    "jinja2": {"reporting"},
    "vl_convert": {"reporting"},
    "loky": {"crew"},
    "requests": {"connection"},
    "sqlite3": {"archive"},
    "pandera": {"validating"},
    "pydantic_settings": {"settings"},
    "keyring": {"settings"},
    "nanoarrow": {"arrow"},
    "deltalake": {"exporting"},
    "tqdm": {"progress"},
    "yaml": {"describing"},
    "zstandard": {"archive", "files"},
    "click": {"arguments", "cli", "demo"},
    "pycountry": {"auditing"},
    "rich": {"showing"},
    "distributed": {"engines"},
    "pyspark": {"engines"},
    "duckdb": {"exporting"},
    "xlsxwriter": {"exporting"},
    "obstore": {"places"},
}


def imports(path: Path) -> set[str]:
    """Full names of all that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(path: Path) -> str:
    """The module, or the folder that it is a room of."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def floor(name: str) -> int:
    path = PACKAGE / name / "__init__.py" if (PACKAGE / name).is_dir() else PACKAGE / f"{name}.py"
    told = re.search(r"Floor (\d)", ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "")
    assert told, f"the docstring of {name} does not say its floor"
    return int(told[1])


ROOMS = sorted({room(path) for path in MODULES} - {"__init__"})


@pytest.mark.parametrize("name", ROOMS)
def test_imports_go_down(name: str) -> None:
    for path in (path for path in MODULES if room(path) == name):
        for imported in imports(path):
            parts = imported.split(".")
            if parts[0] == "quivo_frames" and len(parts) > 1 and parts[1] in ROOMS and parts[1] != name:
                assert floor(parts[1]) < floor(name), f"{path.name} imports {imported}"


@pytest.mark.parametrize("dependency", DOORS)
def test_a_dependency_has_one_door(dependency: str) -> None:
    users = {room(path) for path in MODULES if any(found.split(".")[0] == dependency for found in imports(path))}
    assert users == DOORS[dependency]


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = "{'polars', 'pandera', 'requests', 'pydantic', 'sqlite3', 'msgspec', 'rich'}"
    code = f"import sys, quivo_frames; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    for name in quivo_frames.__all__:
        assert inspect.getdoc(getattr(quivo_frames, name)), name
    assert set(dir(quivo_frames)) == set(quivo_frames.__all__)
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
    for name in ("flattening", "unflattening", "building", "refetching", "validating"):
        importlib.import_module(f"quivo_frames.{name}")
    names = ("flatten", "unflatten", "build", "refetch", "schema", "plan")
    assert all(callable(getattr(quivo_frames, name)) for name in names)


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
