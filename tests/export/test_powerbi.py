"""The Power BI project: its model says of the data what is in it, and what a user changed there is never lost."""

from __future__ import annotations

import json
import re
from pathlib import Path
from uuid import UUID

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import quivo_frames as qf
from quivo_frames.analysis.workbook import export_with_answers
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.errors import ConfigError
from quivo_frames.export.powerbi_model import model_files
from quivo_frames.standin.orders import FIRST_ID
from tests.support.hostile_attributes import hostile_order_json
from tests.support.power_bi import column_of, read_model, read_objects

MODEL, REPORT = "quivo.SemanticModel", "quivo.Report"
ALLOWED = {
    "quivo.pbip": ({"$schema", "version", "artifacts"}, {"settings"}),
    f"{MODEL}/definition.pbism": ({"$schema", "version"}, {"settings"}),
    f"{MODEL}/.platform": ({"$schema", "metadata", "config"}, set()),
    f"{REPORT}/.platform": ({"$schema", "metadata", "config"}, set()),
    f"{REPORT}/definition.pbir": ({"$schema", "version", "datasetReference"}, set()),
    f"{REPORT}/definition/version.json": ({"$schema", "version"}, set()),
    f"{REPORT}/definition/report.json": ({"$schema", "themeCollection"}, {"settings"}),
    f"{REPORT}/definition/pages/pages.json": ({"$schema"}, {"pageOrder", "activePageName"}),
    f"{REPORT}/definition/pages/page1/page.json": (
        {"$schema", "name", "displayName", "displayOption"}, {"height", "width"},
    ),
}  # fmt: skip
"""Of each file the keys that its published schema requires, and others that it allows."""
TYPES = {
    "int64": pa.types.is_int64, "string": lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
    "decimal": pa.types.is_decimal, "double": pa.types.is_float64, "boolean": pa.types.is_boolean,
    "dateTime": lambda kind: pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is None),
}  # fmt: skip


