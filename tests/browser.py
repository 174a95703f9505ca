"""A real browser for the tests of the pages: Debian's Chromium."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

DESKTOP = ViewportSize(width=1300, height=900)
PHONE = ViewportSize(width=390, height=844)
_CHROMIUM = shutil.which("chromium")
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
needs_browser = pytest.mark.skipif(
    _CHROMIUM is None and "CI" not in os.environ, reason="needs Chromium (Debian: chromium)"
)


@contextmanager
def launched() -> Iterator[Browser]:
    """Run the browser, without a window, until the block ends."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=_FLAGS)
        yield browser
        browser.close()


def shoot(page: Page, name: str, *, full_page: bool = False) -> None:
    """Keep a picture for people in STAGE4_TEST_PICTURES, where that is set."""
    if folder := os.environ.get("STAGE4_TEST_PICTURES"):
        width = page.viewport_size["width"] if page.viewport_size else 0
        page.screenshot(path=Path(folder) / f"{name}-{width}.png", full_page=full_page)


def fits(page: Page) -> bool:
    """Tell whether nothing of a page sticks out to the right."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))
