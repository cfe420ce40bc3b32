"""The API as programs see it: what it answers about, and how it says no."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from api_hands import Scene, TestClient, client, served, until

from dray.dashboard.api import OPERATIONS
from dray.dashboard.redact import MARK
from dray.dashboard.settings import Role

Get = Any
PROBLEM = "application/problem+json"
URL = "/api/v1"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with Scene(tmp_path_factory.mktemp("api")).at_work() as made:
        yield made


@pytest.fixture(scope="module")
def web(scene: Scene) -> TestClient:
    return client(served(scene.app, bulk_per_minute=1e6))


def got(web: TestClient, path: str, status: int = 200, **query: Any) -> Any:
    answer = web.get(f"{URL}{path}", params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def refused(answer: Any, status: int) -> str:
    """Checks a problem; what it says."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json()
    assert set(told) == {"type", "title", "status", "detail"}
    assert told["status"] == status
    assert told["detail"].endswith((".", "?")), told
    return str(told["detail"])


# -- looking


def test_a_job_looks_as_on_the_command_line(scene: Scene, web: TestClient) -> None:
    from dray.cli.view import job_json

    given = got(web, f"/jobs/{scene.ids['succeeded']}")
    kept = scene.app.insight.job(scene.ids["succeeded"])
    assert given == {**job_json(kept), "state": str(kept.state)}
    assert given["result"] == 3
    assert datetime.fromisoformat(given["finished"]).utcoffset() == timedelta(0)


def test_queues_workers_and_schedules_look_as_on_the_command_line(scene: Scene, web: TestClient) -> None:
    from dray.cli.view import node_json, queue_json, schedule_json

    assert got(web, "/queues")["queues"] == [queue_json(one) for one in scene.app.insight.queues()]
    assert got(web, "/schedules")["schedules"] == [schedule_json(one) for one in scene.app.insight.schedules()]
    given = got(web, "/workers")["workers"][0]
    known = node_json(scene.app.insight.workers()[0])
    assert set(given) == {*known, "use"}
    assert (given["id"], given["pid"], given["info"]["tasks"]) == (known["id"], known["pid"], known["info"]["tasks"])
    assert got(web, f"/workers/{given['id']}")["name"] == given["name"]


def test_what_looks_secret_is_hidden_everywhere(scene: Scene, web: TestClient) -> None:
    job = got(web, f"/jobs/{scene.ids['failed']}")
    assert job["args"] == {"card": {"number": MARK, "token": MARK, "name": "Ann"}, "amount": 9.5}
    for path in ("", "/history", "/logs", "/explain"):
        text = web.get(f"{URL}/jobs/{scene.ids['failed']}{path}").text
        assert "hunter2" not in text, path
        assert "tok_secret" not in text, path
    assert "charging with token=" in web.get(f"{URL}/jobs/{scene.ids['failed']}/logs").text
    assert "hunter2" not in web.get(f"{URL}/jobs", params={"q": "state:failed"}).text
    assert "hunter2" not in web.get(f"{URL}/errors").text


def test_history_logs_and_explanation(scene: Scene, web: TestClient) -> None:
    failed = scene.ids["failed"]
    lines = got(web, f"/jobs/{failed}/logs")["logs"]
    assert [line["line"] for line in lines] == sorted(line["line"] for line in lines)
    assert got(web, f"/jobs/{failed}/logs", after=lines[-1]["line"])["logs"] == []
    assert got(web, f"/jobs/{failed}/history")["history"][-1]["outcome"] == "raised"
    told = got(web, f"/jobs/{failed}/explain")
    assert (told["code"], told["command"]) == ("failed", f"dray retry {failed}")
    assert got(web, f"/jobs/{scene.ids['running']}/explain")["code"] == "running"


def test_pages_of_jobs_follow_each_other(scene: Scene, web: TestClient) -> None:
    seen: list[str] = []
    page = got(web, "/jobs", limit=2)
    while True:
        assert len(page["jobs"]) <= 2
        seen += [job["id"] for job in page["jobs"]]
        if page["next"] is None:
            break
        page = got(web, "/jobs", limit=2, next=page["next"])
    assert len(seen) == len(set(seen)), "no job is there twice"
    assert set(scene.ids.values()) <= set(seen)
    assert [job["id"] for job in got(web, "/jobs", q="tag:later")["jobs"]] == [scene.ids["scheduled"]]


def test_counting(scene: Scene, web: TestClient) -> None:
    assert got(web, "/jobs/count", q="state:running") == {"n": 1, "exact": True, "searched": None}
    everything = got(web, "/jobs/count")
    assert everything["exact"]
    assert everything["n"] >= len(scene.ids)


def test_search_words_are_completed(web: TestClient) -> None:
    texts = [one["text"] for one in got(web, "/suggestions", q="state:fai", cursor=9)["suggestions"]]
    assert any("state:failed" in text for text in texts), texts


