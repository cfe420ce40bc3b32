"""What a user reads, to the letter."""

import dataclasses
import datetime as dt
import math
import threading
from collections.abc import Awaitable, Callable, Coroutine
from decimal import Decimal
from typing import Annotated, Any, Never
from uuid import UUID

import msgspec
import pytest
from pydantic import BaseModel

from dray.codec.signature import Signature, UndecodablePayload
from dray.errors import ArgumentsError, ConfigurationError, DrayError, NotEncodable


@dataclasses.dataclass
class Item:
    name: str
    price: float = 0.0
    more: Any = None


class Person(BaseModel):
    age: int


def send_welcome(user_id: int, *, template: str = "hello") -> None: ...
def order(items: list[Item], by_id: dict[int, UUID] | None = None, when: dt.datetime | None = None): ...
def position(a: int, /, b: int = 1): ...
def free(data: Any): ...
def model(person: Person): ...
def choice(x: str | dt.datetime): ...
def short(code: "Short"): ...


Short = Annotated[str, msgspec.Meta(max_length=3)]
ORDER = "order(items: list[Item], by_id: dict[int, UUID] | None = None, when: datetime | None = None)"
WELCOME = "send_welcome(user_id: int, *, template: str = 'hello')"

CYCLE: list[Any] = []
CYCLE.append({"inner": CYCLE})
DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]
LOCK = threading.Lock()


