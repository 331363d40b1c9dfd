"""The contracts in schemas/ are what their own tools take them for, and hold of real tables.

frictionless and datacontract live in an environment of their own, .venv-readers, and are called without a network.
`datacontract test` is not among them: it needs an older DuckDB than all the others.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from copy import deepcopy
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pglast
import polars as pl
import pytest
import yaml

import quivo_frames as qf
from quivo_frames.errors import ConfigError
from quivo_frames.export.sql import Dialect, sql_type
from quivo_frames.model.derived import dataset_tables
from quivo_frames.model.order import Kind
from quivo_frames.model.tables import REPORT_TABLES, SCHEMA_VERSION, TABLES, Table
from quivo_frames.standin.orders import write_ndjson
from schemas.generator import to_yaml, versions, write_files
from schemas.generator.contracts import data_contract
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from quivo_frames.dataset.dataset import Dataset

BUILT = dataset_tables(derived=True)
SCHEMAS = ROOT / "schemas"
READERS = ROOT / ".venv-readers" / "bin"
INSTANT = "%Y-%m-%dT%H:%M:%S%.fZ"
NO_WHERE = "http://127.0.0.1:9"
"""A proxy that is not there: who wants out, fails."""


def run_reader(tool: str, *args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """What another tool says, called without a network and away from the settings of who runs the tests."""
    if not (READERS / tool).exists():
        pytest.skip(f"{tool} is not there: make .venv-readers/.made")
    silent = {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DO_NOT_TRACK": "1", "NO_COLOR": "1", "COLUMNS": "200"}
    away = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"), NO_WHERE)
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd), "LC_ALL": "C.UTF-8", **silent, **away}
    return subprocess.run([READERS / tool, *args], cwd=cwd, env=env, capture_output=True, text=True, timeout=240)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("dataset")
    write_ndjson(folder / "orders.ndjson", 300)
    return qf.build(folder / "orders.ndjson", folder / "tables")


def broken(dataset: Dataset) -> dict[str, pl.DataFrame]:
    """Tables with a key that stands twice, a row of no order, and a null where none may be."""
    tables = {name: dataset[name] for name in BUILT}
    lines, tags, units = tables["order_positions"], tables["order_tags"], tables["handling_units"]
    tables["order_positions"] = pl.concat([lines, lines.head(1)])
    tables["order_tags"] = tags.with_columns(order_id=pl.lit(7, pl.Int64))
    tables["handling_units"] = units.with_columns(depth=pl.lit(None, pl.Int64))
    assert tags.height
    assert units.height
    return tables


# Frictionless Data Package


def write_data_package(folder: Path) -> dict[str, Any]:
    """What frictionless finds in a folder of CSV files that the package is put beside."""
    shutil.copy(SCHEMAS / "datapackage.json", folder)
    shutil.copytree(SCHEMAS / "tables", folder / "tables")
    found = run_reader("frictionless", "validate", "datapackage.json", "--json", cwd=folder)
    report: dict[str, Any] = json.loads(found.stdout)
    return report


@pytest.mark.long
def test_frictionless_takes_an_export_for_the_tables_of_the_package(dataset: Dataset, tmp_path: Path) -> None:
    assert "" in set(dataset.order_tags["tag"])  # an empty text is not a missing one
    dataset.export("csv", tmp_path / "csv")
    report = write_data_package(tmp_path / "csv")
    assert report["valid"], [task["errors"][:3] for task in report["tasks"] if task["errors"]]
    assert [task["name"] for task in report["tasks"]] == list(BUILT)


@pytest.mark.long
def test_frictionless_finds_what_is_broken(dataset: Dataset, tmp_path: Path) -> None:
    for name, rows in broken(dataset).items():
        rows.write_csv(tmp_path / f"{name}.csv", datetime_format=INSTANT)
    report = write_data_package(tmp_path)
    errors = {(task["name"], error["type"]) for task in report["tasks"] for error in task["errors"]}
    assert {("order_positions", "primary-key"), ("order_tags", "foreign-key")} <= errors
    assert ("handling_units", "constraint-error") in errors


# Open Data Contract


@pytest.mark.long
def test_datacontract_takes_the_contract_for_one() -> None:
    done = run_reader("datacontract", "lint", "datacontract.yaml", cwd=SCHEMAS)
    assert done.returncode == 0, done.stdout
    assert "Data contract is valid" in done.stdout


@pytest.mark.long
def test_datacontract_refuses_a_contract_with_a_word_that_the_standard_does_not_know(tmp_path: Path) -> None:
    wrong = (SCHEMAS / "datacontract.yaml").read_text("utf-8").replace("logicalType: integer", "logicalType: int64", 1)
    (tmp_path / "datacontract.yaml").write_text(wrong, encoding="utf-8")
    assert run_reader("datacontract", "lint", "datacontract.yaml", cwd=tmp_path).returncode == 1


def test_the_contract_names_the_files_and_columns_of_a_dataset(dataset: Dataset) -> None:
    contract = yaml.safe_load((SCHEMAS / "datacontract.yaml").read_text("utf-8"))
    servers = {server["server"]: server for server in contract["servers"]}
    for table in contract["schema"]:
        server = servers["derived" if "derived" in table.get("tags", []) else "dataset"]
        file = dataset.folder / server["path"].format(model=table["name"])
        columns = duckdb.sql(f"DESCRIBE FROM read_parquet('{file}')").fetchall()
        assert [column["name"] for column in table["properties"]] == [column[0] for column in columns]
        logical = {
            "BIGINT": "integer", "INTEGER": "integer", "VARCHAR": "string", "BOOLEAN": "boolean", "DATE": "date",
            "TIMESTAMP WITH TIME ZONE": "timestamp", "DOUBLE": "number", "DECIMAL(18,4)": "number",
        }  # fmt: skip
        assert [column["logicalType"] for column in table["properties"]] == [logical[column[1]] for column in columns]
    keys = {
        name["name"]: [column["name"] for column in name["properties"] if column.get("primaryKey")]
        for name in contract["schema"]
    }
    assert keys == {name: [table.key] for name, table in BUILT.items()}
    email = next(column for column in contract["schema"][0]["properties"] if column["name"] == "delivery_address_email")
    assert email["classification"] == "personal"


# SQL


def test_duckdb_takes_the_files_of_sql() -> None:
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    connection.execute((SCHEMAS / "duckdb.sql").read_text("utf-8"))
    connection.execute((SCHEMAS / "views.sql").read_text("utf-8"))
    assert {name for (name,) in connection.sql("SELECT table_name FROM duckdb_tables()").fetchall()} == set(BUILT)
    assert connection.sql("FROM order_line_milestones").fetchall() == []


TYPES = {"int8": "bigint", "int4": "integer", "bool": "boolean", "float8": "double precision", "numeric": "numeric(18,4)",
         "timestamptz": "timestamp(6) with time zone"}  # fmt: skip
"""What Postgres calls its types by itself."""


def test_the_parser_of_postgres_reads_the_tables_and_keys_of_the_catalogue() -> None:
    statements = [raw.stmt for raw in pglast.parse_sql((SCHEMAS / "postgres.sql").read_text("utf-8"))]
    created = [statement for statement in statements if isinstance(statement, pglast.ast.CreateStmt)]
    assert [statement.relation.relname for statement in created] == list(BUILT)
    for statement, table in zip(created, BUILT.values(), strict=True):
        columns = [part for part in statement.tableElts if isinstance(part, pglast.ast.ColumnDef)]
        read = [(one.colname, one.typeName.names[-1].sval, bool(one.constraints)) for one in columns]
        assert [(name, TYPES.get(kind, kind), never_null) for name, kind, never_null in read] == [
            (column.name, sql_type(column.kind, Dialect.POSTGRES), column.required) for column in table.columns
        ]
        (key,) = [part for part in statement.tableElts if isinstance(part, pglast.ast.Constraint)]
        assert [part.sval for part in key.keys] == [table.key]
    altered = [statement for statement in statements if isinstance(statement, pglast.ast.AlterTableStmt)]
    foreign = [(statement.relation.relname, statement.cmds[0].def_) for statement in altered]
    assert [(name, one.fk_attrs[0].sval, one.pktable.relname, one.pk_attrs[0].sval) for name, one in foreign] == [
        (table.name, *reference) for table in BUILT.values() for reference in table.references
    ]


class Postgres:
    """A server of its own, behind a socket file: started, asked, and thrown away."""

    def __init__(self, tools: Path, folder: Path, user: list[str]) -> None:
        self.tools, self.folder, self.user = tools, folder, user

    def run(self, tool: str, *args: str, stdin: str | None = None) -> str:
        command = [*self.user, str(self.tools / tool), *args]
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": str(self.folder)}
        done = subprocess.run(
            command, cwd=self.folder, env=env, input=stdin, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, sql: str) -> str:
        here = ("-h", str(self.folder), "-U", "reader", "-d", "postgres")
        return self.run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *here, "-f", "-", stdin=sql)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no server of Postgres is installed")
    user: list[str] = []
    if os.geteuid() == 0:  # which Postgres refuses to run as
        if not shutil.which("runuser"):
            pytest.skip("Postgres does not run as root, and there is no runuser")
        user = ["runuser", "-u", "nobody", "--"]
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as name:  # a short path, for the socket
        if user:
            shutil.chown(name, "nobody")
        server = Postgres(found[-1].parent, Path(name), user)
        data = f"{name}/data"
        server.run("initdb", "-D", data, "-U", "reader", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        options = f"-k {name} -c listen_addresses='' -c fsync=off -c timezone=UTC"
        server.run("pg_ctl", "-D", data, "-l", f"{name}/log", "-w", "-o", options, "start")
        try:
            yield server
        finally:
            server.run("pg_ctl", "-D", data, "-m", "immediate", "stop")


READ: dict[Kind, Callable[[Any], Any]] = {
    Kind.INSTANT: datetime.fromisoformat, Kind.DAY: date.fromisoformat, Kind.MONEY: Decimal, Kind.MEASURE: float,
}  # fmt: skip


@pytest.mark.long
def test_a_server_of_postgres_takes_the_tables_and_gives_real_orders_back(dataset: Dataset, postgres: Postgres) -> None:
    postgres.ask((SCHEMAS / "postgres.sql").read_text("utf-8"))
    for name, table in BUILT.items():
        rows = dataset[name].write_csv(datetime_format=INSTANT)
        postgres.ask(f'COPY "{name}" FROM STDIN (FORMAT csv, HEADER);\n{rows}\\.\n')
        given = postgres.ask(f'SELECT row_to_json(t) FROM "{name}" t ORDER BY t."{table.key}";').splitlines()
        read = [json.loads(row, parse_float=str) for row in given]
        wanted = dataset[name].sort(table.key)
        for column in table.columns:
            values = [row[column.name] for row in read]
            make = READ.get(column.kind, lambda value: value)
            assert [None if value is None else make(value) for value in values] == wanted[column.name].to_list()
    comment = postgres.ask("SELECT obj_description('shipments'::regclass), col_description('shipments'::regclass, 1);")
    assert comment.startswith("One row per shipment of a fulfillment order. quivo_frames, schema version")


def test_a_server_of_postgres_refuses_rows_of_no_order(postgres: Postgres) -> None:
    postgres.ask("CREATE SCHEMA other;")
    sql = "SET search_path = other;\n" + (SCHEMAS / "postgres.sql").read_text("utf-8")
    with pytest.raises(AssertionError, match="foreign key"):
        postgres.ask(sql + "INSERT INTO order_tags (order_tag_key, order_id, ordinal, tag) VALUES ('2/0', 2, 0, 'a');")


# The diagram


def test_the_diagram_is_written_in_the_grammar_of_mermaid() -> None:
    """https://mermaid.js.org/syntax/entityRelationshipDiagram.html"""
    text = (SCHEMAS / "erd.md").read_text("utf-8")
    blocks = [
        body.splitlines()
        for body in re.findall(r"^#+ [^\n]+\n\n```mermaid\n(.+?)```\n", text, re.DOTALL | re.MULTILINE)
    ]
    assert [block[0] for block in blocks] == ["erDiagram", "erDiagram"]
    lines = [line for block in blocks for line in block[1:]]
    relation = r"    (\w+) (\|\||\|o)--o\{ (\w+) : \"\w+\""
    seen, attributes = set(), 0
    for line in lines:
        if found := re.fullmatch(relation, line):
            seen |= {found[1], found[3]}
        else:
            attribute = re.fullmatch(r"        [a-z]\w* [a-z]\w*( PK| FK)?", line)
            assert attribute or re.fullmatch(r"    (\w+ \{|\})", line), line
            attributes += bool(attribute)
    assert seen == set(BUILT)
    assert attributes > len(BUILT)


