"""Whatever is broken in a manifest ends in a sentence with a way out, and the tables can be built again."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from quivo_frames.archive.archive import Archive
from quivo_frames.builder.build import build
from quivo_frames.cli import main
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.errors import ConfigError, DatasetError
from quivo_frames.maintenance.integrity import check
from quivo_frames.model.tables import REPORT_TABLES, TABLES
from quivo_frames.standin.orders import order_json
from tests.support.archived_orders import NOON, record_answers
from tests.support.depth import IS_DEEP, sampled

IDS = range(100_001, 100_009)
DEEP_JSON = "[" * 100_000
WRONG_VALUES = (None, 5, -1, 2**70, 1.5, "x", "", "../../x.parquet", [], [5], {}, {"x": 5}, True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an archive, and with tables that were built from it."""
    folder = tmp_path_factory.mktemp("made")
    with Archive(folder / "orders.sqlite") as archive:
        record_answers(archive, {order_id: order_json(order_id) for order_id in IDS}, NOON)
    build(folder / "orders.sqlite", folder / "tables")
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """The same, to be broken."""
    shutil.copytree(made, tmp_path / "work")
    return tmp_path / "work"


def places_of_values(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the values of a JSON document are; of what has many entries of the same kind, only the first two."""
    yield place
    if isinstance(value, dict):
        same_kind = place[-1:] in {("tables",), ("derived",), ("profile",), ("filled",), ("codes",)}
        for name in list(value)[: 2 if same_kind else None]:
            yield from places_of_values(value[name], (*place, name))
    elif isinstance(value, list):
        for number in range(min(len(value), 2)):
            yield from places_of_values(value[number], (*place, number))


def with_value(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy of a JSON document with another value at a place."""
    if not place:
        return value
    changed = json.loads(json.dumps(document))
    at = changed
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    return changed


def without(document: Any, place: tuple[Any, ...]) -> Any:
    """A copy of a JSON document without the value at a place."""
    changed = json.loads(json.dumps(document))
    at = changed
    for step in place[:-1]:
        at = at[step]
    del at[place[-1]]
    return changed


@pytest.mark.long
def test_no_wrong_fact_of_a_manifest_goes_unnoticed_or_ends_in_a_traceback(folder: Path) -> None:
    tables, file = folder / "tables", folder / "tables" / "manifest.json"
    right = json.loads(file.read_text())
    wrong = [with_value(right, place, value) for place in places_of_values(right) for value in WRONG_VALUES]
    wrong += [without(right, place) for place in places_of_values(right) if place and place != ("digest",)]
    noticed_late = []
    for document in wrong:
        if document == right:
            continue
        file.write_text(json.dumps(document))
        try:
            Dataset.open(tables)
        except (DatasetError, ConfigError):
            continue
        noticed_late.append(document)
    for document in noticed_late:  # its types are right: only the digest can tell
        file.write_text(json.dumps(document))
        damaged = list(Dataset.open(tables).damaged_files())
        assert damaged or "digest" not in document


@pytest.mark.parametrize("seed", range(4 if IS_DEEP else 1))
def test_after_a_flipped_bit_of_the_manifest_check_names_a_flaw_or_the_facts_are_the_same(
    folder: Path, seed: int
) -> None:
    tables, file = folder / "tables", folder / "tables" / "manifest.json"
    right, drawn = file.read_bytes(), random.Random(seed)
    before = Dataset.open(tables).manifest
    for _ in range(60):
        content = bytearray(right)
        content[drawn.randrange(len(content))] ^= 1 << drawn.randrange(8)
        file.write_bytes(content)
        try:
            found = check(tables)
        except ConfigError as error:  # nobody knows any more that it was a dataset
            raise AssertionError(error) from error
        assert not found.flaws.is_empty() or Dataset.open(tables).manifest == before


BROKEN_MANIFESTS: dict[str, Callable[[bytes], bytes]] = {
    "cut in half": lambda right: right[: len(right) // 2],
    "empty": lambda _: b"",
    "zeros": lambda right: bytes(len(right)),
    "garbage": lambda _: b"\x80\xff{[",
    "nested without end": lambda right: right[:-2] + b', "x": ' + DEEP_JSON.encode(),
    "a list": lambda _: b"[1, 2]",
    "of something else": lambda _: b'{"nodes": {}}',
    "no tables": lambda right: json.dumps({**json.loads(right), "tables": {}}).encode(),
    "tables are a number": lambda right: json.dumps({**json.loads(right), "tables": 5}).encode(),
    "no orders": lambda right: json.dumps(without(json.loads(right), ("orders",))).encode(),
    "no profile": lambda right: json.dumps({**json.loads(right), "profile": {"orders": 5}}).encode(),
    "no form": lambda right: json.dumps({**json.loads(right), "form": 5}).encode(),
    "a strange level": lambda right: json.dumps({**json.loads(right), "privacy": {"level": "some"}}).encode(),
    "inputs are numbers": lambda right: json.dumps({**json.loads(right), "inputs": [5]}).encode(),
    "built at noon": lambda right: json.dumps({**json.loads(right), "built_at": "noon"}).encode(),
    "lineage of one": lambda right: json.dumps(without(json.loads(right), ("lineage", "noticed"))).encode(),
    "a lone surrogate": lambda right: right.replace(b'"version": "', b'"version": "\\ud800'),
}
COMMANDS = ("check", "show", "audit", "forget", "build", "export")


def run_command(name: str, folder: Path) -> tuple[int, str]:
    """The exit status and output of a command over the tables; a traceback fails the test."""
    tables, archive = str(folder / "tables"), str(folder / "orders.sqlite")
    words = {
        "check": ["check", tables],
        "show": ["show", "100001", "--from", tables],
        "audit": ["audit", tables],
        "forget": ["forget", "100001", "--archive", archive, "--tables", tables, "--yes"],
        "build": ["build", archive, "--out", tables],
        "full": ["build", archive, "--out", tables, "--full"],
        "export": ["export", tables, "--to", "csv", str(folder / "csv")],
    }[name]
    done = CliRunner().invoke(main, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), (name, done.exception)
    return done.exit_code, done.output


@pytest.mark.long
@pytest.mark.drawn
@pytest.mark.parametrize("how", sampled(BROKEN_MANIFESTS))
def test_every_command_says_what_is_broken_and_a_full_build_always_works(folder: Path, how: str) -> None:
    file = folder / "tables" / "manifest.json"
    broken = BROKEN_MANIFESTS[how](file.read_bytes())
    (folder / "tables" / "notes.txt").write_text("mine")
    for name in COMMANDS:
        file.write_bytes(broken)
        status, output = run_command(name, folder)
        if name != "build" or status:
            assert status in ({1} if name == "check" else {2, 3}), (name, output)
            assert "manifest.json" in output, (name, output)
            assert "--full" in output, (name, output)
    assert len(list(Archive(folder / "orders.sqlite").newest())) == len(IDS)  # nothing was erased
    file.write_bytes(broken)
    assert run_command("full", folder)[0] == 0
    assert check(folder / "tables").flaws.is_empty()
    assert Dataset.open(folder / "tables").orders.height == len(IDS)
    assert (folder / "tables" / "notes.txt").read_text() == "mine"


@pytest.mark.long
@pytest.mark.parametrize("form", ["folder", "workers", "delta"])
def test_a_full_build_works_however_broken_the_files_are(folder: Path, form: str) -> None:
    archive, tables = folder / "orders.sqlite", folder / "other"
    options: dict[str, Any] = {"form": "delta"} if form == "delta" else {}
    if form == "workers":
        from concurrent.futures import ThreadPoolExecutor

        options["executor"] = ThreadPoolExecutor(1)
    build(archive, tables, **options)
    for number, file in enumerate(sorted(tables.rglob("*"))):
        if file.is_file() and "_delta_log" not in file.parts:
            content = file.read_bytes()
            file.write_bytes((content[: len(content) // 2], b"", bytes(len(content)))[number % 3])
    with pytest.raises(DatasetError, match="--full"):
        build(archive, tables, **options)
    assert build(archive, tables, full=True, **options).orders.height == len(IDS)
    assert check(tables).flaws.is_empty()
    if form == "delta":
        (tables / "manifest.json").write_text("broken")
        with pytest.raises(ConfigError, match="holds Delta tables"):
            build(archive, tables, full=True)


def test_a_full_build_takes_no_folder_of_somebody_else(folder: Path) -> None:
    mine = folder / "mine"
    mine.mkdir()
    contents = {"manifest.json": '{"nodes": ', "orders.parquet": "mine", "notes.parquet": "mine"}
    for name, text in contents.items():
        (mine / name).write_text(text)
    with pytest.raises(ConfigError, match="holds no dataset"):
        build(folder / "orders.sqlite", mine, full=True)
    assert {file.name: file.read_text() for file in mine.iterdir()} == contents
    exported = folder / "exported"
    Dataset.open(folder / "tables").export("parquet", exported)
    (exported / "manifest.json").unlink(missing_ok=True)
    with pytest.raises(ConfigError, match="holds tables that were exported"):
        build(folder / "orders.sqlite", exported, full=True)


def test_tables_whose_manifest_is_gone_can_be_built_again(folder: Path) -> None:
    (folder / "tables" / "manifest.json").unlink()
    assert sorted(path.stem for path in (folder / "tables").glob("*.parquet")) == sorted((*TABLES, *REPORT_TABLES))
    status, output = run_command("check", folder)
    assert (status, "manifest.json is missing" in output) == (1, True)
    assert "manifest.json is missing" in run_command("build", folder)[1]
    assert run_command("full", folder)[0] == 0
    assert check(folder / "tables").flaws.is_empty()
