"""The dashboard in a real browser: accessible in both themes, live, usable by keyboard alone, robust against a server that goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dashboard_hands import Served, Shop, until

from dray.dashboard.pages import drawn

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def shop(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with Shop(tmp_path_factory.mktemp("browser")).at_work() as shop:
        yield shop


@pytest.fixture(scope="module")
def served(shop: Shop) -> Iterator[Served]:
    served = Served(shop.app.dashboard())
    yield served
    served.app.state.house.close()
    served.stop()


class Told:
    """What the browser complained about."""

    def __init__(self, context: BrowserContext) -> None:
        self.lines: list[str] = []
        context.on("page", self._watch)

    def _watch(self, page: Page) -> None:
        page.on("console", lambda said: said.type in ("error", "warning") and self.lines.append(f"{page.url}: {said.text}"))
        page.on("pageerror", lambda error: self.lines.append(f"{page.url}: {error}"))


@pytest.fixture
def context(browser: Browser, served: Served) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, base_url=served.url)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(8000)
    told = Told(context)
    yield context
    context.close()
    assert told.lines == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def is_live(page: Page) -> None:
    page.locator('#live[data-state="live"]').wait_for()


def ids(shop: Shop) -> list[str]:
    return [f"/jobs/{shop.ids[name]}" for name in ("failed", "hostile", "running", "succeeded", "scheduled")]


def paths(shop: Shop, served: Served) -> list[str]:
    app: Any = served.app
    plain = [door.path for door in app.state.doors if door.method == "GET" and "{" not in door.path]
    machine = ("/complete", "/palette", "/tasks/run", "/queues/one", "/tasks/one", "/schedules/one", "/errors/one", "/workers/one")
    node = shop.app.insight.workers()[0].id
    return [
        *(path for path in plain if path not in machine), *ids(shop), f"/jobs/{shop.ids['scheduled']}/edit", "/jobs?q=state:failed",
        "/jobs?q=state:nope", "/jobs?q=nothing-like-it", "/queues/one?name=money", "/tasks/one?name=shop.charge",
        "/tasks/run?name=shop.charge", "/schedules/one?name=nightly", f"/workers/one?id={node}", "/nowhere",
    ]  # fmt: skip


def violations(page: Page, rules: list[str]) -> list[tuple[str, list[str]]]:
    """What axe finds on the page as it is."""
    found = page.evaluate(
        "rules => axe.run({runOnly: rules, resultTypes: ['violations']}).then(found => found.violations)", rules
    )
    return [(one["id"], [f"{node['html'][:150]}: {node['failureSummary'][:300]}" for node in one["nodes"][:3]]) for one in found]


# What is not about colour is the same in both themes.
@pytest.mark.parametrize(("theme", "rules"), [("light", RULES), ("dark", ["color-contrast", "link-in-text-block"])])
def test_axe_finds_nothing(browser: Browser, shop: Shop, served: Served, theme: Any, rules: list[str]) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=theme, reduced_motion="reduce")
    page, found = context.new_page(), []
    page.add_init_script(AXE)
    for path in paths(shop, served):
        page.goto(served.url + path)
        found += [(path, *one) for one in violations(page, rules)]
    for dialog in ("ask", "help", "palette"):
        page.goto(f"{served.url}/jobs")
        page.evaluate("id => document.getElementById(id).showModal()", dialog)
        found += [(dialog, *one) for one in violations(page, rules)]
    context.close()
    assert not found, "\n".join(map(str, found))


def test_no_page_complains_or_is_wider_than_a_phone(browser: Browser, shop: Shop, served: Served) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740})
    told = Told(context)
    page, wide = context.new_page(), []
    for path in [path for path in paths(shop, served) if path not in ("/nowhere", "/jobs?q=state:nope")]:
        page.goto(served.url + path)
        page.locator("h1").wait_for()
        if page.evaluate("document.documentElement.scrollWidth") > 360:
            wide.append(path)
    context.close()
    assert told.lines == [] or all("/bulk" in line for line in told.lines)  # that page is of no operation, and says 404
    assert wide == []


def test_the_first_paint_comes_soon(page: Page) -> None:
    page.goto("/")
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
    assert painted is not None
    assert painted < 1000


def test_a_new_job_arrives_by_itself_and_nothing_else_is_touched(context: BrowserContext, page: Page, shop: Shop) -> None:
    other = context.new_page()
    for tab in (page, other):
        tab.goto("/jobs?q=task:shop.add")
        is_live(tab)
    page.bring_to_front()
    first = page.locator(f"#j-{shop.ids['succeeded']}")
    first.locator("input").check()
    first.locator("a").first.focus()
    page.evaluate("document.querySelector('.menu').open = true; window.mark = document.activeElement")
    new = shop.add.using(delay="2h").enqueue(77)
    for tab in (page, other):
        tab.bring_to_front()
        tab.locator(f"#j-{new.id}").wait_for()
    page.bring_to_front()
    assert first.locator("input").is_checked()
    assert page.evaluate("document.activeElement === window.mark")
    assert page.evaluate("document.querySelector('.menu').open")
    assert page.locator("[data-chosen]").inner_text() == "1 job selected"
    new.cancel()
    page.locator(f"#j-{new.id} .s-cancelled").wait_for()


def test_a_job_is_watched_while_it_runs(page: Page, shop: Shop) -> None:
    page.goto(f"/jobs/{shop.ids['running']}")
    page.get_by_text("3 of 10 (30 %)").first.wait_for()
    is_live(page)
    before = page.locator(".log li").count()
    shop.app.tasks["shop.film"].enqueue("not seen here")
    assert page.locator(".log li").count() == before
    assert page.locator(".log").inner_text().count("the first line") == 1


def test_live_updates_are_paused_and_go_on(page: Page, shop: Shop) -> None:
    page.goto("/jobs?q=task:shop.add")
    is_live(page)
    page.keyboard.press("p")
    page.locator('#live[data-state="paused"]').wait_for()
    page.get_by_text("Live updates are paused.").wait_for()
    new = shop.add.using(delay="2h").enqueue(78)
    page.wait_for_timeout(1500)  # longer than it would take
    assert page.locator(f"#j-{new.id}").count() == 0
    page.reload()
    page.locator('#live[data-state="paused"]').wait_for()  # it is remembered
    page.keyboard.press("p")
    is_live(page)
    page.locator(f"#j-{new.id}").wait_for()
    new.cancel()


def test_everything_by_keyboard(page: Page, shop: Shop) -> None:
    page.goto("/")
    page.keyboard.press("g")
    page.keyboard.press("j")
    page.wait_for_url("**/jobs")
    page.keyboard.press("/")
    page.keyboard.type("state:failed qu")
    page.locator("#suggest li").first.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.locator("#search").input_value() == "state:failed queue:"
    page.keyboard.type("money")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=state**money")
    page.keyboard.press("j")
    page.keyboard.press("x")
    assert page.locator("[data-chosen]").inner_text() == "1 job selected"
    page.keyboard.press("x")
    page.keyboard.press("r")  # the row in which one is
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Retry 1 job?").wait_for()
    claim = shop.app.insight.job(shop.ids["failed"]).claim
    page.keyboard.press("Enter")  # the safe answer is the first
    page.wait_for_timeout(200)
    assert shop.app.insight.job(shop.ids["failed"]).claim == claim
    page.keyboard.press("r")
    dialog.get_by_text("Retry 1 job?").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text("1 job to run again.").wait_for()
    until(lambda: shop.app.insight.job(shop.ids["failed"]).claim > claim, "the next run")
    until(lambda: shop.app.insight.job(shop.ids["failed"]).state == "failed", "its end")
    page.locator(f"#j-{shop.ids['failed']}").wait_for()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/jobs/{shop.ids['failed']}")
    page.keyboard.press("?")
    page.get_by_role("dialog").get_by_text("next, previous row").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.keyboard.type("shop.cha")
    page.locator("#palette-list li", has_text="shop.charge").first.wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url("**/tasks/one?name=shop.charge")


def test_single_letters_can_be_switched_off(page: Page) -> None:
    page.goto("/jobs")
    page.keyboard.press("?")
    page.locator("#keys-on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("p")
    is_live(page)
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.wait_for_timeout(200)
    assert page.url.endswith("/jobs")


def test_the_theme_is_turned_and_kept_without_a_flash(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("t")
    page.keyboard.press("t")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    answer = page.context.request.get("/jobs", headers={"accept": "text/html"})
    assert 'data-theme="dark"' in answer.text(), "the server knows it"
    page.keyboard.press("t")


def test_charts_are_drawn_and_stand_in_a_table_too(page: Page, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn, "LEAST", 0.0)  # so that they change at each look
    page.goto("/")
    page.locator("#chart-outcomes canvas").wait_for()
    page.locator("#chart-outcomes").hover()
    page.locator("#chart-outcomes .tip").wait_for()
    is_live(page)
    page.evaluate("window.canvas = document.querySelector('#chart-outcomes canvas')")
    page.locator("figure", has=page.locator("#chart-outcomes")).locator("summary").click()
    shown = page.locator("#chart-outcomes").get_attribute("data-chart")
    shop.add.enqueue(5)
    until(lambda: page.locator("#chart-outcomes").get_attribute("data-chart") != shown, "new figures")
    assert page.evaluate("document.querySelector('#chart-outcomes canvas') === window.canvas"), "the chart is not drawn anew"
    assert page.locator("figure", has=page.locator("#chart-outcomes")).locator("details").get_attribute("open") is not None


def test_hostile_contents_do_nothing(page: Page, shop: Shop) -> None:
    for path in ("/", "/jobs", "/queues", f"/jobs/{shop.ids['hostile']}", f"/jobs/{shop.ids['report']}", "/errors"):
        page.goto(path)
        page.locator("h1").wait_for()
        assert page.title() != "owned"
        assert page.locator("main img").count() == 0
    page.goto(f"/jobs/{shop.ids['hostile']}")
    is_live(page)
    assert page.locator("main script").count() == 0


def test_a_command_is_copied(page: Page, shop: Shop) -> None:
    page.goto(f"/jobs/{shop.ids['failed']}")
    page.locator(".why [data-copy]").click()
    page.get_by_text("Copied.").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == f"dray retry {shop.ids['failed']}"


def test_a_view_is_kept_under_a_name(page: Page) -> None:
    page.goto("/jobs?q=tag:vip")
    page.locator("summary", has_text="Views").click()
    page.get_by_label("Name of the view").fill("Our best")
    page.get_by_role("button", name="Keep").click()
    page.goto("/jobs")
    page.locator("summary", has_text="Views").click()
    page.get_by_role("link", name="Our best").click()
    page.wait_for_url("**/jobs?q=tag:vip")
    page.locator("summary", has_text="Views").click()
    page.get_by_label("Forget the view Our best").click()
    assert page.get_by_role("link", name="Our best").count() == 0


def test_many_are_deleted_with_their_number_first(page: Page, shop: Shop) -> None:
    shop.app.enqueue_many(shop.add.using(delay="2h", tags=["many"]).call(n) for n in range(260))
    page.goto("/jobs?q=tag:many")
    page.locator("[data-every]").check()
    assert page.locator("[data-chosen]").inner_text() == "50 jobs selected"
    page.locator("[data-matching]").check()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_text("Cancel 260 jobs?").wait_for()
    page.get_by_role("button", name="Cancel 260 jobs").click()
    page.wait_for_url("**/bulk?id=**")
    page.get_by_text("260 jobs cancelled.").wait_for()
    page.get_by_role("link", name="Back to the jobs").click()
    page.wait_for_url("**/jobs?q=tag:many")
    shop.app.insight.bulk("tag:many", "delete")


def test_without_scripts_all_can_be_read_and_done(browser: Browser, served: Served, shop: Shop) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, base_url=served.url, java_script_enabled=False)
    context.set_default_timeout(8000)
    page = context.new_page()
    page.goto("/")
    assert page.locator("svg.lines").count() == 4
    assert "UTC" in page.locator("table:visible time").last.inner_text()
    page.get_by_role("navigation", name="Dashboard").get_by_role("link", name="Jobs").click()
    page.get_by_label("Search jobs").fill("state:failed queue:money")
    page.get_by_label("Search jobs").press("Enter")
    page.get_by_label(f"Select job {shop.ids['failed']}").check()
    page.get_by_role("button", name="Retry", exact=True).click()
    page.get_by_text("Retry 1 job?").wait_for()
    claim = shop.app.insight.job(shop.ids["failed"]).claim
    page.get_by_role("button", name="Retry 1 job").click()
    assert page.get_by_role("status").first.inner_text() == "1 job to run again."
    until(lambda: shop.app.insight.job(shop.ids["failed"]).claim > claim, "the next run")
    until(lambda: shop.app.insight.job(shop.ids["failed"]).state == "failed", "its end")
    context.close()


def test_a_server_that_was_killed_comes_back(browser: Browser, served: Served, shop: Shop) -> None:
    context = browser.new_context(base_url=served.url)  # its console tells of the server that is gone
    context.set_default_timeout(20_000)
    page = context.new_page()
    page.goto("/jobs?q=task:shop.add")
    is_live(page)
    served.stop()
    page.locator('#live[data-state="lost"]').wait_for()
    page.get_by_text("The connection is lost; trying again.").wait_for()
    new = shop.add.using(delay="2h").enqueue(79)
    served.start()
    is_live(page)
    page.get_by_text("The connection is back.").wait_for()
    page.locator(f"#j-{new.id}").wait_for()
    new.cancel()
    context.close()
