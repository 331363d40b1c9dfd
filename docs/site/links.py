"""What a site must not have: links that lead nowhere, and anything that is loaded from another host."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADED = {"src", "srcset", "poster", "data"}
_LOADING_LINKS = {"stylesheet", "preload", "prefetch", "icon", "preconnect", "dns-prefetch", "modulepreload"}
_LOADED_BY_CSS = re.compile(r"""(?:url\(|@import)\s*['"]?((?:https?:)?//[^'")\s]+)""")


class SitePage(HTMLParser):
    """The ids of a page, where its links lead, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = _LOADED_BY_CSS.findall(text)
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag is, links to, and loads."""
        values = {name: value or "" for name, value in attrs}
        self.ids |= {values[name] for name in ("id", "name") if values.get(name) and tag != "meta"}
        if tag in ("a", "area"):
            self.links += [values[name] for name in ("href", "xlink:href") if name in values]
        elif tag == "link" and _LOADING_LINKS & set(values.get("rel", "").split()):
            self.loaded.append(values.get("href", ""))
        elif tag in ("use", "image"):
            self.loaded += [values[name] for name in ("href", "xlink:href") if name in values]
        self.loaded += [values[name] for name in _LOADED if values.get(name)]


def read_pages(folder: Path) -> dict[Path, SitePage]:
    """All pages of a site by their files."""
    return {path: SitePage(path.read_text(encoding="utf-8")) for path in sorted(folder.resolve().rglob("*.html"))}


def find_flaws(folder: Path) -> list[str]:
    """Every link of a site that leads nowhere in it, and everything that is loaded from another host, in sentences."""
    pages = read_pages(folder)
    flaws = []
    for path, page in pages.items():
        name = path.relative_to(folder.resolve())
        for address in page.loaded:
            parts = urlsplit(address)
            if parts.netloc:
                flaws.append(f"{name} loads {address[:100]} from elsewhere")
            elif not parts.scheme and not (path.parent / unquote(parts.path)).exists():
                flaws.append(f"{name} loads {address[:100]}, which is not there")
        for address in page.links:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages.get(target / "index.html" if target.is_dir() else target)
            if not target.exists():
                flaws.append(f"{name} leads to {address}, which is not there")
            elif parts.fragment and known and unquote(parts.fragment) not in known.ids | {"top"}:
                flaws.append(f"{name} leads to {address}, where there is no such place")
    for path in sorted(folder.rglob("*.css")):
        found = _LOADED_BY_CSS.findall(path.read_text(encoding="utf-8"))
        flaws += [f"{path.relative_to(folder)} loads {address} from elsewhere" for address in found]
    return flaws
