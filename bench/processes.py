"""What processes cost, by /proc."""

from __future__ import annotations

import os
from pathlib import Path


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def family(pid: int) -> list[int]:
    """A process and all that it has started, and so on."""
    return [pid, *(one for child in children(pid) for one in family(child))]


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of processes, of those that they have started, and of those that have ended meanwhile."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(int(field) for field in fields[11:15])  # own, and of children that have ended
    ticks = total / os.sysconf("SC_CLK_TCK")
    return ticks + sum(cpu_seconds([child]) for pid in pids for child in children(pid))


def memory(pid: int) -> tuple[float, float]:
    """Resident and proportional megabytes."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    values = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in text.splitlines()[1:] if line.split()[-1] == "kB"}
    return values["Rss"], values["Pss"]


def connections(pid: int, port: int) -> int:
    """How many TCP connections a process has to a port of this machine."""
    mine = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        try:
            mine.add(os.readlink(file))
        except OSError:
            continue
    rows = [row.split() for row in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    established = "01"
    return sum(
        row[3] == established and int(row[2].rpartition(":")[2], 16) == port and f"socket:[{row[9]}]" in mine for row in rows
    )
