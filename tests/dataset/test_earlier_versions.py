"""Tables and exports that earlier code wrote: read, or refused in a sentence that is true, and built, exported and erased."""

from __future__ import annotations

import json
import lzma
import shutil
import tarfile
from pathlib import Path

import pytest

from quivo_frames.analysis.checks.audit import audit
from quivo_frames.archive.archive import Archive
from quivo_frames.builder.build import build
from quivo_frames.dataset.dataset import Dataset
from quivo_frames.errors import DatasetError
from quivo_frames.maintenance.erasure import forget
from quivo_frames.maintenance.integrity import check
from quivo_frames.model.tables import TABLES
from tests.support.paths import ROOT

PACKED = ROOT / "tests" / "dataset" / "earlier" / "tables.tar.xz"
ARCHIVE = ROOT / "tests" / "archive" / "earlier" / "format-1.sqlite.xz"
with tarfile.open(PACKED) as opened:
    NAMES = sorted({"/".join(name.split("/")[:2]) for name in opened.getnames() if "/" in name})
DATASETS = [name.removeprefix("datasets/") for name in NAMES if name.startswith("datasets/")]
EXPORTS = [name.removeprefix("exports/") for name in NAMES if name.startswith("exports/")]
WITHOUT_LISTS = [name for name in DATASETS if int(name.split("-")[0]) < 4]
"""Whose manifests cannot be read: of each table they name one file."""
READABLE = [name for name in DATASETS if name not in WITHOUT_LISTS]
ORDER_ID = 100_002


def at_depth(names: list[str]) -> list[object]:
    """The names; all but the first and the last are for `make long`."""
    middle = [pytest.param(name, marks=pytest.mark.long) for name in names[1:-1]]
    return [names[0], *middle, *names[1:][-1:]]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(PACKED) as opened:
        opened.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # since 3.11.4
    (folder / "orders.sqlite").write_bytes(lzma.decompress(ARCHIVE.read_bytes()))
    build(folder / "orders.sqlite", folder / "fresh")
    return folder


@pytest.fixture
def folder(unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive, and a place for tables that are changed; the working folder, as manifests name inputs from there."""
    shutil.copy(unpacked / "orders.sqlite", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read_files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*.parquet"))}


def find_rows(tables: Dataset) -> list[tuple[object, ...]]:
    return audit(tables, as_of="2026-11-30").select("check", "order_id", "key").rows()


def form_of(name: str) -> str:
    return "delta" if "delta" in name else "parquet"


@pytest.mark.long
@pytest.mark.parametrize("name", at_depth(READABLE))
def test_tables_of_earlier_code_are_read_checked_and_audited(name: str, unpacked: Path) -> None:
    earlier, fresh = Dataset.open(unpacked / "datasets" / name), Dataset.open(unpacked / "fresh")
    for table in TABLES:
        assert earlier.lazy(table).collect().equals(fresh.lazy(table).collect()), table
    assert check(unpacked / "datasets" / name).flaws.is_empty()
    assert find_rows(earlier) == find_rows(fresh) != []


@pytest.mark.parametrize("name", at_depth(WITHOUT_LISTS))
def test_tables_of_the_first_code_are_called_earlier_and_not_damaged(name: str, folder: Path, unpacked: Path) -> None:
    shutil.copytree(unpacked / "datasets" / name, folder / "tables")
    with pytest.raises(DatasetError, match=r"was built by an earlier version of quivo_frames\. Build it again\.$"):
        Dataset.open(folder / "tables")
    [flaw] = check(folder / "tables").flaws["message"]
    assert "built by an earlier version" in flaw
    with pytest.raises(DatasetError, match="built by an earlier version"):  # and does not believe that it is erased
        forget([ORDER_ID], folder / "orders.sqlite", [folder / "tables"])
    assert ORDER_ID in [raw.order_id for raw in Archive(folder / "orders.sqlite").newest()]


@pytest.mark.long
@pytest.mark.parametrize("name", at_depth(DATASETS))
def test_a_build_over_tables_of_earlier_code_is_the_same_as_a_new_one(name: str, folder: Path, unpacked: Path) -> None:
    shutil.copytree(unpacked / "datasets" / name, folder / "tables")
    build(folder / "orders.sqlite", folder / "tables", form=form_of(name))
    built = Dataset.open(folder / "tables")
    if form_of(name) == "parquet":
        assert read_files(folder / "tables") == read_files(unpacked / "fresh")
    for table in TABLES:
        assert built.lazy(table).collect().equals(Dataset.open(unpacked / "fresh").lazy(table).collect()), table
    assert (check(folder / "tables").flaws.is_empty(), built.manifest["orders"]["out"]) == (True, 4)


@pytest.mark.long
@pytest.mark.parametrize("name", at_depth(READABLE))
def test_an_order_is_erased_from_tables_of_earlier_code(name: str, folder: Path, unpacked: Path) -> None:
    shutil.copytree(unpacked / "datasets" / name, folder / "tables")
    receipt = forget([ORDER_ID], folder / "orders.sqlite", [folder / "tables"])
    assert list(receipt.left) == []
    erased = Dataset.open(folder / "tables")
    kept = Dataset.open(unpacked / "fresh").lazy("orders").collect()["order_id"].to_list()
    assert erased.lazy("orders").collect()["order_id"].to_list() == [order for order in kept if order != ORDER_ID]
    assert check(folder / "tables").flaws.is_empty()
    build(folder / "orders.sqlite", folder / "again", form=form_of(name))
    build(folder / "orders.sqlite", folder / "tables", form=form_of(name))
    if form_of(name) == "parquet":
        assert read_files(folder / "tables") == read_files(folder / "again")


@pytest.mark.long
@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_replaces_one_of_earlier_code(name: str, folder: Path, unpacked: Path) -> None:
    form, _, rest = name.partition("-")
    earlier, target = unpacked / "exports" / name, folder / f"out{Path(rest).suffix}"
    (shutil.copytree if earlier.is_dir() else shutil.copy)(earlier, target)
    exported = Dataset.open(unpacked / "fresh").export(form, target)
    assert sum(exported.rows.values()) > 0


def test_tables_of_a_later_version_are_refused(folder: Path, unpacked: Path) -> None:
    shutil.copytree(unpacked / "datasets" / DATASETS[-1], folder / "tables")
    manifest = json.loads((folder / "tables" / "manifest.json").read_text(encoding="utf-8"))
    (folder / "tables" / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 2}), encoding="utf-8")
    with pytest.raises(
        DatasetError, match=r"was built by a later version of quivo_frames\. Install it, or build again\."
    ):
        Dataset.open(folder / "tables")
