"""`dray retry`, `dray cancel`, `dray delete`: acting on some jobs by id, or on many by filter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from dray.cli import output
from dray.cli.options import complete_job, looking, store_options
from dray.model.job import FINAL, State
from dray.wording import count

if TYPE_CHECKING:
    from dray.insight import Insight

BATCH = 500  # jobs in one transaction, so that workers are not held up
PAGE = 1000
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
    return _act("retry", "retried", "ready", RETRIED, lambda insight: insight.retry, **given)


@click.command()
@click.option("--reason", default="", metavar="TEXT", help="Why; it is kept with the job.")
@acting
def cancel(reason: str, **given: Any) -> int:
    """Cancel jobs; running ones are told to stop.

    With --filter and no state: in it, all unfinished jobs are meant.
    """
    return _act(
        "cancel", "cancelled", "cancelled", CANCELLED,
        lambda insight: lambda ids: insight.cancel(ids, reason), **given,
    )  # fmt: skip


@click.command()
@acting
def delete(**given: Any) -> int:
    """Forget jobs, with their history and logs.

    With --filter and no state: in it, only final jobs are meant.
    """
    return _act("delete", "deleted", "deleted", FINAL, lambda insight: insight.delete, **given)


def _act(
    verb: str, done: str, good: str, meant: frozenset[State], how: Callable[[Insight], Callable[[Sequence[str]], Answers]],
    *, ids: tuple[str, ...], wanted: str | None, yes: bool, dry_run: bool, url: str | None, as_json: bool,
) -> int:  # fmt: skip
    if bool(ids) == (wanted is not None):
        raise click.UsageError(f"Say which jobs to {verb}: give their ids, or --filter.")
    with looking(url) as insight:
        if wanted is None:
            chosen = [insight.resolve(id_) for id_ in ids]
            if dry_run:
                return _report_dry(chosen, {}, verb, as_json)
            return _report_ids(how(insight)(chosen), verb, done, good, as_json)
        chosen, states = matching(insight, wanted, meant)
        if dry_run or not chosen:
            return _report_dry(chosen, states, verb, as_json)
        told = ", ".join(f"{n:,} {state}" for state, n in states.items())
        question = f"{count(len(chosen), 'job')} match{'es' if len(chosen) == 1 else ''} ({told}). {verb.capitalize()} them?"
        if not output.confirm(question, yes):
            output.say("Nothing was changed.")
            return 1
        return _report_many(_in_batches(how(insight), chosen, verb), len(chosen), done, good, as_json)


def matching(insight: Insight, wanted: str, meant: frozenset[State]) -> tuple[list[str], Counter[str]]:
    """The ids of all jobs that match, and how many are in each state."""
    from msgspec.structs import replace

    from dray.insight import parse_filter

    what = parse_filter(wanted)
    if what.states is None:
        what = replace(what, states=meant)
    found: list[str] = []
    states: Counter[str] = Counter()
    before = None
    while True:
        page = insight.jobs(what, limit=PAGE, before=before)
        found += [job.id for job in page.jobs]
        states.update(str(job.state) for job in page.jobs)
        before = page.next
        if before is None:
            return found, states


def _in_batches(do: Callable[[Sequence[str]], Answers], chosen: list[str], verb: str) -> Counter[str]:
    answers: Counter[str] = Counter()

    def work(report: Callable[[int], None]) -> None:
        for start in range(0, len(chosen), BATCH):
            answers.update(do(chosen[start : start + BATCH]).values())
            report(min(start + BATCH, len(chosen)))

    output.progress(len(chosen), verb, work)
    return answers


def _report_dry(chosen: list[str], states: Counter[str] | dict[str, int], verb: str, as_json: bool) -> int:
    if as_json:
        output.emit({"matched": len(chosen), "states": dict(states), "answers": {}})
    elif not chosen:
        click.echo("No jobs match.")
    else:
        told = f" ({', '.join(f'{n:,} {state}' for state, n in states.items())})" if states else ""
        click.echo(f"{count(len(chosen), 'job')}{told} would be asked to {verb}; nothing was changed.")
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