@pytest.mark.parametrize(("func", "args", "kwargs", "message"), [
    (send_welcome, ("x",), {}, f"{WELCOME}: user_id must be int, got 'x' (str)."),
    (send_welcome, (None,), {}, f"{WELCOME}: user_id must be int, got None."),
    (send_welcome, (True,), {}, f"{WELCOME}: user_id must be int, got True."),
    (send_welcome, (1,), {"template": b"x"}, f"{WELCOME}: template is b'x' (bytes), but would arrive as 'eA==' (str): "
                                             "annotate it as bytes, or pass what its annotation says."),
    (send_welcome, (), {}, f"{WELCOME}: missing argument user_id."),
    (send_welcome, (1, 2), {}, f"{WELCOME}: takes 1 positional argument, got 2."),
    (send_welcome, (1,), {"tempalte": "x"}, f"{WELCOME}: unexpected argument 'tempalte' (did you mean 'template'?)."),
    (send_welcome, (1,), {"zzz": "x"}, f"{WELCOME}: unexpected argument 'zzz'."),
    (send_welcome, (1,), {"user_id": 1}, f"{WELCOME}: user_id is given twice, by position and by name."),
    (position, (), {"a": 1}, "position(a: int, /, b: int = 1): a must be given by position, not by name."),
    (order, ([{"name": 5}],), {}, f"{ORDER}: items[0].name must be str, got 5 (int)."),
    (order, ([Item("a"), {}],), {}, f"{ORDER}: items[1]: object missing required field name, got {{}} (dict)."),
    (order, ([], {1: "zz"}), {}, f"{ORDER}: by_id[...]: invalid UUID."),
    (order, ([], {"a": UUID(int=1)}), {}, f"{ORDER}: a key of by_id must be int, got str."),
    (order, ([], None, "soon"), {}, f"{ORDER}: when must be datetime | None, got 'soon' (str): "
                                    "invalid RFC3339 encoded datetime."),
    (model, ({"age": "x"},), {}, "model(person: Person): person must be Person, got {'age': 'x'} (dict): not a Person "
                                 "(age: Input should be a valid integer, unable to parse string as an integer)."),
    (choice, (5,), {}, "choice(x: str | datetime): x must be str | datetime, got 5 (int)."),
    (short, ("abcd",), {}, "short(code: Short): code must be Annotated[str, Meta(max_length=3)], got 'abcd' (str): "
                           "expected str of length <= 3."),
    (free, ({1: 2},), {}, "free(data: Any): data has the key 1 (int), which would arrive as text: annotate the type "
                          "of the keys, as in `dict[int, ...]`, or use text."),
    (send_welcome, ("x" * 500,), {}, f"{WELCOME}: user_id must be int, got '{'x' * 75}...' (str)."),
])
def test_arguments_that_do_not_fit(func: Any, args: Any, kwargs: Any, message: str) -> None:
    with pytest.raises(ArgumentsError) as caught:
        Signature(func, name="shop.task").encode(args, kwargs)
    assert str(caught.value) == message
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(("func", "value", "message"), [
    (free, math.nan, "free(data: Any): data is nan, and JSON has no such number: pass None, text or a Decimal."),
    (free, {"a": [1, -math.inf]}, "free(data: Any): data['a'][1] is -inf, and JSON has no such number: pass None, text "
                                  "or a Decimal."),
    (order, [Item("x", math.inf)], f"{ORDER}: items[0].price is inf, and JSON has no such number: pass None, text or a "
                                   "Decimal."),
    (free, "a\ud800", "free(data: Any): data contains the lone surrogate U+D800, which is no character and cannot be "
                      "stored: decode the text with errors='replace', or pass bytes."),
    (free, {"\udfff": 1}, r"free(data: Any): the key '\udfff' of data contains the lone surrogate U+DFFF, which is no "
                          "character and cannot be stored: decode the text with errors='replace', or pass bytes."),
    (free, CYCLE, "free(data: Any): data[0]['inner'] contains itself, and JSON has no references: pass ids in place of "
                  "the inner objects."),
    (free, DEEP, "free(data: Any): data is nested too deeply for JSON: pass it in a flatter form."),
    (free, 10**5000, "free(data: Any): data is an int of more than 4300 digits, which no reader of JSON takes: pass it "
                     "as text."),
    (free, [LOCK], "free(data: Any): data[0] is a lock (_thread.lock), which has no JSON form: pass an id, a path or a "
                   "dataclass, and make the object inside the task."),
    (order, [Item("x", 1.0, {"a": object})], f"{ORDER}: items[0].more['a'] is a type (builtins.type), which has no "
                                             "JSON form: pass an id, a path or a dataclass, and make the object inside "
                                             "the task."),
    (free, {(1, 2): 3}, "free(data: Any): data has the key (1, 2) (tuple), and keys of JSON objects are text or "
                        "numbers: convert the keys, or pass a list of pairs."),
    (free, {None: 3}, "free(data: Any): data has the key None, and keys of JSON objects are text or numbers: "
                      "convert the keys, or pass a list of pairs."),
], ids=range(12))
def test_values_without_a_json_form(func: Any, value: Any, message: str) -> None:
    with pytest.raises(NotEncodable) as caught:
        Signature(func, name="shop.task").encode((value,), {})
    assert str(caught.value) == message
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_model_that_cannot_be_dumped() -> None:
    class Holder(BaseModel, arbitrary_types_allowed=True):
        lock: Any

    def f(x: Holder): ...

    with pytest.raises(NotEncodable, match="x is a Holder that cannot be dumped as JSON"):
        Signature(f, name="m.f").encode((Holder(lock=LOCK),), {})


def test_a_null_that_is_none_passes_where_a_nan_does_not() -> None:
    def f(x: float | None, y: Any = None): ...

    signature = Signature(f, name="m.f")
    assert signature.encode((None,), {"y": [None, "null"]}) == b'{"x":null,"y":[null,"null"]}'
    with pytest.raises(NotEncodable, match="x is nan"):
        signature.encode((math.nan,), {})
    with pytest.raises(NotEncodable, match=r"y\[0\] is nan"):
        signature.encode((1.0, [math.nan]), {})


