"""What is to be seen in the window, and how one moves about."""

from __future__ import annotations

import pytest

from dray.insight import Insight
from dray.top.look import TABS


def test_every_tab_by_its_number_and_by_tab(play) -> None:
    seen = {
        2: ("queue", "mail", "● open"), 3: ("shop.send", "○ ready"), 4: ("hands", "● alive", "2/5", "50.0 MiB"),
        5: ("nightly", "0 3 * * *", "● on"), 6: ("ValueError: no such user", "180"), 7: ("shop.send", "11ms", "2.9 %"),
        1: ("Throughput", "● All is well", "120 ready", "2.0 % failed", "1 alive", "Busiest queues", "hourly"),
    }  # fmt: skip

    async def story(window) -> None:
        for number, texts in seen.items():
            await window.tab(number, f"▸{number} {TABS[number - 1]}", *texts)
        for number in (2, 3, 4, 5, 6, 7, 1):
            await window.press("tab")
            await window.shows(f"▸{number} ", *seen[number])
        await window.press("shift+tab")
        await window.shows("▸7 Tasks")
        await window.pilot.click("#tabs", offset=(14, 0))
        await window.shows("▸2 Queues", "mail")

    play(story)


def test_all_states_have_a_mark_and_a_word(play) -> None:
    marks = {
        "scheduled": "◷", "ready": "○", "running": "▶", "sleeping": "☾", "succeeded": "✓", "failed": "✗", "cancelled": "⊘",
    }  # fmt: skip

    async def story(window) -> None:
        for state, mark in marks.items():
            await window.press("slash")
            window.app.screen.query_one("#search").value = f"state:{state} "
            await window.press("enter")
            await window.shows(f"{mark} {state}")

    play(story)


@pytest.mark.parametrize("size", [(80, 24), (60, 16), (160, 50)])
def test_any_size(play, size) -> None:
    async def story(window) -> None:
        for number in (1, 2, 3, 4, 5, 6, 7):
            await window.tab(number, f"▸{number} ", "q quit")
            assert len(window.text.splitlines()) == size[1]
            if number == 3:
                await window.shows("○ ready", "shop.send", "waits")
        await window.press("question_mark")
        await window.shows("ctrl+d ctrl+u")
        await window.press("escape")
        await window.lacks("ctrl+d ctrl+u")

    play(story, size)


def test_the_search_and_what_it_completes(play) -> None:
    async def story(window) -> None:
        await window.tab(3, "○ ready")
        await window.press("slash")
        await window.type("stat")
        await window.shows("state:")  # what is proposed stands behind what was typed
        await window.press("right")
        await window.type("failed")
        await window.press("enter")
        await window.shows("ValueError: no such user", "2 match")
        await window.lacks("○ ready")
        await window.press("slash")
        await window.type(" attempt:many")
        await window.press("enter")
        await window.shows("✗ attempt:many has no whole number")
        await window.press("escape")  # out of the box it came already; so: search for nothing
        await window.shows("○ ready")
        await window.lacks("attempt:many")

    play(story)


def test_keys_are_text_in_the_search_box(play) -> None:
    async def story(window) -> None:
        await window.tab(2, "mail")
        await window.press("slash")
        await window.type("qxDC7")
        await window.shows("▸3 Jobs", "qxDC7")
        await window.press("escape")
        await window.lacks("qxDC7")
        await window.press("q")

    play(story)


def test_moving_and_pages(play) -> None:
    async def story(window) -> None:
        await window.tab(3, "user_id=119")
        table = window.app.screen.table
        await window.press("j", "j", "k")
        assert table.place == 1
        await window.press("G")
        assert table.place == 99
        await window.shows(f"› {table.rows[99].key[:18]}")
        await window.press("g", "ctrl+d")
        assert 20 < table.place < 40
        await window.press("pageup", "up")
        assert table.place == 0
        await window.press("n")
        await window.shows("page 2", "user_id=19")
        await window.lacks("user_id=119")
        await window.press("n", "n")  # there is no third one
        await window.shows("page 2")
        await window.press("b")
        await window.shows("user_id=119")
        await window.lacks("page 2")

    play(story)


