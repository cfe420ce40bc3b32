"""What a lease is, and what renewing one writes."""

from __future__ import annotations

from typing import Any

from dray.model.clock import SECOND

LEASE = 15.0  # seconds that a lease is good for


def extend_params(node: int, age: float, now: int, boot: str, steady: int) -> dict[str, Any]:
    """The parameters of extend.sql. `age`: seconds since the node last looked for jobs with success."""
    return {
        "until": steady + int(LEASE * SECOND), "now": now, "claimed": now - int(age * SECOND), "node": node, "boot": boot,
    }  # fmt: skip
