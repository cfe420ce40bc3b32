# ruff: noqa: UP007, UP045 - both spellings of unions are meant
"""Every type that an annotation may name goes in and comes back equal and of the same type."""

import dataclasses
import datetime as dt
import enum
import sys
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, Optional, TypedDict, Union
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import attrs
import msgspec
import pydantic
import pytest
from pydantic import BaseModel, Field

from dray.codec.signature import Signature
from dray.errors import ArgumentsError


class Plain(enum.Enum):
    A = "a"
    B = "b"


class Text(str, enum.Enum):  # noqa: UP042 - the older spelling is meant
    A = "a"


class Number(enum.IntEnum):
    ONE = 1


class Mixed(enum.Enum):
    HALF = 1.5
    PAIR = (1, 2)
    WORD = "w"


class Bits(enum.IntFlag):
    R = 1
    W = 2


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


@dataclasses.dataclass
class Line:
    start: Point
    end: Optional[Point] = None
    tags: set[str] = dataclasses.field(default_factory=set)


@dataclasses.dataclass
class Circle:
    x: int
    y: int
    radius: int


@dataclasses.dataclass
class Event:
    when: Union[str, dt.datetime]
    next: "Event | None" = None
    shape: Point | Circle | None = None


class Config(TypedDict):
    name: str
    size: NotRequired[int]


class Odd(TypedDict):
    value: str | UUID
    other: NotRequired[int]


class Pair(NamedTuple):
    left: int
    right: str = "r"


class OddPair(NamedTuple):
    left: str | dt.date
    right: int = 1


class Packed(msgspec.Struct):
    a: int
    b: list[dt.date] = []


class OddStruct(msgspec.Struct, rename="camel"):
    the_value: bytes | int | str


@attrs.define
class Attr:
    a: int
    b: Path = Path("x")


@attrs.define
class OddAttr:
    a: str | dt.timedelta
    b: int = 3


class Address(BaseModel):
    street: str
    since: dt.datetime | None = None


class User(BaseModel):
    id: UUID
    addresses: list[Address] = []
    balance: Decimal = Decimal("0")
    key: bytes = b""


