"""The form that is made from a task's signature: its fields, and what comes of what is typed."""

from __future__ import annotations

import enum
import sqlite3
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, NewType
from uuid import UUID

import pytest

from dray import Dray
from dray.dashboard.api.arguments import decoded
from dray.dashboard.pages.form import Field, fields, read
from dray.dashboard.pages.tasks import read_options
from dray.task import Task

Cents = NewType("Cents", int)


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


@dataclass
class Address:
    street: str
    city: str = "Berlin"


app = Dray("sqlite://")


@app.task(name="form.all")
def everything(
    name: str, n: int, ratio: float, price: Decimal, cents: Cents, at: datetime, day: date, length: timedelta, id: UUID,
    word: Literal["a", 2], size: Size, to: Address, free: Any, loose, on: bool = True, note: str | None = None,  # type: ignore[no-untyped-def]
    maybe: bool | None = None, token: str = "hunter2", *rest: int, **more: float,
) -> None: ...  # fmt: skip


GOOD = {
    "name": "Ann", "n": "3", "ratio": "2.5", "price": "1.10", "cents": "7", "at": "2026-01-02T03:04", "day": "2026-01-02",
    "length": "PT5M", "id": "12345678-1234-5678-1234-567812345678", "word": "2", "size": '"l"',
    "to": '{"street": "High"}', "free": "[1, null]",
    "loose": '"x"', "on": "", "rest": "", "more": "",
}  # fmt: skip


def asked(task: Task[..., Any] = everything) -> dict[str, Field]:
    return {field.name: field for field in fields(task, lambda name: name == "token")}


def answered(**typed: str) -> tuple[dict[str, Any], dict[str, str]]:
    given, back = read(list(asked().values()), lambda name: {**GOOD, **typed}.get(name, ""))
    return given, {field.name: field.error for field in back if field.error}


def test_the_kind_of_a_field_comes_from_its_annotation() -> None:
    kinds = {name: field.kind for name, field in asked().items()}
    assert kinds == {
        "name": "text", "n": "number", "ratio": "number", "price": "number", "cents": "number", "at": "datetime-local",
        "day": "date", "length": "text", "id": "text", "word": "select", "size": "select", "to": "json", "free": "json",
        "loose": "json", "on": "checkbox", "note": "text", "maybe": "select", "token": "password", "rest": "json", "more": "json",
    }  # fmt: skip


def test_choices_steps_and_defaults() -> None:
    found = asked()
    assert list(found["word"].choices) == [('"a"', "a"), ("2", "2")]
    assert list(found["size"].choices) == [('"s"', "SMALL"), ('"l"', "LARGE")]
    assert (found["n"].step, found["ratio"].step) == ("1", "any")
    assert found["on"].value == "true"
    assert found["note"].default == "None"
    assert found["name"].required
    assert not found["rest"].required


def test_a_hidden_default_is_not_shown() -> None:
    assert "hunter2" not in repr(asked()["token"])


def test_what_is_typed_becomes_arguments_that_the_task_takes() -> None:
    given, errors = answered(token="s3cret", rest="[1, 2]", more='{"x": 1.5}')
    assert errors == {}
    assert given == {
        "name": "Ann", "n": 3, "ratio": 2.5, "price": "1.10", "cents": 7, "at": "2026-01-02T03:04:00Z", "day": "2026-01-02",
        "length": "PT5M", "id": "12345678-1234-5678-1234-567812345678", "word": 2, "size": "l", "to": {"street": "High"},
        "free": [1, None], "loose": "x", "on": False, "token": "s3cret", "rest": [1, 2], "more": {"x": 1.5},
    }  # fmt: skip
    args, kwargs = decoded(everything, given | {"note": None, "maybe": None})
    assert args[3] == Decimal("1.10")
    assert args[10] is Size.LARGE
    assert args[11] == Address("High")
    assert kwargs == {"x": 1.5}


def test_what_is_left_empty_is_the_functions_own_default() -> None:
    given, errors = answered()
    assert errors == {}
    assert not {"note", "maybe", "token", "rest", "more"} & set(given)


@pytest.mark.parametrize(
    ("name", "typed", "told"),
    [
        ("n", "", "needed"), ("n", "1.5", "whole number"), ("ratio", "x", "no number"), ("price", "much", "price must be"),
        ("at", "yesterday", "at must be datetime, got 'yesterday'."), ("id", "12", "id "),
        ("word", '"c"', "word "), ("to", '{"street": 1}', "to.street must be str"),
        ("to", "{street", "no JSON"), ("rest", '["a"]', "rest"), ("more", "[1]", "more"), ("day", "2026-13-01", "day "),
    ],
)  # fmt: skip
def test_an_error_stands_beside_its_field_and_nowhere_else(name: str, typed: str, told: str) -> None:
    _, errors = answered(**{name: typed})
    assert list(errors) == [name]
    assert told in errors[name]


def test_a_secret_is_neither_given_back_nor_told() -> None:
    @app.task(name="form.secret")
    def secret(token: int) -> None: ...

    _, [back] = read(fields(secret, lambda name: True), lambda name: '"hunter2"')
    assert back.value == ""
    assert back.error
    assert "hunter2" not in back.error


def test_an_empty_text_is_a_text() -> None:
    given, errors = answered(name="")
    assert (given["name"], errors) == ("", {})


def test_what_none_means_without_a_default() -> None:
    @app.task(name="form.nullable")
    def nullable(n: int | None, word: Literal["a"] | None) -> None: ...

    given, back = read(fields(nullable), lambda name: "")
    assert given == {"n": None, "word": None}
    assert not any(field.error for field in back)


def test_injected_parameters_are_not_asked_for() -> None:
    @app.task(name="form.injected", transactional=True)
    def injected(n: int, connection: sqlite3.Connection) -> None: ...

    assert list(asked(injected)) == ["n"]


def test_options_are_checked_one_by_one() -> None:
    given, wrong = read_options({"queue": "mail", "priority": "500", "delay": "soon"})
    assert given == {"queue": "mail"}
    assert "-100 to 100" in wrong["priority"]
    assert "delay" in wrong["delay"]
    assert read_options({"queue": "", "priority": "x", "delay": ""}) == ({}, {"priority": "'x' is no whole number."})