def test_one_queue_whose_name_has_a_slash(web: TestClient) -> None:
    assert got(web, "/queues/slow%2Fer")["counts"]["running"] == 1
    assert "no queue 'nowhere'" in refused(web.get(f"{URL}/queues/nowhere"), 404)


def test_a_slash_in_a_name_and_one_behind_it(scene: Scene, web: TestClient) -> None:
    """A proxy may have decoded the path; a queue may be named as the last part of another path is."""
    scene.app.insight.pause("x/pause")
    assert got(web, "/queues/slow/er")["name"] == "slow/er"
    assert got(web, "/queues/x%2Fpause")["name"] == "x/pause"
    assert "does not take GET" in refused(web.get(f"{URL}/queues/x/pause"), 405)
    assert web.post(f"{URL}/queues/x/pause/resume").json()["name"] == "x/pause"


def test_a_task_tells_what_its_arguments_are(scene: Scene, web: TestClient) -> None:
    names = [task["name"] for task in got(web, "/tasks")["tasks"]]
    assert names == sorted(scene.app.tasks)
    schema = got(web, "/tasks/shop.add")["arguments"]
    assert schema["required"] == ["a"]
    assert schema["properties"]["a"] == {"type": "integer"}
    assert schema["properties"]["b"] == {"type": "integer", "default": 2}
    assert schema["additionalProperties"] is False
    assert "no task 'nope'" in refused(web.get(f"{URL}/tasks/nope"), 404)


def test_figures_come_from_the_worker(web: TestClient) -> None:
    def measured() -> Any:
        found = got(web, "/series", hours=0.5)
        return found if found["total"]["failed"] and found["total"]["succeeded"] else None

    found = until(measured, "figures of the worker")
    assert found["step"] == 60
    assert sum(point["outcomes"]["failed"] for point in found["points"]) == found["total"]["failed"]
    groups = until(lambda: got(web, "/errors")["errors"], "errors")
    assert (groups[0]["task"], groups[0]["type"], groups[0]["final"]) == ("shop.charge", "ValueError", 1)
    assert got(web, "/errors", task="shop.add")["errors"] == []
    jobs = got(web, "/jobs", q=f"fingerprint:{groups[0]['fingerprint']}")["jobs"]
    assert [job["id"] for job in jobs] == [groups[0]["job"]]


def test_the_whole(scene: Scene, web: TestClient) -> None:
    whole = got(web, "/overview")
    assert whole["counts"]["running"] == 1
    assert (whole["workers_alive"], whole["schedules"], whole["next_schedule"]) == (1, 1, "nightly/sum")
    assert whole["health"] == got(web, "/health")
    assert {one["name"] for one in got(web, "/space")["space"]} >= {"dray_job"}
    assert {one["name"]: one["origin"] for one in got(web, "/config")["settings"]}["grace"]
    found = got(web, "/doctor")
    assert found["findings"]
    assert found["wrong"] == sum(one["level"] == "wrong" for one in found["findings"])


def test_next_times_of_a_schedule(web: TestClient) -> None:
    found = got(web, "/schedules/nightly%2Fsum", upcoming=3)
    times = [datetime.fromisoformat(one) for one in found["upcoming"]]
    assert [time.hour for time in times] == [7, 7, 7]
    assert times[1] - times[0] == timedelta(days=1)
    assert found["next"] == found["upcoming"][0]


# -- how it speaks


@pytest.mark.parametrize("path", ["/jobs", "/queues", "/schedules", "/openapi.json", "/config"])
def test_what_is_known_already_is_not_sent_again(web: TestClient, path: str) -> None:
    first = web.get(URL + path)
    etag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-store"
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = web.get(URL + path, headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag), known
    assert web.get(URL + path, headers={"if-none-match": '"other"'}).status_code == 200


def test_the_tag_changes_with_what_is_said(scene: Scene, web: TestClient) -> None:
    before = web.get(f"{URL}/queues").headers["etag"]
    scene.app.insight.pause("elsewhere")
    assert web.get(f"{URL}/queues", headers={"if-none-match": before}).status_code == 200


def test_head_is_get_without_its_body(web: TestClient) -> None:
    get, head = web.get(f"{URL}/schedules"), web.head(f"{URL}/schedules")
    assert (head.status_code, head.content) == (200, b"")
    assert {name: head.headers[name] for name in ("etag", "content-type", "content-length")} == {
        name: get.headers[name] for name in ("etag", "content-type", "content-length")
    }
    assert web.head(f"{URL}/queues/nowhere").status_code == 404


