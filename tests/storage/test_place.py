"""Places: what a folder of this machine and one of an object store promise alike, and what each does alone."""

from __future__ import annotations

import os
import pickle
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from threading import Barrier
from typing import Any

import obstore
import polars as pl
import pytest
from obstore.store import AzureStore, GCSStore, S3Store

from quivo_frames.errors import ArchiveError, ConfigError, DatasetError
from quivo_frames.storage import atomic, urls
from quivo_frames.storage.bucket import Bucket
from quivo_frames.storage.directory import Directory
from quivo_frames.storage.place import Place, open_place
from tests.support.local_stores import SECRET_KEY, post_to_server

MANIFEST = "manifest.json"
WRITERS = 6


@pytest.fixture(params=["folder", "bucket"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address of each kind, with what is hard in a name."""
    if request.param == "bucket":
        request.getfixturevalue("s3")
        return "s3://lake/my tables/für alle 100% a=b"
    return str(tmp_path / "my tables/für alle 100% a=b")


@pytest.fixture
def where(out: str) -> Place:
    return open_place(out)


def entry_names(where: Place, under: str = "") -> set[str]:
    return {entry.name for entry in where.list_entries(under)}


# What both promise


@pytest.mark.parametrize("data", [b"", b"one", os.urandom(6_000_000)], ids=["nothing", "little", "much"])
def test_what_is_written_is_read_back(where: Place, data: bytes) -> None:
    assert where.read("orders/a b.parquet") is None
    where.write("orders/a b.parquet", data)
    assert where.read("orders/a b.parquet") == data
    where.write("orders/a b.parquet", b"other")
    assert where.read("orders/a b.parquet") == b"other"


@pytest.mark.long
def test_polars_finds_the_files_of_a_place(where: Place) -> None:
    data = BytesIO()
    pl.DataFrame({"a": [1]}).write_parquet(data)
    where.write("orders/1-2-ab.parquet", data.getvalue())
    assert pl.read_parquet(where.uri("orders/1-2-ab.parquet")).rows() == [(1,)]


def test_a_swap_writes_only_where_all_is_as_it_was(where: Place) -> None:
    assert not where.compare_and_swap(MANIFEST, b"1", b"0")
    assert not where.compare_and_swap(MANIFEST, b"1", b"")
    assert where.read(MANIFEST) is None
    assert where.compare_and_swap(MANIFEST, b"1", None)
    assert not where.compare_and_swap(MANIFEST, b"2", None)
    assert not where.compare_and_swap(MANIFEST, b"2", b"0")
    assert where.read(MANIFEST) == b"1"
    assert where.compare_and_swap(MANIFEST, b"1", b"1")
    assert where.compare_and_swap(MANIFEST, b"", b"1")
    assert not where.compare_and_swap(MANIFEST, b"2", None)
    assert where.compare_and_swap(MANIFEST, b"2", b"")
    assert where.read(MANIFEST) == b"2"
    assert entry_names(where) == {MANIFEST}


@pytest.mark.long
@pytest.mark.parametrize("data", ["{}", "same"], ids=["of each its own", "of all the same"])
def test_of_swaps_at_a_time_exactly_one_wins(where: Place, data: str) -> None:
    start = Barrier(WRITERS)

    def swap(number: int, before: bytes | None) -> bytes | None:
        mine, new = pickle.loads(pickle.dumps(where)), f"{data.format(number)} after {before!r}".encode()
        mine.read(MANIFEST)
        start.wait()
        return new if mine.compare_and_swap(MANIFEST, new, before) else None

    before = None
    with ThreadPoolExecutor(WRITERS) as pool:
        for _ in range(3):
            won = [new for new in pool.map(swap, range(WRITERS), [before] * WRITERS) if new is not None]
            assert won == [where.read(MANIFEST)]
            before = won[0]
    assert entry_names(where) == {MANIFEST}


def test_entries_have_names_sizes_and_times(where: Place) -> None:
    assert list(where.list_entries()) == []
    assert list(where.list_entries("orders/")) == []
    for name in (MANIFEST, "orders/1.parquet", "orders/deep/2.parquet", "orders_old/3.parquet"):
        where.write(name, b"12345")
    assert entry_names(where) == {MANIFEST, "orders/1.parquet", "orders/deep/2.parquet", "orders_old/3.parquet"}
    assert entry_names(where, "orders/") == {"orders/1.parquet", "orders/deep/2.parquet"}
    for entry in where.list_entries():
        assert entry.size == 5
        assert entry.modified.utcoffset() == timedelta(0)
        assert abs(datetime.now(UTC) - entry.modified) < timedelta(minutes=1)


def test_what_is_removed_is_gone_and_what_was_not_there_is_no_matter(where: Place) -> None:
    for name in ("orders/1.parquet", "orders/2.parquet", MANIFEST):
        where.write(name, b"")
    where.remove(iter(["orders/1.parquet", "orders/none.parquet", "none/none.parquet", "orders/2.parquet"]))
    assert entry_names(where) == {MANIFEST}
    where.remove([])
    where.write("orders/1.parquet", b"")
    assert entry_names(where, "orders/") == {"orders/1.parquet"}


def test_a_place_sent_to_another_process_is_the_same_place_and_holds_no_secret(where: Place) -> None:
    where.write(MANIFEST, b"1")
    assert where.compare_and_swap(MANIFEST, b"2", b"1")
    sent = pickle.dumps(where)
    assert SECRET_KEY.encode() not in sent
    assert len(sent) < 1_000
    code = "import pickle, sys; sys.stdout.buffer.write(pickle.load(sys.stdin.buffer).read('manifest.json'))"
    assert subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True).stdout == b"2"


# A folder


def run_killed_writer(path: Path, before: str) -> subprocess.CompletedProcess[bytes]:
    code = f"""
import os, signal
from pathlib import Path
from quivo_frames.storage import atomic
from quivo_frames.storage.directory import Directory
sync_file = atomic.sync_file
def die(file):
    {before}
    os.kill(os.getpid(), signal.SIGKILL)
atomic.sync_file = die
Directory(Path({str(path)!r})).compare_and_swap("manifest.json", b"2", b"1")
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)


@pytest.mark.parametrize("before", ["file.write_bytes(b'half')", "sync_file(file)"])
def test_a_file_half_written_by_a_killed_process_is_never_seen_and_can_be_swept(tmp_path: Path, before: str) -> None:
    folder = Directory(tmp_path)
    folder.write(MANIFEST, b"1")
    assert run_killed_writer(tmp_path, before).returncode == -signal.SIGKILL
    assert folder.read(MANIFEST) == b"1"
    (left,) = entry_names(folder) - {MANIFEST}
    assert left.startswith(".new-")
    assert folder.compare_and_swap(MANIFEST, b"2", b"1")
    folder.remove([left])
    assert entry_names(folder) == {MANIFEST}


def test_a_disk_that_is_full_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Directory(tmp_path)
    folder.write(MANIFEST, b"1")

    def full(file: Path, **_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic, "sync_file", full)
    explained = urls.explain_storage_errors("It cannot be written", "build again", error_class=DatasetError)
    with pytest.raises(DatasetError, match=r"written: the disk is full. Make room, and build again\.$"), explained:
        folder.compare_and_swap(MANIFEST, b"2", b"1")
    assert folder.read(MANIFEST) == b"1"
    assert entry_names(folder) == {MANIFEST}


def test_files_and_folders_are_their_owners_alone_from_their_first_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, sync_file, modes = Directory(tmp_path / "new"), atomic.sync_file, []

    def sync_and_note_mode(file: Path) -> None:
        modes.append(file.stat().st_mode & 0o777)
        sync_file(file)

    monkeypatch.setattr(atomic, "sync_file", sync_and_note_mode)
    umask = os.umask(0)
    try:
        folder.write("orders/deep/1.parquet", b"1")
        folder.compare_and_swap(MANIFEST, b"1", None)
    finally:
        os.umask(umask)
    assert modes == [0o600, 0o600]
    for path in (folder.path, *folder.path.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_a_folder_that_is_removed_when_empty_comes_back_for_who_writes(tmp_path: Path) -> None:
    folder = Directory(tmp_path)

    def written(number: int) -> None:
        for turn in range(100):
            folder.write(f"orders/{number}-{turn}", b"")
            folder.remove([f"orders/{number}-{turn}"])
            list(folder.list_entries())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(written, range(4)))
    assert list(tmp_path.iterdir()) == []


def test_a_relative_path_is_the_same_place_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sent = pickle.dumps(open_place("out"))
    monkeypatch.chdir("/")
    assert pickle.loads(sent).uri("a") == str(tmp_path / "out" / "a")


# An object store


def test_a_large_file_is_written_at_once_so_that_no_pieces_stay_when_it_is_cut_off(s3: Any) -> None:
    Bucket("s3://lake/out").write("large", bytes(6_000_000))
    assert "-" not in s3.head_object(Bucket="lake", Key="out/large")["ETag"]


def test_folders_that_consoles_of_stores_make_are_no_files(s3: Any) -> None:
    s3.put_object(Bucket="lake", Key="out/", Body=b"")
    assert list(Bucket("s3://lake/out").list_entries()) == []


def test_many_files_are_listed_and_removed(s3: Any) -> None:
    bucket = Bucket("s3://lake", batch_size=7)
    for number in range(20):
        bucket.write(f"{number}", b"")
    assert len(entry_names(bucket)) == 20
    bucket.remove(f"{number}" for number in range(1, 25))
    assert entry_names(bucket) == {"0"}


class ReplacedStore:
    """A store between a bucket and the real one, which does something else when files are put or deleted."""

    def __init__(self, bucket: Bucket, **instead: Callable[..., Any]) -> None:
        self._real = bucket._object_store
        self.__dict__ |= instead
        bucket.__dict__["_object_store"] = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def test_files_that_others_removed_meanwhile_do_not_keep_a_store_from_removing_the_rest(s3: Any) -> None:
    bucket = Bucket("s3://lake/out")
    real = bucket._object_store

    def delete(paths: Any) -> None:  # as Google's and Azure's do
        for path in [paths] if isinstance(paths, str) else paths:
            real.head(path)
            real.delete(path)

    ReplacedStore(bucket, delete=delete)
    bucket.write("a", b"")
    bucket.write("b", b"")
    bucket.remove(["none", "a", "b"])
    assert entry_names(bucket) == set()


def test_a_swap_whose_answer_was_lost_knows_that_it_was_written(s3: Any) -> None:
    bucket = Bucket("s3://lake/out")
    real = bucket._object_store

    def put(name: str, data: bytes, **options: Any) -> Any:
        if name == MANIFEST:
            real.put(name, data, **options)
        return real.put(name, data, **options)

    ReplacedStore(bucket, put=put)
    assert bucket.compare_and_swap(MANIFEST, b"1", None)
    assert bucket.compare_and_swap(MANIFEST, b"2", b"1")


@pytest.mark.parametrize("before", [None, b"1"])
def test_a_store_that_overlooks_conditions_is_refused_before_anything_is_written(s3: Any, before: bytes | None) -> None:
    bucket = Bucket("s3://lake/out")
    real = bucket._object_store
    ReplacedStore(bucket, put=lambda name, data, mode=None, **options: real.put(name, data, **options))
    if before is not None:
        bucket.write(MANIFEST, before)
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"s3://lake/out cannot write a file on a condition.*Give a place in"):
            bucket.compare_and_swap(MANIFEST, b"2", before)
    assert bucket.read(MANIFEST) == before
    assert entry_names(bucket) == ({MANIFEST} if before else set())


