"""Helpers for the tests of applications that use Dray.

- `enqueued(app, task)` and `assert_enqueued(app, task, **args)`: what has been enqueued, without running it;
- the fixture `dray_clock` (from the pytest plugin, which is loaded by itself): a clock that the test turns;
- `dray.testing.store_suite`: the conformance suite, for a store of one's own.

Give the app under test a store in memory: `Dray("sqlite://")`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dray.app import Dray
    from dray.model.job import JobInfo
    from dray.task import Task

__all__ = ["assert_enqueued", "enqueued"]

PAGE = 500


def enqueued(app: Dray, task: Task[..., Any] | str | None = None) -> list[JobInfo]:
    """The jobs that the app's store keeps, whatever has become of them, oldest first; of one task if it is given (the task itself
    or its name, of which the last part is enough). A job's `args` are as stored: plain JSON values by parameter name.
    Raises UnknownTask, StoreError."""
    return list(_jobs(app, None if task is None else _named(app, task)))[::-1]


def assert_enqueued(app: Dray, task: Task[..., Any] | str, **args: Any) -> JobInfo:
    """Check that a job of `task` has been enqueued whose arguments are, or at least contain, `args`, given as for a call of the
    task; the newest such job. Raises AssertionError with what has been enqueued instead; UnknownTask, StoreError.

    >>> assert_enqueued(app, send_welcome, user_id=7)
    """
    import msgspec

    name = _named(app, task)
    wanted = {key: msgspec.to_builtins(value) for key, value in args.items()}
    others = []
    for job in _jobs(app, name):
        if isinstance(job.args, dict) and all(key in job.args and job.args[key] == value for key, value in wanted.items()):
            return job
        others.append(job.args)
    with_what = f" with {wanted}" if wanted else ""
    if others:
        found = f"those of {name} have {', '.join(map(str, others[:5]))}"
    else:
        tasks = sorted({job.task for job in _jobs(app, None)})
        found = f"only jobs of {', '.join(tasks)} have been enqueued" if tasks else "nothing has been enqueued"
    raise AssertionError(f"No job of {name}{with_what} has been enqueued; {found}.")


def _named(app: Dray, task: Task[..., Any] | str) -> str:
    return app.task_named(task).name if isinstance(task, str) else task.name


def _jobs(app: Dray, task: str | None) -> Iterator[JobInfo]:
    """Newest first."""
    from dray.store.values import Filter

    before: str | None = None
    while True:
        page = app.store.run(app.store.plans.find, Filter(task=task), PAGE, before)
        yield from page.jobs
        before = page.next
        if before is None:
            return
