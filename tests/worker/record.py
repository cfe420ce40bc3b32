"""Imported by the code that workers run in tests: an append-only record of what its tasks did."""

import os
import time


def mark(word: str, *rest: object) -> None:
    """Append a line: word, pid, steady time, and the rest. One write, so that lines of several processes do not mix."""
    line = "\t".join([word, str(os.getpid()), repr(time.monotonic()), *map(str, rest)]) + "\n"
    fd = os.open(os.environ["MARKS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(fd, line.encode())
    finally:
        os.close(fd)
