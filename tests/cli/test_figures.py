"""`quivo-frames kpis`, `lines` and `report`: what they print and write, and their exit status."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from click.testing import CliRunner, Result

import quivo_frames as qf
from quivo_frames.analysis.kpi.kpis import GROUPS, PROMISES
from quivo_frames.cli import figure_commands, main
from quivo_frames.standin.orders import write_ndjson

if TYPE_CHECKING:
    from collections.abc import Callable

AS_OF = "2026-10-12"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    write_ndjson(folder / "orders.ndjson", 120)
    qf.build(folder / "orders.ndjson", folder / "tables", jobs=1, progress=False)
    return folder / "tables"


@pytest.fixture
def run(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command in a folder in which `tables` are the tables."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tables").symlink_to(built)

    def run(*words: object, width: int = 120) -> Result:
        return CliRunner().invoke(main, [str(word) for word in words], env={"COLUMNS": str(width)})

    return run


@pytest.mark.long
def test_kpis_are_printed_in_plain_numbers(run: Callable[..., Result], built: Path) -> None:
    done, volume = run("kpis"), qf.kpis(built).volume
    assert done.exit_code == 0
    assert f"Volume ({volume['orders'][0]} orders)" in done.stdout
    found = re.search(r"Volume .*\n.*\n.*\n(.*)", done.stdout)
    assert found
    assert found[1].split() == [f"{number:,}" for number in volume.row(0)]
    rate = qf.kpis(built).fill_rate["line_rate"][0]
    assert f"{100 * rate:.1f} %" in done.stdout


@pytest.mark.long
@pytest.mark.parametrize("width", [20, 80, *(pytest.param(width, marks=pytest.mark.long) for width in (60, 200))])
def test_no_number_is_cut_however_narrow_the_terminal_is(run: Callable[..., Result], built: Path, width: int) -> None:
    for words in (("kpis", "--by", "warehouse", "--by", "month"), ("lines",)):
        shown = run(*words, width=width).stdout
        assert "…" not in re.sub("… and .* more", "", shown)
    numbers = qf.kpis(built).volume.row(0)
    shown = run("kpis", width=width).stdout.split()
    assert all(f"{number:,}" in shown for number in numbers)


def test_kpis_by_groups_for_programs_are_those_of_python(run: Callable[..., Result], built: Path) -> None:
    done = run("kpis", "tables", "--by", "carrier", "--by", "month", "--as-of", AS_OF, "--json")
    facts, expected = json.loads(done.stdout), qf.kpis(built, ("carrier", "month"), AS_OF)
    assert (facts["by"], facts["on_time_against"]) == (["carrier", "month"], "latest_delivery_date")
    assert list(facts["kpis"]) == list(expected)
    for name, frame in expected.items():  # the order in which polars adds fractions up is not always the same
        assert facts["kpis"][name]["rows"] == [pytest.approx(row) for row in frame.to_dicts()], name
    assert {name: kpi["orders"] for name, kpi in facts["kpis"].items()} == expected.about


@pytest.mark.long
def test_limits_and_the_promise_count_as_in_the_report(run: Callable[..., Result], built: Path, tmp_path: Path) -> None:
    (tmp_path / "limits.toml").write_text('late_hours = 100\ntime_zone = "Europe/Vienna"\n')
    options = ("--limits", "limits.toml", "--on-time-against", "expected_delivery_date")
    done = run("kpis", *options, "--only", "on_time", "--json")
    facts = json.loads(done.stdout)["kpis"]
    expected = qf.kpis(
        built, tolerance=timedelta(hours=100), limits=tmp_path / "limits.toml",
        on_time_against="expected_delivery_date",
    )  # fmt: skip
    assert list(facts) == ["on_time"]
    assert facts["on_time"]["rows"] == expected.on_time.to_dicts()
    assert facts["on_time"]["rows"] != qf.kpis(built).on_time.to_dicts()


def test_a_file_of_kpis_has_every_figure_in_a_row_of_its_own(run: Callable[..., Result], built: Path) -> None:
    done = run("kpis", "--by", "month", "--out", "kpis.parquet")
    assert done.stdout == "Written: kpis.parquet\n"
    rows, expected = pl.read_parquet("kpis.parquet"), qf.kpis(built, "month")
    assert rows.height == sum(
        frame.height * sum(dtype.is_numeric() for dtype in frame.dtypes) for frame in expected.values()
    )
    orders = rows.filter(kpi="volume", figure="orders").select("month", "value")
    assert orders.rows() == expected.volume.select("month", pl.col("orders").cast(float)).rows()
    kept = rows.filter(kpi="on_time", figure="rate", part="latest_ship_date")["value"].to_list()
    assert kept == expected.on_time.filter(reference="latest_ship_date")["rate"].to_list()
    assert set(rows.filter(kpi="carriers")["carrier"]) == set(expected.carriers["carrier"])


def test_a_kpi_that_is_none_is_told(run: Callable[..., Result]) -> None:
    done = run("kpis", "--only", "punctuality")
    assert done.exit_code == 2
    assert "There is no KPI 'punctuality'. The KPIs are: volume, perfect_order, " in done.stderr


def test_the_choices_are_those_of_the_package() -> None:
    assert figure_commands.GROUPS == GROUPS
    (option,) = (found for found in main.commands["kpis"].params if found.name == "on_time")
    assert re.findall(r"\w+_(?:date|time)\b", option.help) == list(PROMISES)


def test_lines_are_summed_up_and_the_first_are_shown(run: Callable[..., Result], built: Path) -> None:
    lines = qf.open(built).lazy("lines").collect()
    done = run("lines")
    head, *rest = done.stdout.splitlines()
    ordered, orders = lines["ordered"].sum(), lines["order_id"].n_unique()
    assert done.exit_code == 0
    assert head.startswith(f"{lines.height:,} lines of {orders:,} orders. Pieces: {ordered:,} ordered, ")
    assert rest[-1] == f"… and {lines.height - 50:,} more lines; --out FILE has all lines and columns."


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_the_columns_of_lines_fit_the_terminal(run: Callable[..., Result], width: int) -> None:
    shown = run("lines", "--open", width=width).stdout.splitlines()
    table = shown[1:-1]
    assert max(map(len, table)) <= width
    assert table[0].split()[:2] == ["order", "SKU"]
    assert ("warehouse" in table[0].split()) == (width >= 100)
    assert ("open" in table[0].split()) == (width >= 60)


def test_lines_are_chosen(run: Callable[..., Result], built: Path) -> None:
    lines = qf.open(built).lazy("lines").collect()
    printed = run("lines", "--open", "--json").stdout
    rows = [json.loads(line) for line in printed.splitlines()]
    open_keys = [row["line_key"] for row in lines.iter_rows(named=True) if (row["open"] or 0) > 0]
    assert [row["line_key"] for row in rows] == open_keys
    sku, order_id = lines["sku"][0], lines["order_id"][5]
    rows = [json.loads(line) for line in run("lines", "--sku", sku, "--json").stdout.splitlines()]
    assert {row["sku"] for row in rows} == {sku}
    assert len(rows) == (lines["sku"] == sku).sum()
    rows = [json.loads(line) for line in run("lines", "--order", order_id, "--json").stdout.splitlines()]
    assert {row["order_id"] for row in rows} == {order_id}
    assert run("lines", "--sku", "nobody has this").stdout == "No lines.\n"


def test_a_file_of_lines_has_all_columns_and_the_folder_knows_it(run: Callable[..., Result], built: Path) -> None:
    lines = qf.open(built).lazy("lines").collect()
    chosen = lines.filter(pl.col("open") > 0)
    done = run("lines", "--open", "--out", "open.parquet")
    assert done.stdout == f"Written: open.parquet, {chosen.height:,} lines\n"
    assert pl.read_parquet("open.parquet").equals(chosen)
    assert str(Path("open.parquet").absolute()) in [saved.path for saved in qf.open(built).outputs.read().saved]


@pytest.mark.long
def test_the_report_is_that_of_the_audit(run: Callable[..., Result], tmp_path: Path) -> None:
    audited = run("audit", "--html", "audit.html", "--as-of", AS_OF, "--skip", "short_shipped")
    done = run("report", "--as-of", AS_OF, "--skip", "short_shipped")
    assert (audited.exit_code, done.exit_code) == (1, 1)
    assert done.stdout == audited.stdout.replace("audit.html", "report.html")
    assert (tmp_path / "report.html").read_bytes() == (tmp_path / "audit.html").read_bytes()


@pytest.mark.long
@pytest.mark.parametrize("words", [("june.html",), pytest.param(("tables", "june.html"), marks=pytest.mark.long)])
def test_a_single_name_of_a_page_is_where_the_report_goes(run: Callable[..., Result], words: tuple[str, ...]) -> None:
    done = run("report", *words, "--as-of", AS_OF)
    assert done.exit_code == 1
    assert "Written: june.html" in done.stdout
    assert Path("june.html").exists()
