"""`dray`: the command line. Commands import what they need when they run, so that `dray --help` is quick."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from dray import __version__
from dray.cli import act, bench, check, dashboard, enqueue, health, insight, jobs, migrate, queues, schedules, setup, work
from dray.errors import (
    DrayError,
    EnqueueError,
    ResultError,
    StoreError,
    UnknownJob,
    UnknownSchedule,
    UnknownTask,
    UnknownWorker,
)

JOB_FAILED, USAGE, NOT_FOUND, UNREACHABLE, INTERRUPTED = 1, 2, 3, 4, 130

EPILOG = """\b
Exit codes:
  0    done
  1    the answer is no: a job failed (--wait, --follow) or could not be
       changed, doctor found something wrong, or migrate --status found
       something to migrate
  2    wrong usage or configuration
  3    no such job, task, schedule or worker
  4    the store cannot be reached or used
  130  interrupted (Ctrl-C)

\b
Settings come from the option, else the environment (DRAY_URL, DRAY_APP, …,
each also as …_FILE), else dray.toml or [tool.dray] in pyproject.toml;
`dray config` shows each with its origin. NO_COLOR is honoured.
"""


class Commands(click.Group):
    """A group that turns every error of Dray into one sentence and an exit code."""

    def main(
        self, args: Sequence[str] | None = None, prog_name: str | None = None, complete_var: str | None = None,
        standalone_mode: bool = True, **extra: Any,
    ) -> Any:
        """Run a command line; exits, unless `standalone_mode` is off: then the answer is the exit code."""
        code = self._code(args, prog_name, complete_var, extra)
        if standalone_mode:
            sys.exit(code)
        return code

    def _code(self, args: Sequence[str] | None, prog_name: str | None, complete_var: str | None, extra: dict[str, Any]) -> int:
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            sys.stdout.flush()
            return code if isinstance(code, int) else 0
        except click.ClickException as error:
            error.show()
            return USAGE
        except (click.Abort, KeyboardInterrupt):
            return INTERRUPTED
        except BrokenPipeError:
            # Whoever read our output (`| head`) has had enough. Nothing more may be written, not even when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except DrayError as error:
            show(error)
            return code_for(error)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant; a wrong name is answered with the nearest one."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], self.list_commands(ctx), 1)
            ctx.fail(f"There is no command {args[0]!r}{f'; did you mean {close[0]!r}?' if close else ': --help lists them.'}")
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they are given below, which is the order of use."""
        return list(self.commands)


def show(error: DrayError) -> None:
    """One sentence on stderr; before it what the user's own code said, if that is what failed."""
    for said in getattr(error, "__notes__", ()):
        click.echo(said, err=True)
    click.echo(click.style("dray: ", fg="red", bold=True) + str(error), err=True)


def code_for(error: DrayError) -> int:
    """The exit code that an error stands for."""
    if isinstance(error, ResultError):
        return JOB_FAILED
    if isinstance(error, UnknownJob | UnknownTask | UnknownSchedule | UnknownWorker):
        return NOT_FOUND
    if isinstance(error, StoreError):
        return UNREACHABLE
    return USAGE if isinstance(error, EnqueueError) or not isinstance(error, StoreError) else UNREACHABLE


@click.group(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", message="dray %(version)s", help="Show the version and exit.")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Background jobs: run workers, see what happens, and act on it.

    \b
    Examples:
      dray worker shop.jobs              run the jobs of the app in shop/jobs.py
      dray dev jobs.py                   the same, restarted when the code changes
      dray status                        how things are
      dray jobs state:failed queue:mail  which jobs failed
      dray explain 0193a5f2              why a job does not run, and what to do
    """
    if os.environ.get("NO_COLOR"):
        ctx.color = False


for module in (work, dashboard, health, queues, insight, jobs, act, schedules, enqueue, migrate, setup, check, bench):
    for command in module.COMMANDS:
        cli.add_command(command)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """The console script `dray`: runs one command line and exits with its code."""
    cli.main(argv, prog_name="dray")
    raise AssertionError("cli.main exits")


if __name__ == "__main__":
    main()
