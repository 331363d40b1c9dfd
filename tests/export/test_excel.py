"""Excel: a sheet a table, nothing changed silently, no text a formula; read back by openpyxl and pandas."""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings
from xlsxwriter.utility import xl_col_to_name

import quivo_frames as qf
from quivo_frames.cli import main
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.errors import ConfigError, ExportError
from quivo_frames.export import excel, excel_sheets
from quivo_frames.export.excel_cells import MAX_CELL_UNITS
from quivo_frames.export.formats import ExportFormat, ExportJob
from quivo_frames.model.derived import DERIVED_TABLES
from quivo_frames.model.order import Kind
from quivo_frames.model.tables import TABLES
from tests.support.depth import examples
from tests.support.drawn_orders import several_orders
from tests.support.hostile_values import TEXTS
from tests.support.reader_environment import run_in_reader_environment
from tests.support.round_trips import BUILT, all_tables, export_job, export_orders

if TYPE_CHECKING:
    from collections.abc import Mapping

OPENPYXL = """
import datetime, json, sys, openpyxl
def cell_facts(cell):
    value = cell.value
    kind = type(value).__name__
    if isinstance(value, (datetime.datetime, datetime.date)):
        value = value.isoformat()
    return [kind, value, cell.data_type]
book = openpyxl.load_workbook(sys.argv[1], read_only=len(sys.argv) < 3)
print(json.dumps({sheet.title: [[cell_facts(cell) for cell in row] for row in sheet.iter_rows()] for sheet in book}))
"""
NS = {"x": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}


