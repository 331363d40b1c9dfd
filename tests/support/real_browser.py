"""The browser of this machine, without a screen, for tests that look at pages as people do."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

_FOUND = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"))), None
)
needs_browser = pytest.mark.skipif(
    _FOUND is None, reason="no browser is installed. On Debian: apt-get install chromium"
)


@contextmanager
def open_browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Without a sandbox, as root needs it: the pages are our own.
        browser = playwright.chromium.launch(executable_path=_FOUND, args=["--no-sandbox"])
        yield browser
        browser.close()
