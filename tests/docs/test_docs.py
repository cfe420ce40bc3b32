"""The documentation tells what the code does: its Python blocks run, its links lead somewhere, and nothing public is left out.

The blocks of one page run one after the other in one fresh process, in an empty folder. A block whose first line is a comment
with a file name (`# jobs.py`) becomes that file instead, for the blocks after it to import. Where a line says
`print(…)  # text`, the text must be what is printed; `…` in it stands for anything.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

import dray

ROOT = Path(__file__).resolve().parents[2]
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [*GUIDES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs" / "design").glob("*.md"))]

FENCE = re.compile(r"^(?P<skip><!-- skip: [^\n]+ -->\n)?```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"# ([\w/]+\.py)\n")
EXPECTED = re.compile(r"^\s*print\(.*\)  # (.+)$")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


class Guide:
    """A page's Python blocks: the script that they make together, the files beside it, and what it should print."""

    def __init__(self, page: Path) -> None:
        self.script = ""
        self.files: dict[str, str] = {}
        self.expected: list[str] = []
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            if match["skip"]:
                continue
            code = match["code"]
            name = FILE_NAME.match(code)
            if name is not None:
                self.files[name[1]] = code
                continue
            # Blank lines in between, so that a traceback gives the line of the page.
            line = text.count("\n", 0, match.start("code"))
            self.script += "\n" * (line - self.script.count("\n")) + code
            self.expected += [found[1] for line in code.splitlines() if (found := EXPECTED.match(line))]


def run(page: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    guide = Guide(page)
    for name, code in guide.files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code, encoding="utf-8")
    script = folder / "guide.py"
    script.write_text(guide.script, encoding="utf-8")
    return execute([script.name], folder)


def execute(arguments: list[str], folder: Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment(), capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("DRAY_")} | {"PYTHONUNBUFFERED": "1"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Future[subprocess.CompletedProcess[str]]]:
    """All guides, started together: most of them wait most of the time."""
    pool = ThreadPoolExecutor(3)
    return {
        page_id(page): pool.submit(run, page, tmp_path_factory.mktemp(page.stem)) for page in GUIDES if Guide(page).script
    }


@pytest.mark.parametrize("page", GUIDES, ids=page_id)
def test_the_python_blocks_run_and_print_what_they_say(
    page: Path, runs: dict[str, Future[subprocess.CompletedProcess[str]]]
) -> None:
    if page_id(page) not in runs:
        servers = ("postgresql.md", "redis.md", "stores.md", "api.md", "top.md", "observe.md")
        assert page.name in ("command-line.md", *servers), "a guide without a single Python block that runs"
        return
    done = runs[page_id(page)].result()
    assert done.returncode == 0, f"{page.name}:\n{done.stdout}\n{done.stderr}"
    printed = iter(done.stdout.splitlines())
    for text in Guide(page).expected:
        pattern = re.escape(text).replace("…", ".*")
        assert any(re.fullmatch(pattern, line) for line in printed), (
            f"{page.name}: {text!r} was not printed, or not in its turn:\n{done.stdout}\n{done.stderr}"
        )


@pytest.mark.parametrize("page", GUIDES, ids=page_id)
def test_a_block_that_does_not_run_says_why(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("```python") == len(list(FENCE.finditer(text))), "a Python block is not closed, or indented"
    for reason in re.findall(r"<!-- skip: (.*) -->", text):
        assert len(reason) > 20, f"{page.name}: skip because of {reason!r}?"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page: Path) -> None:
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        file = (page.parent / place).resolve() if place else page
        assert file.exists(), f"{page_id(page)} links to {target}, which is not there"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{page_id(page)} links to {target}: no such heading"


def anchors(page: Path) -> set[str]:
    """The names that headings get on a forge: in lower case, without punctuation, hyphens for spaces."""
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in HEADING.findall(text)}


def test_every_page_is_reached_from_the_readme() -> None:
    reached, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            if not re.match(r"[a-z]+:", target) and target.partition("#")[0]:
                todo.append((page.parent / target.partition("#")[0]).resolve())
    assert not set(PAGES) - reached


