"""Workers on several hosts of a network, and a host that is cut off: others take over, and when it is back it changes nothing."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from harness import Place, Worker, eventually, new_url

from dray import StoreUnavailable
from dray.store.open import open_store
from dray.store.values import Orders
from dray.worker.keeper import Keeper
from dray.worker.settings import WorkerSettings
from dray.worker.supervisor import Supervisor

if TYPE_CHECKING:
    from servers.hosts import Host, Network
    from servers.postgres import Cluster

CODE = """
@app.schedule("every 1s", catch_up="all", overlap="allow")
@app.task
async def tick():
    mark("tick", current_job().id)

def pause(seconds):  # the second run need not be as long
    return seconds if current_job().claim == 1 else min(seconds, 2.0)

@app.task
async def waits(n, seconds):
    mark("start", n, current_job().claim)
    await asyncio.sleep(pause(seconds))
    mark("end", n, current_job().claim)
    return current_job().claim

@app.task
def works(n, seconds):
    mark("start", n, current_job().claim)
    time.sleep(pause(seconds))
    mark("end", n, current_job().claim)
    return current_job().claim

@app.task
async def quick(n):
    mark("quick", n)
    return n
"""


class HostWorker(Worker):
    """A `dray worker` on a host of the network."""

    def __init__(self, place: Place, host: Host, flags: Sequence[str]) -> None:
        self.place = place
        self.log_file = place.folder / f"worker-{len(place.workers)}.log"
        known = dict(os.environ, DRAY_URL=place.url, MARKS=str(place.folder / "marks"), PYTHONDONTWRITEBYTECODE="1")
        known.pop("PYTEST_CURRENT_TEST", None)
        with self.log_file.open("wb") as log:
            self.process = host.run(
                [sys.executable, "-m", "dray.cli.main", "worker", "tasks:app", "--log-format", "text", *flags],
                cwd=place.folder, env=known, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0,
            )  # fmt: skip


class Farm:
    """Two hosts with a worker each, on a server that both reach."""

    def __init__(self, folder: Path, url: str, network: Network) -> None:
        self.place = Place(folder, url)
        self.place.code(CODE)
        self.hosts = {name: network.host(name) for name in ("near", "far")}
        self.workers: dict[str, HostWorker] = {}

    def start(self, name: str, *flags: str) -> HostWorker:
        worker = HostWorker(self.place, self.hosts[name], flags)
        self.place.workers.append(worker)
        self.workers[name] = worker
        worker.wait_ready()
        return worker

    def leader(self) -> str:
        """Which worker does the maintenance."""
        (pid,) = [int(name.rpartition("-")[2]) for (name,) in self.place.query("select node from dray_leader")]
        return next(name for name, worker in self.workers.items() if worker.pid == pid)

    def ticks(self) -> list[int]:
        """The times that the schedule has fired for, in microseconds."""
        return sorted(
            due for table in ("dray_job", "dray_done")
            for (due,) in self.place.query(f"select due from {table} where schedule = 'tick'")
        )  # fmt: skip


@pytest.fixture
def farm(network: Network, tmp_path: Path, new_cluster: Any) -> Iterator[Farm]:
    server: Cluster = new_cluster(durable=False, listen=network.address)
    with new_url("postgres", tmp_path, lambda: server) as url:
        found = Farm(tmp_path, url.replace("127.0.0.1", network.address), network)
        yield found
        for host in found.hosts.values():
            host.mend()
        found.place.close()


def cut_off(farm: Farm, seconds: float) -> None:
    place = farm.place
    far = farm.start("far", "--concurrency", "4")
    eventually(lambda: place.query("select 1 from dray_leader"), what="a leader")
    assert farm.leader() == "far"
    jobs = {
        # It ends while the host is cut off: its outcome comes too late.
        "meanwhile": place.enqueue("works", 1, 7.0), "meanwhile too": place.enqueue("waits", 2, 7.0),
        # These still run when it is back: what can be ended is ended, and the end of the other one comes too late.
        "ended": place.enqueue("waits", 3, seconds + 60), "thread": place.enqueue("works", 4, seconds + 8),
    }  # fmt: skip
    place.wait_mark("start", 4)
    near = farm.start("near", "--concurrency", "8")
    (old_node,) = [node.id for node in place.nodes() if node.pid == far.child()]
    child = far.child()

    farm.hosts["far"].cut()
    began = time.monotonic()
    quick = place.enqueue("quick", 1)
    assert quick.result(timeout=5) == 1
    again = place.wait_mark("start", 8, within=25)[4:]
    took = max(float(mark[2]) for mark in again) - began
    assert {int(mark[1]) for mark in again} == {near.child()}
    assert took < 23, f"{took:.1f} s"  # the lease of 15 s, and until another has the lead
    assert farm.leader() == "near"
    assert place.wait_final(list(jobs.values())) == ["succeeded"] * 4
    before = {name: job.refresh().info for name, job in jobs.items()}
    eventually(lambda: time.monotonic() - began > seconds, within=seconds + 5, what="the end of the cut")

    farm.hosts["far"].mend()
    back = time.monotonic()
    far.wait_log("entering anew", within=30)
    print(f"rescued after {took:.1f} s; noticed {time.monotonic() - back:.1f} s after it was back")
    far.wait_log("came too late", 4, within=20)
    nodes = eventually(lambda: len(found := [node for node in place.nodes() if node.alive]) == 2 and found, what="both are there")
    assert old_node not in {node.id for node in nodes}
    assert far.child() == child
    for name, job in jobs.items():
        info = job.refresh().info
        assert (info.claim, info.losses) == (2, 1), name
        assert [run.word for run in place.app.insight.history(job.id)][:1] == ["lost"], name
        assert info == before[name], f"{name}: what the host had to say when it was back changed something"
        assert far.log.count(f"job {job.id}: the outcome") == 1, f"{name} is reported once"
        assert job.result() == 2, name
    # It works again, and so does everything else.
    assert [job.result(timeout=10) for job in place.calls("quick", [(n,) for n in range(30)])] == list(range(30))
    fired = place.wait_mark("tick", len(place.marks("tick")) + 2)
    assert len({mark[3] for mark in fired}) == len(fired)
    ticks = farm.ticks()
    assert [b - a for a, b in itertools.pairwise(ticks)] == [1_000_000] * (len(ticks) - 1), "each second once"
    assert place.app.insight.counts() == place.app.insight.recount()
    for worker in (near, far):
        assert "Traceback" not in worker.log
    assert near.stop() == 0
    assert far.stop() == 0


def test_a_host_that_is_cut_off_and_comes_back(farm: Farm) -> None:
    cut_off(farm, 22)


@pytest.mark.torture
@pytest.mark.timeout(300)
def test_a_host_that_is_cut_off_for_a_minute(farm: Farm) -> None:
    cut_off(farm, 60)


def test_after_an_outage_a_worker_is_given_time_before_it_is_taken_for_deaf() -> None:
    """Its supervisor may get through to the store again a moment before it does."""

    class Line:
        cut = True
        plans = open_store("sqlite://").plans

        def run(self, *_: object) -> Orders:
            if self.cut:
                raise StoreUnavailable("gone")
            return Orders(frozenset(), {})

    line: Any = Line()
    supervisor = Supervisor(WorkerSettings())
    keeper = supervisor.keeper = Keeper(line, lambda: {1: 0.0}, lambda *_: None, lambda _: None)
    keeper.renew()
    assert not supervisor._store_answers(time.monotonic() + 61)
    line.cut = False
    keeper.renew()
    assert not supervisor._store_answers(time.monotonic() + 1)
    for _ in range(2):
        keeper.renew()
    keeper.since = time.monotonic() - 31
    assert supervisor._store_answers(time.monotonic())
    line.cut = True
    keeper.renew()
    assert not supervisor._store_answers(time.monotonic())
