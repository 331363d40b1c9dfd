"""Writes quivo.toml: the answers to five questions, with a comment on each setting that a user may want."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import NamedTuple

import tomli_w

from quivo_frames.errors import ConfigError
from quivo_frames.export.formats import ExportFormat, parse_export_format
from quivo_frames.model.privacy import PrivacyLevel, privacy_level
from quivo_frames.settings.durations import parse_duration
from quivo_frames.settings.project import EVERYTHING, Project, read_project
from quivo_frames.storage.atomic import OutputKind, refuse_output_file, write_file_atomically
from quivo_frames.storage.path_names import check_path

OUTPUT_NAMES = {
    ExportFormat.EXCEL: "orders.xlsx",
    ExportFormat.DUCKDB: "orders.duckdb",
    ExportFormat.PARQUET: "for-bi",
    ExportFormat.CSV: "csv",
    ExportFormat.DELTA: "delta",
    ExportFormat.OCEL: "events.sqlite",
    ExportFormat.DUCKLAKE: "lake",
    ExportFormat.POWERBI: "for-power-bi",
}
"""Where `init` lets each export go, beside quivo.toml."""


_PROJECT_FILE = OutputKind("quivo.toml", lambda _: False, (".toml",))


class ProjectAnswers(NamedTuple):
    """The answers to the questions of `init`."""

    query: str = ""
    first: str = "30d"
    tables: str = "tables"
    exports: tuple[str, ...] = ()
    privacy: str = PrivacyLevel.NONE


def write_project(file: Path, answers: ProjectAnswers) -> Project:
    """Write quivo.toml; what it says.

    Raises:
        ConfigError: an answer cannot be used, or the file is there already.
        ExportError: the file cannot be written.
    """
    path = check_path(file)
    if path.exists() or path.is_symlink():
        raise ConfigError(f"{file} is there already, and stays as it is. Change it with an editor.")
    refuse_output_file(path, _PROJECT_FILE)
    if answers.first != EVERYTHING and parse_duration(answers.first) is None:
        raise ConfigError(f"{answers.first!r} is no duration. Write 24h, 7d, 30d, 8w, or all.")
    forms, privacy = [parse_export_format(form) for form in answers.exports], privacy_level(answers.privacy)
    report = "report.html" if importlib.util.find_spec("altair") else ""
    try:
        content = _render_project(answers, forms, privacy, report).encode()
    except UnicodeEncodeError as error:
        raise ConfigError("An answer is not UTF-8 text. Write it again, in a terminal that uses UTF-8.") from error
    write_file_atomically(path, content, _PROJECT_FILE)
    return read_project(path)


def _render_project(answers: ProjectAnswers, forms: list[ExportFormat], privacy: PrivacyLevel, report: str) -> str:
    def toml_line(name: str, value: object) -> str:
        return tomli_w.dumps({name: value}).strip()

    exports = "".join(
        f"\n[[exports]]\n{toml_line('to', str(form))}\n{toml_line('out', OUTPUT_NAMES[form])}\n"
        f"{toml_line('privacy', str(privacy))}\n"
        for form in forms
    )
    return f"""\
# What quivo-frames does in this folder. `quivo-frames sync` does all of it, and `audit`, `show`, `kpis`, `lines`,
# `export` take their places from here. No key and no password belongs into this file: they are read from the
# environment, a file .env, or the keyring.

archive = "orders.sqlite"  # every answer of Quivo, as received
{toml_line("tables", answers.tables)}  # what is built from it

[find]
# Which orders, in Quivo's query syntax, such as sellerId:2101 AND orderStatus:PROCESSING. Empty: all.
{toml_line("query", answers.query)}
{toml_line("first", answers.first)}  # the first sync looks for orders that changed within this time; all: for all
overlap = "2h"  # later ones look back this much further than the last, as Quivo's index lags behind the orders
# events = ["webhooks"]  # files of webhook events, or folders of them, whose orders are refetched as well

[refetch]
max_requests = 5000  # sync ends before its first request if there are more orders; allow more with --max-requests
# rate = 5  # requests a second at most
# max_age = "6h"  # an order that was fetched within this time waits for a later sync

[build]
privacy = "full"  # none, pseudonym or full: which personal values the tables hold

[audit]
# limits = "limits.toml"  # thresholds, the calendar of the warehouses, SKUs that nobody ships
# accepted = "accepted-findings.toml"  # what you can live with: see `quivo-frames accept`

[report]
{toml_line("file", report)}  # empty: none; it needs pip install 'quivo-frames[report]'
on_time_against = "latest_delivery_date"  # the promised date that on time is measured against

# Exports, written by each sync: to {", ".join(OUTPUT_NAMES)}.
{
        exports
        or '''# [[exports]]
# to = "excel"
# out = "orders.xlsx"
# privacy = "none"
'''
    }"""
