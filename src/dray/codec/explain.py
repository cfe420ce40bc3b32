"""Sentences about calls that do not fit and values that do not decode."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from inspect import Parameter
from typing import Any

from dray.codec.layout import NAMED, POSITIONAL, VARIADIC, Layout
from dray.codec.text import annotation_text, value_text

_PLACES = re.compile(r"((?: - at (?:`key` in )?`[^`]*`)+)$", re.DOTALL)
_EXPECTED = re.compile(r"^Expected (?P<what>.+?)(?:, got `(?P<got>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.(?P<field>[^.\[]+)|\[(?P<index>\d+)\]|\[\.\.\.\]")


def misfit(layout: Layout, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Why a call does not bind: the first reason that Python would give, in words of the task."""
    parameters = layout.visible.parameters.values()
    injected = layout.injected_in(kwargs)
    if injected is not None:
        return f"{injected} is supplied by the worker, leave it out"
    kinds = {p.kind for p in parameters}
    positional = [p for p in parameters if p.kind in POSITIONAL]
    named = [p.name for p in parameters if p.kind in NAMED]
    if len(args) > len(positional) and Parameter.VAR_POSITIONAL not in kinds:
        return _too_many(layout, len(positional), len(args))
    for p in positional[:len(args)]:
        if p.name in kwargs and p.kind is Parameter.POSITIONAL_OR_KEYWORD:
            return f"{p.name} is given twice, by position and by name"
    for name in kwargs:
        if name in named or Parameter.VAR_KEYWORD in kinds:
            continue
        if any(p.name == name and p.kind is Parameter.POSITIONAL_ONLY for p in parameters):
            return f"{name} must be given by position, not by name"
        close = difflib.get_close_matches(name, named, 1)
        return f"unexpected argument {name!r}" + (f" (did you mean {close[0]!r}?)" if close else "")
    given = {p.name for p in positional[:len(args)]}
    missing = [
        p.name for p in parameters
        if p.default is Parameter.empty and p.kind not in VARIADIC and p.name not in given
        and (p.name not in kwargs or p.kind is Parameter.POSITIONAL_ONLY)
    ]
    return f"missing argument{'s' if len(missing) > 1 else ''} {', '.join(missing)}"


def _too_many(layout: Layout, takes: int, got: int) -> str:
    told = f"takes {takes or 'no'} positional argument{'' if takes == 1 else 's'}, got {got}"
    if layout.injected:
        verb = "is" if len(layout.injected) == 1 else "are"
        told += f" ({', '.join(layout.injected)} {verb} supplied by the worker)"
    return told


def wrong_value(
    error: Exception, root: Any, *, label: str = "", given: Mapping[str, Any] | None = None,
    annotations: Mapping[str, Any] | None = None,
) -> str:
    """What a decoder found wrong, with the place and the value there.

    `root` is the JSON value decoded; `label` stands for it in the text ("" for arguments, whose names stand alone).
    `given` and `annotations`, by parameter, are shown in place of JSON values and msgspec's words for types.
    """
    text = str(error)
    found = _PLACES.search(text)
    place = ""
    if found is not None:
        text = text[:found.start()]
        places: list[str] = re.findall(r" - at ((?:`key` in )?`[^`]*`)", found[1])
        key = any(one.startswith("`key`") for one in places)
        # Inner decoders add their places first, without the root.
        place = "".join(one.rpartition(" ")[2].strip("`") for one in reversed(places)).lstrip("$")
        if key:
            return f"a key of {_named(place, label)} {_must(text)}"
    name = _named(place, label)
    if given is not None and annotations is not None and name in given:
        return _wrong_argument(name, given[name], annotations[name], text)
    known, value = _at(root, place)
    expected = _EXPECTED.match(text)
    if expected is None:
        return f"{name or 'the arguments'}: {_lower(text)}" + (f", got {value_text(value)}" if known else "")
    got = value_text(value) if known else expected["got"]
    return f"{name or 'the arguments'} must be {expected['what'].replace('`', '')}" + (f", got {got}" if got else "")


def _wrong_argument(name: str, value: Any, annotation: Any, text: str) -> str:
    told = f"{name} must be {annotation_text(annotation)}, got {value_text(value)}"
    expected = _EXPECTED.match(text)
    if expected is None:
        return f"{told}: {_lower(text)}"
    if expected["got"] is None:  # a constraint, such as a length or a least value
        return f"{told}: expected {expected['what'].replace('`', '')}"
    return told


def _must(text: str) -> str:
    expected = _EXPECTED.match(text)
    if expected is None:
        return f"is wrong: {_lower(text)}"
    return f"must be {expected['what'].replace('`', '')}" + (f", got {expected['got']}" if expected["got"] else "")


def _named(place: str, label: str) -> str:
    return f"{label}{place}" if label else place.removeprefix(".")


def _lower(text: str) -> str:
    plain = text.replace("`", "")
    return plain[:1].lower() + plain[1:] if plain[1:2].islower() else plain


def _at(value: Any, place: str) -> tuple[bool, Any]:
    """The value at a place, if the place names one: under `[...]` it is some value of an object."""
    for step in _STEP.finditer(place):
        try:
            if step["field"] is not None:
                value = value[step["field"]]
            elif step["index"] is not None:
                value = value[int(step["index"])]
            else:
                return False, None
        except (LookupError, TypeError):
            return False, None
    return True, value