class Aliased(BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    user_id: int = Field(alias="userId")
    when: dt.datetime = Field(validation_alias="at")


@dataclasses.dataclass
class Order:
    user: User
    path: Path
    more: list[Address] = dataclasses.field(default_factory=list)


UserId = NewType("UserId", int)


class Slug(str):
    __slots__ = ()


UTC = dt.timezone.utc  # noqa: UP017
AWARE = dt.datetime(2024, 2, 29, 12, 30, 1, 5, tzinfo=UTC)
ID = UUID("12345678-1234-5678-1234-567812345678")
MODEL = User(id=ID, addresses=[Address(street="s", since=AWARE)], balance=Decimal("1.10"), key=b"k")
PATH = Path("/a/b.txt")

CASES: list[tuple[Any, Any]] = [
    (int, 7), (int, -(2**63)), (int, 2**64), (int, 10**400), (float, 1.5), (float, 3), (str, "é\u0000\u2028😀"),
    (str, "null"),
    (bool, True), (None, None), (bytes, b"\x00\xff"), (bytearray, bytearray(b"x")),
    (dt.datetime, AWARE), (dt.datetime, dt.datetime(2024, 1, 1)),
    (dt.datetime, AWARE.astimezone(ZoneInfo("Asia/Tokyo"))),
    (dt.datetime, dt.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))),
    (dt.date, dt.date(2024, 1, 1)), (dt.time, dt.time(1, 2, 3, 4)), (dt.time, dt.time(1, tzinfo=UTC)),
    (dt.timedelta, dt.timedelta(days=-3, microseconds=1)), (UUID, ID), (Decimal, Decimal("1.10")),
    (Decimal, Decimal("1E+5")),
    (Plain, Plain.B), (Text, Text.A), (Number, Number.ONE), (Mixed, Mixed.PAIR), (Mixed, Mixed.HALF),
    (Bits, Bits.R | Bits.W),
    (list[Mixed], [Mixed.WORD, Mixed.PAIR]),
    (Path, PATH), (PurePosixPath, PurePosixPath("a")), (Path | None, None), (Path | None, PATH),
    (dict[str, Path], {"a": PATH}),
    (set[int], {1, 2}), (frozenset[str], frozenset("ab")), (set[UUID], {ID}), (set[Path], {PATH}),
    (tuple[int, str], (1, "a")), (tuple[dt.date, ...], (dt.date(2024, 1, 1),)), (tuple, (1, 2)),
    (list, [1, "a", None]),
    (list[dt.date], [dt.date(2024, 1, 1)]), (dict, {"a": [1]}), (dict[int, str], {1: "a", -5: "b"}),
    (dict[UUID, Decimal], {ID: Decimal(1)}), (dict[dt.date, list[int]], {dt.date(2024, 1, 1): [1]}),
    (dict[float, int], {1.5: 1}),
    (Sequence[int], [1]), (Mapping[str, int], {"a": 1}), (Iterable[dt.date], [dt.date(2024, 1, 1)]),
    (deque[int], deque([1, 2])), (OrderedDict[str, int], OrderedDict(b=1, a=2)),
    (Optional[int], None), (Optional[int], 5), (int | str | None, "x"), (int | float, 1), (int | float, 1.0),
    (Literal["a", 1, None], "a"), (Literal[Plain.A, Plain.B], Plain.B), (Literal[b"x"], b"x"),
    (UserId, UserId(3)), (Slug, Slug("a-b")),
    (Annotated[int, "doc"], 3), (Annotated[int, msgspec.Meta(ge=1)], 1),
    (Annotated[str | dt.date, "doc"], dt.date(2024, 1, 1)),
    (Config, {"name": "n"}), (Config, {"name": "n", "size": 3}), (Pair, Pair(1, "x")), (list[Pair], [Pair(1)]),
    (Point, Point(1, 2)), (Line, Line(Point(1), Point(2, 3), {"t"})), (list[Line], [Line(Point(1))]),
    (dict[str, Point | None], {"a": None, "b": Point(1)}),
    (Packed, Packed(1, [dt.date(2024, 1, 1)])), (Attr, Attr(1, PATH)), (dict[str, Attr], {"k": Attr(2)}),
    (User, MODEL), (Optional[User], MODEL), (Optional[User], None), (list[User], [MODEL]),
    (dict[int, User], {3: MODEL}),
    (Order, Order(MODEL, PATH, [Address(street="x")])), (Aliased, Aliased(userId=1, at=AWARE)),
    # unions that msgspec has no decoder for
    (str | dt.datetime, "hello"), (str | dt.datetime, AWARE), (str | dt.datetime | None, None), (UUID | str, ID),
    (UUID | str, "x"),
    (str | bytes, "hello"), (int | Path, 5), (int | Path, PATH), (str | Plain, Plain.A),
    (Point | Circle, Point(1, 2)),
    (Point | Circle, Circle(1, 2, 3)), (Circle | Point | str, "x"), (User | Address, MODEL),
    (User | Address, Address(street="x")),
    (User | Point | int, 3), (list[int] | set[int], [2, 1]), (set[int] | str, {1, 2}),
    (list[str | dt.date], ["a", dt.date(2024, 1, 1)]), (dict[str, Point | Circle], {"a": Circle(1, 2, 3)}),
    (Sequence[str | UUID], ["a", ID]), (tuple[str | UUID, int], (ID, 1)),
    (Event, Event(AWARE, Event("later", shape=Circle(1, 2, 3)))), (list[Event], [Event("now", shape=Point(1, 1))]),
    (Odd, {"value": ID}), (Odd, {"value": "v", "other": 1}), (OddPair, OddPair(dt.date(2024, 1, 1))),
    (OddPair, OddPair("x", 2)),
    (OddStruct, OddStruct("text!")), (OddStruct, OddStruct(3)), (OddAttr, OddAttr(dt.timedelta(1), 4)),
    (Any, {"a": [1, 2.5, None, True, "x"]}), (object, [1]), (list[object], [1, "a"]),
]


@pytest.mark.parametrize(("annotation", "value"), CASES, ids=lambda one: str(one)[:40])
def test_round_trip(annotation: Any, value: Any) -> None:
    def f(x): ...

    f.__annotations__ = {"x": annotation, "return": annotation}
    signature = Signature(f, name="m.f")
    args, kwargs = signature.decode(signature.encode((value,), {}))
    assert kwargs == {}
    (got,) = args
    assert same(got, value)
    if annotation is not float:
        assert type(got) is type(value)
    back = signature.decode_result(signature.encode_result(value))
    assert same(back, value)
    assert repr(back) == repr(got)


def same(got: Any, value: Any) -> bool:
    if isinstance(value, dt.datetime):  # between zones, equality is never true in a repeated hour
        return got.isoformat() == value.isoformat()
    return bool(got == value)


def test_an_aware_datetime_keeps_its_instant_and_offset() -> None:
    def f(x: dt.datetime) -> None: ...

    given = dt.datetime(2024, 7, 1, 12, tzinfo=ZoneInfo("America/New_York"))
    signature = Signature(f, name="m.f")
    ((got,), _) = signature.decode(signature.encode((given,), {}))
    assert got == given
    assert got.utcoffset() == dt.timedelta(hours=-4)


