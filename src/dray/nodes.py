"""What a worker process says of itself; one that says nothing is taken to do everything."""

from __future__ import annotations

from typing import Any

from dray.model.clock import SECOND
from dray.store.values import NodeInfo

DEAF = 30 * SECOND  # a worker with free slots looks for jobs at least every few seconds


def info(node: NodeInfo, key: str) -> Any:
    """A value of what the worker wrote when it entered; None if it is not there."""
    return node.info.get(key) if isinstance(node.info, dict) else None


def serves(node: NodeInfo, queue: str) -> bool:
    """Whether the worker looks into that queue."""
    queues = info(node, "queues")
    return queues is None or queue in queues


def knows(node: NodeInfo, task: str) -> bool:
    """Whether the worker's code has that task."""
    tasks = info(node, "tasks")
    return tasks is None or task in tasks


def slots(node: NodeInfo, executor: str) -> int | None:
    """How many functions of a kind the worker runs at once; None if it does not say."""
    room = info(node, "slots")
    return room.get(executor) if isinstance(room, dict) else None