# Versions


def test_the_tables_are_what_their_version_promised() -> None:
    before = json.loads((SCHEMAS / versions.current_version_file()).read_bytes())
    assert versions.find_breaking_changes(before, versions.version_record()) == [], "raise SCHEMA_VERSION in tables.py"


def test_every_version_is_on_record() -> None:
    on_record = {path.relative_to(SCHEMAS).as_posix() for path in (SCHEMAS / "versions").iterdir()}
    assert on_record == {f"versions/{version}.json" for version in range(1, SCHEMA_VERSION + 1)}


def with_columns(table: Table, *without: str, **changes: dict[str, Any]) -> Table:
    columns = [
        replace(column, **changes.get(column.name, {})) for column in table.columns if column.name not in without
    ]
    return replace(table, columns=tuple(columns))


ORDERS, TAGS = TABLES["orders"], TABLES["order_tags"]
BREAKING: dict[str, tuple[dict[str, Table], list[str]]] = {
    "a table is gone": ({"order_tags": None}, ["The table order_tags is gone."]),
    "a table is called another name": ({"order_tags": None, "tags": TAGS}, ["The table order_tags is gone."]),
    "a column is gone": ({"orders": with_columns(ORDERS, "comment")}, ["orders.comment is gone."]),
    "a column is called another name": (
        {"orders": with_columns(ORDERS, comment={"name": "remark"})},
        ["orders.comment is gone."],
    ),
    "a type changed": (
        {"orders": with_columns(ORDERS, order_priority={"kind": Kind.INT64})},
        ["orders.order_priority was Int32, and is Int64."],
    ),
    "what was never null may be": (
        {"order_tags": with_columns(TAGS, tag={"required": False})},
        ["order_tags.tag was never null, and may be null now."],
    ),
    "the key changed": (
        {"order_tags": replace(TAGS, key="tag")},
        ["The primary key of order_tags was order_tag_key, and is tag."],
    ),
    "a reference is gone": (
        {"order_tags": replace(TAGS, references=())},
        ["The foreign key order_tags.order_id -> orders.order_id is gone."],
    ),
    "a report lost a column": ({"notes": with_columns(REPORT_TABLES["notes"], "count")}, ["notes.count is gone."]),
}


