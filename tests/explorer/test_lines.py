"""Shortages by SKU are sums of the lines with open pieces, and each leads to its orders."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.standin.orders import write_ndjson
from tests.explorer.test_orders import Reader, count_on, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

ROW = re.compile(
    r'<th scope="row">(?:<a href="([^"]*)">([^<]*)</a>|without an SKU)</th>\s*<td>([^<]*)</td>\s*'
    r'<td class="number">([\d,]+)</td>\s*<td class="number">([\d,]+)</td>\s*<td class="number">(.*?)</td>',
    re.DOTALL,
)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> qf.Dataset:
    folder = tmp_path_factory.mktemp("lines")
    write_ndjson(folder / "orders.ndjson", 300)
    return qf.build(folder / "orders.ndjson", folder / "tables", jobs=1, progress=False)


@pytest.fixture(scope="module")
def reader(tables: qf.Dataset) -> Iterator[Reader]:
    with qf.explore(tables) as explorer:
        yield Reader(explorer).wait()


def rows_of(reader: Reader, **parameters: str) -> list[tuple[str, ...]]:
    """The rows on all pages."""
    rows, number = [], 1
    while True:
        page = reader.text("/lines", page=str(number), **parameters)
        rows += [tuple(html.unescape(cell) for cell in row) for row in ROW.findall(page)]
        assert page.count('<th scope="row">') == len(ROW.findall(page))
        if 'rel="next"' not in page:
            return rows
        number += 1


def test_sums_are_those_of_the_lines(tables: qf.Dataset, reader: Reader) -> None:
    short = qf.lines(tables).filter(pl.col("open") > 0)
    warehouse, seller = short["warehouse"].mode()[0], short["seller"].mode()[0]
    for parameters in ({}, {"warehouse": warehouse}, {"seller": seller, "warehouse": warehouse}, {"seller": "nobody"}):
        these = short.filter(*(pl.col(name) == value for name, value in parameters.items()))
        summed = these.group_by("sku").agg(pl.col("open").sum(), orders=pl.col("order_id").n_unique())
        expected = summed.sort(["open", "sku"], descending=[True, False], nulls_last=True).rows()
        rows = rows_of(reader, **parameters)
        assert [(row[1] or None, int(row[3].replace(",", "")), int(row[4])) for row in rows] == expected
        values = these.group_by("sku", "currency").agg(pl.col("open_value").sum()).rows()
        amounts = {row[1] or None: row[5] for row in rows}
        for sku, currency, value in values:
            assert value == 0 or f"{value:,.2f} {currency}" in amounts[sku]


def test_each_sku_leads_to_exactly_its_orders(tables: qf.Dataset, reader: Reader) -> None:
    short = qf.lines(tables).filter(pl.col("open") > 0)
    warehouse = short["warehouse"].mode()[0]
    for parameters in ({}, {"warehouse": warehouse}):
        for address, sku, _, _, orders, _ in rows_of(reader, **parameters)[:12]:
            page = reader.text(address)
            assert count_on(page) == int(orders)
            these = short.filter(pl.col("sku") == sku, *(pl.col(name) == value for name, value in parameters.items()))
            assert listed(reader, {"short": sku, **parameters}) == set(these["order_id"])


@pytest.mark.parametrize(("sort", "place"), [("sku", 1), ("open", 3), ("orders", 4)])
def test_lists_are_sorted_either_way(reader: Reader, sort: str, place: int) -> None:
    for direction in ("asc", "desc"):
        cells = [row[place] for row in rows_of(reader, sort=sort, dir=direction)]
        values = [cell if sort == "sku" else int(cell.replace(",", "")) for cell in cells]
        known = [value for value in values if value != ""]
        assert known == sorted(known, reverse=direction == "desc")  # type: ignore[type-var]
        assert values[: len(known)] == known
        page = reader.text("/lines", sort=sort, dir=direction)
        assert page.count(f'aria-sort="{direction}ending"') == 1


def test_values_are_sorted_in_one_currency_that_is_named(reader: Reader) -> None:
    page = reader.text("/lines", sort="value")
    named = re.search(r"Sorted by the value in (\w{3})", page)
    assert named
    cells = [row[5] for row in rows_of(reader, sort="value")]
    found = [re.search(rf"([\d,.]+) {named[1]}", cell) for cell in cells]
    amounts = [float(match[1].replace(",", "")) for match in found if match]
    assert amounts == sorted(amounts, reverse=True)
    assert [bool(match) for match in found] == sorted((bool(match) for match in found), reverse=True)


def test_filters_keep_the_sort_and_sorts_keep_the_filter(reader: Reader) -> None:
    page = reader.text("/lines", seller="nobody & co", sort="orders", dir="asc")
    assert '<input type="hidden" name="sort" value="orders">' in page
    assert "No SKU is short" in page
    some = re.findall(r'<option value="([^"]+)"', reader.text("/lines"))[0]
    page = reader.text("/lines", seller=html.unescape(some))
    assert all("seller=" in link for link in re.findall(r'<a class="sort" href="([^"]*)"', page))