def test_the_cursor_and_the_selection_stay_with_their_jobs(play, store) -> None:
    async def story(window) -> None:
        await window.tab(3, "user_id=119")
        table = window.app.screen.table
        await window.press("j", "x")
        marked, at = table.rows[1].key, table.rows[2].key
        await window.shows("1 selected", f" ■{marked[:18]}", f"› {at[:18]}")
        newest = Insight(store).again(at)
        await window.until(lambda: table.rows[0].key == newest, "the new job")
        assert (table.key, table.chosen) == (at, [marked])
        Insight(store).delete([marked])
        await window.lacks("1 selected")
        assert table.chosen == [at]

    play(story)


def test_selecting(play) -> None:
    async def story(window) -> None:
        await window.tab(3, "user_id=119")
        await window.press("x", "x")
        await window.shows("2 selected")
        await window.press("a")
        await window.shows("100 selected")
        await window.press("a")
        await window.lacks("selected")
        await window.press("A")
        await window.shows("ALL that match are selected")
        await window.press("escape")
        await window.lacks("selected")
        await window.pilot.click("#table2", offset=(1, 3))
        await window.shows("1 selected")

    play(story)


def test_a_job_whole(play, store) -> None:
    async def story(window) -> None:
        await window.press("slash")
        window.app.screen.query_one("#search").value = "state:failed"
        await window.press("enter")
        await window.shows("2 match")
        await window.press("enter")
        await window.shows(
            "✗ failed  shop.add", "It failed", "→ Correct the cause", "dray retry", "attempt    1 of 20", "Arguments",
            "Error", "ValueError: no such user", "Traceback", "Runs", "raised", "hands",
        )  # fmt: skip
        job = window.app.screen.job
        Insight(store).retry([job])
        await window.shows("○ ready")  # it is looked at again and again
        Insight(store).delete([job])
        await window.shows("No job", "is kept")
        await window.press("escape")
        await window.shows("▸3 Jobs", "1 match")

    play(story)


def test_from_a_row_to_its_jobs(play) -> None:
    async def story(window) -> None:
        for number, row, search in (
            (2, "mail", "queue:default"), (4, "hands", "state:running worker:1"), (5, "hourly", "schedule:hourly"),
            (6, "ValueError", "task:shop.add fingerprint:ab12cd34ef56"), (7, "shop.send", "task:shop.send"),
        ):  # fmt: skip
            await window.tab(number, row)
            await window.press("enter")
            await window.shows("▸3 Jobs", search)
        await window.tab(4, "hands")
        await window.press("enter")
        await window.shows("▶ running", "2 match")

    play(story)


def test_hold(play, store) -> None:
    async def story(window) -> None:
        await window.tab(2, "● open")
        await window.press("space")
        await window.shows("HELD")
        looks = window.app.screen.looker.looks
        Insight(store).pause("mail", "somebody")
        await window.pilot.pause(0.7)
        assert window.app.screen.looker.looks == looks
        assert "paused" not in window.text
        await window.press("space")
        await window.shows("‖ paused by somebody")

    play(story)


def test_nothing_that_a_job_carries_reaches_the_terminal_as_a_command(play) -> None:
    async def story(window) -> None:
        await window.tab(3, "user_id=119")
        await window.press("enter")
        await window.shows("<script>[red]alert(1)[/red]")
        for char in window.text:
            assert char == "\n" or (char >= " " and not 0x7F <= ord(char) < 0xA0 and char != "\u202e")

    play(story, (160, 50))


def test_without_colours_the_cursor_is_still_to_be_seen(play, monkeypatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def story(window) -> None:
        await window.tab(2, "mail")
        strips = window.app.screen._compositor.render_strips()
        line = next(strip for strip in strips if "› default" in strip.text)
        assert all(segment.style is not None and segment.style.reverse for segment in line if segment.text.strip())

    play(story)


def test_quit(play) -> None:
    async def story(window) -> None:
        await window.press("q")
        await window.until(lambda: not window.app.is_running, "the end")

    play(story)
