"""The API that does something: who may, what comes of it, and what is written to the audit."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from api_hands import Scene, TestClient, client, served, until

from dray import Dray
from dray.dashboard.redact import MARK
from dray.insight import Insight
from dray.model.job import State

URL = "/api/v1"
MISSING = "01a21005-fbf4-7000-8000-1a64ddbce183"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with Scene(tmp_path_factory.mktemp("acting")).at_work() as made:
        yield made


@pytest.fixture(scope="module")
def web(scene: Scene) -> TestClient:
    return client(served(scene.app, bulk_per_minute=1e6))


@pytest.fixture
def quiet(tmp_path: Any) -> Iterator[Dray]:
    """An app without a worker: nothing happens by itself."""
    app = Dray(f"sqlite:///{tmp_path}/jobs.db")

    @app.task(name="add")
    def add(a: int, token: str = "") -> int:
        return a

    yield app
    app.close()


def told(answer: Any, status: int) -> Any:
    assert answer.status_code == status, answer.text
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.json()["detail"]
    return answer.json()


def enqueue(web: TestClient, status: int = 201, **body: Any) -> Any:
    return told(web.post(f"{URL}/jobs", json=body), status)


# -- making jobs


def test_a_job_is_made_runs_and_is_where_the_answer_says(scene: Scene, web: TestClient) -> None:
    answer = web.post(f"{URL}/jobs", json={"task": "shop.add", "args": {"a": 20, "b": 22}})
    made = told(answer, 201)
    assert made["checked"] is True
    assert answer.headers["location"] == f"{URL}/jobs/{made['id']}"

    def ended() -> Any:
        job = web.get(answer.headers["location"]).json()
        return job if job["state"] == "succeeded" else None

    assert until(ended, "the job's end")["result"] == 42


def test_options_of_a_job(web: TestClient) -> None:
    made = enqueue(
        web, task="shop.add", args={"a": 1}, queue="other", priority=7, max_attempts=2, at="2200-01-01T00:00:00Z", tags=["x", "y"],
    )  # fmt: skip
    job = told(web.get(f"{URL}/jobs/{made['id']}"), 200)
    assert (job["queue"], job["priority"], job["max_attempts"], job["tags"]) == ("other", 7, 2, ["x", "y"])
    assert (job["state"], job["due"]) == ("scheduled", "2200-01-01T00:00:00+00:00")
    assert "delay and at" in enqueue(web, 422, task="shop.add", args={"a": 1}, delay="5m", at="2200-01-01T00:00:00Z")
    assert "delay" in enqueue(web, 422, task="shop.add", args={"a": 1}, delay="soon")


def test_without_the_code_a_job_is_made_like_the_newest_one(quiet: Dray) -> None:
    old = quiet.tasks["add"].using(priority=3).enqueue(1)
    web = client(served(Insight(quiet.store)))
    made = enqueue(web, task="add", args={"a": "unchecked"})
    assert made["checked"] is False
    job = quiet.insight.job(made["id"])
    assert (job.args, job.priority, job.task) == ({"a": "unchecked"}, 3, old.info.task)
    assert "take no priority" in enqueue(web, 422, task="add", priority=1)
    assert "no job of it is kept" in enqueue(web, 422, task="never")
    assert told(web.get(f"{URL}/tasks/add"), 404)


def test_run_again_and_edit_leave_what_was_hidden(quiet: Dray) -> None:
    id_ = quiet.tasks["add"].using(delay="1h").enqueue(1, token="tok_1").id
    web = client(served(quiet))
    shown = told(web.get(f"{URL}/jobs/{id_}"), 200)["args"]
    assert shown == {"a": 1, "token": MARK}
    again = told(web.post(f"{URL}/jobs/{id_}/again", json={"args": {**shown, "a": 2}}), 201)
    assert quiet.insight.job(again["id"]).args == {"a": 2, "token": "tok_1"}
    assert quiet.insight.job(told(web.post(f"{URL}/jobs/{id_}/again"), 201)["id"]).args == {"a": 1, "token": "tok_1"}
    assert "a must be int" in told(web.post(f"{URL}/jobs/{id_}/again", json={"args": {"a": "x"}}), 422)

    changed = told(web.patch(f"{URL}/jobs/{id_}", json={"args": {**shown, "a": 3}, "priority": 9}), 200)
    assert (changed["args"], changed["priority"]) == ({"a": 3, "token": MARK}, 9)
    assert quiet.insight.job(id_).args == {"a": 3, "token": "tok_1"}
    assert "nothing to change" in told(web.patch(f"{URL}/jobs/{id_}", json={}), 422)
    quiet.insight.cancel([id_])
    assert "is cancelled" in told(web.patch(f"{URL}/jobs/{id_}", json={"priority": 1}), 409)


# -- one job


def test_cancel_retry_delete(quiet: Dray) -> None:
    id_ = quiet.tasks["add"].enqueue(1).id
    web = client(served(quiet))
    url = f"{URL}/jobs/{id_}"
    assert told(web.post(f"{url}/cancel", json={"reason": "a mistake"}), 200) == {"id": id_, "answer": "cancelled"}
    assert told(web.get(url), 200)["reason"] == "a mistake"
    assert "it has ended already" in told(web.post(f"{url}/cancel"), 409)
    assert told(web.post(f"{url}/retry"), 200) == {"id": id_, "answer": "ready"}
    assert told(web.delete(url), 200) == {"id": id_, "answer": "deleted"}
    assert id_ in told(web.delete(url), 404)
    audit = told(web.get(f"{URL}/audit"), 200)["audit"]
    assert [(entry["action"], entry["detail"]) for entry in audit] == [
        ("delete", "1 unknown"), ("delete", "1 deleted"), ("retry", "1 ready"), ("cancel", "1 final"),
        ("cancel", "1 cancelled (a mistake)"),
    ]  # fmt: skip
    assert {(entry["by"], entry["via"], entry["target"]) for entry in audit} == {("local", "api", id_)}


def test_what_keeps_the_place_of_a_deleted_job_is_no_job(quiet: Dray) -> None:
    web = client(served(quiet))
    told(web.delete(f"{URL}/jobs/{quiet.tasks['add'].enqueue(1).id}"), 200)
    nobody = f"{URL}/jobs/00000000-0000-0000-0000-000000000000"
    assert "No job" in told(web.get(nobody), 404)
    assert "No job" in told(web.post(f"{nobody}/retry"), 404)
    assert "No job" in told(web.delete(nobody), 404)
    assert told(web.get(f"{URL}/jobs/count"), 200)["n"] == 0


def test_a_running_job_is_asked_and_not_deleted(scene: Scene, web: TestClient) -> None:
    url = f"{URL}/jobs/{scene.ids['running']}"
    assert "cancel it first" in told(web.delete(url), 409)
    assert "it is running" in told(web.post(f"{url}/retry"), 409)


# -- many


def test_bulk_goes_on_in_the_background(quiet: Dray) -> None:
    ids = [handle.id for handle in quiet.enqueue_many(quiet.tasks["add"].call(n) for n in range(450))]
    web = client(served(quiet))
    answer = web.post(f"{URL}/operations", json={"action": "cancel", "q": "task:add"})
    begun = told(answer, 202)
    assert (begun["action"], begun["expected"], begun["by"]) == ("cancel", 450, "local")
    assert begun["q"] == "state:scheduled,ready,running,blocked,sleeping task:add", "without state: those that can be cancelled"

    def over() -> Any:
        found = told(web.get(answer.headers["location"]), 200)
        return found if found["over"] else None

    ended = until(over, "the end of the bulk action")
    assert (ended["matched"], ended["done"], ended["answers"], ended["error"]) == (450, 450, {"cancelled": 450}, "")
    assert quiet.insight.counts()["default"]["cancelled"] == 450
    answer = web.post(f"{URL}/operations", json={"action": "delete", "ids": [*ids[:3], ids[0]]})
    assert until(over, "the end of the second")["answers"] == {"deleted": 3}
    assert told(web.post(f"{URL}/operations/{begun['id']}/stop"), 200)["over"] is True


def test_bulk_can_be_stopped(quiet: Dray) -> None:
    quiet.enqueue_many(quiet.tasks["add"].call(n) for n in range(1000))
    app = served(quiet)
    web = client(app)
    operations = app.state.house.operations
    begin = operations.start

    asked = threading.Event()

    def held(work: Any, **about: Any) -> Any:
        return begin(lambda progress: work(progress) if asked.wait(20) else None, **about)

    operations.start = held
    answer = web.post(f"{URL}/operations", json={"action": "cancel", "q": "task:add"})
    url = answer.headers["location"]
    assert told(web.post(f"{url}/stop"), 200)["stopping"] is True
    asked.set()
    ended = until(lambda: (found := told(web.get(url), 200))["over"] and found, "the stopped bulk action")
    assert "stopped" in ended["error"]
    assert quiet.insight.counts()["default"].get("ready", 0) > 0, "not all of them were reached"


def test_bulk_says_no(quiet: Dray) -> None:
    web = client(served(quiet, bulk_per_minute=1))
    url = f"{URL}/operations"
    assert "one of them" in told(web.post(url, json={"action": "retry"}), 422)
    assert "one of them" in told(web.post(url, json={"action": "retry", "q": "state:failed", "ids": [MISSING]}), 422)
    assert "q" in told(web.post(url, json={"action": "retry", "q": ""}), 422)
    assert "action" in told(web.post(url, json={"action": "burn", "q": "state:failed"}), 422)
    assert "sleepy" in told(web.post(url, json={"action": "retry", "q": "state:sleepy"}), 422)
    assert "ids[0]" in told(web.post(url, json={"action": "retry", "ids": ["zz"]}), 422)
    assert "remembers" in told(web.get(f"{url}/nothing"), 404)
    for _ in range(5):
        told(web.post(url, json={"action": "retry", "q": "state:failed"}), 202)
    answer = web.post(url, json={"action": "retry", "q": "state:failed"})
    assert "wait" in told(answer, 429)
    assert int(answer.headers["retry-after"]) >= 1


# -- queues, schedules, workers


def test_queues_are_paused_and_resumed(quiet: Dray) -> None:
    web = client(served(quiet))
    paused = told(web.post(f"{URL}/queues/a%2Fb/pause"), 200)
    assert (paused["name"], paused["paused_by"]) == ("a/b", "local")
    assert paused["paused"]
    resumed = told(web.post(f"{URL}/queues/a%2Fb/resume"), 200)
    assert resumed["paused"] is None
    assert "without commas" in told(web.post(f"{URL}/queues/a,b/pause"), 404)
    assert "no queue" in told(web.post(f"{URL}/queues/other/resume"), 404)


def test_schedules_are_run_paused_and_removed(quiet: Dray) -> None:
    quiet.schedules.put("nightly/sum", quiet.tasks["add"].call(1), "0 7 * * *")
    web = client(served(quiet))
    url = f"{URL}/schedules/nightly%2Fsum"
    fired = told(web.post(f"{url}/run"), 201)
    assert quiet.insight.job(fired["id"]).schedule == fired["schedule"] == "nightly/sum"
    paused = told(web.post(f"{url}/pause"), 200)
    assert paused["paused"]
    assert paused["next"] is None
    assert told(web.post(f"{url}/resume"), 200)["next"]
    assert told(web.delete(url), 200) == {"name": "nightly/sum", "declared": False}
    assert "no schedule" in told(web.post(f"{url}/run"), 404)


def test_a_worker_tells_where_its_threads_are(scene: Scene, web: TestClient) -> None:
    node = told(web.get(f"{URL}/workers"), 200)["workers"][0]["id"]
    assert told(web.post(f"{URL}/workers/{node}/dump"), 202) == {"node": node, "asked": "dump"}

    def said() -> Any:
        answer = web.get(f"{URL}/workers/{node}/answer")
        return answer.json() if answer.status_code == 200 else None

    assert "api_hands.py" in until(said, "the worker's answer")["text"]
    assert "no worker 77" in told(web.post(f"{URL}/workers/77/stop"), 404)


# -- who may


@pytest.mark.parametrize(
    ("role", "method", "path", "status"),
    [
        ("read", "GET", "/jobs", 200),
        ("read", "POST", "/queues/mail/pause", 403),
        ("read", "POST", "/jobs", 403),
        ("operate", "POST", "/queues/mail/pause", 200),
        ("operate", "DELETE", "/schedules/x", 403),
        ("operate", "POST", "/workers/1/stop", 403),
        ("all", "DELETE", "/schedules/x", 404),
        ("all", "POST", "/workers/1/stop", 404),
    ],
)
def test_roles(quiet: Dray, role: str, method: str, path: str, status: int) -> None:
    web = client(served(quiet, access=lambda request: (role, "alice")))
    answer = web.request(method, URL + path)
    detail = told(answer, status)
    if status == 403:
        assert detail.startswith("That needs the role ")
        assert detail.endswith(f"your role is {role}.")


def test_bulk_deleting_needs_more(quiet: Dray) -> None:
    web = client(served(quiet, access=lambda request: ("operate", "bob")))
    told(web.post(f"{URL}/operations", json={"action": "cancel", "q": "task:add"}), 202)
    assert "role all" in told(web.post(f"{URL}/operations", json={"action": "delete", "q": "task:add"}), 403)


def test_read_only_and_strangers(quiet: Dray) -> None:
    web = client(served(quiet, read_only=True))
    assert "read-only" in told(web.post(f"{URL}/queues/mail/pause"), 403)
    guarded = served(quiet, token="long enough")
    answer = client(guarded).get(f"{URL}/jobs")
    assert told(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert told(client(guarded, authorization="Bearer long enough").get(f"{URL}/jobs"), 200)
    far = TestClient(served(quiet), client=("203.0.113.9", 1))
    assert "this machine only" in told(far.get(f"{URL}/jobs"), 403)
    other_site = client(served(quiet), **{"sec-fetch-site": "cross-site"})
    assert "another site" in told(other_site.post(f"{URL}/queues/mail/pause"), 403)


def test_the_audit_tells_who(quiet: Dray) -> None:
    web = client(served(quiet, access=lambda request: ("all", request.headers.get("x-user", "nobody"))))
    for n in range(3):
        told(web.post(f"{URL}/queues/q{n}/pause", headers={"x-user": f"user{n}"}), 200)
    page = told(web.get(f"{URL}/audit", params={"limit": 2}), 200)
    assert [(entry["by"], entry["target"]) for entry in page["audit"]] == [("user2", "q2"), ("user1", "q1")]
    rest = told(web.get(f"{URL}/audit", params={"limit": 2, "before": page["next"]}), 200)
    assert [entry["by"] for entry in rest["audit"]] == ["user0"]
    assert rest["next"] is None


def test_a_store_that_is_away_is_503(quiet: Dray, monkeypatch: pytest.MonkeyPatch) -> None:
    from dray.errors import StoreUnavailable

    def away(*_: Any) -> Any:
        raise StoreUnavailable("The store cannot be reached; start it.")

    monkeypatch.setattr(type(quiet.store), "run", away)
    answer = client(served(quiet)).get(f"{URL}/queues")
    assert told(answer, 503) == "The store cannot be reached; start it."
    assert answer.headers["retry-after"]


# -- for machines


def test_scaling(quiet: Dray) -> None:
    web = client(served(quiet))
    nothing = {"backlog": 0, "ready": 0, "running": 0, "oldest_ready_age_s": 0.0, "desired_workers": 0}
    assert told(web.get(f"{URL}/scaling"), 200) == nothing
    for n in range(25):
        quiet.tasks["add"].using(queue="mail" if n < 5 else "web").enqueue(n)
    found = told(web.get(f"{URL}/scaling"), 200)
    assert (found["backlog"], found["ready"], found["running"], found["desired_workers"]) == (25, 25, 0, 3)
    assert found["oldest_ready_age_s"] > 0
    assert told(web.get(f"{URL}/scaling?queues=mail&slots=2"), 200)["desired_workers"] == 3
    assert told(web.get(f"{URL}/scaling?queues=mail,web"), 200)["backlog"] == 25
    assert told(web.get(f"{URL}/scaling?queues=not-there"), 200) == nothing
    quiet.insight.pause("web")
    assert told(web.get(f"{URL}/scaling"), 200)["backlog"] == 5


def test_scaling_wakes_a_worker_for_what_is_due(quiet: Dray) -> None:
    """Nobody makes a scheduled job ready while nobody works."""
    web = client(served(quiet))
    late = quiet.tasks["add"].using(delay="1ms").enqueue(1)
    quiet.tasks["add"].using(delay="1h").enqueue(2)
    until(lambda: told(web.get(f"{URL}/scaling"), 200)["backlog"] == 1, "the due job")
    assert late.refresh().info.state is State.SCHEDULED


def test_events_tell_of_changes(quiet: Dray) -> None:
    app = served(quiet)
    path = f"{URL}/events"
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http", "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "server": ("localhost", 80), "client": ("127.0.0.1", 1),
        "headers": [(b"host", b"localhost"), (b"last-event-id", b"0")],
    }  # fmt: skip

    async def look() -> tuple[dict[str, Any], str]:
        sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        running = asyncio.create_task(app(scope, receive, sent.put))  # type: ignore[arg-type]
        start = await asyncio.wait_for(sent.get(), 10)
        text = ""
        while text.count("event: change") < 2:  # one for what was missed, one for the job
            text += (await asyncio.wait_for(sent.get(), 20)).get("body", b"").decode()
            if text.count("event: change") == 1:
                await asyncio.to_thread(quiet.tasks["add"].enqueue, 1)
        gone.set()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        return start, text

    start, text = asyncio.run(look())
    app.state.house.close()
    assert start["status"] == 200
    assert dict(start["headers"])[b"content-type"].startswith(b"text/event-stream")
    assert text.startswith("retry: ")
