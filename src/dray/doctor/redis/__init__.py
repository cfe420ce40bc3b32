"""The servers of a Redis store: each question apart, so that one that may not be asked spoils no other."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs
from redis import exceptions

from dray.doctor.finding import OK, WRONG, Finding, note, wrong
from dray.doctor.redis import memory, places, replicas, safety, sentinels, server, slowness, spread
from dray.doctor.redis.asking import Refused, Server, connected
from dray.errors import DrayError
from dray.store.redis.place import Place, place_of
from dray.store.redis.router import Address, Router
from dray.store.redis.trouble import as_ours, words
from dray.wording import count, listed

Check = Callable[[Server], list[Finding]]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("writable", server.writable), ("eviction", safety.eviction),
    ("durability", safety.durability), ("last-writes", safety.last_writes), ("replicas", replicas.replicas),
    ("memory", memory.memory), ("fragmentation", memory.fragmentation), ("connections", server.connections),
    ("clock-offset", server.clock_offset), ("slow-scripts", slowness.slow_scripts), ("latency", slowness.latency),
    ("busy-threshold", server.patience), ("neighbours", safety.neighbours),
)  # fmt: skip


def examine_server(url: str, *, deep: bool = False) -> tuple[list[Finding], bool]:
    """The findings, and whether the store can be opened to look into it. Raises ConfigurationError for a URL that is none."""
    place = place_of(url)
    router = Router(place)
    found: list[Finding] = []
    try:
        where = _where(router, found)
    except DrayError as error:
        return [*found, _unreachable(error)], False
    servers: list[Server] = []
    try:
        for address, shards in where.items():
            try:
                servers.append(connected(router, address, shards))
            except DrayError as error:
                found.append(_unreachable(error))
        return _examined(place, servers, found, complete=len(servers) == len(where) > 0, deep=deep)
    finally:
        for one in servers:
            one.connection.disconnect()


def _unreachable(error: DrayError) -> Finding:
    fix = "Nothing else can be examined until this is corrected."
    if "BUSY" in str(error):
        fix = "A script of somebody else does not come to its end; `redis-cli script kill` ends it if it has written nothing."
    return wrong("server-reachable", str(error), fix)


def _where(router: Router, found: list[Finding]) -> dict[Address, list[int]]:
    """The servers that keep jobs, with the shards that each keeps. Raises StoreError, ConfigurationError."""
    place = router.place
    if place.kind == "cluster":
        view = spread.seen(router)
        found += [*spread.cluster(place, view), *spread.shards(place, view)]
        shards: dict[Address, list[int]] = {address: [] for address in view.primaries}
        for shard in range(place.shards):
            owner = view.owner(spread.slot_of(place, shard))
            if owner is not None:
                shards[owner].append(shard)
        return shards
    if place.kind == "sentinel":
        found += sentinels.sentinels(router)
    try:
        return {router.address(0): [0]}
    except (exceptions.RedisError, OSError) as error:
        raise as_ours(error, place.where) from error


def _examined(
    place: Place, servers: list[Server], found: list[Finding], *, complete: bool, deep: bool
) -> tuple[list[Finding], bool]:
    refused: dict[str, list[str]] = {}
    found += _answers(servers, "server-version", server.version, refused)
    if any((finding.check, finding.level) == ("server-version", WRONG) for finding in found):
        return found, False  # it is another kind of server than was thought
    for name, check in CHECKS:
        found += _answers(servers, name, check, refused)
    if refused:
        what = listed((f"{', '.join(names)} ({command})" for command, names in refused.items()), 10)
        message = f"Not looked at, because the server does not let this user ask: {what}."
        found.append(note("not-looked-at", message, "Ask as a user who may, or look at what the one who runs the server shows."))
    blocked = any((finding.check, finding.level) == ("writable", WRONG) for finding in found)
    if blocked or not complete or {shard for one in servers for shard in one.shards} != set(range(place.shards)):
        return found, False
    try:
        usable, said = places.kept(servers)
    except DrayError as error:
        return [*found, _unreachable(error)], False
    found.append(said)
    if usable:
        try:
            with places.opened(place) as store:
                found.append(places.places(store, deep=deep))
        except DrayError as error:
            found.append(places.refused(error))
    return found, usable


def _answers(servers: list[Server], name: str, check: Check, refused: dict[str, list[str]]) -> list[Finding]:
    """What all servers answer: everything that is not in order, or else one of them for all."""
    told: list[tuple[Server, Finding]] = []
    for one in servers:
        try:
            told += [(one, finding) for finding in check(one)]
        except Refused as refusal:
            names = refused.setdefault(refusal.command, [])
            if name not in names:
                names.append(name)
        except (exceptions.RedisError, OSError) as error:
            message = f"The question about {name.replace('-', ' ')} was not answered: {words(error)}."
            told.append((one, note(name, message, "Ask again; if it is so each time, please report it.")))
    if len(servers) == 1:
        return [finding for _, finding in told]
    bad = [structs.replace(finding, message=f"Node {one.name}: {finding.message}") for one, finding in told if finding.level != OK]
    if bad or not told:
        return bad
    one, first = told[0]
    others = count(len(servers) - 1, "other is", "others are")
    return [structs.replace(first, message=f"{first.message} (Node {one.name}; {others} in order, too.)")]
