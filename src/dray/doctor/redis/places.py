"""The jobs: is what is kept of a form that this version reads, and is each job where it can be found?"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from msgspec import structs
from redis import exceptions

from dray.doctor.finding import Finding, note, ok, wrong
from dray.doctor.redis.asking import Server
from dray.errors import DrayError
from dray.store.plan import Call, Plan, reads
from dray.store.redis.greeting import FORMAT
from dray.store.redis.place import RISKS, Place
from dray.store.redis.store import RedisStore
from dray.store.redis.trouble import as_ours
from dray.wording import count

AT_ONCE = 200  # jobs that one script looks at
AT_MOST = 5000  # … and all together in a shard, unless every job is to be counted


@contextlib.contextmanager
def opened(place: Place) -> Iterator[RedisStore]:
    """The store, though jobs might be lost in it: that has been told already. Raises StoreError."""
    store = RedisStore(structs.replace(place, risks=frozenset(RISKS)))
    try:
        yield store
    finally:
        store.close()


def kept(servers: list[Server]) -> tuple[bool, Finding]:
    """Whether the store can be opened, and the finding about what is kept there. Raises StoreError."""
    told = {shard: _meta(server, shard) for server in servers for shard in server.shards}
    place = servers[0].place
    forms = {form for form, _ in told.values() if form is not None}
    spreads = {spread for _, spread in told.values() if spread is not None}
    if not forms:
        message = f"Nothing is kept under {place.tag(0)} yet; who opens the store first begins it."
        return False, note("schema", message, "If there should be jobs, correct the database number or the namespace in the URL.")
    if forms != {FORMAT}:
        message = f"The jobs are kept in form {max(forms - {FORMAT})}, and this version of Dray knows {FORMAT}."
        return False, wrong("schema", message, "Use the version that wrote them.")
    if spreads != {place.shards}:
        spread = max(spreads - {place.shards})
        message = f"The jobs are spread over {count(spread, 'shard')}, and the URL says {place.shards}."
        return False, wrong("schema", message, f"Write ?shards={spread} in the URL, or use another namespace.")
    return True, ok("schema", f"The jobs are kept in the form that this version writes ({FORMAT}).")


def _meta(server: Server, shard: int) -> tuple[int | None, int | None]:
    try:
        form, spread = server.ask("HMGET", f"{server.place.tag(shard)}:meta", "format", "shards")
    except (exceptions.RedisError, OSError) as error:
        raise as_ours(error, server.place.where) from error
    return (None if form is None else int(form)), (None if spread is None else int(spread))


def places(store: RedisStore, *, deep: bool) -> Finding:
    """Is each job where it is looked for? Walks over so many of each shard, or with `deep` over all. Raises StoreError."""
    looked = astray = 0
    for shard in range(store.place.shards):
        last, seen = b"", 0
        while True:
            last, misplaced, empty, jobs, bodies, taken = store.run(_misplaced, store, last, shard)
            astray += misplaced + empty
            seen += min(AT_ONCE, jobs)
            if not last or (seen >= AT_MOST and not deep):
                break
        looked += min(seen, jobs)
        astray += 0 if astray or last == b"" else max(abs(jobs - bodies), abs(jobs - taken))
    return of_places(looked, astray)


@reads
def _misplaced(store: RedisStore, last: bytes, shard: int) -> Plan[tuple[bytes, int, int, int, int, int]]:
    return tuple((yield Call(store.plans.say.misplaced, (last, AT_ONCE), shard)))


def of_places(looked: int, astray: int) -> Finding:
    """The finding about so many jobs, and so many that are not in their place."""
    if not astray:
        return ok("places", f"Each of the {count(looked, 'job')} looked at is where it belongs.")
    what = "is not in its place" if astray == 1 else "are not in their place"
    message = f"{count(astray, 'job')} {what}: the server has lost writes, by a failover or by hand."
    fix = (
        "A live worker puts them back within a minute, and logs how many. If it happens again, look at the replicas, at wait= in "
        "the URL, and at who else writes there."
    )
    return wrong("places", message, fix)


def refused(error: DrayError) -> Finding:
    """The finding about a look that failed."""
    return wrong("places", f"The jobs could not be looked at: {error}", "Correct what is wrong above, and look again.")
