"""How annotations, values and signatures are written in messages: short, on one line, never failing."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterable
from inspect import Parameter
from typing import Any, Union, get_args, get_origin

_MODULES = re.compile(r"(?:\b[A-Za-z_]\w*\.|<locals>\.)+(?=[A-Za-z_])")
_WIDTH = 80  # characters of a value that a message shows


def annotation_text(annotation: Any) -> str:
    """An annotation without module names: `dict[str, UUID]`."""
    if isinstance(annotation, str):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType):
        return " | ".join(annotation_text(arg) for arg in get_args(annotation))
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return "None" if annotation is type(None) else annotation.__name__
    return _MODULES.sub("", inspect.formatannotation(annotation)).replace("NoneType", "None")


def value_text(value: object) -> str:
    """A value with its type, cut to a readable length: `'x' (str)`."""
    if value is None or isinstance(value, bool):
        return repr(value)
    return f"{short_repr(value)} ({type(value).__qualname__})"


def short_repr(value: object) -> str:
    """`repr` on one line, cut in the middle of long values; the type's name where `repr` itself fails."""
    if isinstance(value, str | bytes) and len(value) > _WIDTH:
        value = value[:_WIDTH - 5] + (b"..." if isinstance(value, bytes) else "...")  # type: ignore[operator]
    try:
        text = " ".join(repr(value).split())
    except Exception:
        return f"<{type(value).__qualname__}>"
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH - 3]}..."


def signature_text(name: str, parameters: Iterable[Parameter]) -> str:
    """A call as a reader would write it: `send(user_id: int, *, template: str = 'hello')`."""
    parts: list[str] = []
    kind = None
    starred = False
    for parameter in parameters:
        if kind is Parameter.POSITIONAL_ONLY and parameter.kind is not kind:
            parts.append("/")
        kind = parameter.kind
        if kind is Parameter.KEYWORD_ONLY and not starred:
            parts.append("*")
        starred = starred or kind in (Parameter.KEYWORD_ONLY, Parameter.VAR_POSITIONAL)
        parts.append(_parameter_text(parameter))
    if kind is Parameter.POSITIONAL_ONLY:
        parts.append("/")
    return f"{name}({', '.join(parts)})"


def _parameter_text(parameter: Parameter) -> str:
    text = parameter.name
    if parameter.kind is Parameter.VAR_POSITIONAL:
        text = f"*{text}"
    elif parameter.kind is Parameter.VAR_KEYWORD:
        text = f"**{text}"
    annotated = parameter.annotation is not Parameter.empty
    if annotated:
        text += f": {annotation_text(parameter.annotation)}"
    if parameter.default is not Parameter.empty:
        text += f" = {short_repr(parameter.default)}" if annotated else f"={short_repr(parameter.default)}"
    return text
