"""The command line explains itself, at once."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from dray.cli.main import cli

HEAVY = ("rich", "dray.worker", "dray.store.sqlite", "dray.demo", "dray.cli.measure", "dray.explain", "dray.doctor", "uvloop")


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from commands(child, (*path, name))


ALL = dict(commands(cli))


def test_the_commands_are_those_of_the_contract() -> None:
    assert set(cli.commands) == {
        "worker", "dev", "demo", "dashboard", "health", "status", "jobs", "show", "explain", "retry", "cancel", "delete", "queues",
        "pause", "resume", "workers", "top", "tasks", "errors", "audit", "schedules", "enqueue", "migrate", "doctor", "config",
        "bench", "completion",
    }  # fmt: skip
    assert set(ALL[("schedules",)].commands) == {"list", "show", "pause", "resume", "remove", "run", "explain"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_and_option_has_a_help_text(path: tuple[str, ...]) -> None:
    command = ALL[path]
    assert command.help
    assert len(command.get_short_help_str(200)) <= 75
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{' '.join(path)} {parameter.opts}"


def test_help_names_the_exit_codes(run) -> None:
    text = run("--help").stdout
    for code in ("0  ", "1  ", "2  ", "3  ", "4  ", "130"):
        assert f"\n    {code}" in text


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    code = "import sys, dray.cli.main; print(*sorted(sys.modules), sep='\\n')"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = [name for name in loaded for prefix in HEAVY if name == prefix or name.startswith(prefix + ".")]
    assert heavy == []


def test_help_is_quick() -> None:
    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "dray", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime  # what else the machine does is not in it

    assert min(once() for _ in range(7)) < 0.2


@pytest.mark.parametrize("module", ["dray", "dray.cli.main"])
def test_it_runs_as_a_module(module: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()[0]) == (0, "dray")


def test_a_mistyped_command_is_answered_with_the_nearest(run) -> None:
    assert "did you mean 'worker'?" in run("worke", code=2).stderr


def test_a_wrong_option_is_a_usage_error(run) -> None:
    assert "--nope" in run("status", "--nope", code=2).stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(run, shell: str) -> None:
    text = run("completion", shell).stdout
    assert "_DRAY_COMPLETE" in text
    assert "# dray completion" in text.splitlines()[-1]


def test_completion_knows_commands_and_queues(here, app) -> None:
    app.task_named("send").enqueue(1)
    environment = {"_DRAY_COMPLETE": "bash_complete", "COMP_WORDS": "dray pause m", "COMP_CWORD": "2", "PATH": ""}
    code = "from dray.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["plain,mail"]
