"""Making a connection: what it is set to, how long it may take, and whether a pooler answers."""

from __future__ import annotations

import logging
import math
import time
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import psycopg

from dray.errors import StoreUnavailable
from dray.store.postgres.place import Place
from dray.store.postgres.trouble import as_ours

log = logging.getLogger("dray.postgres")

CONNECT = 5  # seconds for a connection to be made, with each host
LEAST = 2  # the driver allows no less
OLDEST = 130_000  # PostgreSQL 13: what is older lacks what the statements need
#: The server looks, while it works or waits for a lock, whether the client is still there. Not every one can (14, Linux).
LOOKS = "client_connection_check_interval"
#: Of the planner, for our sessions: a plan made while a table was small must not be kept when it is large.
SETTINGS = {
    "enable_seqscan": "off", "enable_bitmapscan": "off", "enable_sort": "off", "jit": "off",
    "plan_cache_mode": "force_generic_plan",
}  # fmt: skip
KEEPALIVE: dict[str, Any] = {
    "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 15_000, "application_name": "dray",
}  # fmt: skip


def limits(place: Place) -> dict[str, str]:
    """What the server does with a client that is cut off or stopped in the middle of something: it must not keep its locks. The
    call itself is given up by us before."""
    milliseconds = int(place.timeout * 1000)
    return {
        "statement_timeout": str(milliseconds * 2), "lock_timeout": str(milliseconds * 2 // 3),
        "idle_in_transaction_session_timeout": "15000",
    }  # fmt: skip


def settings(place: Place) -> dict[str, str]:
    """What a session of ours is set to, where sessions last."""
    return {
        **SETTINGS, **limits(place), "default_transaction_isolation": "read\\ committed", "tcp_keepalives_idle": "5",
        "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3", "tcp_user_timeout": "15000", LOOKS: "2000",
    }  # fmt: skip


class Dialer:
    """Makes connections to a place, and finds out what stands before it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.pooled = place.pooler == "transaction"  # a session ends with each transaction
        self._direct = place.pooler != "auto"  # it has been found, or said, that sessions last
        given = dict(parse_qsl(urlsplit(place.dsn).query, keep_blank_values=True))
        self._named = {key: value for key, value in KEEPALIVE.items() if key not in given}
        hosts = given.get("host", urlsplit(place.dsn).netloc).count(",") + 1
        self._hosts = hosts
        self._settings = settings(place)
        self._patience = None if "connect_timeout" in given else float(CONNECT)
        if hosts > 1 and "target_session_attrs" not in given:
            self._named["target_session_attrs"] = "read-write"

    def dial(self, until: float) -> psycopg.Connection[Any]:
        """A connection in autocommit mode, by `until` (monotonic) if the hosts let it. Raises StoreError."""
        place = self.place
        named = dict(self._named)
        if self._patience is not None:
            # A host that does not answer must leave time for those behind it.
            share = min(self._patience, (until - time.monotonic()) / self._hosts)
            named["connect_timeout"] = max(LEAST, math.floor(share))
        try:
            if self.pooled:
                connection = psycopg.Connection.connect(place.dsn, autocommit=True, **named)
            else:
                connection = self._dial_as_session(named)
        except psycopg.Error as error:
            raise as_ours(error, place.where) from error
        if self.pooled:
            connection.prepare_threshold = None
        version = connection.info.server_version
        if version < OLDEST:
            connection.close()
            raise StoreUnavailable(
                f"The server of {place.where} is PostgreSQL {version // 10_000}; Dray needs {OLDEST // 10_000} or later."
            )
        return connection

    def _dial_as_session(self, named: dict[str, Any]) -> psycopg.Connection[Any]:
        options = " ".join(f"-c {name}={value}" for name, value in self._settings.items())
        try:
            return psycopg.Connection.connect(self.place.dsn, autocommit=True, options=options, **named)
        except psycopg.OperationalError as error:
            said = str(error)
            if "unsupported startup parameter" in said and self.place.pooler != "session":
                self.behind_pooler(said)
                return psycopg.Connection.connect(self.place.dsn, autocommit=True, **named)
            if LOOKS in said and LOOKS in self._settings:
                del self._settings[LOOKS]
                return self._dial_as_session(named)
            raise

    def greet(self, connection: psycopg.Connection[Any]) -> None:
        """The first words on a new connection. Raises StoreError."""
        if self.pooled or self._direct:
            return
        try:
            (pid,) = connection.execute("select pg_backend_pid()").fetchone() or (0,)
        except psycopg.Error as error:
            raise as_ours(error, self.place.where) from error
        if pid != connection.info.backend_pid:  # it answers with a number of its own
            self.behind_pooler("its answers come from another process than the one that was connected to")
            connection.prepare_threshold = None
        else:
            self._direct = True

    def behind_pooler(self, why: str) -> None:
        """It turned out that sessions do not last."""
        if not self.pooled:
            self.pooled = True
            log.info(
                "%s is behind a pooler (%s): statements are not prepared, and workers look for jobs instead of being woken. Say "
                "?pooler=transaction to have it so at once, or ?pooler=session if it pools sessions.", self.place.where,
                " ".join(why.split()),
            )  # fmt: skip
