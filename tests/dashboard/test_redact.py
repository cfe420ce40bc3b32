"""What is hidden, in data and in text, and that hiding takes time in proportion to the text."""

from __future__ import annotations

import time

import pytest

from dray.dashboard.redact import MARK, Redactor

ALL = Redactor()


def test_names_are_hidden_at_any_depth_and_in_any_case() -> None:
    data = {"user": {"Password": "a", "auth_token_2": "b", "name": "Ann"}, "items": [{"api_key": "c"}, 5]}
    assert ALL.value(data) == {
        "user": {"Password": MARK, "auth_token_2": MARK, "name": "Ann"}, "items": [{"api_key": MARK}, 5],
    }  # fmt: skip
    assert data["user"]["Password"] == "a", "the original is left alone"  # type: ignore[index, call-overload]


def test_paths_are_hidden_wherever_they_begin() -> None:
    some = Redactor(["card.number", "users.*.email", "rows.0"])
    assert some.value({"order": {"card": {"number": 1, "owner": 2}}, "number": 3}) == {
        "order": {"card": {"number": MARK, "owner": 2}}, "number": 3,
    }  # fmt: skip
    assert some.value({"users": [{"email": "x", "id": 1}], "rows": [1, 2]}) == {
        "users": [{"email": MARK, "id": 1}], "rows": [MARK, 2],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password=hunter2", f"password={MARK}"), ("declined: password=hunter2, then", f"declined: password={MARK}, then"),
        ('{"token": "abc def", "n": 1}', f'{{"token": "{MARK}", "n": 1}}'), ("PASSWORD: 'x y'", f"PASSWORD: '{MARK}'"),
        ("Authorization: Bearer abc.def", f"Authorization: Bearer {MARK}"), ("card.number=4111", f"card.number={MARK}"),
        ('secret="cut before it ends', f'secret="{MARK}"'), ("user=ann at 12:30:05", "user=ann at 12:30:05"),
        ("nothing here", "nothing here"), ("https://a:b@c", "https://a:b@c"),
    ],
)  # fmt: skip
def test_in_text_what_stands_after_a_name_is_hidden(text: str, shown: str) -> None:
    assert ALL.text(text) == shown


@pytest.mark.parametrize("piece", ["x", "a:", 'a:"', "token:'", "token=", "...", '\\"', "password "])
def test_long_text_takes_time_in_proportion(piece: str) -> None:
    text = piece * (400_000 // len(piece)) + "="
    began = time.process_time()
    ALL.text(text)
    assert time.process_time() - began < 4, "quadratic: it would be minutes"


def test_what_was_left_hidden_stays_what_it_was() -> None:
    kept = {"user": "ann", "token": "abc", "list": [{"password": "x", "n": 1}], "note": "password=q and more"}
    shown = ALL.value(kept)
    assert ALL.restored(shown, kept) == kept
    shown["user"], shown["token"], shown["new"] = "bob", "changed", MARK
    assert ALL.restored(shown, kept) == {**kept, "user": "bob", "token": "changed", "new": MARK}


def test_cut_texts_give_nothing_away() -> None:
    assert ALL.value({"note": "token=abcdef"}, longest=9) == {"note": f"token={MARK}"}
