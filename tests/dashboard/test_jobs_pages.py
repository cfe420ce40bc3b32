"""The pages Overview, Jobs and Job, and bulk actions, asked straight."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator

import pytest
from dashboard_hands import HOSTILE, Shop, TestClient, until, web

from dray.dashboard.redact import MARK

IDS = re.compile(r'name="ids" value="([0-9a-f-]+)"')


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with Shop(tmp_path_factory.mktemp("shop")).at_work() as shop:
        yield shop


@pytest.fixture(scope="module")
def there(shop: Shop) -> TestClient:
    return web(shop.app)


def test_the_overview_tells_how_things_are(there: TestClient, shop: Shop) -> None:
    until(lambda: "shop.charge" in there.get("/").text, "the figures of the failed job")
    page = there.get("/").text
    assert "All is well: 1 worker at work" in html.unescape(page)
    for told in ("Waiting", "Running", "Succeeded", "Failed", "Jobs a minute", "nightly"):
        assert told in page, told
    assert 'href="/jobs?q=state%3Afailed+queue%3Amoney"' in page
    assert there.get("/?hours=nonsense").status_code == there.get("/?hours=1e9").status_code == 200


def test_jobs_are_found_and_followed_page_by_page(there: TestClient, shop: Shop) -> None:
    handles = shop.app.enqueue_many(shop.add.using(delay="3h", tags=["paged"]).call(n) for n in range(60))
    first = there.get("/jobs?q=tag:paged&limit=25")
    found, text = IDS.findall(first.text), first.text
    while match := re.search(r'href="([^"]+)" rel="next"', text):
        text = there.get(html.unescape(match[1])).text
        found += IDS.findall(text)
    assert sorted(found) == sorted(handle.id for handle in handles)
    assert len(set(found)) == 60
    shop.app.insight.bulk("tag:paged", "delete")


def test_the_tabs_count_what_the_search_is_about(there: TestClient, shop: Shop) -> None:
    def tab(page: str, state: str) -> str:
        return re.search(rf'class="s-{state}">.*?<span class="n">([\d,]+)</span>', page, re.DOTALL)[1]  # type: ignore[index]

    assert tab(there.get("/jobs").text, "failed") == "2"
    assert tab(there.get("/jobs?q=queue:money").text, "failed") == "1"
    page = there.get("/jobs?q=queue:money+state:failed").text
    assert re.search(r'aria-current="true" class="s-failed"', page)
    assert 'href="/jobs?q=state%3Aready+queue%3Amoney"' in page, "the rest of the search stays"


def test_columns_are_chosen_and_remembered(shop: Shop) -> None:
    there = web(shop.app)
    assert "<th scope=\"col\">Tags</th>" not in there.get("/jobs").text
    chosen = there.get("/jobs?col=tags&col=worker&col=id").text
    for page in (chosen, there.get("/jobs").text):
        assert '<th scope="col">Tags</th>' in page
        assert '<th scope="col">Arguments</th>' not in page
    assert '<th scope="col">Arguments</th>' in there.get("/jobs?cols=usual").text
    assert '<th scope="col">Arguments</th>' in there.get("/jobs").text


def test_what_is_hidden_cannot_be_found_out(there: TestClient, shop: Shop) -> None:
    assert shop.ids["failed"] in there.get("/jobs?q=args.order.id:7").text
    refused = there.get("/jobs?q=args.order.card.number:4111*")
    assert refused.status_code == 400
    assert "hidden in this dashboard" in refused.text
    for guess in ("hunter2", "41112222", "args:4111*", "error:hunter2"):
        assert shop.ids["failed"] not in IDS.findall(there.get(f"/jobs?q={guess}").text), guess
    assert shop.ids["failed"] in there.get("/jobs?q=declined").text


def test_the_search_box_is_completed(there: TestClient) -> None:
    found = there.get("/complete?text=state:failed+que").json()
    assert {"text": "state:failed queue:", "shown": "queue:", "label": found[0]["label"]} == found[0]
    assert [one["text"] for one in there.get("/complete?text=queue:mo").json()] == ["queue:money"]
    assert there.get("/complete?text=task:shop.ch&cursor=nonsense").json()[0]["text"] == "task:shop.charge"
    assert there.get("/complete?text=" + "x" * 5000).json() == []


def test_the_palette_knows_queues_tasks_and_schedules(there: TestClient) -> None:
    found = {(one["kind"], one["label"]): one["go"] for one in there.get("/palette").json()}
    assert found["queue", "money"] == "/queues/one?name=money"
    assert found["task", "shop.charge"] == "/tasks/one?name=shop.charge"
    assert ("schedule", "nightly") in found


# -- one job


def test_a_failed_job_tells_its_story(there: TestClient, shop: Shop) -> None:
    page = there.get(f"/jobs/{shop.ids['failed']}").text
    for told in (
        "no attempts left", "ValueError: declined: password=•••", "Traceback", "in charge", "token=•••", "dray retry ", "vip",
    ):  # fmt: skip
        assert told in page, told
    for secret in ("hunter2", "4111222233334444", "tok_in_the_log"):
        assert secret not in page
    assert "app.task_named(&#39;shop.charge&#39;).using(queue=&#39;money&#39;).enqueue(" in page


def test_a_running_job_shows_progress_and_log(there: TestClient, shop: Shop) -> None:
    page = there.get(f"/jobs/{shop.ids['running']}").text
    assert "3 of 10 (30 %)" in page
    assert "the first line" in page
    assert ">Cancel</button>" in page
    assert ">Delete</button>" not in page


def test_a_part_of_an_id_is_enough(there: TestClient, shop: Shop) -> None:
    assert there.get(f"/jobs/{shop.ids['failed'][:30]}").status_code == 200


def test_hostile_contents_are_shown_harmlessly_and_cut(there: TestClient, shop: Shop) -> None:
    answer = there.get(f"/jobs/{shop.ids['hostile']}")
    assert len(answer.content) < 150_000
    page = answer.text
    assert "<script>document" not in page
    assert "<img" not in page
    assert html.escape(HOSTILE, quote=False) in page.replace("&#39;", "'").replace("&#34;", '"')
    assert "\u202e" not in page
    assert ">U+202E</span>" in page
    assert "\x07" not in page
    assert ">U+0007</span>" in page
    assert "مرحبا بالعالم 🎉" in page
    assert "show all" in page
    whole = there.get(f"/jobs/{shop.ids['hostile']}/raw?what=args")
    assert whole.headers["content-type"].startswith("text/plain")
    assert len(whole.text) > 5_000_000
    assert there.get("/jobs").text.count("x" * 300) == 0


@pytest.mark.parametrize("what", ["args", "result", "error", "options", "log"])
def test_every_part_is_there_as_text(there: TestClient, shop: Shop, what: str) -> None:
    answer = there.get(f"/jobs/{shop.ids['failed']}/raw?what={what}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert "hunter2" not in answer.text
    assert there.get(f"/jobs/{shop.ids['failed']}/raw?what=nonsense").status_code == 404


def test_a_job_is_edited_and_run_again_with_its_secrets(there: TestClient, shop: Shop) -> None:
    path = f"/jobs/{shop.ids['failed']}/edit"
    given = json.loads(html.unescape(re.search(r"<textarea[^>]*>(.*?)</textarea>", there.get(path).text, re.DOTALL)[1]))  # type: ignore[index]
    assert given == {"order": {"id": 7, "card": {"number": MARK, "owner": "Ann"}}, "amount": 9.5}
    given["order"]["id"] = 8
    new = there.post(path, data={"args": json.dumps(given), "what": "again"}).headers["location"].rpartition("/")[2]
    assert shop.app.insight.job(new).args["order"] == {"id": 8, "card": {"number": "4111222233334444", "owner": "Ann"}}
    until(lambda: shop.app.insight.job(new).state == "failed", "the new job")
    shop.app.insight.delete([new])


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ("{", "are no JSON"), ("[1]", "object by parameter name"), ('{"amount": 1}', "order"),
        ('{"order": {}, "amount": "much"}', "amount"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_told_and_what_was_typed_stays(there: TestClient, shop: Shop, args: str, told: str) -> None:
    answer = there.post(f"/jobs/{shop.ids['failed']}/edit", data={"args": args, "what": "again"})
    assert answer.status_code == 422
    page = html.unescape(answer.text)
    assert told in page.partition('role="alert"')[2].partition("</p>")[0]
    assert f">{args}</textarea>" in page


def test_a_waiting_job_is_changed(there: TestClient, shop: Shop) -> None:
    job = shop.add.using(delay="2h").enqueue(1)
    sent = {"args": '{"a": 5}', "priority": "7", "max_attempts": "3", "what": "change"}
    assert there.post(f"/jobs/{job.id}/edit", data={**sent, "priority": "700"}).status_code == 422
    assert there.post(f"/jobs/{job.id}/edit", data=sent).headers["location"] == f"/jobs/{job.id}"
    info = job.refresh().info
    assert (info.args, info.priority, info.max_attempts) == ({"a": 5}, 7, 3)
    job.cancel()
    assert "does not wait any more" in there.post(f"/jobs/{job.id}/edit", data=sent).text
    assert web(shop.app, access=lambda _: "operate").post(f"/jobs/{job.id}/edit", data=sent).status_code == 403


# -- many jobs


def test_some_are_retried_once_somebody_is_sure(there: TestClient, shop: Shop) -> None:
    jobs = [shop.add.using(delay="2h").enqueue(n) for n in range(3)]
    for job in jobs:
        job.cancel()
    sent = {"action": "retry", "ids": [job.id for job in jobs], "next": "/jobs?q=x"}
    assert there.post("/bulk/count", data=sent).json() == {"n": 3, "text": "3 jobs"}
    asked = there.post("/bulk", data=sent)
    assert "Retry 3 jobs?" in asked.text
    assert jobs[0].refresh().state == "cancelled"
    kept = dict(re.findall(r'name="(\w+)" value="([^"]*)"', asked.text.partition("<form method=\"post\">")[2]))
    assert kept["sure"] == "1"
    done = there.post("/bulk", data={**sent, "sure": "1"})
    assert done.headers["location"] == "/jobs?q=x"
    assert "3 jobs to run again." in there.get("/jobs?q=x").text
    assert "3 jobs to run again." not in there.get("/jobs?q=x").text, "a note is shown once"
    until(lambda: all(job.refresh().state == "succeeded" for job in jobs), "the jobs")


def test_all_that_match_are_counted_done_and_watched(there: TestClient, shop: Shop) -> None:
    shop.app.enqueue_many(shop.add.using(delay="2h", tags=["many"]).call(n) for n in range(450))
    sent = {"action": "cancel", "all": "1", "q": "tag:many"}
    assert there.post("/bulk/count", data=sent).json() == {"n": 450, "text": "450 jobs"}
    assert "Cancel 450 jobs?" in there.post("/bulk", data=sent).text
    place = there.post("/bulk", data={**sent, "sure": "1"}).headers["location"]
    assert place.startswith("/bulk?id=")
    until(lambda: "is over" in there.get(place).text, "the end of the bulk")
    assert "450 jobs cancelled." in there.get(place).text
    assert shop.app.insight.count("tag:many state:cancelled").n == 450
    assert there.post("/bulk/stop", data={"id": place.partition("id=")[2].partition("&")[0]}).status_code == 303
    assert there.post("/bulk/count", data={**sent, "action": "delete"}).json()["n"] == 450
    assert there.post("/bulk/count", data=sent).json()["n"] == 0, "what has ended is not cancelled again"
    assert shop.app.insight.audits()[0].action == "cancel"
    shop.app.insight.bulk("tag:many", "delete")


def test_bulk_of_nothing_and_of_what_is_hidden(there: TestClient) -> None:
    assert there.post("/bulk", data={"action": "retry"}).headers["location"] == "/jobs"
    assert there.post("/bulk/count", data={"action": "retry", "all": "1", "q": "args.password:x"}).status_code == 400
    assert there.post("/bulk/count", data={"action": "retry", "ids": "nonsense"}).json()["n"] == 1
    assert there.post("/bulk", data={"action": "retry", "ids": "nonsense", "sure": "1"}).status_code == 404
    assert there.get("/bulk?id=nonsense").status_code == 404


def test_forms_are_read_strictly(there: TestClient) -> None:
    assert there.post("/bulk", content=b"{}", headers={"content-type": "application/json"}).status_code == 415
    assert there.post("/bulk", content=b"q=" + b"x" * 5_000_000, headers={"content-type": "application/x-www-form-urlencoded"}
                      ).status_code == 413  # fmt: skip
    assert there.post("/bulk", content=b"q=\xff", headers={"content-type": "application/x-www-form-urlencoded"}).status_code == 400


def test_scripts_are_told_where_to_go_instead_of_sent(there: TestClient, shop: Shop) -> None:
    job = shop.add.using(delay="2h").enqueue(1)
    answer = there.post("/job/cancel", data={"id": job.id, "sure": "1", "next": "/jobs"}, headers={"dray-live": "1"})
    assert answer.json() == {"go": "/jobs", "note": "The job is cancelled."}
    assert "set-cookie" not in answer.headers
