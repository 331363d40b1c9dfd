"""The dbt package: dbt builds it from an export as the page says, its figures are ours, and it finds what is broken.

dbt lives in an environment of its own, .venv-readers, and is called without a network. What its SQL says about orders is
compared more often, and without dbt, in tests/analysis/test_kpi.py.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb
import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal

import quivo_frames as qf
from quivo_frames.analysis.kpi.groups import GROUPS
from quivo_frames.analysis.kpi.kpis import KPIS
from quivo_frames.model.derived import dataset_tables
from quivo_frames.model.order import Privacy
from quivo_frames.standin.orders import write_ndjson
from schemas.generator import dbt_columns
from schemas.generator.dbt_package import package_files
from tests.schemas.test_contracts import run_reader
from tests.support.dbt_models import PACKAGE, model_files
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from quivo_frames.dataset.dataset import Dataset

PAGE = (ROOT / "docs" / "dbt.md").read_text("utf-8")
BUILT = dataset_tables(derived=True)


class Dbt(NamedTuple):
    """What a run of dbt said: its exit code, what failed, and how much passed."""

    code: int
    failed: set[str]
    passed: int
    output: str


def write_project(folder: Path) -> Path:
    """The project that the page shows, beside the tables; its package is the one of this checkout."""
    for name, text in re.findall(r"```yaml\n# (analytics/\S+)\n(.*?)```", PAGE, re.DOTALL):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text.replace("../quivo_frames/schemas/dbt", str(PACKAGE)), encoding="utf-8")
    done = run_reader("dbt", "deps", cwd=folder / "analytics")
    assert done.returncode == 0, done.stdout
    return folder / "analytics"


def run_dbt(project: Path, command: str, *options: str, **variables: Any) -> Dbt:
    done = run_reader("dbt", "--warn-error", command, "--vars", json.dumps(variables), *options, cwd=project)
    results = json.loads((project / "target" / "run_results.json").read_bytes())["results"]
    failed = {result["unique_id"].split(".")[2] for result in results if result["status"] in ("fail", "error")}
    return Dbt(done.returncode, failed, sum(result["status"] in ("pass", "success") for result in results), done.stdout)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("dataset")
    write_ndjson(folder / "orders.ndjson", 400)
    return qf.build(folder / "orders.ndjson", folder / "tables")


def assert_figures_are_ours(database: Path, tables: Dataset, **options: Any) -> None:
    """The facts are the derived tables, every column and row, and the KPIs those of qf.kpis, by each group."""
    with duckdb.connect(database, read_only=True) as db:
        db.execute("SET TimeZone = 'UTC'")
        facts = {"order_lines": qf.lines, "orders": qf.overview, "milestones": qf.milestones, "events": qf.events}
        for name, expected_rows in facts.items():
            assert_rows_equal(db.sql(f"FROM fct_quivo__{name}"), expected_rows(tables))
        for by in (None, *GROUPS):
            for name, frame in qf.kpis(tables, by, **options).items():
                column = "carrier" if (by, name) == ("carrier", "carriers") else f"group_value AS {by or 'everything'}"
                rows = (
                    f"SELECT * EXCLUDE grouped_by, {column} FROM kpi_quivo__{name} WHERE grouped_by = '{by or 'all'}'"
                )
                assert_rows_equal(db.sql(rows.replace(", carrier FROM", " FROM")), frame)


def assert_rows_equal(found: duckdb.DuckDBPyRelation, expected: pl.DataFrame) -> None:
    rows = pl.DataFrame(found.to_arrow_table()).select(expected.columns).cast(dict(expected.schema))
    assert expected.height
    assert_frame_equal(rows, expected, check_row_order=False, abs_tol=1e-9)


@pytest.mark.long
def test_dbt_builds_an_export_as_the_page_says_and_its_figures_are_ours(dataset: Dataset, tmp_path: Path) -> None:
    dataset.export("duckdb", tmp_path / "orders.duckdb")
    project = write_project(tmp_path)
    done = run_dbt(project, "build", quivo_database="orders")
    assert (done.code, done.failed) == (0, set()), done.output
    assert done.passed > len(model_files()) + count_source_tests()
    assert_figures_are_ours(project / "analytics.duckdb", dataset)
    assert_documented_columns_are_those_of(project)


def assert_documented_columns_are_those_of(project: Path) -> None:
    """`dbt docs generate` finds a sentence for each model that is shown, and for each of its columns and no other."""
    done = run_reader("dbt", "docs", "generate", cwd=project)
    assert done.returncode == 0, done.stdout
    catalog, manifest = (
        json.loads((project / "target" / f"{name}.json").read_bytes()) for name in ("catalog", "manifest")
    )
    for name, node in catalog["nodes"].items():
        model = manifest["nodes"][name]
        assert model["description"].endswith("."), name
        if not model["name"].startswith("int_"):
            assert set(model["columns"]) == set(node["columns"]), name
            assert all(column["description"].endswith(".") for column in model["columns"].values())
    assert len(catalog["nodes"]) == len(model_files())
    assert len(catalog["sources"]) == len(BUILT)


@pytest.mark.long
def test_dbt_builds_a_folder_without_personal_values_and_its_figures_are_ours(dataset: Dataset, tmp_path: Path) -> None:
    dataset.export("parquet", tmp_path / "ta'bles", privacy="none")
    project = write_project(tmp_path)
    profile = yaml.safe_load((project / "profiles.yml").read_text("utf-8"))
    del profile["analytics"]["outputs"]["dev"]["attach"]
    (project / "profiles.yml").write_text(yaml.safe_dump(profile), "utf-8")
    settings = yaml.safe_load((project / "dbt_project.yml").read_text("utf-8"))
    settings["vars"] = {
        "quivo_folder": "../ta'bles", "quivo_time_zone": "America/New_York", "quivo_tolerance_minutes": 300,
        "quivo_on_time_against": "expected_delivery_date",
    }  # fmt: skip
    (project / "dbt_project.yml").write_text(yaml.safe_dump(settings), "utf-8")
    done = run_dbt(project, "build")
    assert (done.code, done.failed) == (0, set()), done.output
    as_set = {
        "time_zone": "America/New_York",
        "tolerance": timedelta(hours=5),
        "on_time_against": "expected_delivery_date",
    }
    assert_figures_are_ours(project / "analytics.duckdb", qf.open(tmp_path / "ta'bles"), **as_set)


def count_source_tests() -> int:
    columns = [(table, column) for table in BUILT.values() for column in table.columns]
    keys = sum(column.name == table.key for table, column in columns)
    never_null = sum(
        (column.required or column.name == table.key) and column.privacy is Privacy.NONE for table, column in columns
    )
    return keys + never_null + sum(len(table.references) for table in BUILT.values())


@pytest.mark.long
def test_dbt_finds_what_is_broken(dataset: Dataset, tmp_path: Path) -> None:
    with duckdb.connect(tmp_path / "orders.duckdb") as connection:
        for name, rows in broken(dataset).items():
            connection.register("rows_of_one", rows)
            connection.execute(f'CREATE TABLE "{name}" AS FROM rows_of_one')
    done = run_dbt(write_project(tmp_path), "build", quivo_database="orders")
    assert done.code == 1, done.output
    assert done.failed == {
        "source_unique_quivo_overview_order_id",
        "source_relationships_quivo_order_tags_order_id__order_id__source_quivo_orders_",
        "source_not_null_quivo_handling_units_depth",
        "each_piece_is_counted_once",
    }


def broken(dataset: Dataset) -> Mapping[str, pl.DataFrame]:
    """Tables with an order that stands twice, a row of no order, a null where none may be, and a piece too many."""
    tables = {name: dataset[name] if name not in dataset.derived else dataset.lazy(name).collect() for name in BUILT}
    tables["overview"] = pl.concat([tables["overview"], tables["overview"].head(1)])
    tables["order_tags"] = tables["order_tags"].with_columns(order_id=pl.lit(7, pl.Int64))
    tables["handling_units"] = tables["handling_units"].with_columns(depth=pl.lit(None, pl.Int64))
    first = pl.int_range(pl.len()) == 0
    tables["lines"] = tables["lines"].with_columns(shipped=pl.col("shipped") + first.cast(pl.Int64))
    return tables


# What is written by hand, and what is generated


def test_every_model_is_described_and_no_other() -> None:
    described = [
        model["name"] for file in package_files().values() if isinstance(file, dict) for model in file.get("models", ())
    ]
    generated = [name.rpartition("/")[2].removesuffix(".sql") for name in package_files() if name.endswith(".sql")]
    assert sorted(described) == sorted(model_files())
    assert {name for name in model_files() if name.startswith("stg_")} == set(generated)


def test_there_is_a_model_for_each_kpi_and_a_sentence_for_each_of_its_columns_and_no_other() -> None:
    assert {name for name in model_files() if name.startswith("kpi_")} == {f"kpi_quivo__{name}" for name in KPIS}
    columns = {name: frame.columns for name, frame in qf.kpis(qf.flatten([])).items()}
    known = {name for names in columns.values() for name in names} | {
        f"{kpi}.{name}" for kpi, names in columns.items() for name in names
    }
    assert dbt_columns.KPI_COLUMNS.keys() <= known


def test_no_model_but_those_of_lines_and_staging_reads_where_rows_belong() -> None:
    """Which row belongs to which line is read from the derived tables: nothing is matched by SKU or identifier."""
    for name, query in model_files().items():
        if not name.startswith("stg_"):
            assert not re.search(
                r"position_identifier|seller_sku|bundle_sku|ordered_sku|warehouse_sku|\.lot\b", query
            ), name


def test_the_page_lists_the_settings_of_the_package() -> None:
    given = (PACKAGE / "dbt_project.yml").read_text("utf-8")
    assert set(re.findall(r"^ +(?:# )?(quivo_\w+):", given, re.MULTILINE)) - {"quivo_frames"} == set(
        re.findall(r"^\| `(quivo_\w+)` \|", PAGE, re.MULTILINE)
    )
    used = set(re.findall(r"var\('+(\w+)'", "".join(file.read_text("utf-8") for file in PACKAGE.rglob("*.*"))))
    assert used == set(re.findall(r"^\| `(quivo_\w+)` \|", PAGE, re.MULTILINE))


def test_the_page_says_what_macros_another_database_needs() -> None:
    text = "".join(file.read_text("utf-8") for file in (PACKAGE / "macros").glob("*.sql"))
    dispatched = re.findall(r"dispatch\('(\w+)'", text)
    assert dispatched
    assert all(f"`{name}`" in PAGE and f"default__{name}" in text for name in dispatched)
