"""The arguments of a task as JSON: what they look like, and whether given ones fit."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import msgspec

from dray.codec.layout import Layout
from dray.codec.signature import UndecodablePayload
from dray.errors import ArgumentsError, DrayError

if TYPE_CHECKING:
    from dray.task import Task


def schema(task: Task[..., Any]) -> dict[str, Any]:
    """JSON Schema (2020-12) of the object that the arguments of a task are. Types that say nothing about their JSON allow anything,
    as does a signature that cannot be read."""
    injected = frozenset(task.signature.injected_names)
    try:
        layout = Layout(task.func, name=task.name, injected=lambda parameter, _: parameter.name in injected)
        whole = msgspec.json.schema(layout.shape, schema_hook=lambda kind: {"title": getattr(kind, "__name__", str(kind))})
    except (DrayError, TypeError, RecursionError):
        return {"type": "object"}
    definitions = dict(whole.get("$defs", {}))
    root = dict(definitions.pop(whole["$ref"].rpartition("/")[2]) if "$ref" in whole else whole)
    names = {slot.field: slot.name for slot in layout.slots}
    defaults = {name: one.default for name, one in layout.visible.parameters.items() if one.default is not inspect.Parameter.empty}
    properties = {}
    for field, about in root.get("properties", {}).items():
        name = names.get(field, field)
        properties[name] = {**about, **_default(defaults, name)}
    found: dict[str, Any] = {
        "title": task.name, "type": "object", "properties": properties,
        "required": [names.get(field, field) for field in root.get("required", ())], "additionalProperties": False,
    }  # fmt: skip
    return {**found, "$defs": definitions} if definitions else found


def _default(defaults: dict[str, Any], name: str) -> dict[str, Any]:
    if name not in defaults:
        return {}
    try:
        return {"default": msgspec.to_builtins(defaults[name])}
    except (TypeError, ValueError, RecursionError):
        return {}


def decoded(task: Task[..., Any], given: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Arguments in the types that the task's annotations ask for. Raises ArgumentsError, NotEncodable."""
    try:
        args, kwargs = task.signature.decode(msgspec.json.encode(given))
        kept = msgspec.json.decode(task.signature.encode(tuple(args), kwargs))
    except UndecodablePayload as error:
        task.signature.encode((), given)  # says which argument is wrong
        raise ArgumentsError(str(error)) from None
    if unknown := set(given) - set(kept):
        task.signature.encode((), {name: given[name] for name in given})
        raise ArgumentsError(f"{task.name} has no argument {', '.join(map(repr, sorted(unknown)))}.")
    return args, kwargs
