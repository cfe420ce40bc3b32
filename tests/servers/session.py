"""The folder of this test run, and the journal of what must be undone when it ends, however it ends.

Three hands clean up, each from the same journal: `atexit`; a janitor process, when the test run was killed; and the next
test run, when the janitor was killed too. PR_SET_PDEATHSIG is not used: it fires when the *thread* ends that started the
server, and tests restart servers from threads. This file is also the janitor's program: standard library only.
"""

from __future__ import annotations

import atexit
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

BASE = Path("/tmp")  # not $TMPDIR: it may be closed to the account of the servers, or too long for a Unix socket
MEMORY = Path("/dev/shm")
ROOM = 2 << 30  # bytes that must be free in MEMORY; many containers have 64 MB there
PREFIX = "dray-servers-"
JOURNAL = "journal"
PATIENCE = 5.0  # seconds that a process gets between its stop signal and SIGKILL

_lock = threading.RLock()
_folders: dict[int, Path] = {}  # by process id: a forked child has a session of its own
_in_memory: dict[int, Path] = {}
_janitors: dict[int, subprocess.Popen[bytes]] = {}


def folder() -> Path:
    """The folder of this test run, mode 0755; made, with its janitor, at the first call."""
    with _lock:
        mine = os.getpid()
        if mine not in _folders:
            sweep()
            made = _make(BASE)
            (made / JOURNAL).touch()
            _folders[mine] = made
            _janitors[mine] = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, str(made), str(mine)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, cwd="/", start_new_session=True,
            )  # fmt: skip
            atexit.register(_at_exit, mine)
        return _folders[mine]


def memory_folder() -> Path:
    """A folder of this test run in memory if there is room, else `folder()`: for what may be lost with the machine.

    A clone of a database takes about 10 ms there; on a disk that others write to, ten times that.
    """
    with _lock:
        mine = os.getpid()
        if mine not in _in_memory:
            made = folder()
            if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM:
                made = _make(MEMORY)
                record("folder", made)
            _in_memory[mine] = made
        return _in_memory[mine]


def _make(base: Path) -> Path:
    made = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-{birth(os.getpid())}-", dir=base))
    made.chmod(0o755)
    return made


def record(kind: str, *values: object) -> None:
    """Note something to undo: `process PID BIRTH SIGNAL`, `namespace NAME`, `link NAME` or `folder PATH`."""
    with _lock, (folder() / JOURNAL).open("a", encoding="ascii") as journal:
        journal.write(" ".join(map(str, (kind, *values))) + "\n")


def record_process(pid: int, signum: signal.Signals) -> None:
    """Note a process; `signum` is what it gets first when it is cleaned up."""
    if born := birth(pid):  # else it is dead already, and there is nothing to clean up
        record("process", pid, born, int(signum))


def birth(pid: int) -> str:
    """When the process started, in the kernel's ticks since boot ("0" where there is no /proc); "" if it does not live.

    Together with the number it names a process for good: numbers are used again.
    """
    if not Path("/proc/self/stat").exists():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return ""
        except PermissionError:
            pass
        return "0"
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def children(pid: int) -> dict[int, str]:
    """The living children of a process and their births; empty where there is no /proc."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = entry.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(fields[1]) == pid and fields[0] not in "ZX":
                found[int(entry.parent.name)] = fields[19]
    return found


def wait_gone(processes: dict[int, str], seconds: float) -> dict[int, str]:
    """Wait until these processes (number: birth) are gone; those that live on."""
    end = time.monotonic() + seconds
    while True:
        processes = {pid: born for pid, born in processes.items() if birth(pid) == born}
        if not processes or time.monotonic() > end:
            return processes
        time.sleep(0.005)


def sweep() -> None:
    """Clean up after test runs of this user that are dead and had no janitor."""
    for left in BASE.glob(PREFIX + "*"):
        with suppress(OSError, ValueError):
            pid, born = left.name.removeprefix(PREFIX).split("-")[:2]
            if left.lstat().st_uid == os.geteuid() and not left.is_symlink() and birth(int(pid)) != born:
                clean(left)


def clean(session: Path) -> None:
    """Undo everything in the journal of a session, and remove its folder."""
    with suppress(FileNotFoundError):
        lines = [line.split() for line in (session / JOURNAL).read_text(encoding="ascii").splitlines()]
        processes = {}
        for _, pid, born, signum in (line for line in reversed(lines) if line[0] == "process"):
            if birth(int(pid)) == born:
                processes[int(pid)] = born
                _signal(int(pid), int(signum))
        for stubborn in wait_gone(processes, PATIENCE):
            _signal(stubborn, signal.SIGKILL)
        for name in (line[1] for line in lines if line[0] == "namespace"):
            remove_namespace(name)
        for name in (line[1] for line in lines if line[0] == "link"):
            remove_link(name)
        for name in (line[1] for line in lines if line[0] == "folder"):
            shutil.rmtree(name, ignore_errors=True)
    shutil.rmtree(session, ignore_errors=True)


def remove_namespace(name: str) -> None:
    """Kill what runs in a network namespace and remove it; nothing happens if it is not there."""
    if Path("/run/netns", name).exists():
        pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout.split()
        processes = {int(pid): birth(int(pid)) for pid in pids}
        for pid in processes:
            _signal(pid, signal.SIGKILL)
        wait_gone(processes, PATIENCE)
        subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def remove_link(name: str) -> None:
    """Remove a network interface; nothing happens if it is not there."""
    if Path("/sys/class/net", name).exists():
        subprocess.run(["ip", "link", "delete", name], capture_output=True)


def _signal(pid: int, signum: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signum)


def _at_exit(owner: int) -> None:
    if os.getpid() == owner:
        clean(_folders[owner])
        janitor = _janitors[owner]
        assert janitor.stdin is not None
        janitor.stdin.close()
        janitor.wait()


def watch(session: Path, owner: int) -> None:
    """The janitor: wait until the test run is over, then clean up after it."""
    # The end of stdin tells at once, but a forked child may hold the other end open; the parent's number always tells.
    while os.getppid() == owner and not select.select([0], [], [], 0.25)[0]:
        pass
    clean(session)


if __name__ == "__main__":
    watch(Path(sys.argv[1]), int(sys.argv[2]))
