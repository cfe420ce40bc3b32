"""Redis for the tests of the store."""

from __future__ import annotations

KINDS = ("valkey-9", "redis-7.0", "redis-6.2")
