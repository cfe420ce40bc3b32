"""Under whose name servers run: PostgreSQL and PgBouncer refuse root, so root starts them as `nobody`."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, TypedDict

from servers import Unavailable, session


class Who(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


@cache
def who() -> Who:
    """The arguments of `subprocess` that change to the servers' account; none unless we are root."""
    if os.geteuid() != 0:
        return {}
    for name in ("nobody", "postgres", "daemon"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise Unavailable("the tests run as root, and there is no account nobody, postgres or daemon to start servers under")


def give(path: Path) -> Path:
    """Make the servers' account the owner of a file or folder; the path."""
    if account := who():
        os.chown(path, account["user"], account["group"])
    return path


def usable(program: Path) -> bool:
    """Whether the servers' account can execute a file: it and every folder above it must be open to others."""
    if not (os.path.isfile(program) and os.access(program, os.X_OK)):  # Path.is_file() raises where a folder is closed to us
        return False
    real = program.resolve()
    both = stat.S_IROTH | stat.S_IXOTH
    return not who() or (real.stat().st_mode & both == both and all(up.stat().st_mode & stat.S_IXOTH for up in real.parents))


def within_reach(root: Path, program: str, *beside: Path) -> Path:
    """`root` if the servers' account can execute `root / program`, else a copy of `root`, made once a session.

    `beside`: neighbours of `root` that its programs need (libraries found by a relative path), copied with it.
    """
    if usable(root / program):
        return root
    copies = session.folder() / "copies"
    copies.mkdir(exist_ok=True)
    copies.chmod(0o755)
    for tree in (root, *beside):
        if not (copies / tree.name).exists():
            shutil.copytree(tree, copies / tree.name)
            for entry in (copies / tree.name, *(copies / tree.name).rglob("*")):
                entry.chmod(0o755 if entry.is_dir() or entry.stat().st_mode & stat.S_IXUSR else 0o644)
    return copies / root.name


def spawn(
    argv: Sequence[str | Path], *, log: IO[bytes], stop: signal.Signals, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a server under the servers' account. `stop`: the signal that ends it if the test run dies.

    It has a process group of its own, so that Ctrl-C at the terminal reaches the tests only.
    """
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=cwd, env=environment(env), start_new_session=True,
        **who(),
    )  # fmt: skip
    session.record_process(process.pid, stop)
    return process


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a server: ours without what steers PostgreSQL (PG...), in no language and no local time."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "TZ": "UTC", "HOME": "/", **(more or {})}
