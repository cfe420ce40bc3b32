"""Redis as several servers, under load: slots of a cluster that move, a node that dies, a failover by sentinels."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from harness import Place, eventually, overlaps

from dray import Dray, StoreError, StoreUnavailable
from dray.model import ids

if TYPE_CHECKING:
    from servers.redis_cluster import ShardedCluster, Step
    from servers.redis_sentinel import Sentinels

CODE = """
@app.task
async def work(n):
    mark("start", n, current_job().claim)
    await asyncio.sleep(0.01)
    mark("end", n, current_job().claim)
"""


class Load:
    """Two workers, and producers that remember what was acknowledged and when."""

    def __init__(self, folder: Path, url: str, workers: int = 2) -> None:
        self.place = Place(folder, url)
        self.place.code(CODE)
        self.workers = [self.place.start("--concurrency", "8") for _ in range(workers)]
        self.acknowledged: dict[bytes, float] = {}
        self.errors: list[str] = []
        self._going = True
        self._numbers = iter(range(10**9))
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._produce) for _ in range(2)]
        for thread in self._threads:
            thread.start()

    def _produce(self) -> None:
        task = self.place.app.task_named("work")
        while self._going:
            with self._lock:
                number = next(self._numbers)
            try:
                id_ = ids.from_text(task.enqueue(number).id)
            except StoreError as error:
                self.errors.append(str(error))
            else:
                self.acknowledged[id_] = time.monotonic()
            time.sleep(0.005)

    def grows(self, by: int = 30, within: float = 30.0) -> None:
        """Wait until so many more are acknowledged."""
        before = len(self.acknowledged)
        eventually(lambda: len(self.acknowledged) >= before + by, within=within, what="producers go on")

    def ends(self, by: int = 30, within: float = 30.0) -> None:
        """Wait until so many more have run."""
        before = len(self.place.marks("end"))
        eventually(lambda: len(self.place.marks("end")) >= before + by, within=within, what="workers go on")

    def stop(self) -> None:
        """Let the producers end, and wait for what they enqueued."""
        self._going = False
        for thread in self._threads:
            thread.join(60)
        eventually(self._done, within=60, what="all that is left runs")

    def _done(self) -> bool:
        counts = self.place.app.insight.counts().get("default", {})
        return not any(counts.get(state) for state in ("ready", "running", "scheduled"))

    def lost(self) -> list[bytes]:
        """What was acknowledged and is not there any more."""
        store = self.place.app.store
        return [id_ for id_ in self.acknowledged if store.run(store.plans.get, id_) is None]

    def check(self) -> None:
        """Nobody died, nothing ran beside itself, the counters are right, everything that is there has ended well."""
        for worker in self.workers:
            assert worker.process.poll() is None, worker.log
        assert not overlaps(self.place.marks(), "start", "end", lambda pid: None)
        store = self.place.app.store
        counts = store.run(store.plans.counts)
        assert counts == store.run(store.plans.recount), "I10"
        assert set(counts["default"]) == {"succeeded"}

    def close(self) -> None:
        self._going = False
        self.place.close()


@pytest.fixture
def load(tmp_path: Path) -> Any:
    made: list[Load] = []

    def start(url: str, workers: int = 2) -> Load:
        made.append(Load(tmp_path, url, workers))
        return made[-1]

    yield start
    for one in made:
        one.close()


def test_slots_move_under_load(redis_cluster: ShardedCluster, load: Callable[..., Load]) -> None:
    """Nothing is lost, and nobody hears of slots."""
    with redis_cluster.fresh() as url:
        work = load(f"{url}&shards=4&risk=persistence")
        work.ends()
        namespace = work.place.app.store.place.namespace  # type: ignore[attr-defined]
        stops: list[Step] = []

        def half_way(step: Step) -> None:
            stops.append(step)
            time.sleep(0.1)  # the keys of one slot are on two nodes

        for shard in range(4):
            slot = redis_cluster.slot_of(f"{namespace}:{shard}")
            source = redis_cluster.node_of(slot)
            target = next(node for node in redis_cluster.nodes if node is not source)
            redis_cluster.move_slots([slot], source, target, batch=5, hook=half_way)
            work.grows()
            work.ends()
        work.stop()
        assert any(step.left for step in stops), "a slot was seen half moved"
        assert work.errors == []
        assert work.lost() == []
        work.check()
        assert len(work.place.marks("start")) == len(work.acknowledged), "each ran once"


def test_a_node_of_the_cluster_dies_and_comes_back(new_redis_cluster: Any, load: Callable[..., Load]) -> None:
    """What is kept there waits; nothing that was acknowledged is lost, with every write on disk."""
    cluster: ShardedCluster = new_redis_cluster(durable=True, settings={"appendfsync": "always"})
    work = load(f"{cluster.url}?shards=4")
    work.ends()
    node = cluster.node_of(cluster.slot_of("dray:1"))
    cluster.kill(node)
    time.sleep(1.0)  # that is the outage
    cluster.restart(node)
    cluster.wait_ok()
    work.grows()
    work.ends()
    work.stop()
    assert work.lost() == []
    work.check()


@pytest.mark.parametrize("wait", [0, 1])
def test_a_failover_under_load(wait: int, sentinels: Sentinels, load: Callable[..., Load]) -> None:
    """No process exits. What had been acknowledged and not replicated may be lost, and is at most what came in the last moment;
    with `wait=1` nothing is."""
    with sentinels.fresh() as url:
        work = load(f"{url}&wait={wait}&risk=persistence")
        work.ends()
        killed = time.monotonic()
        sentinels.kill_primary()
        work.grows(within=60)
        work.ends(within=60)
        work.stop()
        lost = work.lost()
        print(f"{len(lost)} of {len(work.acknowledged)} acknowledged jobs lost, {len(work.errors)} refused")
        work.check()
        if wait:
            assert lost == []
        assert all(killed - 1.0 < work.acknowledged[id_] < killed + 0.5 for id_ in lost)
        assert len(lost) < 100


def test_what_a_failover_loses_is_what_no_replica_had(sentinels: Sentinels) -> None:
    """To the job. Who asks for `wait=1` is told that it is not safe yet."""
    with sentinels.fresh() as url:
        app, careful = Dray(f"{url}&risk=persistence"), Dray(f"{url}&risk=persistence&wait=1&timeout=3")

        @app.task(name="work")
        def work(n: int) -> None: ...

        @careful.task(name="work")
        def careful_work(n: int) -> None: ...

        before = [careful_work.enqueue(n) for n in range(5)]
        old = sentinels.primary
        replicas = [server for port, server in sentinels.servers.items() if port != old]
        for replica in replicas:
            replica.pause()
        sentinels.servers[old].command("CLIENT", "KILL", "TYPE", "replica")  # or the kernel would keep it for them
        with pytest.raises(StoreUnavailable, match="only 0 of the 1 replicas that wait asks for"):
            careful_work.enqueue(5)
        after = [work.enqueue(n) for n in range(10)]
        sentinels.servers[old].stop(kill=True)
        for replica in replicas:
            replica.resume()
        eventually(lambda: sentinels.primary != old, within=60, what="another primary")
        states = [handle.refresh().info.state for handle in before]
        store = app.store
        lost = [handle for handle in after if store.run(store.plans.get, ids.from_text(handle.id)) is None]
        assert states == ["ready"] * 5
        assert lost == after
        assert store.run(store.plans.counts) == store.run(store.plans.recount)
        app.close()
        careful.close()


def test_a_sleeping_worker_is_woken_by_any_node_of_the_cluster(
    redis_cluster: ShardedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a hint: it would look by itself only after a minute."""
    from dray.store import remote

    monkeypatch.setattr(remote, "FIRST_GLANCE", 60.0)
    monkeypatch.setattr(remote, "RARELY", 60.0)
    with redis_cluster.fresh() as url:
        app, others = Dray(f"{url}&shards=6&risk=persistence"), Dray(f"{url}&shards=6&risk=persistence")
        ran = threading.Semaphore(0)

        @app.task(name="work")
        def work(n: int) -> None:
            ran.release()

        @others.task(name="work")
        def their_work(n: int) -> None: ...

        their_work.enqueue(0)
        with app.worker(concurrency=2):
            assert ran.acquire(timeout=10)
            seen = set()
            while len(seen) < 6:
                ear = app.store.bell.ear  # type: ignore[attr-defined]
                eventually(lambda ear=ear: ear.hears and "work" in ear.held, what="it sleeps")
                seen.add(others.store.plans.shard_of(ids.from_text(their_work.enqueue(1).id)))  # type: ignore[attr-defined]
                assert ran.acquire(timeout=10), f"shards {seen}"
        app.close()
        others.close()
