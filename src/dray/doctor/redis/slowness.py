"""A server does one thing at a time: what takes long holds up everybody."""

from __future__ import annotations

from typing import Any

from dray.doctor.finding import Finding, note, ok, wrong
from dray.doctor.redis.asking import Refused, Server
from dray.store.redis.scripts import Scripts
from dray.wording import listed

RECENT = 3600  # seconds
SLOW, VERY_SLOW = 10_000, 1_000_000  # microseconds of a script of Dray
SLOW_OTHERS = 100_000  # … of commands of others
ENTRIES = 128
STALL = 500_000  # microseconds
NAMES = {script.sha: script.name for script in Scripts().all}


def slow_scripts(server: Server) -> list[Finding]:
    """What took long of late?"""
    now = int(server.ask("TIME")[0])
    recent = [entry for entry in server.ask("SLOWLOG", "GET", ENTRIES) if now - entry[1] < RECENT]
    found = [finding for finding in (of_ours(recent), of_others(recent)) if finding is not None]
    if found:
        return found
    limit = int(server.known("slowlog-log-slower-than") or 0)
    if limit < 0 or limit > SLOW:
        message = "The server writes no slow log" if limit < 0 else f"The server's slow log begins at {limit / 1000:g} ms"
        fix = "Have it begin at 10 ms, to see what holds everybody up."
        return [note("slow-scripts", f"{message}.", fix, server.cli("config", "set", "slowlog-log-slower-than", str(SLOW)))]
    return [ok("slow-scripts", "No script of Dray and no command of others took long in the last hour.")]


def of_ours(entries: list[Any]) -> Finding | None:
    """The finding about scripts of Dray among entries of the slow log."""
    slow: dict[str, list[int]] = {}
    for entry in entries:
        name = script_of(entry)
        if name is not None and entry[2] > SLOW:
            slow.setdefault(name, []).append(entry[2])
    if not slow:
        return None
    worst = max(max(times) for times in slow.values())
    which = listed(f"{name} ({_times(len(times))}, up to {max(times) / 1000:,.0f} ms)" for name, times in sorted(slow.items()))
    message = f"Scripts of Dray took more than 10 ms in the last hour: {which}."
    fix = "They take a few when the machine has time for them. Look whether it is busy, swaps, or stalls for a fork (latency)."
    return (wrong if worst > VERY_SLOW else note)("slow-scripts", message, fix)


def of_others(entries: list[Any]) -> Finding | None:
    """The finding about commands of others."""
    theirs = [entry for entry in entries if script_of(entry) is None and entry[2] > SLOW_OTHERS and entry[5:] != [b"dray"]]
    slow = sorted(theirs, key=lambda entry: -entry[2])
    if not slow:
        return None
    _, _, micros, words, *client = slow[0]
    text = b" ".join(words[:3]).decode("utf-8", "replace")[:60]
    who = next((f" of {one.decode('utf-8', 'replace')}" for one in reversed(client) if one), "")  # address and name
    held = f"{_times(len(slow))} in the last hour, by `{text}`{who} for {micros / 1000:,.0f} ms"
    message = f"Somebody else held the server up {held}."
    return note("slow-scripts", message, "Jobs wait meanwhile: have it done in smaller steps (SCAN, UNLINK), or on another server.")


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n:,} times"


def script_of(entry: Any) -> str | None:
    """Which script of Dray an entry of the slow log is about; None: it is none."""
    words = entry[3]
    if len(words) < 2 or words[0].upper() != b"EVALSHA":
        return None
    return NAMES.get(words[1].decode("ascii", "replace"))


def latency(server: Server) -> list[Finding]:
    """Did the server itself stall, for a fork or for its disk?"""
    found = []
    fork = server.number("latest_fork_usec")
    if fork > STALL:
        message = f"The last fork, for a snapshot or a new append-only file, held the server up for {fork / 1000:,.0f} ms."
        fix = "Switch transparent huge pages off, take a machine with more memory, or spread the jobs over a cluster."
        found.append(note("latency", message, fix))
    try:
        events = server.ask("LATENCY", "LATEST")
    except Refused:
        events = []
    now = int(server.ask("TIME")[0])
    stalls = [(name.decode(), last) for name, when, last, *_ in events if now - when < RECENT and last * 1000 > STALL]
    if stalls:
        which = listed(f"{name} ({last:,} ms)" for name, last in stalls)
        fix = "`redis-cli latency doctor` explains them. For aof-fsync-always and aof-write the disk is too slow."
        found.append(note("latency", f"The server stalled: {which}.", fix, server.cli("latency", "doctor")))
    return found or [ok("latency", "The server did not stall for a fork or for its disk.")]