def test_everything_public_is_documented() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in GUIDES)
    missing = [name for name in dray.__all__ if not re.search(rf"\b{name}\b", text)]
    assert not missing


@pytest.mark.parametrize(
    ("home", "owner"), [("app.py", "Dray"), ("handle.py", "JobHandle"), ("context.py", "JobContext"), ("task.py", "Task")]
)
def test_every_public_method_is_documented(home: str, owner: str) -> None:
    """Those that a user may call; the async twins are documented as a rule."""
    internal = {
        "register", "check_size", "handle", "add", "aadd", "store", "task_named", "tasks", "encode", "new_job", "executor_for",
        "job_options", "rules_for", "ask_to_stop", "claimed",
    }  # fmt: skip
    text = "\n".join(page.read_text(encoding="utf-8") for page in GUIDES)
    tree = ast.parse((ROOT / "src" / "dray" / home).read_text(encoding="utf-8"))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == owner)
    names = {
        node.name for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_")
    }  # fmt: skip
    twins = {name for name in names if name.startswith("a") and name[1:] in names}
    assert len(names) > 3
    assert not [name for name in sorted(names - twins - internal) if not re.search(rf"\b{name}\b", text)]


def test_every_option_is_documented() -> None:
    from dray.options import _READERS, LATER

    text = (ROOT / "docs" / "tasks-and-options.md").read_text(encoding="utf-8")
    assert not [name for name in (*_READERS, *LATER) if f"`{name}`" not in text]


def test_every_key_of_redis_is_documented() -> None:
    from dray.store.redis.scripts import Scripts

    text = (ROOT / "docs" / "design" / "redis-keys.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(\w+)` \| (?:hash|sorted set) \|", text, re.MULTILINE))
    assert told == {"meta"}.union(*(script.keys for script in Scripts().all))
    assert f"{len(told)} names" in text
    assert f"{len(told)} keys" in text


def test_every_option_of_a_redis_url_is_documented() -> None:
    from dray.store.redis.place import OPTIONS, SCHEMES, SHARDS

    text = (ROOT / "docs" / "redis.md").read_text(encoding="utf-8")
    assert not [name for name in OPTIONS if f"`{name}`" not in text]
    assert not [scheme for scheme in SCHEMES if f"{scheme}://" not in text]
    assert f"| `shards` | `{SHARDS}` |" in text


def test_every_setting_is_documented() -> None:
    from dray.config import DEFAULTS

    text = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert not [name for name in DEFAULTS if f"DRAY_{name.upper()}" not in text]


def test_every_command_and_its_options_are_documented() -> None:
    import click

    from dray.cli.main import cli

    text = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### `dray ([\w-]+)[^\n]*\n(.*?)(?=^##)", text + "\n## ", re.MULTILINE | re.DOTALL))
    assert set(sections) == set(cli.commands)
    shared = {"--help", "--url", "--json", "--app"}
    for name, command in cli.commands.items():
        for path, option in options_of(command, f"dray {name}"):
            if option not in shared and isinstance(command, click.Command):
                assert option in sections[name], f"command-line.md says nothing of {path} {option}"


def options_of(command: object, path: str) -> list[tuple[str, str]]:
    import click

    found: list[tuple[str, str]] = []
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            found += options_of(inner, f"{path} {name}")
    if isinstance(command, click.Command):
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                found.append((path, max(parameter.opts, key=len)))
    return found


def test_the_readme_shows_the_two_commands_and_the_places_of_the_figures() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for needed in ("make demo", "make test", "<!-- bench -->", "<!-- /bench -->", "<!-- demo -->", "<!-- /demo -->"):
        assert needed in text


def test_the_first_example_is_ten_lines() -> None:
    first = next(FENCE.finditer((ROOT / "README.md").read_text(encoding="utf-8")))
    assert len(first["code"].splitlines()) <= 10
