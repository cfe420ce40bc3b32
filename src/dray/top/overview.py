"""The first tab of `dray top`: how things are and how they went in the last hour, made for the room that there is."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text

from dray.insight.figures import Point, Series
from dray.insight.place import Overview
from dray.model.clock import SECOND
from dray.model.figures import Depth
from dray.top.look import HOURS, OVERVIEW, View
from dray.top.words import LEVELS, STATES, chart, fitted, line, part, rate, spark, took
from dray.wording import ago, short, size

LABEL = 11
MOST_HIGH = 14  # lines of the chart
LIST = 5  # entries of the lists below; more on high screens


def overview_text(view: View, width: int, height: int) -> Text:
    """All of it, in at most `height` lines of at most `width` cells."""
    now = view.overview
    top = [_health(now, width), *_also(now, width, 1 if height < 24 else 3), *_states(now, width), Text()]
    series = view.series
    figures = [] if series is None else [*_figures(series, view, width), Text()]
    lists = _lists(view, width, LIST if height < 36 else 2 * LIST)
    if series is not None:
        room = height - len(top) - len(figures) - 2
        high = max(3, min(MOST_HIGH, room - len(lists)))
        figures = [_rates(series, now), *(_chart(series, now, width, high) if room >= 3 else ()), *figures]
    lines = [*top, *figures, *lists][:height]
    for one in lines:
        one.truncate(width, overflow="ellipsis")
    return Text("\n").join(lines)


def _health(now: Overview, width: int) -> Text:
    mark, style = LEVELS[now.health.level]
    return Text(fitted(f"{mark} {line(now.health.text)}", width), style=f"bold {style}" if "bold" not in style else style)


def _also(now: Overview, width: int, most: int) -> list[Text]:
    told = [Text(fitted(f"  {line(text)}", width)) for text in now.health.also[:most]]
    left = len(now.health.also) - most
    if left > 0 and told:
        told[-1] = Text(fitted(f"  {line(now.health.also[most - 1], width - 14)} (+{left} more)", width))
    return told


def _states(now: Overview, width: int) -> list[Text]:
    """How many jobs are in each state; where there is less room, without what there is none of, in the end on two lines."""
    told = [(state, now.total(state)) for state in STATES]
    some = [one for one in told if one[1]] or told[:3]
    for shown, gap in ((told, "   "), (some, "   "), (some, "  ")):
        if (text := _counts(shown, gap)).cell_len <= width:
            return [text]
    half = (len(some) + 1) // 2
    return [_counts(some[:half], "   "), _counts(some[half:], "   ")]


def _counts(shown: list[tuple[str, int]], gap: str) -> Text:
    return Text(gap).join(
        Text.assemble((f"{STATES[state][0]} {n:,}", STATES[state][1] if n else "dim"), (f" {state}", "" if n else "dim"))
        for state, n in shown
    )


def _rates(series: Series, now: Overview) -> Text:
    total, failed = series.total.finished, series.total.failed
    told = f"{rate(speed(series, now.now))} now · {rate(series.per_second)} in the hour · {total:,} done"
    told += f" · {part(failed / total)} failed" if total else ""
    return Text.assemble(("Throughput".ljust(LABEL), "bold"), told)


def _chart(series: Series, now: Overview, width: int, high: int) -> list[Text]:
    """Jobs that came to their end, by minute."""
    values = [float(point.finished) for point in series.points]
    if values:
        values[-1] = speed(series, now.now) * series.step  # its minute is not over: as it is, it would look like an end of the work
    scale = f"{max(values, default=0):,.0f}/min"
    room = max(10, width - len(scale) - 2)
    lines = [Text(text, style="green") for text in chart(values, room, high)]
    for place, text in enumerate(lines):
        mark = scale if place == 0 else "0" if place == high - 1 else ""
        text.append(f" {'┐' if place == 0 else '┘' if place == high - 1 else '│'}{mark}", style="dim")
    whole = HOURS[OVERVIEW] * 3600
    begin, middle = f"{short(whole)} ago", f"{short(whole / 2)} ago"
    axis = begin.ljust(room // 2 - len(middle) // 2) + middle
    return [*lines, Text(axis.ljust(room - 3) + "now", style="dim")]


def speed(series: Series, now: int) -> float:
    """Jobs that came to their end per second, over the last minute: the one that is not over, and so much of the one before."""
    if not series.points:
        return 0.0
    size = series.step * SECOND
    share = min(1.0, max(0.0, (now - series.points[-1].at) / size))
    before = series.points[-2].finished if len(series.points) > 1 else 0
    return (series.points[-1].finished + (1 - share) * before) / series.step


def _figures(series: Series, view: View, width: int) -> list[Text]:
    """Failures, times and depth: a number now, and a small line of the hour."""
    now, points = view.overview, series.points
    small = max(10, min(60, width - LABEL - 48))
    oldest = now.oldest_ready

    def row(label: str, told: str, values: list[float], style: str) -> Text:
        room = width - LABEL - small - 1
        return Text.assemble((label.ljust(LABEL), "bold"), fitted(told, room), " ", (spark(values, small), style))

    def of(pick: Callable[[Point], float | None]) -> list[float]:
        return [pick(point) or 0.0 for point in points]

    depth = f"{now.total('ready'):,} ready" + (f", the oldest for {short(oldest)}" if oldest is not None else "")
    waits, runs = series.wait, series.run
    bad = series.total
    return [
        row("Failed", f"{bad.failed:,} failed · {bad.retried:,} tried again · {bad.lost:,} lost",
            of(lambda point: float(point.work.failed + point.work.retried + point.work.lost)), "red"),
        row("Ready", depth, of(lambda point: float((point.depth or Depth()).ready)), "cyan"),
        row("Wait", f"p50 {took(waits.p50)} · p95 {took(waits.p95)}", of(lambda point: point.wait.p95), "blue"),
        row("Run", f"p50 {took(runs.p50)} · p95 {took(runs.p95)}", of(lambda point: point.run.p95), "yellow"),
        _workers(view, width),
    ]  # fmt: skip


def _workers(view: View, width: int) -> Text:
    now = view.overview
    alive = [node for node in now.workers if node.alive]
    told = f"{len(alive)} alive · {sum(node.running for node in alive)} of {now.slots} slots busy"
    if used := [view.use[node.id] for node in alive if node.id in view.use]:
        told += f" · {sum(one.cpu for one in used):.1f} cores · {size(sum(one.memory for one in used))}"
    if gone := len(now.workers) - len(alive):
        told += f" · {gone} gone"
    return Text.assemble(("Workers".ljust(LABEL), "bold"), fitted(told, width - LABEL))


def _lists(view: View, width: int, most: int) -> list[Text]:
    """The busiest queues, what fails, and what comes next, beside each other or one under the other."""
    now = view.overview
    busy = sorted(now.queues, key=lambda one: (-one.counts.get("ready", 0) - one.counts.get("running", 0), one.name))
    failing = sorted((task for task in view.tasks if task.failing), key=lambda one: (-one.failing * one.work.finished, one.name))
    coming = sorted((row for row in now.schedules if row.paused is None), key=lambda one: one.next)
    parts = [
        ("Busiest queues", [
            f"{line(one.name)}\t{one.counts.get('ready', 0):,} ready, {one.counts.get('running', 0):,} running"
            f"{' ‖ paused' if one.paused else ''}" for one in busy[:most]
        ]),
        ("Failing tasks", [f"{line(one.name)}\t✗ {part(one.failing)}" for one in failing[:most]] or ["none\t"]),
        ("Next by the clock", [f"{line(row.name)}\t{ago(row.next, now.now)}" for row in coming[:most]] or ["nothing\t"]),
    ]  # fmt: skip
    columns = 3 if width >= 110 else 2 if width >= 72 else 1
    each = (width - 3 * (columns - 1)) // columns
    blocks = [
        [Text(fitted(title, each), style="bold"), *(_entry(entry, each) for entry in entries)] for title, entries in parts[:columns]
    ]
    lines = []
    for place in range(max(len(block) for block in blocks)):
        lines.append(Text("   ").join(block[place] if place < len(block) else Text(" " * each) for block in blocks))
    return lines


def _entry(entry: str, width: int) -> Text:
    name, _, told = entry.partition("\t")
    told = fitted(told, min(len(told), max(0, width - 8)))
    return Text.assemble(fitted(name, width - len(told) - 1), " ", (told, "dim"))
