"""Reads the cases in `tests/flattening/cases` and draws tables as text; `cases/README.md` describes the format."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from quivo_frames.builder import order_files
from quivo_frames.model.tables import TABLES, Table
from tests.support.paths import ROOT

CASES = ROOT / "tests" / "flattening" / "cases"
EXPECTED_FILE = "expected.md"
INPUT_FILES = ("order.json", "orders.ndjson", "orders.json")
RECIPE_SUFFIX = ".recipe"
REPORTS = {
    "failures": ("order_id", "rule", "table", "column", "path"),
    "notes": ("kind", "path", "count"),
}
TIMES_COLUMN = "×"
"""The column that says how often a row is repeated."""

_BYTES = re.compile(rb"<([0-9A-F]{2}(?: [0-9A-F]{2})*)>")
_REPEATED = re.compile(rb"(\d+) x (.*)", re.DOTALL)
_KNOWN_BUG = "> Known bug: "

Row = tuple[str, ...]


class MalformedCase(Exception):
    """A case that does not follow the format."""


class DrawnTable(NamedTuple):
    """A table as text: the columns that are shown, and their cells."""

    columns: tuple[str, ...]
    rows: list[Row]


class Case(NamedTuple):
    """An input and the expected tables, failures and notes."""

    name: str
    title: str
    known_bug: str | None
    """Why the expectation is not met yet."""
    input_name: str
    """The name of the input file, which says how it is read."""
    content: bytes
    expected: dict[str, DrawnTable]

    def split_orders(self, path: Path) -> list[bytes]:
        """The orders of the input; `path` has it as a file."""
        if self.input_name == "order.json":
            return [self.content]
        if self.input_name == "orders.ndjson":
            return [line for line in self.content.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
        return [raw.body for raw in order_files.read_orders(path)]


def find_cases(root: Path = CASES) -> Iterator[Path]:
    """The folders of all cases.

    Raises:
        MalformedCase: a group without cases, or a file outside of a case.
    """
    for group in sorted(path for path in root.iterdir() if path.name not in ("README.md", ".gitattributes")):
        if not group.is_dir():
            raise MalformedCase(f"{group} is no group of cases, and nobody reads it")
        folders = sorted(group.iterdir())
        if not folders:
            raise MalformedCase(f"the group {group} has no cases")
        for folder in folders:
            if not folder.is_dir():
                raise MalformedCase(f"{folder} belongs to no case")
            yield folder


def read_case(folder: Path) -> Case:
    """The case in a folder.

    Raises:
        MalformedCase: a missing or superfluous file, or an expectation without tables.
    """
    name = f"{folder.parent.name}/{folder.name}"
    names = {path.name for path in folder.iterdir()}
    inputs = sorted(names & {form for one in INPUT_FILES for form in (one, one + RECIPE_SUFFIX)})
    if EXPECTED_FILE not in names or len(inputs) != 1:
        raise MalformedCase(f"{name} is half a case: it needs {EXPECTED_FILE} and one of {', '.join(INPUT_FILES)}")
    if len(names) > 2:
        raise MalformedCase(
            f"{name} has files that nobody reads: {', '.join(sorted(names - {EXPECTED_FILE, *inputs}))}"
        )
    content = (folder / inputs[0]).read_bytes()
    content = expand_recipe(content) if inputs[0].endswith(RECIPE_SUFFIX) else content
    says, bug, expected = parse_expected((folder / EXPECTED_FILE).read_text(encoding="utf-8"), name)
    return Case(name, says, bug, inputs[0].removesuffix(RECIPE_SUFFIX), content, expected)


def expand_recipe(recipe: bytes) -> bytes:
    """The bytes of a recipe: its lines without line ends, `N x text` repeated N times, `<FF>` as a byte."""
    return b"".join(_expand_line(line) for line in recipe.removesuffix(b"\n").split(b"\n"))


def _expand_line(line: bytes) -> bytes:
    found = _REPEATED.fullmatch(line)
    times, text = (int(found[1]), found[2]) if found else (1, line)
    text = _BYTES.sub(lambda byte: bytes.fromhex(byte[1].decode()), text)
    if b"<n>" in text:
        return b"".join(text.replace(b"<n>", b"%d" % number) for number in range(1, times + 1))
    return text * times


def parse_expected(text: str, name: str) -> tuple[str, str | None, dict[str, DrawnTable]]:
    """Title, known bug and tables of an expectation."""
    head, *parts = re.split(r"^## ", text, flags=re.MULTILINE)
    title, *rest = [line for line in head.splitlines() if line]
    if not title.startswith("# ") or not all(line.startswith(_KNOWN_BUG) for line in rest) or len(rest) > 1:
        raise MalformedCase(
            f"{name}: the expectation begins with one line, '# What it shows', and at most one known bug"
        )
    expected = {}
    for part in parts:
        table, *lines = [line for line in part.splitlines() if line]
        if table not in {*TABLES, *REPORTS}:
            raise MalformedCase(f"{name}: there is no table {table}")
        if len(lines) < 3 or not all(line.startswith("| ") and line.endswith(" |") for line in (lines[0], *lines[2:])):
            raise MalformedCase(f"{name}: {table} shows no rows")
        columns, _, *rows = [tuple(cell.strip() for cell in line[1:-1].split(" | ")) for line in lines]
        expected[table] = DrawnTable(columns, list(_expand_rows(columns, rows, f"{name}: {table}")))
        _check_columns(expected[table], table, name)
    if not expected:
        raise MalformedCase(f"{name}: the expectation shows no table, no failure and no note")
    return title[2:], rest[0].removeprefix(_KNOWN_BUG) if rest else None, expected


def _check_columns(drawing: DrawnTable, table: str, name: str) -> None:
    shown = [column for column in drawing.columns if column != TIMES_COLUMN]
    known = REPORTS[table] if table in REPORTS else tuple(TABLES[table].schema)
    more = {"message"} if table == "failures" else set()
    strange = set(shown) - set(known) - more | ({*known} - {*shown} if table in REPORTS else set())
    if strange or len(set(shown)) < len(shown):
        raise MalformedCase(f"{name}: {table} has other columns than {', '.join(sorted(strange)) or 'each once'}")


def _expand_rows(columns: Row, rows: list[Row], where: str) -> Iterator[Row]:
    for row in rows:
        if len(row) != len(columns):
            raise MalformedCase(f"{where} has a row of {len(row)} cells under {len(columns)} columns")
        cells = tuple(_expand_cell(cell) for cell, column in zip(row, columns, strict=True) if column != TIMES_COLUMN)
        yield from [cells] * (int(row[columns.index(TIMES_COLUMN)]) if TIMES_COLUMN in columns else 1)


def _expand_cell(cell: str) -> str:
    """A cell in full: `3 x ab + c` is abababc."""
    parts = cell.split(" + ")
    if not any(_REPEATED.fullmatch(part.encode()) for part in parts):
        return cell
    return "".join(_expand_line(part.encode()).decode() for part in parts)


def draw_table(table: str, frame: pl.DataFrame, shown: tuple[str, ...] = ()) -> DrawnTable:
    """A table as text: the columns that have values, and those keys and places that are in `shown`."""
    derived = () if table in REPORTS else _derived_columns(TABLES[table])
    all_columns = REPORTS.get(table, tuple(frame.columns))
    if table == "failures" and "message" in shown:
        all_columns += ("message",)
        frame = frame.with_columns(pl.col("message").str.replace(r" \([^()]*, (item|line|element|whole)[^()]*\)", ""))
    columns = tuple(
        name for name in all_columns
        if name in shown or table in REPORTS or (name not in derived and frame[name].null_count() < frame.height)
    ) or (TABLES[table].key,)  # fmt: skip
    rows = [tuple(map(_cell_text, row)) for row in frame.select(columns).iter_rows()]
    return DrawnTable(columns, rows)


def _derived_columns(table: Table) -> set[str]:
    """The keys and places that flattening adds; they follow from the rows."""
    own = {"key", "value", "value_type"} if table.name == "custom_attributes" else set()
    values = {table.columns[-1].name} if table.record is None else set()
    return {column.name for column in table.columns if not column.path} - own - values | {"order_id"}


def _cell_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat() + "Z"
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str):
        return str(value)
    plain = value.isprintable() and value.strip() == value and value[:1] not in ('"', "") and " | " not in value
    return value if plain and not re.match(r"\d+ x |.* \+ \d+ x ", value[:200]) else json.dumps(value)


def write_drawn_tables(tables: Mapping[str, DrawnTable]) -> str:
    """Tables as they are written in `expected.md`; long ones are cut off."""
    lines = []
    for table, (columns, rows) in tables.items():
        groups = [(row, len(list(same))) for row, same in groupby(rows)]
        times = any(count > 3 for _, count in groups)
        groups = groups if times else [(row, 1) for row in rows]
        shown = [((str(count), *row) if times else row) for row, count in groups]
        heads = (TIMES_COLUMN, *columns) if times else columns
        lines += [f"## {table}", "| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
        lines += ["| " + " | ".join(_shorten(cell) for cell in row) + " |" for row in shown[:50]]
        lines += [f"... and {len(shown) - 50} more", ""] if len(shown) > 50 else [""]
    return "\n".join(lines)


def _shorten(cell: str) -> str:
    return cell if len(cell) < 300 else f"{cell[:100]} ... ({len(cell)} characters)"
