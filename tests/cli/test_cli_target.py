"""TARGET: `module`, `module:app` or `file.py`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dray.errors import ConfigurationError, WorkerError
from dray.target import load_app

APP = "from dray import Dray\napp = Dray()\n@app.task\ndef add(a: int) -> int:\n    return a\n"


@pytest.fixture(autouse=True)
def fresh(here: Path) -> Iterator[None]:
    """What a test imports is gone after it."""
    modules, path = set(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(name: str, text: str = APP) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("target", ["shopjobs", "shopjobs:app", "shopjobs.py", "./shopjobs.py", "shopjobs.py:app"])
def test_it_finds_the_app(target: str) -> None:
    write("shopjobs.py")
    app = load_app(target)
    assert list(app.tasks) == ["shopjobs.add"]
    assert load_app(target) is app


def test_a_file_elsewhere_can_import_its_neighbours() -> None:
    write("deep/helper_a.py", "X = 1\n")
    write("deep/jobs_a.py", "import helper_a\n" + APP)
    assert list(load_app("deep/jobs_a.py").tasks) == ["jobs_a.add"]


def test_a_file_of_a_package_has_its_dotted_name() -> None:
    write("src/shop_b/__init__.py", "")
    write("src/shop_b/other.py", "X = 1\n")
    write("src/shop_b/jobs.py", "from .other import X\n" + APP)
    assert list(load_app("src/shop_b/jobs.py").tasks) == ["shop_b.jobs.add"]


def test_one_app_under_two_names_is_one_app() -> None:
    write("twice.py", APP + "main = app\n")
    assert load_app("twice").tasks


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("shopjob", "did you mean 'shopjobs'?"),
        ("shopjob.py", "did you mean 'shopjobs.py'?"),
        ("zzz", "There is no module 'zzz'"),
        ("zzz.py", "There is no file 'zzz.py'"),
        ("deep/jobs", "did you mean 'deep/jobs.py'?"),
        ("shopjobs:ap", "shopjobs has no 'ap'; it has app."),
        ("shopjobs:add", "shopjobs:add is a SyncTask, not an app"),
        ("nothing", "There is no Dray app in nothing"),
        ("two", "There are several apps in two; say which: two:a or two:b."),
        ("queue.py", "'queue' is the name of a module of Python itself; rename the file."),
        ("my-jobs.py", "is not the name of a Python module; rename the file."),
        ("", "'' names no app"),
        (":app", "':app' names no app"),
    ],
)
def test_what_is_wrong_is_one_sentence(target: str, said: str) -> None:
    write("shopjobs.py")
    write("nothing.py", "X = 1\n")
    write("two.py", "from dray import Dray\na = Dray()\nb = Dray()\n")
    write("queue.py")
    write("my-jobs.py")
    with pytest.raises(ConfigurationError) as caught:
        load_app(target)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("target", ["broken_c", "broken_c.py"])
def test_a_module_that_fails_shows_the_users_own_traceback(target: str) -> None:
    write("broken_c.py", "def f():\n    raise RuntimeError('boom')\nf()\n")
    with pytest.raises(WorkerError, match=r"The module 'broken_c' cannot be imported: RuntimeError: boom.") as caught:
        load_app(target)
    (note,) = caught.value.__notes__
    assert note.startswith("Traceback")
    assert note.count('File "') == 2
    assert "broken_c.py" in note
    assert "importlib" not in note
    assert "target.py" not in note


def test_a_wrong_option_of_a_task_points_into_the_users_code() -> None:
    write("wrong_d.py", "from dray import Dray\napp = Dray()\n@app.task(queue=3)\ndef f(): ...\n")
    with pytest.raises(WorkerError, match=r"queue of task wrong_d.f is 3") as caught:
        load_app("wrong_d")
    (note,) = caught.value.__notes__
    assert note.count('File "') == 1
    assert "line 3" in note


def test_a_syntax_error_names_the_line() -> None:
    write("syntax_e.py", "x = (\n")
    with pytest.raises(WorkerError, match="SyntaxError") as caught:
        load_app("syntax_e")
    assert "line 1" in caught.value.__notes__[0]


def test_a_missing_dependency_is_not_mistaken_for_a_missing_target() -> None:
    write("needs_f.py", "import not_installed_anywhere\n")
    with pytest.raises(WorkerError, match="No module named 'not_installed_anywhere'"):
        load_app("needs_f")


def test_a_script_that_exits_is_told_to_guard_itself() -> None:
    write("exits_g.py", "import sys\nsys.exit(3)\n")
    with pytest.raises(WorkerError, match="__main__"):
        load_app("exits_g.py")
    assert "exits_g" not in sys.modules


def test_a_module_of_the_same_name_is_not_replaced() -> None:
    write("a_h/same_h.py")
    write("b_h/same_h.py")
    load_app("a_h/same_h.py")
    with pytest.raises(ConfigurationError, match="another module is named 'same_h'; rename the file"):
        load_app("b_h/same_h.py")
