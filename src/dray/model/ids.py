"""Job ids: UUID version 7 (RFC 9562), so that ids sort by the time they were made.

Layout: 48 bits of milliseconds, 4 of version, 12 of sub-millisecond sequence, 2 of variant, 14 of shard (0 until an
application has several), 48 random. Within one process ids strictly increase.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterator

SHARD_0 = (0b10 << 14).to_bytes(2, "big")
_lock = threading.Lock()
_last = 0  # milliseconds << 12 | sequence; guarded by _lock


def new_ids(count: int, shard: int = 0) -> list[bytes]:
    """`count` new ids of 16 bytes, in order."""
    global _last
    with _lock:
        first = max((time.time_ns() // 1_000_000) << 12, _last + 1)
        _last = first + count - 1
    random = os.urandom(6 * count)
    tail = ((0b10 << 14) | shard).to_bytes(2, "big")
    # A stamp is 60 bits: 48 of time, 12 of sequence; the version goes between them.
    return [
        (((stamp >> 12) << 16) | 0x7000 | (stamp & 0xFFF)).to_bytes(8, "big") + tail + random[at : at + 6]
        for stamp, at in zip(range(first, first + count), range(0, 6 * count, 6), strict=True)
    ]


def new_id() -> bytes:
    """One new id; what `new_ids(1)` gives, in half the time."""
    global _last
    with _lock:
        stamp = (time.time_ns() // 1_000_000) << 12
        if stamp <= _last:
            stamp = _last + 1
        _last = stamp
    return (((stamp >> 12) << 16) | 0x7000 | (stamp & 0xFFF)).to_bytes(8, "big") + SHARD_0 + os.urandom(6)


def stream() -> Iterator[bytes]:
    """New ids without end, made in ever larger lots: few are wasted where few are needed."""
    lot = 16
    while True:
        yield from new_ids(lot)
        lot = min(lot * 4, 4096)


def to_text(raw: bytes) -> str:
    """The usual form: 8-4-4-4-12 hexadecimal digits."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def from_text(text: str) -> bytes:
    """The 16 bytes of an id. Raises ValueError if `text` is no UUID."""
    return uuid.UUID(text).bytes


def prefix_range(text: str) -> tuple[bytes, bytes] | None:
    """The lowest and highest id that begin with `text` (hyphens ignored); None if `text` is no beginning of an id."""
    digits = text.replace("-", "").lower()
    if not digits or len(digits) > 32 or any(c not in "0123456789abcdef" for c in digits):
        return None
    return bytes.fromhex(digits.ljust(32, "0")), bytes.fromhex(digits.ljust(32, "f"))
