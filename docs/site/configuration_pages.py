"""The page of the configuration: quivo.toml and the environment, from the settings and what is written below each."""

from __future__ import annotations

import inspect
import tempfile
import types
from pathlib import Path
from typing import get_type_hints

import msgspec
from pydantic import SecretStr
from sphinx.pycode import ModuleAnalyzer

from quivo_frames.builder import build_settings
from quivo_frames.display import native_text
from quivo_frames.fetch import http
from quivo_frames.flattening import core_choice
from quivo_frames.nightly.project_file import ProjectAnswers, write_project
from quivo_frames.settings import project, settings
from quivo_frames.settings.settings import Settings

_ABOUT = """Options of a command go first, then `quivo.toml` in the folder that you are in, then what is the default.
Credentials are never in that file: they come from the environment, from a file `.env`, or from the keyring."""
_ABOUT_FILE = """[`quivo-frames init`](commands/init.rst) writes it, [`quivo-frames sync`](commands/sync.rst) does what
it says, and the other commands take their places from it. Names of files and folders are meant from its own folder."""
_ABOUT_ENVIRONMENT = """The first place that has a value counts: an argument, the environment, the file `.env` in the
folder that you are in, and, of the credentials and the key of pseudonyms, the keyring (service `quivo_frames`).
[`quivo-frames doctor`](commands/doctor.rst) says which are set, and from where."""
_ABOUT_OTHERS = """From the environment alone:"""
_ABOUT_LIMITS = """A file of your own, with [thresholds](checks.md#thresholds) of the audit and the
[calendar](kpis.md#the-calendar) of the warehouses; `quivo.toml` names it as `limits`, commands take it
as `--limits`."""


def render_pages() -> dict[str, str]:
    """The page of the configuration."""
    lines = ["# Configuration", "", _ABOUT, "", "## quivo.toml", "", _ABOUT_FILE]
    for heading, kind in _sections():
        lines += ["", f"### {heading}", "", *_describe_section(kind)]
    lines += ["", "### As init writes it", "", "```toml", _written_file(), "```"]
    lines += ["", "## Environment", "", _ABOUT_ENVIRONMENT, "", *_describe_environment()]
    lines += ["", _ABOUT_OTHERS, "", *_describe_other_variables()]
    return {"configuration.md": "\n".join([*lines, "", "## limits.toml", "", _ABOUT_LIMITS, ""])}


def attribute_docs(module: types.ModuleType) -> dict[tuple[str, str], str]:
    """The sentence below each attribute of a module and of its classes, by class ("" for none) and name."""
    found = ModuleAnalyzer.for_module(module.__name__).find_attr_docs()
    return {place: " ".join(lines).strip() for place, lines in found.items()}


def _sections() -> list[tuple[str, type[msgspec.Struct]]]:
    """The sections of quivo.toml as they are written, the one without a name first."""
    kinds: list[tuple[str, type[msgspec.Struct]]] = [("archive and tables", project.Project)]
    for name, kind in get_type_hints(project.Project).items():
        if inspect.isclass(kind) and issubclass(kind, msgspec.Struct):
            kinds.append((f"[{name}]", kind))
    return [*kinds, ("[[exports]]", project.ExportEntry)]


def _describe_section(kind: type[msgspec.Struct]) -> list[str]:
    docs = attribute_docs(project)
    rows = []
    for field in msgspec.structs.fields(kind):
        if (inspect.isclass(field.type) and issubclass(field.type, msgspec.Struct)) or field.name == "exports":
            continue  # a section of its own
        shown = "required" if field.default is msgspec.NODEFAULT else _show_default(field.default)
        rows.append(f"| `{field.name}` | {shown} | {docs[kind.__name__, field.name]} |")
    about = (kind.__doc__ or "").partition("\n")[0]
    return [about, "", "| key | default | meaning |", "|---|---|---|", *rows]


def _show_default(value: object) -> str:
    if value is None or value == ():
        return "–"
    return f"`{str(value).lower() if isinstance(value, bool) else value!r}`".replace("'", '"')


def _written_file() -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / project.PROJECT_FILE
        write_project(path, ProjectAnswers(query="sellerId:2101", exports=("excel",)))
        return path.read_text(encoding="utf-8").strip()


def _describe_environment() -> list[str]:
    docs = attribute_docs(settings)
    rows = [
        (
            name,
            "–" if field.annotation is SecretStr or field.default == "" else f"`{field.default}`",
            docs["Settings", name],
        )
        for name, field in Settings.model_fields.items()
    ]
    rows.append(("pseudonym_key", "–", docs["_PseudonymKeySettings", "pseudonym_key"]))
    return [
        "| variable | default | meaning |", "|---|---|---|",
        *(f"| `QUIVO_{name.upper()}` | {default} | {meaning} |" for name, default, meaning in rows),
    ]  # fmt: skip


def _describe_other_variables() -> list[str]:
    constants = (
        (core_choice, "VARIABLE"), (build_settings, "SIZE_VARIABLE"), (native_text, "DEBUG_VARIABLE"),
        (http, "CA_VARIABLES"),
    )  # fmt: skip
    lines = ["| variable | meaning |", "|---|---|"]
    for module, name in constants:
        value = getattr(module, name)
        names = (value,) if isinstance(value, str) else value
        lines.append(f"| {', '.join(f'`{each}`' for each in names)} | {attribute_docs(module)['', name]} |")
    return lines
