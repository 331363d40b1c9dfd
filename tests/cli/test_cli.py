"""The command line: exit status, messages, and what goes where."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest
from click.testing import CliRunner

from quivo_frames.archive.archive import Archive
from quivo_frames.builder.build import build
from quivo_frames.cli import SECTIONS, main
from quivo_frames.model.records import Answer, Outcome
from quivo_frames.standin.faults import ServerFault
from quivo_frames.standin.orders import order_json, write_ndjson
from quivo_frames.standin.server import StandIn
from tests.support.archived_orders import NOON, record_answers

HIGHEST = "9223372036854775808"


@pytest.fixture(scope="module")
def api():
    with StandIn(orders=30, faults={100_007: [ServerFault.bad_request(times=None)]}) as served:
        yield served


@pytest.fixture
def settings(api: StandIn) -> dict[str, str]:
    return {
        "QUIVO_BASE_URL": api.base_url,
        "QUIVO_API_KEY": api.api_key,
        "QUIVO_USERNAME": api.username,
        "QUIVO_PASSWORD": api.password,
    }


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs a command in this process, which is ten times as fast as in one of its own, in an empty folder."""
    for name in [name for name in os.environ if name.startswith("QUIVO_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, env: dict[str, str] | None = None, stdin: str = "") -> Ended:
        done = CliRunner().invoke(main, arguments, input=stdin, env=env)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        return Ended(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def run_process(run, tmp_path: Path):
    """Runs a command in a process of its own, where the test is about its streams."""

    def run_process(*arguments: str, env: dict[str, str] | None = None, stdin: str = "") -> Ended:
        words = [sys.executable, "-m", "quivo_frames.cli", *arguments]
        done = subprocess.run(words, env={**os.environ, **(env or {})}, input=stdin, capture_output=True, text=True)
        assert "Traceback" not in done.stdout + done.stderr
        return Ended(done.returncode, done.stdout, done.stderr)

    return run_process


def test_all_commands_are_there() -> None:
    assert sorted(main.commands) == [
        "accept", "audit", "build", "changes", "check", "checks", "columns", "completion", "demo", "doctor", "explore", "export", "export-raw", "find", "forget", "history", "init", "kpis", "lines", "mcp",
        "refetch", "report", "serve", "show", "status", "sync",
    ]  # fmt: skip


def test_the_help_lists_every_command_once_in_a_section(run) -> None:
    assert sorted(name for names in SECTIONS.values() for name in names) == sorted(main.commands)
    shown = run("--help").stdout
    assert all(f"\n  {name} " in shown for name in main.commands)
    assert shown.index("\nEvery night:") < shown.index("  sync ")


@pytest.mark.parametrize("command", sorted(main.commands))
def test_the_help_of_a_command_shows_an_example(command: str, run) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert f"Example: quivo-frames {command}" in done.stdout
    assert "\\b" not in done.stdout


def test_refetch_status_and_build_of_good_orders(run, settings, tmp_path: Path) -> None:
    found = run("find", "--limit", "3", env=settings)
    assert (found.returncode, found.stdout) == (0, "100001\n100002\n100003\n")
    done = run("refetch", "--ids", "-", env=settings, stdin=found.stdout)
    assert done.returncode == 0
    assert "3 fetched" in done.stdout
    assert done.stderr == ""
    status = run("status")
    assert status.returncode == 0
    assert "3 asked, 3 fetched, 0 skipped, 0 failed, 0 left" in status.stdout
    built = run("build", "orders.sqlite", "--out", "tables", "--json")
    assert built.returncode == 0
    assert json.loads(built.stdout)["orders"]["out"] == 3
    assert pl.read_parquet(tmp_path / "tables" / "orders.parquet")["order_id"].to_list() == [100_001, 100_002, 100_003]


def test_failed_orders_are_named_and_make_status_1(run, settings) -> None:
    done = run("refetch", "100001", "100007", "4711", env=settings)
    assert done.returncode == 1
    assert "Order 4711: Quivo does not know order 4711" in done.stdout
    assert "Order 100007:" in done.stdout
    status = run("status", "--json")
    assert {failure["outcome"] for failure in json.loads(status.stdout)["failures"]} == {"unknown order", "refused"}


def test_a_dry_run_asks_nothing(run, settings, api: StandIn, tmp_path: Path) -> None:
    before = api.requests
    done = run("refetch", "100001", "100001", "100002", "--dry-run", "--rate", "2", env=settings)
    assert (done.returncode, api.requests) == (0, before)
    assert "2 requests for 2 orders" in done.stdout
    assert "0:00:01 at 2 a second" in done.stdout
    assert json.loads(run("refetch", "1", "--dry-run", "--json").stdout)["requests"] == 1
    assert not (tmp_path / "orders.sqlite").exists()


def test_fresh_orders_are_skipped(run, settings) -> None:
    run("refetch", "100001", env=settings)
    done = run("refetch", "100001", "100002", "--max-age", "12h", env=settings)
    assert "1 fetched, 1 skipped" in done.stdout
    facts = json.loads(run("refetch", "100001", "--max-age", "1d", "--json", env=settings).stdout.splitlines()[-1])
    assert facts["outcomes"] == {"skipped": 1}


WRONG_USE = {
    "no ids": (["refetch"], "No order ids"),
    "no credentials": (["refetch", "1"], "QUIVO_API_KEY, QUIVO_USERNAME, QUIVO_PASSWORD"),
    "no credentials to find": (["find"], "QUIVO_API_KEY"),
    "a word for an id": (["refetch", "12a"], "'12a'"),
    "an id too high": (["refetch", HIGHEST], HIGHEST),
    "a wrong duration": (["refetch", "1", "--max-age", "12"], "12h"),
    "no such ids file": (["refetch", "--ids", "gone.txt"], "gone.txt"),
    "an ids file that is torn": (["refetch", "--ids", "torn.ndjson.gz"], "torn.ndjson.gz cannot be read"),
    "an ids file that is no text": (["refetch", "--ids", "text.txt"], "of the ids in text.txt cannot be order ids"),
    "ids in a folder": (["refetch", "--ids", "empty"], "There are no files of webhook events"),
    "orders for events": (["refetch", "--ids", "orders.ndjson"], "line 1: this is no webhook event"),
    "a column of no file": (["refetch", "1", "--column", "id"], "--column belongs to a file"),
    "failures and ids": (["refetch", "1", "--failed-of", "1"], "--failed-of names the orders by itself"),
    "failures and a file": (["refetch", "--ids", "text.txt", "--failed-of", "1"], "leave out other ids"),
    "failures of no archive": (["refetch", "--failed-of", "1"], "no archive orders.sqlite"),
    "an unreadable instant": (
        ["find", "--since", "last week"],
        "last week is neither a day nor an instant. Write 2026-06-01,",
    ),
    "an instant before time": (["find", "--since", "99999999d"], "99999999d is neither a day nor an instant"),
    "an endless duration": (["refetch", "1", "--max-age", "999999999d"], "12h"),
    "a demo in a folder of others": (["demo", "--out", "mine"], "mine is not empty"),
    "a demo in a file": (["demo", "--out", "text.txt"], "text.txt is a file. Give the name of a folder"),
    "a port in use": (["serve", "--port", "PORT"], "cannot be opened"),
    "no such file": (["build", "gone.ndjson", "--out", "t"], "gone.ndjson"),
    "another kind of file": (["build", "text.txt", "--out", "t"], "text.txt"),
    "an archive that is none": (["build", "text.sqlite", "--out", "t"], "text.sqlite is not an archive"),
    "a status of none": (["status", "--archive", "text.txt"], "text.txt is not an archive"),
    "no archive": (["status"], "no archive orders.sqlite"),
    "a torn gz": (["build", "torn.ndjson.gz", "--out", "t"], "torn.ndjson.gz cannot be read"),
    "a folder of others": (["build", "orders.ndjson", "--out", "mine"], "holds no dataset"),
    "an empty folder": (["build", "empty", "--out", "t"], "no file of orders"),
    "an order that is not there": (["show", "4711", "--from", "built"], "Order 4711 is not among the 2 orders"),
    "a broken order to show": (["show", "100002", "--from", "built"], "The JSON is broken at"),
    "a word for an order": (["show", "12a", "--from", "built"], "12a"),
    "an order of an id too high": (["show", HIGHEST, "--from", "built"], HIGHEST),
    "nothing to show from": (["show", "1"], "The folder tables has no tables yet."),
    "an order of no dataset": (["show", "1", "--from", "mine"], "mine is not a dataset"),
    "an order of a file": (["show", "1", "--from", "text.txt", "--json"], "text.txt is not a dataset"),
    "a history of no archive": (["history", "1"], "no archive orders.sqlite"),
    "a history of no order": (["history", "x"], "x"),
    "changes of no archive": (["changes", "--archive", "text.txt"], "text.txt is not an archive"),
    "changes since no instant": (["changes", "--since", "tomorrow"], "tomorrow is neither a day nor an instant"),
    "an unknown command": (["rebuild"], "rebuild"),
}


@pytest.mark.long
@pytest.mark.parametrize(("arguments", "told"), WRONG_USE.values(), ids=WRONG_USE)
def test_wrong_use_is_status_2_and_changes_nothing(
    arguments: list[str], told: str, run, api: StandIn, tmp_path: Path
) -> None:
    for name in ("text.txt", "text.sqlite"):
        (tmp_path / name).write_text("neither orders nor an archive\n" * 100)
    (tmp_path / "torn.ndjson.gz").write_bytes(b"\x1f\x8b\x08\x00torn")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.png").touch()
    (tmp_path / "empty").mkdir()
    write_ndjson(tmp_path / "orders.ndjson", 2)
    write_ndjson(tmp_path / "torn.ndjson", 2, broken_every=2)
    if "built" in arguments:
        build(tmp_path / "torn.ndjson", tmp_path / "built")
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    done = run(*(api.base_url.rpartition(":")[2] if word == "PORT" else word for word in arguments))
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stdout == ""
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


@pytest.mark.long
def test_show_prints_a_page_or_one_json_document(run, tmp_path: Path) -> None:
    write_ndjson(tmp_path / "orders.ndjson", 3)
    run("build", "orders.ndjson", "--out", "tables")
    for encoding in ("utf-8", "ascii"):
        env = {"PYTHONIOENCODING": encoding}
        done = run("show", "100002", "--from", "tables", env=env)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("Order 100002\n")
        assert "\x1b" not in done.stdout  # no colours where there is no terminal
        assert encoding == "ascii" or max(map(len, done.stdout.splitlines())) <= 80
        told = run("show", "100002", "--from", "tables", "--json", env=env)
        assert (told.returncode, told.stderr) == (0, "")
        assert json.loads(told.stdout)["orderId"] == 100_002


def test_refused_credentials_are_status_3(run, settings) -> None:
    done = run("refetch", "100001", env={**settings, "QUIVO_PASSWORD": "canary-7f3a"})
    assert done.returncode == 3
    assert "canary" not in done.stdout + done.stderr
    assert run("find", env={**settings, "QUIVO_API_KEY": "canary-7f3a"}).returncode == 3


@pytest.mark.long
def test_no_network_is_status_3(run, settings) -> None:
    done = run("find", env={**settings, "QUIVO_BASE_URL": "http://127.0.0.1:9"})
    assert done.returncode == 3
    assert "http://127.0.0.1:9" in done.stderr


@pytest.mark.long
def test_demo_runs_offline_and_leaves_tables(run, tmp_path: Path) -> None:
    done = run("demo", "--orders", "40")
    assert done.returncode == 0
    assert done.stderr == ""
    for told in (
        "Quivo does not know order",
        "cannot be read as JSON",
        "was fetched at try 3",
        'qf.open("quivo-demo/tables")',
    ):
        assert told in done.stdout
    assert pl.read_parquet(tmp_path / "quivo-demo" / "tables" / "orders.parquet").height == 39
    assert run("demo", "--orders", "40").returncode == 0
    with Archive(tmp_path / "quivo-demo" / "orders.sqlite") as archive:
        record_answers(archive, {5: b'{"orderId":5}'}, NOON)
    done = run("demo", "--orders", "40")
    assert (done.returncode, "holds more than an earlier demo wrote" in done.stderr) == (2, True)
    assert Archive(tmp_path / "quivo-demo" / "orders.sqlite").runs().height == 2


@pytest.mark.alone
def test_ctrl_c_keeps_what_came_and_the_same_command_goes_on(settings, tmp_path: Path, api: StandIn, run) -> None:
    ids = [str(n) for n in range(100_008, 100_031)]
    command = [sys.executable, "-m", "quivo_frames.cli", "refetch", *ids, "--rate", "8"]
    child = subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 30
    while api.refetch_count(100_011) == 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, told = child.communicate(timeout=30)
    assert child.returncode == 130
    assert "the same command goes on" in told
    assert "Traceback" not in told
    done = run("refetch", *ids, env=settings)
    assert done.returncode == 0
    assert "(resumed)" in done.stdout
    assert max(api.refetch_count(int(n)) for n in ids) == 1


def test_a_thread_that_works_for_nobody_does_not_keep_the_command(tmp_path: Path) -> None:
    """A query that a server was asked before it ended cannot be interrupted, and Python would wait for its thread."""
    code = (
        "import sys, threading, time\n"
        "from quivo_frames.cli import main\n"
        "threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "main(prog_name='quivo-frames')"
    )
    for words, status, shown in ((["--version"], 0, "polars"), (["check", "nothing"], 2, "nothing")):
        done = subprocess.run(
            [sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True, timeout=30
        )
        assert (done.returncode, shown in done.stdout + done.stderr) == (status, True), done


@pytest.mark.alone
def test_serve_says_how_to_use_it_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-u", "-m", "quivo_frames.cli", "serve", "--orders", "3"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout
    assert child.stdout.readline().startswith("export QUIVO_BASE_URL=http://127.0.0.1:")
    assert child.stdout.readline().startswith("export QUIVO_API_KEY=")
    child.send_signal(signal.SIGINT)
    _, told = child.communicate(timeout=30)
    assert "Serving orders 100001 to 100003" in told
    assert "Traceback" not in told


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("sent", ["SIGINT", "SIGTERM"])
def test_a_second_signal_does_not_come_in_the_middle_of_the_end(tmp_path: Path, sent: str) -> None:
    code = (
        "import os, signal, threading\n"
        "from quivo_frames import cli\n"
        f"send = lambda: os.kill(os.getpid(), signal.{sent})\n"
        "explain, threads = cli.explain_failure, threading.enumerate\n"
        "cli.explain_failure = lambda *given: (send(), explain(*given))[1]\n"
        "threading.enumerate = lambda: (send(), threads())[1]  # which the last part of the end calls\n"
        "cli.main(prog_name='quivo-frames')"
    )
    words = [sys.executable, "-c", code, "check", "nothing"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == done.stderr.count("nothing") == 1


@pytest.mark.alone
@pytest.mark.parametrize(
    ("job", "command", "told"),
    [
        ("builder.build.build", ["build", "orders.sqlite", "--out", "tables"], "Nothing was changed."),
        (
            "maintenance.erasure.forget",
            ["forget", "1", "--yes"],
            "What was erased stays erased; the same command again erases the rest.",
        ),
        (
            "dataset.dataset.Dataset.open",
            ["export", "tables", "--to", "delta", "lake"],
            "The same command again completes it.",
        ),
    ],
    ids=["build", "forget", "export"],
)
def test_an_interrupted_command_says_what_that_leaves_behind(
    job: str, command: list[str], told: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(f"quivo_frames.{job}", interrupted)
    with pytest.raises(SystemExit) as end:
        main(command)
    assert end.value.code == 130
    assert capsys.readouterr().err == f"\nInterrupted. {told}\n"


@pytest.mark.long
def test_build_strict_exits_with_1_when_something_was_noted(tmp_path: Path, run) -> None:
    file = tmp_path / "o.ndjson"
    file.write_text('{"orderId":1,"newField":true,"created":"2026-03-05"}')
    command = ["build", str(file), "--out", str(tmp_path / "out"), "--jobs", "2"]
    lenient, strict = run(*command), run(*command, "--strict")
    assert (lenient.returncode, strict.returncode) == (0, 1)
    for done in (lenient, strict):
        assert "2 things were noted" in done.stdout
        assert "1 x $.newField: The API sent a field that quivo_frames does not know: true or false." in done.stdout
        assert "1 x $.created: A day without a time was taken as midnight UTC." in done.stdout
    file.write_text('{"orderId":1}')
    assert run(*command, "--strict").returncode == 1  # newField is gone, and so is created
    assert run(*command, "--strict").returncode == 0


def test_refetch_takes_ids_from_every_source_and_tells_what_it_left_out(run, settings, tmp_path: Path) -> None:
    (tmp_path / "ids.csv").write_text("Order ID;n\n100001;1\n100002;2\n", encoding="utf-8-sig")
    (tmp_path / "events.ndjson").write_text(
        '{"events":[{"id":100003,"entity":"ORDERS"}]}\n{"events":[{"id":9,"entity":"SHIPMENTS"}]}\n'
    )
    pl.DataFrame({"theirs": [100_004, 100_005]}).write_parquet(tmp_path / "ids.parquet")
    for source, told, warned in (
        (["--ids", "ids.csv"], "2 orders", ""),
        (["--ids", "ids.parquet", "--column", "theirs", "100009"], "3 orders", ""),
        (["--ids", "events.ndjson"], "1 order", "1 order id from events.ndjson; left out: 1 event of SHIPMENTS"),
    ):
        done = run("refetch", *source, env=settings)
        assert (done.returncode, done.stderr[: len(warned)]) == (0, warned)
        assert told in done.stdout
    assert "6 orders, 6 good answers, 3 runs" in run("status").stdout


@pytest.mark.long
def test_ids_of_a_pipe_are_planned_and_fetched(run_process, settings) -> None:
    wrong = run_process("refetch", "--ids", "-", env=settings, stdin="100001\n# two\nx\n")
    assert wrong.returncode == 2
    assert "1 of the ids in stdin cannot be order ids: a text of 1 characters, not shown (line 3)" in wrong.stderr
    done = run_process("refetch", "--ids", "-", "--column", "id", env=settings, stdin="id,b\n100001,1\n100002,2\n")
    assert "2 orders" in done.stdout


@pytest.mark.long
def test_the_failed_orders_of_a_run_are_asked_again(run, settings, api: StandIn) -> None:
    first = run("refetch", "100001", "100007", "100008", env=settings)
    assert "`quivo-frames refetch --failed-of 1 --archive orders.sqlite` fetches these again" in first.stdout
    before = api.refetch_count(100_001)
    again = run("refetch", "--failed-of", "1", env=settings)
    assert (again.returncode, api.refetch_count(100_001)) == (1, before)
    assert again.stdout.startswith("Run 2: 1 order in")
    assert run("refetch", "100001", env=settings).returncode == 0
    none = run("refetch", "--failed-of", "3", env=settings)
    assert (none.returncode, none.stdout) == (0, "0 order ids from the failures of run 3: nothing to refetch.\n")
    assert json.loads(run("refetch", "--failed-of", "3", "--json").stdout) == {
        "event": "finished",
        "run": None,
        "asked": 0,
    }
    unknown = run("refetch", "--failed-of", "9", env=settings)
    assert unknown.returncode == 2
    assert "orders.sqlite has no run 9: its runs are 1 to 3." in unknown.stderr


@pytest.mark.long
def test_an_empty_source_is_told_and_is_no_error(run_process) -> None:
    done = run_process("refetch", "--ids", "-", stdin="")
    assert (done.returncode, done.stdout) == (0, "0 order ids from stdin: nothing to refetch.\n")


def test_a_dry_run_without_a_rate_says_how_long_it_takes_at_usual_ones(run) -> None:
    told = run("refetch", "--ids", "-", "--dry-run", stdin="\n".join(map(str, range(1, 3601)))).stdout
    assert "3,600 requests" in told
    assert "; 1:00:00 at 1 a second, 0:12:00 at 5 a second, 0:06:00 at 10 a second" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["orderId:7"], "No order matches the query."),
        (["--since", "2026-11-01"], "No order has changed since 2026-11-01 00:00 UTC."),
        (["orderId:100001", "--since", "2026-11-01T02:00:00+01:00"], "No order matches the query and has changed since 2026-11-01 01:00 UTC."),
    ],
)  # fmt: skip
def test_a_search_that_finds_nothing_says_so(arguments: list[str], told: str, run, settings) -> None:
    assert run("find", *arguments, env=settings) == (0, "", f"{told}\n")


def test_find_since_narrows_the_query(run, settings) -> None:
    everything = run("find", env=settings).stdout.split()
    assert run("find", "--since", "2000-01-01", env=settings).stdout.split() == everything
    assert (
        run("find", "orderId:100001 OR orderId:100002", "--since", "20000d", env=settings).stdout == "100001\n100002\n"
    )
    for wrong, told in (
        (["--since", "2999-01-01"], "2999-01-01T00:00:00Z lies in the future"),
        (["--sort", "orderId"], "must be field:asc or field:desc"),
        (["orderId:1) OR (orderId:2", "--since", "7d"], "brackets or quotes of the query do not match"),
    ):
        done = run("find", *wrong, env=settings)
        assert done.returncode == 2
        assert told in done.stderr


@pytest.mark.long
def test_progress_and_result_are_lines_for_programs(run, settings: dict[str, str]) -> None:
    done = run("refetch", *(str(n) for n in range(100_001, 100_031)), "--rate", "12", "--json", env=settings)
    *progress, finished = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 1  # one order is refused
    assert finished.items() >= {"event": "finished", "run": 1, "asked": 30, "failed": 1, "resumed": False}.items()
    assert len(progress) >= 2
    assert {line["event"] for line in progress} == {"progress"}
    assert {line["done"] + line["left"] for line in progress} == {30}
    assert progress[0]["rate"] == pytest.approx(12, rel=0.3)
    assert progress[0]["eta_seconds"] > 0
    assert (progress[-1]["done"], progress[-1]["failed"], progress[-1]["left"]) == (30, 1, 0)
    status = run("status").stdout
    assert "30 requests, " in status
    assert "0.0% too many for Quivo (429); answered: 50 % within " in status
    again = run("refetch", "--failed-of", "1", "--dry-run", env=settings).stdout
    assert again.startswith("1 request for 1 order (a new run; none left out); 0:00:00 at ")
    assert again.endswith(" a second, as reached lately\n")


@pytest.fixture
def refetched(tmp_path: Path) -> str:
    """An archive of an order that changed, and of one whose last answer cannot be read."""
    at = datetime(2026, 3, 5, 12, tzinfo=UTC)
    bodies = [
        (1, b'{"orderId":1,"comment":"canary"}'),
        (2, b'{"orderId":2}'),
        (1, b'{"orderId":1,"orderStatus":"\xc3\xa4"}'),
    ]
    with Archive(tmp_path / "orders.sqlite") as archive:
        run, _ = archive.begin([1, 2])
        for hours, (order_id, body) in enumerate([*bodies, (2, b"{")]):
            when = at + timedelta(hours=hours)
            archive.record(run, Answer(order_id, Outcome.FETCHED, when, 200, {}, body, 1, 0, 0.1, 0.1, ""))
    return "orders.sqlite"


@pytest.mark.long
def test_history_tells_what_changed_and_no_personal_value_unless_asked(run_process, refetched: str) -> None:
    for encoding, status in (("utf-8", "ä"), ("iso8859-5", "\\xe4")):
        done = run_process("history", "1", env={"PYTHONIOENCODING": encoding})
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [
            "2 changes in 1 order",
            "Order 1, seen 2026-03-05 14:00 UTC, before 2026-03-05 12:00",
            f"  ~ orders.order_status: nothing -> {status}",
            "  ~ orders.comment: (personal) -> nothing",
        ]
    assert "canary -> nothing" in run_process("history", "1", "--personal", "--archive", refetched).stdout
    told = [json.loads(line) for line in run_process("history", "1", "--json").stdout.splitlines()]
    assert [(row["column"], row["before"], row["after"]) for row in told] == [
        ("order_status", None, "ä"), ("comment", "(personal)", None),
    ]  # fmt: skip


@pytest.mark.long
def test_changes_are_told_of_all_orders_and_an_unreadable_answer_is_status_1(
    run, refetched: str, tmp_path: Path
) -> None:
    done = run("changes", "--since", "2026-03-05T14:00:00Z", "--out", "changes.parquet")
    assert done.returncode == 1
    assert done.stdout == "Written: changes.parquet, 3 changes in 2 orders; 1 answer cannot be read\n"
    assert "  ! Order 2 (orders.sqlite, response 4): The JSON is broken" in run("changes").stdout
    assert pl.read_parquet(tmp_path / "changes.parquet").height == 3
    assert "canary" not in str(pl.read_parquet(tmp_path / "changes.parquet").rows())
    none = run("changes", "--since", "1s")
    assert (none.returncode, none.stdout) == (0, "No changes\n")
    assert run("changes", "--json").stdout.count("\n") == 3
    assert run("changes", "--out", "changes.csv", "--personal").returncode == 1
    assert (tmp_path / "changes.csv").stat().st_mode & 0o777 == 0o600


@pytest.mark.long
@pytest.mark.parametrize("command", [["audit"], ["export", "--check", "excel"], ["export", "--to", "csv", "out"]])
def test_tables_that_cannot_be_read_are_told_without_a_traceback(run, tmp_path: Path, command: list[str]) -> None:
    write_ndjson(tmp_path / "orders.ndjson", 20)
    folder = build(tmp_path / "orders.ndjson", tmp_path / "tables").folder
    content = bytearray((folder / "orders.parquet").read_bytes())
    content[4:-8] = b"\xff" * (len(content) - 12)
    (folder / "orders.parquet").write_bytes(content)
    done = run(command[0], str(folder), *command[1:])
    assert done.returncode == 3
    assert "quivo-frames check" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
def test_the_same_answers_again_leave_tables_of_several_files_as_they_are(run, tmp_path: Path) -> None:
    with Archive(tmp_path / "orders.sqlite") as archive:
        record_answers(archive, {n: order_json(n) for n in range(100_001, 100_006)}, NOON)
    assert run("export-raw", "raw").returncode == 0
    assert run("build", "raw", "--out", "lake", "--format", "delta", "--jobs", "1").returncode == 0
    file = tmp_path / "lake" / "manifest.json"
    manifest = json.loads(file.read_text()) | {"built_at": "2026-01-02T03:04:05+00:00"}
    del manifest["digest"]  # as earlier versions wrote it
    file.write_text(json.dumps(manifest))
    again = run("build", "raw", "--out", "lake", "--format", "delta")
    assert "Nothing has changed since 2026-01-02 03:04 UTC" in again.stdout
    full = run("build", "raw", "--out", "lake", "--format", "delta", "--full", "--jobs", "1")
    assert "Nothing has changed" not in full.stdout
    lost = run("build", "raw", "--out", "other", "--on", "dask://127.0.0.1:9", "--jobs", "1")
    assert lost.returncode == 2
    assert "127.0.0.1:9" in lost.stderr
