"""Texts, charts and columns for the room that there is."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from dray.top.table import GAP, Column, Row, widths
from dray.top.words import chart, fitted, line, part, plain, rate, spark, took


@pytest.mark.parametrize("text", ["", "short", "much too long for it", "漢字漢字漢字漢字", "a漢b字c漢d字e"])
@pytest.mark.parametrize("width", [0, 1, 5, 12])
def test_a_text_has_exactly_the_cells_it_is_given(text, width) -> None:
    assert cell_len(fitted(text, width)) == cell_len(fitted(text, width, right=True)) == width


def test_what_would_command_the_terminal_is_taken_out() -> None:
    assert plain("a\x1b[2J\x9b\u202eb\r\nc\td") == "a�[2J��b\nc   d"
    assert line("one\n two\x07") == "one two�"
    assert plain("x" * 30, 10) == f"{'x' * 10}… (20 more characters)"


def test_charts() -> None:
    assert spark([0, 1, 4, 8], 4) == " ▁▄█"
    assert spark([0, 0, 9, 0], 2) == " █"  # no peak is lost
    assert spark([8, 0], 4) == "██  "
    assert spark([], 3) == "   "
    assert spark([1, 1_000_000], 2) == "▁█"  # what is not nothing is seen
    assert chart([0, 4, 8], 3, 2) == ["  █", " ██"]


def test_numbers() -> None:
    assert [rate(n) for n in (0, 0.01, 0.5, 3.24, 1234.5)] == ["0/s", "<1/min", "30/min", "3.2/s", "1,234/s"]
    assert [took(n) for n in (None, 0.00085, 0.0123, 1.254, 42.04, 250)] == ["–", "850µs", "12ms", "1.25s", "42.0s", "4m"]
    assert [part(n) for n in (0, 0.0001, 0.021, 0.5, 0.9999, 1)] == ["0 %", "<0.1 %", "2.1 %", "50 %", ">99.9 %", "100 %"]


def test_columns_give_way() -> None:
    columns = (Column("id"), Column("task", wide=True), Column("extra", above=60), Column("note", wide=True))
    rows = [Row("1", ("12345678", "a.long.name.of.a.task", "more", "and a remark about it"))]
    for room in range(8, 120):
        sizes = widths(columns, rows, room)
        shown = [size for size in sizes if size]
        assert sum(shown) + GAP * (len(shown) - 1) == room
        assert bool(sizes[2]) == (room >= 60)
    assert widths(columns, rows, 30)[0] == 8  # numbers are not cut for texts
