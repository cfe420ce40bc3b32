"""System: what the doctor says, sizes, settings and where they come from, versions, how long things are kept."""

from __future__ import annotations

import importlib.metadata
import platform
import sqlite3
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from weakref import WeakKeyDictionary

from msgspec import Struct
from starlette.responses import Response

from dray import __version__, config
from dray.dashboard.page import Ask, get, post
from dray.dashboard.settings import Role
from dray.errors import ConfigurationError, DrayError
from dray.maintenance.figures import AUDIT_AGE, AUDIT_KEEP
from dray.model.figures import HOUR, MINUTE, SPANS, TEN_MINUTES
from dray.model.job import KEEP_CANCELLED, KEEP_FAILED, KEEP_SUCCEEDED
from dray.store.open import scheme_of
from dray.store.urls import shown
from dray.wording import count, short

if TYPE_CHECKING:
    from dray.dashboard.house import House
    from dray.doctor import Finding

PATIENCE = 3.0  # seconds that a visitor waits for the doctor; after that the page says that it still looks
LATE = 60.0  # seconds after which the doctor is taken for stuck, and may be asked again
LEVELS = ("wrong", "note", "ok")
PACKAGES = ("msgspec", "starlette", "jinja2", "uvicorn", "psycopg", "redis", "hiredis", "cronsim")


class Round(Struct):
    """One look of the doctor."""

    began: float  # by the monotonic clock
    at: int  # the store's time, microseconds since 1970
    findings: list[Finding] | None = None  # the worst first; None while it looks
    problem: str = ""

    @property
    def over(self) -> bool:
        """Whether it has come back."""
        return self.findings is not None or bool(self.problem)

    def n(self, level: str) -> int:
        """How many findings there are of a level."""
        return sum(finding.level == level for finding in self.findings or ())


class Doctor:
    """Looks once at a time, however many ask, in a thread of its own; remembers what it found last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.last: Round | None = None

    def look(self, url: str, tasks: Collection[str] | None, now: int, patience: float = PATIENCE) -> Round:
        """Begin, if it does not look already, and wait a little."""
        with self._lock:
            if self.last is None or self.last.over or time.monotonic() - self.last.began > LATE:
                self.last = Round(time.monotonic(), now)
                self._done = threading.Event()
                threading.Thread(
                    target=self._run, args=(self.last, self._done, url, tasks), name="dray-doctor", daemon=True
                ).start()
            this, done = self.last, self._done
        done.wait(patience)
        return this

    def _run(self, this: Round, done: threading.Event, url: str, tasks: Collection[str] | None) -> None:
        from dray.doctor import examine

        try:
            found = examine(file_of(url), url, app_tasks=tasks)
            this.findings = sorted(found, key=lambda one: LEVELS.index(one.level) if one.level in LEVELS else 0)
        except DrayError as error:
            this.problem = str(error)
        except Exception as error:  # whatever it is, a visitor waits for an answer
            this.problem = f"The doctor failed itself: {type(error).__name__}: {error}"
        finally:
            done.set()


_doctors: WeakKeyDictionary[House, Doctor] = WeakKeyDictionary()


def doctor_of(house: House) -> Doctor:
    """The one of a dashboard."""
    return _doctors.setdefault(house, Doctor())


def file_of(url: str) -> Path | None:
    """The file of a store in one; None if it is on a server. Raises ConfigurationError for a store in memory."""
    if scheme_of(url) != "sqlite":
        return None
    name = unquote(urlsplit(url).path)
    if name in ("", "/", "/:memory:"):
        raise ConfigurationError("The store is in memory: there is no file for the doctor to look at.")
    return Path(name[1:]).absolute()


@get("/system")
def system(ask: Ask) -> Response:
    """All of it."""
    space = ask.insight.space()
    tables = [one for one in space if not one.name.startswith("(")]
    total = sum(one.size or 0 for one in tables)
    return ask.page(
        "system.html", last=doctor_of(ask.house).last, space=space, largest=max((one.size or 0 for one in tables), default=0),
        total=total, where=shown(ask.house.store.where), settings=settings(ask), versions=versions(), retention=retention(),
        known=ask.house.known_tasks,
    )  # fmt: skip


@post("/system/examine", role=Role.READ)
def examine(ask: Ask) -> Response:
    """Let the doctor look now."""
    tasks = ask.house.known_tasks
    this = doctor_of(ask.house).look(ask.house.store.url, None if tasks is None else set(tasks), ask.now)
    if not this.over:
        return ask.go("system", "The doctor still looks; the findings come below when it is done.")
    n = this.n("wrong")
    return ask.go("system", this.problem or f"The doctor found {count(n, 'thing') if n else 'nothing'} wrong.")


def settings(ask: Ask) -> list[config.Setting]:
    """The settings of this process; of URLs without passwords, and without what is hidden by its name. Those that cannot be read
    are told in one line."""
    try:
        found = config.settings().values()
    except ConfigurationError as error:
        return [config.Setting("settings", str(error), "error")]
    hides = ask.house.redactor.hides
    return [
        config.Setting(one.name, "•••" if hides((one.name,)) else _plain(one.value), one.origin) for one in found
    ]


def _plain(value: Any) -> Any:
    return shown(value) if isinstance(value, str) else value


def versions() -> list[tuple[str, str]]:
    """Of all that matters here."""
    found = [("dray", __version__), ("Python", platform.python_version()), ("SQLite", sqlite3.sqlite_version)]
    for name in PACKAGES:
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return [*found, ("system", f"{platform.system()} {platform.release()} {platform.machine()}")]


def retention() -> list[tuple[str, str]]:
    """What is kept for how long."""
    words = {MINUTE: "the minute", TEN_MINUTES: "ten minutes", HOUR: "the hour"}
    figures = ", ".join(f"by {words[span]} for {short(kept)}" for span, kept in sorted(SPANS.items()))
    return [
        ("Jobs that succeeded", f"{short(KEEP_SUCCEEDED)}, unless the task says result_ttl"),
        ("Jobs that were cancelled", f"{short(KEEP_CANCELLED)}, unless the task says result_ttl"),
        ("Jobs that failed", f"{short(KEEP_FAILED)}, unless the task says result_ttl"),
        ("Figures", figures),
        ("Audit", f"{short(AUDIT_AGE)}, at most {AUDIT_KEEP:,} entries"),
    ]


DOORS = (system, examine)
