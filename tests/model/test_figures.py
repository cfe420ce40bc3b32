"""Figures: what is added up is what was measured."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dray.model.figures import KINDS, Failures, Use, Work, bounds, bucket, merged, name_of, parts_of, percentile

TIMES = st.lists(st.integers(0, 10**11), min_size=1, max_size=200)


@given(st.integers(0, 2**50))
def test_a_time_is_within_its_bucket_which_is_narrow(micros: int) -> None:
    low, high = bounds(bucket(micros))
    assert low <= micros < high
    assert high - low <= max(1, low / 4)


@given(TIMES)
def test_buckets_are_in_order(times: list[int]) -> None:
    assert [bucket(one) for one in sorted(times)] == sorted(bucket(one) for one in times)


@given(TIMES, st.sampled_from([0.0, 0.1, 0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_is_near_the_true_one(times: list[int], part: float) -> None:
    buckets: dict[int, int] = {}
    for one in times:
        buckets[bucket(one)] = buckets.get(bucket(one), 0) + 1
    found = percentile(buckets, part)
    assert found is not None
    place = max(0, min(len(times) - 1, int(part * len(times) + 0.999999) - 1))
    low, high = bounds(bucket(sorted(times)[place]))
    assert low <= found * 1e6 * (1 + 1e-9)
    assert found * 1e6 <= high * (1 + 1e-9)


def test_of_nothing_there_is_no_percentile() -> None:
    assert percentile({}, 0.5) is None


WORK = st.builds(
    Work, succeeded=st.integers(0, 9), failed=st.integers(0, 9), lost=st.integers(0, 9),
    run=st.dictionaries(st.integers(0, 99), st.integers(1, 9)),
    run_sum=st.integers(0, 10**9),
)  # fmt: skip


@given(st.lists(WORK, max_size=6), st.integers(0, 6))
def test_the_order_and_the_steps_of_adding_up_do_not_matter(works: list[Work], cut: int) -> None:
    whole = merged(works, Work)
    assert whole == merged([merged(works[cut:], Work), merged(works[:cut], Work)], Work)
    assert whole.succeeded == sum(work.succeeded for work in works)
    assert sum(whole.run.values()) == sum(sum(work.run.values()) for work in works)


def test_adding_up_leaves_what_is_added_as_it_was() -> None:
    one = Work(succeeded=1, run={5: 1})
    assert merged([one, one], Work) == Work(succeeded=2, run={5: 2})
    assert one == Work(succeeded=1, run={5: 1})
    assert Work().run == {}


def test_of_failures_the_newest_is_shown() -> None:
    told = merged([Failures(1, 1, "A", "new", "j2", 20), Failures(3, 0, "A", "old", "j1", 10)], Failures)
    assert (told.times, told.final, told.message, told.job) == (4, 1, "new", "j2")


def test_use_is_weighed_by_time() -> None:
    told = merged([Use(1.0, 100, 10.0, 20, 10.0), Use(2.0, 50, 0.0, 20, 30.0)], Use)
    assert (told.cpu, told.memory, told.busy, told.slots, told.seconds) == (3.0, 100, 2.5, 20, 40.0)


def test_names_and_encoding() -> None:
    assert parts_of(name_of("mail", "send")) == ("mail", "send")
    for kind in KINDS.values():
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(kind()), type=kind) == kind()
