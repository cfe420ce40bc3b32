"""Settings: flag > environment (each also as `…_FILE`) > `dray.toml` or `[tool.dray]` > default; each with its origin."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from dray.errors import ConfigurationError

DEFAULTS: dict[str, Any] = {
    "url": "sqlite:///dray.db",
    "migrate": "auto",  # auto: whoever opens the store first brings its schema up to date; never: `dray migrate` does
    "app": None,  # TARGET of the command line
    "queues": None,  # all
    "concurrency": 10,  # slots for async functions and for threads, in each worker process
    "processes": 1,  # worker processes
    "process_slots": None,  # functions in child processes, in each worker process; None: one per core
    "grace": 30.0,  # seconds to finish what runs
    "log_level": "info",
    "log_format": "auto",  # auto: text on a terminal, json otherwise; text; json
    "loop": "auto",  # auto: uvloop where available; asyncio; uvloop
    "health_port": None,  # where `dray worker` answers questions about its health, and for its metrics; None: nowhere
    "health_host": "127.0.0.1",
    "health_file": None,  # touched every 5 seconds while the worker is healthy
    "tracing": False,  # spans for OpenTelemetry
    "trace_mode": "parent",  # parent: the span of a run is a child of that which enqueued it, and linked to it; link: only that
}
CHOICES = {
    "migrate": ("auto", "never"), "log_format": ("auto", "text", "json"), "loop": ("auto", "asyncio", "uvloop"),
    "trace_mode": ("parent", "link"),
}  # fmt: skip


class Setting(Struct, frozen=True):
    """A value, and where it comes from."""

    name: str
    value: Any
    origin: str


def settings(
    flags: Mapping[str, Any] | None = None, *, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> dict[str, Setting]:
    """All settings. Raises ConfigurationError for a file that cannot be read or a key that does not exist."""
    environ = os.environ if environ is None else environ
    found = {name: Setting(name, value, "default") for name, value in DEFAULTS.items()}
    for name, value, origin in _from_files(folder or Path.cwd()):
        if name not in DEFAULTS:
            raise ConfigurationError(f"{origin}: there is no setting {name!r}; the settings are {', '.join(DEFAULTS)}.")
        found[name] = Setting(name, value, origin)
    for name in DEFAULTS:
        variable = f"DRAY_{name.upper()}"
        if (file := environ.get(f"{variable}_FILE")) is not None:
            try:
                found[name] = Setting(name, Path(file).read_text(encoding="utf-8").strip(), f"{variable}_FILE")
            except OSError as error:
                raise ConfigurationError(f"{variable}_FILE names {file}, which cannot be read: {error.strerror}.") from None
        if (value := environ.get(variable)) is not None:
            found[name] = Setting(name, value, variable)
    for name, value in (flags or {}).items():
        if value is not None:
            found[name] = Setting(name, value, "flag")
    return {name: _typed(setting) for name, setting in found.items()}


def _from_files(folder: Path) -> list[tuple[str, Any, str]]:
    for name, path in (("dray.toml", ()), ("pyproject.toml", ("tool", "dray"))):
        file = folder / name
        if not file.is_file():
            continue
        try:
            data: Any = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigurationError(f"{name} cannot be read: {error}.") from None
        for key in path:
            data = data.get(key, {})
        if data:
            return [(key.replace("-", "_"), value, name) for key, value in data.items()]
    return []


def _typed(setting: Setting) -> Setting:
    value = setting.value
    if setting.name in ("concurrency", "processes", "process_slots") and value is not None:
        value = _number(setting, int, 1)
    elif setting.name == "grace":
        value = _number(setting, float, 0)
    elif setting.name == "health_port" and value is not None:
        value = _number(setting, int, 0)
        if value > 65_535:
            raise ConfigurationError(f"health_port is {value} (from {setting.origin}): use a number of at most 65535.")
    elif setting.name == "tracing":
        value = _switch(setting)
    elif setting.name == "queues" and isinstance(value, list):
        value = ",".join(value)
    for name, known in CHOICES.items():
        if setting.name == name and value not in known:
            raise ConfigurationError(f"{name} is {value!r} (from {setting.origin}): use {', '.join(known)}.")
    return Setting(setting.name, value, setting.origin)


SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False, "": False}


def _switch(setting: Setting) -> bool:
    found = setting.value if isinstance(setting.value, bool) else SWITCH.get(str(setting.value).strip().lower())
    if not isinstance(found, bool):
        raise ConfigurationError(f"{setting.name} is {setting.value!r} (from {setting.origin}): use 1 or 0, true or false.")
    return found


def _number(setting: Setting, kind: type[int] | type[float], least: int) -> float:
    try:
        value = kind(setting.value)
        if value < least:
            raise ValueError
    except (TypeError, ValueError):
        raise ConfigurationError(
            f"{setting.name} is {setting.value!r} (from {setting.origin}): use a number of at least {least}."
        ) from None
    return value
