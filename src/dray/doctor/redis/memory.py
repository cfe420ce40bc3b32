"""Memory: how much is left?"""

from __future__ import annotations

from dray.doctor.finding import Finding, note, ok, wrong
from dray.doctor.redis.asking import Server
from dray.wording import size

MUCH, TOO_MUCH = 0.8, 0.95
MEBI = 1024**2
LARGE = 256 * MEBI  # what is smaller need not be looked at
FRAGMENTED = 1.5
SWAPPED = 0.8


def memory(server: Server) -> list[Finding]:
    """Is it nearly full?"""
    limit = server.number("maxmemory")
    if limit:
        return [of_memory(server.number("used_memory"), limit, "its maxmemory")]
    whole = server.number("total_system_memory")
    return [of_memory(server.number("used_memory_rss"), whole, "the machine's (no maxmemory is set)")]


def of_memory(used: int, limit: int, whose: str) -> Finding:
    """The finding about so many bytes of so many."""
    message = f"The server uses {size(used)} of {size(limit)}, {whose}."
    fix = "When it is full, nothing can be enqueued. Give it more, or let finished jobs be kept for less long (result_ttl)."
    if limit and used >= TOO_MUCH * limit:
        return wrong("memory", message, fix)
    return note("memory", message, fix) if limit and used >= MUCH * limit else ok("memory", message)


def fragmentation(server: Server) -> list[Finding]:
    """Does it take much more of the machine than it holds, or less?"""
    command = server.cli("config", "set", "activedefrag", "yes")
    return [of_fragmentation(server.number("used_memory"), server.number("used_memory_rss"), command)]


def of_fragmentation(used: int, resident: int, command: str) -> Finding:
    """The finding about a server that holds `used` bytes and takes `resident` of the machine's memory; `command` tidies up."""
    message = f"The server holds {size(used)}, and takes {size(resident)} of the machine's memory."
    if resident - used > LARGE and resident > FRAGMENTED * used:
        return note("fragmentation", message, "Let it tidy up while it runs; a restart does it, too.", command)
    if used > LARGE and resident < SWAPPED * used:
        fix = "A part of it is swapped out, and every call may wait for the disk: give the machine more memory, or set a maxmemory."
        return wrong("fragmentation", message, fix)
    return ok("fragmentation", message)
