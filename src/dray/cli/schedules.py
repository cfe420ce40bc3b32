"""`dray schedules`: seeing, pausing and running what runs by the clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from dray.cli import output
from dray.cli.options import complete_schedule, json_option, looking, store_options
from dray.cli.view import schedule_json
from dray.wording import ago, readable, when

if TYPE_CHECKING:
    from dray.store.values import ScheduleRow


class WithDefault(click.Group):
    """A group whose first command is meant when none is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As ever, with the default put in."""
        if not args or (args[0].startswith("-") and args[0] not in ("-h", "--help")):
            args = ["list", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they are given."""
        return list(self.commands)


@click.group(cls=WithDefault)
def schedules() -> None:
    """List schedules, and pause, run or explain them."""


@schedules.command("list")
@store_options
def list_(url: str | None, as_json: bool) -> None:
    """List all schedules, with the next and the last time of each."""
    from dray.facts import store_now

    with looking(url) as insight:
        rows, now = insight.schedules(), store_now(insight.store)
    if as_json:
        output.emit([schedule_json(row) for row in rows])
        return
    if not rows:
        output.say("There are no schedules. Those of the code (@app.schedule) are here once a worker has started.")
    output.table(
        ("schedule", "task", "when", "zone", "next", "last", "missed"),
        [
            (
                row.name, row.task, row.spec, row.tz, ("paused", "yellow") if row.paused else ago(row.next, now),
                ago(row.fired, now) if row.fired else "never", (row.missed, "yellow" if row.missed else "dim"),
            )
            for row in rows
        ],
        right=("missed",),
    )  # fmt: skip


@schedules.command()
@click.argument("name", shell_complete=complete_schedule)
@click.option(
    "--next", "upcoming", type=click.IntRange(0, 1000), default=5, show_default=True, metavar="N", help="How many next times.",
)  # fmt: skip
@store_options
def show(name: str, upcoming: int, url: str | None, as_json: bool) -> None:
    """Show one schedule, and its next times."""
    from dray.facts import store_now
    from dray.model.schedule import parse_trigger
    from dray.schedules import next_runs

    with looking(url) as insight:
        row, now = insight.schedule(name), store_now(insight.store)
    times = next_runs(row, upcoming, datetime.fromtimestamp(now / 1e6, UTC))
    if as_json:
        output.emit({**schedule_json(row), "upcoming": [time.isoformat() for time in times]})
        return
    click.echo(click.style(row.name, bold=True) + (click.style("  paused", fg="yellow") if row.paused else ""))
    output.pairs([
        ("when", f"{row.spec}  ({parse_trigger(row.spec, row.tz).describe()})"),
        ("task", row.task + (f" in queue {row.queue}" if row.queue != "default" else "")),
        ("arguments", str(args) if (args := readable(row.args)) else ""),
        ("missed runs", f"catch_up={row.catch_up}, within {_length(row.window)}; {row.missed} late so far"),
        ("overlap", f"{row.overlap}: {OVERLAP[row.overlap]}"),
        ("declared", "in the code" if row.origin == "code" else "at run time"),
        ("last", when(row.fired, now) if row.fired else "never"),
        ("paused", when(row.paused, now) if row.paused else ""),
    ])  # fmt: skip
    if times:
        output.heading("Next times" + (", once it is resumed" if row.paused else ""))
        _times(times, row.tz, now)


OVERLAP = {
    "skip": "not fired while an earlier run is unfinished",
    "allow": "fired whatever else runs",
    "queue": "one run waits for the earlier one to end",
    "cancel": "an earlier run is cancelled",
}


def _length(seconds: float) -> str:
    from dray.model.duration import human

    return human(seconds)


def _times(times: list[datetime], tz: str, now: int) -> None:
    from zoneinfo import ZoneInfo

    zone = UTC if tz == "UTC" else ZoneInfo(tz)
    before = None
    for time in times:
        there = time.astimezone(zone)
        changed = before is not None and there.utcoffset() != before
        before = there.utcoffset()
        mark = click.style("  the clocks have changed", fg="yellow") if changed else ""
        age = click.style(ago(int(time.timestamp() * 1e6), now), dim=True)
        click.echo(f"  {there.strftime('%a %Y-%m-%d %H:%M:%S %Z (UTC%z)')}  {age}{mark}")


@schedules.command()
@click.argument("name", shell_complete=complete_schedule)
@store_options
def pause(name: str, url: str | None, as_json: bool) -> None:
    """Do not fire NAME until it is resumed."""
    with looking(url) as insight:
        insight.pause_schedule(name)
        row = insight.schedule(name)
    _told(row, f"Schedule {name} is paused; `dray schedules resume {name}` lets it go on.", as_json)


@schedules.command()
@click.argument("name", shell_complete=complete_schedule)
@store_options
def resume(name: str, url: str | None, as_json: bool) -> None:
    """Fire NAME again from now on.

    What fell into the pause is not made up for.
    """
    from dray.facts import store_now

    with looking(url) as insight:
        insight.resume_schedule(name)
        row, now = insight.schedule(name), store_now(insight.store)
    _told(row, f"Schedule {name} goes on; its next time is {when(row.next, now)}.", as_json)


@schedules.command()
@click.argument("name", shell_complete=complete_schedule)
@store_options
def remove(name: str, url: str | None, as_json: bool) -> None:
    """Forget NAME; jobs that it fired stay."""
    with looking(url) as insight:
        row = insight.schedule(name)
        insight.remove_schedule(name)
    _told(row, f"Schedule {name} is removed.", as_json)
    if row.origin == "code":
        output.say("It is declared in the code, and comes back with the next start of a worker; to stop it, pause it.", "yellow")


@schedules.command("run")
@click.argument("name", shell_complete=complete_schedule)
@store_options
def run(name: str, url: str | None, as_json: bool) -> None:
    """Enqueue the job of NAME now, beside its times; prints the job's id."""
    with looking(url) as insight:
        id = insight.run_schedule(name)
    output.emit({"schedule": name, "id": id}) if as_json else click.echo(id)


@schedules.command("explain")
@click.argument("spec", metavar="WHEN")
@click.option("--tz", default="UTC", show_default=True, metavar="ZONE", help="IANA time zone, such as Europe/Berlin.")
@click.option(
    "--next", "upcoming", type=click.IntRange(1, 1000), default=5, show_default=True, metavar="N", help="How many next times.",
)  # fmt: skip
@json_option
def explain(spec: str, tz: str, upcoming: int, as_json: bool) -> None:
    """Say what WHEN means, and when it would fire.

    WHEN is a cron line ('0 7 * * mon', '@daily') or an interval ('every 15m').
    """
    from dray.model.schedule import parse_trigger

    trigger = parse_trigger(spec, tz)
    moment = start = datetime.now(UTC)
    times = []
    for _ in range(upcoming):
        moment = trigger.next_after(moment)
        times.append(moment)
    if as_json:
        output.emit({
            "spec": trigger.spec, "tz": trigger.tz, "description": trigger.describe(),
            "upcoming": [time.isoformat() for time in times],
        })  # fmt: skip
        return
    click.echo(click.style(trigger.describe(), bold=True))
    _times(times, trigger.tz, int(start.timestamp() * 1e6))


def _told(row: ScheduleRow, sentence: str, as_json: bool) -> None:
    output.emit(schedule_json(row)) if as_json else click.echo(sentence)


COMMANDS = (schedules,)
