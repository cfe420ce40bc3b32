"""A short way to a few jobs: one round trip and one statement, for a worker that was woken because there is one.

The usual way asks for the lanes first, and takes care of all that may be there: what has become due, has expired or is parked.
It is gone at every other claim at least, so nothing of that waits for long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dray.model.job import Claimed
from dray.store.plan import Plan, Query, Row
from dray.store.postgres.marks import Lane
from dray.store.values import Catch, Want

if TYPE_CHECKING:
    from dray.store.postgres.claim import ClaimPlans


def grab(plans: ClaimPlans, want: Want, node: int) -> Plan[Catch | None]:
    """Some jobs from lanes that are known; None if there are none to be had in this way."""
    known = [Lane(id_, *key) for id_, key in plans.ways.items() if not key[3]]
    lanes: list[Lane] = []
    room = []
    for executor, slots in want.slots.items():
        if slots > 0 and (found := plans.lanes_for(known, want, executor)):
            lanes += found
            room.append(slots)
    if not lanes:
        return None
    marks = plans.marks.known([lane.id for lane in lanes])
    now = plans.now()
    rows: list[Row] = yield Query(
        plans.say.grab,
        {
            "now": now, "steady": plans.steady_given(), "node": node, "boot": plans.boot, "lanes": [lane.id for lane in lanes],
            "queues": [lane.queue for lane in lanes], "lows": [due for due, _ in marks], "afters": [seq for _, seq in marks],
            "tasks": list(want.tasks), "n": min(room),
        }, alone=True,
    )  # fmt: skip
    if not rows:
        return None
    place = {lane.id: (at, lane) for at, lane in enumerate(lanes)}
    rows.sort(key=lambda row: (place[row[4]][0], row[9], row[0]))
    jobs = []
    for seq, id_, task, args, number, claim, attempt, losses, most, due, enqueued, options, tags, expires, started in rows:
        lane = place[number][1]
        jobs.append(Claimed(
            seq, id_, task, args, lane.queue, lane.executor, claim, attempt, losses, most, due, enqueued, options, tags, lane.rank,
            expires, started,
        ))  # fmt: skip
        plans.marks.served[lane.queue] = want.order
    return Catch(jobs, 0.0 if len(jobs) == min(room) else None, jobs[0].started)
