"""`make test`: the tests in two processes at the same time, as most of them wait for servers, workers and clocks; with
arguments, in one. The answer of each is printed whole, one after the other."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HALVES = (("tests/worker",), ("tests", "--ignore=tests/worker"))


def main(arguments: list[str]) -> int:
    """The exit status: that of the first half that failed, else 0."""
    command = [sys.executable, "-m", "pytest"]
    if arguments:
        return subprocess.call([*command, "tests", *arguments], cwd=ROOT)
    first, second = HALVES
    with tempfile.TemporaryFile() as told:
        other = subprocess.Popen([*command, *second, "-p", "no:cacheprovider"], cwd=ROOT, stdout=told, stderr=subprocess.STDOUT)
        try:
            status = subprocess.call([*command, *first], cwd=ROOT)
            rest = other.wait()
        except BaseException:
            other.terminate()
            other.wait()
            raise
        told.seek(0)
        sys.stdout.buffer.write(told.read())
        sys.stdout.flush()
    return status or rest


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
