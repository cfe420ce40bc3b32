"""Which jobs have really started: written by a worker process, read by its supervisor after the process has died.
A job is on it from its start until its outcome is in the store.

A page of memory that both share. What was claimed and is not on the board had not started: it goes back to its queue uncounted,
and is not suspected of having killed the worker.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
import threading

ENTRY = struct.Struct("qq")  # seq, claim; seq 0 is free
SIZE = 4096 * ENTRY.size  # more slots than a worker process can have
SLOTS = SIZE // ENTRY.size


class Board:
    """The writing side, or the reading side over the same descriptor."""

    def __init__(self, fd: int | None = None) -> None:
        if fd is None:
            self.fd = _memory()
            os.ftruncate(self.fd, SIZE)
        else:
            self.fd = fd
        self._memory = mmap.mmap(self.fd, SIZE)
        self._free = list(range(SLOTS - 1, -1, -1))
        self._lock = threading.Lock()

    def start(self, seq: int, claim: int) -> int:
        """A job starts; the answer is its place, for `end`. -1: the board is full, and the job is not on it."""
        with self._lock:
            if not self._free:
                return -1
            place = self._free.pop()
        ENTRY.pack_into(self._memory, place * ENTRY.size, seq, claim)
        return place

    def end(self, place: int) -> None:
        """It is over."""
        if place >= 0:
            ENTRY.pack_into(self._memory, place * ENTRY.size, 0, 0)
            with self._lock:
                self._free.append(place)

    def started(self) -> set[tuple[int, int]]:
        """(seq, claim) of all that have started and are not over."""
        return {(seq, claim) for seq, claim in ENTRY.iter_unpack(self._memory[:SIZE]) if seq}

    def close(self) -> None:
        """Done with it."""
        self._memory.close()
        os.close(self.fd)


def _memory() -> int:
    if hasattr(os, "memfd_create"):  # never on a disk that may be full: writing to it would then kill the process
        return os.memfd_create("dray-board")
    file, path = tempfile.mkstemp(prefix="dray-board-")
    os.unlink(path)
    return file
