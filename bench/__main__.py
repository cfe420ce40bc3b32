"""`python -m bench [--store STORE] [--quick] [--pg VERSION] [--redis KIND] [--json FILE] [NAME …]`"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench import behind, crowd, drain, enqueue, horizon, idle, latency, memory, network, observe, pages, producers, stages, wal
from bench.report import Report
from bench.run import Run

EACH = ("sqlite", "postgres", "redis")
ALL: dict[str, tuple[Callable[[Run], None], tuple[str, ...]]] = {
    "single": (enqueue.single, EACH),
    "producers": (producers.producers, EACH),
    "bulk": (enqueue.bulk, EACH),
    "drain": (drain.drains, EACH),
    "ten_ms": (drain.ten_ms, EACH),
    "behind": (behind.behind, EACH),
    "old_transaction": (horizon.old_transaction, ("postgres",)),
    "pickup": (latency.pickup, EACH),
    "kill": (latency.after_kill, EACH),
    "crowd": (crowd.crowd, EACH),
    "idle": (idle.idle, EACH),
    "wal": (wal.wal, ("postgres",)),
    "network": (network.latency, ("postgres", "redis")),
    "memory": (memory.memory, ("redis",)),
    "observe": (observe.observe, EACH),
    "imports": (idle.imports, ("sqlite",)),
    "pages": (pages.pages, EACH),
    "stages": (stages.stages, EACH),
}


def grounds(stores: tuple[str, ...], version: int | None, kind: str | None) -> Iterator[Any]:
    """The stores to measure, one after the other. A server runs only while it is measured."""
    for store in stores:
        if store == "sqlite":
            from bench.grounds.sqlite import SqliteGround

            yield store, SqliteGround()
        elif store == "redis":
            from bench.grounds import redis

            why = redis.unavailable(kind)
            if why:
                print(f"NOTE: no figures of Redis: {why}")
            else:
                yield store, redis.RedisGround(kind)
        else:
            from bench.grounds.postgres import PostgresGround, unavailable

            why = unavailable(version)
            if why:
                print(f"NOTE: no figures of PostgreSQL: {why}")
            else:
                yield store, PostgresGround(version)


def main() -> int:
    """Measure; exit 1 if a bar was missed, 2 if a benchmark failed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Every figure beside the bare engine's of the same run.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(ALL)} (default: all)")
    parser.add_argument("--store", choices=EACH, action="append", help="only this one (default: all that can be had)")
    parser.add_argument("--pg", type=int, metavar="VERSION", help="major version of PostgreSQL (default: 18, else the newest)")
    parser.add_argument("--redis", metavar="KIND", help="valkey-9 (default), redis-7.0 or redis-6.2")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, to see that it works")
    parser.add_argument("--json", type=Path, default=Path("bench/results/latest.json"), help="where to write the figures")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in ALL]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(ALL)}")
    report, failed = Report(), []
    for store, ground in grounds(tuple(options.store or EACH), options.pg, options.redis):
        with ground:
            report.machine.update(ground.describe())
            print(f"\n{ground.name}: {told(ground.describe())}; `bare` is the engine without Dray, measured in this run.\n")
            for name in options.names or ALL:
                measure, stores = ALL[name]
                if store in stores and not attempt(name, measure, Run(report, ground, options.quick)):
                    failed.append(f"{name} ({ground.name})")
    report.write(options.json)
    missed = [figure for figure in report.figures if figure.ok is False]
    print(f"\n{report.table()}\n\n{len(report.figures)} figures, {len(missed)} below their bar; written to {options.json}")
    if failed:
        print(f"FAILED: {', '.join(failed)}")
        return 2
    return 1 if missed else 0


def attempt(name: str, measure: Callable[[Run], None], run: Run) -> bool:
    """One benchmark; one that fails must not cost the figures of the others."""
    began = time.monotonic()
    try:
        measure(run)
    except Exception:
        traceback.print_exc()
        return False
    print(f"     [{name}: {time.monotonic() - began:.0f} s]", flush=True)
    return True


def told(facts: dict[str, Any]) -> str:
    """Version and settings, in a line."""
    words = []
    for name, value in facts.items():
        words.append(", ".join(f"{key}={one}" for key, one in value.items()) if isinstance(value, dict) else f"{name} {value}")
    return ", ".join(words)


if __name__ == "__main__":
    sys.exit(main())