@pytest.fixture(scope="module")
def project(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that tests read."""
    out = tmp_path_factory.mktemp("power-bi") / "out"
    export_with_answers(dataset, "powerbi", out)
    return out


def test_each_file_has_the_keys_that_its_schema_requires_and_no_other(project: Path) -> None:
    for name, (required, more) in ALLOWED.items():
        document = json.loads((project / name).read_text(encoding="utf-8"))
        assert required <= document.keys() <= required | more, name
        assert re.fullmatch(
            r"https://developer\.microsoft\.com/json-schemas/fabric/[\w/.]+/schema\.json", document["$schema"]
        )
    found = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    assert {name for name in found if not name.endswith((".tmdl", ".parquet"))} == {*ALLOWED, "export.json"}
    report = json.loads((project / REPORT / "definition.pbir").read_text())
    assert (project / REPORT / report["datasetReference"]["byPath"]["path"]).resolve() == project / MODEL
    ids = {
        UUID(json.loads((project / part / ".platform").read_text())["config"]["logicalId"]) for part in (MODEL, REPORT)
    }
    assert len(ids) == 2


def test_the_model_has_each_column_of_the_data_with_its_type(project: Path) -> None:
    tables = read_model(project / MODEL / "definition")
    assert {f"{name}.parquet" for name in tables} == {file.name for file in (project / "data").iterdir()}
    for name, table in tables.items():
        columns = table.of_kind("column")
        schema = pq.read_schema(project / "data" / f"{name}.parquet")
        assert len(columns) == sum(child.kind == "column" for child in table.children)
        assert list(columns) == schema.names
        for column in columns.values():
            assert column.properties["sourceColumn"] == column.name
            assert TYPES[column.properties["dataType"]](schema.field(column.name).type), (name, column.name)
            assert column.description, (name, column.name)
        assert table.description
        text = (project / MODEL / "definition" / "tables" / f"{name}.tmdl").read_text(encoding="utf-8")
        assert f'File.Contents(DataFolder & "\\{name}.parquet")' in text


def test_relationships_lead_from_existing_columns_to_keys(project: Path) -> None:
    tables = read_model(project / MODEL / "definition")
    relationships = read_objects((project / MODEL / "definition" / "relationships.tmdl").read_text(encoding="utf-8"))
    assert len({UUID(relationship.name) for relationship in relationships}) == len(relationships)
    active = []
    for relationship in relationships:
        ends = [column_of(relationship.properties[side]) for side in ("fromColumn", "toColumn")]
        start, end = (tables[table].of_kind("column")[column] for table, column in ends)
        assert start.properties["dataType"] == end.properties["dataType"]
        values = [pl.read_parquet(project / "data" / f"{table}.parquet")[column] for table, column in ends]
        assert values[1].null_count() == 0
        assert values[1].is_unique().all(), ends
        assert values[0].drop_nulls().is_in(values[1].implode()).all(), ends
        if "isActive" not in relationship.properties:
            active.append((ends[0][0], ends[1][0]))
    assert len(set(active)) == len(active), "two tables are related by one active relationship at most"
    both = [found for found in relationships if "crossFilteringBehavior" in found.properties]
    assert [column_of(found.properties["toColumn"])[0] for found in both] == ["kpi_orders"]
    assert not _tables_reached_in_two_ways(active, both_ways=("kpi_groups", "kpi_orders"))


def _tables_reached_in_two_ways(active: list[tuple[str, str]], both_ways: tuple[str, str]) -> list[str]:
    """Dimensions whose filters reach a table by two paths, which Power BI refuses."""
    flows = {(to, start) for start, to in active} | {both_ways}
    found = []

    def count_paths(start: str, seen: tuple[str, ...]) -> dict[str, int]:
        counts: dict[str, int] = {}
        for source, target in flows:
            if source == start and target not in seen:
                counts[target] = counts.get(target, 0) + 1
                for name, number in count_paths(target, (*seen, target)).items():
                    counts[name] = counts.get(name, 0) + number
        return counts

    for dimension in {to for _, to in active}:
        paths = count_paths(dimension, (dimension,))
        found += [f"{dimension} -> {name}" for name, number in paths.items() if number > 1]
    return found


def test_measures_refer_to_existing_columns_and_measures(project: Path) -> None:
    tables = read_model(project / MODEL / "definition")
    names = [name for table in tables.values() for name in table.of_kind("measure")]
    assert len({name.lower() for name in names}) == len(names) > 80
    for table in tables.values():
        columns = {name.lower() for name in table.of_kind("column")}
        for name, measure in table.of_kind("measure").items():
            assert name.lower() not in columns, "Power BI refuses a measure that is called as a column of its table"
            assert measure.description
            assert measure.properties["formatString"]
            assert measure.properties["displayFolder"]
            for place, column in re.findall(r"'(\w+)'\[(\w+)\]", measure.value):
                assert column in tables[place].of_kind("column"), measure.value
            for place in re.findall(r"'(\w+)'(?!\[)", measure.value):
                assert place in tables, measure.value
            for other in re.findall(r"(?<!')\[([^\]]+)\]", re.sub(r"'\w+'\[\w+\]", "", measure.value)):
                assert other in names, measure.value
    date = tables["date"]
    assert date.properties["dataCategory"] == "Time"
    assert [name for name, column in date.of_kind("column").items() if "isKey" in column.properties] == ["date"]


def test_keys_and_facts_are_hidden_and_not_added_up(project: Path) -> None:
    for table in read_model(project / MODEL / "definition").values():
        for name, column in table.of_kind("column").items():
            if name.endswith("_key") or name == "order_id":
                assert column.properties["summarizeBy"] == "none"
                assert ("isHidden" in column.properties) == (table.name != "order")


def test_the_calendar_has_every_day_once_and_all_days_of_the_orders(project: Path, dataset: Dataset) -> None:
    calendar = pl.read_parquet(project / "data" / "date.parquet")
    days = calendar["date"]
    assert days.is_sorted()
    assert days.diff().drop_nulls().dt.total_days().unique().to_list() == [1]
    placed = dataset.lazy("overview").select(pl.col("placed").dt.date()).collect().to_series().drop_nulls()
    placed = placed.filter(placed.dt.year().is_between(2000, 2100))
    assert placed.is_in(days.implode()).all()
    weeks = calendar.select(
        (
            pl.col("date").map_elements(
                lambda day: f"{day.isocalendar()[0]}-W{day.isocalendar()[1]:02}", return_dtype=pl.String
            )
            == pl.col("week")
        ).all()
    )
    assert weeks.item()


def test_equal_tables_give_equal_files(project: Path, dataset: Dataset, tmp_path: Path) -> None:
    export_with_answers(dataset, "powerbi", tmp_path / "out")
    for file in filter(Path.is_file, project.rglob("*")):
        other = (tmp_path / "out" / file.relative_to(project)).read_bytes()
        if file.name in ("expressions.tmdl", "export.json"):  # the folder of the data
            assert other.replace(str(tmp_path).encode(), b"") != other or file.name == "export.json"
        else:
            assert other == file.read_bytes(), file


def test_a_folder_with_odd_characters_is_written_as_power_query_reads_it() -> None:
    text = model_files([], 'C:\\a "b" #(lf)')["expressions.tmdl"]
    assert 'expression DataFolder = "C:\\a ""b"" #(#)(lf)" meta' in text


def add_page(out: Path) -> Path:
    page = out / REPORT / "definition" / "pages" / "mine" / "page.json"
    page.parent.mkdir()
    page.write_text('{"displayName": "mine"}')
    return page


@pytest.mark.long
def test_pages_of_a_user_and_what_the_desktop_writes_stay_in_every_later_export(
    dataset: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    export_with_answers(dataset, "powerbi", out)
    page = add_page(out)
    for part in (MODEL, REPORT):
        (out / part / ".pbi").mkdir()
        (out / part / ".pbi" / "localSettings.json").write_text("{}")
    (out / MODEL / ".pbi" / "cache.abf").write_bytes(b"the earlier orders")
    (out / ".gitignore").write_text("mine")
    for _ in range(2):
        (out / "data" / "overview.parquet").write_bytes(b"old")
        done = export_with_answers(dataset, "powerbi", out)
        assert page.read_text() == '{"displayName": "mine"}'
        assert (out / ".gitignore").read_text() == "mine"
        assert not (out / MODEL / ".pbi" / "cache.abf").exists()
        assert pl.read_parquet(out / "data" / "overview.parquet").height == dataset.counts()["orders"]
        assert [sentence for sentence in done.notices if REPORT in sentence]
        assert not [sentence for sentence in done.notices if MODEL in sentence]


@pytest.mark.long
def test_measures_of_a_user_stay_and_an_unchanged_model_is_renewed(dataset: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_with_answers(dataset, "powerbi", out)
    file = out / MODEL / "definition" / "tables" / "overview.tmdl"
    written = file.read_text(encoding="utf-8")
    file.write_text(written.replace("Order count", "My count"), encoding="utf-8")
    done = export_with_answers(dataset, "powerbi", out)
    assert "My count" in file.read_text(encoding="utf-8")
    (sentence,) = [sentence for sentence in done.notices if "was changed" in sentence]
    assert sentence.startswith(f"{MODEL} was changed since an export wrote it, and stays as it is; the data is new.")
    (out / MODEL).rename(tmp_path / "moved")
    export_with_answers(dataset, "powerbi", out)
    assert file.read_text(encoding="utf-8") == written


@pytest.mark.long
@pytest.mark.parametrize("name", ["notes.txt", "data/other.parquet", "other.Report/definition.pbir"])
def test_a_file_that_no_export_wrote_is_never_replaced(dataset: Dataset, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    export_with_answers(dataset, "powerbi", out)
    (out / name).parent.mkdir(exist_ok=True)
    (out / name).write_text("mine")
    with pytest.raises(ConfigError, match=r"which no export wrote\. Nothing was overwritten"):
        export_with_answers(dataset, "powerbi", out)
    assert (out / name).read_text() == "mine"


@pytest.mark.long
def test_erased_orders_are_in_no_table_and_the_measures_stay(tmp_path: Path) -> None:
    source = tmp_path / "orders.ndjson"
    source.write_bytes(b"\n".join(hostile_order_json(FIRST_ID + number) for number in range(6)))
    tables = qf.build(source, tmp_path / "tables")
    export_with_answers(tables, "powerbi", tmp_path / "out")
    before = {file: file.read_bytes() for file in (tmp_path / "out" / MODEL).rglob("*.tmdl")}
    gone = FIRST_ID + 1
    tables.write_export(tables.exports()[0], [gone])
    for name in ("overview", "lines", "milestones", "events", "order", "kpi_orders", "kpi_shipments", "kpi_groups"):
        ids = pl.read_parquet(tmp_path / "out" / "data" / f"{name}.parquet")["order_id"]
        assert gone not in ids.to_list()
        assert FIRST_ID in ids.to_list()
    assert {file: file.read_bytes() for file in before} == before


def test_without_key_figures_the_model_has_the_tables_and_says_what_is_missing(
    dataset: Dataset, tmp_path: Path
) -> None:
    done = dataset.export("powerbi", tmp_path / "out")
    assert not [name for name in done.rows if name.startswith("kpi_")]
    assert [sentence for sentence in done.notices if sentence.startswith("The key figures are left out")]
    assert "overview" in read_model(tmp_path / "out" / MODEL / "definition")


def test_a_dataset_without_derived_tables_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "orders.ndjson").write_bytes(b'{"orderId": 1}')
    tables = qf.build(tmp_path / "orders.ndjson", tmp_path / "tables", derived=False)
    with pytest.raises(ConfigError, match="Build it again, without --no-derived"):
        tables.export("powerbi", tmp_path / "out")
    assert not (tmp_path / "out").exists()
