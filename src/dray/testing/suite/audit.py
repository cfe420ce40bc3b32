"""Audit: who did what, newest first, and no more than is wanted. And how much room all of it takes."""

from __future__ import annotations

import msgspec
import pytest

from dray.store.plan import Plan
from dray.store.values import AuditEntry
from dray.testing.suite.scene import Scene, Themed


def entry(n: int) -> AuditEntry:
    """What somebody did to a job."""
    return AuditEntry(f"user {n}", "cli", "retry", str(n), "ready")


class Audit(Themed):
    """Written, read and pruned."""

    def write(self, s: Scene, first: int, last: int) -> None:
        """Some entries at once."""

        def verb() -> Plan[None]:
            for n in range(first, last):
                yield from s.plans.write_audit(entry(n))

        s.do(verb)

    def test_newest_first_and_in_pages(self, s: Scene) -> None:
        assert s.do(s.plans.audits) == []
        times = []
        for n in range(5):
            s.clock.advance(1)
            s.do(s.plans.write_audit, msgspec.structs.replace(entry(n), number=77, at=77))  # which is the store's to say
            times.append(s.clock.wall())
        found = s.do(s.plans.audits)
        numbers = [one.number for one in found]
        assert found == [
            msgspec.structs.replace(entry(n), number=number, at=times[n])
            for n, number in zip((4, 3, 2, 1, 0), numbers, strict=True)
        ]
        assert numbers == sorted(numbers, reverse=True)
        assert len(set(numbers)) == 5
        first = s.do(s.plans.audits, None, 2)
        second = s.do(s.plans.audits, first[-1].number, 2)
        third = s.do(s.plans.audits, second[-1].number, 2)
        assert first + second + third == found
        assert s.do(s.plans.audits, third[-1].number) == []

    def test_strange_words(self, s: Scene) -> None:
        words = ("a\0b", "\ud800", "", "<script>'\"%s :x \\", "ä€" * 5000)
        s.do(s.plans.write_audit, AuditEntry(*words))
        (found,) = s.do(s.plans.audits)
        assert (found.by, found.via, found.action, found.target, found.detail) == ("a\\x00b", "\\ud800", *words[2:])

    def test_pruned_by_number_and_by_age(self, s: Scene) -> None:
        self.write(s, 0, 4)
        s.clock.advance(100)
        self.write(s, 4, 8)
        assert s.do(s.plans.prune_audit, 10, 100.0) == 0
        assert s.do(s.plans.prune_audit, 6, 200.0) == 2
        assert [one.target for one in s.do(s.plans.audits)] == ["7", "6", "5", "4", "3", "2"]
        for left in (2, 0):
            assert s.do(s.plans.prune_audit, 10, 50.0) == left
        last = s.do(s.plans.audits)[0].number
        assert s.do(s.plans.prune_audit, 0, 1e9) == 4
        assert s.do(s.plans.prune_audit, 0, 1e9) == 0
        self.write(s, 8, 9)
        (one,) = s.do(s.plans.audits)
        assert one.number > last, "a number is not given twice"

    def test_a_thousand_are_pruned_at_once(self, s: Scene) -> None:
        self.write(s, 0, 1130)
        assert len(s.do(s.plans.audits, None, 1120)) == 1120
        assert [s.do(s.plans.prune_audit, 30, 1e9) for _ in range(3)] == [1000, 100, 0]
        assert [one.target for one in s.do(s.plans.audits, None, 2000)] == [str(n) for n in range(1129, 1099, -1)]

    def test_space(self, s: Scene) -> None:
        s.add(20)
        s.enter()
        self.write(s, 0, 3)
        found = {one.name: one for one in s.do(s.plans.space)}
        assert len(found) > 3
        (audit,) = (one for name, one in found.items() if name.endswith("audit"))
        assert audit.rows in (3, None)  # an engine that estimates may not have looked yet
        assert all(one.size is None or one.size >= 0 for one in found.values())
        assert (audit.size or 1) > 0
        assert s.do(s.plans.space)[0].size == pytest.approx(max(one.size or 0 for name, one in found.items() if name[0] != "("))
