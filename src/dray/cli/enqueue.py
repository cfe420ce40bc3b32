"""`dray enqueue`: a job from the command line, checked as if the application had enqueued it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from dray.cli import output
from dray.cli.options import app_of, app_option, store_options
from dray.errors import ArgumentsError, ConfigurationError, JobCancelled, JobFailed, ResultTimeout

if TYPE_CHECKING:
    from dray.handle import JobHandle
    from dray.task import Task

JOB_FAILED = 1
FORM = "give an object by parameter name, such as '{\"user_id\": 1}'"


@click.command()
@click.argument("task")
@click.option("--args", "arguments", default="{}", metavar="JSON", help="The arguments by parameter name: '{\"user_id\": 1}'.")
@click.option("--queue", metavar="NAME", help="Another queue than the task's.")
@click.option("--priority", type=click.IntRange(-100, 100), metavar="N", help="-100 to 100; higher runs sooner.")
@click.option("--delay", metavar="TIME", help="Run it after 90, 90s, 5m or 1h30m.")
@click.option("--wait", is_flag=True, help="Wait for the result and print it; exit with 1 if the job fails.")
@click.option("--timeout", metavar="TIME", help="With --wait: how long to wait. [for ever]")
@app_option
@store_options
def enqueue(
    task: str, arguments: str, wait: bool, timeout: str | None, app: str | None, url: str | None, as_json: bool, **options: Any
) -> int:
    """Enqueue a job of TASK and print its id.

    TASK is the name of a task of the app (--app or DRAY_APP); its last part is enough if no other ends so.
    """
    from dray.model.duration import seconds

    found = app_of(app)
    if found is None:
        raise ConfigurationError(
            "Which app? Name it with --app jobs.py, or set DRAY_APP or `app` in [tool.dray] of pyproject.toml.",
        )
    if url is not None:
        found.configure(url=url)
    patience = None if timeout is None else seconds(timeout, "--timeout")
    chosen = found.task_named(task)
    args, kwargs = _decoded(chosen, arguments)
    given = {name: value for name, value in options.items() if value is not None}
    handle: JobHandle[Any] = chosen.using(**given).enqueue(*args, **kwargs)
    try:
        if not any(node.alive for node in found.insight.workers()):
            output.say("No worker is alive; start one: dray worker TARGET", "yellow")
        if wait:
            return _wait(handle, patience, as_json)
        if as_json:
            output.emit({"id": handle.id, "task": chosen.name, "queue": handle.info.queue, "state": str(handle.info.state)})
        else:
            click.echo(handle.id)
        return 0
    finally:
        found.close()



def _decoded(task: Task[..., Any], text: str) -> tuple[list[Any], dict[str, Any]]:
    """The arguments in the types that the task's annotations ask for. Raises ArgumentsError."""
    from dray.codec.signature import UndecodablePayload

    try:
        given = json.loads(text)
    except ValueError as error:
        raise ArgumentsError(f"--args is no JSON ({error}); {FORM}.") from None
    if not isinstance(given, dict):
        raise ArgumentsError(f"--args is {text}; {FORM}.")
    try:
        args, kwargs = task.signature.decode(json.dumps(given).encode())
        kept = json.loads(task.signature.encode(tuple(args), kwargs))
    except UndecodablePayload:
        task.signature.encode((), given)  # says which argument is wrong
        raise
    if unknown := set(given) - set(kept):
        task.signature.encode((), {name: given[name] for name in given})
        raise ArgumentsError(f"{task.name} has no argument {', '.join(map(repr, sorted(unknown)))}.")
    return args, kwargs


def _wait(handle: JobHandle[Any], patience: float | None, as_json: bool) -> int:
    try:
        handle.result(patience)
        code = 0
    except ResultTimeout:
        if not as_json:
            raise
        code = JOB_FAILED
    except (JobFailed, JobCancelled) as error:
        code = JOB_FAILED
        if not as_json:
            if isinstance(error, JobFailed) and error.traceback:
                output.say(error.traceback.rstrip())
            raise
    from dray.wording import readable

    info = handle.refresh().info
    if as_json:
        output.emit({
            "id": handle.id, "task": info.task, "queue": info.queue, "state": str(info.state), "result": readable(info.result),
            "error": info.error, "reason": info.reason,
        })  # fmt: skip
    else:
        click.echo(json.dumps(readable(info.result), ensure_ascii=False))
    return code


COMMANDS = (enqueue,)
