"""Make the project's virtual environment: uv if it can be had (fast), plain pip otherwise; on Debian, servers in it too."""

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
        add_from_debian(root, "pgbouncer", "pgbouncer", "pgbouncer")
        add_from_debian(root, "redis", "redis-server", "redis-server", beside=("redis-tools",))  # the program is in the tools
        add_from_debian(root, "prometheus", "promtool", "prometheus")
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


def add_from_debian(root: Path, folder: str, program: str, package: str, beside: tuple[str, ...] = ()) -> None:
    """Unpack a server of Debian's into a folder of the environment, if the system has none: nothing is installed or started.

    beside: packages that its files are in, other than its libraries. It needs no root. Tests that want the server are
    skipped without it, so a failure is told and forgiven.
    """
    if (root / folder).exists() or shutil.which(program, path=system_path()):
        return
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        return
    try:
        if not missing_packages(package, beside) and os.geteuid() == 0:
            run("apt-get", "update")
        names = missing_packages(package, beside)
        if not names:
            raise OSError(f"apt-get knows no package {package}")
        with tempfile.TemporaryDirectory(dir=root) as scratch:
            run("apt-get", "download", *names, cwd=scratch)
            for archive in Path(scratch).glob("*.deb"):
                run("dpkg", "-x", str(archive), f"{scratch}/unpacked")
            Path(scratch, "unpacked").rename(root / folder)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"{package} could not be fetched, its tests will be skipped: {error}", file=sys.stderr)


def system_path() -> str:
    """The PATH without virtual environments: wheels put servers there that are not the system's."""
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    return os.pathsep.join([*(folder for folder in folders if not Path(folder, "../pyvenv.cfg").exists()), "/usr/bin", "/usr/sbin"])


def missing_packages(package: str, beside: tuple[str, ...]) -> list[str]:
    """The package, those beside it, and those of its libraries that the system lacks."""
    plan = subprocess.run(
        ["apt-get", "install", "--simulate", "--no-install-recommends", package], capture_output=True, text=True, timeout=60
    ).stdout
    names = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
    wanted = (package, *beside)
    return [name for name in names if name in wanted or (name.startswith(("lib", "lua-")) and not name.endswith("-perl"))]


def run(*command: str, cwd: str | None = None) -> None:
    subprocess.run(command, cwd=cwd, check=True, timeout=120, capture_output=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
