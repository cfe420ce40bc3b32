"""A cluster: is it whole, and do its nodes share the work?"""

from __future__ import annotations

from collections import Counter
from typing import Any

from msgspec import Struct
from redis import exceptions
from redis.crc import key_slot

from dray.doctor.finding import Finding, note, ok, wrong
from dray.doctor.redis.asking import DEADLINE, Refused, asked, command_line, named
from dray.errors import DrayError, StoreUnavailable
from dray.store.redis.greeting import info
from dray.store.redis.place import Place
from dray.store.redis.router import Address, Router
from dray.store.redis.trouble import as_ours
from dray.wording import count, listed

SLOTS = 16384


class View(Struct, kw_only=True):
    """A cluster as one of its nodes sees it."""

    asked: Address
    state: dict[str, str]  # CLUSTER INFO
    slots: list[tuple[int, int, Address]]  # first, last, who serves them
    nodes: list[list[str]] | None  # the words of CLUSTER NODES; None: it is not told

    def owner(self, slot: int) -> Address | None:
        """Who serves a slot."""
        return next((address for first, last, address in self.slots if first <= slot <= last), None)

    @property
    def primaries(self) -> list[Address]:
        """Those who serve any."""
        return sorted({address for _, _, address in self.slots})


def seen(router: Router) -> View:
    """The cluster as the first node sees it that answers. Raises StoreError, ConfigurationError."""
    place = router.place
    problem: DrayError = StoreUnavailable(f"No node of {place.where} answers.")
    for seed in place.hosts:
        try:
            connection = router.connect(seed, DEADLINE)
        except (exceptions.RedisError, OSError) as error:
            problem = as_ours(error, place.where)
            continue
        try:
            return _view(seed, connection)
        except Refused:
            problem = StoreUnavailable(f"The server {named(seed)} is no node of a cluster; write redis:// in the URL.")
        except (exceptions.RedisError, OSError) as error:
            problem = as_ours(error, place.where)
        finally:
            connection.disconnect()
    raise problem


def _view(seed: Address, connection: Any) -> View:
    slots = [
        (first, last, ((node[0] or b"").decode() or seed[0], node[1]))
        for first, last, node, *_ in asked(connection, "CLUSTER", "SLOTS")
    ]
    try:
        nodes = [line.split() for line in asked(connection, "CLUSTER", "NODES").decode().splitlines() if line]
    except Refused:
        nodes = None
    try:
        state = info(asked(connection, "CLUSTER", "INFO"))
    except Refused:
        state = {}
    return View(asked=seed, state=state, slots=slots, nodes=nodes)


def cluster(place: Place, view: View) -> list[Finding]:
    """Are all slots served, all nodes alive?"""
    found = []
    served = sum(last - first + 1 for first, last, _ in view.slots)
    if served < SLOTS:
        message = f"{count(SLOTS - served, 'slot')} of the cluster {'is' if served == SLOTS - 1 else 'are'} served by nobody"
        lost = [shard for shard in range(place.shards) if view.owner(slot_of(place, shard)) is None]
        message += f", and {count(len(lost), 'shard')} of the jobs with them." if lost else "."
        found.append(wrong("cluster", message, "Bring the node back that had them, or give them to others.", _fix(place, view)))
    elif view.state.get("cluster_state", "ok") != "ok":
        message = f"Node {named(view.asked)} finds the cluster in state {view.state['cluster_state']}, and takes nothing."
        found.append(wrong("cluster", message, "Look at its nodes: does a majority of the primaries answer?", _fix(place, view)))
    found += of_nodes(place, view)
    return found or [ok("cluster", f"All slots are served, by {count(len(view.primaries), 'node')}.")]


def _fix(place: Place, view: View) -> str:
    return command_line(place, view.asked, "--cluster", "check", named(view.asked))


def of_nodes(place: Place, view: View) -> list[Finding]:
    """The findings about the lines of CLUSTER NODES."""
    found = []
    lines = view.nodes or []
    for line in lines:
        flags = set(line[2].split(","))
        where, kind = line[1].partition("@")[0], "Replica" if "slave" in flags else "Node"
        if "fail" in flags or "fail?" in flags:
            sure = "is down" if "fail" in flags else "does not answer"
            tell = wrong if kind == "Node" and len(line) > 8 else note
            found.append(tell("cluster", f"{kind} {where} {sure}.", "Start it, or have it forgotten (cluster forget)."))
    moving = sorted({part.partition("-")[0].lstrip("[") for line in lines for part in line[8:] if part.startswith("[")}, key=int)
    if moving:
        message = f"{count(len(moving), 'slot')} {'is' if len(moving) == 1 else 'are'} being moved ({listed(moving)})."
        fix = "Jobs go on meanwhile. If nobody is resharding, a move was broken off: bring it to its end."
        command = command_line(place, view.asked, "--cluster", "fix", named(view.asked))
        found.append(note("cluster-moving", message, fix, command))
    return found


def shards(place: Place, view: View) -> list[Finding]:
    """Do the nodes share the jobs?"""
    owners = [view.owner(slot_of(place, shard)) for shard in range(place.shards)]
    load = Counter(dict.fromkeys(view.primaries, 0))
    load.update(address for address in owners if address is not None)
    return [of_shards(place, view, load, owners)] if load else []


def of_shards(place: Place, view: View, load: Counter[Address], owners: list[Address | None]) -> Finding:
    """The finding about so many shards on each node."""
    busiest, most = max(load.items(), key=lambda one: one[1])
    idlest, least = min(load.items(), key=lambda one: one[1])
    spread = listed((f"{n} on {named(address)}" for address, n in sorted(load.items())), 10)
    message = f"Of the {count(place.shards, 'shard')} of the jobs there are {spread}."
    if least < place.shards // len(load) and most - least > 1:
        slot = slot_of(place, owners.index(busiest))
        fix = f"Give the slot of one of the busiest's, such as {slot}, to {named(idlest)} (cluster setslot); jobs go on meanwhile."
        return note("shards", message, fix)
    if place.shards < len(load):
        return note("shards", message, f"More shards use all nodes: ?shards={2 * len(load)}, in a new namespace.")
    return ok("shards", message)


def slot_of(place: Place, shard: int) -> int:
    """The slot of a shard."""
    return int(key_slot(place.tag(shard).encode()))
