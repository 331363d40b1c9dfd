"""The cases in `cases/`: each order is flattened alone, among others, and through a build."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quivo_frames.builder.build import build
from quivo_frames.flattening.flatten import flatten
from quivo_frames.model.tables import TABLES
from tests.support.case_files import (
    CASES,
    REPORTS,
    DrawnTable,
    MalformedCase,
    draw_table,
    expand_recipe,
    find_cases,
    read_case,
    write_drawn_tables,
)
from tests.support.depth import sampled
from tests.support.hostile_attributes import hostile_order_json

GOOD_ORDERS = range(5_000_000, 5_000_030)
"""Orders that are in no case: half of them come before those of the case, half after."""
LARGE_ORDER_BYTES = 20_000_000
"""Inputs of more bytes are not flattened among other orders."""


@functools.cache
def good_orders() -> tuple[list[bytes], Mapping[str, pl.DataFrame]]:
    orders = [hostile_order_json(number, 3) for number in GOOD_ORDERS]
    frames = flatten(orders)
    assert frames.orders.height == len(GOOD_ORDERS)
    assert frames.notes.is_empty()
    return orders, dict(frames)


def draw_all_tables(
    frames: Any, expected: Mapping[str, DrawnTable], without: range = range(0)
) -> dict[str, DrawnTable]:
    """All rows as text, with the columns of the expectation; keys and places only where it shows them."""
    found = {}
    for name in (*TABLES, *REPORTS):
        frame = getattr(frames, name)
        if name in TABLES and without:
            frame = frame.filter(~pl.col("order_id").is_between(without[0], without[-1]))
        if frame.height:
            found[name] = draw_table(name, frame, expected[name].columns if name in expected else ())
    return found


def make_comparable(tables: Mapping[str, DrawnTable]) -> dict[str, Any]:
    """Tables in a form for comparison: columns sorted; rows as they are, but failures and notes sorted."""
    comparable = {}
    for name, (columns, rows) in tables.items():
        order = sorted((column, at) for at, column in enumerate(c for c in columns if c != "×"))
        sorted_rows = [tuple(row[at] for _, at in order) for row in rows]
        comparable[name] = ([column for column, _ in order], sorted(sorted_rows) if name in REPORTS else sorted_rows)
    return comparable


def list_differences(way: str, found: Mapping[str, DrawnTable], expected: Mapping[str, DrawnTable]) -> list[str]:
    one, other = make_comparable(found), make_comparable(expected)
    names = [name for name in (*TABLES, *REPORTS) if one.get(name) != other.get(name)]
    shown = {name: found[name] for name in names if name in found}
    return (
        [f"{way}, otherwise in {', '.join(names)}. This came:\n\n{write_drawn_tables(shown) or 'nothing'}"]
        if names
        else []
    )


def run_case(case: Any, folder: Path, *, with_build: bool = True) -> list[str]:
    """What differs from the expectation, by the way that the orders took."""
    file = folder / case.input_name
    file.write_bytes(case.content)
    orders = case.split_orders(file)
    alone = flatten(orders)
    found = list_differences("alone", draw_all_tables(alone, case.expected), case.expected)
    repeated = alone.notes.filter(pl.col("kind") == "repeated_order")["count"].sum()
    if alone.orders.height + alone.failures.height + repeated != len(orders):
        found.append(f"{len(orders)} orders in, {alone.orders.height} out and {alone.failures.height} failures")

    if len(case.content) < LARGE_ORDER_BYTES:
        others, tables = good_orders()
        mixed = flatten([*others[:15], *orders, *others[15:]])
        found += list_differences(
            "among good orders", draw_all_tables(mixed, case.expected, GOOD_ORDERS), case.expected
        )
        theirs = {
            name: mixed[name].filter(pl.col("order_id").is_between(GOOD_ORDERS[0], GOOD_ORDERS[-1])) for name in TABLES
        }
        found += [f"it changed {name} of other orders" for name in TABLES if not theirs[name].equals(tables[name])]

    if not with_build:
        return found
    built = build(file, folder / "tables", progress=False)
    found += list_differences("through a build", draw_all_tables(built, case.expected), case.expected)
    if built.manifest["orders"]["in"] + built.manifest["orders"]["superseded"] != len(orders):
        found.append(f"{len(orders)} orders, but the manifest says {built.manifest['orders']}")
    return found


LARGE_CASES = ("an_order_of_100_megabytes", "100000_positions", "a_text_of_ten_megabytes")


def case_parameters() -> list[Any]:
    def marks_of(case: Any) -> list[pytest.MarkDecorator]:
        known_bug = [pytest.mark.xfail(strict=True, reason=case.known_bug)] if case.known_bug else []
        return known_bug + ([pytest.mark.long] if case.name.endswith(LARGE_CASES) else [])

    cases = [read_case(folder) for folder in find_cases()]
    return [pytest.param(case, id=case.name, marks=marks_of(case)) for case in cases]


CASE_PARAMETERS = case_parameters()
BUILT_CASES = {str(parameter.id) for parameter in sampled(CASE_PARAMETERS)}


@pytest.mark.drawn
@pytest.mark.parametrize("case", CASE_PARAMETERS)
def test_a_case_comes_out_as_expected(case: Any, tmp_path: Path) -> None:
    found = run_case(case, tmp_path, with_build=case.name in BUILT_CASES)
    assert not found, f"{case.title}\n\n" + "\n".join(found)


# The runner itself

EXPECTED = "# It shows.\n\n## orders\n| order_id | currency |\n|---|---|\n| 1 | EUR |\n"


def write_case_folder(root: Path, **files: str) -> Path:
    made = root / "group" / "case"
    made.mkdir(parents=True)
    for name, content in files.items():
        (made / name.replace("__", ".")).write_text(content, encoding="utf-8")
    return made


@pytest.mark.long
def test_a_case_is_held_to_its_expectation(tmp_path: Path) -> None:
    for number, (order, wrong) in enumerate(
        {
            '{"orderId":1,"currency":"EUR"}': "",
            '{"orderId":1,"currency":"USD"}': "orders",
            '{"orderId":1}': "orders",
            '{"orderId":1,"currency":"EUR","sellerName":"a"}': "orders",
            '{"orderId":1,"currency":"EUR","tags":["a"]}': "order_tags",
            '{"orderId":1,"currency":"EUR","new":1}': "notes",
            '{"orderId":1,"currency":5}': "orders, failures",
        }.items()
    ):
        case = read_case(write_case_folder(tmp_path / str(number), order__json=order, expected__md=EXPECTED))
        found = run_case(case, tmp_path / str(number))
        assert [line.split(". This")[0] for line in found] == [
            f"{way}, otherwise in {wrong}" for way in ("alone", "among good orders", "through a build") if wrong
        ]


@pytest.mark.parametrize(
    ("files", "mistake"),
    [
        ({"order__json": "{}"}, "half a case"),
        ({"expected__md": EXPECTED}, "half a case"),
        ({"expected__md": EXPECTED, "order__json": "{}", "orders__ndjson": "{}"}, "half a case"),
        ({"expected__md": EXPECTED, "order__json": "{}", "more__json": "{}"}, "nobody reads: more.json"),
        ({"expected__md": "# It shows.\n", "order__json": "{}"}, "shows no table"),
        ({"expected__md": EXPECTED.replace("# It", "It", 1), "order__json": "{}"}, "begins with one line"),
        ({"expected__md": EXPECTED.replace("## orders", "## parcels"), "order__json": "{}"}, "no table parcels"),
        ({"expected__md": EXPECTED.replace("currency", "price"), "order__json": "{}"}, "other columns than price"),
        ({"expected__md": EXPECTED.replace("| 1 | EUR |\n", ""), "order__json": "{}"}, "shows no rows"),
        ({"expected__md": EXPECTED.replace("| 1 | EUR |", "| 1 |"), "order__json": "{}"}, "1 cells under 2 columns"),
        ({"expected__md": "# It\n## notes\n| kind |\n|---|\n| x |\n", "order__json": "{}"}, "count, path"),
    ],
)
def test_a_mistake_in_a_case_is_told(tmp_path: Path, files: dict[str, str], mistake: str) -> None:
    with pytest.raises(MalformedCase, match=mistake):
        read_case(write_case_folder(tmp_path, **files))


def test_a_group_without_cases_and_a_file_of_no_case_are_told(tmp_path: Path) -> None:
    (tmp_path / "group").mkdir()
    with pytest.raises(MalformedCase, match="has no cases"):
        list(find_cases(tmp_path))
    (tmp_path / "group" / "stray.json").write_text("{}")
    with pytest.raises(MalformedCase, match="belongs to no case"):
        list(find_cases(tmp_path))
    (tmp_path / "stray.json").write_text("{}")
    (tmp_path / "group" / "stray.json").unlink()
    (tmp_path / "group" / "case").mkdir()
    with pytest.raises(MalformedCase, match="is no group"):
        list(find_cases(tmp_path))


def test_a_recipe_is_its_lines_in_a_row() -> None:
    assert expand_recipe(b'{"a":"\n3 x ab\n<FF><0D 0A>\n"}\n') == b'{"a":"ababab\xff\r\n"}'
    assert expand_recipe(b"2 x {<n>},\n<doctype>") == b"{1},{2},<doctype>"


def test_all_cases_are_small() -> None:
    assert max(path.stat().st_size for path in CASES.rglob("*") if path.is_file()) < 20_000
