"""quivo.toml: the places that commands work on, and what `sync` does with them every night."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from quivo_frames.errors import ConfigError
from quivo_frames.settings.durations import DURATION_FORMS, parse_duration
from quivo_frames.settings.toml_file import read_toml_file

PROJECT_FILE = "quivo.toml"
EVERYTHING = "all"
"""What `first` says where the first sync looks for all orders, whenever they changed."""
_EXAMPLE = 'Write lines such as tables = "tables", or make a new one: quivo-frames init.'
_SECRET_NAME = re.compile(r"`(api_?key|username|password|token|pseudonym_key)`", re.IGNORECASE)

Name = Annotated[str, Meta(min_length=1)]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    durations: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for name in self.durations:
            text = getattr(self, name)
            words = (None, EVERYTHING) if name == "first" else (None,)
            if text not in words and parse_duration(text) is None:
                raise ConfigError(f"{name} is {text!r}. Write a duration: {DURATION_FORMS}.")


class FindSection(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which orders `sync` looks for: `query` in Quivo's syntax, first those changed within `first`, or "all"."""

    durations = ("first", "overlap")

    query: str = ""
    """Which orders, in Quivo's query syntax, such as sellerId:2101 AND orderStatus:PROCESSING. Empty: all."""
    first: str = "30d"
    """The first sync looks for orders that changed within this time; `all`: for all."""
    overlap: str = "2h"
    """Later ones look back this much further than the last, as Quivo's index lags behind the orders."""
    events: tuple[Name, ...] = ()
    """Files of webhook events, or folders of them, as further sources of ids."""


class RefetchSection(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How gently `sync` refetches: at most `max_requests` orders at a time."""

    durations = ("max_age",)

    max_age: str | None = None
    """An order that was fetched within this time waits for a later sync."""
    max_requests: Annotated[int, Meta(ge=1)] = 5_000
    """`sync` ends before its first request if there are more orders."""
    rate: Annotated[float, Meta(gt=0)] | None = None
    """Requests a second, at most."""
    workers: Annotated[int, Meta(ge=1, le=64)] = 4
    """Requests that run at the same time, at most."""


class BuildSection(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the tables are built."""

    privacy: str = "full"
    """Which personal values the tables hold: full, pseudonym or none."""
    derived: bool = True
    """Whether to write lines, line_rows, overview, milestones and events, too."""


class AuditSection(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The thresholds and the accepted findings of audits, KPIs and reports."""

    limits: Name | None = None
    """A file of thresholds, of the calendar of the warehouses, and of SKUs that nobody ships."""
    accepted: Name | None = None
    """A file of findings that you can live with: see `quivo-frames accept`."""


class ReportSection(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The report that `sync` writes: none if `file` is empty."""

    file: str = "report.html"
    """Where the report goes. Empty: none is written."""
    on_time_against: str = "latest_delivery_date"
    """The promised date that on time is measured against."""


class ExportEntry(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An export that `sync` writes."""

    to: Name
    """The format."""
    out: Name
    """The file or folder that is replaced."""
    privacy: str | None = None
    """Which personal values it holds: full, pseudonym or none. Without it, those of the tables."""
    by_month: bool = False
    """Of parquet: a folder for each month of the order date."""


_SECTIONS: dict[str, type[_Section]] = {
    "find": FindSection, "refetch": RefetchSection, "build": BuildSection, "audit": AuditSection,
    "report": ReportSection, "[exports]": ExportEntry,
}  # fmt: skip


class Project(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What quivo.toml says; without one, the places that commands use by default."""

    archive: Name = "orders.sqlite"
    """The archive: every answer of Quivo, as received."""
    tables: Name = "tables"
    """The folder of the tables that are built from it."""
    find: FindSection = FindSection()
    refetch: RefetchSection = RefetchSection()
    build: BuildSection = BuildSection()
    audit: AuditSection = AuditSection()
    report: ReportSection = ReportSection()
    exports: tuple[ExportEntry, ...] = ()

    def placed_in(self, folder: Path) -> Project:
        """The same with relative names of files and folders meant from `folder`."""

        def join_folder(name: str) -> str:
            return name if "://" in name or not name else str(folder / name)

        def join_if_named(name: str | None) -> str | None:
            return None if name is None else join_folder(name)

        replace = msgspec.structs.replace
        return replace(
            self,
            archive=join_folder(self.archive),
            tables=join_folder(self.tables),
            find=replace(self.find, events=tuple(map(join_folder, self.find.events))),
            audit=AuditSection(limits=join_if_named(self.audit.limits), accepted=join_if_named(self.audit.accepted)),
            report=replace(self.report, file=join_folder(self.report.file)),
            exports=tuple(replace(export, out=join_folder(export.out)) for export in self.exports),
        )


def _describe_settings() -> str:
    sections = [f"[{name}] {', '.join(kind.__struct_fields__)}" for name, kind in _SECTIONS.items()]
    return f"The settings are: {'; '.join(['archive, tables', *sections])}."


def read_project(file: Path = Path(PROJECT_FILE)) -> Project:
    """What quivo.toml says, that of the working folder if no other is named; the defaults if there is none.

    Names of files and folders in it are meant from its own folder.

    Raises:
        ConfigError: it cannot be read, or does not fit; also if it holds a credential.
    """
    if not file.exists():
        return Project()
    try:
        found = read_toml_file(file, Project, _EXAMPLE, _describe_settings())
    except ConfigError as error:
        if _SECRET_NAME.search(str(error)):
            raise ConfigError(
                f"{file} holds credentials, which are read from the environment, a file .env or the keyring alone: "
                "take them out, as such a file is often shared."
            ) from None
        raise
    return found.placed_in(file.parent)
