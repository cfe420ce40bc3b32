"""Make the project's virtual environment: uv if it can be had (fast), plain pip otherwise; on Debian, PgBouncer in it too."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path


def main(folder: str) -> int:
    root = Path(folder)
    code = install(root)
    if code == 0:
        add_pgbouncer(root)
    return code


def install(root: Path) -> int:
    python = root / "bin" / "python"
    if not python.exists():
        venv.create(root, with_pip=True, symlinks=True)
    pip = [str(python), "-m", "pip"]
    quiet = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    wanted = ["-e", ".[all]", *dev_group()]
    got_uv = subprocess.run([*pip, "install", "-q", "uv"], env=quiet).returncode == 0
    if got_uv:
        uv = subprocess.run([str(root / "bin" / "uv"), "pip", "install", "-q", "--python", str(python), *wanted])
        if uv.returncode == 0:
            return 0
    return subprocess.run([*pip, "install", "-q", *wanted], env=quiet).returncode


def dev_group() -> list[str]:
    import tomllib

    data = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    return list(data["dependency-groups"]["dev"])


def add_pgbouncer(root: Path) -> None:
    """Unpack Debian's PgBouncer into the environment, if the system has none: nothing is installed, no service starts.

    It needs no root. Tests that want PgBouncer are skipped without it, so a failure is told and forgiven.
    """
    if (root / "pgbouncer").exists() or shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin"):
        return
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        return
    try:
        if not missing_packages() and os.geteuid() == 0:
            run("apt-get", "update")
        names = missing_packages()
        if not names:
            raise OSError("apt-get knows no package pgbouncer")
        with tempfile.TemporaryDirectory(dir=root) as scratch:
            run("apt-get", "download", *names, cwd=scratch)
            for package in Path(scratch).glob("*.deb"):
                run("dpkg", "-x", str(package), f"{scratch}/unpacked")
            Path(scratch, "unpacked").rename(root / "pgbouncer")
    except (OSError, subprocess.SubprocessError) as error:
        print(f"PgBouncer could not be fetched, its tests will be skipped: {error}", file=sys.stderr)


def missing_packages() -> list[str]:
    """pgbouncer and those of its libraries that the system lacks."""
    plan = subprocess.run(
        ["apt-get", "install", "--simulate", "--no-install-recommends", "pgbouncer"], capture_output=True, text=True, timeout=60
    ).stdout
    names = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
    return [name for name in names if name == "pgbouncer" or (name.startswith("lib") and not name.endswith("-perl"))]


def run(*command: str, cwd: str | None = None) -> None:
    subprocess.run(command, cwd=cwd, check=True, timeout=120, capture_output=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
