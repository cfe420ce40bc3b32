"""The pages Queues, Tasks, Schedules, Errors, Workers, System and Audit in a browser: their layout on screens of all widths and in
both themes, and that they can be used without scripts and by keyboard alone."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from api_hands import until
from pages_hands import HOSTILE, PAGES, app, the_error

from dray import Dray
from dray.dashboard import Settings, make

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["app"]  # a fixture

uvicorn = pytest.importorskip("uvicorn")


@pytest.fixture(scope="module")
def site(app: Dray) -> Iterator[str]:
    """The dashboard, really served: its URL."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(make(app, Settings()), log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
        thread.start()
        until(lambda: server.started, "the server")
        yield f"http://127.0.0.1:{place.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def plain(browser: Browser) -> Iterator[Page]:
    """A page without scripts."""
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 800})
    yield context.new_page()
    context.close()


def pages(app: Dray) -> list[str]:
    """All of them, also of one thing each."""
    what, [node] = the_error(app), app.insight.workers()
    return [
        *PAGES, f"queues/one?name={quote(HOSTILE)}", "tasks/one?name=page.bad", "tasks/run?name=page.add",
        "schedules/one?name=nightly",
        f"errors/one?fingerprint={what['fingerprint']}&task={what['task']}", f"workers/one?id={node.id}",
    ]  # fmt: skip


@pytest.mark.parametrize(("width", "theme"), [(360, "dark"), (1280, "light")])
def test_nothing_sticks_out_and_nothing_is_complained_about(browser: Browser, site: str, app: Dray, width: int, theme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=theme)  # type: ignore[arg-type]
    page, told = context.new_page(), []
    page.on("console", lambda message: told.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: told.append(str(error)))
    for path in pages(app):
        answer = page.goto(f"{site}/{path}")
        assert answer is not None
        assert answer.status == 200, path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.locator("h1").count() == 1, path
    context.close()
    assert told == []


def test_a_queue_is_paused_and_resumed_without_scripts(plain: Page, site: str) -> None:
    plain.goto(f"{site}/queues/one?name=money")
    plain.get_by_role("button", name="Pause").click()
    assert "Pause the queue money?" in plain.locator("main").inner_text()
    plain.get_by_role("button", name="Pause it").click()
    assert plain.url.endswith("/queues/one?name=money")
    assert "Queue money is paused, with 0 ready jobs in it." in plain.get_by_role("status").first.inner_text()
    plain.get_by_role("button", name="Resume").click()
    assert "Queue money goes on." in plain.get_by_role("status").first.inner_text()


def test_a_task_is_run_by_keyboard_and_without_scripts(plain: Page, site: str) -> None:
    plain.goto(f"{site}/tasks/one?name=page.add")
    plain.get_by_role("link", name="Run").press("Enter")
    plain.get_by_label("a int needed").fill("7")
    plain.get_by_label("Delay").fill("soon")
    plain.get_by_label("Delay").press("Enter")
    told = plain.get_by_label("Delay")
    assert told.get_attribute("aria-invalid") == "true"
    assert "delay" in plain.locator(f"#{told.get_attribute('aria-describedby')}").inner_text()
    assert plain.get_by_label("a int needed").input_value() == "7"
    told.fill("1h")
    told.press("Enter")
    assert "/jobs/" in plain.url


def test_a_queue_is_paused_in_a_dialog_by_keyboard_and_others_see_it_live(browser: Browser, site: str, app: Dray) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page, other = context.new_page(), context.new_page()
    other.goto(f"{site}/queues")
    row = other.locator("tr", has_text="money")
    page.goto(f"{site}/queues/one?name=money")
    page.get_by_role("button", name="Pause", exact=True).press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    assert "Pause the queue money?" in dialog.inner_text()
    dialog.get_by_role("button").last.press("Enter")
    page.get_by_role("button", name="Resume").wait_for()
    other.bring_to_front()
    row.get_by_text("paused", exact=True).first.wait_for()
    app.insight.resume("money")
    row.get_by_role("button", name="Pause").wait_for()
    context.close()


def test_a_phone_shows_each_value_with_its_name(browser: Browser, site: str) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 800}, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/queues")
    cell = page.locator("td[data-label='Oldest waits'], td[data-label='Oldest']").first
    box = cell.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
    context.close()
