"""The sources of the site: pages of the project with links that fit, notebooks that were run, and generated pages."""

from __future__ import annotations

import posixpath
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import nbformat

from docs.site import api_pages, command_pages, configuration_pages, dictionary_page, message_pages, table_pages
from docs.site.places import FILES, OWN_PAGES, ROOT, page_of, rewrite_links
from tests.support.notebook_pages import NOTEBOOKS, drop_widgets, run_notebook

_SITE = Path(__file__).parent
_PAGES_OF_THE_PROJECT = ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
_COLUMNS_MARK, _EXTRAS_MARK = "<!-- columns -->", "<!-- extras -->"
_EXTRAS = re.compile(r"^\| extra \|.*?\n\n", re.DOTALL | re.MULTILINE)
_SCHEMAS = ("dictionary", "checks", "kpis", "readers")


class SiteSources:
    """A folder of sources that is being filled. What pages link to, and is no page, is copied into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._folders: set[str] = set()

    def add(self, page: str, text: str) -> None:
        """Write a page of the site."""
        path = self.folder / page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def add_page_of_project(self, path: str, text: str | None = None) -> None:
        """Write what a Markdown file of the project says, with links of the site."""
        read = (ROOT / path).read_text(encoding="utf-8") if text is None else text
        self.add(page_of(path) or path, rewrite_links(read, path, self.place))

    def place(self, target: str) -> str:
        """Where a file or folder of the project stands in the site; it is copied, or listed, if it is no page.

        Raises:
            FileNotFoundError: there is no such file.
        """
        path = ROOT / target
        if page := page_of(target):
            if page.startswith("project/") and "/" in target and not (self.folder / page).exists():
                self.add(page, "")  # pages may lead to each other
                text = path.read_text(encoding="utf-8")
                self.add_page_of_project(target, f"---\norphan: true\n---\n\n{text}")
            return page
        if path.is_dir() and (path / "README.md").exists():
            return self.place(f"{target}/README.md")
        if path.is_dir():
            self._folders.add(target)
            return f"{FILES}{target}/index.md"
        copy = self.folder / FILES / target
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        return f"{FILES}{target}"

    def list_folders(self) -> None:
        """Write a page for each folder that a page links to: its files."""
        for folder in sorted(self._folders):
            lines = ["---", "orphan: true", "---", "", f"# {folder}", ""]
            files = (path for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix != ".pyc")
            for name in sorted(path.relative_to(ROOT / folder).as_posix() for path in files):
                address = posixpath.relpath(self.place(f"{folder}/{name}"), f"{FILES}{folder}")
                lines.append(f"- [{name}]({address})")
            self.add(f"{FILES}{folder}/index.md", "\n".join([*lines, ""]))


def write_sources(folder: Path) -> None:
    """Fill a folder, which is emptied first, with the sources of the site.

    Raises:
        FileExistsError: the folder holds something else.
    """
    remove_earlier(folder, "conf.py")
    folder.mkdir(parents=True)
    shutil.copyfile(_SITE / "conf.py", folder / "conf.py")  # first, so that the folder is known for what it is
    shutil.copytree(_SITE / "assets", folder / "assets")
    sources = SiteSources(folder)
    for path in sorted((ROOT / OWN_PAGES).rglob("*.md")):
        text = path.read_text(encoding="utf-8").replace(_COLUMNS_MARK, dictionary_page.list_inferred_columns())
        page = path.relative_to(ROOT).as_posix()
        sources.add_page_of_project(page, text.replace(_EXTRAS_MARK, _extras_of_readme(page)))
    for path in sorted((ROOT / "docs").glob("*.md")):
        sources.add_page_of_project(f"docs/{path.name}")
    for name in _PAGES_OF_THE_PROJECT:
        sources.add_page_of_project(name)
    for name in _SCHEMAS:
        text = (ROOT / "schemas" / f"{name}.md").read_text(encoding="utf-8")
        sources.add_page_of_project(
            f"schemas/{name}.md", dictionary_page.add_anchors(text) if name == "dictionary" else text
        )
    for pages in (api_pages, command_pages, configuration_pages, message_pages, table_pages):
        generated: Mapping[str, str] = pages.render_pages()
        for page, text in generated.items():
            sources.add(f"reference/{page}", text)
    _run_notebooks(sources)
    sources.list_folders()


def remove_earlier(folder: Path, mark: str) -> None:
    """Remove a folder that an earlier run made, which has a file of the name `mark`.

    Raises:
        FileExistsError: it holds something else.
    """
    if (folder / mark).exists():
        shutil.rmtree(folder)
    elif folder.exists() and any(folder.iterdir()):
        raise FileExistsError(
            f"{folder} holds something else, and stays as it is. Remove it, or choose another folder."
        )
    elif folder.exists():
        folder.rmdir()


def _extras_of_readme(page: str) -> str:
    """The table of what can be installed besides, which stands in the README, with links that lead on from a page.

    Raises:
        LookupError: it does not.
    """
    found = _EXTRAS.search((ROOT / "README.md").read_text(encoding="utf-8"))
    if not found:
        raise LookupError("README.md has no table of extras")
    return re.sub(
        r"\]\((?!https?:)([^)#]+)",
        lambda link: f"]({posixpath.relpath(link[1], posixpath.dirname(page))}",
        found[0].strip(),
    )


def _run_notebooks(sources: SiteSources) -> None:
    """Write the notebooks with their outputs; each is run once, in a folder of its own."""
    for path in NOTEBOOKS:
        with tempfile.TemporaryDirectory() as folder:
            notebook = drop_widgets(run_notebook(path, Path(folder)))
        heading = ""
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = rewrite_links(cell.source, f"notebooks/{path.name}", sources.place)
                heading = next((line.lstrip("# ") for line in cell.source.splitlines() if line[:1] == "#"), heading)
            elif any("image/svg+xml" in output.get("data", {}) for output in cell.outputs):
                cell.metadata["mystnb"] = {"image": {"alt": f"Chart: {heading}"}}
        place = sources.folder / (page_of(f"notebooks/{path.name}") or "")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(nbformat.writes(notebook), encoding="utf-8")  # type: ignore[no-untyped-call]
