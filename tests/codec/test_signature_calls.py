"""Binding: every kind of parameter, what lands in the payload, and how the function is called with it."""

import functools
import inspect
import json
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from dray.codec.signature import Signature, UndecodablePayload
from dray.errors import ArgumentsError, ConfigurationError

if TYPE_CHECKING:
    from decimal import Decimal as OnlyForTypes


class Resource: ...


RESOURCE: Any = Resource()


def injected(parameter: inspect.Parameter, annotation: Any) -> bool:
    return annotation is sqlite3.Connection or isinstance(parameter.default, Resource)


def ordinary(a: int, b: str = "b", *, c: float, d: bool = False): ...
def stars(a: int, b: int = 2, *rest: int, key: str = "k", **more: float): ...
def only_position(a: int, b: int = 2, /, c: int = 3): ...
def position_and_names(a: int, /, **more: int): ...
def nothing(): ...
def mangled(__a: int, b: int = 1): ...
def untyped(a, b=None): ...


@pytest.mark.parametrize(("func", "args", "kwargs", "payload", "called"), [
    (ordinary, (1,), {"c": 1.5}, {"a": 1, "c": 1.5}, ([1], {"c": 1.5})),
    (ordinary, (1, "x"), {"c": 1, "d": True}, {"a": 1, "b": "x", "c": 1, "d": True}, ([1, "x"], {"c": 1.0, "d": True})),
    (ordinary, (), {"c": 1.0, "a": 5}, {"a": 5, "c": 1.0}, ([5], {"c": 1.0})),
    (stars, (1,), {}, {"a": 1}, ([1], {})),
    (stars, (1, 2, 3, 4), {"key": "x", "rest": 1.0, "z": 2}, {"a": 1, "b": 2, "rest": [3, 4], "key": "x",
                                                              "more": {"rest": 1.0, "z": 2}},
     ([1, 2, 3, 4], {"key": "x", "rest": 1.0, "z": 2.0})),
    (stars, (), {"a": 1, "b": 3}, {"a": 1, "b": 3}, ([1, 3], {})),
    (only_position, (1,), {"c": 5}, {"a": 1, "c": 5}, ([1], {"c": 5})),
    (only_position, (1, 5, 6), {}, {"a": 1, "b": 5, "c": 6}, ([1, 5, 6], {})),
    (position_and_names, (1,), {"a": 2}, {"a": 1, "more": {"a": 2}}, ([1], {"a": 2})),
    (nothing, (), {}, {}, ([], {})),
    (mangled, (1,), {"b": 2}, {"__a": 1, "b": 2}, ([1, 2], {})),
    (mangled, (), {"__a": 1}, {"__a": 1}, ([1], {})),
    (untyped, ({"x": [1]},), {}, {"a": {"x": [1]}}, ([{"x": [1]}], {})),
    (untyped, (1,), {"b": None}, {"a": 1, "b": None}, ([1, None], {})),
])
def test_binding(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], payload: dict[str, Any],
    called: tuple[list[Any], dict[str, Any]],
) -> None:
    signature = Signature(func, name="m.f")
    stored = signature.encode(args, kwargs)
    assert json.loads(stored) == payload
    got = signature.decode(stored)
    assert got == called
    inspect.signature(func).bind(*got[0], **got[1])


def test_a_skipped_default_makes_what_follows_go_by_name() -> None:
    def f(a: int = 1, b: int = 2, c: int = 3) -> tuple[int, int, int]:
        return a, b, c

    signature = Signature(f, name="m.f")
    args, kwargs = signature.decode(signature.encode((), {"b": 5}))
    assert (args, kwargs) == ([], {"b": 5})
    assert f(*args, **kwargs) == (1, 5, 3)


def test_the_wire_is_plain_json_in_the_order_of_the_parameters() -> None:
    def send_welcome(user_id: int, *, template: str = "hello") -> None: ...

    signature = Signature(send_welcome, name="m.f")
    assert signature.encode((1,), {"template": "hello"}) == b'{"user_id":1,"template":"hello"}'
    assert signature.encode((1,), {}) == b'{"user_id":1}'


def test_a_new_default_applies_to_stored_jobs_and_a_new_parameter_needs_one() -> None:
    def old(a: int): ...
    def new(a: int, b: int = 7): ...
    def newer(a: int, b: int): ...

    stored = Signature(old, name="m.f").encode((1,), {})
    assert Signature(new, name="m.f").decode(stored) == ([1], {})
    with pytest.raises(UndecodablePayload, match="missing required field b"):
        Signature(newer, name="m.f").decode(stored)


