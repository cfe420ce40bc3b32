"""How the arguments and the result of one function go into the store and come back.

On the wire the arguments are one JSON object by parameter name, with only what the caller gave: `{"user_id":1}`.
Defaults stay with the function, so that a new default applies to jobs that are already waiting. `*args` are an array
and `**kwargs` an object under their own names.

At enqueue the JSON is decoded again by the worker's own decoder, and what comes out is compared with what went in: a
job that is accepted is a job that can be run with the values that were given.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, get_args, get_origin

import msgspec
from msgspec.structs import astuple

from dray.codec.adapt import Unsupported, adapt
from dray.codec.explain import misfit, wrong_value
from dray.codec.hooks import decoder, enc_hook, encode, plain_decode
from dray.codec.layout import Layout, Unspreadable, annotations_of
from dray.codec.text import annotation_text
from dray.codec.walk import changed, unencodable
from dray.errors import ArgumentsError, ConfigurationError, DrayError, NotEncodable


class UndecodablePayload(DrayError):
    """Stored arguments or a stored result do not fit the function any more, or are no JSON."""


class Signature:
    """How the arguments of one function go into the store and come back.

    `name` is the task's, for messages. `injected` is asked for each parameter, with its resolved annotation
    (`inspect.Parameter.empty` without one), whether the worker supplies it; such parameters are no part of the payload,
    and a caller may not give them. Annotations are resolved at first use, so that they may name what is defined further
    down; what is wrong with them raises ConfigurationError then.
    """

    __slots__ = ("_decode_result", "_func", "_injected", "_layout", "_name")

    def __init__(
        self, func: Callable[..., Any], *, name: str,
        injected: Callable[[inspect.Parameter, Any], bool] | None = None,
    ) -> None:
        self._func = func
        self._name = name
        self._injected = injected
        self._layout: Layout | None = None
        self._decode_result: Callable[[bytes], Any] | None = None

    def _built(self) -> Layout:
        # Two threads may both build it; the results are alike.
        layout = self._layout = Layout(self._func, name=self._name, injected=self._injected)
        return layout

    @property
    def injected_names(self) -> tuple[str, ...]:
        """The parameters that the worker supplies, in order."""
        return (self._layout or self._built()).injected

    def encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """The payload of a call.

        Raises ArgumentsError if the arguments do not fit the signature, NotEncodable if one has no JSON form.
        """
        layout = self._layout or self._built()
        try:
            given = layout.shape(*args, **kwargs) if layout.direct else layout.bind(args, kwargs)
            payload = encode(given)
            # msgspec writes NaN and infinity as null: they come back as None, and so as something else.
            if layout.decode(payload) == given:
                return payload
        except Exception:  # the exact way finds it again, and says what it is
            pass
        return self._encode_exactly(layout, args, kwargs)

    def _encode_exactly(self, layout: Layout, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        try:
            structure = layout.bind(args, kwargs)
        except TypeError:
            raise ArgumentsError(f"{layout.text}: {misfit(layout, args, kwargs)}.") from None
        given = {slot.name: value for slot in layout.slots
                 if (value := getattr(structure, slot.field)) is not msgspec.UNSET}
        for name, value in given.items():
            told = unencodable(value, name)
            if told:
                raise NotEncodable(f"{layout.text}: {told}.")
        annotations = {slot.name: slot.annotation for slot in layout.slots}
        try:
            payload: bytes = encode(structure)
            decoded = layout.decode(payload)
        except RecursionError:
            raise NotEncodable(f"{layout.text}: the arguments are nested too deeply for JSON.") from None
        except Exception as error:
            root = msgspec.to_builtins(structure, enc_hook=enc_hook)
            told = wrong_value(error, root, given=given, annotations=annotations)
            raise ArgumentsError(f"{layout.text}: {told}.") from None
        for slot in layout.slots:
            if slot.name in given:
                told = changed(given[slot.name], getattr(decoded, slot.field), slot.name, exact=slot.ambiguous)
                if told:
                    raise ArgumentsError(f"{layout.text}: {told}.")
        return payload

    def decode(self, payload: bytes) -> tuple[list[Any], dict[str, Any]]:
        """Typed values, ready for `func(*args, **kwargs, **injected)`. Raises UndecodablePayload."""
        layout = self._layout or self._built()
        try:
            values = layout.decode(payload)
            return (list(astuple(values)), {}) if layout.flat else layout.spread(values)
        except Unspreadable as error:
            told = str(error)
        except Exception as error:
            told = self._told(error, payload)
        raise UndecodablePayload(
            f"{self._name}: the stored arguments do not fit {layout.text}: {told}. They were stored for another "
            f"version of the function, or edited: deploy one that takes them, or cancel the job."
        )

    def encode_result(self, value: Any) -> bytes | None:
        """The JSON of what the function returned; None for None. Raises NotEncodable."""
        if value is None:
            return None
        try:
            payload = encode(value)
            # NaN and infinity are written as null, so a null asks for a closer look.
            if b"null" not in payload or plain_decode(payload) == value:
                return payload
        except Exception:
            payload = None
        told = unencodable(value, "the result")
        if told is None and payload is None:
            told = "the result has no JSON form"
        if told:
            raise NotEncodable(f"{self._name}: {told}.")
        return payload

    def decode_result(self, payload: bytes | None) -> Any:
        """What the function returned, in the type of its return annotation (plain JSON without one).

        Raises UndecodablePayload, and ConfigurationError if the annotation cannot be decoded into at all.
        """
        if payload is None:
            return None
        decode = self._decode_result
        if decode is None:
            decode = self._decode_result = self._result_decoder()
        try:
            return decode(payload)
        except Exception as error:
            told = self._told(error, payload, label="the result")
        raise UndecodablePayload(
            f"{self._name}: the stored result does not fit the return annotation: {told}. Correct the annotation."
        )

    def _result_decoder(self) -> Callable[[bytes], Any]:
        annotation = annotations_of(self._func, self._name).get("return", Any)
        while get_origin(annotation) in (Awaitable, Coroutine):
            annotation = get_args(annotation)[-1]
        try:
            return decoder(adapt(annotation))
        except (Unsupported, NameError) as error:
            raise ConfigurationError(
                f"{self._name}: it cannot be annotated to return {annotation_text(annotation)}, nothing in JSON can be "
                f"decoded into it ({error}); annotate a type with a JSON form, or leave the annotation out."
            ) from None

    def _told(self, error: Exception, payload: bytes, *, label: str = "") -> str:
        try:
            root = plain_decode(payload)
        except Exception:
            return f"{label or 'the payload'} is no JSON ({error})"
        return wrong_value(error, root, label=label)
