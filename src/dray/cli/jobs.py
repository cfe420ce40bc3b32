"""`dray jobs`, `dray show`, `dray explain`: looking at jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dray.cli import output
from dray.cli.options import app_of, app_option, complete_job, complete_queue, looking, store_options
from dray.cli.view import STATES, job_json, moment_of, note_of, short_ids
from dray.store.values import Page

if TYPE_CHECKING:
    from dray.insight import Insight


@click.command()
@click.argument("filter", nargs=-1)
@click.option("--state", metavar="STATES", help=f"Only these, separated by commas: {', '.join(STATES)}.")
@click.option("--queue", metavar="NAME", help="Only jobs of this queue.", shell_complete=complete_queue)
@click.option("--task", metavar="NAME", help="Only jobs of this task; * and ? stand for any characters.")
@click.option("--tag", metavar="TAG", help="Only jobs with this tag.")
@click.option("--schedule", metavar="NAME", help="Only jobs that this schedule fired.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, metavar="N", help="How many to show.")
@click.option("--before", metavar="PLACE", help="The page after one that ended with `--before PLACE`.")
@click.option("--all", "whole", is_flag=True, help="Look at every job, however many there are, until enough are found.")
@store_options
def jobs(
    filter: tuple[str, ...], limit: int, before: str | None, whole: bool, url: str | None, as_json: bool, **flags: str | None
) -> None:
    """List jobs, the newest first.

    FILTER is words such as state:failed queue:mail task:send_* args.user.id:42 tag:vip error:Timeout age:>5m -worker:web-1; any
    other word is looked for in the arguments and errors. docs/search.md tells all of them.
    """
    from dray.facts import store_now
    from dray.search import word

    wanted = " ".join([*filter, *(word(key, value) for key, value in flags.items() if value is not None)])
    with looking(url) as insight:
        page = find(insight, wanted, limit, before, whole)
        if as_json:
            output.emit({"jobs": [job_json(job) for job in page.jobs], "next": page.next, "searched": page.searched})
            return
        now = store_now(insight.store)
        shorts = short_ids(insight, [job.id for job in page.jobs])
    rows = [
        (
            shorts[job.id], job.task, job.queue, output.state_cell(job.state), f"{job.attempt}/{job.max_attempts}",
            moment_of(job, now), (note_of(job), "dim"),
        )
        for job in page.jobs
    ]  # fmt: skip
    if not rows and page.searched is None:
        output.say("No jobs match." if wanted else "There are no jobs.")
    output.table(("id", "task", "queue", "state", "tries", "when", "note"), rows, wide=("note",))
    if page.searched is not None:
        place = "newest " if before is None else "next "
        output.say(f"Searched the {place}{page.searched:,} jobs; --all goes on (or --before {page.next}).", "bright_black")
    elif page.next is not None:
        output.say(f"There may be more: add --before {page.next} (or --limit).", "bright_black")


def find(insight: Insight, wanted: str, limit: int, before: str | None, whole: bool) -> Page:
    """A page of jobs. `whole`: the search goes on where it stopped at its bound."""
    page = insight.jobs(wanted, limit=limit, before=before)
    while whole and page.searched is not None and page.next is not None:
        more = insight.jobs(wanted, limit=limit - len(page.jobs), before=page.next)
        page = Page(page.jobs + more.jobs, more.next, more.searched)
    return page


@click.command()
@click.argument("id", shell_complete=complete_job)
@click.option("--follow", "-f", is_flag=True, help="Go on showing logs and progress until the job is final (1 if it failed).")
@store_options
def show(id: str, follow: bool, url: str | None, as_json: bool) -> int:
    """Show one job whole.

    Its runs, arguments, result, error, logs and progress.

    ID may be abbreviated to any unique beginning.
    """
    from dray.cli import story

    with looking(url) as insight:
        full = insight.resolve(id)
        if as_json and not follow:
            output.emit(story.as_json(insight, full))
            return 0
        if follow:
            return story.follow(insight, full, as_json)
        story.tell(insight, full)
        return 0


@click.command()
@click.argument("id", shell_complete=complete_job)
@app_option
@store_options
def explain(id: str, app: str | None, url: str | None, as_json: bool) -> None:
    """Say why a job is not running, and what to do.

    Of a job that is over it says what became of it.

    With --app (or DRAY_APP) it also knows which tasks the code has.
    """
    from dray.explain import explain as reason
    from dray.facts import gather

    code = app_of(app)
    with looking(url) as insight:
        facts = gather(insight, insight.resolve(id), None if code is None else set(code.tasks))
        answer = reason(facts)
        short = short_ids(insight, [facts.job.id])[facts.job.id]
    job = facts.job
    if as_json:
        told: dict[str, Any] = {
            "id": job.id, "task": job.task, "queue": job.queue, "state": str(job.state), "code": answer.code,
            "why": answer.why, "do": answer.do, "command": answer.command, "also": list(answer.also),
        }  # fmt: skip
        output.emit(told)
        return
    state, style = output.state_cell(job.state)
    click.echo(f"{click.style(job.task, bold=True)} {short} {click.style(state, fg=style)}")
    for sentence in (answer.why, *answer.also):
        output.prose(sentence)
    if answer.do:
        output.prose(answer.do, f"{click.style('→', fg='cyan')} ", 2)
    if answer.command:
        click.echo(f"  {click.style(answer.command.replace(job.id, short), fg='cyan')}")


COMMANDS = (jobs, show, explain)
