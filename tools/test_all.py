"""Run the tests on every Python from 3.11 to 3.13 that is found: on the PATH, or as `pythonX.Y` of pyenv."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

WANTED = ("3.11", "3.12", "3.13")


def find(version: str) -> str | None:
    """An interpreter of that version which really starts (pyenv's shims may not)."""
    places = [shutil.which(f"python{version}"), *map(str, sorted(Path.home().glob(f".pyenv/versions/{version}*/bin/python3")))]
    for place in places:
        if place is None:
            continue
        asked = subprocess.run([place, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True)
        if asked.returncode == 0 and asked.stdout.strip() == version:
            return place
    return None


def main(arguments: list[str]) -> int:
    """The worst exit status."""
    worst, found = 0, []
    for version in WANTED:
        python = find(version)
        if python is None:
            print(f"Python {version}: not found, not tested", flush=True)
            continue
        found.append(version)
        folder = f".venv-{version}"
        print(f"Python {version}: {python}", flush=True)
        code = subprocess.run([python, "tools/setup_venv.py", folder]).returncode
        code = code or subprocess.run([f"{folder}/bin/python", "-m", "pytest", "tests", *arguments]).returncode
        print(f"Python {version}: exit {code}", flush=True)
        worst = worst or code
    print(f"tested on {', '.join(found) or 'none'}")
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
