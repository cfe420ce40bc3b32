"""What a worker costs that has nothing to do, and how long things take to start."""

from __future__ import annotations

import contextlib
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psycopg

from bench.places import worker
from bench.processes import children, connections, cpu_seconds, memory
from bench.run import Run
from dray import Dray


def idle(run: Run) -> None:
    """Supervisor and one worker process; and what they ask of a server."""
    on_postgres = run.ground.name == "PostgreSQL"
    calm, seconds = (1.0 if not on_postgres else 5.0 if run.quick else 20.0), 5.0 if run.quick else 30.0
    with run.ground.fresh() as app, overheard(run, app) as statements:
        began = time.perf_counter()
        with worker(app, concurrency=10) as process:
            run.add("start of a worker, until it is known to the store", time.perf_counter() - began, "s")
            time.sleep(calm)
            pids = [process.pid, *children(process.pid)[:1]]
            before, said = cpu_seconds([process.pid]), statements()
            time.sleep(seconds)
            used = (cpu_seconds([process.pid]) - before) / seconds * 100
            said = [now - then for now, then in zip(statements(), said, strict=True)]
            sizes = [memory(pid) for pid in pids]
            held = [connections(pid, run.ground.cluster.port) for pid in pids] if on_postgres else []
    rss, pss = sum(r for r, _ in sizes), sum(p for _, p in sizes)
    run.add("idle supervisor + worker process: CPU", used, "% of core", bar="≤ 1", ok=used <= 1)
    note = f"{pss:.0f} MB if shared pages count once"
    bar = "" if on_postgres else "≤ 60"  # a driver and its library need some room
    run.add("idle supervisor + worker process: memory", rss, "MB", bar=bar, ok=rss <= 60 if bar else None, note=note)
    if on_postgres:
        rate, note = said[0] / seconds, f"{said[1] / seconds:.2f} of them claims or looks for jobs; {held} connections"
        run.add("idle supervisor + worker process: statements", rate, "1/s", bar="≤ 1", ok=rate <= 1, note=note)


@contextlib.contextmanager
def overheard(run: Run, app: Dray) -> Iterator[Callable[[], tuple[int, int]]]:
    """Inside, sessions that begin in the app's database have their statements written to the server's log; how many there are, and
    how many of them look for jobs."""
    if run.ground.name != "PostgreSQL":
        yield lambda: (0, 0)
        return
    with run.ground.ask(app) as connection:
        name = connection.info.dbname
        connection.execute(psycopg.sql.SQL("alter database {} set log_statement = 'all'").format(psycopg.sql.Identifier(name)))

    def count() -> tuple[int, int]:
        log = run.ground.cluster.log.read_text(encoding="utf-8", errors="replace")
        said = re.split(rf"^\S+ \S+ \S+ \[\d+\] {name} LOG:  (?:statement|execute [^:]*): ", log, flags=re.MULTILINE)[1:]
        return len(said), sum("dray_lane" in text for text in said)

    yield count


def imports(run: Run) -> None:
    """`import dray`, and with what an application uses of it, beyond a bare interpreter."""

    def seconds(code: str) -> float:
        times = []
        for _ in range(5 if run.quick else 15):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times.append(time.perf_counter() - began)
        return statistics.median(times) * 1e3

    nothing = seconds("pass")
    value = seconds("import dray") - nothing
    run.common("import dray", value, "ms", bar="≤ 100", ok=value <= 100)
    value = seconds("from dray import Dray, current_job, Retry, Backoff") - nothing
    run.common("from dray import Dray, …", value, "ms", bar="≤ 100", ok=value <= 100)
