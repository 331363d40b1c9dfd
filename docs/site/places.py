"""Where a file of the project stands in the site, and links that lead there."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
OWN_PAGES = "docs/site/pages/"
FILES = "files/"
"""Where files of the project that are no pages stand in the site."""
_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "SECURITY.md": "project/security.md",
    "docs/first-day.md": "tutorials/first-day.md",
    "docs/stability.md": "explanation/stability.md",
    "docs": "how-to/index.md",
    "notebooks": "tutorials/index.md",
    "schemas": "reference/index.md",
}
_FOLDERS = (
    (r"docs/site/pages/(.+)", r"\1"),
    (r"docs/([\w-]+\.md)", r"how-to/\1"),
    (r"notebooks/([\w-]+\.ipynb)", r"tutorials/\1"),
    (r"schemas/(\w+\.md)", r"reference/\1"),
    (r"((?:quivo_frames|schemas|tests)/.*)\.md", r"project/\1.md"),
)
_LINK = re.compile(r"(?<!\\)\]\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"^(```|~~~).*?^\1`*$|^ {4}.*?$", re.DOTALL | re.MULTILINE)


def page_of(path: str) -> str | None:
    """The page of the site that a file or folder of the project becomes; None: it is no page."""
    if path in _PAGES:
        return _PAGES[path]
    for pattern, page in _FOLDERS:
        if found := re.fullmatch(pattern, path):
            return found.expand(page)
    return None


def rewrite_links(text: str, path: str, place: Callable[[str], str]) -> str:
    """Markdown of a file of the project with the links of the site; `place` says where a target stands in it.

    What stands in blocks of code stays as it is.
    """
    page = page_of(path)
    if page is None:
        raise ValueError(f"{path} is no page of the site")

    def rewrite_link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), found[1]))
        address = posixpath.relpath(place(target), posixpath.dirname(page) or ".")
        return f"]({address}{found[2] or ''})"

    parts, end = [], 0
    for block in _FENCE.finditer(text):
        parts += [_LINK.sub(rewrite_link, text[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*parts, _LINK.sub(rewrite_link, text[end:])])