@dataclasses.dataclass
class Unfinished:
    next: "Nowhere"  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(("annotation", "shown", "reason"), [
    (Never, "Never", "Type 'typing.Never' is not supported"),
    (list[Never] | None, "list[Never] | None", "Type 'typing.Never' is not supported"),
    (Unfinished, "Unfinished", "Nowhere is not defined where it is named"),
    (Annotated[str | dt.date, msgspec.Meta(max_length=3)], "Annotated[str | date, Meta(max_length=3)]", "Can only set"),
])
def test_annotations_that_nothing_decodes_into(annotation: Any, shown: str, reason: str) -> None:
    def f(a: int, x): ...

    f.__annotations__["x"] = annotation
    with pytest.raises(ConfigurationError) as caught:
        Signature(f, name="m.f").encode((1, 1), {})
    assert f"x cannot be annotated {shown}, nothing in JSON can be decoded into it ({reason}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_class_without_a_json_form_says_so_when_given() -> None:
    def f(x: threading.Event, y: Callable[[], int] | None = None): ...

    with pytest.raises(NotEncodable, match="x is an Event"):
        Signature(f, name="m.f").encode((threading.Event(),), {})
    with pytest.raises(ArgumentsError, match=r"x must be Event, got 5 \(int\)"):
        Signature(f, name="m.f").encode((5,), {})


@pytest.mark.parametrize(("payload", "told"), [
    (b'{"user_id":"x"}', "user_id must be int, got 'x' (str)"),
    (b"{}", "the arguments: object missing required field user_id, got {} (dict)"),
    (b'{"user_id":1,"zzz":2}', "the arguments: object contains unknown field zzz, got {'user_id': 1, 'zzz': 2} (dict)"),
    (b"[]", "the arguments must be object, got [] (list)"),
    (b"{", "the payload is no JSON (Input data was truncated)"),
    (b"", "the payload is no JSON (Input data was truncated)"),
    (b"\xff", "the payload is no JSON (JSON is malformed: invalid character (byte 0))"),
    (b'{"user_id":1}}', "the payload is no JSON (JSON is malformed: trailing characters (byte 14))"),
])
def test_undecodable_payloads(payload: bytes, told: str) -> None:
    with pytest.raises(UndecodablePayload) as caught:
        Signature(send_welcome, name="mail.send").decode(payload)
    assert str(caught.value) == (
        f"mail.send: the stored arguments do not fit {WELCOME}: {told}. They were stored for another version of the "
        "function, or edited: deploy one that takes them, or cancel the job."
    )
    assert isinstance(caught.value, DrayError)
    assert caught.value.__context__ is None


def test_results() -> None:
    def report(n: int) -> list[Decimal]: ...  # type: ignore[empty-body]

    signature = Signature(report, name="m.report")
    assert signature.encode_result(None) is None
    assert signature.decode_result(None) is None
    assert signature.encode_result([Decimal("1.5")]) == b'["1.5"]'
    assert signature.decode_result(b'["1.5"]') == [Decimal("1.5")]
    with pytest.raises(UndecodablePayload) as caught:
        signature.decode_result(b'["x"]')
    assert str(caught.value) == (
        "m.report: the stored result does not fit the return annotation: the result[0]: invalid decimal string, "
        "got 'x' (str). Correct the annotation."
    )
    with pytest.raises(UndecodablePayload, match="the result is no JSON"):
        signature.decode_result(b"[")
    for value, told in ((math.nan, "the result is nan"), ([None, math.inf], r"the result\[1\] is inf"),
                        ({"a": LOCK}, r"the result\['a'\] is a lock"), ("\ud800", "the result contains the lone")):
        with pytest.raises(NotEncodable, match=f"m.report: {told}"):
            signature.encode_result(value)
    assert signature.encode_result([None]) == b"[null]"


def test_results_of_coroutine_functions_and_without_annotation() -> None:
    async def one() -> dt.date: ...  # type: ignore[empty-body]
    def two() -> Awaitable[dt.date]: ...  # type: ignore[empty-body]
    def three() -> Coroutine[Any, Any, dt.date]: ...  # type: ignore[empty-body]
    def four(): ...

    day = dt.date(2024, 1, 1)
    for func in (one, two, three):
        signature = Signature(func, name="m.f")
        assert signature.decode_result(signature.encode_result(day)) == day
    plain = Signature(four, name="m.f")
    assert plain.decode_result(plain.encode_result({"a": day})) == {"a": "2024-01-01"}
