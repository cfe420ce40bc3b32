"""The OpenAPI 3.1 document, made from the table of operations."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from dray import __version__
from dray.dashboard.api.problem import MEDIA_TYPE, Problem
from dray.dashboard.api.table import PATH_PARAMETERS, Operation
from dray.dashboard.settings import Role, Settings

REF = "#/components/schemas/{name}"
ABOUT = (
    "All that the dashboard's pages can do. Ids are text, times are ISO 8601 in UTC, lengths of time are seconds. Every error is a "
    "problem document with one sentence in `detail`. Answers to GET have an ETag, and If-None-Match is honoured. Who may do what "
    "is settled by the role of the visitor: none, read, operate or all; each operation says which it needs. Values whose names "
    "look like secrets are hidden."
)
TAGS = {
    "jobs": "One job, or a search.", "bulk": "Many jobs at a time, in the background.", "queues": "Where jobs wait.",
    "tasks": "Functions, and how they went.", "schedules": "What fires by the clock.", "errors": "What was raised, by place.",
    "workers": "Processes that run jobs.", "figures": "How things are, go and went.", "system": "The store and this process.",
}  # fmt: skip
#: Problems that any operation may answer.
USUAL = (400, 401, 403, 503)


def document(operations: Iterable[Operation], settings: Settings, base: str) -> dict[str, Any]:
    """The document. `base`: the path of the API."""
    rows = sorted(operations, key=lambda row: list(TAGS).index(row.tag))
    kinds: list[Any] = [Problem]
    for row in rows:
        kinds += [kind for kind in (row.gives, row.body, row.query) if kind is not None and kind not in kinds]
    refs, components = msgspec.json.schema_components(kinds, ref_template=REF)
    schemas: dict[Any, Any] = dict(zip(kinds, refs, strict=True))
    parameters = {kind: components.pop(schemas[kind]["$ref"].rpartition("/")[2]) for kind in {row.query for row in rows}}
    for row in rows:
        if row.body is not None and row.body.also:
            components[schemas[row.body]["$ref"].rpartition("/")[2]].update(row.body.also)
    paths: dict[str, dict[str, Any]] = {}
    for row in rows:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row, schemas, parameters[row.query])
    security = _security(settings)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"{settings.title} API", "version": "1", "summary": f"Dray {__version__}", "description": ABOUT},
        "servers": [{"url": base}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {"schemas": components, **({"securitySchemes": security} if security else {})},
        "security": [{name: []} for name in security],
    }


def _security(settings: Settings) -> dict[str, Any]:
    found = {}
    if settings.token is not None:
        found["bearer"] = {"type": "http", "scheme": "bearer"}
    if settings.user is not None:
        found["basic"] = {"type": "http", "scheme": "basic"}
    return found


def _operation(row: Operation, schemas: dict[Any, Any], query: dict[str, Any]) -> dict[str, Any]:
    places = [
        {"name": name, "in": "path", "required": True, "schema": PATH_PARAMETERS[name][0]} for name in row.parameters
    ]
    told: dict[str, Any] = {
        "operationId": row.name, "tags": [row.tag], "summary": row.summary,
        "description": f"{row.detail} Needs the role `{row.role.word}`.".strip(),
        "parameters": [*places, *(_parameter(name, schema) for name, schema in query.get("properties", {}).items())],
        "responses": _responses(row, schemas),
        "x-role": row.role.word,
    }  # fmt: skip
    if row.body is not None:
        required = any(field.required for field in msgspec.structs.fields(row.body))
        told["requestBody"] = {"required": required, "content": {"application/json": {"schema": schemas[row.body]}}}
    return told


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    schema = dict(schema)
    about = {"description": schema.pop("description")} if "description" in schema else {}
    return {"name": name, "in": "query", "required": False, **about, "schema": schema}


def _responses(row: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    headers: dict[str, Any] = {name: {"schema": {"type": "string"}} for name in row.headers}
    if row.method == "GET" and not row.raw:
        headers["ETag"] = {"schema": {"type": "string"}, "description": "For If-None-Match."}
    good: dict[str, Any] = {"description": "What was asked for." if row.method == "GET" else "It is done."}
    if row.status == 202:
        good["description"] = "It has begun."
    if row.gives is not None:
        good["content"] = {row.media_type: {"schema": schemas[row.gives]}}
    if headers:
        good["headers"] = headers
    found: dict[str, Any] = {str(row.status): good}
    if row.method == "GET" and not row.raw:
        found["304"] = {"description": "The asker has it already."}
    problems = {*USUAL, *row.problems}
    if row.parameters:
        problems.add(404)
    if row.body is not None:
        problems |= {413, 415, 422}
    if row.role is Role.NONE:
        problems -= {401, 403}
    for status in sorted(problems):
        content = {MEDIA_TYPE: {"schema": schemas[Problem]}}
        found[str(status)] = {"description": f"{HTTPStatus(status).phrase}.", "content": content}
    return found
