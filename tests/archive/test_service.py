"""An archive remembers which service its answers came from, and refuses another; archives without a record are fine."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from quivo_frames.archive.archive import Archive
from quivo_frames.cli import main
from quivo_frames.errors import ConfigError
from quivo_frames.fetch.client import Client
from quivo_frames.fetch.run import refetch
from quivo_frames.settings.settings import Settings
from quivo_frames.standin.server import StandIn
from tests.support.archived_orders import NOON, record_answers

LOGIN = {"api_key": "canary-key", "username": "canary-user", "password": "canary-word"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "orders.sqlite"


def recorded_rows(path: Path) -> list[tuple[str, bool]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT service, seal IS NULL FROM services").fetchall()


@pytest.mark.parametrize(
    ("address", "service"),
    [
        ("https://api.quivo.co", "https://api.quivo.co"),
        ("https://API.quivo.co/", "https://api.quivo.co"),
        ("https://gate.example.com:8443/quivo/", "https://gate.example.com:8443/quivo"),
        ("http://127.0.0.1:8080", "the stand-in API of this machine"),
        ("http://localhost:1", "the stand-in API of this machine"),
        ("https://[::1]:9/x", "the stand-in API of this machine"),
    ],
)
def test_each_address_names_its_service(address: str, service: str) -> None:
    with Client(Settings.load(**LOGIN, base_url=address)) as client:
        assert client.service == service
        assert "canary" not in client.service


def test_the_first_run_records_the_service_and_each_start_of_the_stand_in_is_the_same(
    path: Path, connect: Callable[..., Client]
) -> None:
    with Archive(path) as archive:
        assert archive.service is None
        assert not path.exists()
        for _ in range(2):  # two ports
            with StandIn(orders=3) as api:
                assert refetch(api.order_ids, connect(api), archive).fetched == 3
        assert archive.service == "the stand-in API of this machine"
        assert list(archive.find_flaws()) == []
    assert recorded_rows(path) == [("the stand-in API of this machine", 0)]


def test_answers_of_two_services_are_not_mixed(
    path: Path, standin: StandIn, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Archive(path) as archive:
        archive.begin([100_001, 100_002], service="https://api.quivo.co")
        before = archive.runs().rows()
        with pytest.raises(ConfigError, match="new ones would come from the stand-in API of this machine"):
            refetch([100_001, 100_002], client, archive)  # which would resume that run
        with pytest.raises(ConfigError, match="new ones would come from https://api-sandbox"):
            archive.begin([5], service="https://api-sandbox.quivo.co")
        assert archive.runs().rows() == before
        assert archive.service == "https://api.quivo.co"
    for name in ("api_key", "username", "password", "base_url"):
        monkeypatch.setenv(f"QUIVO_{name.upper()}", getattr(standin, name))
    words = ["refetch", "100001", "--archive", str(path)]
    refused = CliRunner().invoke(main, words)
    assert (refused.exit_code, "--service-moved" in refused.stderr) == (2, True)
    assert standin.refetch_count(100_001) == 0
    assert CliRunner().invoke(main, [*words, "--service-moved"]).exit_code == 0
    assert recorded_rows(path) == [("the stand-in API of this machine", 0)]


def test_archives_without_a_record_get_one_with_the_next_run(path: Path, standin: StandIn, client: Client) -> None:
    with Archive(path) as archive:
        record_answers(archive, {100_001: b'{"orderId":100001}'}, NOON)
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT 1 FROM sqlite_master WHERE name = 'services'").fetchone() is None
        assert archive.service is None
        assert list(archive.find_flaws()) == []
        refetch([100_001], client, archive)
        assert archive.service == "the stand-in API of this machine"
        assert list(archive.find_flaws()) == []


def test_a_changed_record_is_found_by_check(path: Path) -> None:
    with Archive(path) as archive:
        archive.begin([1], service="https://api.quivo.co")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE services SET service = 'https://api.quivo.cc'")
    (flaw,) = Archive(path).find_flaws()
    assert flaw.message == "Row 1 of its services is not as it was written."
