"""The first words with a server: whether it will do, and whether jobs would be safe there."""

from __future__ import annotations

import logging
import time
from typing import Any

from redis import exceptions

from dray.errors import ConfigurationError, DrayError, SchemaMismatch, StoreUnavailable
from dray.store.redis.session import PATIENCE, RedisSession
from dray.store.redis.trouble import as_ours, not_now

log = logging.getLogger("dray.redis")

FORMAT = 1  # of what is kept; another number means that this code would misread it
OLDEST = (6, 2)


def greet(session: RedisSession) -> None:
    """Look at the server of each shard, and note what is kept there. Raises StoreError, ConfigurationError."""
    place = session.place
    until = time.monotonic() + min(PATIENCE, place.timeout)
    while True:
        try:
            _greet(session)
            return
        except DrayError:
            raise
        except (exceptions.RedisError, OSError) as error:
            starting = not_now(error) or isinstance(error, exceptions.BusyLoadingError)
            if not starting or time.monotonic() > until:
                raise as_ours(error, place.where) from error
            session.lines.router.forget()
            time.sleep(0.1)


def _greet(session: RedisSession) -> None:
    place, lines = session.place, session.lines
    told = info(lines.ask("INFO"))
    check_version(told, place.where)
    if place.kind != "cluster" and told.get("cluster_enabled") == "1":
        raise ConfigurationError(f"The server of {place.where} is a node of a cluster; write redis+cluster:// in the URL.")
    if "sentinel" in (told.get("redis_mode"), told.get("server_mode")):
        raise ConfigurationError(
            f"The server of {place.where} is a Sentinel; write redis+sentinel://host/name-of-the-primary/0 in the URL."
        )
    if evicts(told) and "eviction" not in place.risks:
        raise StoreUnavailable(
            f"The server of {place.where} throws keys away when its memory is full (maxmemory-policy {told['maxmemory_policy']}), "
            "and jobs with them; set `maxmemory-policy noeviction` there, use a server of its own, or accept it with "
            "?risk=eviction in the URL."
        )
    if not persists(told) and "persistence" not in place.risks:
        log.warning(
            "The server of %s keeps nothing on disk (no append-only file): when it restarts, jobs since its last snapshot, or all, "
            "are lost. Set `appendonly yes` there, or accept it with ?risk=persistence in the URL.", place.where,
        )  # fmt: skip
    lines.ask("PUBLISH", f"{place.namespace}:hello", "")  # a script that may not do so would fail when all else is written
    for shard in range(place.shards):
        key = f"{place.tag(shard)}:meta"
        lines.ask("HSETNX", key, "format", FORMAT, shard=shard)
        lines.ask("HSETNX", key, "shards", place.shards, shard=shard)
        kept, spread = lines.ask("HMGET", key, "format", "shards", shard=shard)
        if int(kept) != FORMAT:
            raise SchemaMismatch(
                f"The jobs in {place.where} are kept in form {int(kept)}, and this version of Dray knows {FORMAT}; use the version "
                "that wrote them."
            )
        if int(spread) != place.shards:
            raise ConfigurationError(
                f"The jobs in {place.where} are spread over {int(spread)} shards, and the URL says {place.shards}; write "
                f"?shards={int(spread)}, or use another namespace."
            )


def info(raw: Any) -> dict[str, str]:
    """The answer to INFO."""
    lines = raw.decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


def check_version(told: dict[str, str], where: str) -> None:
    """Raises StoreUnavailable if the server is too old."""
    version = told.get("redis_version", "0.0")
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST:
        raise StoreUnavailable(f"The server of {where} is Redis {version}; Dray needs Redis 6.2 or Valkey.")


def evicts(told: dict[str, str]) -> bool:
    """Whether the server would throw jobs away. Keys without an expiry are safe from the volatile policies."""
    return told.get("maxmemory_policy", "").startswith("allkeys") and told.get("maxmemory", "0") != "0"


def persists(told: dict[str, str]) -> bool:
    """Whether what is written outlives the server."""
    return told.get("aof_enabled") == "1"
