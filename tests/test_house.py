"""The structure of the package: imports go down, few rooms import a library, modules and functions stay short."""

from __future__ import annotations

import ast
import functools
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
    ("dataset", "fetch", "executors"),
    ("analysis",),
    ("builder",),
    ("maintenance", "nightly", "explorer"),
    ("assistant",),
    ("cli",),
)
"""The one rule of imports: a room imports only rooms of earlier lines, never those of its own line."""
IMPORTERS = {
    "altair": {"analysis"},
    "holidays": {"analysis"},
    "jinja2": {"analysis", "explorer"},
    "starlette": {"explorer"},
    "uvicorn": {"explorer"},
    "vl_convert": {"analysis"},
    "tomli_w": {"analysis", "nightly"},
    "rich": {"analysis"},
    "loky": {"executors"},
    "distributed": {"executors"},
    "pyspark": {"executors"},
    "requests": {"fetch"},
    "sqlite3": {"archive", "export"},
    "pandera": {"flattening"},
    "pydantic_settings": {"settings"},
    "dotenv": {"settings"},
    "keyring": {"settings"},
    "nanoarrow": {"storage"},
    "obstore": {"storage"},
    "backports": {"storage"},
    "compression": {"storage"},
    "deltalake": {"export"},
    "duckdb": {"assistant", "export"},
    "mcp": {"assistant"},
    "xlsxwriter": {"export"},
    "fastexcel": {"fetch"},
    "tqdm": {"display"},
    "click": {"cli"},
    "yaml": set(),
}
"""The rooms that may import a library."""
JSON_DECODERS = {
    "storage/own_json.py": "the files that quivo_frames wrote itself, which may be damaged",
    "flattening": "orders",
    "builder/json_values.py": "files of orders",
    "model/privacy.py": "orders whose personal values are removed",
    "maintenance/erasure.py": "whether an order's personal values were removed at Quivo",
    "analysis/changes": "values of two orders that are compared",
    "explorer/order_json.py": "an answer that is shown, with numbers as they are written",
    "fetch": "answers of Quivo, and events in files of ids",
    "standin": "requests",
    "assistant": "SQL as DuckDB reads it, and what its own process answers",
}
"""The modules and rooms that decode JSON, and of what: each of them says what to do about JSON that is broken."""
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60