def changed(changes: Mapping[str, Table | None]) -> dict[str, Any]:
    tables = BUILT | REPORT_TABLES | changes
    return versions.version_record({name: table for name, table in tables.items() if table})


@pytest.mark.parametrize("change", BREAKING)
def test_what_breaks_readers_is_reported(change: str) -> None:
    tables, breaks = BREAKING[change]
    assert versions.find_breaking_changes(versions.version_record(), changed(tables)) == breaks


def test_additions_break_nobody() -> None:
    more = with_columns(ORDERS, comment={"required": True})
    more = replace(more, columns=(replace(more.columns[0], name="new"), *more.columns))
    assert versions.find_breaking_changes(versions.version_record(), changed({"orders": more, "news": TAGS})) == []


@pytest.mark.long
def test_datacontract_calls_the_same_changes_breaking(tmp_path: Path) -> None:
    before, after = data_contract(), deepcopy(data_contract())
    orders = next(table for table in after["schema"] if table["name"] == "orders")
    columns = {column["name"]: column for column in orders["properties"]}
    orders["properties"].remove(columns["comment"])
    columns["order_priority"]["logicalType"] = "string"
    orders["properties"].append({"name": "new", "logicalType": "string"})
    for name, contract in (("before", before), ("after", after)):
        (tmp_path / f"{name}.yaml").write_text(to_yaml(contract), encoding="utf-8")
    done = run_reader("datacontract", "breaking", "before.yaml", "after.yaml", cwd=tmp_path)
    errors = {line for line in done.stdout.partition("Details")[0].splitlines() if "ERROR" in line}
    assert done.returncode == 1
    assert [re.search(r"properties\.(\w+)", line)[1] for line in sorted(errors)] == ["comment", "order_priority"]
    gone = with_columns(ORDERS, "comment", order_priority={"kind": Kind.TEXT})
    assert len(versions.find_breaking_changes(versions.version_record(), changed({"orders": gone}))) == 2


