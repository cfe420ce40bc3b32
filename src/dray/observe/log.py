"""The worker's own log: readable in a terminal, JSON when asked for."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from typing import Any, ClassVar

from dray.context import current

FIELDS = ("job", "task", "queue", "attempt", "node", "outcome", "seconds", "trace_id", "span_id")

#: What else is to be known of the place where something is logged, by who tells it: tracing adds its ids.
enrichers: dict[str, Callable[[], dict[str, str]]] = {}


def get_logger(trade: str) -> logging.Logger:
    """The logger of one trade: `dray.pump`, `dray.processes` …"""
    return logging.getLogger(f"dray.{trade}")


class TextFormatter(logging.Formatter):
    """`12:34:56.789 info  message`, in colours on a terminal."""

    COLOURS: ClassVar[dict[str, str]] = {"DEBUG": "2", "INFO": "36", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}

    def __init__(self, *, colours: bool) -> None:
        super().__init__()
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback under it."""
        stamp = time.strftime("%H:%M:%S", time.localtime(record.created)) + f".{int(record.msecs):03d}"
        level = record.levelname.lower().ljust(8)
        text = record.getMessage()
        if self._colours:
            colour = self.COLOURS.get(record.levelname, "0")
            stamp, level = f"\x1b[2m{stamp}\x1b[0m", f"\x1b[{colour}m{level}\x1b[0m"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return f"{stamp} {level} {text}"


class JsonFormatter(logging.Formatter):
    """One JSON object per line, with the fields of the job where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        entry: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in FIELDS:
            if hasattr(record, name):
                entry[name] = getattr(record, name)
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


class JobFields(logging.Filter):
    """Gives each record of a running job its fields: job, task, queue, attempt, node, and the ids of the trace if there is one.

    `set_up` puts it on the handler of workers. In a process with a logging setup of its own, add it to a handler there.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets everything through. Fields that the record has already stay as they are."""
        context = current.get()
        known = record.__dict__
        if context is not None:
            for name in ("task", "queue", "attempt"):
                known.setdefault(name, getattr(context, name))
            known.setdefault("job", context.id)
            if context.node is not None:
                known.setdefault("node", context.node)
        for tell in enrichers.values():
            for name, value in tell().items():
                known.setdefault(name, value)
        return True


def set_up(level: str = "info", form: str = "auto") -> None:
    """Log to stderr: text on a terminal, JSON elsewhere, unless `form` says which ("text", "json")."""
    terminal = sys.stderr.isatty()
    handler = logging.StreamHandler(sys.stderr)
    as_text = form == "text" or (form == "auto" and terminal)
    handler.setFormatter(TextFormatter(colours=terminal) if as_text else JsonFormatter())
    handler.addFilter(JobFields())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("dray").setLevel(level.upper())
