"""What type checkers must make of the public names. Checked by mypy and pyright, never run: a wrong line that is not reported
as wrong is an unused `ignore`, which both report."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import assert_type

from dray import Backoff, Dray, JobHandle, State, Task, current_job, resource
from dray.task import AsyncTask, Call, SyncTask, Using

app = Dray("sqlite://")


@dataclass
class User:
    name: str


@app.task
def add(a: int, b: int = 0) -> int:
    return a + b


@app.task(queue="mail", max_attempts=8, backoff=Backoff.exponential("5s", cap="1h"), give_up_on=(ValueError,))
async def send(user: User, *, template: str = "hello") -> str | None:
    job = current_job()
    assert_type(job.id, str)
    assert_type(job.cancelled, bool)
    assert_type(job.deadline, datetime | None)
    assert_type(job.tags, tuple[str, ...])
    job.progress(1, 2, "half")
    return user.name + template


@app.task()
def nothing() -> None: ...


@app.resource("db")
def db() -> int:
    return 1


@app.task
def uses(n: int, db: int = resource("db")) -> int:
    return n + db


@app.schedule("0 7 * * mon", tz="Europe/Berlin", args={"a": 1})
@app.task
def weekly(a: int) -> list[int]:
    return [a]


@app.on_start
def ready() -> None: ...


def plain_calls() -> None:
    assert_type(add(1, 2), int)
    assert_type(nothing(), None)
    add("1")  # type: ignore[arg-type]
    add(1, c=2)  # type: ignore[call-arg]


def handles() -> None:
    handle = add.enqueue(1, b=2)
    assert_type(handle, JobHandle[int])
    assert_type(handle.result(timeout=5), int)
    assert_type(handle.state, State)
    assert_type(handle.id, str)
    assert_type(handle.cancel("no"), bool)
    assert_type(handle.refresh(), JobHandle[int])
    assert_type(send.enqueue(User("a")), JobHandle[str | None])
    assert_type(nothing.enqueue(), JobHandle[None])
    assert_type(uses.enqueue(1), JobHandle[int])
    assert_type(weekly.enqueue(1), JobHandle[list[int]])


def wrong_arguments() -> None:
    add.enqueue("1")  # type: ignore[arg-type]
    add.enqueue()  # type: ignore[call-arg]
    add.enqueue(1, 2, 3)  # type: ignore[call-arg]
    send.enqueue(User("a"), "positional")  # type: ignore[call-arg]
    send.enqueue(User("a"), template=1)  # type: ignore[arg-type]
    add.call(None)  # type: ignore[arg-type]
    add.using(priority=1).enqueue("1")  # type: ignore[arg-type]
    result: str = add.enqueue(1).result()  # type: ignore[assignment]
    print(result)


def kinds() -> None:
    plain: SyncTask[..., int] = add
    task: Task[..., int] = add
    other: AsyncTask[..., str | None] = send
    print(plain, task, other)


def options() -> None:
    using = add.using(delay=timedelta(minutes=10), priority=5, queue="bulk", at=datetime.now(UTC), tags=("a",), max_attempts=3)
    assert_type(using.enqueue(1, 2), JobHandle[int])
    again: Using[..., int] = using.using(delay="10m")
    print(again)


def bulk() -> None:
    call: Call[..., int] = add.call(1, 2)
    print(call)
    assert_type(app.enqueue_many(add.call(n, 1) for n in range(3)), list[JobHandle[int]])
    assert_type(app.enqueue_many([add.call(1)], progress=lambda done: None), list[JobHandle[int]])


async def coroutines() -> None:
    assert_type(await send(User("a")), str | None)
    handle = await add.aenqueue(1, 2)
    assert_type(handle, JobHandle[int])
    assert_type(await handle.aresult(timeout=5), int)
    assert_type(await handle.arefresh(), JobHandle[int])
    assert_type(await handle.acancel(), bool)
    assert_type(await (await send.aenqueue(User("a"))).aresult(), str | None)
    assert_type(await app.aenqueue_many(add.call(n, 1) for n in range(3)), list[JobHandle[int]])
    async with app.worker(concurrency=2):
        pass
    await add.aenqueue(b=1)  # type: ignore[call-arg]


def workers(connection: sqlite3.Connection) -> None:
    with app.worker(), app.bind(connection):
        add.enqueue(1)


def insight() -> None:
    assert_type(app.insight.counts(), dict[str, dict[str, int]])
    assert_type(app.insight.resume("mail"), bool)
