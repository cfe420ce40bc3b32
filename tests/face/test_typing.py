"""What type checkers make of the public names."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "tests" / "typing" / "api.py"


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_the_public_names_are_typed(checker: str) -> None:
    if find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed")
    done = subprocess.run([sys.executable, "-m", checker, str(FILE)], cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr


def test_wrong_lines_are_found_at_all(tmp_path: Path) -> None:
    """Without its `ignore` comments the file does not pass: they stand where an error is."""
    if find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    wrong = tmp_path / "wrong.py"
    text = FILE.read_text(encoding="utf-8")
    wrong.write_text(text.replace("# type: ignore", "# "), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml"), str(wrong)], cwd=ROOT,
        capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout.count("error:") == text.count("# type: ignore")
