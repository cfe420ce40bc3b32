"""Several processes on one file: fairness, forks, and kills."""

from __future__ import annotations

import random
import sqlite3
import time
from pathlib import Path

import pytest
from on_file import Child, add_one, ready, said

from dray.errors import StoreBusy
from dray.store.open import open_store
from dray.store.sqlite import session as session_module
from dray.store.sqlite.store import SqliteStore

WINDOW = 2.0

ADD_FOR_A_WHILE = """
store = open_store(url)
print("open", flush=True)
while not Path(arguments[0]).exists():
    time.sleep(0.005)
end, done = time.monotonic() + float(arguments[1]), 0
while time.monotonic() < end:
    store.run(store.plans.add, new_jobs(1))
    done += 1
print(done)
"""


def test_writers_share_the_file_and_none_starves(child: Child, store: SqliteStore, tmp_path: Path) -> None:
    writers = [child(ADD_FOR_A_WHILE, tmp_path / "go", WINDOW) for _ in range(4)]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
    (tmp_path / "go").touch()
    done = [int(said(writer)) for writer in writers]
    assert ready(store) == sum(done)
    assert min(done) >= max(done) / 4, done
    assert sum(done) > 200


def test_a_fresh_file_opened_by_many_at_once(child: Child, url: str, tmp_path: Path) -> None:
    code = """
    while not Path(arguments[0]).exists():
        time.sleep(0.001)
    store = open_store(url)
    for _ in range(20):
        store.run(store.plans.add, new_jobs(1))
    """
    openers = [child(code, tmp_path / "go") for _ in range(6)]
    time.sleep(0.5)  # until they are about ready; if not, they are only less at once
    (tmp_path / "go").touch()
    for opener in openers:
        said(opener)
    store = open_store(url)
    assert ready(store) == 120
    store.close()


def test_a_process_that_keeps_the_gate(child: Child, store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "BUSY_AFTER", 0.2)
    holder = child("""
        import fcntl
        gate = os.open(arguments[0], os.O_RDWR)
        fcntl.flock(gate, fcntl.LOCK_EX)
        print("held", flush=True)
        time.sleep(60)
    """, f"{store.session.path}-gate")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    for _ in range(2):
        with pytest.raises(StoreBusy):
            add_one(store)
    assert store.run(store.plans.counts) == {}, "reading goes on"
    holder.kill()
    holder.wait()
    monkeypatch.undo()
    add_one(store)
    assert ready(store) == 1, "what was refused is not written later"


FORK = """
store = open_store(url)
store.run(store.plans.add, new_jobs(1))
import asyncio, warnings
warnings.simplefilter("ignore")
asyncio.run(store.arun(store.plans.add, new_jobs(1)))  # so that there is a thread, which the child does not have
for how in ("exit", "_exit"):
    pid = os.fork()
    if pid == 0:
        store.run(store.plans.add, new_jobs(1))
        asyncio.run(store.arun(store.plans.add, new_jobs(1)))
        assert store.run(store.plans.counts)["default"]["ready"] >= 4
        grandchild = os.fork()
        if grandchild == 0:
            store.run(store.plans.add, new_jobs(1))
            store.close()
            os._exit(0)
        assert os.waitpid(grandchild, 0)[1] == 0
        sys.exit(0) if how == "exit" else os._exit(0)
    store.run(store.plans.add, new_jobs(1))
    assert os.waitpid(pid, 0)[1] == 0
    store.run(store.plans.add, new_jobs(1))
    asyncio.run(store.arun(store.plans.add, new_jobs(1)))
store.close()
print("well")
"""


def test_a_store_goes_on_on_both_sides_of_a_fork(child: Child, url: str) -> None:
    assert "well" in said(child(FORK))
    store = open_store(url)
    assert ready(store) == 2 + 2 * (3 + 3)
    assert store.session.writer.execute("pragma integrity_check").fetchall() == [("ok",)]
    store.close()


def test_a_store_in_memory_does_not_cross_a_fork(child: Child) -> None:
    code = """
    store = open_store("sqlite://")
    pid = os.fork()
    if pid == 0:
        try:
            store.run(store.plans.add, new_jobs(1))
        except StoreUnavailable as error:
            os._exit(0 if "forked" in str(error) else 2)
        os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    assert said(child(code)) == "0\n"


WRITE_UNTIL_KILLED = """
import threading
store = open_store(url)
node = store.run(store.plans.enter, __import__("dray.store.values").store.values.NodeEntry("n", "h", 1))
lock = threading.Lock()
def work():
    while True:
        jobs = new_jobs(3)
        store.run(store.plans.add, jobs)
        with lock:
            os.write(1, "".join(job.id.hex() + "\\n" for job in jobs).encode())
for _ in range(3):
    threading.Thread(target=work).start()
"""


def test_kill_9_of_a_writer_at_any_moment_loses_nothing_acknowledged(child: Child, url: str, tmp_path: Path) -> None:
    roll = random.Random(7)
    acknowledged: set[bytes] = set()
    for round_ in range(8):
        writer = child(WRITE_UNTIL_KILLED)
        assert writer.stdout is not None
        first = writer.stdout.readline()
        assert first, f"round {round_}: {writer.stderr and writer.stderr.read()}"
        time.sleep(roll.random() * 0.25)
        writer.kill()
        out, _ = writer.communicate()
        lines = (first + out).splitlines()
        acknowledged |= {bytes.fromhex(line) for line in lines if len(line) == 32}
    store = open_store(url)
    kept = {row[0] for row in store.session.writer.execute("select id from dray_job")}
    assert len(acknowledged) > 50
    assert acknowledged <= kept
    assert ready(store) == len(kept), "counters and jobs were written together"
    assert store.session.writer.execute("pragma integrity_check").fetchall() == [("ok",)]
    store.close()


def test_a_reader_that_never_ends_its_transaction_stops_nobody(store: SqliteStore) -> None:
    reader = sqlite3.connect(store.session.path or "", isolation_level=None)
    reader.execute("begin")
    reader.execute("select count(*) from dray_job").fetchall()
    for _ in range(5):
        add_one(store)
    assert ready(store) == 5
    reader.close()