@pytest.fixture
def schemas(tmp_path: Path) -> Path:
    """A folder of schemas whose tables had a column more once."""
    folder = tmp_path / "schemas"
    shutil.copytree(SCHEMAS, folder)
    before = json.loads((folder / versions.current_version_file()).read_bytes())
    before["tables"]["orders"]["columns"]["mood"] = "String"
    (folder / versions.current_version_file()).write_text(json.dumps(before), encoding="utf-8")
    (folder / "dictionary.md").write_text("as it was", encoding="utf-8")
    return folder


@pytest.mark.long
def test_the_generator_refuses_what_breaks_readers_and_writes_nothing(schemas: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?s)Raise SCHEMA_VERSION in tables.py.*orders.mood is gone"):
        write_files(schemas)
    assert (schemas / "dictionary.md").read_text("utf-8") == "as it was"
    command = [sys.executable, "-m", "schemas.generator", str(schemas)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Nothing was written. Readers of tables of schema version")
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_a_raised_version_gets_a_record_of_its_own_and_keeps_the_others(
    schemas: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (schemas / versions.current_version_file()).read_bytes()
    monkeypatch.setattr(versions, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    for _ in range(2):
        write_files(schemas)
    assert (schemas / f"versions/{SCHEMA_VERSION}.json").read_bytes() == before
    record = json.loads((schemas / f"versions/{SCHEMA_VERSION + 1}.json").read_bytes())
    assert "mood" not in record["tables"]["orders"]["columns"]


def test_additions_go_on_record_without_a_raise(schemas: Path) -> None:
    before = json.loads((schemas / versions.current_version_file()).read_bytes())
    for gone in ("mood", "comment"):
        del before["tables"]["orders"]["columns"][gone]
    (schemas / versions.current_version_file()).write_text(json.dumps(before), encoding="utf-8")
    (schemas / "stale.md").write_text("", encoding="utf-8")
    write_files(schemas)
    assert json.loads((schemas / versions.current_version_file()).read_bytes()) == versions.version_record()
    assert not (schemas / "stale.md").exists()
