"""What needs the consent of a person: asked at the terminal whatever stdin is, refused where there is no terminal."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from quivo_frames.archive.archive import Archive
from quivo_frames.standin.orders import order_json
from quivo_frames.standin.server import StandIn
from tests.support.archived_orders import NOON, record_answers
from tests.support.terminal_session import CTRL_C, run_on_terminal, run_without_terminal

pytestmark = pytest.mark.skipif(os.name == "nt", reason="has no pseudo-terminals")

COMMAND = f"{shlex.quote(sys.executable)} -m quivo_frames.cli"
MANY = 120
PIPE = f"{COMMAND} find --limit {MANY} | {COMMAND} refetch --ids - --rate 500"


@pytest.fixture
def api() -> Iterator[StandIn]:
    with StandIn(orders=MANY) as served:
        yield served


@pytest.fixture
def where(api: StandIn, tmp_path: Path) -> dict[str, object]:
    """The folder and the environment that a script runs in."""
    login = {"api_key": api.api_key, "username": api.username, "password": api.password, "base_url": api.base_url}
    usual = {name: value for name, value in os.environ.items() if not name.startswith("QUIVO_")}
    usual |= {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
    return {"folder": tmp_path, "environment": usual | {f"QUIVO_{n.upper()}": text for n, text in login.items()}}


def count_refetches(api: StandIn) -> int:
    return sum(api.refetch_count(order_id) for order_id in api.order_ids)


@pytest.mark.long
@pytest.mark.parametrize("typed", ["n\n", "\n", "\x04"], ids=["no", "enter", "end of input"])
def test_ids_of_a_pipe_are_asked_about_at_the_terminal(typed: str, api: StandIn, where) -> None:
    ended = run_on_terminal(PIPE, typed, **where)
    assert "120 requests for 120 orders" in ended.shown
    assert ended.shown.count("Go on? [y/N]: ") == 1
    assert "Nothing was requested." in ended.shown
    assert (ended.status, count_refetches(api)) == (2, 0)


@pytest.mark.long
def test_ctrl_c_at_the_question_requests_nothing(api: StandIn, where) -> None:
    ended = run_on_terminal(PIPE, CTRL_C, **where)
    assert "Traceback" not in ended.shown
    assert ended.status in (130, -2)  # bash itself may end by the signal
    assert count_refetches(api) == 0


@pytest.mark.long
def test_who_says_yes_gets_the_orders_also_where_all_streams_are_files(api: StandIn, where) -> None:
    ended = run_on_terminal(f"{PIPE} > out.txt 2> err.txt", "y\n", **where)
    assert "Go on? [y/N]: y" in ended.shown
    assert (ended.status, count_refetches(api)) == (0, MANY)
    assert "120 fetched" in (where["folder"] / "out.txt").read_text()
    assert (where["folder"] / "err.txt").read_text() == ""


@pytest.mark.long
def test_without_a_terminal_many_requests_are_refused(api: StandIn, where) -> None:
    ended = run_without_terminal(PIPE, **where)
    assert (ended.returncode, count_refetches(api)) == (2, 0)
    assert "give --yes where nobody can be asked. Nothing was requested." in ended.stderr


def test_a_job_in_the_background_of_a_terminal_is_refused_and_not_stopped(api: StandIn, where) -> None:
    ended = run_on_terminal(f"set -m; {{ {PIPE}; }} & wait $!", "y\n", **where)
    assert "give --yes where nobody can be asked. Nothing was requested." in ended.shown
    assert (ended.status, count_refetches(api)) == (2, 0)


@pytest.mark.long
@pytest.mark.parametrize("options", ["--yes", "--dry-run"])
def test_with_yes_and_for_a_dry_run_nobody_is_asked(options: str, api: StandIn, where) -> None:
    for ended in (
        run_without_terminal(f"{PIPE} {options} --archive one.sqlite", **where).returncode,
        run_on_terminal(f"{PIPE} {options} --archive two.sqlite", "n\n", **where).status,
    ):
        assert ended == 0
    assert count_refetches(api) == (2 * MANY if options == "--yes" else 0)


@pytest.mark.long
def test_few_requests_need_no_consent(api: StandIn, where) -> None:
    ended = run_without_terminal(f"{COMMAND} find --limit 99 | {COMMAND} refetch --ids - --rate 500", **where)
    assert (ended.returncode, count_refetches(api)) == (0, 99)


@pytest.mark.long
def test_an_erasure_is_asked_about_at_the_terminal_and_refused_without_one(where) -> None:
    with Archive(where["folder"] / "orders.sqlite") as archive:
        record_answers(archive, {100_001: order_json(100_001)}, NOON)
    forget = f"echo y | {COMMAND} forget 100001"
    refused = run_without_terminal(forget, **where)
    assert refused.returncode == 2
    assert (
        "erases 1 order for good, from orders.sqlite: give --yes where nobody can be asked. Nothing was erased."
        in refused.stderr
    )
    assert run_on_terminal(forget, "n\n", **where).status == 2
    with Archive(where["folder"] / "orders.sqlite") as archive:
        assert archive.counts()["responses"] == 1
    assert run_on_terminal(forget, "yes\n", **where).status == 0
    with Archive(where["folder"] / "orders.sqlite") as archive:
        assert archive.counts()["responses"] == 0
