"""A job as something to paste: a line of Python, a line for the shell."""

from __future__ import annotations

import json
import shlex
from typing import Any

from dray.dashboard.tree import STRANGE
from dray.model.job import DEFAULT_QUEUE, JobInfo

LONGEST = 3000  # characters; what is longer nobody pastes


def as_python(job: JobInfo, args: Any, app: str = "app") -> str:
    """The call that would enqueue it again."""
    given = ", ".join(f"{name}={value!r}" for name, value in args.items()) if isinstance(args, dict) else repr(args)
    options = [f"queue={job.queue!r}"] if job.queue != DEFAULT_QUEUE else []
    options += [f"priority={job.priority}"] if job.priority else []
    using = f".using({', '.join(options)})" if options else ""
    return f"{app}.task_named({job.task!r}){using}.enqueue({given})"[:LONGEST]


def as_command(job: JobInfo, args: Any) -> str:
    """The same on the command line."""
    parts = ["dray", "enqueue", job.task]
    if args:
        parts += ["--args", visible(json.dumps(args, ensure_ascii=False))]
    if job.queue != DEFAULT_QUEUE:
        parts += ["--queue", job.queue]
    if job.priority:
        parts += ["--priority", str(job.priority)]
    return shlex.join(parts)[:LONGEST]


def visible(text: str) -> str:
    """JSON in which what cannot be seen, or would turn the text around it, is written out: it says the same."""
    return STRANGE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
