"""From a request to its operation, and from what that gives to an answer."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dray.dashboard.api.problem import UNEXPECTED, Failed, failed, problem_response
from dray.dashboard.api.table import Answer, Call, Operation, matching
from dray.dashboard.api.values import Body, Query
from dray.errors import DrayError
from dray.options import shortened

if TYPE_CHECKING:
    from dray.dashboard.house import House

log = logging.getLogger("dray.dashboard")

MOST_BODY = 4 * 1024 * 1024  # bytes
#: Types, as msgspec names them, for people.
WORDS = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text", "object": "an object",
    "array": "an array",
}  # fmt: skip
NO_STORE = {"cache-control": "no-store"}


class Api:
    """The API as an ASGI application. It looks for the rest of its path in `path`, one of the path's parameters."""

    def __init__(self, house: House | None = None) -> None:
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except Failed as error:
            response = problem_response(error.status, error.detail, error.headers)
        except ClientDisconnect:
            return
        if request.method == "HEAD":
            headers = {key: value for key, value in response.headers.items() if key != "content-length"}
            response = Response(status_code=response.status_code, headers={**headers, "content-length": _length(response)})
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        house: House = self._house or request.app.state.house
        path = "/" + request.path_params["path"]
        found = matching(path, request.scope.get("raw_path") or b"")
        if not found:
            raise Failed(404, f"There is nothing at {shortened(path)} in this API; openapi.json lists what there is.")
        method = "GET" if request.method == "HEAD" else request.method
        chosen = next((pair for pair in found if pair[0].method == method), None)
        if chosen is None:
            methods = {one.method for one, _ in found}
            allowed = ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
            raise Failed(405, f"{shortened(path)} does not take {request.method}; it takes {allowed}.", {"allow": allowed})
        operation, parameters = chosen
        if any("\0" in value for value in parameters.values()):
            raise Failed(404, "There is nothing of a name with the character NUL in it.")
        query = read_query(request, operation.query)
        call: Call[Any, Any] = Call(request, house, parameters, query, Body())
        call.need(operation.role)
        if operation.body is not None:
            call.body = await read_body(request, operation.body)
        try:
            if operation.raw:
                raw: Response = await operation.function(call)
                return raw
            given = await run_in_threadpool(operation.function, call)
        except DrayError as error:
            raise failed(error, has_body=operation.body is not None) from error
        except Failed:
            raise
        except Exception:
            log.exception("%s %s failed", operation.method, operation.path)
            raise Failed(500, UNEXPECTED) from None
        return respond(operation, given, request.headers.get("if-none-match", ""))


def read_query(request: Request, kind: type[Query]) -> Query:
    """The parameters, checked. Raises Failed."""
    given: dict[str, str] = {}
    known = kind.__struct_fields__
    for name, value in request.query_params.multi_items():
        if name not in known:
            told = f"its parameters are {', '.join(known)}" if known else "it has none"
            raise Failed(400, f"There is no parameter {shortened(name)} here; {told}.")
        if name in given:
            raise Failed(400, f"The parameter {name} is there twice; give it once.")
        given[name] = value
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        told, name = _told(error)
        told = told.partition(", got ")[0]  # it has not got a text: everything in a URL is one
        raise Failed(400, f"The parameter {name} is {shortened(given.get(name, ''))}: {told}.") from None


async def read_body(request: Request, kind: type[Body]) -> Body:
    """The body, checked; where nothing must be said, it may be missing. Raises Failed."""
    data = b""
    declared = request.headers.get("content-length", "")
    too_large = Failed(413, f"The body is larger than {MOST_BODY // 1024**2} MiB; keep large data in a file and pass its name.")
    if declared.isdecimal() and int(declared) > MOST_BODY:
        raise too_large
    async for chunk in request.stream():
        data += chunk
        if len(data) > MOST_BODY:
            raise too_large
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not data and not media_type and not _required(kind):
        return kind()
    if media_type != "application/json":
        told = f", not {shortened(media_type)}" if media_type else "; say so in Content-Type"
        raise Failed(415, f"The body is to be application/json{told}.")
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        told, name = _told(error)
        raise Failed(422, f"{name or 'The body'}: {told}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Failed(400, f"The body is no JSON: {error}.") from None


def _required(kind: type[Body]) -> bool:
    return any(field.required for field in msgspec.structs.fields(kind))


def _told(error: msgspec.ValidationError) -> tuple[str, str]:
    """What is wrong, as a part of a sentence, and where."""
    text, _, place = str(error).partition(" - at `")
    for kind, word in WORDS.items():
        text = text.replace(f"`{kind}`", word)
    return text[:1].lower() + text[1:], place.rstrip("`").removeprefix("$").removeprefix(".")


def respond(operation: Operation, given: Any, known: str) -> Response:
    """The answer; "304 Not Modified" if the asker has it already. `known`: its If-None-Match."""
    headers: Mapping[str, str] = {}
    if isinstance(given, Answer):
        given, headers = given.value, given.headers
    if operation.gives is None:
        return Response(status_code=operation.status, headers={**NO_STORE, **headers})
    body = given if isinstance(given, bytes) else encoded(given)
    told = {**NO_STORE, **headers}
    if operation.method == "GET":
        told["etag"] = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
        if same(known, told["etag"]):
            return Response(status_code=304, headers=told)
    return Response(body, operation.status, told, operation.media_type)


def encoded(value: Any) -> bytes:
    """As JSON. What users' code wrote may be anything that a store kept."""
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError):
        import json  # writes lone surrogates, and numbers of any size

        return json.dumps(msgspec.to_builtins(value)).encode()


def same(known: str, etag: str) -> bool:
    """Whether If-None-Match names it, weakly or not."""
    names = [name.strip().removeprefix("W/") for name in known.split(",")]
    return etag in names or "*" in names


def _length(response: Response) -> str:
    return str(len(response.body)) if isinstance(response.body, bytes) else "0"