def test_other_methods_are_told_which_there_are(web: TestClient) -> None:
    answer = web.put(f"{URL}/jobs", json={})
    assert "does not take PUT" in refused(answer, 405)
    assert answer.headers["allow"] == "GET, HEAD, POST"
    assert web.options(f"{URL}/queues/a%2Fb/pause").headers["allow"] == "POST"
    assert web.patch(f"{URL}/jobs/count").headers["allow"] == "GET, HEAD", "that is no job's id"
    assert "nothing at '/nothing'" in refused(web.get(f"{URL}/nothing"), 404)
    assert "no queue 'a\\nb'" in refused(web.get(f"{URL}/queues/a%0Ab"), 404)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/jobs?stat=failed", "no parameter 'stat' here; its parameters are q, limit, next"),
        ("/queues?limit=1", "no parameter 'limit' here; it has none"),
        ("/jobs?limit=many", "limit is 'many': expected a whole number"),
        ("/jobs?limit=0", "limit is '0': expected a whole number >= 1"),
        ("/jobs?limit=1&limit=2", "limit is there twice"),
        ("/jobs?q=state:sleepy", "sleepy"),
        ("/jobs?q=%00", "q is"),
        ("/series?hours=nan", "hours is 'nan'"),
        ("/series?hours=1e9", "expected a number <= 840"),
        ("/jobs?next=what", "what"),
    ],
)
def test_wrong_parameters_are_named(web: TestClient, path: str, told: str) -> None:
    assert told in refused(web.get(URL + path), 400)


def test_unknown_jobs(web: TestClient) -> None:
    missing = "01a21005-fbf4-7000-8000-1a64ddbce183"
    for path in ("", "/history", "/logs", "/explain"):
        assert missing in refused(web.get(f"{URL}/jobs/{missing}{path}"), 404)
        assert "not a job's id" in refused(web.get(f"{URL}/jobs/zz{path}"), 404)
    for verb in ("retry", "cancel", "again"):
        assert missing in refused(web.post(f"{URL}/jobs/{missing}/{verb}", json={} if verb != "retry" else None), 404)
    assert missing in refused(web.delete(f"{URL}/jobs/{missing}"), 404)
    assert "worker 77" in refused(web.get(f"{URL}/workers/77"), 404)
    assert "no schedule 'x'" in refused(web.get(f"{URL}/schedules/x"), 404)


def test_wrong_bodies(web: TestClient) -> None:
    url = f"{URL}/jobs"
    assert "say so in Content-Type" in refused(web.post(url, content=b"{}"), 415)
    assert "not 'text/plain'" in refused(web.post(url, content=b"{}", headers={"content-type": "text/plain"}), 415)
    json = {"content-type": "application/json"}
    assert "no JSON" in refused(web.post(url, content=b'{"task":', headers=json), 400)
    assert "`task`" in refused(web.post(url, json={}), 422)
    assert "priority: expected a whole number <= 100" in refused(web.post(url, json={"task": "shop.add", "priority": 101}), 422)
    assert "colour" in refused(web.post(url, json={"task": "shop.add", "colour": 1}), 422)
    assert "unexpected argument 'z'" in refused(web.post(url, json={"task": "shop.add", "args": {"a": 1, "z": 1}}), 422)
    assert "a must be int" in refused(web.post(url, json={"task": "shop.add", "args": {"a": "x"}}), 422)
    assert "without commas" in refused(web.post(url, json={"task": "shop.add", "args": {"a": 1}, "queue": "a,b"}), 422)
    big = b'{"task": "shop.add", "args": {"note": "' + b"x" * (4 * 1024**2) + b'"}}'
    assert "larger than 4 MiB" in refused(web.post(url, content=big, headers=json), 413)
    too_much = {"task": "shop.add", "args": {"a": 1, "note": "x" * 2_000_000}}
    assert "the limit is" in refused(web.post(url, json=too_much), 413)
    deep = b'{"task": "shop.add", "args": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}"
    assert web.post(url, content=deep, headers=json).status_code in (400, 422)


# -- the document


def test_the_document_and_the_table_are_one(web: TestClient) -> None:
    document = got(web, "/openapi.json")
    assert document["openapi"] == "3.1.0"
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(one.method, one.path) for one in OPERATIONS}
    names = [about["operationId"] for methods in document["paths"].values() for about in methods.values()]
    assert len(names) == len(set(names)), "operationId is a name for one operation"
    for one in OPERATIONS:
        about = document["paths"][one.path][one.method.lower()]
        assert about["summary"], one.name
        assert about["tags"][0] in {tag["name"] for tag in document["tags"]}
        assert about["x-role"] == one.role.word
        told = {parameter["name"] for parameter in about["parameters"] if parameter["in"] == "query"}
        assert told == set(one.query.__struct_fields__)
        assert ("requestBody" in about) == (one.body is not None)
    text = web.get(f"{URL}/openapi.json").text
    named = {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert named <= set(document["components"]["schemas"]), "every reference leads somewhere"


def test_what_changes_something_needs_a_role_for_it() -> None:
    for one in OPERATIONS:
        assert one.role >= (Role.READ if one.method == "GET" else Role.OPERATE), one.name
        assert one.method != "DELETE" or one.role is Role.ALL, one.name
