"""Generates the files of `schemas/` from the table definitions, the checks and the KPIs.

`python -m schemas.generator schemas` writes them; a test fails when they are stale. A change that would break readers
of the tables is refused until SCHEMA_VERSION is raised (see `versions`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from quivo_frames.export.compatibility.page import render_limits_page
from quivo_frames.export.compatibility.readers import LIMITS
from quivo_frames.export.sql import Dialect, tables_sql
from quivo_frames.export.views import views_sql
from quivo_frames.model.derived import dataset_tables
from quivo_frames.model.tables import REPORT_TABLES
from schemas.generator import versions
from schemas.generator.contracts import data_contract, data_package, table_contract
from schemas.generator.dbt_package import is_hand_written, package_files
from schemas.generator.order_schema import order_schema
from schemas.generator.pages import render_checks, render_diagram, render_dictionary, render_kpis

GENERATOR_FOLDER = Path(__file__).resolve().parent
"""This package lies in the folder that it writes to, and must not be removed."""


def render_files() -> dict[str, str]:
    """The files of `schemas/`, content by relative path, without the records of older versions."""
    tables = dataset_tables(derived=True)
    contracts = {
        f"tables/{name}.json": to_json(table_contract(table)) for name, table in (tables | REPORT_TABLES).items()
    }
    return {
        "order.schema.json": to_json(order_schema()),
        "dictionary.md": render_dictionary(),
        "erd.md": render_diagram(),
        "checks.md": render_checks(),
        "kpis.md": render_kpis(),
        "readers.md": render_limits_page(LIMITS),
        **contracts,
        "datapackage.json": to_json(data_package()),
        "datacontract.yaml": to_yaml(data_contract()),
        **{name: file if isinstance(file, str) else to_yaml(file) for name, file in package_files().items()},
        "duckdb.sql": tables_sql(Dialect.DUCKDB, tables),
        "postgres.sql": tables_sql(Dialect.POSTGRES, tables),
        "views.sql": views_sql(),
        versions.current_version_file(): to_json(versions.version_record()),
    }


def to_json(value: Any) -> str:
    """A value as JSON, indented."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def to_yaml(value: Any) -> str:
    """A value as YAML, keys in their order."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)


def write_files(folder: Path) -> None:
    """Write the files of `schemas/`, and remove those that are neither generated any more nor written by hand.

    Raises:
        ConfigError: the tables would break readers of their version. Nothing is written.
    """
    versions.refuse_breaking_changes(folder)
    wanted = render_files()
    folder = folder.resolve()
    kept = wanted.keys() | versions.older_version_files()
    generated = (file for file in folder.rglob("*") if file.is_file() and GENERATOR_FOLDER not in file.parents)
    for file in generated:
        name = file.relative_to(folder).as_posix()
        if name not in kept and not is_hand_written(name):
            file.unlink()
    for name, text in wanted.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
