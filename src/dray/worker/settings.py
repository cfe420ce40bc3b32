"""How a worker is to run."""

from __future__ import annotations

import os

from msgspec import Struct

DEFAULT_CONCURRENCY = 10
DEFAULT_GRACE = 30.0


class WorkerSettings(Struct, frozen=True, kw_only=True):
    """What `dray worker` was told. `concurrency`: slots for coroutines, and as many for threads, in each process.
    `process_slots`: functions in killable child processes, in each process; None is one per core. `grace`: seconds to finish
    what runs. `loop`: "auto" takes uvloop where it is installed."""

    target: str = ""
    url: str | None = None
    queues: str | None = None
    concurrency: int = DEFAULT_CONCURRENCY
    processes: int = 1
    process_slots: int | None = None
    grace: float = DEFAULT_GRACE
    log_level: str = "info"
    log_format: str = "auto"
    loop: str = "auto"
    reload: bool = False
    name: str | None = None
    health_port: int | None = None  # where the supervisor answers; None: nowhere
    health_host: str = "127.0.0.1"
    health_file: str | None = None

    @property
    def pool_size(self) -> int:
        """How many child processes for functions."""
        return self.process_slots if self.process_slots is not None else (os.cpu_count() or 1)
