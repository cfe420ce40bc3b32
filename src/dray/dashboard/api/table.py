"""The table of operations: what the API answers and what its document says are both made from it.

A function becomes an operation by `@operation(…)`, or in short by `@get` and `@post`. It is given a `Call` and gives a structure,
which is sent as JSON; it runs in a thread and may ask the store plainly. Errors of Dray become problems by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import unquote

from msgspec import Struct
from starlette.requests import Request

from dray.dashboard.api.problem import Failed
from dray.dashboard.api.values import Body, Query
from dray.dashboard.settings import Role

if TYPE_CHECKING:
    from dray.app import Dray
    from dray.dashboard.house import House
    from dray.dashboard.redact import Redactor
    from dray.dashboard.security import Visit
    from dray.insight import Insight

Q = TypeVar("Q", bound=Query)
B = TypeVar("B", bound=Body)

#: What stands in paths: by name, how it looks (for the document) and what is taken for it. Names may have slashes in them.
PATH_PARAMETERS: dict[str, tuple[dict[str, Any], str]] = {
    "id": ({"type": "string", "format": "uuid", "description": "The id of a job."}, r"[^/]+"),
    "name": ({"type": "string", "minLength": 1, "description": "The name; a / in it is written as %2F."}, r".+"),
    "node": ({"type": "integer", "minimum": 0, "description": "The number of a worker process."}, r"[0-9]{1,18}"),
    "operation": ({"type": "string", "minLength": 1, "description": "The id of a bulk action."}, r"[^/]+"),
}


class Call(Generic[Q, B]):
    """One request, for its operation: what was asked, and by whom."""

    def __init__(self, request: Request, house: House, path: Mapping[str, str], query: Q, body: B) -> None:
        self.request = request
        self.house = house
        self.visit: Visit = request.scope["dray"]
        self.path = path
        self.query = query
        self.body = body

    @cached_property
    def insight(self) -> Insight:
        """Questions, and verbs that are written to the audit under the visitor's name."""
        return self.house.insight(self.visit.name or "unknown", "api")

    @property
    def app(self) -> Dray | None:
        """The app whose code is known here."""
        return self.house.app

    @property
    def hide(self) -> Redactor:
        """Takes out what nobody should read."""
        return self.house.redactor

    @property
    def node(self) -> int:
        """The worker process in the path."""
        return int(self.path["node"])

    def need(self, role: Role) -> None:
        """Raises Failed if the visitor may not do that."""
        if self.visit.role < role:
            why = "this dashboard is read-only" if self.house.settings.read_only else f"your role is {self.visit.role.word}"
            raise Failed(403, f"That needs the role {role.word}, and {why}.")

    def limit_bulk(self) -> None:
        """Raises Failed if the visitor has begun many bulk actions of late."""
        wait = self.house.bulk_limit.wait(self.visit.name or "anybody")
        if wait:
            text = f"These were many bulk actions at a time; wait {wait:.0f} seconds before the next."
            raise Failed(429, text, {"retry-after": str(int(wait) + 1)})


class Answer(Struct, frozen=True):
    """An answer with headers of its own."""

    value: Any
    headers: dict[str, str] = {}


class Operation(Struct, frozen=True, kw_only=True):
    """One row of the table."""

    method: str
    path: str
    name: str  # operationId
    tag: str
    summary: str
    detail: str
    role: Role
    query: type[Query]
    body: type[Body] | None
    gives: type[Any] | None  # None: nothing
    status: int
    problems: tuple[int, ...]  # beside those that every operation may answer
    media_type: str  # of the answer
    headers: tuple[str, ...]  # of the answer, beside the usual
    function: Callable[..., Any]
    pattern: re.Pattern[str]
    raw: bool  # the function is a coroutine function that gives a response

    @property
    def parameters(self) -> tuple[str, ...]:
        """Those in its path."""
        return tuple(re.findall(r"\{(\w+)\}", self.path))


OPERATIONS: list[Operation] = []

F = TypeVar("F", bound=Callable[..., Any])


def operation(
    method: str, path: str, *, tag: str, gives: type[Any] | None, role: Role, query: type[Query] = Query,
    body: type[Body] | None = None, status: int = 200, problems: tuple[int, ...] = (), media_type: str = "application/json",
    headers: tuple[str, ...] = (), raw: bool = False,
) -> Callable[[F], F]:  # fmt: skip
    """Put a function into the table. The first line of its docstring is the summary, the rest the description."""

    def put(function: F) -> F:
        summary, _, detail = (function.__doc__ or "").partition("\n")
        OPERATIONS.append(Operation(
            method=method, path=path, name=function.__name__.strip("_"), tag=tag, summary=summary.strip().rstrip("."),
            detail=" ".join(detail.split()), role=role, query=query, body=body, gives=gives, status=status, problems=problems,
            media_type=media_type, headers=headers, function=function, pattern=_pattern(path), raw=raw,
        ))  # fmt: skip
        return function

    return put


def get(path: str, *, tag: str, gives: type[Any], role: Role = Role.READ, **more: Any) -> Callable[[F], F]:
    """Answer GET and HEAD."""
    return operation("GET", path, tag=tag, gives=gives, role=role, **more)


def post(path: str, *, tag: str, gives: type[Any], role: Role = Role.OPERATE, **more: Any) -> Callable[[F], F]:
    """Answer POST."""
    return operation("POST", path, tag=tag, gives=gives, role=role, **more)


def matching(path: str, raw: bytes = b"") -> list[tuple[Operation, dict[str, str]]]:
    """The operations of a path, with what stands in it. `raw`: the path of the request before it was decoded, at the end of which
    `path` is; it tells a / between parts from one in a name. Where it does not help (a proxy has decoded it), a name takes all that
    the rest of the path leaves."""
    for parts in _splits(path, raw):
        found = [(one, given) for one in OPERATIONS if (given := _given(one.path, parts)) is not None]
        if found:
            least = min(len(given) for _, given in found)  # what stands in the table word for word goes before a name
            return [pair for pair in found if len(pair[1]) == least]
    greedy = [(one, match.groupdict()) for one in OPERATIONS if (match := one.pattern.fullmatch(path))]
    longest = max((len(one.path) for one, _ in greedy), default=0)
    return [pair for pair in greedy if len(pair[0].path) == longest]


def _splits(path: str, raw: bytes) -> Iterator[list[str]]:
    parts = raw.partition(b"?")[0].split(b"/")
    for start in range(len(parts)):
        decoded = [unquote(part) for part in parts[start:]]
        if "/" + "/".join(decoded) == path:
            yield decoded
            return
    yield path[1:].split("/")


def _given(template: str, parts: list[str]) -> dict[str, str] | None:
    """What stands for the parameters; None if it is another path."""
    wanted = template[1:].split("/")
    if len(wanted) != len(parts):
        return None
    found = {}
    for want, part in zip(wanted, parts, strict=True):
        if not want.startswith("{"):
            if want != part:
                return None
        elif re.fullmatch(PATH_PARAMETERS[want[1:-1]][1], part, re.DOTALL):
            found[want[1:-1]] = part
        else:
            return None
    return found


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path)
    text = "".join(f"(?P<{part}>{PATH_PARAMETERS[part][1]})" if n % 2 else re.escape(part) for n, part in enumerate(parts))
    return re.compile(text, re.DOTALL)
