"""Annotations that msgspec cannot decode, rewritten into ones that it can and that mean the same.

Three things are beyond msgspec's one-pass decoder: unions whose members look alike in JSON (`str | datetime`, two
dataclasses), enums and literals of other values than text or int, and records with such fields. Each becomes a
`Proxy` class whose `decode` does the work on builtins; everything else is left alone and stays as fast as it was.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any, Literal, NewType, NotRequired, Required, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET

from dray.codec.hooks import Proxy, convert, decoder, encode, json_sort, plain_decode
from dray.codec.text import annotation_text


class Unsupported(TypeError):
    """An annotation that no JSON value can be decoded into; the message says why."""


def adapt(annotation: Any) -> Any:
    """The annotation itself if msgspec can decode it, else one with proxies in it. Raises Unsupported."""
    return _Adapter().adapt(annotation)


def _proxy(annotation: Any, decode: Callable[[Any], Any]) -> type[Proxy]:
    return type(annotation_text(annotation), (Proxy,), {"decode": staticmethod(decode)})


class _Adapter:
    def __init__(self) -> None:
        self._records: dict[Any, type[Proxy]] = {}  # by class: a record may contain itself

    def adapt(self, annotation: Any) -> Any:
        try:
            decoder(annotation)
        except TypeError as error:
            reason = str(error).partition(" - type ")[0]
        else:
            return annotation
        changed = self._generic(annotation)
        if changed is None and isinstance(annotation, type):
            changed = self._class(annotation)
        if changed is None:
            raise Unsupported(reason)
        try:
            decoder(changed)
        except TypeError as error:
            raise Unsupported(str(error).partition(" - type ")[0]) from None
        return changed

    def _generic(self, annotation: Any) -> Any:
        origin, args = get_origin(annotation), get_args(annotation)
        if origin in (Union, types.UnionType):
            return self._union(annotation, args)
        if origin is Literal:
            return _one_of(annotation, args)
        if origin is typing.Annotated:
            form: Any = typing.Annotated
            return form[(self.adapt(args[0]), *annotation.__metadata__)]
        if isinstance(annotation, NewType):
            return self.adapt(annotation.__supertype__)
        if annotation is typing.LiteralString:
            return str
        if hasattr(annotation, "__value__"):  # `type Name = ...` of Python 3.12
            return self.adapt(annotation.__value__)
        if origin in (list, set, frozenset, tuple, dict) or getattr(origin, "__module__", "") == "collections.abc":
            return origin[tuple(arg if arg is Ellipsis else self.adapt(arg) for arg in args)]
        return None

    def _class(self, cls: type) -> Any:
        if issubclass(cls, enum.Enum):
            return _one_of(cls, list(cls))
        if cls in self._records:
            return self._records[cls]
        record = _record(cls)
        if record is None:
            return None
        fields, make, array_like = record
        shape: list[type] = []
        proxy = self._records[cls] = _proxy(cls, lambda value: make(_given(convert(value, shape[0]), fields)))
        shape.append(msgspec.defstruct(
            "Fields",
            [
                (f"f{at}", self.adapt(field.annotation), *(() if field.required else (UNSET,)))
                for at, field in enumerate(fields)
            ],
            rename={f"f{at}": field.wire for at, field in enumerate(fields)},
            array_like=array_like,
            kw_only=True,
        ))
        return proxy

    def _union(self, annotation: Any, args: tuple[Any, ...]) -> Any:
        members = tuple(self.adapt(arg) for arg in args)
        form: Any = Union
        union = form[members]
        try:
            decoder(union)
        except TypeError:
            return _proxy(annotation, _first_of(annotation, members))
        return union


def _first_of(annotation: Any, members: tuple[Any, ...]) -> Callable[[Any], Any]:
    # `str` accepts all text, so it is asked last: `str | datetime` is of use only that way.
    ordered = sorted(members, key=lambda member: member is str)
    text = annotation_text(annotation)

    def decode(value: Any) -> Any:
        accepted = []
        for member in ordered:
            try:
                decoded = convert(value, member)
            except ValueError:
                continue
            # The member that gives the same JSON back is the one meant: of two dataclasses, the one without
            # fields left over.
            again = plain_decode(encode(decoded))
            if type(again) is type(value) and again == value:
                return decoded
            accepted.append(decoded)
        if accepted:
            return accepted[0]
        raise ValueError(f"Expected `{text}`, got `{json_sort(value)}`")

    return decode


def _one_of(annotation: Any, values: Iterable[Any]) -> type[Proxy]:
    """A proxy for an enum or literal: the value whose JSON form is the one given."""
    known = [(encode(value), value) for value in values]
    text = annotation_text(annotation)

    def decode(value: Any) -> Any:
        form = encode(value)
        for known_form, known_value in known:
            if known_form == form:
                return known_value
        raise ValueError(f"Expected `{text}`, got `{json_sort(value)}`")

    return _proxy(annotation, decode)


@dataclasses.dataclass(frozen=True)
class _Field:
    name: str  # as the class's constructor calls it
    wire: str  # as JSON calls it
    annotation: Any
    required: bool


def _given(values: Any, fields: list[_Field]) -> dict[str, Any]:
    pairs = zip(fields, msgspec.structs.astuple(values), strict=True)
    return {field.name: value for field, value in pairs if value is not UNSET}


def _record(cls: Any) -> tuple[list[_Field], Callable[[dict[str, Any]], Any], bool] | None:
    """The fields of a record class, how to make one of them, and whether JSON shows it as an array."""
    if issubclass(cls, msgspec.Struct):
        fields = [
            _Field(field.name, field.encode_name, field.type, field.required) for field in msgspec.structs.fields(cls)
        ]
        return fields, lambda values: cls(**values), bool(cls.__struct_config__.array_like)
    if typing.is_typeddict(cls):
        hints = get_type_hints(cls, include_extras=True)
        fields = [_Field(name, name, _bare(hint), name in cls.__required_keys__) for name, hint in hints.items()]
        return fields, lambda values: values, False
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        hints = get_type_hints(cls, include_extras=True)
        fields = [_Field(name, name, hints.get(name, Any), name not in cls._field_defaults) for name in cls._fields]
        return fields, lambda values: cls(**values), True
    if hasattr(cls, "__dataclass_fields__"):
        hints = get_type_hints(cls, include_extras=True)
        missing = dataclasses.MISSING
        fields = [
            _Field(field.name, field.name, hints[field.name], field.default is field.default_factory is missing)
            for field in dataclasses.fields(cls) if field.init
        ]
        return fields, lambda values: cls(**values), False
    if hasattr(cls, "__attrs_attrs__"):
        from attr import NOTHING  # the class is one of attrs, so attrs is there

        hints = get_type_hints(cls, include_extras=True)
        fields = [
            _Field(field.alias, field.name, hints.get(field.name, Any), field.default is NOTHING)
            for field in cls.__attrs_attrs__ if field.init
        ]
        return fields, lambda values: cls(**values), False
    return None


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) in (Required, NotRequired) else hint
