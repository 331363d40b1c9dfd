"""Options that choose orders do at the prompt what `where` does in Python, in each command that has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

import quivo_frames as qf
from quivo_frames.cli import main
from quivo_frames.standin.orders import write_ndjson

COMMANDS = ("audit", "export", "kpis", "lines", "report")
AS_OF = "2026-10-12"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sliced")
    write_ndjson(folder / "orders.ndjson", 120, broken_every=50)
    qf.build(folder / "orders.ndjson", folder / "tables", jobs=1, progress=False)
    return folder / "tables"


@pytest.fixture
def run(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command in a folder in which `tables` are the tables."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tables").symlink_to(built)
    return lambda *words, given=None: CliRunner().invoke(main, [str(word) for word in words], input=given)


def test_these_commands_have_all_options_and_no_others_have_some() -> None:
    options = {"--seller", "--warehouse", "--since", "--until", "--ids", "--status"}
    for name, command in main.commands.items():
        found = {option for parameter in command.params for option in parameter.opts}
        assert (options <= found) == (name in COMMANDS), name


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (["--seller", "2102", "--seller", "2101"], {"seller": [2102, 2101]}),
        (["--warehouse", "Lager Deutschland"], {"warehouse": "Lager Deutschland"}),
        (["--status", "SHIPPED", "--status", "COMPLETED"], {"status": ["SHIPPED", "COMPLETED"]}),
        (["--since", "2026-08-01", "--until", "2026-08-31"], {"since": "2026-08-01", "until": "2026-08-31"}),
        (["--ids", "100001, 100002,4711"], {"ids": [100_001, 100_002, 4711]}),
    ],
)
def test_the_orders_are_those_of_python(
    run: Callable[..., Result], built: Path, words: list[str], given: dict[str, object]
) -> None:
    cut = qf.open(built).where(**given)  # type: ignore[arg-type]
    done = run("lines", *words, "--json")
    assert [json.loads(line)["line_key"] for line in done.stdout.splitlines()] == cut.scan.lines.collect()[
        "line_key"
    ].to_list()
    assert done.stderr == f"{cut.summary_line()}\n"
    assert cut.summary_line().startswith(f"{cut.orders.height} orders of 118: ")


def test_ids_come_from_a_file_or_a_pipe(run: Callable[..., Result], built: Path, tmp_path: Path) -> None:
    (tmp_path / "ids.csv").write_text("order_id\n100003\n100004\n")
    (tmp_path / "12").write_text("100003 100004")
    expected = qf.open(built).only([100_003, 100_004]).scan.lines.collect()["line_key"].to_list()
    for words, given in ((("ids.csv",), None), (("-",), "100003\n100004\n"), (("./12",), None)):
        done = run("lines", "--ids", *words, "--json", given=given)
        assert [json.loads(line)["line_key"] for line in done.stdout.splitlines()] == expected


def test_words_and_durations_are_dates(run: Callable[..., Result], built: Path) -> None:
    days = (datetime.now(UTC) - datetime(2026, 8, 1, tzinfo=UTC)).days
    done = run("kpis", "--since", f"{days}d", "--only", "volume", "--json")
    moment = datetime.now(UTC) - timedelta(days=days)
    dated = pl.col("order_date") >= moment
    expected = qf.open(built).orders.filter(dated).height
    assert json.loads(done.stdout)["kpis"]["volume"]["rows"][0]["orders"] == expected
    assert run("lines", "--until", "yesterday").exit_code == run("lines", "--since", "today").exit_code == 0


@pytest.mark.long
def test_an_audit_and_its_report_are_about_the_slice(run: Callable[..., Result], built: Path, tmp_path: Path) -> None:
    words = ("--seller", "2101", "--status", "COMPLETED")
    cut = qf.open(built).where(seller=2101, status="COMPLETED")
    facts = json.loads(run("audit", *words, "--as-of", AS_OF, "--out", "f.csv", "--json").stdout)
    assert facts["findings"] == qf.audit(cut, AS_OF).height == pl.read_csv(tmp_path / "f.csv").height
    done = run("report", "tables", "out.html", *words, "--as-of", AS_OF)
    assert done.exit_code in (0, 1), done.stderr
    assert "Only some of the orders: seller 2101, status COMPLETED." in (tmp_path / "out.html").read_text()
    assert not (built / "findings.parquet").exists()


@pytest.mark.long
def test_a_colleague_works_with_what_was_exported(run: Callable[..., Result], built: Path, tmp_path: Path) -> None:
    wanted = qf.open(built).where(seller=2101)
    order_id = wanted.orders["order_id"][0]
    words = ("export", "tables", "--to", "parquet", "colleague", "--seller", "2101", "--privacy", "none")
    done = run(*words)
    assert done.exit_code == 0, done.stderr
    assert qf.open(tmp_path / "colleague").orders["order_id"].equals(wanted.orders["order_id"])
    for words in (
        ("audit", "colleague"), ("kpis", "colleague"), ("lines", "colleague", "--ids", order_id),
        ("show", order_id, "--from", "colleague"), ("report", "colleague", "out.html"), ("check", "colleague"),
        ("export", "colleague", "--to", "csv", "csv", "--status", "COMPLETED"), ("export", "colleague", "--check", "excel"),
    ):  # fmt: skip
        done = run(*words)
        assert done.exit_code in (0, 1), (words, done.stderr)
        assert done.exit_code == 0 or words[0] in ("audit", "report")
    done = run("build", built.parent / "orders.ndjson", "--out", "colleague")
    assert done.exit_code == 2
    assert "holds tables that were exported" in done.stderr
    assert "rows taken out of colleague" in run("forget", order_id, "--tables", "colleague", "--yes").stdout
    assert order_id not in qf.open(tmp_path / "colleague").orders["order_id"]


def test_a_slice_may_have_no_orders(run: Callable[..., Result]) -> None:
    done = run("lines", "--since", "2030-01-01")
    assert done.exit_code == 0
    assert done.stderr == "0 orders of 118: since 2030-01-01 00:00\n"


@pytest.mark.parametrize("command", ["audit", "kpis", "lines", "report"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--seller", "Nobody"), "No order is of the seller Nobody. There are: "),
        (("--status", "shipped"), "No order has the status shipped. There are: CANCELLED, "),
        (("--seller", ""), "it is empty. Give the text to look for"),
        (("--since", "June"), "June is neither a day nor an instant"),
        (("--until", "June"), "June is neither a day nor an instant"),
        (("--ids", "nowhere.csv"), "There is no file nowhere.csv"),
        (("--ids", ""), "it is empty. Name a file"),
    ],
)
def test_what_is_no_slice_is_said_in_a_sentence(
    run: Callable[..., Result], command: str, words: tuple[str, ...], message: str
) -> None:
    done = run(command, *words)
    assert done.exit_code == 2
    assert message in done.stderr
