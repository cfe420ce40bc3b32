"""Figures: written, replaced, forgotten, and found again by name, by kind and by age."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from dray.store.values import Figure
from dray.testing.suite.scene import Scene, Themed

SECOND = 1_000_000
MINUTE = 60 * SECOND


def figure(
    at: int = 0, name: str = "q\tt", data: bytes = b"\x93", *, kind: str = "work", span: int = 60, source: str = ""
) -> Figure:
    """A row of the span with this number."""
    return Figure(kind, at * (span or 60) * SECOND, span, name, data, source)


def some_of(rows: list[Figure], limit: int, among: Iterable[Figure]) -> None:
    """`rows` are the oldest `limit` of those that there are, in order."""
    kept = list(among)
    ats = sorted(one.at for one in kept)[:limit]
    assert [one.at for one in rows] == ats
    assert len(set(rows)) == len(rows)
    assert set(rows) <= set(kept)


class Figures(Themed):
    """What workers measure."""

    def all(self, s: Scene) -> set[Figure]:
        """All rows of the spans that these tests use."""
        return {row for span in (0, 60, 600) for row in s.do(s.plans.old_figures, span, 1 << 50, 20_000)}

    def test_written_replaced_and_forgotten(self, s: Scene) -> None:
        a, b, c = figure(1), figure(2), figure(1, name="")
        for _ in range(2):  # written twice they are there once
            s.do(s.plans.put_figures, [a, b, c])
            assert self.all(s) == {a, b, c}
        others = [figure(1, kind="use"), figure(1, span=600), figure(1, span=0, source="7.1"), figure(1, span=0, source="7.2")]
        s.do(s.plans.put_figures, others)
        newer = figure(1, data=b"newer")
        s.do(s.plans.put_figures, [newer, newer], [b, figure(99)])  # the last was never there
        assert self.all(s) == {newer, c, *others}
        s.do(s.plans.put_figures, [a], [newer])  # the same key, forgotten and written
        assert self.all(s) == {a, c, *others}
        for _ in range(2):
            s.do(s.plans.put_figures, [], [a, c, others[2]])
            assert self.all(s) == {others[0], others[1], others[3]}
        s.do(s.plans.put_figures, [])
        assert self.all(s) == {others[0], others[1], others[3]}

    def test_one_forgotten_and_another_written_is_all_or_nothing(self, s: Scene) -> None:
        a = figure(1)
        s.do(s.plans.put_figures, [a])
        with pytest.raises(Exception):  # noqa: B017, PT011 — whatever the driver says of it
            s.do(s.plans.put_figures, [figure(2, data=None)], [a])  # type: ignore[arg-type]
        assert self.all(s) == {a}

    @pytest.mark.parametrize("seed", [1, 2])
    def test_found_as_in_a_model(self, s: Scene, seed: int) -> None:
        dice = random.Random(seed)
        names = ["", "q\tt", "q\ttt", "q", "Q\tz", "ä\t€"]
        kinds = ["work", "wor", "use"]
        kept = {
            (row.kind, row.span, row.name, row.at, row.source): row
            for row in (
                figure(
                    dice.randrange(12), dice.choice(names), bytes([n % 256]), kind=dice.choice(kinds),
                    span=dice.choice([0, 60, 600]), source=dice.choice(["", "1.a", "2.b"]),
                )
                for n in range(400)
            )
        }  # fmt: skip
        s.do(s.plans.put_figures, list(kept.values()))
        for _ in range(40):
            kind, span, name = dice.choice(kinds), dice.choice([0, 60, 600]), dice.choice([None, *names, "none such"])
            since, until = sorted(dice.choices(range(14), k=2))
            limit = dice.choice([1, 5, 20_000])
            low, high = (n * (span or 60) * SECOND + dice.choice([0, 0, 1, -7 * SECOND]) for n in (since, until))
            found = s.do(s.plans.figures, kind, span, low, high, name, limit)
            some_of(found, limit, (
                row for row in kept.values()
                if (row.kind, row.span) == (kind, span) and low <= row.at < high and name in (None, row.name)
            ))  # fmt: skip
        for _ in range(10):
            span, before, limit = dice.choice([0, 60, 600]), dice.randrange(100) * MINUTE, dice.choice([1, 7, 2000])
            old = s.do(s.plans.old_figures, span, before, limit)
            some_of(old, limit, (row for row in kept.values() if row.span == span and row.at < before))
            s.do(s.plans.put_figures, [], old[:5])
            for row in old[:5]:
                del kept[row.kind, row.span, row.name, row.at, row.source]
        assert self.all(s) == set(kept.values())

    def test_many_at_one_moment_and_at_many(self, s: Scene) -> None:
        at_one = [figure(5, f"q\t{n:04}", kind=kind) for n in range(700) for kind in ("use", "work")]
        at_many = [figure(n) for n in range(6, 1300)]
        s.do(s.plans.put_figures, at_one + at_many)
        work = [row for row in at_one if row.kind == "work"] + at_many
        some_of(s.do(s.plans.figures, "work", 60, 0, 9999 * MINUTE), 20_000, work)
        some_of(s.do(s.plans.figures, "work", 60, 0, 9999 * MINUTE, None, 650), 650, work)
        some_of(s.do(s.plans.figures, "work", 60, 0, 9999 * MINUTE, "q\tt"), 20_000, at_many)
        assert s.do(s.plans.figures, "work", 60, 5 * MINUTE, 5 * MINUTE + 1, "q\t0699") == [figure(5, "q\t0699")]
        old = s.do(s.plans.old_figures, 60, 9999 * MINUTE)
        some_of(old, 2000, at_one + at_many)
        s.do(s.plans.put_figures, [figure(0, span=600)], old)
        assert len(self.all(s)) == len(at_one + at_many) - 2000 + 1

    def test_strange_names(self, s: Scene) -> None:
        names = ["a\0b", "\ud800", "%s' \"\\ :name", "x" * 5000, "x" * 5001, "\U0001f400" * 600, "\x01", "\xff\uffff"]
        s.do(s.plans.put_figures, [figure(1, name, b"") for name in names] * 2)
        assert len(self.all(s)) == len(names)
        for name in names:
            (row,) = s.do(s.plans.figures, "work", 60, 0, 2 * MINUTE, name)
            assert (row.at, row.data) == (MINUTE, b"")
            s.do(s.plans.put_figures, [], [row])
        assert self.all(s) == set()
