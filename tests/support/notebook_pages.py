"""Notebooks that are run and written as pages, without any network: `python -m tests.support.notebook_pages FOLDER`."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.paths import ROOT

if TYPE_CHECKING:
    from nbformat import NotebookNode

_WIDGET = "application/vnd.jupyter.widget-view+json"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def read_cells(path: Path) -> list[dict[str, Any]]:
    """The cells of a notebook, each with its source as one text."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell | {"source": "".join(cell["source"])} for cell in cells]


def run_notebook(path: Path, folder: Path) -> NotebookNode:
    """A notebook with its outputs, run from top to bottom in a working folder."""
    import nbformat  # takes seconds
    from nbclient import NotebookClient

    notebook: NotebookNode = nbformat.read(path, as_version=4)
    quiet = ["--IPKernelApp.log_level=40"]  # each kernel warns that programs of this machine may listen
    NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": str(folder)}}, extra_arguments=quiet
    ).execute()
    return notebook


def drop_widgets(notebook: NotebookNode) -> NotebookNode:
    """The notebook without bars of progress, which load what draws them."""
    for cell in notebook.cells:
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if _WIDGET not in output.get("data", {})]
    notebook.metadata.pop("widgets", None)
    return notebook


def page_of(notebook: NotebookNode) -> str:
    """The notebook as a page that loads nothing from elsewhere."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(mathjax_url="", require_js_url="", jquery_url="")
    return str(exporter.from_notebook_node(drop_widgets(notebook))[0])


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for path in NOTEBOOKS:
        with tempfile.TemporaryDirectory() as folder:
            page = out / f"{path.stem}.html"
            page.write_text(page_of(run_notebook(path, Path(folder))), encoding="utf-8")
            print(f"{page}: {page.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
