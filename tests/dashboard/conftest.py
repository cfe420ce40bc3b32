"""The browser of the dashboard's tests: the system's Chromium, driven by Playwright; without one they say how to get it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")  # while it is open, its event loop runs in this thread: others could not use asyncio.run
def browser() -> Iterator[Browser]:
    """Chromium, without a window."""
    driver = pytest.importorskip("playwright.sync_api", reason="the browser tests need Playwright: pip install playwright")
    args = [*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with driver.sync_playwright() as playwright:
        path = found() or own(playwright.chromium.executable_path) or installed()
        if path is None:
            pytest.skip("the browser tests need Chromium: apt-get install chromium")
        browser = playwright.chromium.launch(executable_path=path, args=args)
        yield browser
        browser.close()


def found() -> str | None:
    """The system's."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def own(path: str) -> str | None:
    """Playwright's, if it has been told to get one."""
    return path if os.path.exists(path) else None


def installed() -> str | None:
    """One that is installed now, on a machine that is there for tests."""
    if not os.environ.get("CI") or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return None
    for command in (["update", "-q"], ["install", "-qy", "--no-install-recommends", "chromium"]):
        subprocess.run(["apt-get", *command], check=False, capture_output=True, timeout=300)
    return found()
