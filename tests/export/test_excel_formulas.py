"""The workbook in LibreOffice: formulas without errors, which come to the key figures, also where rows are filtered.

What stands in the file as the value of a formula is replaced first, so that what is read was computed.
"""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import polars as pl
import pytest

import quivo_frames as qf
from quivo_frames.analysis.kpi.fact_tables import pivot_tables
from quivo_frames.analysis.workbook import export_with_answers
from quivo_frames.standin.orders import FIRST_ID, order_json

CSV_FILTER = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,false,false,false,false,-1"
"""Every sheet as a file, with values instead of how they look."""
ALWAYS_COMPUTE = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">
<item oor:path="/org.openoffice.Office.Calc/Formula/Load"><prop oor:name="OOXMLRecalcMode" oor:op="fuse">
<value>0</value></prop></item></oor:items>
"""
ERROR = re.compile(r"#(REF!|NAME\?|VALUE!|DIV/0!|N/A|NUM!)|Err:\d+")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> qf.Dataset:
    folder = tmp_path_factory.mktemp("tables")
    (folder / "orders.ndjson").write_bytes(b"\n".join(order_json(FIRST_ID + number) for number in range(60)))
    return qf.build(folder / "orders.ndjson", folder / "tables", jobs=1)


@pytest.fixture(scope="module")
def workbook(tables: qf.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("excel") / "out.xlsx"
    export_with_answers(tables, "excel", out)
    return out


def compute(workbook: Path, folder: Path, hidden: dict[str, list[int]]) -> dict[str, list[list[str]]]:
    """The sheets as LibreOffice computes them, with some rows hidden."""
    if shutil.which("soffice") is None:
        pytest.skip("LibreOffice is not installed: apt-get install libreoffice-calc")
    with zipfile.ZipFile(workbook) as given, zipfile.ZipFile(folder / "changed.xlsx", "w") as changed:
        names = re.findall(r'<sheet name="(\w+)"', given.read("xl/workbook.xml").decode())
        for name in given.namelist():
            data = given.read(name)
            if match := re.fullmatch(r"xl/worksheets/sheet(\d+)\.xml", name):
                data = re.sub(rb"(</f><v>)[^<]*(</v>)", rb"\g<1>-77\g<2>", data)
                for row in hidden.get(names[int(match[1]) - 1], []):
                    data = data.replace(b'<row r="%d">' % row, b'<row r="%d" hidden="1">' % row)
            changed.writestr(name, data)
    profile = folder / "profile"
    (profile / "user").mkdir(parents=True)
    (profile / "user" / "registrymodifications.xcu").write_text(ALWAYS_COMPUTE)
    command = ["soffice", "--headless", f"-env:UserInstallation={profile.as_uri()}", "--convert-to", CSV_FILTER]
    subprocess.run(
        [*command, "--outdir", folder, folder / "changed.xlsx"], check=True, capture_output=True, timeout=240
    )
    found = {}
    for file in folder.glob("changed-*.csv"):
        with file.open(encoding="utf-8", newline="") as stream:
            found[file.stem.removeprefix("changed-")] = list(csv.reader(stream))
    return found


def figures_of(sheets: dict[str, list[list[str]]]) -> dict[str, float]:
    rows = sheets["kpi_formulas"][4:]
    return {
        name: float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
        for _, name, value, *_ in rows
        if value  # else unknown
    }


@pytest.mark.long
def test_libreoffice_computes_the_key_figures_without_an_error(
    tables: qf.Dataset, workbook: Path, tmp_path: Path
) -> None:
    sheets = compute(workbook, tmp_path, {})
    assert len(sheets) == 28 + len({"about", "columns", "kpi_formulas"})
    for name, rows in sheets.items():
        assert not [cell for row in rows for cell in row if ERROR.fullmatch(cell)], name
    figures, found = figures_of(sheets), qf.kpis(tables)
    assert len(figures) > 90
    assert figures["Orders"] == found["volume"]["orders"].item() == 60
    assert figures["Perfect order rate"] == pytest.approx(found["perfect_order"]["rate"].item())
    assert figures["Line fill rate"] == pytest.approx(found["fill_rate"]["line_rate"].item())
    assert figures["Shipped complete rate"] == pytest.approx(found["ship_complete"]["rate"].item())
    stages = found["cycle_time"].rows_by_key("stage", named=True, unique=True)
    for name in ("mean", "p50", "p90", "max"):
        assert figures[f"Order to delivery days ({name})"] == pytest.approx(stages["order to delivery"][name], abs=1e-5)
    assert figures["Split rate"] == pytest.approx(found["split_shipments"]["rate"].item())
    window = found["delivery_window"]["rate"].item()
    assert figures.get("Window rate") == (None if window is None else pytest.approx(window))
    header, first, *_ = sheets["kpi_orders"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", first[header.index("placed_day")])
    assert figures == pytest.approx(written_figures(workbook)), "values for readers that compute nothing"


def written_figures(workbook: Path) -> dict[str, float]:
    with zipfile.ZipFile(workbook) as archive:
        names = re.findall(r'<sheet name="(\w+)"', archive.read("xl/workbook.xml").decode())
        sheet = archive.read(f"xl/worksheets/sheet{names.index('kpi_formulas') + 1}.xml").decode()
        texts = re.findall(r"<si><t[^>]*>([^<]*)</t></si>", archive.read("xl/sharedStrings.xml").decode())
    labels = re.findall(r'<c r="B(\d+)"[^>]* t="s"><v>(\d+)</v>', sheet)
    values = dict(re.findall(r'<c r="C(\d+)"[^>]*><f>[^<]*</f><v>([^<]*)</v>', sheet))
    return {texts[int(text)]: float(values[row]) for row, text in labels if values.get(row)}


@pytest.mark.long
def test_figures_follow_the_filter_of_the_sheets(tables: qf.Dataset, workbook: Path, tmp_path: Path) -> None:
    by_seller = qf.kpis(tables, by="seller")
    seller = by_seller["volume"].sort("orders")["seller"][-1]
    orders, shipments, _ = pivot_tables(tables)
    hidden = {
        sheet.table.name: [
            row for row, name in enumerate(sheet.rows["seller"], 2) if name != seller
        ]
        for sheet in (orders, shipments)
    }  # fmt: skip
    figures = figures_of(compute(workbook, tmp_path, hidden))
    these = {name: by_seller[name].filter(pl.col("seller") == seller) for name in by_seller}
    assert 0 < figures["Orders"] == these["volume"]["orders"].item() < 60
    assert figures["Shipments"] == these["volume"]["shipments"].item()
    assert figures["Ordered pieces"] == these["volume"]["pieces"].item()
    assert figures["Line fill rate"] == pytest.approx(these["fill_rate"]["line_rate"].item())
    stages = these["cycle_time"].rows_by_key("stage", named=True, unique=True)
    assert figures["Order to ship days (p90)"] == pytest.approx(stages["order to ship"]["p90"], abs=1e-5)


def test_pivot_sheets_have_month_and_week_in_each_row(tables: qf.Dataset) -> None:
    for sheet in pivot_tables(tables):
        assert sheet.rows.columns == [column.name for column in sheet.table.columns]
        assert all(column.sentence for column in sheet.table.columns)
        dated = sheet.rows.drop_nulls("placed_day")
        assert dated.height > 50
        for day, month, week in dated.select("placed_day", "month", "week").unique().iter_rows():
            year, number, _ = day.isocalendar()
            assert (month, week) == (f"{day:%Y-%m}", f"{year}-W{number:02}")
    orders, _, lines = pivot_tables(tables)
    assert {"seller", "warehouse", "carrier", "country", "month", "week", "value"} <= set(orders.rows.columns)
    assert lines.rows["ordered"].sum() == qf.lines(tables)["ordered"].sum()
