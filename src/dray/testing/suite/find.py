"""Finding: every store gives exactly the jobs that match, in the order in which they were enqueued, the newest first."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from dray.errors import ConfigurationError
from dray.model import ids
from dray.model.filter import Filter, Term, matches
from dray.model.job import JobInfo, State
from dray.model.outcome import Cancelled, ErrorRecord, Outcome, Raised, Returned, Snoozed, Suspended
from dray.store.values import Page
from dray.testing.suite.scene import Scene, Themed, new_jobs
from dray.testing.suite.schedules import row

TASKS = ("send_mail", "send_note", "shop.send_bill", "a[b]*c", "größe", "s")
QUEUES = ("mail", "bulk", "ma_l", "größe", "100%")
TAGS = (None, None, '["vip"]', '["vip","b"]', '["ann \\"x\\""]', '["größe"]')
ARGS = (
    b"{}", b'{"user_id":42}', b'{"user_id":421}', b'{"user_id":"42","name":"J\\u00f6rg"}', b'{"user":{"id":42,"tags":["a","b"]}}',
    b'{"user":{"id":7},"note":"say \\"hi\\"\\nand go"}', '{"name":"Zoë","list":[1,[2,3],{"id":9}]}'.encode(),
    b'{"on":true,"off":null,"x":1.5}',
)  # fmt: skip
ERRORS = (
    ErrorRecord("TimeoutError", "no answer from partner 7", "Traceback: send", fingerprint="ab12cd34ef56"),
    ErrorRecord("ValueError", 'wrong: "x"', fingerprint="ab99cd34ef56"), ErrorRecord("shop.Größe", "zu groß"), ErrorRecord("E", ""),
)  # fmt: skip
WORDS = {
    "queue": ("mail", "bulk,mail", "m*", "ma?l", "ma_l", "*", "gr*", "100%", "none", "?????"),
    "task": ("send_mail", "send_*", "*_mail", "*send*", "send?mail", "a[b]*c", "a[b]?c", "gr??e", "s,send_note", "*", "none*", "S"),
    "tag": ("vip", "b", "v*", "*x*", "größe", "gr*", "none", "*", "i"),
    "error": ("Timeout", "no answer", "Error: no", "TimeoutError: no*7", 'wrong: "x"', "groß", "gro?", "none", "*", "timeout"),
    "fingerprint": ("ab", "ab12", "ab12cd34ef56", "ff", "ab99,ff"),
    "args": ("42", "Zo*", "hi", 'say "hi"', "none", "true", "1.5", "*", "Jörg", "a,b"),
    "args.user_id": ("42", "4*", "421,7", "*", "2"), "args.user.id": ("42", "7", "?"), "args.user.tags": ("a", "b", "c"),
    "args.list": ("1", "2", "3", "9"), "args.list.id": ("9",), "args.list.0": ("1",), "args.on": ("true", "false"),
    "args.off": ("null",), "args.name": ("Zoë", "J*", "?o*"), "args.none": ("*",),
    "id": ("0", "f"), "parent": ("0", "f"), "schedule": ("s", "s,t", "none", "*"), "worker": ("web-1", "web-*", "1", "none", "*"),
    "attempt": ("0", ">0", ">=2", "<2", "1", "<=1,>3"), "priority": (">=5", "<0", "0", "-3", ">-10"),
    "age": (">1m", "<1m", ">=0s", "<10s", ">1h"), "took": (">1s", "<2s", ">=0s", ">1h"), "wait": (">5s", "<5s", ">=0s", ">1h"),
    "text": ("42", "vip", "Timeout", "no answer", 'say "hi"', "Zoë", "user_id", "nowhere", "Traceback: send", "größe"),
}  # fmt: skip
OUTCOMES: tuple[Outcome, ...] = (
    Returned(b"1"), Cancelled("by itself"), Suspended(600.0), Snoozed(30.0), *(Raised(error, final=True) for error in ERRORS),
    *(Raised(error, delay=60.0) for error in ERRORS),
)  # fmt: skip


def some_jobs(s: Scene, chance: random.Random, n: int = 60) -> list[bytes]:
    """Jobs of all kinds in all states; their ids in the order in which they were enqueued."""
    s.do(s.plans.put_schedule, row("s", overlap="queue", queue="bulk"))
    nodes = [s.enter("web-1"), s.enter("web-2")]
    seen: list[bytes] = []
    for _ in range(n // 6):
        parent = chance.choice(seen) if seen and chance.random() < 0.5 else None
        jobs = [
            job for _ in range(6) for job in new_jobs(
                1, task=chance.choice(TASKS), queue=chance.choice(QUEUES), priority=chance.choice((0, 0, 7, -3)),
                args=chance.choice(ARGS), tags=chance.choice(TAGS), delay=chance.choice((0.0, 0.0, 0.0, 900.0)), parent=parent,
                schedule=chance.choice((None, None, "t")),
            )
        ]  # fmt: skip
        s.do(s.plans.add, jobs)
        seen += [job.id for job in jobs]
        s.clock.advance(chance.choice((0.5, 3, 20)))
        s.do(s.plans.promote)
        claimed = s.claim(chance.choice(nodes), 4, tasks=TASKS[:5])
        s.clock.advance(chance.choice((0.2, 1.5, 4)))
        for job in claimed:
            if chance.random() < 0.8:
                s.end(job, chance.choice(OUTCOMES))
        if chance.random() < 0.6:
            s.do(s.plans.cancel, [chance.choice(seen)], "not needed")
        for node in nodes:
            s.do(s.plans.extend, {node: 0.0})
        if chance.random() < 0.3:
            s.do(s.plans.tick)
            seen += [id_ for id_ in every_id(s) if id_ not in seen]
    return seen


def every_id(s: Scene) -> list[bytes]:
    """Of all jobs, the oldest first."""
    return [ids.from_text(job.id) for page in pages(s, Filter(), 100) for job in page.jobs][::-1]


def pages(s: Scene, what: Filter, limit: int) -> Iterator[Page]:
    """All pages of a search."""
    before = None
    while True:
        page = s.do(s.plans.find, what, limit, before)
        assert len(page.jobs) <= limit
        assert page.searched is None or (page.next is not None and len(page.jobs) < limit)
        yield page
        before = page.next
        if before is None:
            return


def some_filter(chance: random.Random) -> Filter:
    """One with a few terms."""
    terms = []
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        name = chance.choice(list(WORDS))
        key, *path = name.split(".")
        values = tuple(chance.choice(WORDS[name]).split(","))
        terms.append(Term(key, values, tuple(path), key != "text" and chance.random() < 0.2))
    states = None
    if chance.random() < 0.4:
        states = frozenset(chance.sample(list(State), chance.choice((0, 1, 1, 2, 4, 7))))
    return Filter(states=states, terms=tuple(terms))


def each_word() -> Iterator[Filter]:
    """Every word of the grammar by itself, and its opposite."""
    for state in State:
        yield Filter(states=frozenset({state}))
    for name, values in WORDS.items():
        key, *path = name.split(".")
        for value in values:
            yield Filter(terms=(Term(key, tuple(value.split(",")), tuple(path)),))
            if key != "text":
                yield Filter(terms=(Term(key, tuple(value.split(",")), tuple(path), True),))


class Finding(Themed):
    """`find` and `sift` against the plain question, asked of every job."""

    @pytest.mark.parametrize("seed", range(2))
    def test_what_is_found_is_what_matches(self, s: Scene, seed: int) -> None:
        chance = random.Random(seed)
        jobs = self.known(s, some_jobs(s, chance))
        now, workers = s.clock.wall(), {node.id: node.name for node in s.do(s.plans.nodes)}
        found_some = 0
        filters = each_word() if seed == 0 else (some_filter(chance) for _ in range(60))
        for what in filters:
            wanted = [job.id for job in jobs if matches(what, job, now, workers)]
            found = [job.id for page in pages(s, what, chance.choice((7, 1000, 1000))) for job in page.jobs]
            assert found == wanted, what
            if chance.random() < 0.3:
                sifted = self.sifted(s, what, chance.choice((7, 1000)))
                assert sifted == [(ids.from_text(job.id), job.state) for job in jobs if job.id in set(wanted)], what
            found_some += bool(wanted) and len(wanted) < len(jobs)
        assert found_some > 20, "the filters must tell jobs apart"

    def known(self, s: Scene, added: list[bytes]) -> list[JobInfo]:
        """All jobs, the newest first."""
        return [s.info(id_) for id_ in reversed(added)]

    def sifted(self, s: Scene, what: Filter, looks: int) -> list[tuple[bytes, State]]:
        """All that `sift` finds."""
        found: list[tuple[bytes, State]] = []
        before = None
        while True:
            some = s.do(s.plans.sift, what, looks, before)
            found += some.jobs
            before = some.next
            if before is None:
                return found

    def test_a_page_goes_on_where_the_one_before_ended_whatever_comes_in_meanwhile(self, s: Scene) -> None:
        old = s.add(5)
        first = s.do(s.plans.find, Filter(), 2)
        s.add(3)
        s.do(s.plans.cancel, [old[0]])
        second = s.do(s.plans.find, Filter(), 2, first.next)
        third = s.do(s.plans.find, Filter(), 2, second.next)
        assert [ids.from_text(job.id) for page in (first, second, third) for job in page.jobs] == old[::-1]
        assert third.next is None

    def test_a_full_page_that_is_the_last_has_no_next(self, s: Scene) -> None:
        s.add(4)
        assert s.do(s.plans.find, Filter(), 4).next is None
        assert s.do(s.plans.find, Filter(), 3).next is not None

    def test_a_whole_id_and_its_beginning(self, s: Scene) -> None:
        one, other = s.add(2)
        text = ids.to_text(one)
        for value in (text, text.replace("-", ""), text[:-1]):
            assert [job.id for job in s.do(s.plans.find, Filter(terms=(Term("id", (value,)),))).jobs] == [text]
        both = Filter(terms=(Term("id", (text, ids.to_text(other))),))
        assert [job.id for job in s.do(s.plans.find, both).jobs] == [ids.to_text(other), text]
        assert [job.id for job in s.do(s.plans.find, both, 1, s.do(s.plans.find, both, 1).next).jobs] == [text]

    @pytest.mark.parametrize(("key", "value"), [("age", "5m"), ("age", ">soon"), ("attempt", "many"), ("id", "xyz"), ("queue", "")])
    def test_what_says_nothing_is_refused(self, s: Scene, key: str, value: str) -> None:
        with pytest.raises(ConfigurationError, match=key):
            s.do(s.plans.find, Filter(terms=(Term(key, (value,)),)))

    @pytest.mark.parametrize("before", ["", "x", "-1", "1.5"])
    def test_a_place_that_is_none_is_refused(self, s: Scene, before: str) -> None:
        with pytest.raises(ConfigurationError, match="where a page of jobs ended"):
            s.do(s.plans.find, Filter(), 10, before)
