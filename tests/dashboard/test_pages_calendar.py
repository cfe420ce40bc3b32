"""When schedules fire, as the dashboard tells it: the marks of the clocks, the week by the hour; and other pure parts of pages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dray.dashboard.pages import calendar
from dray.dashboard.pages.audit import find
from dray.dashboard.pages.narrow import narrow
from dray.dashboard.pages.queues import drains_in, rows
from dray.dashboard.pages.system import file_of
from dray.dashboard.pages.workers import groups
from dray.errors import ConfigurationError
from dray.insight.flows import Flow, inflow
from dray.model.figures import Depth
from dray.store.values import AuditEntry, NodeInfo, QueueInfo, ScheduleRow

SECOND = 1_000_000


def row(spec: str, tz: str = "UTC", name: str = "x", paused: int | None = None) -> ScheduleRow:
    return ScheduleRow(name, "t", "default", 0, 0, 1, spec, tz, b"{}", None, None, "one", 86_400.0, "skip", "code", paused)


def at(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp()) * SECOND  # type: ignore[misc,arg-type]


def marks(spec: str, tz: str, since: int, count: int = 4) -> list[tuple[str, str]]:
    return [(tick.wall.partition(", ")[2], tick.mark) for tick in calendar.upcoming(row(spec, tz), count, since)]


# -- the clocks


def test_a_time_in_the_gap_is_marked_and_fires_at_its_end() -> None:
    found = marks("30 2 * * *", "Europe/Berlin", at(2026, 3, 27, 12))
    assert found == [("02:30", ""), ("03:00", "gap"), ("02:30", ""), ("02:30", "")]


def test_a_time_that_comes_twice_is_marked() -> None:
    found = marks("30 2 * * *", "Europe/Berlin", at(2026, 10, 24, 12), 2)
    assert found == [("02:30", "overlap"), ("02:30", "back")]


def test_both_passes_of_an_hour_are_told_apart() -> None:
    ticks = calendar.upcoming(row("*/30 * * * *", "Europe/Berlin"), 5, at(2026, 10, 24, 23, 50))
    assert [tick.zone for tick in ticks] == ["CEST", "CEST", "CET", "CET", "CET"]
    assert [tick.mark for tick in ticks] == ["overlap"] * 4 + [""]
    assert "first" in ticks[1].told
    assert "second" in ticks[2].told


def test_a_time_at_the_end_of_the_gap_is_itself() -> None:
    found = marks("0 3 * * *", "Europe/Berlin", at(2026, 3, 28, 12), 2)
    assert found == [("03:00", "forward"), ("03:00", "")]


def test_utc_and_intervals_have_no_marks() -> None:
    assert {mark for _, mark in marks("every 6h", "UTC", at(2026, 3, 28), 20)} == {""}


# -- the week


def cells(week: calendar.Week, day: int) -> list[int | None]:
    return [None if cell.missing else cell.n for cell in week.days[day].cells]


def test_the_week_counts_times_by_the_hour() -> None:
    now = at(2026, 6, 1, 7, 30)
    week = calendar.week([row("0 9,17 * * *"), row("*/20 9 * * *", name="y")], "UTC", now)
    assert len(week.days) == 7
    assert cells(week, 1) == [0] * 9 + [4] + [0] * 7 + [1] + [0] * 6
    assert week.days[0].cells[6].past
    assert not week.days[0].cells[7].past
    assert week.most == 4
    assert week.days[1].cells[9].level == 4
    assert week.days[1].cells[9].names == ["x", "y ×3"]


def test_many_times_in_an_hour_are_estimated() -> None:
    week = calendar.week([row("* * * * *")], "UTC", at(2026, 6, 1, 0, 0))
    assert cells(week, 3) == [60] * 24


def test_the_hour_that_the_clocks_skip_is_missing_and_the_one_they_repeat_counts_twice() -> None:
    spring = calendar.week([row("0 * * * *", "Europe/Berlin")], "Europe/Berlin", at(2026, 3, 28, 12))
    assert cells(spring, 1)[2] is None
    assert sum(n or 0 for n in cells(spring, 1)) == 23
    autumn = calendar.week([row("0 * * * *", "Europe/Berlin")], "Europe/Berlin", at(2026, 10, 24, 12))
    assert cells(autumn, 1)[2] == 2
    assert sum(n or 0 for n in cells(autumn, 1)) == 25


def test_half_hour_zones_begin_their_days_at_midnight() -> None:
    week = calendar.week([row("0 9 * * *", "Asia/Kolkata")], "Asia/Kolkata", at(2026, 6, 1, 7))
    assert [n for n, one in enumerate(cells(week, 2)) if one] == [9]


def test_what_is_paused_is_left_out_and_want_of_time_is_told() -> None:
    assert calendar.week([row("0 5 * * *", paused=1)], "UTC", at(2026, 6, 1)).most == 0
    late = calendar.week([row("7 7 7 7 *", name=str(n)) for n in range(3)], "UTC", at(2026, 6, 1), patience=-1.0)
    assert late.left == 3


def test_levels_grow_with_numbers() -> None:
    found = [calendar.level(n, 100) for n in (0, 1, 25, 99, 100)]
    assert found == [0, 1, 2, 3, 4]


# -- queues, workers, audit, system


def test_a_queue_that_does_not_shrink_has_no_end() -> None:
    assert drains_in(0, Flow(0, 0, [], [], 5.0, 9.0)) == 0.0
    assert drains_in(10, Flow(0, 0, [], [], 5.0, 9.0)) is None
    assert drains_in(10, Flow(0, 0, [], [], 5.0, None)) == 120.0


def test_inflow_is_what_went_out_and_what_was_added() -> None:
    now = at(2026, 6, 1, 12)
    measured = [(now - 300 * SECOND, Depth(ready=10)), (now, Depth(ready=30, scheduled=5))]
    assert inflow(2.0, measured, now) == pytest.approx(7.0)
    assert inflow(2.0, measured[:1], now) is None
    assert inflow(0.0, [(now - 60 * SECOND, Depth(ready=9)), (now, Depth())], now) == 0.0  # jobs were deleted


def node(id: int, name: str, supervisor: int | None, *, alive: bool = True, claimed: int | None = None) -> NodeInfo:
    about = {"queues": None, "tasks": ["t"], "slots": {"async": 4, "thread": 0}, "supervisor": supervisor, "target": "jobs:app"}
    return NodeInfo(id, name, "host", 10 + id, alive, 0, 0, claimed, stopping=False, running=1, info=about)


def test_workers_stand_together_by_supervisor() -> None:
    found = groups([node(1, "b", 7), node(2, "a", 7), node(3, "c", None), node(4, "d", None, alive=False)], [], {}, 0)
    assert [[one.node.name for one in group.workers] for group in found] == [["a", "b"], ["c"], ["d"]]
    assert [group.supervisor for group in found] == [7, None, None]
    assert found[0].workers[0].busy == 0.25


def test_a_worker_with_room_that_does_not_look_is_deaf() -> None:
    now = at(2026, 6, 1)
    [[quick], [slow]] = [group.workers for group in groups(
        [node(1, "a", None, claimed=now - SECOND), node(2, "b", None, claimed=now - 120 * SECOND)], [], {}, now
    )]  # fmt: skip
    assert (quick.state, slow.state) == ("alive", "deaf")


def test_slots_are_those_of_workers_that_look_into_the_queue() -> None:
    other = node(2, "b", None)
    picky = NodeInfo(*[{**other.info, "queues": ["mail"]} if name == "info" else getattr(other, name)
                       for name in NodeInfo.__struct_fields__])  # fmt: skip
    queues = [QueueInfo("mail", {"ready": 1, "running": 2}, None, None, 0), QueueInfo("bulk", {"ready": 9}, 5, "ann", 0)]
    found = rows(queues, {}, [node(1, "a", None), picky], 3 * SECOND)
    assert [(one.name, one.slots, one.waited) for one in found] == [("bulk", 4, 3.0), ("mail", 8, 3.0)]
    assert found[0].drained is None  # it is paused
    assert found[1].busy == 0.25
    assert found[1].search("failed") == "state:failed queue:mail"


def test_the_audit_is_searched_in_pages_and_goes_on_where_it_stopped() -> None:
    entries = [AuditEntry("ann" if n % 10 == 0 else "bob", "cli", "retry", "x", number=n) for n in range(100, 0, -1)]

    def audits(before: int | None, limit: int) -> list[AuditEntry]:
        return [one for one in entries if before is None or one.number < before][:limit]

    first = find(audits, None, "ANN", "", size=4)
    assert [one.number for one in first.entries] == [100, 90, 80, 70]
    assert first.next == 70
    rest = find(audits, first.next, "ann", "", size=20)
    assert ([one.number for one in rest.entries], rest.next) == ([60, 50, 40, 30, 20, 10], None)
    stopped = find(audits, None, "nobody", "", size=10, looks=3)
    assert (stopped.entries, stopped.next, stopped.looked) == ([], 71, 30)
    assert find(audits, None, "", "pause", size=200).next is None


def test_a_long_table_is_cut_and_searched_by_name() -> None:
    names = [f"mail-{n}" for n in range(300)] + ["Bulk"]
    cut = narrow(names, "", str, most=100)
    assert (len(cut.rows), cut.left, cut.found, cut.total, cut.searchable) == (100, 201, 301, 301, True)
    assert narrow(names, " bULK ", str).rows == ["Bulk"]
    assert not narrow(names[:5], "", str).searchable


def test_a_schedule_that_this_version_cannot_read_is_told_from_others() -> None:
    assert calendar.readable(row("0 7 * * mon", "Europe/Berlin"))
    assert not calendar.readable(row("every full moon"))
    assert not calendar.readable(row("0 7 * * mon", "Mars/Olympus"))


def test_the_doctor_needs_a_file_or_a_server() -> None:
    assert str(file_of("sqlite:////srv/jobs.db?synchronous=normal")) == "/srv/jobs.db"
    assert file_of("postgresql://db/jobs") is None
    with pytest.raises(ConfigurationError, match="in memory"):
        file_of("sqlite://")
