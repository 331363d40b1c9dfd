"""What DuckLake's extension is not needed for: addresses, targets that are refused, and how to get the extension.

`tests/lake` has the rest.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

import quivo_frames as qf
from quivo_frames.errors import ConfigError, ExportError
from quivo_frames.export.lake_address import lake_address
from quivo_frames.standin.orders import write_ndjson


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> qf.Dataset:
    folder = tmp_path_factory.mktemp("tables")
    write_ndjson(folder / "orders.ndjson", 3)
    return qf.build(folder / "orders.ndjson", folder / "tables", progress=False)


@pytest.fixture
def _without_extensions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A DuckDB in which nothing was installed, and no package with an extension."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("quivo_frames.export.lake_connection.find_spec", lambda _: None)


@pytest.mark.usefixtures("_without_extensions")
@pytest.mark.parametrize(
    ("out", "package"),
    [("lake", "duckdb-extension-ducklake"), ("postgres://h/db?data_path=/d", "duckdb-extension-postgres-scanner")],
)
def test_without_the_extension_one_sentence_says_how_to_get_it(
    tables: qf.Dataset, tmp_path: Path, out: str, package: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        tables.export("ducklake", out if "://" in out else tmp_path / out)
    message = str(caught.value)
    assert f"not installed for DuckDB {duckdb.__version__}" in message
    assert f"pip install {package}" in message
    assert "in DuckDB, with a network: INSTALL" in message
    assert not list(tmp_path.iterdir())
    assert tables.exports() == []


@pytest.mark.usefixtures("_without_extensions")
def test_what_is_no_lake_is_refused_and_stays(tables: qf.Dataset, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "report.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name, content in (("text", b"mine, and longer than twelve bytes"), ("sqlite", b"SQLite format 3\0...")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "catalog.ducklake").write_bytes(content)
    (tmp_path / "database").mkdir()
    with duckdb.connect(tmp_path / "database" / "catalog.ducklake") as db:
        db.execute("CREATE TABLE mine AS SELECT 1 AS one")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for name in ("folder", "text", "sqlite", "database"):
        with pytest.raises(ConfigError, match="is there already, and is no earlier DuckLake of quivo_frames"):
            tables.export("ducklake", tmp_path / name)
    with pytest.raises(ConfigError, match="is a file"):
        tables.export("ducklake", tmp_path / "file")
    with pytest.raises(ConfigError, match="means something else there"):
        tables.export("ducklake", tmp_path / "a*b")
    with pytest.raises(ConfigError, match=r"the name of a DuckLake does not end in \.duckdb"):
        tables.export("ducklake", tmp_path / "lake.duckdb")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_catalog_that_is_open_elsewhere_says_so(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "catalog.ducklake").write_bytes(b"12345678DUCK, and then nothing that DuckDB can read")
    with pytest.raises(ExportError, match="is open in another program or notebook, or cannot be read"):
        lake_address(str(tmp_path / "lake"))


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("postgres://ana:geheim@db/lake?data_path=/d", "holds a password"),
        ("postgresql://ana:ge@heim@db/lake?data_path=/d", "holds a password"),
        ("postgres://db/lake?data_path=/d&password=geheim", "holds a password"),
        ("postgres://db/lake?data_path=/d&sslpassword=geheim", "holds a password"),
        ("postgres://db/lake?data_path=/d&options=-csearch_path", "sets options, which it cannot"),
        ("postgres://db?data_path=/d", "names no database"),
        ("postgres://db/lake?data_path=here", "as an absolute path, not here"),
        ("postgres://db:port/lake", "cannot be read"),
        ("postgres://db/lake?data_path", "cannot be read"),
        ("s3://bucket/lake", "not to s3://"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(
    tables: qf.Dataset, out: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        tables.export("ducklake", out)
    assert "geheim" not in str(caught.value)
    assert "heim" not in str(caught.value) or "password" in message
    assert tables.exports() == []


@pytest.mark.parametrize("form", ["csv", "parquet", "delta", "ocel"])
def test_no_format_shows_or_stores_a_password_of_an_address(tables: qf.Dataset, form: str) -> None:
    with pytest.raises(ConfigError, match="holds a password") as caught:
        tables.export(form, "postgres://ana:geheim@db/lake")
    assert "geheim" not in str(caught.value)
    assert tables.exports() == []


@pytest.mark.parametrize(
    ("out", "catalog"),
    [
        ("postgres://db/lake", "postgres:host=db dbname=lake"),
        ("postgresql://reader@db:5433/lake?sslmode=require", "postgres:host=db port=5433 user=reader dbname=lake sslmode=require"),
        ("postgres://reader@/lake?host=/run/pg", "postgres:user=reader dbname=lake host=/run/pg"),
        ("postgres://a%20b@db/o%27lake", "postgres:host=db user='a b' dbname='o\\'lake'"),
    ],
)  # fmt: skip
def test_an_address_of_postgres_is_what_its_library_reads(out: str, catalog: str) -> None:
    assert lake_address(out).catalog == catalog


def test_a_folder_has_the_catalog_beside_the_data(tmp_path: Path) -> None:
    address = lake_address(str(tmp_path / "lake"))
    assert address.catalog_file == tmp_path / "lake" / "catalog.ducklake"
    assert address.data_folder == tmp_path / "lake" / "data"