@functools.cache
def parse_module(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imported_names(path: Path) -> set[str]:
    """The full names of everything that a module imports, also inside functions."""
    found = set()
    for node in ast.walk(parse_module(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(path: Path) -> str:
    """The room of a module: its top-level folder, or the top-level module itself."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


ROOMS = sorted({room_of(path) for path in MODULES} - {"__init__"})
LAYER_OF = {room: number for number, rooms in enumerate(LAYERS) for room in rooms}


def test_every_room_is_in_the_list() -> None:
    assert sorted(LAYER_OF) == ROOMS


@pytest.mark.long
@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_down(room: str) -> None:
    for path in (path for path in MODULES if room_of(path) == room):
        for imported in imported_names(path):
            top, *rest = imported.split(".")
            if top == "quivo_frames" and rest and rest[0] in ROOMS and rest[0] != room:
                assert LAYER_OF[rest[0]] < LAYER_OF[room], f"{path.relative_to(PACKAGE)} imports {imported}"


def decodes_json(path: Path) -> bool:
    return any(
        isinstance(node, ast.Attribute)
        and node.attr in ("load", "loads", "decode", "Decoder")
        and ast.unparse(node.value) in ("json", "msgspec.json", "orjson")
        for node in ast.walk(parse_module(path))
    )


def test_json_is_decoded_in_few_places() -> None:
    decoding = [path.relative_to(PACKAGE).as_posix() for path in MODULES if decodes_json(path)]
    used = {place for place in JSON_DECODERS for name in decoding if name.startswith(place)}
    assert not [name for name in decoding if not name.startswith(tuple(JSON_DECODERS))]
    assert used == set(JSON_DECODERS)


def test_there_are_no_circular_imports() -> None:
    names = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in MODULES
    }
    needs = {
        name: {found for imported in imported_names(path) for found in (imported, imported.rpartition(".")[0]) if found in names} - {name}
        for name, path in names.items()
    }  # fmt: skip
    needs.pop("quivo_frames")  # the public module imports everything, when it is used
    assert list(graphlib.TopologicalSorter(needs).static_order())


@pytest.mark.parametrize("dependency", IMPORTERS)
def test_a_library_is_imported_by_its_rooms_only(dependency: str) -> None:
    users = {
        room_of(path) for path in MODULES if any(found.split(".")[0] == dependency for found in imported_names(path))
    }
    assert users == IMPORTERS[dependency]


def test_duckdb_is_connected_in_one_place() -> None:
    """Where Ctrl-C is what it is elsewhere, and nothing is downloaded; the process for SQL has stricter settings."""
    doors = {"export/duckdb.py", "assistant/sql_process.py"}
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        for node in ast.walk(parse_module(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "duckdb.connect"
    }
    assert found == doors


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = "{'polars', 'pandera', 'requests', 'pydantic', 'sqlite3', 'msgspec', 'rich'}"
    code = f"import sys, quivo_frames; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.long
def test_a_build_loads_nothing_of_the_api(tmp_path: Path) -> None:
    """A tenth of a second at each start."""
    (tmp_path / "orders.ndjson").write_bytes(b'{"orderId": 1}')
    code = (
        f"import os, sys, quivo_frames; os.chdir({str(tmp_path)!r})\n"
        "quivo_frames.build('orders.ndjson', 'tables', jobs=1, progress=False)\n"
        "print(sorted({'pydantic_settings', 'requests', 'ssl', 'sqlite3', 'keyring', 'pandera', 'pydantic', 'altair',\n"
        "    'jinja2', 'loky', 'rich', 'tqdm', 'pyarrow', 'duckdb'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "['sqlite3']\n"


def test_help_loads_click_and_nothing_else_from_outside() -> None:
    """Of each command; it is what shells ask for while somebody waits."""
    code = (
        "import sys; before = set(sys.modules)\n"
        "from quivo_frames.cli import main\n"
        "for words in (['--help'], *([name, '--help'] for name in main.commands)):\n"
        "    try: main(words)\n"
        "    except SystemExit as end: assert not end.code, words\n"
        "tops = {name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)\n"
        "print(sorted(tops), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr == "['click', 'quivo_frames']\n"


def test_a_command_ends_without_a_search_for_cycles() -> None:
    code = (
        "import atexit, gc, sys\n"
        "atexit.register(lambda: print(gc.get_freeze_count() > 1000))\n"
        "from quivo_frames.cli import main; sys.argv[1:] = ['find', '--help']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.endswith("\nTrue\n")


def test_every_public_name_exists_and_has_a_docstring() -> None:
    for name in quivo_frames.__all__:
        assert inspect.getdoc(getattr(quivo_frames, name)), name
    assert set(dir(quivo_frames)) == {*quivo_frames.__all__, "__version__"}
    assert quivo_frames.__version__ == version("quivo_frames")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = quivo_frames.nothing


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_every_public_function_and_class_has_a_docstring(path: Path) -> None:
    tree = parse_module(path)
    assert ast.get_docstring(tree), path
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    for node in (inner for part in (tree, *classes) for inner in part.body if isinstance(inner, kinds)):
        assert node.name.startswith("_") or ast.get_docstring(node), node.name


def test_importing_a_module_never_replaces_a_public_function() -> None:
    for path in MODULES:
        if path.stem != "__main__" and path.parent.name not in {"export", "executors"}:  # those need their extras
            importlib.import_module(".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts))
    assert not [name for name in quivo_frames.__all__ if inspect.ismodule(getattr(quivo_frames, name))]


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not {path.stem for path in MODULES} & {"utils", "util", "helpers", "common", "base", "manager", "core"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_sentences_are_plain_english(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not [
        phrase
        for phrase in ("Verb:", "Verbs:", "Noun:", "Nouns:", "Only here:", "anew", "at the most")
        if phrase in text
    ]


def test_most_functions_have_names_of_two_words_or_more() -> None:
    names = [
        node.name.strip("_")
        for path in MODULES
        for node in ast.walk(parse_module(path))
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("__")
    ]
    assert sum("_" not in name for name in names) < 0.16 * len(names)  # public names, commands, read and write


def test_a_class_name_means_one_thing() -> None:
    names = [node.name for path in MODULES for node in ast.walk(parse_module(path)) if isinstance(node, ast.ClassDef)]
    assert sorted(names) == sorted(set(names))


def test_text_reaches_a_terminal_through_the_display_alone() -> None:
    bytes_for_programs = (PACKAGE / "standin" / "orders.py", PACKAGE / "assistant" / "sql_process.py")
    for path in (path for path in MODULES if room_of(path) != "display" and path not in bytes_for_programs):
        nodes = list(ast.walk(parse_module(path)))
        wrapped = {
            argument
            for node in nodes
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "TerminalStream"
            for argument in node.args
        }
        for node in (node for node in nodes if node not in wrapped):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert called not in ("print", "click.echo", "click.secho"), f"{path}, line {node.lineno}"
            streams = ("sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__")
            assert not (isinstance(node, ast.Attribute) and ast.unparse(node) in streams), f"{path}, line {node.lineno}"


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").exists()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_modules_and_functions_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_MODULE_LINES
    for node in ast.walk(parse_module(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < MAX_FUNCTION_LINES, node.name


def test_the_init_module_of_a_room_is_a_docstring_only() -> None:
    for path in MODULES:
        if path.name == "__init__.py" and path.parent not in (
            PACKAGE,
            PACKAGE / "cli",
            PACKAGE / "standin",
        ):  # the entry point; users import StandIn
            assert len(parse_module(path).body) == 1, path


def test_the_top_level_is_the_agreed_one() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    if not listed:
        pytest.skip("not a git checkout")
    files = {
        "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "CITATION.cff", "Makefile",
        "pyproject.toml", "uv.lock", "hatch_build.py",
    }  # fmt: skip
    tops = {name.split("/")[0] for name in listed}
    assert {top for top in tops if not top.startswith(".")} <= files | {
        "quivo_frames", "notebooks", "schemas", "tests", "data", "docs",
    }  # fmt: skip
