"""Does the server keep what it was given: in memory, on disk, and from others who use the same database?"""

from __future__ import annotations

from dray.doctor.finding import Finding, note, ok, wrong
from dray.doctor.redis.asking import Server
from dray.store.redis.greeting import evicts, persists
from dray.store.redis.scripts import Scripts
from dray.wording import count, listed

SAMPLES = 20
CACHE = 0.5  # of the keys of others have an expiry: a cache
SEVERAL = 100  # keys of others; fewer are nobody's cache
REWRITE = "It holds until the server restarts: have it written into its configuration, too (config rewrite)."


def eviction(server: Server) -> list[Finding]:
    """Does it throw jobs away when its memory is full?"""
    policy = server.told.get("maxmemory_policy", "noeviction")
    gone = server.number("evicted_keys")
    command = server.cli("config", "set", "maxmemory-policy", "noeviction")
    thrown = f" It has thrown away {count(gone, 'key')} since it started." if gone else ""
    if evicts(server.told):
        message = f"When its memory is full, the server throws keys away, and jobs with them (maxmemory-policy {policy}).{thrown}"
        if "eviction" in server.place.risks:
            return [note("eviction", message, "The URL accepts it (risk=eviction); noeviction would not lose any job.", command)]
        return [wrong("eviction", message, f"Set noeviction, or give the jobs a server of their own. {REWRITE}", command)]
    if policy.startswith("allkeys"):
        message = f"The server would throw jobs away (maxmemory-policy {policy}) if it had a maxmemory, which it has not."
        return [note("eviction", message, f"Set noeviction before somebody gives it one. {REWRITE}", command)]
    if policy != "noeviction":
        message = (
            f"When its memory is full, the server throws away keys that have an expiry (maxmemory-policy {policy}). Dray's have "
            f"none, so they stay; but it is a cache that they share memory with.{thrown}"
        )
        return [note("eviction", message, "Give the jobs a server of their own, with noeviction.", command)]
    return [ok("eviction", "The server throws nothing away when its memory is full: it refuses to write (noeviction).")]


def durability(server: Server) -> list[Finding]:
    """Does what was acknowledged survive a crash?"""
    accepted = "persistence" in server.place.risks
    tell = note if accepted else wrong
    if persists(server.told):
        return [of_fsync(server.known("appendfsync"), server.cli("config", "set", "appendfsync", "everysec"))]
    command = server.cli("config", "set", "appendonly", "yes")
    fix = "The URL accepts it (risk=persistence)." if accepted else f"Switch the append-only file on. {REWRITE}"
    save = server.known("save")
    changes = count(server.number("rdb_changes_since_last_save"), "change")
    if save == "":
        message = "Nothing is kept on disk: when the server ends, all jobs are lost."
        if server.number("connected_slaves"):
            message += " If it restarts before a failover, its replicas copy the emptiness."
        return [tell("durability", message, fix, command)]
    how = "only snapshots are kept on disk" if save else "whether snapshots are is not told"
    message = f"There is no append-only file, and {how}: a crash would now lose {changes} (what was written since the last one)."
    return [tell("durability", message, fix, command)]


def of_fsync(mode: str | None, command: str) -> Finding:
    """The finding about an append-only file that is flushed to disk as `mode` says; None: it is not told."""
    if mode == "always":
        return ok("durability", "What was acknowledged is on disk (appendonly yes, appendfsync always).")
    if mode == "everysec":
        message = (
            "The append-only file is flushed to disk once a second (appendfsync everysec): a crash of the machine can lose the "
            "last second, or two if its disk is slow."
        )
        fix = "That is what most want. If nothing may be lost: appendfsync always, or replicas with ?wait=1 in the URL."
        return note("durability", message, fix)
    if mode == "no":
        message = "The append-only file is flushed when the system sees fit (appendfsync no): a crash can lose half a minute."
        return wrong("durability", message, f"Set everysec. {REWRITE}", command)
    message = "An append-only file is kept; how often it is flushed to disk is not told (CONFIG is refused)."
    return note("durability", message, "Look into the settings of whoever runs the server.")


def last_writes(server: Server) -> list[Finding]:
    """Could it write to its disk when it last tried?"""
    told, found = server.told, []
    fix = "See to its disk: is it full, or read-only, and does the folder belong to the server's user? Its log says why."
    if persists(told) and told.get("aof_last_write_status", "ok") != "ok":
        message = "The server could not write its append-only file, and refuses to write jobs until it can."
        found.append(wrong("last-writes", message, fix))
    if persists(told) and told.get("aof_last_bgrewrite_status", "ok") != "ok":
        message = "The server could not write its append-only file anew: it grows, and the next start takes long."
        found.append(wrong("last-writes", message, f"{fix} Too little memory for a fork is another cause (overcommit_memory)."))
    if told.get("rdb_last_bgsave_status", "ok") != "ok":
        stops = server.known("stop-writes-on-bgsave-error") != "no" and server.known("save") != ""
        message = "The last snapshot failed" + (", and the server refuses to write jobs until one succeeds." if stops else ".")
        found.append((wrong if stops else note)("last-writes", message, fix, server.cli("bgsave")))
    return found or [ok("last-writes", "The server could write to its disk when it last tried.")]


def neighbours(server: Server) -> list[Finding]:
    """Who else keeps keys in the same database?"""
    if server.told.get("loading") == "1":
        return []  # it is not to be asked yet
    kept = dict(part.split("=", 1) for part in server.told.get(f"db{server.place.db}", "").split(",") if "=" in part)
    ours = sum(server.ask("EXISTS", *names) for shard in server.shards if (names := keys_of(server, shard)))
    others, expiring = int(kept.get("keys", 0)) - ours, int(kept.get("expires", 0))
    if others <= 0:
        return [ok("neighbours", "Nobody else keeps keys in this database.")]
    tags = tuple(f"{server.place.tag(shard)}:" for shard in server.shards)
    seen = {key.decode("utf-8", "replace") for _ in range(SAMPLES) if (key := server.ask("RANDOMKEY")) is not None}
    names = sorted(name for name in seen if not name.startswith(tags))
    return [of_neighbours(server, others, expiring, [name for name in names if not is_ours(name)], foreign=not names)]


def of_neighbours(server: Server, others: int, expiring: int, names: list[str], *, foreign: bool) -> Finding:
    """The finding about so many keys that are not this store's, `expiring` of them with an expiry; `names`: some that are no
    store's at all. `foreign`: none was met, so it is not known whose they are."""
    where = f"database {server.place.db}" if server.place.kind != "cluster" else "the cluster"
    some = f", such as {listed([name[:40] for name in names], 3)}" if names else ""
    message = f"{count(others, 'key')} of others {'is' if others == 1 else 'are'} in {where}{some}"
    fix = "Give the jobs a database number of their own, or better a server: who empties a cache (FLUSHDB) would empty the queue."
    if others >= SEVERAL and expiring >= CACHE * others:
        return wrong("neighbours", f"{message}; {expiring:,} have an expiry, so it is a cache, with which jobs share memory.", fix)
    if names or foreign:
        return note("neighbours", f"{message}.", fix)
    return ok("neighbours", f"{message}: those of other namespaces of Dray.")


def is_ours(name: str) -> bool:
    """Whether a key looks like one of some store of Dray."""
    tag, _, rest = name.partition("}:")
    return tag.startswith("{") and rest in KEYS


def keys_of(server: Server, shard: int) -> list[str]:
    """All keys that a shard may have."""
    return [f"{server.place.tag(shard)}:{name}" for name in KEYS]


KEYS = tuple(sorted({"meta"}.union(*(script.keys for script in Scripts().all))))
