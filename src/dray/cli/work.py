"""`dray worker`, `dray dev`, `dray demo`: what goes on running."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

from dray.cli.options import url_option
from dray.config import settings
from dray.errors import ConfigurationError

LEVELS = ("debug", "info", "warning", "error")


def worker_options(command: Callable[..., Any]) -> Any:
    """What `worker` and `dev` share."""
    for decorate in (
        click.option("--name", metavar="NAME", help="What the worker is called in lists. [host and process id]"),
        click.option(
            "--loop", type=click.Choice(["auto", "asyncio", "uvloop"]), help="auto takes uvloop where it is installed. [DRAY_LOOP]",
        ),
        click.option("--log-level", type=click.Choice(LEVELS), help="The least that is logged. [DRAY_LOG_LEVEL, info]"),
        click.option("--grace", metavar="TIME", help="How long running jobs may go on after TERM: 30, 30s, 5m. [DRAY_GRACE, 30s]"),
        click.option(
            "--process-slots", type=click.IntRange(1), metavar="N",
            help="Functions in killable child processes, in each worker process. [DRAY_PROCESS_SLOTS, one per core]",
        ),
        click.option("--processes", type=click.IntRange(1), metavar="N", help="Worker processes. [DRAY_PROCESSES, 1]"),
        click.option(
            "--concurrency", "-c", type=click.IntRange(1), metavar="N",
            help="Coroutines, and as many threads, in each worker process. [DRAY_CONCURRENCY, 10]",
        ),
        click.option(
            "--queues", "-Q", metavar="QUEUES",
            help="By weight (mail:3,default:1) or strictly in order (mail,default). [DRAY_QUEUES, all]",
        ),
        click.option(
            "--migrate", type=click.Choice(["auto", "never"]),
            help="auto: bring the schema of the store up to date at the start; never: `dray migrate` does. [DRAY_MIGRATE, auto]",
        ),
        url_option,
        click.argument("target", required=False),
    ):
        command = decorate(command)
    return command


def health_options(command: Callable[..., Any]) -> Any:
    """How others see whether a worker is well."""
    for decorate in (
        click.option(
            "--health-file", metavar="PATH", help="A file that is touched every 5 s while the worker is ready. [DRAY_HEALTH_FILE]",
        ),
        click.option(
            "--health-host", metavar="HOST", help="Where --health-port is: 0.0.0.0 for all. [DRAY_HEALTH_HOST, 127.0.0.1]",
        ),
        click.option(
            "--health-port", type=click.IntRange(0, 65_535), metavar="PORT",
            help="Answer at /livez, /readyz, /startupz and /metrics. [DRAY_HEALTH_PORT]",
        ),
    ):  # fmt: skip
        command = decorate(command)
    return command


@click.command()
@worker_options
@health_options
@click.option("--reload", is_flag=True, help="Restart when the code changes.")
@click.option(
    "--log-format", type=click.Choice(["auto", "text", "json"]), help="auto: text on a terminal, else json. [DRAY_LOG_FORMAT]",
)  # fmt: skip
def worker(reload: bool, log_format: str | None, **flags: Any) -> int:
    """Run the jobs of an app until TERM or INT.

    TARGET is `module`, `module:app` or `file.py` (default: DRAY_APP). On TERM or Ctrl-C no more jobs are taken, and what runs
    may end within --grace; a second signal ends at once, and what was running is run again.
    """
    return _run(reload, log_format, **flags)


@click.command()
@worker_options
@click.option("--dashboard/--no-dashboard", "shown", default=True, help="Serve the dashboard beside it. [yes]")
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", help="Of the dashboard. [8042 if it is free]")
def dev(shown: bool, port: int | None, **flags: Any) -> int:
    """Run the jobs of an app, restarted when the code changes.

    As `worker` with --reload, the dashboard beside it, and with logs for people.
    """
    if shown:
        from dray.cli.dashboard import beside

        beside(settings({"app": flags["target"]})["app"].value, flags["url"], port)
    return _run(True, "text", **flags)


def _run(reload: bool, log_format: str | None, *, target: str | None, url: str | None, name: str | None, **flags: Any) -> int:
    from dray.model.duration import seconds
    from dray.worker.queues import parse_queues
    from dray.worker.settings import WorkerSettings
    from dray.worker.supervisor import become

    if flags["grace"] is not None:
        flags["grace"] = seconds(flags["grace"], "--grace")
    found = {key: setting.value for key, setting in settings({**flags, "app": target, "log_format": log_format}).items()}
    if not found["app"]:
        raise ConfigurationError(
            "Which app? Name it (dray worker jobs.py), or set DRAY_APP or `app` in [tool.dray] of pyproject.toml."
        )
    parse_queues(found["queues"])
    if flags["migrate"] is not None:
        os.environ["DRAY_MIGRATE"] = flags["migrate"]  # the worker processes make the app, which asks there
    if found["log_level"] not in LEVELS:
        raise ConfigurationError(f"log_level is {found['log_level']!r}: use {', '.join(LEVELS)}.")
    # Only the option's URL goes over: without it the app's own is meant, which asks the environment and the files itself.
    become(
        WorkerSettings(
            target=found["app"], url=url, name=name, reload=reload, queues=found["queues"], concurrency=found["concurrency"],
            processes=found["processes"], process_slots=found["process_slots"], grace=found["grace"],
            log_level=found["log_level"], log_format=found["log_format"], loop=found["loop"],
            health_port=found["health_port"], health_host=found["health_host"], health_file=found["health_file"],
        )
    )


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False
)
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def demo(args: tuple[str, ...]) -> int:
    """Show it all in a small web application (`dray demo --help`)."""
    try:
        from dray.demo.main import main
    except ImportError as error:
        raise ConfigurationError(f"The demonstration needs more packages ({error}): pip install 'dray[demo]'.") from None
    return main(list(args))


COMMANDS = (worker, dev, demo)
