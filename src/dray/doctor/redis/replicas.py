"""Replicas: is there one that could take over, and how far behind is it?"""

from __future__ import annotations

from msgspec import Struct

from dray.doctor.finding import Finding, note, ok, wrong
from dray.doctor.redis.asking import Server
from dray.store.redis.place import Place
from dray.wording import count, size

SILENT = 10  # seconds since a replica was last heard of; they report every second
BEHIND = 64 * 1024**2  # bytes


class Replica(Struct, frozen=True):
    """What a primary knows of one of its replicas."""

    name: str
    state: str
    lag: int  # seconds since it was heard of
    behind: int  # bytes

    @property
    def good(self) -> bool:
        """Whether it follows."""
        return self.state == "online" and self.lag <= SILENT


def replicas(server: Server) -> list[Finding]:
    """Are those there that are needed?"""
    if server.told.get("role") == "slave":
        return []
    known = replicas_of(server.told)
    found = [*of_replicas(server.place, known), *_needed(server)]
    bad = [finding for finding in found if finding.level != "ok"]
    return bad or found


def replicas_of(told: dict[str, str]) -> list[Replica]:
    """The replicas in the answer to INFO."""
    written = int(told.get("master_repl_offset") or 0)
    found = []
    for name in (f"slave{n}" for n in range(int(told.get("connected_slaves") or 0))):
        said = dict(part.split("=", 1) for part in told.get(name, "").split(",") if "=" in part)
        if said:
            behind = max(0, written - int(said.get("offset") or 0))
            where = f"{said.get('ip', '?')}:{said.get('port', '?')}"
            found.append(Replica(where, said.get("state", "?"), max(0, int(said.get("lag") or 0)), behind))
    return found


def of_replicas(place: Place, known: list[Replica]) -> list[Finding]:
    """The findings about the replicas of a store's server."""
    found = []
    good = [replica for replica in known if replica.good]
    if len(good) < place.wait:
        message = (
            f"wait={place.wait} in the URL asks that a write be on {count(place.wait, 'replica')}, and the server has {len(good)}: "
            "every write fails after having waited."
        )
        found.append(wrong("replicas", message, "Bring the replicas back, or lower wait in the URL."))
    for replica in known:
        fix = "Look at its log, its network and its memory; if it fell far behind, raise repl-backlog-size."
        if replica.state != "online":
            found.append(note("replicas", f"Replica {replica.name} is not in step yet ({replica.state}).", fix))
        elif replica.lag > SILENT:
            message = f"Replica {replica.name} was last heard of {replica.lag} seconds ago: it lacks what was written since."
            found.append(wrong("replicas", message, fix))
        elif replica.behind > BEHIND:
            message = f"Replica {replica.name} is {size(replica.behind)} behind: a failover to it now would lose that."
            found.append(note("replicas", message, fix))
    if not known and place.kind != "single":
        message = "The server has no replica: there is nobody to take over when it fails."
        found.append(note("replicas", message, "Give it one."))
    if found:
        return found
    if not known:
        return [ok("replicas", "The server has no replicas, and the URL asks for none.")]
    behind = size(max(replica.behind for replica in known))
    return [ok("replicas", f"The server has {count(len(good), 'replica')}, at most {behind} behind.")]


def _needed(server: Server) -> list[Finding]:
    """The primary itself may refuse to write without replicas."""
    least = int(server.known("min-replicas-to-write") or 0)
    good = server.number("min_slaves_good_slaves")
    if least and "min_slaves_good_slaves" in server.told and good < least:
        wanted = count(least, "replica")
        message = f"The server refuses to write: it has {good} of the {wanted} that min-replicas-to-write asks for."
        return [wrong("replicas", message, "Bring the replicas back.", server.cli("config", "set", "min-replicas-to-write", "0"))]
    return []
