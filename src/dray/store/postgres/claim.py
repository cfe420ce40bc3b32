"""Claim: taking jobs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from dray.model.clock import SECOND
from dray.model.job import Claimed
from dray.model.lifecycle import Move, decide_for
from dray.model.outcome import Cancelled
from dray.store.plan import Plan, Query, Ring, Row, Together, reads
from dray.store.postgres.grab import grab
from dray.store.postgres.marks import LATER, START, Lane, Mark
from dray.store.postgres.settle import SettlePlans
from dray.store.sql.renewal import LEASE
from dray.store.sql.rows import CANCELLED, EXPIRED, PARKED, READY, RUNNING, SCHEDULED, Tally
from dray.store.values import Catch, Want

#: the time, until when the node's lease lasts, when the next job becomes due, the lanes, and the rows with all that
Seen = tuple[int, int | None, int | None, list[Lane], list[Row]]
PROMOTE_AT_ONCE = 1000
PARK_AT_ONCE = 10_000  # jobs of unknown tasks in one claim: a transaction must not go on for as long as a backlog is


class Survey:
    """One look at the time and the lanes, with what is learned from it for the next."""

    def __init__(self, plans: ClaimPlans, sentence: str, params: Mapping[str, Any]) -> None:
        self._plans = plans
        ((low, _),), self._sweeps = plans.marks.ask([LATER])
        self._began = time.monotonic()
        self.query = Query(sentence, {**params, "now": plans.now(), "low": low})

    def look(self) -> Plan[Seen]:
        """Take it."""
        (rows,) = yield Together([self.query])  # with the begin of the transaction
        seen = self.seen(rows)
        if seen is None:  # the marks said nothing any more
            params = self.query.params
            again = Query(self.query.sentence, {**params, "low": 0, **_from([START] * len(params.get("lanes", ())))})
            seen = self.seen((yield again))
        assert seen is not None
        return seen

    def seen(self, rows: list[Row]) -> Seen | None:
        """What the answer says; None if the clock was set back, so that it has to be asked again."""
        plans = self._plans
        marks = plans.marks
        now, until, later = rows[0][:3]
        if marks.see(now, ()):
            return None
        if self._sweeps:
            marks.swept(self._sweeps, time.monotonic() - self._began)
        marks.emptied(LATER, later if later is not None and later <= now else now)
        lanes = [Lane(*row[3:11]) for row in rows if row[3] is not None]
        for lane in lanes:
            if lane.id not in plans.ways:
                plans.remember(lane.id, (lane.queue, lane.executor, lane.rank, lane.hold))
        marks.see(now, lanes)
        return now, until, later, lanes, rows


class ClaimPlans(SettlePlans):
    """Claiming over PostgreSQL."""

    straight = True  # a statement may be sent without a transaction that sets up the session first
    calm = False  # the last claim left nothing behind that needs more than a claim

    def claim(self, want: Want, node: int) -> Plan[Catch]:
        """Take up to `want.slots` jobs for `node`; counts the attempt before anything of the job is decoded."""
        tally = Tally()
        catch = yield from self.claim_into(tally, want, node)
        yield from self.write(tally)
        return catch

    def claim_into(self, tally: Tally, want: Want, node: int, seen: Seen | None = None) -> Plan[Catch]:
        """`claim`, counted in `tally`; `seen`: a survey that has been made already."""
        survey = self.survey(self.say.survey, {"node": node, "boot": self.boot})
        now, until, later, lanes, _ = seen or (yield from survey.look())
        if until is None:
            return Catch([], None, now, expelled=True)
        steady = self.steady_at(now)
        if until < steady:
            # It has run out, and nobody has acted on it yet (the store could not be reached, say): who claims lives.
            renewed = {"until": steady + int(LEASE * SECOND), "node": node, "boot": self.boot}
            yield Query(self.say.node_renew, renewed)
        if later is not None and later <= now:
            later = yield from self._promote(now, tally)
        got: list[Claimed] = []
        more = False
        for executor, slots in want.slots.items():
            if slots > 0:
                jobs, too_many = yield from self._take(self.lanes_for(lanes, want, executor), slots, node, now, want, tally)
                got += jobs
                more = more or too_many
        if any(want.slots.values()) and abs(now - self.marks.claimed.get(node, 0)) >= SECOND:
            # Once a second: each version of the row is a dead one soon, and under an old transaction they stay.
            yield Query(self.say.node_claimed, {"now": now, "node": node})
            self.marks.claimed[node] = now
        next_due = 0.0 if more else _until(later, now)
        self.calm = next_due != 0.0
        return Catch(got, next_due, now)

    def exchange(self, moves: Sequence[Move], want: Want | None, node: int) -> Plan[tuple[list[int], Catch | None]]:
        """Settle and claim in one transaction: what a busy node does all day."""
        tally = Tally()
        stale: list[int] = []
        catch = None
        if want is None:
            stale, _ = yield from self.settle_into(tally, moves, [])
        elif not moves:
            if self.straight and self.calm:
                self.calm = False  # the usual way is gone at every other claim at least
                catch = yield from grab(self, want, node)
            if catch is None:
                catch = yield from self.claim_into(tally, want, node)
        else:
            survey = self.survey(self.say.survey, {"node": node, "boot": self.boot})
            stale, (rows,) = yield from self.settle_into(tally, moves, [survey.query])
            catch = yield from self.claim_into(tally, want, node, survey.seen(rows))
        yield from self.write(tally)
        return stale, catch

    def survey(self, sentence: str, params: Mapping[str, Any]) -> Survey:
        """A look at the time and the lanes."""
        return Survey(self, sentence, params)

    def lanes_for(self, lanes: Sequence[Lane], want: Want, executor: int) -> list[Lane]:
        """The lanes to look at, in the order to look. Parked jobs first: they have waited longer, and a queue that is never empty
        must not keep them waiting for ever."""
        open_ = [lane for lane in lanes if lane.executor == executor and not lane.paused and _open(lane, want)]
        if want.queues is not None:
            names = list(want.queues)
        else:
            names = sorted({lane.queue for lane in open_})
            turn = want.order % len(names) if names else 0
            names = names[turn:] + names[:turn]
            if want.order:  # which of them have jobs is not known: who was not served for longest comes first
                names.sort(key=lambda name: self.marks.served.get(name, 0))
        place = {name: n for n, name in enumerate(names)}
        found = [lane for lane in open_ if lane.queue in place]
        found.sort(key=lambda lane: (place[lane.queue], not lane.hold, lane.hold, lane.rank))
        return found

    def _promote(self, now: int, tally: Tally) -> Plan[int | None]:
        """Make ready what has become due; the time of the next one."""
        self.marks.see(now, ())
        low = self.marks.low(LATER)
        moved: list[Row] = yield Query(self.say.promote, {"low": low, "now": now, "n": PROMOTE_AT_ONCE})
        for lane, _ in moved:
            queue, *_ = yield from self.way(lane)
            tally.move(queue, SCHEDULED, READY)
        yield from self.came_back(moved, now)
        rows: list[Row] = yield Query(self.say.due_first, {"low": low})
        return rows[0][0]  # type: ignore[no-any-return]

    def _take(
        self, lanes: Sequence[Lane], n: int, node: int, now: int, want: Want, tally: Tally
    ) -> Plan[tuple[list[Claimed], bool]]:
        """Up to `n` jobs of `lanes`; and whether it is worth to look again at once, because too many were in the way."""
        kept: list[Claimed] = []
        refused = 0
        place = {lane.id: at for at, lane in enumerate(lanes)}
        ids = list(place)
        while ids and len(kept) < n:
            asked = n - len(kept)
            marks, sweeps = self.marks.ask(ids)
            params = {"lanes": ids, **_from(marks)}
            began = time.monotonic()
            rows: list[Row] = yield Query(self.say.claim, {**params, "now": now, "node": node, "n": asked})
            rows.sort(key=lambda row: (place[row[4]], row[9], row[0]))
            reached = place[rows[-1][4]] + 1 if len(rows) == asked else len(ids)
            if sweeps:
                self.marks.swept([lane for lane in sweeps if place[lane] < reached], time.monotonic() - began)
            self._mark(ids[:reached], rows, asked, now)
            good = yield from self._sort_out(rows, lanes, place, want, now, tally)
            for job in good:
                self.marks.served[job.queue] = want.order
            kept += good
            refused += len(rows) - len(good)
            if len(rows) < asked:
                break
            if refused >= PARK_AT_ONCE:
                return kept, True
        return kept, False

    def _mark(self, ids: Sequence[int], rows: Sequence[Row], asked: int, now: int) -> None:
        for lane in ids:
            self.marks.emptied(lane, now)
        if len(rows) == asked:
            last = rows[-1]
            self.marks.taken(last[4], last[9], last[0], now)

    def _sort_out(
        self, rows: Sequence[Row], lanes: Sequence[Lane], place: Mapping[int, int], want: Want, now: int, tally: Tally
    ) -> Plan[list[Claimed]]:
        """Keep what can be run now. What has expired ends; a job of an unknown task is parked under the task's name, where a node
        that knows it looks: it is not burnt, and it is not walked over again and again."""
        good: list[Claimed] = []
        expired: list[Claimed] = []
        unknown: list[Claimed] = []
        parked: list[tuple[int, Lane]] = []
        for seq, id_, task, args, number, claim, attempt, losses, most, due, enqueued, options, tags, expires, started in rows:
            lane = lanes[place[number]]
            job = Claimed(
                seq, id_, task, args, lane.queue, lane.executor, claim, attempt, losses, most, due, enqueued, options, tags,
                lane.rank, expires, started,
            )  # fmt: skip
            if lane.hold:
                parked.append((seq, lane))
            came_from = PARKED if lane.hold else READY
            if expires is not None and expires <= now:
                expired.append(job)
                tally.move(job.queue, came_from, CANCELLED)
            elif task in want.tasks:
                good.append(job)
                tally.move(job.queue, came_from, RUNNING)
            else:
                unknown.append(job)
                tally.move(job.queue, came_from, PARKED)
        if parked:
            yield from self._unpark(parked)
        if expired:
            moves = [replace(decide_for(job, Cancelled(EXPIRED)), word="expired", counts=False) for job in expired]
            yield from self.finish(moves, now)
            yield Ring("done")
        if unknown:
            yield from self._park(unknown, now)
        return good

    def _unpark(self, parked: Sequence[tuple[int, Lane]]) -> Plan[None]:
        """Jobs that run stand in the lane where they will wait should they have to run again."""
        lanes = []
        for _, lane in parked:
            lanes.append((yield from self.lane(lane.queue, lane.executor, lane.rank)))
        yield Query(self.say.unpark, {"seqs": [seq for seq, _ in parked], "lanes": lanes})

    def _park(self, jobs: Sequence[Claimed], now: int) -> Plan[None]:
        keys = [(job.queue, job.executor, job.rank, f"task:{job.task}") for job in jobs]
        sidings = yield from self.lanes_of(sorted(set(keys)))
        places: list[Row] = yield Query(
            self.say.park,
            {
                "seqs": [job.seq for job in jobs], "claims": [job.claim for job in jobs],
                "sidings": [sidings[key] for key in keys],
            },
        )  # fmt: skip
        yield from self.came_back([(lane, due) for lane, due in places], now)

    @reads
    def waiting(self, want: Want) -> Plan[tuple[bool, float | None]]:
        """Whether there is something that `want` would get, without taking a lock; and the seconds until something is due."""
        ids = list(self.ways)
        marks, sweeps = self.marks.ask(ids)
        began = time.monotonic()
        params = {"lanes": ids, **_from(marks)}
        now, _, later, lanes, rows = yield from self.survey(self.say.look, params).look()
        busy = {row[3] for row in rows if row[-1]}
        if sweeps and not busy:
            self.marks.swept(sweeps, time.monotonic() - began)
        if later is not None and later <= now:
            return True, 0.0
        found = any(lane.id in busy for executor in want.slots for lane in self.lanes_for(lanes, want, executor))
        return found, _until(later, now)


def _open(lane: Lane, want: Want) -> bool:
    """Whether `want` may get something from a lane: the plain ones, and where jobs of its tasks are parked."""
    return not lane.hold or (lane.hold.startswith("task:") and lane.hold[5:] in want.tasks)


def _from(marks: Sequence[Mark]) -> dict[str, list[int]]:
    """The parameters that say from where to look."""
    return {"lows": [due for due, _ in marks], "afters": [seq for _, seq in marks]}


def _until(later: int | None, now: int) -> float | None:
    return None if later is None else max(0.0, (later - now) / SECOND)
