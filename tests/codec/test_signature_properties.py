"""For any value of a type: what is accepted arrives as it was given."""

import dataclasses
import datetime as dt
import json
import math
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dray.codec.signature import Signature
from dray.errors import ArgumentsError, NotEncodable

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20,
)


@dataclasses.dataclass
class Record:
    number: int
    ratio: float
    text: str | None
    blob: bytes
    when: dt.datetime
    span: dt.timedelta
    parts: list["Record"]
    by_id: dict[int, UUID]
    unique: frozenset[dt.date]
    amount: Decimal
    either: str | dt.time | int


def records(depth: int = 2) -> st.SearchStrategy[Record]:
    return st.builds(
        Record, number=st.integers(), ratio=st.floats(allow_nan=False, allow_infinity=False), text=st.none() | TEXT,
        blob=st.binary(),
        when=st.datetimes(timezones=st.none() | st.just(dt.UTC)), span=st.timedeltas(),
        parts=st.lists(records(depth - 1), max_size=2) if depth else st.just([]),
        by_id=st.dictionaries(st.integers(), st.uuids(), max_size=3), unique=st.frozensets(st.dates(), max_size=3),
        amount=st.decimals(allow_nan=False), either=st.just("text") | st.times() | st.integers(),
    )


def plain(x: Any): ...
def typed(x: Record, *more: Record, **named: Record): ...
def text(x: str): ...
def number(x: float): ...


PLAIN, TYPED, STR, FLOAT = (Signature(f, name="m.f") for f in (plain, typed, text, number))


@given(JSON)
def test_plain_json(value: Any) -> None:
    stored = PLAIN.encode((value,), {})
    assert json.loads(stored) == {"x": value}
    assert PLAIN.decode(stored) == ([value], {})
    result = PLAIN.encode_result(value)
    assert PLAIN.decode_result(result) == value


@given(st.lists(records(), min_size=1, max_size=2), st.dictionaries(TEXT, records(0), max_size=2))
def test_records(args: list[Record], kwargs: dict[str, Record]) -> None:
    kwargs.pop("x", None)
    assert TYPED.decode(TYPED.encode(tuple(args), kwargs)) == (args, kwargs)


@given(st.text())
def test_text_is_kept_or_refused(value: str) -> None:
    if any("\ud800" <= one <= "\udfff" for one in value):
        with pytest.raises(NotEncodable, match="lone surrogate"):
            STR.encode((value,), {})
    else:
        assert STR.decode(STR.encode((value,), {})) == ([value], {})


@given(st.floats())
def test_floats_are_kept_to_the_bit_or_refused(value: float) -> None:
    if math.isfinite(value):
        ((got,), _) = FLOAT.decode(FLOAT.encode((value,), {}))
        assert got.hex() == value.hex()
    else:
        with pytest.raises(NotEncodable, match="JSON has no such number"):
            FLOAT.encode((value,), {})


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes() | st.uuids()
    | st.decimals() | st.sampled_from([object(), int, print, ...]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.none(), inner)
    | st.tuples(inner, inner), max_leaves=10,
)


NAMED = st.dictionaries(st.sampled_from(["x", "y"]) | st.text(), ANYTHING, max_size=2)


@given(st.lists(ANYTHING, min_size=1, max_size=2), NAMED)
def test_whatever_is_given_is_taken_or_refused_with_one_sentence(args: list[Any], kwargs: dict[str, Any]) -> None:
    for signature in (PLAIN, TYPED, STR, FLOAT):
        refusal = ""
        try:
            signature.decode(signature.encode(tuple(args), kwargs))
        except (ArgumentsError, NotEncodable) as error:
            refusal = str(error)
        assert "\n" not in refusal
        assert not refusal or refusal.endswith(".")
