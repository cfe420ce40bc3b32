"""What a worker and its child processes say to each other: frames of a length and a MessagePack list."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct

from dray.model.job import Claimed
from dray.model.outcome import Cancelled, Interrupted, Lost, Raised, Returned, Snoozed, Suspended

HEAD = 4


class Hello(Struct, tag=True, array_like=True, frozen=True):
    """To the child: where the app and its tasks are. `log`: level and form of its log, None if that is the application's own
    business; `counting`: whether to tell what its functions enqueue."""

    target: str
    url: str
    modules: list[str]
    path: list[str]
    log: tuple[str, str] | None = None
    counting: bool = False


class Run(Struct, tag=True, array_like=True, frozen=True):
    """To the child: jobs, to be run one after the other, and the number of the worker that they were given to."""

    jobs: list[Claimed]
    node: int | None = None


class Recall(Struct, tag=True, array_like=True, frozen=True):
    """To the child: give back all jobs but the one that runs."""


class Ready(Struct, tag=True, array_like=True, frozen=True):
    """From the child: it can run jobs."""


class Unfit(Struct, tag=True, array_like=True, frozen=True):
    """From the child: it could not load the app."""

    reason: str


class Done(Struct, tag=True, array_like=True, frozen=True):
    """From the child: what a job came to, and how many seconds it took. None: it does not know the task."""

    seq: int
    claim: int
    took: float
    outcome: Returned | Raised | Snoozed | Cancelled | Suspended | Interrupted | Lost | None


class Progress(Struct, tag=True, array_like=True, frozen=True):
    """From the child: the progress of the job that runs."""

    data: bytes


class Log(Struct, tag=True, array_like=True, frozen=True):
    """From the child: a line of the job that runs."""

    level: str
    text: str


class Enqueued(Struct, tag=True, array_like=True, frozen=True):
    """From the child: how many jobs its function has enqueued, by queue and task."""

    counts: dict[str, int]


class Recalled(Struct, tag=True, array_like=True, frozen=True):
    """From the child: the (seq, claim) of jobs that it has not started and will not, in their order."""

    jobs: list[tuple[int, int]]


FromChild = Ready | Unfit | Done | Progress | Log | Enqueued | Recalled
ToChild = Hello | Run | Recall

_encoder = msgspec.msgpack.Encoder()
_from_child = msgspec.msgpack.Decoder(list[FromChild])
_to_child = msgspec.msgpack.Decoder(list[ToChild])


def frame(messages: Sequence[ToChild] | Sequence[FromChild]) -> bytes:
    """Messages as bytes."""
    body = _encoder.encode(messages)
    return len(body).to_bytes(HEAD, "big") + body


class Frames:
    """Puts frames together again from what arrives."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bodies that are complete."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= HEAD:
            size = int.from_bytes(buffer[:HEAD], "big")
            if len(buffer) < HEAD + size:
                return
            body = bytes(buffer[HEAD : HEAD + size])
            del buffer[: HEAD + size]
            yield body


def from_child(body: bytes) -> list[FromChild]:
    """The messages of a frame."""
    return _from_child.decode(body)


def to_child(body: bytes) -> list[ToChild]:
    """The messages of a frame."""
    return _to_child.decode(body)


def receive(connection: socket.socket, frames: Frames) -> list[ToChild] | None:
    """Wait for the next messages to a child; None at the end."""
    while True:
        data = connection.recv(1 << 16)
        if not data:
            return None
        found: list[ToChild] = []
        for body in frames.feed(data):
            found += to_child(body)
        if found:
            return found
