"""Wake-up by publish and subscribe: a hint only.

Who sleeps subscribes; each script publishes at its end what it has made ready. To nobody that costs the server next to nothing, so
that a busy system pays nothing for it.
"""

from __future__ import annotations

import time
from typing import Any

from redis import exceptions

from dray.store.bell import Bell
from dray.store.redis.lines import Lines
from dray.store.remote import KINDS, Ear

LINGER = 0.02  # seconds that a subscription is kept after waking, for one that sleeps again at once
HEARTBEAT = 20.0  # seconds between questions whether the connection is still alive
ANSWER = 5.0  # seconds for an answer on it


class RedisEar(Ear):
    """Hears what is published, on any node of a cluster. `channels`: what their names begin with."""

    troubles = (exceptions.RedisError, OSError)

    def __init__(self, lines: Lines, channels: str, bell: Bell) -> None:
        self._lines = lines
        self._names = {kind: f"{channels}{kind}" for kind in KINDS}
        self._kinds = {name.encode(): kind for kind, name in self._names.items()}
        super().__init__(bell)

    def open(self) -> Any:
        """A connection to the server, or to one of them."""
        router = self._lines.router
        try:
            return router.connect(router.address(0), ANSWER)
        except self.troubles:
            router.forget()  # another server may be the primary by now
            raise

    def shut(self, connection: Any) -> None:
        """Close it."""
        connection.disconnect()
        self._lines.router.forget()

    def stay(self, connection: Any) -> None:
        """Hear what comes over it."""
        asked: set[str] = set()
        release_at: float | None = None
        beat_at, answer_by = time.monotonic() + HEARTBEAT, float("inf")
        poll = self.poll(connection._sock.fileno())
        while self._going:
            wanted = self.wanted()
            now = time.monotonic()
            if now > answer_by:
                raise exceptions.ConnectionError("the server does not answer any more")
            if wanted - asked:
                connection.send_command("SUBSCRIBE", *(self._names[kind] for kind in sorted(wanted - asked)), check_health=False)
                asked |= wanted
                answer_by = min(answer_by, now + ANSWER)
            if asked <= wanted:
                release_at = None
            elif release_at is None:
                release_at = now + LINGER
            elif now >= release_at:
                if idle := self.let_go():
                    connection.send_command("UNSUBSCRIBE", *(self._names[kind] for kind in sorted(idle)), check_health=False)
                asked -= idle
                release_at = None
            if now >= beat_at:
                connection.send_command("PING", check_health=False)
                answer_by = min(answer_by, now + ANSWER)
                beat_at = now + HEARTBEAT
            until = min(beat_at, answer_by, release_at or float("inf"))
            if self.heard(poll.poll(max(0.0, (until - time.monotonic()) * 1000) + 1)):
                self._take_notes(connection)
                answer_by = float("inf")

    def _take_notes(self, connection: Any) -> None:
        kinds, confirmed = set(), set(self.held)
        while True:
            note = connection.read_response(disable_decoding=True, timeout=ANSWER)
            if isinstance(note, list) and len(note) == 3:
                kind = self._kinds.get(note[1])
                if kind is not None and note[0] == b"message":
                    kinds.add(kind)
                elif kind is not None and note[0] == b"subscribe":
                    confirmed.add(kind)
            if not connection.can_read(0):
                break
        if confirmed != self.held:
            self.hold(frozenset(confirmed))
        if kinds:
            self._bell.ring(kinds)
