"""What a process uses: processor time and memory, as far as the system tells."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def memory(pid: int | str = "self") -> int | None:
    """Bytes resident; None if that cannot be known."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * PAGE
    except (OSError, IndexError, ValueError):
        return peak() if pid == "self" else None


def peak() -> int | None:
    """The most that this process has had resident, in bytes; what there is where there is no /proc."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def processor(children: Iterable[int] = ()) -> float:
    """Seconds of processor time that this process, and those of its `children` that live, have used so far."""
    total = time.process_time()
    for pid in children:
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / TICK  # utime and stime
        except (OSError, IndexError, ValueError):
            continue
    return total
