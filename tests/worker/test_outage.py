"""Stores that fail, move or fill up under running workers, and workers that cannot start."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Place, alive, cpu_of, eventually

from dray import Dray, StoreUnavailable

CODE = """
@app.task
async def step(n):
    mark("start", n)
    await asyncio.sleep(0.15)
    mark("end", n)
    return n

@app.task
def work(n, seconds):
    mark("start", n)
    time.sleep(seconds)
    mark("end", n)
    return n

@app.task
async def waits(n, seconds):
    mark("start", n)
    await asyncio.sleep(seconds)
    mark("end", n)
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", folder], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_waited_out_and_nothing_is_lost(file_place: Place, disk: Path) -> None:
    file_place.file = disk / "jobs.db"
    file_place.url = f"sqlite:///{file_place.file}"
    file_place.code(CODE)
    worker = file_place.start("--concurrency", "3")
    child = worker.child()
    jobs = file_place.calls("step", [(n,) for n in range(40)])
    file_place.wait_mark("end", 6)
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    worker.wait_log("is full")
    with pytest.raises(StoreUnavailable, match="is full"):
        file_place.enqueue("step", 1000)
    before, began = cpu_of(child) + cpu_of(worker.pid), time.monotonic()
    eventually(lambda: time.monotonic() - began > 3, what="some time with a full disk")
    assert cpu_of(child) + cpu_of(worker.pid) - before < 1.0, "it does not spin"
    filler.unlink()
    assert file_place.wait_final(jobs) == ["succeeded"] * 40
    assert worker.child() == child
    assert sorted(int(mark[3]) for mark in file_place.marks("end")) == list(range(40)), "each ran once"
    assert file_place.app.insight.counts() == file_place.app.insight.recount()
    assert worker.stop() == 0


def test_a_store_that_cannot_be_written_is_one_sentence(file_place: Place, disk: Path) -> None:
    file_place.file = disk / "jobs.db"
    file_place.url = f"sqlite:///{file_place.file}"
    file_place.code(CODE)
    file_place.enqueue("step", 1)
    file_place.app.close()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    worker = file_place.start(ready=False)
    assert worker.wait() == 2
    (line,) = worker.log.strip().splitlines()
    assert "jobs.db" in line
    assert "Traceback" not in line


def test_a_moved_store_is_noticed_and_the_worker_goes_on_with_the_new_one(file_place: Place) -> None:
    file_place.code(CODE)
    worker = file_place.start()
    child = worker.child()
    file_place.enqueue("step", 1).result(timeout=10)
    file_place.app.close()
    for file in file_place.folder.glob("jobs.db*"):
        if file.is_file():
            file.rename(file_place.folder / file.name.replace("jobs", "moved"))
    before = cpu_of(worker.pid) + cpu_of(child)
    worker.wait_log("has been moved, deleted or replaced")
    assert cpu_of(worker.pid) + (cpu_of(child) if alive(child) else before) - before < 1.0
    assert file_place.enqueue("step", 2).result(timeout=20) == 2
    assert worker.stop() == 0
    moved = Dray(f"sqlite:///{file_place.folder}/moved.db")
    assert moved.insight.counts() == {"default": {"succeeded": 1}}
    moved.close()


def test_code_that_cannot_be_imported_is_status_2_and_one_sentence(file_place: Place) -> None:
    (file_place.folder / "tasks.py").write_text("import not_there_at_all\n")
    worker = file_place.start("--processes", "2", ready=False)
    assert worker.wait() == 2
    assert worker.log.count("not_there_at_all") >= 1
    assert "dray/worker" not in worker.log
    assert worker.log.count("dray:") + worker.log.count("Error") <= 3
    hook = "@app.on_start\ndef no(): raise OSError('not today')\n"
    (file_place.folder / "tasks.py").write_text(f"from dray import Dray\napp = Dray()\n{hook}")
    worker = file_place.start(ready=False)
    assert worker.wait() == 2
    assert "not today" in worker.log


def test_reload_takes_up_changed_code_and_survives_broken_code(file_place: Place) -> None:
    file_place.code(CODE + "\n@app.task\ndef version(): return 1\n")
    worker = file_place.start("--reload")
    assert file_place.enqueue("version").result(timeout=10) == 1
    file = file_place.folder / "tasks.py"
    good = file.read_text()
    file.write_text(good.replace("return 1\n", "return 2\n"))
    worker.wait_ready(2)
    assert file_place.enqueue("version").result(timeout=10) == 2
    file.write_text("this is no Python")
    worker.wait_log("waiting for the code to change")
    assert worker.process.poll() is None
    file.write_text(good.replace("return 1\n", "return 3\n"))
    worker.wait_ready(3)
    assert file_place.enqueue("version").result(timeout=10) == 3
    assert worker.stop() == 0


def test_a_worker_and_four_producers(file_place: Place) -> None:
    file_place.code(CODE + "\n@app.task\nasync def note(n): mark('note', n)\n")
    worker = file_place.start("--concurrency", "20")
    script = "import sys, tasks\nfor n in range(150): tasks.note.enqueue(int(sys.argv[1]) * 1000 + n)\nprint('done')"
    environ = dict(os.environ, DRAY_URL=file_place.url, MARKS=str(file_place.folder / "marks"))
    producers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(n)], cwd=file_place.folder, env=environ,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for n in range(4)
    ]  # fmt: skip
    for producer in producers:
        out, err = producer.communicate(timeout=40)
        assert (producer.returncode, out, err) == (0, "done\n", "")
    eventually(lambda: file_place.app.insight.counts()["default"].get("succeeded") == 600)
    assert sorted(int(mark[3]) for mark in file_place.marks("note")) == sorted(n * 1000 + m for n in range(4) for m in range(150))
    assert worker.stop() == 0
    assert "warning" not in worker.log
