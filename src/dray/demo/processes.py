"""Who is whose child among the processes of this machine, without a library: /proc, or `ps` where there is none."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path


def parents() -> dict[int, int]:
    """Every living process and its parent: {pid: parent's pid}."""
    found: dict[int, int] = {}
    if Path("/proc/self/stat").exists():
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                after_name = entry.read_text().rpartition(")")[2].split()
            except OSError:  # it ended while we looked
                continue
            if after_name[0] != "Z":
                found[int(entry.parent.name)] = int(after_name[1])
        return found
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return {int(pid): int(parent) for pid, parent in (line.split() for line in listed.splitlines())}


def below(pid: int) -> list[int]:
    """All descendants of a process, the nearest first."""
    known = parents()
    found, ring = [], [pid]
    while ring:
        ring = [child for child, parent in known.items() if parent in ring]
        found += ring
    return found


def kill(*pids: int) -> None:
    """kill -9, without complaint about those that are gone."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