def test_subclasses_of_scalars_arrive_as_the_plain_type() -> None:
    class Frozen(dt.datetime): ...

    class Day(dt.date): ...

    class Span(dt.timedelta): ...

    class Money(Decimal): ...

    class Safe(str):
        __slots__ = ()

    class Count(int): ...

    class Ratio(float): ...

    class Blob(bytes): ...

    def f(a: dt.datetime, b: dt.date, c: dt.timedelta, d: Decimal, e: str, f: int, g: float, h: bytes) -> None: ...

    given = (Frozen(2024, 1, 1, 5, tzinfo=UTC), Day(2024, 1, 1), Span(1), Money("1.5"), Safe("s"), Count(3), Ratio(1.5),
             Blob(b"b"))
    signature = Signature(f, name="m.f")
    args, _ = signature.decode(signature.encode(given, {}))
    assert args == list(given)
    assert [type(one) for one in args] == [dt.datetime, dt.date, dt.timedelta, Decimal, str, int, float, bytes]


@pytest.mark.parametrize(("annotation", "value"), [
    (int, "1"), (int, True), (int, 1.0), (int, None), (str, 1), (str, b"x"), (str, uuid4()), (str, Plain.A),
    (float, "1"),
    (float, True), (bool, 1), (dt.date, AWARE), (dt.datetime, 5), (UUID, "x"), (Plain, "z"), (Literal["a"], "b"),
    (Mixed, 7),
    (Literal[b"x"], b"y"), (set[int], {"a"}), (list[int], {1}), (dict[int, str], {"a": "x"}), (tuple[int, int], (1,)),
    (Point, {"x": "1"}), (Point, Circle(1, 2, 3)), (Path, 5), (Config, {}), (Config, {"name": "n", "extra": 1}),
    (Annotated[int, msgspec.Meta(ge=1)], 0), (str | dt.datetime, 5), (Point | Circle, {}), (User, {"id": "x"}),
    (Any, AWARE),
    (Any, {1: "a"}), (Any, {"a", "b"}), (Any, Point(1)), (Any, MODEL), (Any, b"x"), (list[Any], [Decimal(1)]),
    # two meanings of one JSON form: the member asked first wins, and what was meant for the other is refused
    (list[int] | set[int], {1, 2}), (list[int] | tuple[int, ...], (1, 2)), (str | dt.date, "2024-01-01"),
    (list[int] | tuple[int, int], [[1]]), (set[int] | list[int], "x"),
    (dict[str, Any], {"a": {2: 1}}), (dict[Any, Any], {2: 1}), (dict[str, str | dt.date], {"a": "2024-01-01"}),
    (dt.datetime, dt.datetime(1890, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))),
], ids=lambda one: str(one)[:40])
def test_what_would_not_arrive_as_given_is_refused(annotation: Any, value: Any) -> None:
    def f(x): ...

    f.__annotations__ = {"x": annotation}
    with pytest.raises(ArgumentsError) as caught:
        Signature(f, name="m.f").encode((value,), {})
    assert str(caught.value).startswith("f(x")
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize(("annotation", "value", "arrives"), [
    (dt.datetime, "2024-01-01T00:00:00Z", dt.datetime(2024, 1, 1, tzinfo=UTC)), (UUID, str(ID), ID),
    (Plain, "a", Plain.A),
    (Point, {"x": 1}, Point(1)), (Any, (1, (2,)), [1, [2]]), (list[int], (1, 2), [1, 2]), (set[int], [1, 1], {1}),
    (dict[int, str], {"1": "a"}, {1: "a"}), (bytes, "eA==", b"x"), (Path, "a", Path("a")),
    (tuple[int, ...], [1], (1,)),
    (User, {"id": str(ID)}, User(id=ID)),
], ids=lambda one: str(one)[:40])
def test_json_forms_are_taken_in_place_of_typed_values(annotation: Any, value: Any, arrives: Any) -> None:
    def f(x): ...

    f.__annotations__ = {"x": annotation}
    signature = Signature(f, name="m.f")
    assert signature.decode(signature.encode((value,), {})) == ([arrives], {})


def test_objects_without_equality_are_taken() -> None:
    @attrs.define(eq=False)
    class Loose:
        a: int

    @dataclasses.dataclass(eq=False)
    class Looser:
        inner: Loose
        more: list[Loose]

    def f(x: Looser): ...

    signature = Signature(f, name="m.f")
    ((got,), _) = signature.decode(signature.encode((Looser(Loose(1), [Loose(2)]),), {}))
    assert (got.inner.a, got.more[0].a) == (1, 2)


def test_a_field_that_would_change_inside_an_object_is_found() -> None:
    @dataclasses.dataclass
    class Bag:
        content: Any

    def f(x: list[Bag]): ...

    with pytest.raises(ArgumentsError, match=r"x\[0\]\.content is .* \(date\), but would"):
        Signature(f, name="m.f").encode(([Bag(dt.date(2024, 1, 1))],), {})


def test_pydantic_is_not_imported_by_the_codec() -> None:
    import subprocess

    code = "import sys, dray.codec.signature; sys.exit('pydantic' in sys.modules or 'attr' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
