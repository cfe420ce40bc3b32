"""The JSON of Dray: msgspec's, with the types that it leaves to hooks.

msgspec itself encodes and decodes the built-in types, datetimes, UUID, Decimal, enums, dataclasses, attrs, TypedDict,
NamedTuple and Struct. The hooks add paths, pydantic models (known by their methods: pydantic is never imported here),
subclasses of the scalar types, a few containers, and the proxies that `dray.codec.adapt` makes.
"""

from __future__ import annotations

import collections
import collections.abc
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from inspect import signature
from pathlib import PurePath
from typing import Any, ClassVar, get_args, get_origin

import msgspec


class _AnyInstance(type):
    # msgspec asks of what a hook made whether it is of the annotated type; a proxy makes something else.
    def __instancecheck__(cls, instance: object) -> bool:
        return True


class Proxy(metaclass=_AnyInstance):
    """Base of the classes that stand in an annotation for a type which msgspec cannot decode by itself."""

    decode: ClassVar[Callable[[Any], Any]]


def json_sort(value: object) -> str:
    """The word for a JSON value's sort, as in msgspec's messages: object, array, str, int, float, bool, null."""
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "object"
    return "array" if isinstance(value, list) else type(value).__name__


def _plain_datetime(value: datetime) -> datetime:
    return datetime.combine(date(value.year, value.month, value.day), _plain_time(value.timetz()))


def _plain_time(value: time) -> time:
    return time(value.hour, value.minute, value.second, value.microsecond, value.tzinfo, fold=value.fold)


# Subclasses of these are common (SafeString, numpy.float64, pendulum.DateTime, frozen clocks) and unknown to msgspec.
# datetime stands before date, of which it is a subclass.
_SCALARS: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (bytes, lambda value: bytes(memoryview(value))),
    (Decimal, Decimal),
    (datetime, _plain_datetime),
    (date, lambda value: date(value.year, value.month, value.day)),
    (time, _plain_time),
    (timedelta, lambda value: timedelta(value.days, value.seconds, value.microseconds)),
    (PurePath, str),
    (collections.deque, list),
)


def enc_hook(value: Any) -> Any:
    """What msgspec shall encode in place of a value that it does not know. Raises TypeError if there is nothing."""
    dump = getattr(type(value), "model_dump", None)
    if dump is not None:
        return dump(value, mode="json", by_alias=True, round_trip=True)
    for base, plain in _SCALARS:
        if isinstance(value, base):
            return plain(value)
    raise TypeError(f"{type(value).__qualname__} has no JSON form")


def dec_hook(annotation: Any, value: Any) -> Any:
    """A value of the annotated type, made from builtins. Raises ValueError or TypeError if there is none."""
    if isinstance(annotation, type):
        if issubclass(annotation, Proxy):
            return annotation.decode(value)
        if annotation is object:
            return value
        if issubclass(annotation, PurePath) and isinstance(value, str):
            return annotation(value)
        if hasattr(annotation, "model_validate_json"):
            return _validate_model(annotation, value)
        for base in (str, int, float):
            if issubclass(annotation, base) and type(value) is base:
                return annotation(value)
    origin = get_origin(annotation) or annotation
    make = _CONTAINERS.get(origin)
    if make is not None:
        plain: Any = dict if issubclass(origin, dict) else list
        args = get_args(annotation)
        return make(convert(value, plain[args] if args else plain))
    name = getattr(annotation, "__qualname__", str(annotation))
    raise TypeError(f"Expected `{name}`, got `{json_sort(value)}`")


_CONTAINERS: dict[Any, Callable[[Any], Any]] = {
    collections.abc.Iterable: list,
    collections.deque: collections.deque,
    collections.OrderedDict: collections.OrderedDict,
}


@lru_cache(maxsize=512)
def _takes_names(model: Any) -> bool:
    # pydantic 2.11 can validate by field name and by alias at once; what a model with a validation alias alone
    # dumps (its field names) can only be read back that way.
    return "by_name" in signature(model.model_validate_json).parameters


def _validate_model(model: Any, value: Any) -> Any:
    names = {"by_alias": True, "by_name": True} if _takes_names(model) else {}
    try:
        # By way of JSON, so that models in strict mode still take text for a datetime or UUID.
        return model.model_validate_json(msgspec.json.encode(value), **names)
    except ValueError as error:
        details = getattr(error, "errors", None)
        if details is None:
            raise
        told = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" if one["loc"] else str(one["msg"]) for one in details()
        )
        raise ValueError(f"not a {model.__qualname__} ({told})") from None


def convert(value: Any, annotation: Any) -> Any:
    """Decode a value of JSON sorts into the annotated type, as strictly as the decoder does with bytes.

    Raises ValueError; the place of the fault stands in its message the way msgspec writes it, without the root.
    """
    try:
        return msgspec.convert(value, annotation, strict=True, str_keys=True, dec_hook=dec_hook)
    except msgspec.ValidationError as error:
        # A ValidationError would pass through the outer decoder as it is, without the outer place.
        raise ValueError(str(error).replace("`$", "`")) from None


ENCODER = msgspec.json.Encoder(enc_hook=enc_hook)
encode = ENCODER.encode
plain_decode: Callable[[bytes], Any] = msgspec.json.Decoder().decode


def decoder(annotation: Any) -> Callable[[bytes], Any]:
    """A function from JSON bytes to a value of the annotated type. Raises TypeError if msgspec cannot build one."""
    return msgspec.json.Decoder(annotation, dec_hook=dec_hook).decode