def refuse_conditional_puts(error: Exception) -> Callable[..., Any]:
    def put(name: str, data: bytes, mode: Any = None, **options: Any) -> None:
        if mode is not None:
            raise error

    return put


def test_a_store_that_has_no_conditional_writes_is_refused(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Server returned error status code: 501 Not Implemented: <Code>NotImplemented</Code>"
    bucket = Bucket("s3://lake/out")
    ReplacedStore(bucket, put=refuse_conditional_puts(obstore.exceptions.GenericError(text)))
    with pytest.raises(ConfigError, match="cannot write a file on a condition"):
        bucket.compare_and_swap(MANIFEST, b"1", None)
    monkeypatch.setenv("AWS_CONDITIONAL_PUT", "disabled")
    with pytest.raises(ConfigError, match="cannot write a file on a condition"):
        Bucket("s3://lake/out").compare_and_swap(MANIFEST, b"1", None)
    assert entry_names(Bucket("s3://lake/out")) == set()


def test_addresses_mean_the_same_to_obstore_as_to_polars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    made = {kind: Bucket(f"{kind}://lake/a/b c/")._object_store for kind in urls.OBJECT_STORE_SCHEMES}
    assert [type(store) for store in made.values()] == [S3Store, GCSStore, AzureStore, AzureStore]
    assert {store.prefix for store in made.values()} == {"a/b c"}
    assert made["s3"].config["bucket"] == made["gs"].config["bucket"] == "lake"
    assert made["az"].config["container_name"] == "lake"
    assert not Bucket("s3://lake/")._object_store.prefix
    assert Bucket("az://lake/a/").uri("b/c.parquet") == "az://lake/a/b/c.parquet"


def test_an_address_of_onelake_has_the_workspace_the_account_and_the_endpoint_of_fabric(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    bucket = Bucket("abfss://sales@onelake.dfs.fabric.microsoft.com/My lake.Lakehouse/Files/out/")
    config = bucket._object_store.config
    assert (config["container_name"], config["account_name"], config["use_fabric_endpoint"]) == (
        "sales",
        "onelake",
        "true",
    )
    assert bucket._object_store.prefix == "My lake.Lakehouse/Files/out"
    assert bucket.uri("a.parquet").endswith("@onelake.dfs.fabric.microsoft.com/My lake.Lakehouse/Files/out/a.parquet")
    plain = Bucket("abfss://lake@account.dfs.core.windows.net/out")._object_store
    assert (plain.config["container_name"], plain.config["account_name"]) == ("lake", "account")


# What goes wrong


def errors_of_every_request(bucket: Bucket) -> Iterator[Exception]:
    """What comes of each thing that can be asked of a bucket."""
    for ask in (
        lambda: bucket.read(MANIFEST),
        lambda: bucket.write(MANIFEST, b"1"),
        lambda: bucket.compare_and_swap(MANIFEST, b"1", None),
        lambda: list(bucket.list_entries()),
        lambda: bucket.remove([MANIFEST]),
    ):
        explained = urls.explain_storage_errors(
            f"The dataset cannot be written to {bucket.address}", "build again", "As before.", DatasetError
        )
        with pytest.raises((ConfigError, DatasetError)) as error, explained:
            ask()
        assert re.match(
            r"The dataset cannot be written to s3://\w+/out: .*, and build again\. As before\.$", str(error.value)
        )
        assert not re.search(f"{SECRET_KEY}|127.0.0.1|<|Signature|Debug|name", str(error.value))
        yield error.value


def test_credentials_that_are_refused_are_named(s3: Any, server: str) -> None:
    post_to_server(server, "reset-auth", b"0")
    try:
        for error in errors_of_every_request(Bucket("s3://lake/out")):
            assert isinstance(error, ConfigError)
            assert "access was refused" in str(error)
    finally:
        post_to_server(server, "reset-auth", b"inf")


def test_a_missing_bucket_is_named(s3: Any) -> None:
    for error in errors_of_every_request(Bucket("s3://nowhere/out")):
        assert isinstance(error, ConfigError)
        assert "no such bucket" in str(error)


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, DatasetError, "gives no answer"),
        ({"AWS_ALLOW_HTTP": ""}, ConfigError, "not encrypted"),
        ({"AWS_ACCESS_KEY_ID": None}, ConfigError, "no credentials were found"),
    ],
    ids=["no network", "not encrypted", "half of the credentials"],
)
def test_what_is_wrong_in_the_environment_is_named(
    s3: Any, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str | None], kind: type[Exception], message: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value) if value is not None else monkeypatch.delenv(name)
    error = next(errors_of_every_request(Bucket("s3://lake/out")))
    assert isinstance(error, kind)
    assert message in str(error)


