"""`dray retry`, `dray cancel`, `dray delete`: acting on some jobs by id, or on many by filter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from dray.cli import output
from dray.cli.options import complete_job, looking, store_options
from dray.model.job import FINAL, State
from dray.wording import count

if TYPE_CHECKING:
    from dray.insight import BulkReport
    from dray.insight.act import Action
    from dray.model.filter import Filter

NOT_FOUND = 3

# What a filter without state: means for each verb: what the verb is for, never more than one would expect.
RETRIED = frozenset({State.FAILED, State.CANCELLED})
CANCELLED = frozenset(State) - FINAL

Answers = dict[str, str]


def acting(command: Callable[..., Any]) -> Any:
    """The argument and options that the three commands share."""
    for decorate in (
        store_options,
        click.option("--dry-run", is_flag=True, help="Only say how many jobs match, and change nothing."),
        click.option("--yes", "-y", is_flag=True, help="Do not ask."),
        click.option("--filter", "wanted", metavar="TOKENS", help="All jobs that match, such as 'state:failed queue:mail'."),
        click.argument("ids", nargs=-1, metavar="[ID]...", shell_complete=complete_job),
    ):
        command = decorate(command)
    return command


@click.command()
@acting
def retry(**given: Any) -> int:
    """Give final jobs a new life; run scheduled ones now.

    With --filter and no state: in it, failed and cancelled jobs are meant.
    """
    return _act("retry", "retried", "ready", RETRIED, **given)


@click.command()
@click.option("--reason", default="", metavar="TEXT", help="Why; it is kept with the job.")
@acting
def cancel(**given: Any) -> int:
    """Cancel jobs; running ones are told to stop.

    With --filter and no state: in it, all unfinished jobs are meant.
    """
    return _act("cancel", "cancelled", "cancelled", CANCELLED, **given)


@click.command()
@acting
def delete(**given: Any) -> int:
    """Forget jobs, with their history and logs.

    With --filter and no state: in it, only final jobs are meant.
    """
    return _act("delete", "deleted", "deleted", FINAL, **given)


def _act(
    verb: Action, done: str, good: str, meant: frozenset[State], *, ids: tuple[str, ...], wanted: str | None, yes: bool,
    dry_run: bool, url: str | None, as_json: bool, reason: str = "",
) -> int:  # fmt: skip
    if bool(ids) == (wanted is not None):
        raise click.UsageError(f"Say which jobs to {verb}: give their ids, or --filter.")
    with looking(url) as insight:
        if wanted is None:
            chosen = [insight.resolve(id_) for id_ in ids]
            if dry_run:
                return _report_dry(len(chosen), {}, verb, as_json)
            more = (reason,) if verb == "cancel" else ()
            return _report_ids(getattr(insight, verb)(chosen, *more), verb, done, good, as_json)
        what = _filter(wanted, meant)
        found = insight.count(what, None)
        if dry_run or not found.n:
            return _report_dry(found.n, found.states, verb, as_json)
        told = ", ".join(f"{n:,} {state}" for state, n in found.states.items())
        question = f"{count(found.n, 'job')} match{'es' if found.n == 1 else ''} ({told}). {verb.capitalize()} them?"
        if not output.confirm(question, yes):
            output.say("Nothing was changed.")
            return 1
        reports: list[BulkReport] = []

        def work(report: Callable[[int], None]) -> None:
            reports.append(insight.bulk(what, verb, progress=lambda done, _: report(done), reason=reason))

        output.progress(found.n, verb, work)
        return _report_many(Counter(reports[0].answers), reports[0].matched, done, good, as_json)


def _filter(wanted: str, meant: frozenset[State]) -> Filter:
    """What a text means; without a state in it, only the states that are meant."""
    from msgspec.structs import replace

    from dray.search import parse

    what = parse(wanted)
    return what if what.states is not None else replace(what, states=meant)


def _report_dry(matched: int, states: Mapping[str, int], verb: str, as_json: bool) -> int:
    if as_json:
        output.emit({"matched": matched, "states": dict(states), "answers": {}})
    elif not matched:
        click.echo("No jobs match.")
    else:
        told = f" ({', '.join(f'{n:,} {state}' for state, n in states.items())})" if states else ""
        click.echo(f"{count(matched, 'job')}{told} would be asked to {verb}; nothing was changed.")
    return 0


def _report_ids(answers: Answers, verb: str, done: str, good: str, as_json: bool) -> int:
    if as_json:
        output.emit({"matched": len(answers), "answers": answers})
    else:
        for id_, answer in answers.items():
            click.echo(f"{id_}: {done if answer == good else _refusal(answer, verb, done)}")
    if "unknown" in answers.values():
        return NOT_FOUND
    return 0 if all(answer in (good, "asked") for answer in answers.values()) else 1


def _refusal(answer: str, verb: str, done: str) -> str:
    if answer == "asked":
        return "it runs and has been asked to stop"
    if answer == "unknown":
        return "it is not kept any more"
    reason = "it has ended already" if answer == "final" else f"it is {answer}"
    return f"not {done}, because {reason}{'; cancel it first' if verb == 'delete' else ''}"


def _report_many(answers: Counter[str], matched: int, done: str, good: str, as_json: bool) -> int:
    if as_json:
        output.emit({"matched": matched, "answers": dict(answers)})
        return 0
    click.echo(f"{count(answers.pop(good, 0), 'job')} {done}.")
    if asked := answers.pop("asked", 0):
        click.echo(f"{count(asked, 'running job')} asked to stop.")
    for answer, n in answers.items():
        click.echo(f"{count(n, 'job')} not {done}: {'it is' if n == 1 else 'they are'} {answer} by now.")
    return 0


COMMANDS = (retry, cancel, delete)
