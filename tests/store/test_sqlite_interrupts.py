"""Ctrl-C may come between any two steps of a blocking caller: nothing is half-written, and nobody is locked out."""

from __future__ import annotations

import sqlite3
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from on_file import Child, add_one, add_then, half_written, ready, said, until

from dray.store.open import open_store
from dray.store.requests import Signal
from dray.store.sqlite import gate as gate_module
from dray.store.sqlite import session as session_module
from dray.store.sqlite.gate import Gate
from dray.store.sqlite.store import SqliteStore


class Interrupting:
    """A connection on which Ctrl-C comes right after a certain statement was carried out."""

    def __init__(self, connection: sqlite3.Connection, after: str) -> None:
        self._connection = connection
        self._after = after

    def execute(self, sentence: str, *args: Any) -> Any:
        answer = self._connection.execute(sentence, *args)
        if sentence == self._after:
            self._after = ""
            raise KeyboardInterrupt
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def others_can_write(url: str) -> None:
    other = open_store(url)
    other.session.writer.execute("pragma busy_timeout = 50")
    add_one(other)
    other.close()


def test_ctrl_c_in_the_middle_of_a_verb_writes_nothing(store: SqliteStore, url: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        store.run(add_then(KeyboardInterrupt()))
    others_can_write(url)
    assert not half_written(store)
    add_one(store)
    assert ready(store) == 2


@pytest.mark.parametrize(("after", "written"), [("begin immediate", 0), ("commit", 1)])
def test_ctrl_c_right_after_a_statement_leaves_no_transaction_and_no_gate(
    store: SqliteStore, url: str, after: str, written: int
) -> None:
    real = store.session._writer
    store.session._writer = Interrupting(real, after)  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        add_one(store)
    store.session._writer = real
    assert not real.in_transaction
    others_can_write(url)
    add_one(store)
    assert ready(store) == written + 2


def test_ctrl_c_right_after_a_read_began(store: SqliteStore) -> None:
    real = store.session._reader
    store.session._reader = Interrupting(real, "begin")  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        store.run(store.plans.counts)
    assert store.run(store.plans.counts) == {}
    store.session._reader = real


@pytest.mark.parametrize("where", ["starting the thread", "waiting for it"])
def test_ctrl_c_while_waiting_at_the_gate_does_not_lock_everybody_out(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    path = store.session.path
    assert path is not None
    holder = Gate(path.with_name(path.name + "-gate"))
    assert holder.take(1)

    class ImpatientEvent(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            raise KeyboardInterrupt

    class ImpatientThread(threading.Thread):
        def start(self) -> None:
            super().start()
            raise KeyboardInterrupt

    patched = {"Event": ImpatientEvent} if where == "waiting for it" else {"Thread": ImpatientThread}
    if where == "waiting for it":

        class ImpatientSignal(Signal):
            def wait(self, timeout: float = -1) -> bool:
                raise KeyboardInterrupt

        monkeypatch.setattr(session_module, "Signal", ImpatientSignal)
    for module in (gate_module, session_module):
        real = {name: getattr(threading, name) for name in ("Event", "Lock", "Thread")}
        monkeypatch.setattr(module, "threading", SimpleNamespace(**{**real, **patched}))
    waiting = Gate(path.with_name(path.name + "-gate"))
    with pytest.raises(KeyboardInterrupt):
        waiting.take(1)
    with pytest.raises(KeyboardInterrupt):
        add_one(store)
    monkeypatch.undo()
    holder.give()
    until(lambda: not any(thread.name == "dray-gate" for thread in threading.enumerate()))
    assert holder.take(1), "the thread that waited for the one who left has given the lock back"
    holder.give()
    add_one(store)
    assert ready(store) == 1, "whoever was interrupted wants nothing any more"
    holder.close()
    waiting.close()


INTERRUPTED = """
import signal, threading
store = open_store(url)
acknowledged, ask = [], True
def others():
    while ask:
        (job,) = new_jobs(1)
        store.run(store.plans.add, [job])
        acknowledged.append(job.id)
threads = [threading.Thread(target=others, daemon=True) for _ in range(2)]
for thread in threads:
    thread.start()
interrupts, end = 0, time.monotonic() + 2.0
signal.signal(signal.SIGALRM, signal.default_int_handler)  # as Ctrl-C does, but more often
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.0037)
while time.monotonic() < end:
    try:
        while time.monotonic() < end:
            (job,) = new_jobs(1)
            store.run(store.plans.add, [job])
            acknowledged.append(job.id)
            store.run(store.plans.get, job.id)
    except KeyboardInterrupt:
        interrupts += 1
signal.setitimer(signal.ITIMER_REAL, 0)
ask = False
for thread in threads:
    thread.join(20)
    assert not thread.is_alive(), "a thread waits for ever"
other = open_store(url)
other.session.writer.execute("pragma busy_timeout = 100")
other.run(other.plans.add, new_jobs(1))
kept = {row[0] for row in store.session.writer.execute("select id from dray_job")}
assert store.run(store.plans.counts) == store.run(store.plans.recount)
print(interrupts, len(acknowledged), len(set(acknowledged) - kept))
"""


def test_ctrl_c_again_and_again_loses_nothing_acknowledged_and_locks_nobody_out(child: Child) -> None:
    interrupts, acknowledged, lost = map(int, said(child(INTERRUPTED)).split())
    assert interrupts > 20
    assert acknowledged > 100
    assert lost == 0
