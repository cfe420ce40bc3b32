"""A form made from a task's signature: a field for each parameter, by its annotation, and the way back from what was typed."""

from __future__ import annotations

import enum
import inspect
import json
import types
import typing
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NewType, Union, get_args, get_origin
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dray.codec.explain import wrong_value
from dray.codec.hooks import decoder, enc_hook, encode
from dray.codec.layout import VARIADIC, Layout, Slot
from dray.codec.text import annotation_text, short_repr
from dray.task import Task

#: What is written as text, by the class that the annotation names.
TEXTS = {str: "text", UUID: "text", Path: "text", Decimal: "number", timedelta: "text", bytes: "text", date: "date",
         datetime: "datetime-local", time: "time", int: "number", float: "number"}  # fmt: skip
HINTS = {datetime: "in UTC", timedelta: "ISO 8601, such as PT5M", bytes: "base64", Decimal: "exactly as written"}

class Field(Struct, frozen=True):
    """One parameter in the form. `kind` is "checkbox", "select", "json" or the type of an input."""

    name: str
    kind: str
    annotation: str
    required: bool
    default: str = ""  # as Python writes it; empty: there is none
    hint: str = ""
    step: str = ""  # of a number
    choices: Sequence[tuple[str, str]] = ()  # JSON, and what is shown
    nullable: bool = False
    secret: bool = False  # neither what was typed nor the default is shown
    decoded_as: Any = Any
    value: str = ""  # what was typed
    error: str = ""


def fields(task: Task[..., Any], secret: Callable[[str], bool] = lambda name: False) -> list[Field]:
    """The fields for a task. `secret`: whether what is called so is hidden. Raises ConfigurationError if the signature cannot be
    read."""
    injected = frozenset(task.signature.injected_names)
    layout = Layout(task.func, name=task.name, injected=lambda parameter, _: parameter.name in injected)
    return [_field(slot, layout.visible.parameters[slot.name], secret(slot.name)) for slot in layout.slots]


def _field(slot: Slot, parameter: inspect.Parameter, secret: bool) -> Field:
    given = parameter.default is not inspect.Parameter.empty
    base = Field(
        slot.name, "json", annotation_text(slot.annotation) if slot.annotation is not Any else "", not slot.optional,
        "" if not given else "the default" if secret else _short(parameter.default), secret=secret, decoded_as=slot.decoded_as,
    )  # fmt: skip
    if parameter.kind in VARIADIC:
        many = parameter.kind is inspect.Parameter.VAR_POSITIONAL
        shape: Any = list[slot.decoded_as] if many else dict[str, slot.decoded_as]  # type: ignore[name-defined]
        return replace(base, hint="a list: further arguments" if many else "an object: further arguments by name", decoded_as=shape)
    plain, nullable = bare(slot.annotation)
    base = replace(base, nullable=nullable)
    if plain is bool:
        if not nullable and (not given or isinstance(parameter.default, bool)):
            return replace(base, kind="checkbox", value="true" if parameter.default is True else "")
        return replace(base, kind="select", choices=(("true", "true"), ("false", "false")))
    if choices := _choices(plain):
        return replace(base, kind="select", choices=choices)
    kind = TEXTS.get(plain, "json") if isinstance(plain, type) else "json"
    if secret and kind == "text":
        kind = "password"
    step = {int: "1", float: "any", Decimal: "any"}.get(plain, "") if isinstance(plain, type) else ""
    return replace(base, kind=kind, step=step, hint=HINTS.get(plain, "") if isinstance(plain, type) else "")


def bare(annotation: Any) -> tuple[Any, bool]:
    """What an annotation means without `Annotated`, names of types and `| None`; and whether None may be given.

    >>> bare(int | None)
    (<class 'int'>, True)
    """
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        return bare(get_args(annotation)[0])
    if isinstance(annotation, NewType):
        return bare(annotation.__supertype__)
    if hasattr(annotation, "__value__"):  # `type Name = …` of Python 3.12
        return bare(annotation.__value__)
    if origin in (Union, types.UnionType):
        rest = [one for one in get_args(annotation) if one is not type(None)]
        if len(rest) == 1 and len(rest) < len(get_args(annotation)):
            return bare(rest[0])[0], True
    return annotation, annotation is type(None)


def _choices(plain: Any) -> tuple[tuple[str, str], ...]:
    if get_origin(plain) is Literal:
        return tuple((encode(value).decode(), str(value)) for value in get_args(plain))
    if isinstance(plain, type) and issubclass(plain, enum.Enum) and not issubclass(plain, enum.Flag):
        return tuple((encode(member).decode(), member.name) for member in plain)
    return ()


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # of the user's class
        text = type(value).__name__
    return text if len(text) <= 60 else f"{text[:59]}…"


# -- the way back


def read(asked: Sequence[Field], typed: Callable[[str], str]) -> tuple[dict[str, Any], list[Field]]:
    """The arguments as JSON values, and the fields with what was typed and what is wrong with it. `typed` gives a field's text by
    the parameter's name."""
    given: dict[str, Any] = {}
    back = []
    for field in asked:
        text = typed(field.name)
        shown = replace(field, value="" if field.secret else text)
        try:
            found, value = _value(field, text)
            if found:
                given[field.name] = _fitting(field, value, text)
        except ValueError as error:
            # What is wrong with a secret would show it.
            told = f"{field.name} must be {field.annotation or 'JSON'}." if field.secret and text else str(error)
            shown = replace(shown, error=told)
        back.append(shown)
    return given, back


def _value(field: Field, text: str) -> tuple[bool, Any]:
    """Whether the field says anything, and what. Raises ValueError."""
    if field.kind == "checkbox":
        return True, bool(text)
    if field.kind in ("text", "password"):
        if text or (field.required and not field.nullable and field.decoded_as is str):
            return True, text
    elif text.strip():
        return True, _read(field, text.strip())
    if not field.required:
        return False, None  # the default is the function's own
    if field.nullable:
        return True, None
    raise ValueError("This is needed.")


def _read(field: Field, text: str) -> Any:
    if field.kind in ("json", "select"):
        try:
            return json.loads(text)
        except ValueError as error:
            raise ValueError(f"This is no JSON: {error}. Text stands in double quotes.") from None
    if field.kind == "number" and bare(field.decoded_as)[0] is not Decimal:
        try:
            return int(text) if field.step == "1" else float(text)
        except ValueError:
            raise ValueError(f"{text!r} is no {'whole ' if field.step == '1' else ''}number.") from None
    # A browser leaves out the zone (the form says that it is UTC), and the seconds if they are 0.
    if field.kind == "datetime-local" and not text.endswith("Z"):
        return f"{text}:00Z" if text.count(":") == 1 else f"{text}Z"
    return text if field.kind != "time" or text.count(":") != 1 else f"{text}:00"


def _fitting(field: Field, value: Any, text: str) -> Any:
    """The value, if the parameter takes it. Raises ValueError with a sentence."""
    try:
        decoder(field.decoded_as)(encode(value))
    except Exception as error:  # decoders of users' classes raise what they like
        told = wrong_value(error, msgspec.to_builtins(value, enc_hook=enc_hook), label=field.name)
        if told.startswith(f"{field.name}: "):  # in words of JSON
            told = f"{field.name} must be {field.annotation}, got {short_repr(text.strip())}"
        raise ValueError(f"{told}.") from None
    return value
