"""A connection to one server, for questions."""

from __future__ import annotations

import contextlib
import shlex
from typing import Any

from msgspec import Struct
from redis import exceptions

from dray.store.redis.greeting import info
from dray.store.redis.place import Place
from dray.store.redis.router import Address, Router, ask
from dray.store.redis.trouble import as_ours

DEADLINE = 5.0  # seconds for each question
#: What a server says that knows no such command, or knows it under another name only, as many that are let do.
UNKNOWN = ("unknown command", "unknown subcommand", "not allowed", "not supported", "disabled")


class Refused(Exception):
    """A question that this user may not ask, or that this server does not know."""

    def __init__(self, command: str) -> None:
        super().__init__(command)
        self.command = command


class Server(Struct):
    """One server that holds jobs: the only one, the primary, or a node of a cluster."""

    place: Place
    address: Address
    connection: Any
    told: dict[str, str]  # INFO
    shards: list[int]  # of the store, those that are kept there

    @property
    def name(self) -> str:
        """Its address, for people."""
        return named(self.address)

    def ask(self, *command: str | float) -> Any:
        """The answer to one command. Raises Refused, RedisError, OSError."""
        return asked(self.connection, *command)

    def setting(self, name: str) -> str:
        """A directive of its configuration; "" if it has none of that name. Raises Refused."""
        told = self.ask("CONFIG", "GET", name)
        return str(told[1].decode("utf-8", "replace")) if told else ""

    def known(self, name: str) -> str | None:
        """The same, None if it is not told."""
        try:
            return self.setting(name)
        except Refused:
            return None

    def number(self, name: str) -> int:
        """A figure of INFO; 0 if it is not there."""
        return int(float(self.told.get(name) or 0))

    def cli(self, *words: str) -> str:
        """The command that has something carried out on this server."""
        return command_line(self.place, self.address, *words)


def asked(connection: Any, *command: str | float) -> Any:
    """The answer to one command. Raises Refused, RedisError, OSError."""
    try:
        return ask(connection, *command)
    except exceptions.NoPermissionError:
        raise Refused(str(command[0])) from None
    except exceptions.ResponseError as error:
        if any(sign in str(error).lower() for sign in UNKNOWN):
            raise Refused(str(command[0])) from None
        raise


def named(address: Address) -> str:
    """An address, for people."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def command_line(place: Place, address: Address, *words: str) -> str:
    """A command of redis-cli; valkey-cli takes the same."""
    parts = ["redis-cli", "-h", address[0], "-p", str(address[1])]
    if place.tls:
        parts.append("--tls")
    if place.username:
        parts += ["--user", place.username]
    if place.password:
        parts.append("--askpass")
    if place.db:
        parts += ["-n", str(place.db)]
    return shlex.join([*parts, *words])


def connected(router: Router, address: Address, shards: list[int]) -> Server:
    """Connect. Raises StoreError, ConfigurationError."""
    place = router.place
    try:
        connection = router.connect(address, DEADLINE)
        told = info(ask(connection, "INFO"))
        with contextlib.suppress(Refused, exceptions.BusyLoadingError):
            asked(connection, "PING")  # a server that is busy with a script answers INFO, and nothing else
    except (exceptions.RedisError, OSError) as error:
        raise as_ours(error, place.where) from error
    return Server(place, address, connection, told, shards)
