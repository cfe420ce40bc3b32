"""The conformance suite over a cluster, on one shard and on three. Nobody keeps the order of jobs in different shards: what speaks
of it is told of jobs whose ids name one shard, as those with one routing key do."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import pytest

from dray.model import ids
from dray.model.clock import Clock
from dray.store.redis.place import place_of
from dray.store.redis.store import RedisStore
from dray.testing.store_suite import *  # noqa: F403

#: Where the order in which jobs are claimed, or numbered, is told.
IN_ORDER = {
    "test_only_what_had_started_is_lost", "test_higher_priority_first_then_due_then_order_of_enqueueing",
    "test_the_order_holds_across_claims", "test_queues_are_looked_at_in_the_order_given",
    "test_a_batch_over_several_queues_counts_each", "test_more_than_a_thousand_due_at_once_all_come",
    "test_expired_jobs_do_not_use_up_the_slots", "test_release_gives_back_uncounted_and_in_place",
    "test_in_a_mixed_batch_only_the_stale_are_refused", "test_a_place_is_never_taken_twice", "test_find_by_text_of_the_error",
    "test_unknown_tasks_do_not_stand_in_the_way", "test_the_order_among_parked_jobs", "test_many_jobs_of_one_node",
    "test_log_lines_are_numbered_fenced_and_trimmed_to_the_newest", "test_what_had_been_settled_before_is_left_alone",
    "test_each_final_state_is_kept_for_its_own_time", "test_find_by_state", "test_a_jobs_own_time_to_be_kept_holds_whoever_ends_it",
}  # fmt: skip


@pytest.fixture(params=[1, 3])
def make_store(
    request: pytest.FixtureRequest, redis_cluster, monkeypatch: pytest.MonkeyPatch  # type: ignore[no-untyped-def]
) -> Iterator[Callable[[Clock], RedisStore]]:
    if request.param > 1 and request.function.__name__ == "test_without_queues_every_queue_is_served_and_each_has_its_turn":
        pytest.skip("each shard has its turn first, and the queues within it")
    if request.param > 1 and request.function.__name__ in IN_ORDER:
        monkeypatch.setattr(ids, "new_ids", functools.partial(ids.new_ids, shard=1))
    with redis_cluster.fresh() as url:
        yield lambda clock: RedisStore(place_of(f"{url}&risk=persistence&shards={request.param}"), clock=clock)
