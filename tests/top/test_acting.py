"""What the keys do, and what is asked before."""

from __future__ import annotations

import threading

import pytest

from dray.insight import Insight
from dray.store.values import NodeInfo


def audit(store) -> list[tuple[str, str, str]]:
    return [(entry.by, entry.via, entry.action) for entry in Insight(store).audits()]


async def search(window, text: str, *shown: str) -> None:
    await window.press("slash")
    window.app.screen.query_one("#search").value = text
    await window.press("enter")
    await window.shows(text, *shown)


def test_retry_is_harmless_and_asks_nothing(play, store) -> None:
    async def story(window) -> None:
        await search(window, "state:failed", "2 match")
        await window.press("x", "x", "r")
        await window.shows("2 jobs retried.", "No jobs match")

    play(story)
    assert audit(store) == [("ann@here", "top", "retry")]


def test_cancel_asks_and_names_the_count(play, store) -> None:
    async def story(window) -> None:
        await search(window, "queue:default state:running,scheduled", "▶ running", "3 match")
        await window.press("a", "C")
        await window.shows("Cancel 3 jobs?", "2 running", "1 scheduled", "What runs is told to stop.")
        await window.press("n")
        await window.lacks("Cancel 3 jobs?")
        assert audit(store) == []
        await window.press("C", "y")
        await window.shows("1 job cancelled. 2 running jobs asked to stop.")

    play(story)
    assert Insight(store).counts()["default"]["cancelled"] == 2


def test_delete_of_one_says_which(play, store) -> None:
    async def story(window) -> None:
        await search(window, "state:succeeded", "✓ succeeded")
        id = window.app.screen.table.key
        await window.press("D")
        await window.shows("Delete 1 job?", "shop.add: 1 succeeded.", id)
        await window.press("enter")  # the button that has the focus says no
        await window.lacks("Delete 1 job?")
        assert Insight(store).job(id).state == "succeeded"
        await window.press("D", "y")
        await window.shows("1 job deleted.", "No jobs match")

    play(story)


def test_what_runs_is_not_deleted(play) -> None:
    async def story(window) -> None:
        await search(window, "state:running", "2 match")
        await window.press("a", "D")
        await window.shows("What runs stays.")
        await window.press("y")
        await window.shows("2 jobs not deleted: they are running.")

    play(story)


def test_everything_that_matches(play, store) -> None:
    async def story(window) -> None:
        await search(window, "queue:mail", "120 match")
        await window.press("A", "D")
        await window.shows("Delete 120 jobs?", "120 ready.")
        await window.press("y")
        await window.shows("120 jobs deleted.", "No jobs match")

    play(story)
    assert Insight(store).counts().get("mail", {}).get("ready", 0) == 0


def test_pause_and_resume_queues(play, store) -> None:
    async def story(window) -> None:
        await window.tab(2, "mail")
        await window.press("p")
        await window.shows("Paused: default", "‖ paused by ann@here")
        await window.press("a", "p")
        await window.shows("Paused: default and mail")
        await window.press("p")
        await window.shows("Resumed: default and mail.")
        await window.lacks("‖ paused")

    play(story)
    assert {action for _, _, action in audit(store)} == {"pause queue", "resume queue"}


def test_schedules(play, store) -> None:
    async def story(window) -> None:
        await window.tab(5, "hourly")
        await window.press("p")
        await window.shows("Paused: hourly", "‖ paused")
        await window.press("p")
        await window.shows("Resumed: ")
        await window.press("R")
        await window.shows("Run 1 schedule now?")
        await window.press("y")
        await window.shows("1 job enqueued: ")
        await window.press("a", "D")
        await window.shows("Remove 2 schedules?")
        await window.press("y")
        await window.shows("Removed: ", "There are no schedules")

    play(story)
    assert [action for _, _, action in audit(store)][-1:] == ["pause schedule"]
    assert len(audit(store)) == 5


def test_stop_a_worker(play, store) -> None:
    async def story(window) -> None:
        await window.tab(4, "hands")
        await window.press("S")
        await window.shows("Stop 1 worker?", "hands. 2 jobs running there")
        await window.press("y")
        await window.shows("Asked to stop: hands")

    play(story)
    (node,) = Insight(store).workers()
    assert [ask.what for ask in store.run(store.plans.asked, node.id)] == ["stop"]


def test_where_a_workers_threads_are(play, store) -> None:
    (node,) = Insight(store).workers()
    answered = threading.Thread(target=answer, args=(store, node))
    answered.start()

    async def story(window) -> None:
        await window.tab(4, "hands")
        await window.press("d")
        await window.shows("hands, process 4711 on here", "Thread MainThread: in sleep")
        await window.press("escape")
        await window.shows("▸4 Workers")

    play(story)
    answered.join()


def answer(store, node: NodeInfo) -> None:
    for _ in range(1000):
        for ask in store.run(store.plans.asked, node.id):
            store.run(store.plans.answer, node.id, ask.number, "Thread MainThread: in sleep")
            return
        threading.Event().wait(0.01)


def test_errors_are_retried_together(play, store) -> None:
    async def story(window) -> None:
        await window.tab(6, "ValueError")
        await window.press("r")
        await window.shows("Retry 2 jobs?", "2 failed.")
        await window.press("y")
        await window.shows("2 jobs retried.")
        await window.press("r")
        await window.shows("No job matches (any more).")

    play(story)
    assert Insight(store).counts()["default"].get("failed", 0) == 0


@pytest.mark.parametrize(("key", "asked", "came"), [
    ("r", "", "1 job retried."), ("D", "Delete 1 job?", "1 job deleted."), ("C", "Cancel 1 job?", "it is over already."),
])  # fmt: skip
def test_from_the_screen_of_a_job(play, key, asked, came) -> None:
    async def story(window) -> None:
        await search(window, "state:cancelled", "⊘ cancelled")
        await window.press("enter")
        await window.shows("⊘ cancelled  shop.add", "not wanted")
        await window.press(key)
        if asked:
            await window.shows(asked, "cancelled.")
            await window.press("y")
        await window.shows(came)

    play(story)
