"""Make the project's virtual environment: uv if it can be had (fast), plain pip otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path


def main(folder: str) -> int:
    root = Path(folder)
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
