"""The SQL of the dbt package as DuckDB takes it, without dbt: what its models say can be asked in a moment.

dbt itself builds the package in tests/schemas/test_dbt_package.py, where the macros of dbt are its own.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import duckdb
import jinja2

from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import polars as pl

PACKAGE = ROOT / "schemas" / "dbt"


class _Returned(Exception):
    pass


def _return_value(value: Any) -> None:
    raise _Returned(value)


def _called(macro: Callable[..., str]) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        try:
            return macro(*args, **options)
        except _Returned as returned:
            return returned.args[0]

    return call


class _Macros:
    """The macros of the package, by their names."""

    def __init__(self) -> None:
        self.found: dict[str, Callable[..., Any]] = {}

    def load(self, environment: jinja2.Environment) -> None:
        """Read them from the files, in an environment whose globals are there: each file keeps a copy of these."""
        for file in sorted((PACKAGE / "macros").glob("*.sql")):
            text = file.read_text("utf-8")
            if "{% test " not in text:
                module = environment.from_string(text).make_module()
                self.found |= {name: _called(macro) for name, macro in vars(module).items() if callable(macro)}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return self.found[name]

    def dispatch(self, name: str, package: str) -> Callable[..., Any]:
        assert package == "quivo_frames"
        return self.found.get(f"duckdb__{name}") or self.found[f"default__{name}"]


class _DbtMacros:
    """Macros of dbt that the package uses, as dbt-duckdb has them."""

    type_string = staticmethod(lambda: "varchar")
    current_timestamp = staticmethod(lambda: "now()")
    date_trunc = staticmethod(lambda part, value: f"date_trunc('{part}', {value})")
    dateadd = staticmethod(lambda part, count, value: f"({value} + cast({count} as bigint) * interval 1 {part})")


@cache
def model_files() -> dict[str, str]:
    """The models of the package by name."""
    return {file.stem: file.read_text("utf-8") for file in (PACKAGE / "models").rglob("*.sql")}


def models_in_order() -> list[str]:
    """The models, each after those that it refers to."""
    done: list[str] = []

    def add(name: str) -> None:
        for other in re.findall(r"ref\('(\w+)'\)", model_files()[name]):
            add(other)
        if name not in done:
            done.append(name)

    # fct_quivo__* and others that are named by a variable refer to staging models: these come first.
    for name in sorted(model_files(), key=lambda name: not name.startswith("stg_")):
        add(name)
    return done


def model_queries(**variables: Any) -> Iterator[tuple[str, str]]:
    """Each model of the package, in order, with its query for DuckDB, for the given variables."""
    environment = jinja2.Environment(extensions=["jinja2.ext.do"], undefined=jinja2.StrictUndefined)
    macros = _Macros()
    environment.globals |= {
        "adapter": type("Adapter", (), {"quote": staticmethod(lambda name: f'"{name}"'), "dispatch": macros.dispatch}),
        "quivo_frames": macros,
        "ref": lambda name: f'"{name}"',
        "source": lambda _, name: f'"{name}"',
        "var": lambda name, default: variables.get(name, default),
        "return": _return_value,
        "dbt": _DbtMacros,
    }
    macros.load(environment)
    for name in models_in_order():
        yield name, environment.from_string(model_files()[name]).render()


def create_models(tables: Mapping[str, pl.DataFrame], **variables: Any) -> duckdb.DuckDBPyConnection:
    """A database with the tables, and all models over them."""
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    for name in tables:
        db.register(f"{name}_given", tables[name].to_arrow())
        db.execute(f'CREATE TABLE "{name}" AS FROM {name}_given')
    for name, query in model_queries(**variables):
        kind = "VIEW" if name.startswith("stg_") else "TABLE"
        db.execute(f'CREATE {kind} "{name}" AS {query}')
    return db


@contextmanager
def regrouped_models(db: duckdb.DuckDBPyConnection, groups: Mapping[str, str], **variables: Any) -> Iterator[None]:
    """Within the block, the KPIs are by other groups: the queries that take the place of these models."""
    db.execute("BEGIN")
    try:
        for name, query in groups.items():
            db.execute(f'CREATE OR REPLACE TABLE "{name}" AS {query}')
        for name, query in model_queries(**variables):
            if name.startswith("kpi_"):
                db.execute(f'CREATE OR REPLACE TABLE "{name}" AS {query}')
        yield
    finally:
        db.execute("ROLLBACK")
