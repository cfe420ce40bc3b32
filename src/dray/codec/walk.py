"""Walks over values for exact messages: what has no JSON form, and what would arrive as something else.

These run only after the short way has failed, so they are written for the message, not for speed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from dray.codec.hooks import enc_hook, encode
from dray.codec.text import annotation_text, short_repr, value_text

_INT_DIGITS = 4300  # what Python and msgspec convert between int and text


def unencodable(value: Any, path: str) -> str | None:
    """A sentence about the first part of a value that has no JSON form, with its place; None if all have one."""
    try:
        return _unencodable(value, path, ())
    except RecursionError:
        return f"{path} is nested too deeply for JSON: pass it in a flatter form"


def _unencodable(value: Any, path: str, above: tuple[int, ...]) -> str | None:
    if id(value) in above:
        return f"{path} contains itself, and JSON has no references: pass ids in place of the inner objects"
    above = (*above, id(value))
    if isinstance(value, dict):
        for key in value:
            told = _bad_key(key, path)
            if told:
                return told
    inner = children(value)
    if inner is None:
        return _bad_leaf(value, path)
    for label, child in inner:
        told = _unencodable(child, path + label, above)
        if told:
            return told
    return None


def _bad_key(key: Any, path: str) -> str | None:
    if isinstance(key, str):
        return _bad_text(key, f"the key {short_repr(key)} of {path}")
    try:
        encode({key: None})
    except Exception:
        return (
            f"{path} has the key {value_text(key)}, and keys of JSON objects are text or numbers: "
            f"convert the keys, or pass a list of pairs"
        )
    return None


def _bad_text(value: str, path: str) -> str | None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        return (
            f"{path} contains the lone surrogate U+{ord(value[error.start]):04X}, which is no character and cannot be "
            f"stored: decode the text with errors='replace', or pass bytes"
        )
    return None


def _bad_leaf(value: Any, path: str) -> str | None:
    if isinstance(value, str):
        return _bad_text(value, path)
    if isinstance(value, float) and not math.isfinite(value):
        return f"{path} is {float(value)}, and JSON has no such number: pass None, text or a Decimal"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**_INT_DIGITS:
        return f"{path} is an int of more than {_INT_DIGITS} digits, which no reader of JSON takes: pass it as text"
    if hasattr(type(value), "model_dump"):
        return _bad_model(value, path)
    try:
        encode(value)
    except Exception:
        return (
            f"{path} is {_a(type(value).__name__)} ({_full_name(type(value))}), which has no JSON form: "
            f"pass an id, a path or a dataclass, and make the object inside the task"
        )
    return None


def _bad_model(value: Any, path: str) -> str | None:
    try:
        dumped = enc_hook(value)
    except Exception as error:
        return f"{path} is {_a(type(value).__name__)} that cannot be dumped as JSON ({short_repr(str(error))})"
    return _unencodable(dumped, path, ())


def _a(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def _full_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def children(value: Any) -> Iterator[tuple[str, Any]] | None:
    """The parts of a container or record, each with how it is reached; None for a single value."""
    if isinstance(value, dict):
        return ((f"[{short_repr(key)}]", child) for key, child in value.items())
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return ((f".{name}", child) for name, child in zip(value._fields, value, strict=True))
    if isinstance(value, list | tuple):
        return ((f"[{at}]", child) for at, child in enumerate(value))
    if isinstance(value, set | frozenset):
        return ((f"{{{short_repr(child)}}}", child) for child in value)
    names = field_names(value)
    if names is None:
        return None
    return ((f".{name}", getattr(value, name)) for name in names if hasattr(value, name))


def field_names(value: Any) -> list[str] | None:
    """The field names of a dataclass, Struct or attrs object; None for anything else."""
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    if isinstance(value, msgspec.Struct):
        return list(value.__struct_fields__)
    if hasattr(type(value), "__attrs_attrs__"):
        return [field.name for field in type(value).__attrs_attrs__]
    return None


_JSON_SORTS = (str, int, float, bool, list, tuple, dict, type(None))


def changed(given: Any, got: Any, path: str, *, exact: bool) -> str | None:
    """A sentence about the first part of a value that the function would get as something else; None if all arrive.

    Allowed differences: a list for a tuple or set (and a tuple for a list); the JSON form of an annotated type in its
    place (text for a datetime, a dict for a dataclass), unless `exact`: behind an ambiguous annotation, where the text
    itself may have been meant.
    """
    if type(given) is type(got) and _equal(given, got):
        return None
    if isinstance(given, list | tuple) and isinstance(got, list | tuple) and len(given) == len(got):
        if exact and isinstance(given, tuple) is not isinstance(got, tuple):
            return _change(given, got, path)
        pairs = [(f"[{at}]", one, two) for at, (one, two) in enumerate(zip(given, got, strict=True))]
        return _first_change(pairs, path, exact)
    if isinstance(given, dict) and isinstance(got, dict):
        return _changed_dict(given, got, path, exact)
    if type(given) is type(got) and field_names(given) is not None:
        return _changed_record(given, got, path, exact)
    return None if _same_meaning(given, got, exact) else _change(given, got, path)


def _same_meaning(given: Any, got: Any, exact: bool) -> bool:
    if isinstance(given, datetime) and isinstance(got, datetime):
        # Equality between zones is never true in a repeated hour; the wall clock and its offset tell.
        return given.replace(tzinfo=None) == got.replace(tzinfo=None) and given.utcoffset() == got.utcoffset()
    if _equal(given, got) or (type(given) is type(got) and "__eq__" not in _own_methods(type(given))):
        return True
    if isinstance(given, Decimal) and isinstance(got, Decimal):  # NaN is equal to nothing
        return given.is_nan() and got.is_nan()
    if isinstance(given, set | frozenset) and isinstance(got, set | frozenset):
        return not exact
    return not exact and type(given) in _JSON_SORTS and not isinstance(got, str | list | dict)


def _own_methods(cls: type) -> set[str]:
    return {name for base in cls.__mro__ if base is not object for name in vars(base)}


def _equal(given: Any, got: Any) -> bool:
    try:
        return bool(given == got)
    except Exception:  # a user's __eq__ may do anything
        return False


def _first_change(pairs: list[tuple[str, Any, Any]], path: str, exact: bool) -> str | None:
    for label, one, two in pairs:
        told = changed(one, two, path + label, exact=exact)
        if told:
            return told
    return None


def _changed_record(given: Any, got: Any, path: str, exact: bool) -> str | None:
    names = [name for name in field_names(given) or () if hasattr(given, name) and hasattr(got, name)]
    if hasattr(type(given), "__attrs_attrs__"):
        for name in names:
            if name.startswith("_") and not _equal(getattr(given, name), getattr(got, name)):
                return f"{path}.{name} is a private field of an attrs class, and those are not stored: make it public"
    return _first_change([(f".{name}", getattr(given, name), getattr(got, name)) for name in names], path, exact)


def _changed_dict(given: dict[Any, Any], got: dict[Any, Any], path: str, exact: bool) -> str | None:
    if any(key not in got for key in given):
        lost = next(key for key in given if key not in got)
        if not isinstance(lost, str):
            return (
                f"{path} has the key {value_text(lost)}, which would arrive as text: annotate the type of the keys, "
                f"as in `dict[{annotation_text(type(lost))}, ...]`, or use text"
            )
        if exact or len(given) != len(got) or any(isinstance(key, str) for key in got):
            return f"{path} has the key {value_text(lost)}, which its annotation does not name: leave it out"
        pairs = [(f"[{short_repr(key)}]", one, two)
                 for (key, one), two in zip(given.items(), got.values(), strict=True)]
    else:
        pairs = [(f"[{short_repr(key)}]", one, got[key]) for key, one in given.items()]
    return _first_change(pairs, path, exact)


def _change(given: Any, got: Any, path: str) -> str:
    told = f"{path} is {value_text(given)}, but would arrive as {value_text(got)}"
    if type(given) is type(got):
        return f"{told}: not all of it has a JSON form"
    return f"{told}: annotate it as {annotation_text(type(given))}, or pass what its annotation says"
