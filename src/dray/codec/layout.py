"""The parameters of one function as a msgspec structure: built once, at the first use of a signature."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter
from typing import Any, Optional, get_type_hints

import msgspec
from msgspec import UNSET
from msgspec.structs import astuple

from dray.codec.adapt import Unsupported, adapt
from dray.codec.hooks import decoder
from dray.codec.text import annotation_text, signature_text
from dray.errors import ConfigurationError

POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
VARIADIC = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)

Injected = Callable[[Parameter, Any], bool]


class Unspreadable(ValueError):
    """Decoded arguments with which the function cannot be called; the message says why."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One parameter that the caller gives."""

    name: str
    field: str  # its field in the structure
    kind: Any  # inspect's
    by_position: bool  # how the worker passes it
    optional: bool
    annotation: Any  # resolved; Any where there is none
    decoded_as: Any  # the annotation as msgspec takes it

    @property
    def ambiguous(self) -> bool:
        """Whether the JSON form alone does not tell the type."""
        return self.decoded_as is not self.annotation


class Layout:
    """What `Signature` knows of its function: the structure, and the way into it and out of it."""

    def __init__(self, func: Callable[..., Any], *, name: str, injected: Injected | None) -> None:
        self.func = func
        try:
            whole = inspect.signature(func)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"{name}: its parameters cannot be read ({error}); wrap it in a function."
            ) from None
        hints = annotations_of(func, name)
        parameters = list(whole.parameters.values())
        self.injected = tuple(
            p.name for p in parameters if injected is not None and injected(p, hints.get(p.name, p.annotation))
        )
        given = [p for p in parameters if p.name not in self.injected]
        self.visible = inspect.Signature(given)
        self.text = signature_text(getattr(func, "__name__", name), given)
        self._refuse_unreachable(parameters)
        self.slots = self._slots(parameters, hints)
        # `shape(*args, **kwargs)` binds as Python would, and in C: without stars, positional-only and mangled names.
        self.direct = all(slot.kind in NAMED and slot.field == slot.name for slot in self.slots)
        self.shape = self._shape()
        self.decode: Callable[[bytes], Any] = decoder(self.shape)
        self.flat = self.direct and all(slot.by_position and not slot.optional for slot in self.slots)

    def _refuse_unreachable(self, parameters: list[Parameter]) -> None:
        # The worker passes injected values by name, and Python then wants all that follows by name too.
        seen = ""
        for p in parameters:
            if p.name in self.injected:
                seen = seen or p.name
                if p.kind is Parameter.POSITIONAL_ONLY or p.kind in VARIADIC:
                    raise ConfigurationError(
                        f"{self.text}: {p.name} is supplied by the worker, by name; make it an ordinary parameter."
                    )
            elif seen and p.kind is Parameter.VAR_POSITIONAL:
                raise ConfigurationError(
                    f"{self.text}: {seen} is supplied by the worker, by name; put it after *{p.name}."
                )

    def _slots(self, parameters: list[Parameter], hints: Mapping[str, Any]) -> list[Slot]:
        slots: list[Slot] = []
        by_position = True
        for at, p in enumerate(parameters):
            if p.name in self.injected:
                by_position = False
                continue
            annotation = hints.get(p.name, Any)
            if p.default is None and annotation is not Any:
                # `limit: int = None` means that None may be given.
                form: Any = Optional
                annotation = form[annotation]
            # A class would mangle or claim a name like `__x` or `__init__`.
            field = f"field_{at}" if p.name.startswith("__") else p.name
            slots.append(Slot(
                p.name, field, p.kind, by_position=by_position and p.kind in POSITIONAL,
                optional=p.kind in VARIADIC or p.default is not Parameter.empty,
                annotation=annotation, decoded_as=self._adapted(p.name, annotation),
            ))
        return slots

    def _adapted(self, name: str, annotation: Any) -> Any:
        try:
            return adapt(annotation)
        except Unsupported as error:
            reason = str(error)
        except NameError as error:
            reason = f"{error.name} is not defined where it is named"
        raise ConfigurationError(
            f"{self.text}: {name} cannot be annotated {annotation_text(annotation)}, nothing in JSON can be decoded "
            f"into it ({reason}); annotate a type with a JSON form, or leave the annotation out to take plain JSON."
        ) from None

    def _shape(self) -> type[msgspec.Struct]:
        ordered: list[Any] = []
        by_name: list[Any] = []
        for slot in self.slots:
            form: Any = slot.decoded_as
            if slot.kind is Parameter.VAR_POSITIONAL:
                form = list[form]
            elif slot.kind is Parameter.VAR_KEYWORD:
                form = dict[str, form]
            entry = (slot.field, form, UNSET) if slot.optional else (slot.field, form)
            (ordered if self.direct and slot.kind in POSITIONAL else by_name).append(entry)
        rename = {slot.field: slot.name for slot in self.slots if slot.field != slot.name} or None
        named = msgspec.defstruct("Arguments", by_name, kw_only=True, rename=rename, forbid_unknown_fields=True)
        if not ordered:
            return named
        return msgspec.defstruct("Arguments", ordered, bases=(named,), forbid_unknown_fields=True)

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """The structure of a call. Raises TypeError where Python would."""
        if self.direct:
            return self.shape(*args, **kwargs)
        if not self.injected or self.injected_in(kwargs) is None:
            bound = self.visible.bind(*args, **kwargs).arguments
            return self.shape(**{
                slot.field: list(bound[slot.name]) if slot.kind is Parameter.VAR_POSITIONAL else bound[slot.name]
                for slot in self.slots if slot.name in bound
            })
        raise TypeError("an injected parameter is given")

    def injected_in(self, kwargs: Mapping[str, Any]) -> str | None:
        """The first name in `kwargs` that only the worker may give."""
        return next((name for name in self.injected if name in kwargs), None)

    def spread(self, values: Any) -> tuple[list[Any], dict[str, Any]]:
        """The way out: what to call the function with. Raises Unspreadable."""
        if self.flat:
            return list(astuple(values)), {}
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        skipped = ""
        for slot in self.slots:
            value = getattr(values, slot.field)
            if value is UNSET:
                skipped = skipped or (slot.name if slot.by_position else "")
            elif slot.by_position and not skipped:
                args.append(value)
            elif slot.kind is Parameter.VAR_POSITIONAL or slot.kind is Parameter.POSITIONAL_ONLY:
                if skipped:
                    raise Unspreadable(f"{slot.name} is given, but {skipped} before it is not")
                args.extend(value)
            elif slot.kind is Parameter.VAR_KEYWORD:
                self._spread_names(value, kwargs)
            else:
                kwargs[slot.name] = value
        return args, kwargs

    def _spread_names(self, more: dict[str, Any], kwargs: dict[str, Any]) -> None:
        taken = {slot.name for slot in self.slots if slot.kind in NAMED}
        for name in more:
            if name in taken or name in self.injected:
                raise Unspreadable(f"{name} is given among the further names, and is a parameter of its own")
        kwargs.update(more)


def annotations_of(func: Callable[..., Any], name: str) -> dict[str, Any]:
    """The resolved annotations. Raises ConfigurationError if a name in them is not defined at run time."""
    target: Any = func
    while isinstance(target, functools.partial):
        target = target.func
    if isinstance(target, type):
        target = target.__init__  # type: ignore[misc]
    elif not hasattr(target, "__annotations__"):
        target = type(target).__call__
    try:
        return get_type_hints(target, localns=_enclosing(target), include_extras=True)
    except NameError as error:
        where = getattr(target, "__module__", "its module")
        raise ConfigurationError(
            f"{name}: an annotation names {error.name}, which {where} does not define at run time; "
            f"import it outside of `if TYPE_CHECKING`."
        ) from None
    except (TypeError, SyntaxError, AttributeError) as error:
        raise ConfigurationError(f"{name}: its annotations cannot be resolved: {error}.") from None


def _enclosing(func: Any) -> dict[str, Any] | None:
    # Names of an enclosing function that the body uses: classes that are defined beside a nested function.
    func = inspect.unwrap(func)
    cells = getattr(func, "__closure__", None)
    if not cells:
        return None
    names = {}
    for free, cell in zip(func.__code__.co_freevars, cells, strict=True):
        try:
            names[free] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return names
