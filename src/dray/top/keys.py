"""The keys of `dray top`: what is said of them below the tables and in the help."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text

from dray.top.look import ERRORS, JOBS, OVERVIEW, QUEUES, SCHEDULES, TABS, TASKS, WORKERS

LISTS = (QUEUES, JOBS, WORKERS, SCHEDULES, ERRORS, TASKS)
EVERYWHERE = tuple(range(len(TABS)))


@dataclass(frozen=True)
class Key:
    """A key: a word for the line below, a sentence for the help. `tabs`: where it does something."""

    key: str
    word: str
    what: str
    tabs: tuple[int, ...] = EVERYWHERE


KEYS = (
    Key("r", "retry", "retry failed, cancelled and scheduled jobs", (JOBS,)),
    Key("r", "retry", "retry the jobs that failed so (asks)", (ERRORS,)),
    Key("p", "pause", "pause; if all are paused, resume", (QUEUES, SCHEDULES)),
    Key("d", "dump", "where its threads and coroutines are", (WORKERS,)),
    Key("C", "CANCEL", "cancel jobs; running ones are told to stop", (JOBS,)),
    Key("D", "DELETE", "forget jobs, with history and logs", (JOBS,)),
    Key("D", "REMOVE", "remove schedules; their jobs stay", (SCHEDULES,)),
    Key("R", "RUN", "enqueue its job now", (SCHEDULES,)),
    Key("S", "STOP", "ask worker processes to stop", (WORKERS,)),
    Key("enter", "open", "a job; of all else: its jobs", LISTS),
    Key("x", "select", "select a row; a: all rows; esc: none", LISTS[:-1]),
    Key("A", "all", "select all that match, also on other pages", (JOBS,)),
    Key("n b", "older/newer", "turn the pages", (JOBS,)),
    Key("/", "search", "search jobs; the right arrow completes a word"),
    Key("space", "hold", "hold the screen still, or let it go on"),
    Key("?", "help", "this help"),
    Key("q", "quit", "quit; in a job: go back"),
)

MOVING = (
    ("1…7", "the tabs; tab, shift+tab: next, previous"),
    ("j k", "down, up; g G: first, last; ctrl+d ctrl+u: pages"),
)


def hints(tab: int, width: int) -> Text:
    """The line below: as many of the tab's keys as there is room for; the last two always."""
    mine = [key for key in KEYS if tab in key.tabs]
    if tab == OVERVIEW:
        mine = [Key("1-7", "tabs", ""), *mine]
    while len(mine) > 2 and sum(len(key.key) + len(key.word) + 3 for key in mine) > width:
        del mine[-3]
    text = Text("  ").join(Text.assemble((key.key, "bold"), f" {key.word}") for key in mine)
    text.truncate(width)
    return text


def help_text() -> Text:
    """All keys; each line fits into 68 cells."""
    text = Text()
    for name, what in MOVING:
        text.append(f"{name:<6}", "bold").append(f"{what}\n")
    for key in KEYS:
        where = "" if len(key.tabs) > 2 else f"  {', '.join(TABS[tab] for tab in key.tabs)}"
        text.append(f"{key.key:<6}", "bold").append(key.what).append(f"{where}\n", "dim")
    text.append("Keys act on the selected rows, else on the one with the cursor.\nThose in UPPER CASE ask before they do harm.")
    return text
