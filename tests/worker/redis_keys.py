"""Straight at the keys of a Redis store: what its tests see and do behind its back."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import redis

from dray.model.job import State
from dray.store.redis.place import place_of
from dray.store.redis.records import LONG, Body, progress_of
from dray.store.sql.rows import CODES

Reply = Any  # redis-py's commands have no exact types
FINAL = {CODES[state] for state in State if state.final}
PLACES = ("ready", "due", "parked", "running", "blocked", "orders", "unfinished", "expires")  # of jobs that are not final


class Kept(NamedTuple):
    """How far a job is, as the codes that the SQL stores have too."""

    state: int
    losses: int
    attempt: int


@contextmanager
def client_of(url: str) -> Iterator[Reply]:
    """A client of ours; its answers are bytes."""
    place = place_of(url)
    (host, port), *_ = place.hosts
    with redis.Redis(host, port, db=place.db, password=place.password, socket_timeout=10) as client:
        yield client


def key(url: str, name: str) -> str:
    """A key of the store."""
    return f"{place_of(url).tag(0)}:{name}"


def kept(url: str) -> dict[bytes, Kept]:
    """All jobs that are kept, by id, from their data alone."""
    found = {}
    with client_of(url) as client:
        bodies: dict[bytes, bytes] = client.hgetall(key(url, "body"))
        lives: dict[bytes, bytes] = client.hgetall(key(url, "live"))
        for seq, raw in bodies.items():
            body = Body(raw)
            state, _, attempt, losses, *_ = progress_of(body, lives.get(seq))
            assert body.id not in found, f"{body.id.hex()} is kept twice"
            found[body.id] = Kept(state, losses, attempt)
    return found


def finished(url: str) -> dict[bytes, tuple[int, int, int]]:
    """The jobs that have come to their end."""
    return {id_: tuple(job) for id_, job in kept(url).items() if job.state in FINAL}


def unfinished(url: str) -> int:
    """How many have not, by the counters; in the end none of them may stand anywhere."""
    with client_of(url) as client:
        counts: dict[bytes, bytes] = client.hgetall(key(url, "counts"))
        left = sum(int(n) for field, n in counts.items() if int(field.rpartition(b"\0")[2]) not in FINAL)
        if not left:
            there = {name: client.zcard(key(url, name)) for name in PLACES}
            assert not any(there.values()), there
    return left


def garble(url: str, id_: bytes, column: str, garbage: bytes) -> None:
    """Put garbage in the place of a job's arguments or options."""
    with client_of(url) as client:
        (member,) = client.zrangebylex(key(url, "ids"), b"[" + id_, b"[" + id_ + b"\xff")
        seq = int(struct.unpack(">d", member[16:])[0])
        raw = client.hget(key(url, "body"), seq)
        body = Body(raw)
        if column == "args":
            raw = raw[: len(raw) - len(body.args)] + garbage
        else:
            assert body.options
            old = LONG.pack(len(body.options)) + body.options
            assert raw.count(old) == 1
            raw = raw.replace(old, LONG.pack(len(garbage)) + garbage)
        client.hset(key(url, "body"), seq, raw)

