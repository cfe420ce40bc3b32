"""The search grammar: text to filter and back, what a filter matches, what is suggested."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dray import Dray
from dray.errors import ConfigurationError
from dray.insight import Insight
from dray.model.filter import EXAMPLES, KEYS, Filter, Glob, Term, matches
from dray.model.job import JobInfo, State
from dray.search import complete, parse, to_text, word
from dray.store.values import NodeEntry

ID = "01a2100e-04df-7002-8000-8467c6230fee"
NOW = 1_800_000_000_000_000


def job(**fields: object) -> JobInfo:
    """A job that failed: it waited 10 s, ran 3 s and was enqueued two minutes ago."""
    given: dict[str, object] = {
        "id": ID, "task": "send_mail", "queue": "mail", "state": State.FAILED, "priority": 5, "executor": "async", "attempt": 4,
        "max_attempts": 20, "losses": 0, "claim": 4, "args": {"user": {"id": 42}, "to": ["ann@example.org", "bob"]},
        "tags": ("vip", "eu"), "enqueued": NOW - 120_000_000, "due": NOW - 20_000_000, "started": NOW - 10_000_000,
        "finished": NOW - 7_000_000, "node": 3, "schedule": "nightly", "parent": ID,
        "error": {"type": "TimeoutError", "message": "no answer", "fingerprint": "ab12cd34ef56"},
    }  # fmt: skip
    return JobInfo(**{**given, **fields})  # type: ignore[arg-type]


def test_every_key_has_an_example_that_is_right() -> None:
    assert {*KEYS, "text"} == {*EXAMPLES}
    for key in KEYS:
        assert parse(f"{key}:{EXAMPLES[key]}") != Filter()


def test_a_text_becomes_a_filter() -> None:
    what = parse('state:failed,cancelled queue:mail task:send_* args.user.id:42 -tag:vip,"a, b" error:T age:>5m "free  text" x')
    assert what == Filter(
        states=frozenset({State.FAILED, State.CANCELLED}),
        terms=(
            Term("queue", ("mail",)), Term("task", ("send_*",)), Term("args", ("42",), ("user", "id")),
            Term("tag", ("vip", "a, b"), without=True), Term("error", ("T",)), Term("age", (">5m",)),
            Term("text", ("free  text",)), Term("text", ("x",)),
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", Filter()),
        ("   ", Filter()),
        ("no such  user", Filter(terms=(Term("text", ("no such user",)),))),
        ("foo:bar http://x", Filter(terms=(Term("text", ("foo:bar http://x",)),))),
        ("queue.x:1", Filter(terms=(Term("text", ("queue.x:1",)),))),
        ("-word", Filter(terms=(Term("text", ("-word",)),))),
        ('it"s', Filter(terms=(Term("text", ('it"s',)),))),
        (r'"say \"hi\" \\ \n"', Filter(terms=(Term("text", (r'say "hi" \ \n',)),))),
        ("a queue:b c", Filter(terms=(Term("text", ("a",)), Term("queue", ("b",)), Term("text", ("c",))))),
        ("tag:a tag:b", Filter(terms=(Term("tag", ("a",)), Term("tag", ("b",))))),
        ("state:failed,ready -state:ready", Filter(states=frozenset({State.FAILED}))),
        ("state:failed state:ready", Filter(states=frozenset())),
        ('args."x":1', Filter(terms=(Term("text", ('args."x":1',)),))),
    ],
)
def test_what_a_text_means(text: str, found: Filter) -> None:
    assert parse(text) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("state:done", "the states are scheduled, ready"),
        ("state:", "the states are"),
        ("queue:", "queue: is without a value; say what is looked for, such as queue:mail"),
        ("tag:a,", "tag: is without a value"),
        ("args.user.id:", "args.user.id: is without a value"),
        ("age:5m", "age:5m says neither more nor less; write age:>5m or age:<5m"),
        ("took:>soon", "no length of time"),
        ("attempt:many", "attempt:many has no whole number; write attempt:3, attempt:>3"),
        ("priority:>=1.5", "no whole number"),
        ("id:xyz", "not the beginning of a job's id"),
        ("fingerprint:Zz", "up to 12 hexadecimal digits"),
        ("tenant:acme", "no tenant is kept with jobs; tag them"),
        ('queue:"mail', "has no end"),
        ("a\0b", "no text"),
        ("queue:\ud800", "no text"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        parse(text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
PATHS = st.lists(st.from_regex(r"[A-Za-z0-9_\-]{1,6}", fullmatch=True), max_size=3).map(tuple)
SIGNS = st.sampled_from(["", "=", ">", ">=", "<", "<="])


@st.composite
def terms(draw: st.DrawFn) -> Term:
    key = draw(st.sampled_from([*(key for key in KEYS if key != "state"), "text"]))
    if key in ("attempt", "priority"):
        value = st.builds("{}{}".format, SIGNS, st.integers(-100, 100))
    elif key in ("age", "took", "wait"):
        value = st.builds("{}{}".format, st.sampled_from([">", ">=", "<", "<="]), st.sampled_from(["5m", "1h30m", "2 days", "0.5"]))
    elif key in ("id", "parent"):
        value = st.sampled_from([ID, ID[:3], ID.replace("-", "")])
    elif key == "fingerprint":
        value = st.from_regex(r"[0-9a-f]{1,12}", fullmatch=True)
    else:
        value = TEXTS
    values = draw(st.lists(value, min_size=1, max_size=1 if key == "text" else 3))
    return Term(key, tuple(values), draw(PATHS) if key == "args" else (), key != "text" and draw(st.booleans()))


FILTERS = st.builds(
    Filter, states=st.none() | st.frozensets(st.sampled_from(State)), terms=st.lists(terms(), max_size=5).map(tuple)
)


@given(FILTERS)
def test_a_filter_as_text_is_read_as_the_same_filter(what: Filter) -> None:
    assert parse(to_text(what)) == what


PIECES = st.sampled_from([*'ab:,."-\\ *>', "state:", "failed", "args.", "tag:", "age:>1m"])


@given(st.text(max_size=40) | st.lists(PIECES).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        what = parse(text)
    except ConfigurationError:
        return
    assert parse(to_text(what)) == what
    matches(what, job(), NOW)


def test_the_fields_for_code_mean_the_same_as_words() -> None:
    what = Filter(queue="mail", task="send_*", tag="a b", schedule="s", text="x")
    assert to_text(what) == 'queue:mail task:send_* tag:"a b" schedule:s "x"'
    assert parse(to_text(what)).every() == what.every()
    assert parse(what) is what
    assert [word("queue", value) for value in ("mail", "a,b", "my mail")] == ["queue:mail", "queue:a,b", 'queue:"my mail"']


@pytest.mark.parametrize(
    "text",
    [
        "state:failed", "-state:ready", "queue:mail", "queue:x,m*", "task:*_mail", "task:send?mail", "-task:bill",
        "tag:vip", "tag:e*", "-tag:x", "schedule:nightly", "worker:web-1", "worker:3", "worker:w*", "error:Timeout",
        'error:"Error: no"', "error:Time*answer", "fingerprint:ab12", "args.user.id:42", "args.user.id:4?", "args.to:bob",
        "args.to.0:ann@*", "args:example", "args.user:x,*", f"id:{ID}", "id:01A2", f"parent:{ID[:8]}", "attempt:4",
        "attempt:>3", "attempt:1,>=4", "-attempt:>4", "priority:>=5 priority:<6", "age:>1m", "age:<=2m",
        "took:>2s took:<4s", "wait:>9s wait:<=10s", "ann@example", '"no answer"', "TimeoutError", "user",
    ],
)  # fmt: skip
def test_what_matches(text: str) -> None:
    if text == "args.user:x,*":
        assert not matches(parse(text), job(), NOW), "an object is no value"
        return
    assert matches(parse(text), job(), NOW, {3: "web-1"})


@pytest.mark.parametrize(
    "text",
    [
        "state:ready", "queue:mai", "task:send", "task:Send_mail", "tag:vi", "-tag:vip", "schedule:night*", "worker:web-2",
        "worker:*x", "error:timeout", "error:Refused", "fingerprint:b12", "args.user.id:4", "args.id:42", "args.to.1:ann*",
        "args.to.7:bob", "args:zoe", "id:01a3", "parent:ff", "attempt:<4", "priority:>5", "age:>2m", "took:>3s",
        "wait:>10s", "nothing", "-id:01",
    ],
)  # fmt: skip
def test_what_does_not_match(text: str) -> None:
    assert not matches(parse(text), job(), NOW, {3: "web-1"})


def test_what_is_missing_matches_only_its_opposite() -> None:
    bare = job(error=None, node=None, schedule=None, parent=None, started=None, finished=None, tags=(), state=State.READY, args={})
    for text in ("error:*", "worker:*", "schedule:nightly", "parent:0", "took:>=0s", "tag:*", "fingerprint:a", "args.user.id:*"):
        assert not matches(parse(text), bare, NOW, {3: "web-1"}), text
        assert matches(parse(f"-{text}"), bare, NOW, {3: "web-1"}), text
    assert matches(parse("wait:>=20s wait:<=20s"), bare, NOW), "it has been due since then"


@given(st.text("ab?*", max_size=8), st.text("ab", max_size=10))
def test_a_glob_is_what_fnmatch_says(pattern: str, text: str) -> None:
    from fnmatch import fnmatchcase

    glob = Glob(pattern)
    assert glob.fits(text) == fnmatchcase(text, pattern)
    alone = {
        "is": text == glob.literal, "starts": text.startswith(glob.literal), "ends": text.endswith(glob.literal),
        "has": glob.literal in text,
    }  # fmt: skip
    if glob.how != "other":
        assert alone[glob.how] == glob.fits(text)
    elif glob.fits(text):
        assert glob.literal in text


def test_many_stars_take_no_time() -> None:
    assert not Glob("*a" * 40 + "*b").fits("a" * 5000)


# -- suggestions


@pytest.fixture(scope="module")
def insight() -> Iterator[Insight]:
    app = Dray("sqlite://")

    @app.schedule("0 3 * * *", name="nightly")
    @app.task(name="shop.report", queue="my reports")
    def report() -> None: ...

    @app.task(name="shop.send", queue="mail")
    def send() -> None: ...

    send.enqueue()
    report.enqueue()
    app.schedules.put("weekly", report.call(), "0 3 * * mon")
    entry = NodeEntry("web-1", "host", 1, {"tasks": ["shop.send", "shop.report"], "queues": None})
    app.store.run(app.store.plans.enter, entry)
    yield app.insight
    app.close()


def suggested(text: str, insight: Insight) -> list[str]:
    return [one.text for one in complete(text, len(text), insight)]


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("st", ["state:"]),
        ("state:failed -ta", ["-task:", "-tag:"]),
        ("state:f", ["state:failed"]),
        ("state:failed,c", ["state:failed,cancelled"]),
        ("queue:", ["queue:mail", 'queue:"my reports"']),
        ('state:ready queue:"my re', ['queue:"my reports"']),
        ("-queue:mail,my", ['-queue:mail,"my reports"']),
        ("task:shop.s", ["task:shop.send"]),
        ("task:send", ["task:shop.send"]),
        ("worker:", ["worker:web-1"]),
        ("schedule:w", ["schedule:weekly"]),
        ("age:", ["age:>5m"]),
        ("age:>1", []),
        ("word:", []),
        ("state:failed nothing", []),
    ],
)
def test_what_is_suggested(text: str, texts: list[str], insight: Insight) -> None:
    assert suggested(text, insight) == texts
    for one in complete(text, len(text), insight):
        parse(text[: one.start] + one.text + ("failed" if one.text == "state:" else "x" if one.text.endswith(":") else ""))


def test_every_key_is_suggested_with_what_it_is(insight: Insight) -> None:
    assert {one.text: one.label for one in complete("", 0, insight)} == {f"{key}:": label for key, label in KEYS.items()}
    assert complete("queue:m state:", 7, insight) == complete("queue:m", 7, insight)
