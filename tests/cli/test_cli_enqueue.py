"""Enqueueing from the command line, and real workers as real processes."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

CODE = '''
import os
from datetime import date
from pathlib import Path
from dray import Dray, GiveUp, current_job

app = Dray()
with open("imported-by", "a") as file:
    print(os.getpid(), file=file)

@app.task
def add(a: int, b: int = 0) -> int:
    current_job().log("adding")
    return a + b

@app.task(queue="mail")
async def weekday(day: date, **more: str) -> str:
    return day.strftime("%A")

@app.task
def hopeless() -> None:
    raise GiveUp("no way")
'''


@pytest.fixture
def code(here: Path) -> Path:
    (here / "cli_jobs.py").write_text(CODE)
    return here


def dray(*args: str, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "dray", *args], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "DRAY_APP": "cli_jobs.py", **environment}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == code, f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@contextlib.contextmanager
def worker(*args: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "dray", "worker", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_arguments_are_decoded_to_the_annotated_types(code: Path) -> None:
    id = dray("enqueue", "weekday", "--args", '{"day": "2026-11-24", "more": {"x": "y"}}').stdout.strip()
    told = json.loads(dray("show", id, "--json").stdout)
    assert told["args"] == {"day": "2026-11-24", "more": {"x": "y"}}
    assert (told["queue"], told["task"]) == ("mail", "cli_jobs.weekday")


def test_options(code: Path) -> None:
    told = json.loads(
        dray("enqueue", "add", "--args", '{"a": 1}', "--queue", "bulk", "--priority", "7", "--delay", "1h", "--json").stdout
    )
    assert (told["queue"], told["state"]) == ("bulk", "scheduled")
    assert json.loads(dray("show", told["id"], "--json").stdout)["priority"] == 7


@pytest.mark.parametrize(
    ("args", "said", "exit"),
    [
        (("add", "--args", "{}"), "missing argument a", 2),
        (("add", "--args", '{"a": "x"}'), "a must be int", 2),
        (("add", "--args", '{"a": 1, "z": 2}'), "'z'", 2),
        (("add", "--args", "[1]"), "give an object by parameter name", 2),
        (("add", "--args", "nope"), "--args is no JSON", 2),
        (("weekday", "--args", '{"day": "someday"}'), "day must be", 2),
        (("addd",), "did you mean cli_jobs.add", 3),
        (("add", "--args", '{"a": 1}', "--delay", "soon"), "no length of time", 2),
        (("add", "--app", "nope.py"), "There is no file 'nope.py'", 2),
    ],
)
def test_what_is_wrong_is_one_sentence_and_nothing_is_written(code: Path, args: tuple[str, ...], said: str, exit: int) -> None:
    done = dray("enqueue", *args, code=exit)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (code / "dray.db").exists()


def test_no_app_is_named(code: Path) -> None:
    assert "Which app?" in dray("enqueue", "add", code=2, DRAY_APP="").stderr
    assert "Which app?" in dray("worker", code=2, DRAY_APP="").stderr


def test_a_real_worker_runs_what_is_enqueued(code: Path) -> None:
    with worker("cli_jobs.py", "--log-format", "text") as process:
        assert dray("enqueue", "add", "--args", '{"a": 1, "b": 2}', "--wait", "--timeout", "30s").stdout == "3\n"
        assert dray("enqueue", "weekday", "--args", '{"day": "2026-11-24"}', "--wait").stdout == '"Tuesday"\n'
        failed = dray("enqueue", "hopeless", "--wait", code=1)
        assert "GiveUp: no way" in failed.stderr
        told = json.loads(dray("enqueue", "hopeless", "--wait", "--json", code=1).stdout)
        assert (told["state"], told["error"]["message"]) == ("failed", "no way")
        followed = dray("show", told["id"], "--follow", code=1)
        assert followed.stdout.splitlines()[-1].split()[-3:] == ["GiveUp:", "no", "way"]
        (node,) = json.loads(dray("workers", "--json").stdout)
        assert node["info"]["queues"] is None
        assert "cli_jobs.add" in node["info"]["tasks"]
        assert set(node["info"]["slots"]) == {"async", "thread", "process"}
        assert json.loads(dray("doctor", "--json").stdout)["wrong"] == 0
        # The supervisor never imports the user's code: the child did.
        importers = (code / "imported-by").read_text().split()
        assert str(node["pid"]) in importers
        assert str(process.pid) not in importers
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert json.loads(dray("workers", "--json").stdout) == []


def test_the_url_of_the_flag_is_where_the_worker_works(code: Path) -> None:
    url = "sqlite:///flag.db"
    with worker("cli_jobs", "--url", url, "--queues", "mail:3,default:1", "--concurrency", "3", "--name", "flagged"):
        assert dray("enqueue", "add", "--args", '{"a": 4}', "--wait", "--url", url).stdout == "4\n"
        (node,) = json.loads(dray("workers", "--json", "--url", url).stdout)
        assert (node["name"], node["info"]["queues"], node["info"]["slots"]["thread"]) == ("flagged", ["mail", "default"], 3)
    assert not (code / "dray.db").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("cli_job.py",), "did you mean 'cli_jobs.py'?"),
        (("nosuchmodule",), "There is no module 'nosuchmodule'"),
        (("cli_jobs.py", "--queues", "a,a"), "'a' is there twice"),
        (("cli_jobs.py", "--grace", "soon"), "--grace is 'soon'"),
        (("cli_jobs.py", "--concurrency", "0"), "0 is not in the range"),
    ],
)
def test_a_worker_that_cannot_start_says_why(code: Path, args: tuple[str, ...], said: str) -> None:
    done = dray("worker", *args, code=2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_module_that_fails_shows_the_users_traceback_only(code: Path) -> None:
    (code / "broken_jobs.py").write_text("raise RuntimeError('boom')\n")
    done = dray("worker", "broken_jobs.py", code=2)
    assert "RuntimeError: boom" in done.stderr
    assert "target.py" not in done.stderr
    done = dray("enqueue", "x", "--app", "broken_jobs.py", code=2)
    assert done.stderr.count('File "') == 1
    assert done.stderr.rstrip().endswith("RuntimeError: boom.")


def test_ctrl_c_while_waiting_is_code_130(code: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "dray", "enqueue", "add", "--args", '{"a": 1}', "--wait", "--app", "cli_jobs.py"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert "No worker is alive" in process.stderr.readline()  # said just before it begins to wait
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in errors


def on_terminal(*args: str, **environment: str) -> str:
    """What a person sees."""
    ours, theirs = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "dray", *args], stdout=theirs, stderr=theirs, stdin=theirs,
        env={**clean, "TERM": "xterm-256color", "COLUMNS": "100", **environment},
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while chunk := os.read(ours, 4096):
            seen += chunk
    process.wait(30)
    os.close(ours)
    return seen.decode()


COLOURFUL = [("jobs",), ("status",), ("show", "ID"), ("explain", "ID"), ("doctor",), ("config",)]


@pytest.mark.parametrize("command", COLOURFUL, ids=" ".join)
def test_colours_on_a_terminal_unless_unwanted(code: Path, command: tuple[str, ...]) -> None:
    id = dray("enqueue", "add", "--args", '{"a": 1}').stdout.strip()
    args = [id if word == "ID" else word for word in command]
    coloured = re.compile(r"\x1b\[(?!0m)[0-9;]*[34][0-7](?:;[0-9]+)*m")  # a colour; bold and dim are none
    assert coloured.search(on_terminal(*args, DRAY_QUEUES="mail"))
    assert not coloured.search(on_terminal(*args, DRAY_QUEUES="mail", NO_COLOR="1"))
    assert "\x1b" not in dray(*args, code=1 if command == ("doctor",) else 0).stdout


def test_a_reader_that_has_had_enough_is_no_error(code: Path) -> None:
    dray("enqueue", "add", "--args", '{"a": 1}')
    done = subprocess.run(
        f"{sys.executable} -m dray config --json | head -1", shell=True, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
