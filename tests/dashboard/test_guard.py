"""Who is let in, in which role, under which name, and what is refused."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from dashboard_hands import until, web

from dray import ConfigurationError, Dray
from dray.dashboard.limit import Limit
from dray.dashboard.security import new_session, session_holds
from dray.dashboard.settings import Role, Settings, check_bind, made, role_of

TOKEN = "a token that is long"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dray]:
    made = Dray(f"sqlite:///{tmp_path_factory.mktemp('guard') / 'jobs.db'}")

    @made.task(name="add")
    async def add(a: int) -> int:
        return a

    assert made.store.where
    yield made
    made.close()


def test_without_authentication_only_this_machine_is_answered(app: Dray) -> None:
    assert web(app).get("/").status_code == 200
    assert web(app, client="::1", host="[::1]").get("/").status_code == 200
    for stranger in (
        web(app, client="192.0.2.1"), web(app, host="evil.example"),  # a name that was pointed here
        web(app, client=""),
    ):
        answer = stranger.get("/")
        assert answer.status_code == 403
        assert "no password" in answer.text
    for name in ("x-forwarded-for", "forwarded", "via", "x-real-ip"):
        assert web(app).get("/", headers={name: "127.0.0.1"}).status_code == 403, name


def test_basic_authentication(app: Dray) -> None:
    there = web(app, client="192.0.2.1", host="jobs.example", user="ann", password="long enough")
    answer = there.get("/")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")
    for given, status in (("ann:long enough", 200), ("ann:wrong", 401), ("bob:long enough", 401), ("ann", 401)):
        header = {"authorization": f"Basic {base64.b64encode(given.encode()).decode()}"}
        assert there.get("/", headers=header).status_code == status, given
    for rubbish in ("Basic ???", "Basic", "Bearer x", "Basic /w=="):
        assert there.get("/", headers={"authorization": rubbish}).status_code == 401, rubbish


def test_a_session_cannot_be_made_up_and_ends() -> None:
    settings = Settings(token=TOKEN)
    good = new_session(settings)
    until, _, signature = good.partition(".")
    assert session_holds(good, settings)
    assert not session_holds(good, Settings(token="another token, also long"))
    assert not session_holds(f"{int(until) + 1}.{signature}", settings)
    for rubbish in ("", ".", "x.y", until, f"{until}.", f"{until}.ü"):
        assert not session_holds(rubbish, settings), rubbish
    old = new_session(Settings(token=TOKEN, session=-5))
    assert not session_holds(old, settings)


def test_signing_in_sets_a_cookie_that_scripts_and_others_cannot_read(app: Dray) -> None:
    there = web(app, client="192.0.2.1", host="jobs.example", token=TOKEN)
    answer = there.post("/sign-in", data={"token": TOKEN, "next": "/jobs?q=x"}, headers={"x-forwarded-proto": "https"})
    assert answer.headers["location"] == "/jobs?q=x"
    cookie = answer.headers["set-cookie"].lower()
    for word in ("httponly", "samesite=lax", "secure", "path=/"):
        assert word in cookie
    assert there.post("/sign-out").headers["location"] == "/sign-in"


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\nb"]
)
def test_nobody_is_sent_elsewhere(app: Dray, elsewhere: str) -> None:
    answer = web(app, token=TOKEN).post("/sign-in", data={"token": TOKEN, "next": elsewhere})
    assert answer.headers["location"] == "/"


def test_guessing_the_token_is_slowed_down(app: Dray) -> None:
    there = web(app, client="192.0.2.1", host="jobs.example", token=TOKEN)
    answers = [there.post("/sign-in", data={"token": f"guess {n}"}).status_code for n in range(12)]
    assert answers[0] == 403
    assert answers[-1] == 429


@pytest.mark.parametrize(
    ("answer", "may_look", "may_retry", "may_delete"),
    [
        ("none", False, False, False), (None, False, False, False), ("read", True, False, False), (Role.OPERATE, True, True, False),
        (True, True, True, True), (("all", "alice"), True, True, True),
    ],
)  # fmt: skip
def test_the_application_says_who_may_what(app: Dray, answer: Any, may_look: bool, may_retry: bool, may_delete: bool) -> None:
    there = web(app, client="192.0.2.1", host="jobs.example", access=lambda request: answer)
    assert (there.get("/").status_code == 200) == may_look
    job = app.tasks["add"].using(delay="1h").enqueue(1)
    assert (there.post("/job/retry", data={"id": job.id}).status_code == 303) == may_retry
    assert (there.post("/job/delete", data={"id": job.id, "sure": "1"}).status_code == 303) == may_delete
    assert (there.post("/bulk", data={"action": "delete", "ids": [job.id], "sure": "1"}).status_code == 303) == may_delete
    if may_delete and isinstance(answer, tuple):
        assert app.insight.audits()[0].by == "alice"


def test_access_may_be_a_coroutine_and_sees_the_request(app: Dray) -> None:
    async def access(request: Any) -> str:
        return "read" if request.headers.get("x-user") == "ann" else "none"

    there = web(app, host="jobs.example", access=access)
    assert there.get("/", headers={"x-user": "ann"}).status_code == 200
    assert there.get("/").status_code == 403


def test_what_access_must_not_answer() -> None:
    with pytest.raises(ConfigurationError, match="answered 'admin': use none, read, operate, all"):
        role_of("admin")


def test_pages_of_other_sites_cannot_act(app: Dray) -> None:
    job = app.tasks["add"].using(delay="1h").enqueue(1)

    def post(**headers: str) -> int:
        there = {name.replace("_", "-"): value for name, value in headers.items()}
        return web(app).post("/job/retry", data={"id": job.id}, headers=there).status_code

    assert post(sec_fetch_site="cross-site") == post(sec_fetch_site="same-site") == 403
    assert post(origin="http://evil.example") == post(origin="null") == 403
    assert post(origin="http://localhost", sec_fetch_site="cross-site") == 403, "the one that cannot be made up counts"
    assert post(sec_fetch_site="same-origin") == 303
    assert post(origin="http://localhost") == 303
    assert post() == 303, "no browser"


def test_every_answer_carries_the_headers(app: Dray) -> None:
    for path in ("/", "/nowhere", "/static/x/dray.js", "/static/x/nothing", "/palette", "/api/v1/nothing"):
        headers = web(app).get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'"), path
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["x-frame-options"] == "DENY", path
    assert web(app).get("/").headers["cache-control"] == "no-store"
    assert web(app, client="192.0.2.1").get("/").headers["x-frame-options"] == "DENY"


def test_files_are_kept_for_ever_under_the_hash_of_their_content(app: Dray) -> None:
    there = web(app)
    path = there.get("/").text.partition('href="')[2]  # the first link is the icon
    path = "/static/" + path.partition("/static/")[2].partition('"')[0]
    answer = there.get(path)
    assert "immutable" in answer.headers["cache-control"]
    assert there.get(path, headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    old = there.get("/static/000000000000/dray.js")
    assert old.status_code == 200
    assert old.headers["cache-control"] == "no-cache"
    assert there.get("/static/x/../app.py").status_code == there.get("/static/x/%2e%2e/app.py").status_code == 404


def test_prefixes_of_proxies(app: Dray) -> None:
    def links(path: str = "/", prefix: str = "", **headers: str) -> str:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = web(app, prefix=prefix, access=lambda request: "all").get(path, headers=given)
        assert answer.status_code == 200
        return answer.text.partition('class="brand" href="')[2].partition('"')[0]

    assert links() == "/"
    assert links(prefix="jobs") == "/jobs/", "the proxy took it off"
    assert links("/jobs/", prefix="/jobs/") == "/jobs/", "the proxy left it on"
    assert web(app, prefix="/jobs").get("/jobs").headers["location"] == "/jobs/"
    assert links(x_forwarded_prefix="/a/b") == "/a/b/"
    assert links(x_forwarded_prefix="//evil.example") == links(x_forwarded_prefix="https://evil.example") == "/"


def test_who_may_listen_for_others() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.9.9.9", "jobs.localhost"):
        check_bind(host, Settings())
    for host in ("0.0.0.0", "::", "192.0.2.1", "jobs.example", ""):
        with pytest.raises(ConfigurationError, match="could see and change the jobs: give --token"):
            check_bind(host, Settings())
        check_bind(host, Settings(token=TOKEN))


def test_wrong_options_are_told_in_a_sentence() -> None:
    for options, told in (
        ({"tokn": "x"}, "has no option 'tokn'"), ({"user": "ann"}, "user and password go together"),
        ({"token": "short"}, "fewer than 8"),
    ):  # fmt: skip
        with pytest.raises(ConfigurationError, match=told):
            made(options)


def test_a_limit_lets_a_few_through_and_then_some_each_minute() -> None:
    now = 0.0
    limit = Limit(60, 3, clock=lambda: now)
    assert [limit.wait("a") for _ in range(4)] == [0, 0, 0, 1.0]
    assert limit.wait("b") == 0, "each has a bucket"
    now = 2.0
    assert [limit.wait("a") for _ in range(3)] == [0, 0, 1.0]


def test_many_bulk_actions_are_slowed_down(app: Dray) -> None:
    there = web(app, bulk_per_minute=1)
    for n in range(8):
        app.tasks["add"].using(delay="1h", tags=["bulk"]).enqueue(n)
    for n in range(6):
        action, becomes = (("cancel", "cancelled"), ("retry", "ready"))[n % 2]
        answer = there.post("/bulk", data={"action": action, "all": "1", "q": "tag:bulk", "sure": "1"})
        if n == 5:
            break
        assert answer.headers["location"].startswith("/bulk?id="), n
        until(lambda becomes=becomes: app.insight.count(f"tag:bulk state:{becomes}").n == 8, f"bulk {n}")
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 10
    assert app.insight.count("tag:bulk state:cancelled").n == 8, "nothing was done"


def test_metrics_are_for_those_who_may_look(app: Dray) -> None:
    pytest.importorskip("prometheus_client")
    answer = web(app).get("/metrics")
    assert answer.status_code == 200
    assert "dray_" in answer.text
    assert web(app, token=TOKEN, client="192.0.2.1").get("/metrics", headers={"accept": "*/*"}).status_code == 401