def test_injected_parameters_are_no_part_of_the_call() -> None:
    def f(n: int, client: Any = RESOURCE, *, connection: sqlite3.Connection, label: str = "x"): ...

    signature = Signature(f, name="m.f", injected=injected)
    assert signature.injected_names == ("client", "connection")
    assert signature.decode(signature.encode((1,), {"label": "y"})) == ([1], {"label": "y"})
    with pytest.raises(ArgumentsError) as caught:
        signature.encode((), {})
    assert str(caught.value) == "f(n: int, *, label: str = 'x'): missing argument n."
    for name in ("client", "connection"):
        with pytest.raises(ArgumentsError, match=f"{name} is supplied by the worker, leave it out"):
            signature.encode((1,), {name: 1})
    with pytest.raises(ArgumentsError) as caught:
        signature.encode((1, 2), {})
    assert str(caught.value) == (
        "f(n: int, *, label: str = 'x'): takes 1 positional argument, got 2 "
        "(client, connection are supplied by the worker)."
    )


def test_an_injected_parameter_in_front_makes_the_rest_go_by_name() -> None:
    def f(connection: sqlite3.Connection, n: int, m: int = 2) -> Any:
        return connection, n, m

    signature = Signature(f, name="m.f", injected=injected)
    args, kwargs = signature.decode(signature.encode((5,), {}))
    assert (args, kwargs) == ([], {"n": 5})
    assert f(*args, **kwargs, connection=None) == (None, 5, 2)  # type: ignore[arg-type]


def test_injected_is_not_hidden_in_further_names() -> None:
    def f(client: Any = RESOURCE, **more: int): ...

    signature = Signature(f, name="m.f", injected=injected)
    assert signature.decode(signature.encode((), {"x": 1})) == ([], {"x": 1})
    with pytest.raises(ArgumentsError, match="client is supplied by the worker"):
        signature.encode((), {"client": 1})
    with pytest.raises(UndecodablePayload, match="client is given among the further names"):
        signature.decode(b'{"more":{"client":1}}')


def test_injected_where_python_cannot_pass_it() -> None:
    def before_stars(connection: sqlite3.Connection, *rest: int): ...
    def by_position(connection: sqlite3.Connection, /, n: int): ...

    with pytest.raises(ConfigurationError, match=r"put it after \*rest"):
        Signature(before_stars, name="m.f", injected=injected).encode((), {})
    with pytest.raises(ConfigurationError, match="make it an ordinary parameter"):
        Signature(by_position, name="m.f", injected=injected).encode((1,), {})


def test_annotations_are_resolved_at_first_use() -> None:
    space: dict[str, Any] = {}
    exec("def f(x: 'Later'): ...", space)
    signature = Signature(space["f"], name="m.f")
    with pytest.raises(ConfigurationError, match="an annotation names Later, which"):
        signature.encode((1,), {})
    space["Later"] = int
    assert signature.encode((1,), {}) == b'{"x":1}'


def test_a_name_that_exists_only_for_type_checkers() -> None:
    def f(x: "OnlyForTypes"): ...

    with pytest.raises(ConfigurationError, match="import it outside of `if TYPE_CHECKING`"):
        Signature(f, name="m.f").encode((1,), {})


def test_a_default_of_none_allows_none() -> None:
    def f(x: int = None): ...  # type: ignore[assignment]  # noqa: RUF013

    signature = Signature(f, name="m.f")
    assert signature.decode(signature.encode((None,), {})) == ([None], {})
    with pytest.raises(ArgumentsError):
        signature.encode(("x",), {})


def test_wrapped_partial_and_callable_objects() -> None:
    def f(a: int, b: int): ...

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any: ...

    class Call:
        def __call__(self, a: int) -> None: ...

    assert Signature(wrapper, name="m.f").decode(b'{"a":1,"b":2}') == ([1, 2], {})
    assert Signature(functools.partial(f, 1), name="m.f").decode(b'{"b":2}') == ([2], {})
    for callable_ in (Call(), Call().__call__, functools.partial(f, 1), wrapper):
        with pytest.raises(ArgumentsError):
            Signature(callable_, name="m.f").encode(("x",), {})


@pytest.mark.parametrize(("payload", "told"), [
    (b'{"b":2}', "b is given, but a before it is not"), (b'{"a":1,"c":[1]}', "c is given, but b before it is not"),
])
def test_payloads_that_no_call_can_express(payload: bytes, told: str) -> None:
    def f(a: int = 1, b: int = 2, /, *c: int): ...

    with pytest.raises(UndecodablePayload, match=told):
        Signature(f, name="m.f").decode(payload)
