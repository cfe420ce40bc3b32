"""PgQueuer, the quickest rival on PostgreSQL, in an environment of its own and in the set-up that does best here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
import venv
from functools import cache
from pathlib import Path
from typing import Any

from bench.places import ROOT

PROGRAM = Path(__file__).with_name("rival_program.py")
#: (connections that dequeue, batch size, most at once): what its documentation tells to turn. 0 is no limit.
SETUPS = ((1, 100, 200), (1, 250, 500), (1, 500, 0), (5, 10, 0), (5, 100, 0))


@cache
def python() -> str | None:
    """The interpreter of the environment that has the `bench` group in it, made at the first call; None if that cannot be had."""
    home = Path(sys.prefix) / "rival"
    program = home / "bin" / "python"
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]["bench"]
    stamp = home / "wanted.json"
    if stamp.exists() and json.loads(stamp.read_text(encoding="utf-8")) == wanted:
        return str(program)
    shutil.rmtree(home, ignore_errors=True)
    uv = Path(sys.prefix) / "bin" / "uv"
    venv.create(home, with_pip=not uv.exists(), symlinks=True)
    install = [str(uv), "pip", "install", "--python", str(program)] if uv.exists() else [str(program), "-m", "pip", "install"]
    done = subprocess.run([*install, "-q", *wanted], capture_output=True, text=True)
    if done.returncode != 0:
        print(f"NOTE: PgQueuer cannot be installed, so there are no figures of it: {done.stderr.strip()[-300:]}", file=sys.stderr)
        shutil.rmtree(home, ignore_errors=True)
        return None
    stamp.write_text(json.dumps(wanted), encoding="utf-8")
    return str(program)


def drain(url: str, n: int, setup: tuple[int, int, int], processes: int = 1) -> dict[str, Any]:
    """Let it install itself in the empty database at `url`, take in `n` jobs and run them: `rate`, jobs per second from the first
    to the last that runs, and `cpu`, µs per job."""
    program = python()
    assert program
    ask(program, "fill", url, str(n))
    running = [
        subprocess.Popen([program, str(PROGRAM), "drain", url, *map(str, setup)], stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    told = [json.loads(process.communicate(timeout=600)[0]) for process in running]
    done = sum(one["n"] for one in told)
    if done != n:
        raise RuntimeError(f"PgQueuer has run {done} of {n} jobs")
    took = max(one["last"] for one in told) - min(one["first"] for one in told)
    return {"rate": n / took, "cpu": sum(one["cpu"] for one in told) / n * 1e6}


def ask(*command: str) -> None:
    """Run one of its programs."""
    done = subprocess.run((*command[:1], str(PROGRAM), *command[1:]), capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise RuntimeError(f"PgQueuer: {done.stderr.strip()[-1000:]}")


def best_setup(fresh: Any, n: int) -> tuple[int, int, int]:
    """The quickest of its set-ups here. `fresh`: gives the URL of an empty database."""
    rates = {}
    for setup in SETUPS:
        with fresh() as url:
            rates[setup] = drain(url, n, setup)["rate"]
    return max(rates, key=rates.__getitem__)


def told(setup: tuple[int, int, int]) -> str:
    """A set-up in words."""
    connections, batch, most = setup
    return f"asyncpg, uvloop, durable; {connections} dequeuing, batch_size {batch}, max_concurrent_tasks {most or 'none'}"
