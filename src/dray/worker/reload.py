"""Notices that Python files under a folder have changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

SKIP = {"__pycache__", "node_modules", "site-packages"}
POLL = 0.5  # seconds, without watchfiles


def watch(folder: Path, changed: Callable[[], None]) -> None:
    """Call `changed` after each change, for ever. watchfiles is used where it is installed."""
    try:
        from watchfiles import PythonFilter
        from watchfiles import watch as watch_files
    except ImportError:
        poll(folder, changed)
        return
    for _ in watch_files(folder, watch_filter=PythonFilter(), debounce=200, step=50, raise_interrupt=False):
        changed()


def poll(folder: Path, changed: Callable[[], None]) -> None:
    """The same by looking at the files' times."""
    before = times(folder)
    while True:
        time.sleep(POLL)
        now = times(folder)
        if now != before:
            before = now
            changed()


def times(folder: Path) -> dict[str, int]:
    """When each Python file was last written."""
    found: dict[str, int] = {}
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in SKIP]
        for name in files:
            if name.endswith(".py"):
                path = os.path.join(root, name)
                try:
                    found[path] = os.stat(path).st_mtime_ns
                except OSError:
                    continue
    return found
