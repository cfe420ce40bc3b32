"""Wake-ups: none is lost, none is given to the dead, and in one process they need no file."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from on_file import Child, add_one, said

from dray.store import bell as bell_module
from dray.store.bell import Bell, Listener
from dray.store.open import open_store
from dray.store.sqlite.store import SqliteStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "bell"


@contextlib.contextmanager
def asleep(bell: Bell, *kinds: str) -> Iterator[Listener]:
    listener = bell.listen(*kinds)
    listener.show()
    try:
        yield listener
    finally:
        listener.close()


class Stranger:
    """A bell that takes those of this process for another one's: as another process sees them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bell = Bell(folder)
        self._patch = monkeypatch

    def ring(self, *kinds: str) -> None:
        with self._patch.context() as patch:
            patch.setattr(bell_module, "own_name", lambda: "1-stranger-")
            self.bell.ring(set(kinds))


@pytest.fixture
def stranger(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Stranger:
    return Stranger(folder, monkeypatch)


@pytest.mark.parametrize("folder_too", [True, False])
def test_in_one_process(folder: Path, folder_too: bool) -> None:
    bell = Bell(folder if folder_too else None)
    with asleep(bell, "work", "orders") as listener:
        assert listener.wait(0) is False
        bell.ring({"done"})
        assert listener.wait(0) is False
        bell.ring({"orders", "done"})
        assert listener.wait(0) is True
        listener.hide()
        listener.show()
        assert listener.wait(0) is False, "what has rung is forgotten"
        threading.Timer(0.02, listener.wake).start()
        assert listener.wait(10) is True


def test_from_another_process(folder: Path, stranger: Stranger) -> None:
    with asleep(Bell(folder), "work") as listener:
        assert listener.remote
        stranger.ring("done")
        assert listener.wait(0) is False
        stranger.ring("work")
        assert listener.wait(0) is True
        listener.hide()
        stranger.ring("work")
        listener.show()
        assert listener.wait(0) is False, "who is awake is not rung for"
        stranger.ring("work")
        assert listener.wait(0) is True


def test_a_sleeper_is_seen_however_long_it_was_quiet_before(folder: Path, stranger: Stranger) -> None:
    listener = Bell(folder).listen("work")
    for quiet in (0.0, 0.002, 0.01, 0.06, 0.12):  # ringing in vain before, at all distances from the last change of the folder
        time.sleep(quiet)
        stranger.ring("work")
        time.sleep(quiet)
        stranger.ring("work")
        listener.show()
        stranger.ring("work")
        assert listener.wait(0) is True, quiet
        listener.hide()
    listener.close()


def test_very_many_rings_do_no_harm(folder: Path, stranger: Stranger) -> None:
    bell = Bell(folder)
    with asleep(bell, "work") as listener:
        for _ in range(100_000 // 1000):
            stranger.ring("work")
            bell.ring({"work"})
        os.write(listener._fifo, b"!" * 60_000)
        stranger.ring("work")
        assert listener.wait(0) is True
        listener.hide()
        listener.show()
        assert listener.wait(0) is False


def test_no_wake_up_is_lost_between_processes(child: Child, store: SqliteStore) -> None:
    """The listener shows itself, looks, sleeps; the writer commits, rings. Whatever way the steps of the two fall, the listener
    sees each job without waiting for its time-out."""
    code = """
    store = open_store(url)
    print("open", flush=True)
    import random
    roll = random.Random(3)
    for line in sys.stdin:
        end = time.perf_counter() + roll.random() * 0.001
        while time.perf_counter() < end:
            pass
        store.run(store.plans.add, new_jobs(1))
    """
    writer = child(code)
    assert writer.stdout is not None
    assert writer.stdin is not None
    assert writer.stdout.readline() == "open\n"
    listener = store.listen("work")
    seen = 0
    for turn in range(300):
        writer.stdin.write("\n")
        writer.stdin.flush()
        while True:
            listener.show()
            count = store.run(store.plans.counts).get("default", {}).get("ready", 0)
            if count > seen:
                break
            assert listener.wait(20), f"the wake-up of turn {turn} was lost"
            listener.hide()
        listener.hide()
        seen = count
    said(writer)
    listener.close()
    assert seen == 300


def test_the_fifo_of_a_dead_process_is_removed(child: Child, store: SqliteStore, url: str) -> None:
    code = """
    store = open_store(url)
    listener = store.listen("work")
    listener.show()
    print("asleep", flush=True)
    time.sleep(60)
    """
    dead = child(code)
    assert dead.stdout is not None
    assert dead.stdout.readline() == "asleep\n"
    folder = store.bell.folder
    assert folder is not None
    (name,) = os.listdir(folder)
    dead.kill()
    dead.wait()
    assert os.listdir(folder) == [name]
    add_one(store)
    assert os.listdir(folder) == []


def test_the_fifo_of_a_living_process_is_never_removed(
    folder: Path, stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with asleep(Bell(folder), "work") as listener:
        real = os.open

        def no_more_files(path: object, flags: int, *args: int) -> int:
            if str(path).startswith(str(folder)):
                raise OSError(errno.EMFILE, "too many open files")
            return real(path, flags, *args)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(os, "open", no_more_files)
            stranger.ring("work")
        stranger.ring("work")
        assert listener.wait(0) is True


def test_two_processes_of_the_same_number_do_not_get_into_each_others_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two containers on one folder."""
    one = Bell(folder).listen("work")
    with monkeypatch.context() as patch:
        patch.setattr(bell_module, "_names", {})
        patch.setattr(bell_module, "_numbers", iter([1, 2, 3]))
        other_bell = Bell(folder)
        other = other_bell.listen("work")
        one.show()
        other_bell.ring({"work"})
        assert one.wait(0) is True
    one.hide()
    other.show()
    Bell(folder).ring({"work"})
    assert other.wait(0) is True
    one.close()
    other.close()


def test_a_listener_that_is_closed_leaves_nothing(folder: Path) -> None:
    bell = Bell(folder)
    for shown in (True, False):
        listener = bell.listen("work", "done")
        if shown:
            listener.show()
        listener.close()
        assert os.listdir(folder) == []
    bell.ring({"work"})


def test_without_fifos_there_is_only_the_own_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mkfifo(path: object) -> None:
        raise OSError(errno.EPERM, "not on this file system")

    monkeypatch.setattr(os, "mkfifo", mkfifo)
    bell = Bell(folder)
    with asleep(bell, "work") as listener:
        assert not listener.remote
        bell.ring({"work"})
        assert listener.wait(0) is True
        listener.hide()


def test_a_folder_that_cannot_be_made_or_is_gone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    bell = Bell(tmp_path / "file" / "bell")
    with asleep(bell, "work") as listener:
        bell.ring({"work"})
        assert listener.wait(0) is True
    gone = Bell(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    gone.ring({"work"})


def test_a_store_rings_after_the_commit(store: SqliteStore, url: str) -> None:
    other = open_store(url)
    work, done = store.listen("work"), store.listen("done")
    for listener in (work, done):
        listener.show()
    add_one(other)
    own = store.listen("work")
    own.show()
    id_ = add_one(store)
    assert own.wait(0) is True
    store.run(store.plans.cancel, [id_])
    assert done.wait(0) is True
    for listener in (work, done, own):
        listener.close()
    other.close()
