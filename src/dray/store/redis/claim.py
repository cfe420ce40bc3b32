"""Claim: taking jobs, and writing what became of them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import msgspec

from dray.model.clock import SECOND
from dray.model.job import KEEP_CANCELLED, Claimed, State
from dray.model.lifecycle import Move
from dray.store.plan import Again, Call, Calls, Plan, Ring, reads, repeatable
from dray.store.redis.enqueue import EnqueuePlans
from dray.store.redis.records import claimed_from
from dray.store.redis.shards import AT_ONCE, lots
from dray.store.sql.renewal import LEASE
from dray.store.sql.rows import CODES, EXPIRED
from dray.store.text import encodable
from dray.store.values import Catch, Want

PROMOTE_AT_ONCE = 150  # jobs that become due, in one script
SORT_AT_ONCE = 250  # jobs of unknown tasks, or expired ones, that one script puts aside
SORT_OUT = 10_000  # … and one claim
DONE = struct.Struct(">ddddH")  # number, claim, start, microseconds to be kept, length of the queue's name

encode = msgspec.msgpack.encode


class ClaimPlans(EnqueuePlans):
    """The Claim protocol over Redis."""

    tasks: dict[frozenset[str], bytes]
    dues: dict[int, tuple[int, int]]  # by shard: when it was asked, and when its next job becomes due (-1: none)

    # -- taking

    def claim(self, want: Want, node: int) -> Plan[Catch]:
        """Take up to `want.slots` jobs for `node`; counts the attempt before anything of the job is decoded."""
        _, catch = yield from self._exchange([], want, node)
        return catch

    def exchange(self, moves: Sequence[Move], want: Want | None, node: int) -> Plan[tuple[list[int], Catch | None]]:
        """Settle and claim in one round trip: what a busy node does all day."""
        if want is None:
            return (yield from self.settle(moves)), None
        return (yield from self._exchange(moves, want, node))

    def _exchange(self, moves: Sequence[Move], want: Want, node: int) -> Plan[tuple[list[int], Catch]]:
        left = dict(want.slots)
        calls, meanings = (yield from self._settling(moves)) if moves else ([], [])
        turn = want.order % self.count
        first = self._claims(want, left, node, turn)
        answers = yield Calls([*calls, *first])
        stale = self._stale(meanings, answers[: len(calls)])
        self._forget(moves)
        got: list[Claimed] = []
        now, known, more = self._caught(answers[len(calls) :], turn, left, got)
        tried = 0
        while known and more and any(left.values()) and tried < SORT_OUT // SORT_AT_ONCE:
            tried += 1
            now, known, more = self._caught((yield Calls(self._claims(want, left, node, turn))), turn, left, got)
        if known and self.count > 1:
            now, more = yield from self._elsewhere(want, left, node, turn, got, now, more)
        if moves:
            yield Ring("work")
            yield Ring("done")
        if not known:
            return stale, Catch([], None, now, expelled=True)
        return stale, Catch(got, 0.0 if more else self._next_due(now), now)

    def _elsewhere(
        self, want: Want, left: dict[Any, int], node: int, turn: int, got: list[Claimed], now: int, more: bool
    ) -> Plan[tuple[int, bool]]:
        """What the shard whose turn it is did not have may be on the others; each is asked for a part of it."""
        others = [(turn + n) % self.count for n in range(1, self.count)]
        rounds = 0
        while others and rounds < SORT_OUT // SORT_AT_ONCE and any(n > 0 for n in left.values()):
            rounds += 1
            asked, others = others[: max(left.values())], others[max(left.values()) :]
            share = {kind: -(-n // len(asked)) for kind, n in left.items()}
            rest = dict(left)
            calls, shards, short = [], [], set()
            for shard in asked:
                part = {kind: min(n, rest[kind]) for kind, n in share.items()}
                for kind, n in part.items():
                    rest[kind] -= n
                if part != share:
                    short.add(shard)
                claims = self._claims(want, part, node, shard)
                calls += claims
                shards += [shard] * len(claims)
            before = len(got)
            generous = set()
            for shard, answer in zip(shards, (yield Calls(calls)), strict=True):
                now, _, some = self._caught([answer], shard, left, got)
                if some or len(got) > before:
                    generous.add(shard)
                    before = len(got)
            others += [shard for shard in asked if shard in short or shard in generous]  # it may have more
        return now, more or bool(others)

    def _claims(self, want: Want, slots: dict[Any, int], node: int, shard: int) -> list[Call]:
        """The scripts that take so many jobs: one, unless that would take it too long."""
        tasks = self.tasks.get(want.tasks)
        if tasks is None:
            if len(self.tasks) > 100:
                self.tasks.clear()
            tasks = self.tasks[want.tasks] = encode(sorted(want.tasks))
        # Shards have their turns, and within each shard the queues: no queue may meet the same shard each time.
        order = want.order // self.count
        left = dict(slots)
        calls: list[Call] = []
        while True:
            part, room = [], AT_ONCE
            for kind, n in left.items():
                some = min(room, max(0, n))
                part.append((int(kind), some))
                left[kind] = n - some
                room -= some
            blob = encode({"slots": part, "queues": want.queues, "tasks": msgspec.Raw(tasks), "order": order})
            calls.append(Call(
                self.say.claim,
                (
                    self.now(), self.steady(), self.boot(), node, int(LEASE * SECOND), blob, int(KEEP_CANCELLED * SECOND), EXPIRED,
                    self.bell, PROMOTE_AT_ONCE, SORT_AT_ONCE,
                ),
                shard,
            ))  # fmt: skip
            if not any(n > 0 for n in left.values()):
                return calls

    def _caught(self, answers: Sequence[Any], shard: int, left: dict[Any, int], got: list[Claimed]) -> tuple[int, bool, bool]:
        """The time, whether the node is known, and whether there is more to sort out; jobs go into `got`."""
        now, known, more = 0, True, False
        for answer in answers:
            known, now, due, more = bool(answer[0]), answer[1], answer[2], bool(answer[3])
            self.dues[shard] = (now, due)
            for at in range(4, len(answer), 3):
                job = claimed_from(self.outer(answer[at], shard), answer[at + 1], answer[at + 2])
                left[job.executor] -= 1
                self.claims[job.seq, job.claim] = job.started
                got.append(job)
        return now, known, more

    def _next_due(self, now: int) -> float | None:
        """Seconds until the next job becomes due, as far as is known; None: there is none."""
        dues = [due for _, due in self.dues.values() if due >= 0]
        return max(0.0, (min(dues) - now) / SECOND) if dues else None

    @reads
    def waiting(self, want: Want) -> Plan[tuple[bool, float | None]]:
        """Whether there is something that `want` would get; and the seconds until something is due."""
        blob = encode({
            "slots": [(int(kind), n) for kind, n in want.slots.items()], "queues": want.queues, "tasks": sorted(want.tasks),
            "order": want.order,
        })  # fmt: skip
        found, now = False, 0
        for shard, (some, now_, due) in enumerate((yield from self.every(self.say.waiting, (self.now(), blob)))):
            found, now = found or bool(some), now_
            self.dues[shard] = (now, due)
        return found, self._next_due(now)

    # -- writing what became of them

    @repeatable
    def settle(self, moves: Sequence[Move]) -> Plan[list[int]]:
        """Write what became of jobs. The answer: the `seq` of those whose claim was stale; nothing of them was changed."""
        if not moves:
            return []
        calls, meanings = yield from self._settling(moves)
        stale = self._stale(meanings, (yield Calls(calls)))
        self._forget(moves)
        yield Ring("work")
        yield Ring("done")
        return stale

    def _settling(self, moves: Sequence[Move]) -> Plan[tuple[list[Call], list[int]]]:
        """The scripts that settle `moves`, and the shard of each."""
        again = int((yield Again()))
        calls: list[Call] = []
        shards: list[int] = []
        good: dict[int, list[bytes]] = {}
        others: dict[int, list[bytes]] = {}
        for move in moves:
            shard, seq = self.inner(move.seq)
            if move.state is State.SUCCEEDED:
                queue = move.queue.encode()
                head = DONE.pack(seq, move.claim, self.began(move.seq, move.claim), int(move.keep * SECOND), len(queue))
                good.setdefault(shard, []).append(head + queue + (move.result or b""))
            else:
                others.setdefault(shard, []).append(encode(_told(move, seq, self.began(move.seq, move.claim))))
        for shard, told in good.items():
            for lot in lots(told, AT_ONCE):
                calls.append(Call(self.say.succeed, (self.now(), self.bell, again, *lot), shard))
                shards.append(shard)
        for shard, told in others.items():
            for lot in lots(told):
                args = (self.now(), self.bell, again, int(KEEP_CANCELLED * SECOND), *lot)
                calls.append(Call(self.say.settle, args, shard))
                shards.append(shard)
        return calls, shards

    def _stale(self, shards: Sequence[int], answers: Sequence[Any]) -> list[int]:
        return [self.outer(seq, shard) for shard, found in zip(shards, answers, strict=True) for seq in found]

    @repeatable
    def release(self, jobs: Sequence[Claimed]) -> Plan[None]:
        """Give back jobs that were claimed and not started; their attempt does not count."""
        told: dict[int, list[tuple[int, int, int]]] = {}
        for job in jobs:
            shard, seq = self.inner(job.seq)
            told.setdefault(shard, []).append((seq, job.claim, job.started))
        calls = [
            Call(self.say.release, (self.now(), self.bell, int(KEEP_CANCELLED * SECOND), *(n for one in lot for n in one)), shard)
            for shard, claims in told.items() for lot in lots(claims)
        ]  # fmt: skip
        if calls:
            yield Calls(calls)
            self._forget(jobs)
            yield Ring("work")
            yield Ring("done")

    def _forget(self, ended: Sequence[Move] | Sequence[Claimed]) -> None:
        for one in ended:
            self.claims.pop((one.seq, one.claim), None)

    @reads
    def own(self, seq: int, claim: int) -> Plan[bool]:
        """Whether a claim is still valid, now."""
        shard, local = self.inner(seq)
        return bool((yield Call(self.say.own, (local, claim, self.began(seq, claim)), shard)))

    def note(
        self, progress: Sequence[tuple[bytes, int, int]], logs: Sequence[tuple[int, str, str, int, int]], keep: int
    ) -> Plan[None]:
        """Write what running jobs say of themselves: progress as (JSON, seq, claim), log lines as (time, level, text, seq,
        claim). A stale claim writes nothing. At most `keep` lines of a job are kept, the newest."""
        shares: dict[int, tuple[list[Any], list[Any]]] = {}
        for said, seq, claim in progress:
            shard, local = self.inner(seq)
            shares.setdefault(shard, ([], []))[0].append((_text(said), local, claim, self.began(seq, claim)))
        for at, level, text, seq, claim in logs:
            shard, local = self.inner(seq)
            shares.setdefault(shard, ([], []))[1].append((at, level, encodable(text), local, claim, self.began(seq, claim)))
        calls = []
        for shard, (one, other) in shares.items():
            calls += [Call(self.say.note, (keep, encode(lot), encode([])), shard) for lot in lots(one)]
            calls += [Call(self.say.note, (keep, encode([]), encode(lot)), shard) for lot in lots(other)]
        if calls:
            yield Calls(calls)


def _told(move: Move, seq: int, began: int) -> dict[str, Any]:
    """A move as settle.lua wants it. What is None is left out."""
    told = {
        "seq": seq, "claim": move.claim, "began": began, "state": CODES[move.state], "word": move.word,
        "delay": int(move.delay * SECOND),
        "keep": int(move.keep * SECOND), "counts": move.counts, "lost": move.lost,
        "reason": None if move.reason is None else encodable(move.reason),
        "error": None if move.error is None else _text(msgspec.json.encode(move.error)),
        "result": None if move.result is None else _text(move.result),
    }  # fmt: skip
    return {name: value for name, value in told.items() if value is not None}


def _text(raw: bytes) -> str:
    """Bytes as the text that they should be: the msgpack of Redis knows no others."""
    return raw.decode("utf-8", "backslashreplace")
