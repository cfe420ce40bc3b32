"""A short way for the one statement that a web request waits for.

psycopg finds out anew for each call which types its parameters have and how to send them. For an enqueue that is as much work as
all the rest of it. Here the types are read from the statement once (`%(name)s::type`), and libpq is given the bytes. The waiting is
psycopg's, so that Ctrl-C ends it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from struct import Struct
from typing import Any

import psycopg
from psycopg import errors
from psycopg.generators import execute
from psycopg.pq import ExecStatus, Format

PARAMETER = re.compile(r"%\((\w+)\)s::(\w+)")
NAMED = re.compile(r"%\((\w+)\)s")
ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "bigint": Struct("!q").pack, "int": Struct("!i").pack, "boolean": Struct("!?").pack, "text": str.encode, "bytea": bytes,
}  # fmt: skip


class Quick:
    """A statement whose parameters all say their types. `constants`: those that are the same each time."""

    def __init__(self, sentence: str, constants: Mapping[str, int | str]) -> None:
        for name, value in constants.items():
            sentence = sentence.replace(f"%({name})s", literal(value))
        types = dict(PARAMETER.findall(sentence))
        names = list(dict.fromkeys(NAMED.findall(sentence)))
        assert set(names) == set(types), f"without a type: {set(names) - set(types)}"
        self._parameters = [(name, ENCODERS[types[name]]) for name in names]
        place = {name: f"${at}" for at, name in enumerate(names, 1)}
        self._text = NAMED.sub(lambda found: place[found[1]], sentence).encode()
        self._formats = [Format.BINARY] * len(names)
        self._name = b"dray_%d" % id(self)

    def run(self, connection: psycopg.Connection[Any], prepared: set[bytes], values: Mapping[str, Any]) -> bytes | None:
        """The only value of its only row, as text. `prepared`: what the connection knows already. Raises psycopg.Error."""
        pgconn = connection.pgconn
        if self._name not in prepared:
            pgconn.send_prepare(self._name, self._text)
            self._check(connection.wait(execute(pgconn))[-1], connection)
            prepared.add(self._name)
        given = [None if (value := values[name]) is None else encode(value) for name, encode in self._parameters]
        pgconn.send_query_prepared(self._name, given, self._formats, Format.TEXT)
        result = connection.wait(execute(pgconn))[-1]
        if result.status != ExecStatus.TUPLES_OK:
            self._check(result, connection)
        answer: bytes | None = result.get_value(0, 0)
        return answer

    def _check(self, result: Any, connection: psycopg.Connection[Any]) -> None:
        if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            raise errors.error_from_result(result, encoding=connection.info.encoding)


def literal(value: int | str) -> str:
    """A number or a text as SQL has it."""
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"
