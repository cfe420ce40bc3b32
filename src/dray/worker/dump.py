"""Where everything is: the stack of each thread and each coroutine of this process, as text for people."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

MOST = 200_000  # characters
AT_ONCE = 200  # coroutines that are told


def dump(loop: asyncio.AbstractEventLoop, describe: Callable[[asyncio.Task[Any]], str | None]) -> str:
    """The stacks, innermost call last, those of coroutines that run jobs first. `describe`: which job an asyncio task runs."""
    out = io.StringIO()
    tasks = _tasks(loop)
    tasks.sort(key=lambda task: describe(task) is None)
    for task in tasks[:AT_ONCE]:
        out.write(f"Coroutine {task.get_name()}: {describe(task) or 'no job'}\n")
        task.print_stack(file=out)
        out.write("\n")
    if len(tasks) > AT_ONCE:
        out.write(f"… and {len(tasks) - AT_ONCE} more coroutines.\n\n")
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        out.write(f"Thread {names.get(ident, 'unknown')}:\n")
        out.write("".join(traceback.format_stack(frame)))
        out.write("\n")
    text = out.getvalue()
    return text if len(text) <= MOST else text[:MOST] + "\n…"


def _tasks(loop: asyncio.AbstractEventLoop) -> list[asyncio.Task[Any]]:
    for _ in range(10):  # the loop goes on meanwhile, and may change what is being listed
        try:
            return list(asyncio.all_tasks(loop))
        except RuntimeError:
            continue
    return []