def test_missing_credentials_for_azure_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with (
        pytest.raises(ConfigError, match="no credentials were found"),
        urls.explain_storage_errors("It cannot be read", "build again"),
    ):
        Bucket("az://container/out").read(MANIFEST)


def test_a_library_that_is_missing_is_named_here_and_where_a_place_was_sent_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = Bucket("s3://lake/out")
    monkeypatch.setitem(sys.modules, "obstore", None)
    for ask in (lambda: open_place("s3://lake/out"), lambda: sent.read(MANIFEST)):
        with pytest.raises(ConfigError, match=r"obstore wherever .* pip install 'quivo-frames\[stores\]'"):
            ask()


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("https://example.org/out", "does not know https:// addresses. Give a folder, or one of: s3://, gs://, az://"),
        ("s3://lake/out?sig=secret", "holds more than a place"),
        ("s3://name:secret@lake/out", "holds more than a place"),
        ("s3:///", "names no bucket"),
        ("s3://lake/a[b]", r"holds \["),
        ("s3://lake/*", r"holds \*"),
        ("s3://lake//out", "holds //"),
        ("s3://lake/../out", r"holds \.\."),
    ],
)
def test_an_address_that_libraries_read_otherwise_is_refused(out: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        open_place(out)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        ("Error performing PUT http://127.0.0.1:9/latest/api/token", ConfigError, "no credentials were found"),
        ("Encountered an error: UnauthenticatedError", ConfigError, "access was refused"),
        ("Server returned non-2xx status code: 403: ", ConfigError, "access was refused"),
        ("normally indicates an incorrectly configured region", ConfigError, "AWS_REGION"),
        ("<Code>NoSuchKey</Code>", ArchiveError, "a file that belongs there is gone"),
        ("Server returned error status code: 503 Service Unavailable: SlowDown", ArchiveError, "overloaded"),
        (
            "Error performing PUT in 403.501ms - what nobody knows",
            ArchiveError,
            r"\(GenericError\)\. Export it again\.",
        ),
    ],
)
def test_what_obstore_says_becomes_a_sentence(answer: str, kind: type[Exception], message: str) -> None:
    with (
        pytest.raises(kind, match=message) as error,
        urls.explain_storage_errors("It cannot be read", "export it again", "", ArchiveError),
    ):
        raise obstore.exceptions.GenericError(f"Generic S3 error: {answer} of Ms Secret")
    assert str(error.value).startswith("It cannot be read")
    assert str(error.value).endswith("xport it again.")
    assert "Secret" not in str(error.value)


@pytest.mark.long
def test_a_file_that_is_gone_when_polars_reads_it_is_named(s3: Any) -> None:
    explained = urls.explain_storage_errors("The segments cannot be read", "build again", error_class=ArchiveError)
    with (
        pytest.raises(ArchiveError, match=r"read: a file that belongs there is gone\. .*, and build again\.$"),
        explained,
    ):
        pl.read_parquet("s3://lake/out/none.parquet")
