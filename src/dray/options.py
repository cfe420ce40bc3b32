"""The options of tasks and of `using`: checked once, and the same words in both places."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from dray.errors import ConfigurationError, NotSupported
from dray.model.duration import aware, seconds, size
from dray.model.job import EXECUTORS, PRIORITY_RANGE, Executor, JobOptions
from dray.model.retry import Backoff

# Known, and refused until they are built: an option that is silently ignored would be worse than none.
LATER = ("unique", "concurrency", "rate", "tenant")
LONGEST_NAME = 200  # characters of the name of a task or a queue
LONGEST_SHOWN = 100
TASK_ONLY = ("retry_on", "give_up_on", "transactional", "crash_budget")
USING_ONLY = ("at",)


class Options(Struct, frozen=True, omit_defaults=True):
    """Checked options; what was not given is UNSET. Durations are in seconds, times in microseconds since 1970."""

    queue: str | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    max_attempts: int | UnsetType = UNSET
    backoff: Backoff | UnsetType = UNSET
    retry_on: tuple[type[BaseException], ...] | UnsetType = UNSET
    give_up_on: tuple[type[BaseException], ...] | UnsetType = UNSET
    timeout: float | UnsetType = UNSET
    executor: Executor | UnsetType = UNSET
    delay: float | UnsetType = UNSET
    at: int | UnsetType = UNSET
    expires: float | UnsetType = UNSET  # seconds from enqueueing
    expires_at: int | UnsetType = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    result_ttl: float | UnsetType = UNSET
    memory_limit: int | UnsetType = UNSET  # bytes
    crash_budget: int | UnsetType = UNSET
    transactional: bool | UnsetType = UNSET

    def over(self, base: Options) -> Options:
        """These options, and those of `base` where these say nothing."""
        ours = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not UNSET}
        if "delay" in ours:
            base = msgspec.structs.replace(base, at=UNSET)
        if "at" in ours:
            base = msgspec.structs.replace(base, delay=UNSET)
        return msgspec.structs.replace(base, **ours)

    def kept(self, task: Options) -> bytes | None:
        """As JSON, what the store must keep with one job: what only this job says, and what those must know who decide about it
        without having the code of `task` (the rescue of a lost job, the end of one that waited). None if there is nothing."""

        def given(value: Any) -> Any:
            return None if value is UNSET else value

        found = JobOptions(
            timeout=given(self.timeout),
            memory_limit=given(self.memory_limit),
            backoff=None if self.backoff is UNSET else self.backoff.to_dict(),
            result_ttl=given(task.result_ttl if self.result_ttl is UNSET else self.result_ttl),
            crash_budget=given(task.crash_budget),
        )
        return None if found == NOTHING_APART else msgspec.json.encode(found)


NOTHING_APART = JobOptions()


def check(given: Mapping[str, Any], where: str, *, task: bool) -> Options:
    """Options as given by a user at `where` ("task add", "using() of add"). Raises ConfigurationError or NotSupported."""
    out: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        if name in LATER:
            raise NotSupported(f"{where}: the option {name} is not supported by this version of Dray; leave it out.")
        if not task and name in TASK_ONLY:
            raise ConfigurationError(f"{where}: {name} belongs to the task; give it to @app.task({name}=…).")
        if task and name in USING_ONLY:
            raise ConfigurationError(f"{where}: {name} is a matter of one job; give it to using({name}=…).")
        reader = _READERS.get(name)
        if reader is None:
            known = sorted(n for n in _READERS if n not in (USING_ONLY if task else TASK_ONLY))
            raise ConfigurationError(f"{where}: there is no option {name!r}; the options are {', '.join(known)}.")
        out.update(reader(value, f"{name} of {where}"))
    if "delay" in out and "at" in out:
        raise ConfigurationError(f"{where}: delay and at say the same in two ways; give one of them.")
    return Options(**out)


def check_name(value: str, what: str) -> None:
    """Raises ConfigurationError unless `value` can be the name of a task."""
    if not value or len(value) > LONGEST_NAME or not clean(value):
        raise ConfigurationError(
            f"{what} is {shortened(value)}: use a text of 1 to {LONGEST_NAME} characters without control characters and lone "
            "surrogates."
        )


def clean(text: str) -> bool:
    """Whether every store can keep a text as it is, and a terminal can show it: no control characters, no lone surrogates."""
    return text.isprintable() or not any(unicodedata.category(c) in ("Cc", "Cs") for c in text)


def shortened(value: Any) -> str:
    """A value for a message; the beginning, if it is long."""
    text = repr(value)
    length = len(value) if isinstance(value, str) else len(text)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}… ({length:,} characters)"


def _queue(value: Any, what: str) -> dict[str, Any]:
    fits = isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and value == value.strip()
    if not fits or any(c in value for c in ",:") or not clean(value):
        raise ConfigurationError(
            f"{what} is {shortened(value)}: use a text of 1 to {LONGEST_NAME} characters without commas, colons, line breaks "
            "and other control characters, and outer spaces."
        )
    return {"queue": value}


def _whole(name: str, low: int, high: int | None) -> Any:
    def read(value: Any, what: str) -> dict[str, Any]:
        if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
            limits = f"from {low} to {high}" if high is not None else f"of at least {low}"
            raise ConfigurationError(f"{what} is {value!r}: use a whole number {limits}.")
        return {name: value}

    return read


def _backoff(value: Any, what: str) -> dict[str, Any]:
    if isinstance(value, Backoff):
        return {"backoff": value}
    raise ConfigurationError(f'{what} is {value!r}: use Backoff.exponential("5s", cap="1h"), Backoff.fixed("10s") or the like.')


def _errors(name: str) -> Any:
    def read(value: Any, what: str) -> dict[str, Any]:
        kinds = (value,) if isinstance(value, type) else tuple(value) if isinstance(value, Iterable) else ()
        if not kinds or not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
            raise ConfigurationError(f"{what} is {value!r}: use a tuple of exception classes, such as (ValueError, OSError).")
        return {name: kinds}

    return read


def _positive(name: str) -> Any:
    def read(value: Any, what: str) -> dict[str, Any]:
        duration = seconds(value, what)
        if duration <= 0:
            raise ConfigurationError(f"{what} is {value!r}: use a duration above zero.")
        return {name: duration}

    return read


def _executor(value: Any, what: str) -> dict[str, Any]:
    if isinstance(value, str) and value in EXECUTORS:
        return {"executor": EXECUTORS[value]}
    raise ConfigurationError(f"{what} is {value!r}: use {', '.join(repr(word) for word in EXECUTORS)}.")


def _at(value: Any, what: str) -> dict[str, Any]:
    return {"at": _micros(aware(value, what))}


def _expires(value: Any, what: str) -> dict[str, Any]:
    if isinstance(value, datetime):
        return {"expires_at": _micros(aware(value, what))}
    return {"expires": _positive("expires")(value, what)["expires"]}


def _tags(value: Any, what: str) -> dict[str, Any]:
    tags = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Iterable) else ()
    good = all(isinstance(tag, str) and 0 < len(tag) <= 100 and clean(tag) for tag in tags)
    if not good or (not tags and value not in ((), [], set())):
        raise ConfigurationError(
            f"{what} is {shortened(value)}: use texts of 1 to 100 characters without control characters, such as ('vip', 'eu')."
        )
    return {"tags": tags}


def _flag(value: Any, what: str) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"transactional": value}
    raise ConfigurationError(f"{what} is {value!r}: use True or False.")


def _micros(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


_READERS: dict[str, Any] = {
    "queue": _queue,
    "priority": _whole("priority", *PRIORITY_RANGE),
    "max_attempts": _whole("max_attempts", 1, 1_000_000),
    "crash_budget": _whole("crash_budget", 1, 1_000),
    "backoff": _backoff,
    "retry_on": _errors("retry_on"),
    "give_up_on": _errors("give_up_on"),
    "timeout": _positive("timeout"),
    "executor": _executor,
    "delay": lambda value, what: {"delay": seconds(value, what)},
    "at": _at,
    "expires": _expires,
    "tags": _tags,
    "result_ttl": lambda value, what: {"result_ttl": seconds(value, what)},
    "memory_limit": lambda value, what: {"memory_limit": size(value, what)},
    "transactional": _flag,
}
