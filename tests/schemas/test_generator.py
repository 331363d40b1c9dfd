"""schemas/ is what order.py says, and it is right about real orders and real tables."""

from __future__ import annotations

import json

import pytest

from quivo_frames.model.derived import dataset_tables
from quivo_frames.standin.orders import order_json
from schemas.generator import render_files, versions
from schemas.generator.contracts import table_contract
from schemas.generator.dbt_package import is_hand_written
from schemas.generator.order_schema import order_schema
from schemas.generator.pages import render_diagram
from tests.support.paths import DOCUMENTED_ORDER, ROOT

TABLES = dataset_tables(derived=True)
SCHEMAS = ROOT / "schemas"
EXAMPLE = json.loads(DOCUMENTED_ORDER.read_bytes())


def test_schemas_are_up_to_date() -> None:
    files = (path for path in SCHEMAS.rglob("*.*") if path.suffix not in {".py", ".pyc"})
    on_disk = {path.relative_to(SCHEMAS).as_posix(): path.read_text("utf-8") for path in files}
    on_disk = {name: text for name, text in on_disk.items() if not is_hand_written(name)}
    kept = {name: on_disk[name] for name in versions.older_version_files()}
    assert on_disk == render_files() | kept, "schemas/ is stale: run `make schemas`"


def test_the_schema_of_an_order_takes_the_documented_example_and_orders_of_trade() -> None:
    import jsonschema  # takes seconds

    validator = jsonschema.Draft202012Validator(order_schema())
    validator.validate(EXAMPLE)
    for order_id in range(100_001, 100_101):
        validator.validate(json.loads(order_json(order_id)))


@pytest.mark.parametrize(
    "wrong", [{"orderId": "1"}, {}, {"orderId": 1, "positions": {}}, {"orderId": 1, "handlingUnits": [{"sscc": 1}]}]
)
def test_the_schema_of_an_order_refuses_what_is_none(wrong: dict[str, object]) -> None:
    import jsonschema

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(order_schema()).validate(wrong)


def test_the_schema_knows_every_key_of_the_documented_example() -> None:
    definitions = order_schema()["$defs"]

    def walk(value: dict[str, object], name: str) -> None:
        properties = definitions[name]["properties"]
        assert set(value) == set(properties), name
        for key, content in value.items():
            inner = content[0] if isinstance(content, list) and content else content
            reference = json.dumps(properties[key]).partition("#/$defs/")[2].partition('"')[0]
            if isinstance(inner, dict) and reference and (name, key) != ("HandlingUnit", "childHandlingUnits"):
                walk(inner, reference)

    walk(EXAMPLE, "Order")


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_contract_lists_the_columns_of_its_table_with_sentences(table) -> None:
    contract = table_contract(table)
    assert [field["name"] for field in contract["fields"]] == list(table.schema)
    assert [field["dtype"] for field in contract["fields"]] == [str(dtype) for dtype in table.schema.values()]
    assert all(field["description"].endswith(".") for field in contract["fields"])
    assert contract["primaryKey"] in table.schema
    for reference in contract.get("foreignKeys", []):
        to = reference["reference"]
        assert reference["fields"] in table.schema
        assert to["fields"] in TABLES[to["resource"] or table.name].schema


def test_the_diagram_shows_every_table() -> None:
    assert all(f"    {name} {{" in render_diagram() for name in TABLES)
