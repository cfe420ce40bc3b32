"""The visitors: concurrent sign-ups over HTTP, each cut off by a gateway's time-out, and the table of how it went."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dray.demo import db, settings

if TYPE_CHECKING:
    import httpx
    from rich.table import Table

GATEWAY_TIMEOUT = 2.0  # seconds
PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png")


@dataclass
class Measured:
    """One run: the seconds each request took (cut off: the time-out), and what came of it."""

    mode: str
    visitors: int
    seconds: float = 0.0
    taken: list[float] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)  # the new users' ids
    timed_out: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return len(self.taken)

    def percentile(self, percent: float) -> float:
        """The time within which `percent` of all requests were over (nearest rank), in seconds."""
        ordered = sorted(self.taken)
        return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)] if ordered else math.nan


async def drive(
    site: str, mode: str, visitors: int, requests: int, told: Callable[[int], None] | None = None
) -> Measured:
    """Send `requests` sign-ups from so many visitors, each of whom sends the next when the last is over.

    `told` is called after each with the number of requests that are over.
    """
    import httpx

    measured = Measured(mode, visitors)
    photos = [(settings.MEDIA / name).read_bytes() for name in PHOTOS]
    numbers = itertools.count(1)
    limits = httpx.Limits(max_connections=visitors, max_keepalive_connections=visitors)
    async with httpx.AsyncClient(base_url=site, timeout=None, limits=limits, trust_env=False) as client:
        await client.get("/health")
        began = time.perf_counter()

        async def visitor() -> None:
            while (number := next(numbers)) <= requests:
                await sign_up(client, measured, number, photos[number % len(photos)])
                if told is not None:
                    told(measured.requests)

        await asyncio.gather(*(visitor() for _ in range(min(visitors, requests))))
        measured.seconds = time.perf_counter() - began
    return measured


async def sign_up(client: httpx.AsyncClient, measured: Measured, number: int, photo: bytes) -> None:
    import httpx

    name = " ".join(db.somebody(number))
    form = {"name": name, "email": f"{measured.mode}{number}@example.org"}
    began = time.perf_counter()
    try:
        async with asyncio.timeout(GATEWAY_TIMEOUT):
            answer = await client.post(
                "/signup", params={"mode": measured.mode}, data=form, files={"photo": ("photo.png", photo)},
                headers={"Accept": "application/json"},
            )
        if answer.status_code == 201:
            measured.answered.append(answer.json()["id"])
        else:
            measured.errors.append(f"{answer.status_code}: {answer.text[:200]}")
    except TimeoutError:
        measured.timed_out += 1
    except httpx.HTTPError as error:
        measured.errors.append(repr(error))
    measured.taken.append(time.perf_counter() - began)


async def settle(site: str, patience: float = 60.0) -> float:
    """Wait until the site has ended what visitors gave up on; gives the seconds that took. Raises TimeoutError."""
    import httpx

    began = time.perf_counter()
    async with httpx.AsyncClient(base_url=site, timeout=10, trust_env=False) as client, asyncio.timeout(patience):
        while (await client.get("/health")).json()["other_requests"]:  # noqa: ASYNC110  another process
            await asyncio.sleep(0.05)
    return time.perf_counter() - began


def table(runs: Sequence[Measured]) -> Table:
    """The comparison. A request that was cut off counts with the time-out in the percentiles, and not in requests/s."""
    from rich.table import Table

    made = Table(title=f"Sign-up, {runs[0].visitors} visitors at once, gateway time-out {GATEWAY_TIMEOUT:.0f} s")
    made.add_column("mode")
    for name in ("requests", "requests/s", "p50", "p95", "p99", f"failures at {GATEWAY_TIMEOUT:.0f} s"):
        made.add_column(name, justify="right")
    for run in runs:
        failed = run.timed_out + len(run.errors)
        share = failed / run.requests if run.requests else 0
        made.add_row(
            run.mode,
            f"{run.requests:,}",
            f"{len(run.answered) / run.seconds:,.0f}",
            *(f"{run.percentile(percent) * 1000:,.0f} ms" for percent in (50, 95, 99)),
            f"{failed} ({share:.0%})" if failed else "0",
            style="green" if not failed else "",
        )
    return made
