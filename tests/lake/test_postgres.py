"""A lake whose catalog is in Postgres: without a password in any address, for several machines at once, and forgetful.

It runs a cluster of its own, from Debian's package `postgresql`; without one these tests are skipped, and say so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from quivo_frames.archive.archive import Archive
from quivo_frames.builder.build import build
from quivo_frames.errors import ConfigError, ExportError
from quivo_frames.export import ducklake
from quivo_frames.maintenance.erasure import forget
from quivo_frames.model.frames import Frames
from tests.lake.lakes import export_to_lake, read_lake, snapshots
from tests.support.archived_orders import NOON, record_answers
from tests.support.hostile_attributes import hostile_order_json
from tests.support.round_trips import assert_tables_equal, flatten_standin_orders, read_every_byte

PASSWORD = "open-sesame-17"


def programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [Path(shutil.which("initdb") or "")]
    return found[-1].parent if found[-1].is_file() else None


class Cluster:
    """A Postgres cluster, on a socket in its folder alone; Postgres refuses to run as root."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin = folder, programs()
        self.user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        if self.user:
            shutil.chown(folder, "nobody")
        secret = folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self.run(
            "initdb", "-D", "db", "-A", "scram-sha-256", "-U", "owner", "--pwfile=secret", "-E", "UTF8", "--locale=C"
        )
        self.run(
            "pg_ctl", "-D", "db", "-w", "-l", "log", "-o", f"-k {folder} -c listen_addresses='' -c fsync=off", "start"
        )

    def run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [self.bin / program, *words], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "PGPASSWORD": PASSWORD}, timeout=60, **self.user,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout.decode()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if programs() is None:
        pytest.skip("There is no Postgres here. On Debian: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="lake-"))  # the path of a socket is short
    try:
        made = Cluster(folder)
        yield made
        made.run("pg_ctl", "-D", "db", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a new database, and the password where Postgres looks for it."""
    name = "lake_" + tmp_path.name[-20:].lower()
    cluster.run("createdb", "-h", str(cluster.folder), "-U", "owner", name)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    return f"postgres:///{name}?host={cluster.folder}".replace("postgres://", "postgres://owner@", 1)


@pytest.fixture
def out(database: str, tmp_path: Path) -> str:
    return f"{database}&data_path={tmp_path / 'data'}"


@pytest.fixture
def catalog(database: str, cluster: Cluster) -> str:
    name = database.partition("@/")[2].partition("?")[0]
    return f"postgres:dbname={name} host={cluster.folder} user=owner"


@pytest.fixture(scope="module")
def frames() -> Frames:
    return flatten_standin_orders(range(1, 21))


def test_builds_are_snapshots_in_postgres_too(
    frames: Frames, out: str, database: str, catalog: str, tmp_path: Path
) -> None:
    export_to_lake(frames, out)
    later = Frames.of({**frames.without_orders([]), **flatten_standin_orders(range(1, 21), seed=2)})
    assert "nothing was written" in export_to_lake(frames, database).notices[0]
    export_to_lake(later, database)
    assert [(author, version) for version, author, _ in snapshots(catalog)][1:] == [
        ("quivo_frames", 1),
        ("quivo_frames", 2),
    ]
    assert_tables_equal(read_lake(catalog, copies=tmp_path), later)
    assert_tables_equal(read_lake(catalog, 1, copies=tmp_path), frames)


def test_where_the_data_is_stands_in_the_catalog(frames: Frames, out: str, database: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no lake in that database yet. Say where its data goes"):
        export_to_lake(frames, database)
    export_to_lake(frames, out)
    with pytest.raises(ConfigError, match=f"has its data in {tmp_path / 'data'}"):
        export_to_lake(frames, f"{database}&data_path={tmp_path / 'other'}")
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_a_password_is_taken_from_the_environment_and_stands_nowhere(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "orders.ndjson").write_bytes(hostile_order_json(1))
    tables = build(tmp_path / "orders.ndjson", tmp_path / "tables")
    result = tables.export("ducklake", out)
    assert PASSWORD not in str(result) + read_every_byte(tmp_path).decode("latin-1")
    secret = out.replace("owner@", f"owner:{PASSWORD}@")
    for address in (secret, f"{out}&password={PASSWORD}"):
        with pytest.raises(ConfigError, match="The address holds a password") as caught:
            tables.export("ducklake", address)
        assert PASSWORD not in str(caught.value)
    assert PASSWORD not in read_every_byte(tmp_path).decode("latin-1")
    monkeypatch.setenv("PGPASSWORD", "wrong")
    with pytest.raises(ExportError, match="cannot be reached, or refuses"):
        tables.export("ducklake", out)


def test_forget_reaches_postgres(cluster: Cluster, out: str, catalog: str, tmp_path: Path) -> None:
    bodies = {order_id: json.loads(hostile_order_json(order_id)) for order_id in range(101, 107)}
    for place, body in enumerate(bodies.values()):
        body["deliveryAddress"] = {"name1": f"{'AAA' if not place else 'zzz'}secret{place}", "city": "Vienna"}
    source = tmp_path / "orders.sqlite"
    with Archive(source) as archive:
        record_answers(archive, {number: json.dumps(body).encode() for number, body in bodies.items()}, NOON)
    tables = build(source, tmp_path / "tables")
    tables.export("ducklake", out)
    cluster.run(
        "psql",
        "-h",
        str(cluster.folder),
        "-U",
        "owner",
        catalog.split()[0].removeprefix("postgres:dbname="),
        "-c",
        "CHECKPOINT",
    )
    assert b"AAAsecret0" in read_every_byte_of(cluster.folder / "db" / "base")
    receipt = forget([101, 106], source, [tables.folder])
    assert receipt.left == []
    assert sorted(read_lake(catalog, copies=tmp_path)["orders"]["order_id"]) == [102, 103, 104, 105]
    assert len(snapshots(catalog)) == 2
    held = read_every_byte(tmp_path / "data").decode("latin-1")
    assert "secret1" in held
    assert "secret0" not in held
    assert "secret5" not in held
    cluster.run(
        "psql",
        "-h",
        str(cluster.folder),
        "-U",
        "owner",
        catalog.split()[0].removeprefix("postgres:dbname="),
        "-c",
        "CHECKPOINT",
    )
    left = read_every_byte_of(cluster.folder / "db" / "base")
    assert b"secret0" not in left
    assert b"secret5" not in left


def read_every_byte_of(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_a_file_of_an_unfinished_export_is_left_for_a_day(frames: Frames, out: str, tmp_path: Path) -> None:
    export_to_lake(frames, out)
    young = tmp_path / "data" / "main" / "orders" / "ducklake-unfinished.parquet"
    frames.orders.write_parquet(young)
    later = flatten_standin_orders([21])
    export_to_lake(later, out)
    assert young.exists()
    with pytest.raises(ExportError, match=r"Nothing was erased. Forget again"):
        export_to_lake(frames, out, 21)
    os.utime(young, (0, 0))
    export_to_lake(flatten_standin_orders([22]), out)
    assert not young.exists()


def test_of_two_machines_one_is_first_and_the_other_says_so(
    frames: Frames, out: str, catalog: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_to_lake(frames, out)
    write_about = ducklake._write_about
    code = (
        "import sys; from tests.lake.lakes import export_to_lake; from tests.support.round_trips import *\n"
        "export_to_lake(flatten_standin_orders([31]), sys.argv[1])"
    )

    def be_overtaken(*given: object) -> None:
        write_about(*given)
        subprocess.run([sys.executable, "-c", code, out], check=True)

    monkeypatch.setattr(ducklake, "_write_about", be_overtaken)
    with pytest.raises(ExportError, match=r"Another job changed .* at the same time, and was first") as caught:
        export_to_lake(flatten_standin_orders([32]), out)
    assert caught.value.exit_status == 3
    monkeypatch.undo()
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    ids = set(read_lake(catalog, copies=tmp_path)["orders"]["order_id"])
    assert ids == set(frames.orders["order_id"]) | set(flatten_standin_orders([31]).orders["order_id"])
    export_to_lake(flatten_standin_orders([32]), out)
    assert len(read_lake(catalog, copies=tmp_path)["orders"]) == 22
