"""Asks: what operators ask of worker processes, and what those answer."""

from __future__ import annotations

import pytest

from dray.store.values import Ask
from dray.testing.suite.scene import Scene, Themed


class Asks(Themed):
    """From the ask to the answer, and their end with the node."""

    def test_asked_and_answered(self, s: Scene) -> None:
        node, other = s.enter("a"), s.enter("b")
        assert s.do(s.plans.asked, node) == []
        assert s.do(s.plans.answered, node) is None
        for what in ("dump", "stop", "dump"):
            assert s.do(s.plans.ask, node, what) is True
        assert s.do(s.plans.ask, other, "dump") is True
        first, second, third = s.do(s.plans.asked, node)
        assert [ask.what for ask in (first, second, third)] == ["dump", "stop", "dump"]
        assert first.number < second.number < third.number
        s.clock.advance(5)
        s.do(s.plans.extend, {node: 0.0, other: 0.0})
        s.do(s.plans.answer, node, second.number, "stops")
        assert s.do(s.plans.asked, node) == [first, third]
        assert s.do(s.plans.answered, node) == (s.clock.wall(), "stops")
        s.clock.advance(5)
        for _ in range(2):  # sent twice it is answered once
            s.do(s.plans.answer, node, first.number, "threads")
            assert s.do(s.plans.answered, node) == (s.clock.wall(), "threads")
            assert s.do(s.plans.asked, node) == [third]
        s.do(s.plans.answer, node, third.number, "")
        assert s.do(s.plans.asked, node) == []
        assert s.do(s.plans.answered, node) == (s.clock.wall(), "")
        assert len(s.do(s.plans.asked, other)) == 1
        assert s.do(s.plans.answered, other) is None
        s.do(s.plans.ask, node, "dump")
        (fourth,) = s.do(s.plans.asked, node)
        assert fourth.number > third.number, "a number is not given twice"
        assert {found.id: found.name for found in s.do(s.plans.nodes)} == {node: "a", other: "b"}

    def test_who_is_unknown(self, s: Scene) -> None:
        node = s.enter()
        assert s.do(s.plans.ask, node + 1, "dump") is False
        s.do(s.plans.answer, node + 1, 1, "here")
        assert s.do(s.plans.asked, node + 1) == []
        assert s.do(s.plans.answered, node + 1) is None
        later = s.enter()
        assert s.do(s.plans.asked, later) == []
        assert s.do(s.plans.answered, later) is None

    def test_of_many_open_ones_the_newest_are_kept(self, s: Scene) -> None:
        node = s.enter()
        for n in range(20):
            s.do(s.plans.ask, node, str(n))
        asks: list[Ask] = s.do(s.plans.asked, node)
        assert [ask.what for ask in asks] == [str(n) for n in range(4, 20)]

    @pytest.mark.parametrize("way", ["leave", "bury", "rescue"])
    def test_all_of_it_goes_with_the_node(self, s: Scene, way: str) -> None:
        node = s.enter()
        s.do(s.plans.ask, node, "dump")
        s.do(s.plans.answer, node, 1, "here")
        s.do(s.plans.ask, node, "stop")
        if way == "leave":
            s.do(s.plans.leave, node)
        elif way == "bury":
            s.do(s.plans.bury, node, "killed", None)
        else:
            s.clock.advance(16)
            assert s.do(s.plans.ask, node, "dump") is True  # nobody has acted on its death: it may come back
            s.do(s.plans.rescue)
        assert s.do(s.plans.asked, node) == []
        assert s.do(s.plans.answered, node) is None
        assert s.do(s.plans.ask, node, "dump") is False

    def test_strange_and_long_words(self, s: Scene) -> None:
        node = s.enter()
        s.do(s.plans.ask, node, "a\0b\ud800\"'")
        (ask,) = s.do(s.plans.asked, node)
        assert ask.what == "a\\x00b\\ud800\"'"
        text = "File \"ä€\0\ud800.py\", line 1\n" + "x" * 200_000
        s.do(s.plans.answer, node, ask.number, text)
        for _ in range(3):  # renewals leave it as it is
            s.do(s.plans.extend, {node: 0.0})
        found = s.do(s.plans.answered, node)
        assert found is not None
        assert found[1] == text.replace("\0", "\\x00").replace("\ud800", "\\ud800")
