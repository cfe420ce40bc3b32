"""The sentinels: are there enough that agree, to make another server the primary when this one fails?"""

from __future__ import annotations

from typing import Any

from redis import exceptions

from dray.doctor.finding import Finding, note, ok, wrong
from dray.doctor.redis.asking import DEADLINE, asked, command_line, named
from dray.store.redis.place import Place
from dray.store.redis.router import Address, Router
from dray.store.redis.trouble import words
from dray.wording import count, listed

ENOUGH = 3  # of two, the death of one leaves no majority


def sentinels(router: Router) -> list[Finding]:
    """The findings about all sentinels that the URL names."""
    place = router.place
    found: list[Finding] = []
    primaries: dict[str, list[str]] = {}
    known = 0
    for address in place.hosts:
        try:
            connection = router.connect_sentinel(address, DEADLINE)
        except (exceptions.RedisError, OSError) as error:
            message = f"Sentinel {named(address)} does not answer: {words(error)}."
            found.append(wrong("sentinels", message, "Start it, or take it out of the URL."))
            continue
        try:
            others, primary, said = _examine(place, address, connection)
        except (exceptions.RedisError, OSError) as error:
            message = f"Sentinel {named(address)} knows no primary {place.service!r}: {words(error)}."
            found.append(wrong("sentinels", message, "Correct the name of the primary in the URL, or that of the sentinel."))
            continue
        finally:
            connection.disconnect()
        known = max(known, others + 1)
        primaries.setdefault(primary, []).append(named(address))
        found += said
    if len(primaries) > 1:
        views = listed(f"{primary} by {listed(those)}" for primary, those in primaries.items())
        message = f"The sentinels do not agree on the primary: {views}."
        found.append(wrong("sentinels", message, "If it lasts longer than a failover, look whether they reach one another."))
    if 0 < known < ENOUGH:
        message = f"There {'is' if known == 1 else 'are'} only {count(known, 'sentinel')}: if one fails, no failover is possible."
        found.append(note("sentinels", message, f"Run {ENOUGH} of them, on different machines."))
    return found or [ok("sentinels", f"{count(known, 'sentinel')} agree that {next(iter(primaries), '?')} is the primary.")]


def _examine(place: Place, address: Address, connection: Any) -> tuple[int, str, list[Finding]]:
    """How many others a sentinel knows, which primary it names, and the findings about it."""
    found = []
    told = pairs(asked(connection, "SENTINEL", "MASTER", place.service))
    where = f"{told['ip']}:{told['port']}"
    try:
        asked(connection, "SENTINEL", "CKQUORUM", place.service)
    except exceptions.ResponseError as error:
        message = f"Sentinel {named(address)} finds that no failover is possible: {words(error)}."
        command = command_line(place, address, "sentinel", "ckquorum", place.service)
        found.append(wrong("sentinels", message, "Bring the other sentinels back, or lower the quorum.", command))
    if "down" in told.get("flags", ""):
        message = f"Sentinel {named(address)} holds the primary {where} for down ({told['flags']})."
        found.append(wrong("sentinels", message, "Wait for the failover; if there is none, look at the other findings."))
    replicas = [pairs(one) for one in asked(connection, "SENTINEL", "REPLICAS", place.service)]
    down = [f"{one.get('ip')}:{one.get('port')}" for one in replicas if "down" in one.get("flags", "")]
    if down:
        message = f"Sentinel {named(address)} holds the {'replica' if len(down) == 1 else 'replicas'} {listed(down)} for down."
        found.append(note("sentinels", message, "Bring it back, or have it forgotten (sentinel reset)."))
    return int(told.get("num-other-sentinels", 0)), where, found


def pairs(told: list[bytes]) -> dict[str, str]:
    """The fields of an answer of a sentinel."""
    flat = [one.decode("utf-8", "replace") for one in told]
    return dict(zip(flat[::2], flat[1::2], strict=True))
