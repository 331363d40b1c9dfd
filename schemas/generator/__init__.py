"""Verb: the catalogue, the checks, the KPIs -> the texts of `schemas/`. Floor 7.

`python -m schemas.generator schemas` writes them; a test fails when they are stale. Its rooms: order_schema,
pages, contracts, and versions, which refuses what would break readers of the tables until SCHEMA_VERSION is raised.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from quivo_frames.export.compatibility.check import LIMITS
from quivo_frames.export.compatibility.page import page
from quivo_frames.export.sql import Dialect, tables_sql
from quivo_frames.export.views import views_sql
from quivo_frames.model.tables import REPORTS, TABLES
from schemas.generator import versions
from schemas.generator.contracts import contract, data_contract, data_package, dbt_sources
from schemas.generator.order_schema import order_schema
from schemas.generator.pages import checks, diagram, dictionary, kpis, overview

__all__ = ["contract", "data_contract", "diagram", "order_schema", "overview", "texts", "versions", "write"]


GENERATOR = Path(__file__).resolve().parent
"""This package lies in the folder that it fills."""


def texts() -> dict[str, str]:
    """The files of `schemas/`: path inside the folder -> content; the records of older versions are not among them."""
    contracts = {f"tables/{name}.json": as_json(contract(table)) for name, table in (TABLES | REPORTS).items()}
    return {
        "order.schema.json": as_json(order_schema()),
        "dictionary.md": dictionary(),
        "erd.md": diagram(),
        "checks.md": checks(),
        "kpis.md": kpis(),
        "readers.md": page(LIMITS),
        **contracts,
        "datapackage.json": as_json(data_package()),
        "datacontract.yaml": as_yaml(data_contract()),
        "dbt/sources.yml": as_yaml(dbt_sources()),
        "duckdb.sql": tables_sql(Dialect.DUCKDB),
        "postgres.sql": tables_sql(Dialect.POSTGRES),
        "views.sql": views_sql(),
        versions.own_file(): as_json(versions.record()),
    }


def as_json(value: Any) -> str:
    """A value as JSON, indented."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def as_yaml(value: Any) -> str:
    """A value as YAML, in its order."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)


def write(folder: Path) -> None:
    """Writes the files of `schemas/`, and removes those that are no longer among them.

    Raises:
        ConfigError: the tables would break those who read their version, and it was not raised. Nothing is written.
    """
    versions.check(folder)
    wanted = texts()
    folder = folder.resolve()
    kept = wanted.keys() | versions.older_files()
    generated = (file for file in folder.rglob("*") if file.is_file() and GENERATOR not in file.parents)
    for file in generated:
        if file.relative_to(folder).as_posix() not in kept:
            file.unlink()
    for name, text in wanted.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
