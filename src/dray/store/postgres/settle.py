"""Settle: writing what became of jobs, each time for as many as there are in a few statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from dray.model.clock import SECOND
from dray.model.job import KEEP_CANCELLED, Claimed, State
from dray.model.lifecycle import Move
from dray.store.plan import Again, Now, Plan, Query, Ring, Row, Together, reads, repeatable
from dray.store.postgres.enqueue import EnqueuePlans
from dray.store.postgres.text import storable
from dray.store.sql.notes import NotePlans
from dray.store.sql.rows import CODES, READY, RUNNING, SCHEDULED, SUCCEEDED, Tally, lenient

Runs = dict[int, Row]


class SettlePlans(EnqueuePlans, NotePlans):
    """Settling over PostgreSQL."""

    @repeatable
    def settle(self, moves: Sequence[Move]) -> Plan[list[int]]:
        """Write what became of jobs. The answer: the `seq` of those whose claim was stale; nothing of them was changed."""
        tally = Tally()
        stale, _ = yield from self.settle_into(tally, moves, [])
        yield from self.write(tally)
        return stale

    def settle_into(self, tally: Tally, moves: Sequence[Move], beside: Sequence[Query]) -> Plan[tuple[list[int], list[list[Row]]]]:
        """`settle`, counted in `tally`; with the answers of other statements, which are sent in the same round trip."""
        plain = [move for move in moves if move.state is State.SUCCEEDED and move.result is None]
        fruitful = [move for move in moves if move.state is State.SUCCEEDED and move.result is not None]
        others = [move for move in moves if move.state is not State.SUCCEEDED]
        queries = []
        if plain:
            params = {**_claims(plain), "keeps": [int(move.keep * SECOND) for move in plain], "now": self.now()}
            queries.append(Query(self.say.succeed, params))
        if fruitful:
            queries.append(self._finishing(fruitful, self.now()))
        if others:
            queries.append(Query(self.say.runs, _claims(others)))
        asked = [*queries, *beside]
        answers: list[list[Row]] = [(yield asked[0])] if len(asked) == 1 else (yield Together(asked))
        mine, others_rows = answers[: len(queries)], answers[len(queries) :]
        stale: list[int] = []
        if plain:
            stale += _missing(plain, mine.pop(0), tally)
        if fruitful:
            stale += _missing(fruitful, mine.pop(0), tally)
        ended, woken = len(plain) + len(fruitful) > len(stale), False
        if others:
            ended_too, woken, late = yield from self._settle_others(others, mine.pop(0), tally)
            ended = ended or ended_too
            stale += late
        if stale and (yield Again()):
            stale = yield from self._really_stale(moves, stale)
        if ended:
            yield Ring("done")
        if woken:
            yield Ring("work")
        return stale, others_rows

    def finish(self, moves: Sequence[Move], now: int) -> Plan[list[Row]]:
        """Move running jobs to where the final ones are; the `seq` of those that were."""
        return (yield self._finishing(moves, now))  # type: ignore[no-any-return]

    def _finishing(self, moves: Sequence[Move], now: int | None) -> Query:
        return Query(
            self.say.finish,
            {
                **_claims(moves), "states": [CODES[move.state] for move in moves],
                "keeps": [int(move.keep * SECOND) for move in moves], "backs": [0 if move.counts else 1 for move in moves],
                "losts": [1 if move.lost else 0 for move in moves], "reasons": reasons(moves),
                "results": [move.result for move in moves], "errors": [encoded(move) for move in moves], "now": now,
            },
        )  # fmt: skip

    def _settle_others(self, moves: Sequence[Move], found: Sequence[Row], tally: Tally) -> Plan[tuple[bool, bool, list[int]]]:
        """What did not succeed. Somebody may have asked to cancel a job while it ran: then it does not run again."""
        now: int = yield Now()
        runs: Runs = {row[0]: row for row in found}
        stale: list[int] = []
        final: list[Move] = []
        again: list[Move] = []
        past: list[tuple[Move, Row]] = []
        for move in moves:
            run = runs.pop(move.seq, None) if move.seq in runs and runs[move.seq][1] == move.claim else None
            if run is None:
                stale.append(move.seq)
                continue
            past.append((move, run))
            if move.state.final:
                final.append(move)
            elif run[5] is not None:
                final.append(replace(move, state=State.CANCELLED, keep=keep_of(run[6], KEEP_CANCELLED)))
            else:
                again.append(move)
        yield from self._write_history(past, now)
        if final:
            yield from self.finish(final, now)
        if again:
            yield from self._run_again(again, now)
        woken = False
        for move in final:
            tally.move(move.queue, RUNNING, CODES[move.state])
        for move in again:
            code = _code(move)
            tally.move(move.queue, RUNNING, code)
            woken = woken or code in (SCHEDULED, READY)
        return bool(final), woken, stale

    def _run_again(self, moves: Sequence[Move], now: int) -> Plan[None]:
        yield Query(
            self.say.again,
            {
                **_claims(moves), "states": [_code(move) for move in moves],
                "dues": [now + int(move.delay * SECOND) for move in moves], "backs": [0 if move.counts else 1 for move in moves],
                "losts": [1 if move.lost else 0 for move in moves], "reasons": reasons(moves),
                "errors": [encoded(move) for move in moves],
            },
        )  # fmt: skip

    def _write_history(self, past: Sequence[tuple[Move, Row]], now: int) -> Plan[None]:
        if past:
            yield Query(
                self.say.history_add,
                {
                    **_claims([move for move, _ in past]), "attempts": [run[2] for _, run in past],
                    "words": [move.word for move, _ in past], "nodes": [run[3] for _, run in past],
                    "starts": [run[4] for _, run in past], "ends": [now] * len(past),
                    "reasons": reasons([move for move, _ in past]), "errors": [encoded(move) for move, _ in past],
                },
            )  # fmt: skip

    def _really_stale(self, moves: Sequence[Move], stale: Sequence[int]) -> Plan[list[int]]:
        """This is another try: what the first has written after all is not stale."""
        doubtful = [move for move in moves if move.seq in set(stale)]
        params = {
            **_claims(doubtful), "states": [CODES[move.state] for move in doubtful], "words": [move.word for move in doubtful],
        }  # fmt: skip
        written = {row[0] for row in (yield Query(self.say.settled, params))}
        return [seq for seq in stale if seq not in written]

    @repeatable
    def release(self, jobs: Sequence[Claimed]) -> Plan[None]:
        """Give back jobs that were claimed and not started; their attempt does not count."""
        if not jobs:
            return
        now: int = yield Now()
        by_key = {(job.seq, job.claim): job for job in jobs}
        rows: list[Row] = yield Query(
            self.say.release, {"seqs": [seq for seq, _ in by_key], "claims": [claim for _, claim in by_key]}
        )
        given = {(seq, claim) for seq, claim, _, _ in rows}
        tally = Tally()
        left = []
        for job in by_key.values():
            if (job.seq, job.claim) in given:
                tally.move(job.queue, RUNNING, READY)
            else:  # somebody asked to cancel it, or the claim is stale: settling knows both
                left.append(Move(job.seq, job.claim, job.queue, State.READY, "interrupted", counts=False))
        yield from self.came_back([(lane, due) for _, _, lane, due in rows], now)
        yield from self.write(tally)
        if left:
            yield from self.settle(left)
        yield Ring("work")

    def note(
        self, progress: Sequence[tuple[bytes, int, int]], logs: Sequence[tuple[int, str, str, int, int]], keep: int
    ) -> Plan[None]:
        """Write what running jobs say of themselves; see `NotePlans`."""
        yield from super().note(progress, [(at, level, storable(text), seq, claim) for at, level, text, seq, claim in logs], keep)

    @reads
    def own(self, seq: int, claim: int) -> Plan[bool]:
        """Whether a claim is still valid, now."""
        rows: list[Row] = yield Query(self.say.still_mine, {"seq": seq, "claim": claim})
        return bool(rows)


def _claims(moves: Sequence[Move]) -> dict[str, Any]:
    return {"seqs": [move.seq for move in moves], "claims": [move.claim for move in moves]}


def _missing(moves: Sequence[Move], rows: Sequence[Row], tally: Tally) -> list[int]:
    """Those of `moves`, all to succeeded, that were not written; the others are counted."""
    written = {row[0] for row in rows}
    if len(written) == len(moves):
        for queue in {move.queue for move in moves}:
            tally.move(queue, RUNNING, SUCCEEDED, sum(move.queue == queue for move in moves))
        return []
    stale = []
    for move in moves:
        if move.seq in written:
            written.discard(move.seq)  # the same move a second time is stale
            tally.move(move.queue, RUNNING, SUCCEEDED)
        else:
            stale.append(move.seq)
    return stale


def _code(move: Move) -> int:
    """The state of a job that is not final, as it is written."""
    code = CODES[move.state]
    return READY if code == SCHEDULED and move.delay <= 0 else code


def keep_of(options: bytes | None, usual: float) -> float:
    """Seconds to keep a job that was cancelled from outside."""
    found = lenient(options)
    keep = found.get("result_ttl") if isinstance(found, dict) else None
    return float(keep) if isinstance(keep, (int, float)) else usual


def reasons(moves: Sequence[Move]) -> list[str | None]:
    """Their reasons, as they are kept."""
    return [storable(move.reason) for move in moves]


def encoded(move: Move) -> bytes | None:
    """The error of a move as it is kept."""
    return None if move.error is None else msgspec.json.encode(move.error)


