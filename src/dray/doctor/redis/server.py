"""The server: is it one that takes jobs, and has it room for those who come?"""

from __future__ import annotations

from dray.doctor.clocks import compared
from dray.doctor.finding import Finding, note, ok, wrong
from dray.doctor.redis.asking import Server
from dray.model.duration import human
from dray.store.redis.greeting import OLDEST
from dray.wording import count

MANY, TOO_MANY = 0.8, 0.95  # of the connections that there may be
QUICK = 1000  # milliseconds: a script of Dray takes some, on a machine that stalls perhaps a hundred times as many


def version(server: Server) -> list[Finding]:
    """Is the server one that will do?"""
    told = server.told
    text = f"Valkey {told['valkey_version']}" if "valkey_version" in told else f"Redis {told.get('redis_version', '?')}"
    numbers = tuple(int(part) for part in told.get("redis_version", "0.0").split(".")[:2] if part.isdigit())
    if numbers < OLDEST:
        return [wrong("server-version", f"{text} is too old.", "Use Redis 6.2 or later, or Valkey.")]
    if "sentinel" in (told.get("redis_mode"), told.get("server_mode")):
        message = f"The server ({text}) is a Sentinel, which keeps no jobs."
        return [wrong("server-version", message, "Write redis+sentinel://host/name-of-the-primary/0 in the URL.")]
    if server.place.kind != "cluster" and told.get("cluster_enabled") == "1":
        message = f"The server ({text}) is a node of a cluster, and the URL says it is none."
        return [wrong("server-version", message, "Write redis+cluster:// in the URL.")]
    return [ok("server-version", f"The server is {text}.")]


def writable(server: Server) -> list[Finding]:
    """Can anything be written there?"""
    told = server.told
    if told.get("loading") == "1":
        eta = server.number("loading_eta_seconds")
        done = told.get("loading_loaded_perc", "?").partition(".")[0]
        message = f"The server reads its data from disk ({done} % done, about {human(eta)} to go): until then it answers nothing."
        return [wrong("writable", message, "Wait; workers and producers go on by themselves then.")]
    if told.get("role") == "slave":
        primary = f"{told.get('master_host', '?')}:{told.get('master_port', '?')}"
        link = "" if told.get("master_link_status") == "up" else ", which it cannot reach"
        message = f"The server is a replica of {primary}{link}: nothing can be enqueued or run."
        fix = f"Name the primary in the URL, or the sentinels (redis+sentinel://), who know which it is. Now it is {primary}."
        return [wrong("writable", message, fix)]
    return [ok("writable", "The server takes writes.")]


def clock_offset(server: Server) -> list[Finding]:
    """All times are the server's; `at=` and timeouts are reckoned here."""

    def there() -> float:
        seconds, micros = server.ask("TIME")
        return int(seconds) + int(micros) / 1e6

    return [compared(there)]


def connections(server: Server) -> list[Finding]:
    """Is there room for more workers?"""
    return [of_connections(server.number("connected_clients"), server.number("maxclients"), server.number("rejected_connections"))]


def of_connections(used: int, allowed: int, rejected: int) -> Finding:
    """The finding about so many connections of so many, and so many that were refused since the server started."""
    message = f"The server has {count(used, 'connection')} in use of {allowed:,}"
    message += f", and has refused {rejected:,} since it started." if rejected else "."
    fix = "Raise maxclients (and the limit of open files with it), or find out who opens connections and leaves them."
    if used >= TOO_MANY * allowed:
        return wrong("connections", message, fix)
    return note("connections", message, fix) if used >= MANY * allowed else ok("connections", message)


def patience(server: Server) -> list[Finding]:
    """How long may a script take before the server tells everybody that it is busy?"""
    told = server.setting("busy-reply-threshold") or server.setting("lua-time-limit")
    limit = int(told or 0)
    if 0 < limit < QUICK:
        message = f"After {limit} ms of one script the server answers BUSY to everybody (busy-reply-threshold)."
        fix = "Leave it at 5000: a machine that stalls for a moment would make every call fail."
        return [note("busy-threshold", message, fix, server.cli("config", "set", "busy-reply-threshold", "5000"))]
    return [ok("busy-threshold", f"A script may take {limit:,} ms before others are told that the server is busy.")]
