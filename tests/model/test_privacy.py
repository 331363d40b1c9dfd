"""Personal values become pseudonyms that still join and count, or are removed."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from quivo_frames.builder.build import build
from quivo_frames.dataset.dataset import Dataset, privacy_filter_for
from quivo_frames.dataset.exports import RecordedExport
from quivo_frames.errors import ConfigError
from quivo_frames.export.formats import ExportFormat
from quivo_frames.flattening.unflatten import unflatten
from quivo_frames.model.order import Kind, Privacy
from quivo_frames.model.privacy import PrivacyFilter, PrivacyLevel, find_personal_texts, privacy_level
from quivo_frames.model.tables import TABLES, Column, Table
from quivo_frames.settings.settings import KEYRING_SERVICE, MIN_KEY_LENGTH
from quivo_frames.standin.orders import write_ndjson

KEY = "0123456789abcdef" * 4
PERSONAL = [
    (table, column)
    for table in TABLES.values()
    for column in table.columns
    if column.privacy is not Privacy.NONE
]  # fmt: skip


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUIVO_PSEUDONYM_KEY", KEY)
    monkeypatch.setattr("keyring.get_password", lambda *_: None)


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("orders") / "orders.ndjson"
    write_ndjson(file, 60)
    return file


@pytest.fixture(scope="module")
def unfiltered(orders: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return build(orders, tmp_path_factory.mktemp("unfiltered") / "out")


def personal_values(dataset: Dataset) -> set[str]:
    """All personal texts of some tables that are too long to occur by chance."""
    found: set[str] = set()
    for table, column in PERSONAL:
        found |= {str(value) for value in dataset[table.name][column.name].drop_nulls()}
    return {value for value in found if len(value) > 5}


def test_the_tables_have_personal_columns_of_each_kind(unfiltered: Dataset) -> None:
    assert {column.kind for _, column in PERSONAL} == {Kind.TEXT, Kind.MEASURE, Kind.JSON}
    assert any(column.required for _, column in PERSONAL)
    assert len(personal_values(unfiltered)) > 300


@pytest.mark.long
@pytest.mark.parametrize("level", ["pseudonym", "none"])
def test_nothing_personal_is_in_any_byte_of_the_files(
    orders: Path, unfiltered: Dataset, tmp_path: Path, level: str
) -> None:
    filtered = build(orders, tmp_path / "out", privacy=level)
    files = [file for file in filtered.folder.rglob("*") if file.is_file()]
    uncompressed = tmp_path / "uncompressed"  # so that values can be searched for in the bytes
    uncompressed.mkdir()
    for name in (*TABLES, "failures", "notes"):
        filtered.lazy(name).sink_parquet(uncompressed / name, compression="uncompressed")
    content = b"".join(file.read_bytes() for file in (*files, *uncompressed.iterdir()))
    before = b"".join(unfiltered[name].write_csv().encode() for name in TABLES)
    values = personal_values(unfiltered)
    assert all(value.replace('"', '""').encode() in before for value in list(values)[:100])
    assert [value for value in values if value.encode() in content] == []


@pytest.mark.long
@pytest.mark.parametrize("level", list(PrivacyLevel))
def test_filtered_tables_keep_their_schema_rows_and_values_that_are_not_personal(
    orders: Path, unfiltered: Dataset, tmp_path: Path, level: str
) -> None:
    filtered = build(orders, tmp_path / "out", privacy=level)
    for name, table in TABLES.items():
        assert filtered[name].schema == table.schema
        open_columns = [column.name for column in table.columns if column.privacy is Privacy.NONE]
        assert filtered[name].select(open_columns).equals(unfiltered[name].select(open_columns))
    assert filtered.level == level
    if level == "full":
        assert all(filtered[name].equals(unfiltered[name]) for name in TABLES)


@pytest.mark.parametrize(("table", "column"), PERSONAL, ids=lambda found: found.name)
def test_each_text_has_one_pseudonym_and_counts_stay_correct(unfiltered: Dataset, table: Table, column: Column) -> None:
    values = unfiltered[table.name][column.name]
    filtered = unfiltered[table.name].select(
        PrivacyFilter(PrivacyLevel.PSEUDONYM, KEY.encode()).column_expressions(table)
    )[column.name]
    assert filtered.name == column.name
    if column.kind is Kind.MEASURE:
        assert filtered.null_count() == len(filtered)
        return
    assert filtered.null_count() == values.null_count()
    assert filtered.n_unique() == values.n_unique()
    for value, pseudonym in zip(values, filtered, strict=True):
        if not value:
            assert pseudonym == value
        else:  # by another implementation, written from the definition
            digest = hmac.new(KEY.encode(), value.encode(), hashlib.sha256).hexdigest()
            text = json.loads(pseudonym) if column.kind is Kind.JSON else pseudonym
            assert text == f"p_{digest[:32]}"


def test_pseudonyms_still_join(orders: Path, unfiltered: Dataset, tmp_path: Path) -> None:
    filtered = build(orders, tmp_path / "out", privacy="pseudonym")

    def joined(tables: Dataset) -> int:
        numbers = tables.tracking_numbers.rename({"tracking_number": "tracking"})
        return tables.handling_units.join(numbers, on="tracking").height

    assert joined(filtered) == joined(unfiltered) > 0


def test_pseudonyms_depend_on_the_key_and_are_the_same_in_lazy_frames() -> None:
    table = TABLES["tracking_numbers"]
    frame = table.empty_frame()
    row = dict.fromkeys(frame.columns) | {"tracking_number": "1Z999"}
    frame = pl.concat([frame, pl.DataFrame([row] * 3, schema=frame.schema)])
    one, other = (
        frame.select(PrivacyFilter(PrivacyLevel.PSEUDONYM, key).column_expressions(table))
        for key in (b"a" * 32, b"b" * 32)
    )
    assert one["tracking_number"][0] != other["tracking_number"][0]
    lazy = frame.lazy().select(PrivacyFilter(PrivacyLevel.PSEUDONYM, b"a" * 32).column_expressions(table))
    assert lazy.collect(engine="streaming").equals(one)


@pytest.mark.long
def test_orders_can_be_rebuilt_from_filtered_tables(orders: Path, tmp_path: Path) -> None:
    for level in ("pseudonym", "none"):
        rebuilt = list(unflatten(build(orders, tmp_path / level, privacy=level)))
        assert len(rebuilt) == 60
        for order in rebuilt:
            json.loads(order)


@pytest.mark.long
def test_a_missing_or_short_key_is_reported_without_showing_it(orders: Path, tmp_path: Path) -> None:
    def run(key: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "QUIVO_PSEUDONYM_KEY": key, "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
        command = [sys.executable, "-m", "quivo_frames.cli", "build", str(orders), "--out", str(tmp_path / "out")]
        return subprocess.run(
            [*command, "--privacy", "pseudonym"], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    missing, short, good = run(""), run("hunter2hunter2"), run(KEY)
    assert (missing.returncode, short.returncode, good.returncode) == (2, 2, 0)
    assert "QUIVO_PSEUDONYM_KEY is missing" in missing.stderr
    assert "too short" in short.stderr
    assert "Traceback" not in missing.stderr + short.stderr
    assert "hunter2" not in short.stderr
    manifest = (tmp_path / "out" / "manifest.json").read_text()
    assert json.loads(manifest)["privacy"]["level"] == "pseudonym"
    assert KEY not in manifest + good.stdout + good.stderr


def test_whitespace_around_a_key_is_stripped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUIVO_PSEUDONYM_KEY", f" {KEY}\n")
    assert privacy_filter_for(PrivacyLevel.PSEUDONYM).key == KEY.encode()
    monkeypatch.setenv("QUIVO_PSEUDONYM_KEY", f"short{' ' * 64}")
    with pytest.raises(ConfigError, match="too short"):
        privacy_filter_for(PrivacyLevel.PSEUDONYM)


def test_without_the_variable_the_key_comes_from_the_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    shortest = "s" * MIN_KEY_LENGTH
    monkeypatch.delenv("QUIVO_PSEUDONYM_KEY")
    monkeypatch.setattr(
        "keyring.get_password", lambda *asked: {(KEYRING_SERVICE, "pseudonym_key"): shortest}.get(asked)
    )
    assert privacy_filter_for(PrivacyLevel.PSEUDONYM).key == shortest.encode()


def test_pseudonyms_leave_required_columns_required() -> None:
    for table in TABLES.values():
        assert PrivacyFilter(PrivacyLevel.PSEUDONYM, KEY.encode()).filtered_table(table) == table


def test_filtered_tables_are_exported_as_they_are_without_a_key(
    orders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filtered = build(orders, tmp_path / "out", privacy="pseudonym")
    monkeypatch.delenv("QUIVO_PSEUDONYM_KEY")
    filtered.export("parquet", tmp_path / "export")
    assert pl.read_parquet(tmp_path / "export" / "orders.parquet").equals(filtered.orders)
    export_facts = json.loads((tmp_path / "export" / "export.json").read_text())
    assert export_facts["privacy"] == " ".join(filtered.manifest["privacy"].values()) != "pseudonym"


@pytest.mark.long
def test_filtered_fields_are_not_reported_as_vanished(orders: Path, tmp_path: Path) -> None:
    before = build(orders, tmp_path / "out").notes
    assert build(orders, tmp_path / "out", privacy="none").notes.equals(before)


def test_unknown_levels_are_refused(unfiltered: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="full, pseudonym, none"):
        privacy_level("some")
    with pytest.raises(ConfigError, match="full, pseudonym, none"):
        unfiltered.export("csv", tmp_path / "out", privacy="some")


@pytest.mark.long
def test_an_export_is_remembered_once_and_found_again_from_any_folder(
    orders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = build(orders, tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    for privacy in ("none", "full"):
        tables.export("csv", "export", privacy=privacy)
    assert tables.exports() == [
        RecordedExport(ExportFormat.CSV, str(tmp_path / "export"), PrivacyLevel.FULL, by_month=False, key="")
    ]


def test_filtered_tables_are_not_exported_at_a_higher_level(orders: Path, tmp_path: Path) -> None:
    filtered = build(orders, tmp_path / "out", privacy="pseudonym")
    with pytest.raises(ConfigError, match="were built with --privacy pseudonym"):
        filtered.export("parquet", tmp_path / "export", privacy="full")
    assert filtered.export_privacy(None) is PrivacyLevel.PSEUDONYM
    assert filtered.export_privacy("none") is PrivacyLevel.NONE


def test_the_personal_texts_of_an_order_are_found() -> None:
    order = {
        "orderId": 1, "orderStatus": "NEW", "comment": "call first", "currency": None, "novelty": ["new text", 7],
        "deliveryAddress": {"name1": "Ida Lund", "city": "Vienna", "additionalIdentifiers": [{"identifier": "X-1", "type": "vat"}]},
        "positions": [{"sku": "A-1", "customAttributes": {"note": "for Ole"}}, None],
    }  # fmt: skip
    assert find_personal_texts(json.dumps(order).encode()) == {"call first", "new text", "Ida Lund", "X-1", "for Ole"}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", b'{"orderId":1,"comment":"x', b'{"comment":"x","cod":1e999}', b'{"a":' * 5000, b"\xff", b'"text"']
)  # fmt: skip
def test_of_what_is_no_order_no_texts_are_found(body: bytes) -> None:
    assert find_personal_texts(body) == set()
