"""What a check found."""

from __future__ import annotations

from msgspec import Struct

OK, NOTE, WRONG = "ok", "note", "wrong"


class Finding(Struct, frozen=True):
    """One answer. `check` is stable, for programs; `level` is "ok", "note" (good to know) or "wrong" (to be corrected); `fix` says
    what to do about it, `command` how, where a command does it."""

    check: str
    level: str
    message: str
    fix: str = ""
    command: str | None = None


def ok(check: str, message: str) -> Finding:
    """All is well."""
    return Finding(check, OK, message)


def note(check: str, message: str, fix: str = "", command: str | None = None) -> Finding:
    """Good to know."""
    return Finding(check, NOTE, message, fix, command)


def wrong(check: str, message: str, fix: str, command: str | None = None) -> Finding:
    """To be corrected."""
    return Finding(check, WRONG, message, fix, command)
