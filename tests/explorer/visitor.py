"""A browser without a screen: lets itself in by the first address, and reads the pages of an explorer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests

if TYPE_CHECKING:
    from quivo_frames.explorer.explore import Explorer

WORKING = "data-working"
"""What a page has while something that it shows is worked out."""


@dataclass
class Visitor:
    """A session that was let in."""

    session: requests.Session
    host: str

    @classmethod
    def enter(cls, explorer: Explorer) -> Visitor:
        """Open the first address."""
        session = requests.Session()
        session.get(explorer.address, timeout=30).raise_for_status()
        parts = urlsplit(explorer.address)
        return cls(session, f"{parts.scheme}://{parts.netloc}")

    def get(self, path: str) -> requests.Response:
        """The answer to an address."""
        return self.session.get(f"{self.host}{path}", timeout=60)

    def post(self, path: str, fields: dict[str, str], *, origin: str | None = None) -> requests.Response:
        """The answer to a form of a page of ours, without following where it leads to."""
        headers = {"Origin": self.host if origin is None else origin}
        return self.session.post(f"{self.host}{path}", fields, headers=headers, allow_redirects=False, timeout=60)

    def read(self, path: str, *, seconds: float = 120) -> str:
        """A page, when everything on it is worked out."""
        deadline = time.monotonic() + seconds
        while WORKING in (text := self.get(path).text) and time.monotonic() < deadline:
            time.sleep(0.2)
        return text
