"""Pages of the public names: a page a name, from its docstring, and a list of them by what they are for."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import quivo_frames

if TYPE_CHECKING:
    from docutils.nodes import Element, TextElement
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

FOREIGN_NAMES = r"(?!quivo_frames\.).*|quivo_frames\.\w+\..*"
"""What a signature may name without a page here: types of Python, of polars, of libraries, of rooms of our own."""
RETURNED = (
    "fetch.run.Run", "fetch.run.Plan", "nightly.sync_result.SyncResult", "nightly.sync_result.SyncPlan",
    "analysis.checks.findings.Findings", "maintenance.integrity.Checkup", "maintenance.receipt.ErasureReceipt",
    "model.records.Outcome", "model.records.Answer", "model.records.Failure", "model.records.Note",
    "model.privacy.PrivacyLevel",
)  # fmt: skip
"""Types that public functions return or take, and that nobody needs to name."""
GROUPS = {
    "From order ids to answers": ("Client", "Settings", "Archive", "read_ids", "plan", "refetch", "sync"),
    "From answers to tables": ("build", "flatten", "open", "Dataset", "Frames", "schema", "unflatten"),
    "What the tables say": (
        "lines", "overview", "milestones", "events", "join", "order", "SingleOrder", "audit", "Limits", "kpis", "Kpis",
        "report", "explore", "Explorer", "stuck",
    ),
    "What changed": ("changes", "history", "transitions"),
    "Upkeep": ("check", "check_for", "forget"),
    "Errors": (
        "QuivoError", "ConfigError", "LoginError", "Unreachable", "UnexpectedResponse", "ArchiveError", "DatasetError",
        "ExportError", "LostWorker", "Fault",
    ),
}  # fmt: skip
"""The public names by what they are for."""
_LONG_SIGNATURE = re.compile(r"""(<span class="sig-paren">\(</span>\s*)<dl>(.*?)</dl>""", re.DOTALL)
_ABOUT = """The public names of `import quivo_frames as qf`. What else the package has is its own, and may change."""
_ABOUT_RETURNED = """Frames of polars, mostly, and [some types of their own](api/returned.md)."""


def render_pages() -> dict[str, str]:
    """The list of public names, and the page of each.

    Raises:
        LookupError: a public name is in no group, or a group has a name that is not public.
    """
    grouped = [name for names in GROUPS.values() for name in names]
    if odd := set(grouped) ^ set(quivo_frames.__all__):
        raise LookupError(f"GROUPS in {__name__} and the public names differ in {', '.join(sorted(odd))}")
    lines = ["# Python", "", _ABOUT, "", *_hidden_tree(grouped)]
    for group, names in GROUPS.items():
        lines += ["", f"## {group}", "", "| name | what you get |", "|---|---|"]
        lines += [f"| [`{name}`](api/{_file_name(name)}.md) | {_first_line(name)} |" for name in names]
    lines += ["", "## What they return", "", _ABOUT_RETURNED]
    pages = {"api.md": "\n".join([*lines, ""]), "api/returned.md": _render_returned()}
    return pages | {f"api/{_file_name(name)}.md": _render_name(name) for name in grouped}


def _hidden_tree(names: list[str]) -> list[str]:
    return ["```{toctree}", ":hidden:", "", *(f"api/{_file_name(name)}" for name in names), "api/returned", "```"]


def _render_returned() -> str:
    lines = ["# Returned types", "", "What public functions return. Nobody needs to import or to make them."]
    for name in RETURNED:
        block = [f".. autoclass:: quivo_frames.{name}()", "   :members:"]
        lines += ["", f"## {name.rpartition('.')[2]}", "", "```{eval-rst}", *block, "```"]
    return "\n".join([*lines, ""])


def _file_name(name: str) -> str:
    """A name for a file: `order` is a function and `SingleOrder` a class, and some disks know no capitals."""
    return name if name.islower() else f"class-{name}"


def _first_line(name: str) -> str:
    return (inspect.getdoc(getattr(quivo_frames, name)) or "").partition("\n")[0].replace("|", "\\|")


def _render_name(name: str) -> str:
    value = getattr(quivo_frames, name)
    if inspect.isclass(value) and issubclass(value, Exception):
        lines = [f".. autoexception:: quivo_frames.{name}", "   :show-inheritance:"]
    elif inspect.isclass(value):
        lines = [f".. autoclass:: quivo_frames.{name}", "   :members:"]
    else:
        lines = [f".. autofunction:: quivo_frames.{name}"]
    return "\n".join([f"# {name}", "", "```{eval-rst}", *lines, "```", ""])


def mark_indented_blocks(
    _app: object, _what: str, _name: str, _value: object, _options: object, lines: list[str]
) -> None:
    """Let what is indented in a docstring be a block of text, as in Markdown; called by Sphinx."""
    marked: list[str] = []
    is_block, before = False, "Args:"
    for line in lines:
        if line.startswith("    ") and before == "" and not is_block:
            marked += [".. code-block:: python" if "qf." in line or " = " in line else ".. code-block:: text", ""]
            is_block = True
        is_block = is_block and (line.startswith("    ") or not line)
        marked.append(line)
        before = line.strip()
    lines[:] = marked


def link_bare_name(app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: TextElement) -> Element | None:
    """The link of a type that a signature names without its module, as most do; called by Sphinx."""
    if node.get("refdomain") != "py":
        return None
    name, domain = node["reftarget"].rpartition(".")[2], env.domains.python_domain
    known = [full for full, one in domain.objects.items() if full.rpartition(".")[2] == name and not one.aliased]
    kinds = [full for full in known if domain.objects[full].objtype in ("class", "exception")]
    if len(kinds) != 1:
        return None
    return domain.resolve_xref(env, node["refdoc"], app.builder, "class", kinds[0], node, shown)


def mend_definitions(_app: object, _page: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    """Let each parameter of a long signature be a line, not a definition of nothing; called by Sphinx."""
    body = _LONG_SIGNATURE.sub(
        lambda found: (
            found[1] + re.sub(r"<dd>(.*?)</dd>", r'<span class="sig-line">\1</span>', found[2], flags=re.DOTALL)
        ),
        context.get("body", ""),
    )
    context["body"] = body.replace("</strong> -- ", "</strong> – ")