@pytest.fixture(scope="module")
def file(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("export") / "orders.xlsx"
    dataset.export("excel", file)
    return file


def with_tags(*tags: str) -> bytes:
    return json.dumps({"orderId": 1, "tags": tags}).encode()


def significant_digits(text: str) -> int:
    return len(re.sub(r"[eE].*|[-.]", "", text).strip("0"))


def escape_as_excel(text: str) -> str:
    """A text as the file holds it (ECMA-376, ST_Xstring); Excel shows it as it was, openpyxl as it is held."""
    text = re.sub(r"(_x[0-9a-fA-F]{4}_)", r"_x005F\1", text)
    return re.sub("[\\x00-\\x08\\x0b-\\x1f\ufffe\uffff]", lambda found: f"_x{ord(found[0]):04X}_", text)


def expected_cell(kind: Kind, name: str, value: Any) -> tuple[str, Any]:
    """What openpyxl should find, by the promises of the room."""
    number = None
    match kind:
        case _ if value is None:
            return "NoneType", None
        case Kind.FLAG:
            return "bool", value
        case Kind.TEXT | Kind.JSON:
            return "str", escape_as_excel(value)
        case Kind.INT64 if name.endswith("_id"):
            return ("number", value) if len(str(abs(value))) <= 15 else ("str", str(value))
        case Kind.INSTANT:
            plain = value.astimezone(UTC).replace(tzinfo=None)
            if value.date() >= date(1900, 3, 1):
                return "datetime", plain.replace(microsecond=plain.microsecond // 1000 * 1000).isoformat()
            fraction = f".{plain.microsecond:06d}".removesuffix("000") if plain.microsecond else ""
            return "str", f"{plain.replace(microsecond=0).isoformat()}{fraction}Z"
        case Kind.DAY:
            return ("datetime", f"{value}T00:00:00") if value >= date(1900, 3, 1) else ("str", str(value))
        case Kind.MONEY:
            number, text = value, f"{value:f}"
        case Kind.MEASURE:
            number, text = value, repr(value)
        case _:
            number, text = value, str(value)
    size = abs(float(number))
    if significant_digits(text) <= 15 and (size == 0 or 2.2251e-308 <= size <= 9.99999999999999e307):
        return "number", number
    return "str", float(text) if kind is Kind.MEASURE else text


def is_expected_cell(found: list[Any], expected: tuple[str, Any], kind: Kind) -> bool:
    type_, value, data_type = found
    if data_type == "f":
        return False
    if expected[0] == "number":
        exact = Decimal(repr(value)) == Decimal(str(expected[1])) if type_ in ("int", "float") else False
        return exact or (isinstance(expected[1], float) and type_ in ("int", "float") and value == expected[1])
    if kind is Kind.MEASURE and type_ == "str":
        return expected == ("str", float(value))
    return (type_, value) == expected


def assert_cells_equal(tables: Mapping[str, pl.DataFrame], sheets: Mapping[str, list[list[Any]]]) -> None:
    for name, frame in tables.items():
        table = BUILT[name]
        header, *rows = sheets[name]
        assert [value for _, value, _ in header] == [column.name for column in table.columns]
        assert len(rows) == frame.height
        for row, values in zip(rows, frame.rows(), strict=True):
            padded = row + [["NoneType", None, "n"]] * (len(values) - len(row))
            for cell, column, value in zip(padded, table.columns, values, strict=True):
                expected = expected_cell(column.kind, column.name, value)
                assert is_expected_cell(cell, expected, column.kind), (name, column.name, cell, expected)


@pytest.mark.long
def test_openpyxl_reads_every_cell_of_every_table(dataset: Dataset, file: Path) -> None:
    sheets = run_in_reader_environment(OPENPYXL, file)
    assert list(sheets) == ["about", "columns", *BUILT]
    assert_cells_equal(all_tables(dataset), sheets)


@pytest.mark.long
@pytest.mark.drawn
def test_openpyxl_reads_every_cell_of_drawn_orders(tmp_path_factory: pytest.TempPathFactory) -> None:
    @settings(
        max_examples=examples(6),
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.reuse, Phase.generate),
    )
    @given(several_orders())
    def law(bodies: list[str]) -> None:
        out = tmp_path_factory.mktemp("drawn") / "orders.xlsx"
        tables, _ = export_orders(bodies, ExportFormat.EXCEL, out)
        assert_cells_equal(tables, run_in_reader_environment(OPENPYXL, out))

    law()


@pytest.mark.long
def test_pandas_reads_ids_and_ssccs_as_text_when_asked_to(dataset: Dataset, file: Path) -> None:
    code = """
import json, sys, pandas as pd
frame = pd.read_excel(sys.argv[1], sheet_name="shipments", dtype=str, keep_default_na=False, na_values=[""])
print(frame[["shipment_key", "order_id", "shipment_id", "sscc"]].astype(object).where(frame.notna(), None).to_json(orient="values"))
"""
    expected = dataset.shipments.select("shipment_key", pl.col("order_id", "shipment_id").cast(pl.String), "sscc")
    # pandas alone: it takes an empty text for an empty cell
    assert run_in_reader_environment(code, file) == [[value or None for value in row] for row in expected.rows()]
    assert any(len(sscc or "") == 18 for sscc in expected["sscc"])


NUMBERS = [
    # unitWeight, unitNetPrice, quantity
    ("0.30000000000000004", "99999999999999.9999", "4611686018427387904"),
    ("5e-324", "1.1", "100000000000000000"),
    ("1e308", "0.0001", "999999999999999"),
    ("1.7976931348623157e308", "-12345678901.2345", "-999999999999999"),
    ("-0.0", "-1.5", "1234567890123456"),
    ("1e22", "0", "-9223372036854775808"),
    ("48.208174", "99999999999999.0000", "9007199254740993"),
    ("123456789012345.6", "12345678901234.5", "0"),
]


@pytest.mark.long
def test_numbers_that_excel_would_change_stand_as_text_and_are_counted(tmp_path: Path) -> None:
    lines = ",".join(f'{{"unitWeight":{w},"unitNetPrice":{m},"quantity":{q}}}' for w, m, q in NUMBERS)
    tables, result = export_orders(
        [f'{{"orderId":1,"positions":[{lines}]}}'], ExportFormat.EXCEL, tmp_path / "out.xlsx"
    )
    sheets = run_in_reader_environment(OPENPYXL, tmp_path / "out.xlsx")
    assert_cells_equal(tables, sheets)
    assert result.notices == [
        "Numbers of more than 15 digits, or beyond Excel's range, stand as text: 10 in 3 columns, listed in the sheet about."
    ]
    changes = {
        row[0][1]: row[2][1] for row in sheets["about"] if row[0][1] and "." in row[0][1] and len(row) > 2 and row[2][1]
    }
    assert changes == {
        "order_positions.quantity": 4, "order_positions.unit_net_price": 1, "order_positions.unit_weight": 5,
    }  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(
    ("time", "told"),
    [
        ("1900-03-01T00:00:00Z", None), ("1900-02-28T23:59:59Z", "before 1900-03-01"),
        ("1899-12-31T00:00:00Z", "before 1900-03-01"), ("0001-01-01T00:00:00Z", "before 1900-03-01"),
        ("9999-12-31T23:59:59.999Z", None), ("9999-12-31T23:59:59.9999Z", "rounded down"),
        ("2026-03-05T14:48:12.123Z", None), ("2026-03-05T14:48:12.123456Z", "rounded down"),
        ("2026-03-05T23:59:59.999999Z", "rounded down"), ("2026-03-05T01:00:00+02:00", None),
    ],
)  # fmt: skip
def test_a_time_that_excel_would_change_is_rounded_or_a_text_and_told(
    tmp_path: Path, time: str, told: str | None
) -> None:
    body = json.dumps({"orderId": 1, "orderDate": time, "earliestShipDate": time[:10]})
    tables, result = export_orders([body], ExportFormat.EXCEL, tmp_path / "out.xlsx")
    sheets = run_in_reader_environment(OPENPYXL, tmp_path / "out.xlsx")
    assert_cells_equal(tables, sheets)
    sentences = [sentence for sentence in result.notices if sentence.startswith("Times")]
    assert [told in sentence for sentence in sentences if told] == ([True] if told else [])
    counted = [row[2][1] for row in sheets["about"] if row[0][1] == "orders.order_date"]
    assert counted == ([1] if told else [])


@pytest.mark.long
def test_every_date_of_every_table_is_a_date(dataset: Dataset, file: Path) -> None:
    """Whatever an ordinary order holds: no column of dates is in part text."""
    sheets = run_in_reader_environment(OPENPYXL, file)
    finer = 0
    for name, frame in all_tables(dataset).items():
        for place, column in enumerate(BUILT[name].columns):
            if column.kind in (Kind.INSTANT, Kind.DAY):
                kinds = {row[place][0] for row in sheets[name][1:] if len(row) > place}
                assert kinds <= {"datetime", "NoneType"}, (name, column.name)
            if column.kind is Kind.INSTANT:
                finer += sum(1 for value in frame[column.name] if value and value.microsecond % 1000)
    assert finer
    told = [row[2][1] for row in sheets["about"] if len(row) > 2 and "rounded down" in str(row[1][1])]
    assert sum(told) == finer


@pytest.mark.long
@pytest.mark.parametrize(
    ("order_id", "is_number"), [(999_999_999_999_999, True), (10**15, False), (-(10**15) + 1, True), (2**63 - 1, False)]
)
def test_an_id_is_a_number_as_long_as_excel_keeps_its_digits(tmp_path: Path, order_id: int, is_number: bool) -> None:
    body = json.dumps({"orderId": order_id, "tags": ["a"]})
    _, result = export_orders([body], ExportFormat.EXCEL, tmp_path / "out.xlsx")
    sheets = run_in_reader_environment(OPENPYXL, tmp_path / "out.xlsx")
    assert sheets["orders"][1][0][:2] == (["int", order_id] if is_number else ["str", str(order_id)])
    assert sheets["order_tags"][1][1] == sheets["orders"][1][0]
    assert (
        any("Ids of more than 15 digits stand as text: 2 in 2 columns" in told for told in result.notices) != is_number
    )


@pytest.mark.long
def test_numbers_and_dates_have_the_format_of_their_kind(file: Path) -> None:
    code = """
import json, sys, openpyxl
book = openpyxl.load_workbook(sys.argv[1])
def formats(sheet, column):
    place = [cell.value for cell in book[sheet][1]].index(column)
    return sorted({row[place].number_format for row in book[sheet].iter_rows(min_row=2) if row[place].value is not None})
print(json.dumps([formats(*place.split(".")) for place in sys.argv[2:]]))
"""
    formats = {
        "orders.created": 'yyyy-mm-dd hh:mm:ss" UTC"', "orders.order_id": "0", "orders.order_identifier": "@",
        "orders.earliest_ship_date": "yyyy-mm-dd", "order_positions.unit_net_price": "#,##0.00##",
        "order_positions.quantity": "#,##0", "lines.value": "#,##0.00##", "lines.open": "#,##0",
    }  # fmt: skip
    assert run_in_reader_environment(code, file, *formats) == [[number_format] for number_format in formats.values()]


@pytest.mark.long
def test_each_sheet_is_an_excel_table_of_its_name_with_a_frozen_head(dataset: Dataset, file: Path) -> None:
    code = """
import json, sys, openpyxl
print(json.dumps([
    [sheet.title, sheet.freeze_panes, sheet["A1"].font.bold, [
        [table.name, table.ref, table.autoFilter.ref, [column.name for column in table.tableColumns]]
        for table in sheet.tables.values()
    ]] for sheet in openpyxl.load_workbook(sys.argv[1])
]))
"""
    (about, *_), (columns, frozen, *_), *found = run_in_reader_environment(code, file)
    assert (about, columns, frozen) == ("about", "columns", "B2")
    for (name, frame), sheet in zip(all_tables(dataset).items(), found, strict=True):
        reference = f"A1:{xl_col_to_name(frame.width - 1)}{max(frame.height, 1) + 1}"  # an empty one has an empty row
        assert sheet == [name, "B2", True, [[name, reference, reference, frame.columns]]]


ODD = [
    *TEXTS, "=1+1", "+1", "-1", "@a", "{=1}", "http://a.example", "mailto:a@b.example", "internal:'orders'!A1", "12", "1e5",
    "TRUE", "#N/A", "<r>x</r>", "<r><t>x</t></r>", "<r>\x01</r>", "_x0041_", "_x005F_", "a\r\nb", " a ", "\n", "\t", "\ufffe",
]  # fmt: skip


@pytest.mark.long
def test_no_text_is_a_formula_a_link_a_number_or_markup(tmp_path: Path) -> None:
    tables, _ = export_orders([with_tags(*ODD)], ExportFormat.EXCEL, tmp_path / "out.xlsx")
    assert_cells_equal(tables, run_in_reader_environment(OPENPYXL, tmp_path / "out.xlsx", "whole"))
    with zipfile.ZipFile(tmp_path / "out.xlsx") as archive:
        sheet = next(text for name in archive.namelist() if name.startswith("xl/worksheets/sheet")
                     if b"<t>tag</t>" in (text := archive.read(name)) and b"<t>order_tag_key</t>" in text)  # fmt: skip
        relations = b"".join(archive.read(name) for name in archive.namelist() if name.endswith(".rels"))
    assert set(re.findall(rb'Type="[^"]*/(\w+)"', relations)) & {b"hyperlink", b"externalLink"} == set()
    assert b"External" not in relations
    root = ElementTree.fromstring(sheet)
    assert not root.findall(".//x:f", NS)
    assert not root.findall(".//x:hyperlink", NS)
    assert not root.findall(".//x:is/x:r", NS)


def test_codes_of_characters_are_counted(tmp_path: Path) -> None:
    _, result = export_orders([with_tags("a\0", "b", "_x0041_", "c\r")], ExportFormat.EXCEL, tmp_path / "out.xlsx")
    assert [sentence for sentence in result.notices if ": 3 in 1 column," in sentence] == list(result.notices)


@pytest.mark.long
def test_an_empty_text_is_not_an_empty_cell(tmp_path: Path) -> None:
    export_orders([b'{"orderId":1,"comment":"","currency":null}'], ExportFormat.EXCEL, tmp_path / "out.xlsx")
    sheet = run_in_reader_environment(OPENPYXL, tmp_path / "out.xlsx")["orders"]
    row = dict(zip((name for _, name, _ in sheet[0]), sheet[1], strict=False))
    assert row["comment"][:2] == ["str", ""]
    assert row["currency"][:2] == ["NoneType", None]


@pytest.mark.long
@pytest.mark.parametrize("text", ["x" * 32_768, "y" * 70_000, "😀" * 16_384, "=" * 40_000])
def test_a_text_longer_than_a_cell_stands_in_parts(tmp_path: Path, text: str) -> None:
    _, result = export_orders([with_tags("a", text)], ExportFormat.EXCEL, tmp_path / "out.xlsx")
    sheets = run_in_reader_environment(OPENPYXL, tmp_path / "out.xlsx")
    parts = [[value for _, value, _ in row] for row in sheets["long_texts"][1:]]
    assert "".join(part[-1] for part in parts) == text
    assert [part[:4] for part in parts] == [["order_tags", 3, "tag", number] for number in range(1, len(parts) + 1)]
    assert all(len(part[-1].encode("utf-16-le")) // 2 <= MAX_CELL_UNITS for part in parts)
    assert sheets["order_tags"][2][-1][1].startswith(f"[{len(text):,} characters: sheet long_texts, from row 2")
    assert result.notices == [
        "Texts longer than a cell are split over rows of the sheet long_texts: 1 in 1 column, listed in the sheet about."
    ]


@pytest.mark.long
@pytest.mark.parametrize("text", ["x" * 32_767, "😀" * 16_383 + "x"])
def test_a_text_as_long_as_a_cell_stands_in_it(tmp_path: Path, text: str) -> None:
    _, result = export_orders([with_tags(text)], ExportFormat.EXCEL, tmp_path / "out.xlsx")
    sheets = run_in_reader_environment(OPENPYXL, tmp_path / "out.xlsx")
    assert sheets["order_tags"][1][-1][1] == text
    assert "long_texts" not in sheets
    assert not result.notices


@pytest.mark.long
def test_the_first_sheets_tell_what_the_file_is(dataset: Dataset, file: Path) -> None:
    sheets = run_in_reader_environment(OPENPYXL, file)
    about = [[value for _, value, _ in row] for row in sheets["about"]]
    text = "\n".join(str(row[0]) for row in about)
    assert dataset.name in text
    assert f"Built at {datetime.fromisoformat(dataset.manifest['built_at']):%Y-%m-%d %H:%M} UTC." in text
    assert "Privacy: full" in text
    assert dataset.manifest["version"] in text
    assert "UTC" in text
    assert all([name, table.grain, dataset[name].height] in about for name, table in BUILT.items())
    columns = [[value or "" for _, value, _ in row][:4] for row in sheets["columns"][1:]]
    assert columns == [[name, c.name, c.sentence, c.unit or ""] for name, table in BUILT.items() for c in table.columns]


SHEETS = """
import json, sys, openpyxl
book = openpyxl.load_workbook(sys.argv[1])
print(json.dumps({sheet.title: [list(sheet.tables), list(sheet.values)] for sheet in book}, default=str))
"""


@pytest.mark.long
def test_findings_and_key_figures_are_sheets_of_the_same_file(dataset: Dataset, tmp_path: Path) -> None:
    findings, kpis = qf.audit(dataset, remember=False), qf.kpis(dataset)
    result = dataset.export("excel", tmp_path / "out.xlsx", sheets=[findings, kpis])
    sheets = run_in_reader_environment(SHEETS, tmp_path / "out.xlsx")
    assert list(sheets) == ["about", "columns", "findings", "kpis", *BUILT]
    assert [sheets[name][0] for name in ("findings", "kpis")] == [["findings"], ["kpis"]]
    assert (result.rows["findings"], result.rows["kpis"]) == (findings.height, len(sheets["kpis"][1]) - 1)
    names, *rows = sheets["findings"][1]
    assert names == findings.columns
    wanted = findings.select("finding", "order_id", "message", pl.col("value_at_risk").cast(pl.Float64))
    assert (
        pl.DataFrame(rows, names, orient="row", infer_schema_length=None)
        .select("finding", "order_id", "message", pl.col("value_at_risk").cast(pl.Float64))
        .equals(wanted)
    )
    figures = {(kpi, of, figure): value for kpi, of, figure, value, *_ in sheets["kpis"][1][1:]}
    assert figures["Perfect orders", None, "orders"] == kpis.perfect_order["orders"][0]
    on_time = kpis.on_time.filter(reference="expected_delivery_date")
    assert figures["On time", "reference expected_delivery_date", "rate"] == pytest.approx(on_time["rate"][0], abs=1e-6)
    numbers = sum(frame.select(pl.selectors.numeric()).width * frame.height for frame in kpis.values())
    assert len(figures) == numbers == result.rows["kpis"]


@pytest.mark.long
def test_personal_findings_are_no_sheet_of_an_export_without_personal_data(dataset: Dataset, tmp_path: Path) -> None:
    findings = qf.audit(dataset, remember=False, personal=True)
    with pytest.raises(ConfigError, match="The findings show personal values, and the export is one with privacy none"):
        dataset.export("excel", tmp_path / "out.xlsx", sheets=[findings], privacy="none")
    with pytest.raises(ConfigError, match="Further sheets are for excel only"):
        dataset.export("csv", tmp_path / "out", sheets=[findings])
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_the_prompt_writes_them_unasked_and_the_next_audit_has_not_seen_them(dataset: Dataset, tmp_path: Path) -> None:
    tables = shutil.copytree(dataset.folder, tmp_path / "tables")
    (tables / "findings.parquet").unlink(missing_ok=True)
    done = CliRunner().invoke(main, ["export", str(tables), "--to", "excel", str(tmp_path / "out.xlsx")])
    assert done.exit_code == 0, done.output
    assert {"findings", "kpis"} < set(run_in_reader_environment(SHEETS, tmp_path / "out.xlsx"))
    assert not (tables / "findings.parquet").exists()


def test_whole_numbers_that_are_no_ids_are_these() -> None:
    """A new one must be decided: is it an id, and so text, or something to add up?"""
    whole = {c.name for table in TABLES.values() for c in table.columns if c.kind is Kind.INT64}
    assert {name for name in whole if not name.endswith("_id")} == {
        "ordinal", "depth", "quantity", "number_of_pallets", "number_of_parcels",
    }  # fmt: skip
    derived = {c.name for table in DERIVED_TABLES.values() for c in table.columns if c.kind is Kind.INT64}
    assert {name for name in derived if name.endswith("_id")} == {"order_id"}


@pytest.mark.long
def test_a_table_longer_than_a_sheet_is_reported_before_anything_is_written(dataset: Dataset, tmp_path: Path) -> None:
    job = export_job(dataset)
    rows = max(dataset[name].height for name in TABLES)
    with pytest.raises(
        ConfigError, match=rf"has {rows:,} rows, and a sheet of Excel takes {rows - 1:,}\. .* Export to duckdb"
    ):
        excel.write_tables(job, str(tmp_path / "new" / "out.xlsx"), max_rows=rows - 1)
    assert not list(tmp_path.iterdir())
    written = excel.write_tables(job, str(tmp_path / "out.xlsx"), max_rows=rows)
    assert sum(written.rows.values()) == sum(dataset[name].height for name in TABLES)


def test_a_derived_table_longer_than_a_sheet_is_left_out_and_told(dataset: Dataset, tmp_path: Path) -> None:
    tables = all_tables(dataset)
    job = ExportJob({n: rows.lazy() for n, rows in tables.items()}, BUILT, dataset.name, "1.2.3")
    most = max(dataset[name].height for name in TABLES)
    longer = [name for name in DERIVED_TABLES if tables[name].height > most]
    assert "line_rows" in longer
    written = excel.write_tables(job, str(tmp_path / "out.xlsx"), max_rows=most)
    assert set(written.rows) == BUILT.keys() - longer
    assert (
        f"line_rows has {tables['line_rows'].height:,} rows, more than a sheet takes: it is left out."
        in written.notices
    )
    with zipfile.ZipFile(tmp_path / "out.xlsx") as workbook:
        sheets = re.findall(r'<sheet name="(\w+)"', workbook.read("xl/workbook.xml").decode())
    assert [name for name in sheets if name in BUILT] == list(written.rows)


def test_names_of_sheets_fit() -> None:
    names = ["about", "columns", "long_texts", *BUILT]
    assert max(map(len, names)) <= 31
    assert len(set(names)) == len(names)


def test_the_same_tables_give_the_same_bytes_and_no_word_of_who_or_when(
    dataset: Dataset, file: Path, tmp_path: Path
) -> None:
    dataset.export("excel", tmp_path / "again.xlsx")
    assert (tmp_path / "again.xlsx").read_bytes() == file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        result = archive.read("docProps/core.xml").decode() + archive.read("docProps/app.xml").decode()
    assert str(datetime.now(UTC).year) not in result
    assert "<dc:creator></dc:creator>" in result


@pytest.mark.long
def test_a_later_export_replaces_an_earlier_one(dataset: Dataset, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.xlsx"
    out.write_bytes(file.read_bytes())
    export_orders([with_tags("a")], ExportFormat.EXCEL, out)
    assert len(run_in_reader_environment(OPENPYXL, out)["orders"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["out.xlsx"]


@pytest.mark.long
@pytest.mark.parametrize("content", ["text", "zip", "workbook", "folder"])
def test_a_file_of_somebody_else_is_left_alone(dataset: Dataset, tmp_path: Path, content: str) -> None:
    out = tmp_path / "mine.xlsx"
    if content == "folder":
        out.mkdir()
    elif content == "text":
        out.write_text("mine")
    elif content == "zip":
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("a.txt", "mine")
    else:
        run_in_reader_environment("import openpyxl, sys; b = openpyxl.Workbook(); b.save(sys.argv[1]); print(0)", out)
    before = out.read_bytes() if out.is_file() else None
    with pytest.raises(ConfigError, match=r"is no earlier workbook with tables|is a folder"):
        dataset.export("excel", out)
    assert (out.read_bytes() if out.is_file() else None) == before


def test_an_archive_that_does_not_fit_on_the_disk_is_reported(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Disk(io.FileIO):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    class Full(excel_sheets._FailOnceFile, Disk):
        pass

    monkeypatch.setattr(excel_sheets, "_FailOnceFile", Full)
    with pytest.raises(ExportError, match="the disk is full"):
        dataset.export("excel", tmp_path / "out.xlsx")
    assert not list(tmp_path.iterdir())
