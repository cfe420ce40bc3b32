"""Sessions: the only place where plans meet Redis."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from redis import exceptions

from dray.errors import StoreUnavailable
from dray.model.job import NewJob
from dray.store.bell import Bell
from dray.store.plan import Again, Call, Calls, Now, Plan, Ring, Step, drive
from dray.store.redis.lines import Command, Line, Lines
from dray.store.redis.place import Place
from dray.store.redis.plans import RedisPlans
from dray.store.redis.records import packed
from dray.store.redis.router import Address
from dray.store.redis.scripts import Script
from dray.store.redis.trouble import Gone, as_ours, not_now, too_late
from dray.store.servants import Servants

T = TypeVar("T")

PATIENCE = 10.0  # seconds in which a caller's call is tried again while the server is away
WORK = {"work"}
TRIES = 3  # a call that gets no answer is given up after this part of its time, so that there is some left for another connection


class RedisSession:
    """Runs plans on a server, or on several that are one."""

    def __init__(self, place: Place, plans: RedisPlans) -> None:
        self.place = place
        self.lines = Lines(place)
        self.plans = plans
        self.bell: Bell | None = None
        self.servants = Servants(self._run, plans.add, place.where)
        self._add = plans.add
        self._heads: dict[tuple[Script, int], Command] = {}
        self._pid = os.getpid()

    def run(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """Carry out one verb. Raises StoreError."""
        if verb == self._add and self._quick_add(args[0]):
            return None  # type: ignore[return-value]
        return self._run(time.monotonic(), verb, *args)  # type: ignore[no-any-return]

    def _quick_add(self, jobs: Sequence[NewJob]) -> bool:
        """`add` of one job without any detour: it is what a web request waits for. False if that is not to be had here, or if it
        went wrong in a way that the usual way knows to deal with; an add may be sent again."""
        if len(jobs) != 1 or self.place.wait or self._pid != os.getpid():
            return False
        (job,) = jobs
        plans = self.plans
        shard = plans.shard_of(job.id)
        line = self.lines.at_hand(shard)
        if line is None:
            return False
        head = self._heads.get((plans.say.add, shard))
        if head is None:
            head = self.command(Call(plans.say.add, (), shard))
        try:
            answer = line.ask((*head, plans.now(), plans.channels(), b"", packed(job)), max(1.0, self.place.timeout / TRIES))
        except Gone:
            self.lines.discard(line)
            return False
        except BaseException:
            self.lines.discard(line)
            raise
        self.lines.give(line)
        if isinstance(answer, Exception):
            return False
        plans.rung(answer[1])
        if self.bell is not None:
            self.bell.ring(WORK)
        return True

    async def arun(self, verb: Callable[..., Plan[T]], *args: Any) -> T:
        """`run` for coroutines: the event loop goes on while the store works."""
        self._check_fork()
        return await self.servants.ask(verb, *args)

    def _check_fork(self) -> None:
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self.servants.start()

    def _run(self, began: float, verb: Callable[..., Plan[Any]], *args: Any) -> Any:
        self._check_fork()
        plain = verb
        while isinstance(plain, functools.partial):
            plain = plain.func
        reads, limit = getattr(plain, "reads", False), getattr(plain, "within", None)
        allowed = min(self.place.timeout, limit or self.place.timeout)
        again, pause = getattr(verb, "again", False), 0.02
        while True:
            edge = Edge(self, began, allowed, again=again, urgent=limit is not None, wait=0 if reads else self.place.wait)
            try:
                answer = drive(verb(*args), edge.do)
            except Gone as gone:
                self.lines.router.forget()  # another server may be the primary by now
                doubtful = (gone.sent or edge.done) and not reads
                over = time.monotonic() + pause > began + min(allowed, PATIENCE)
                if over or (doubtful and not getattr(plain, "repeatable", False)):
                    if gone.late:
                        raise too_late(self.place.where, time.monotonic() - began) from gone
                    raise as_ours(gone, self.place.where) from gone.cause
                again = again or doubtful
                time.sleep(pause)
                pause = min(0.5, pause * 2)
            except exceptions.RedisError as error:
                raise as_ours(error, self.place.where) from error
            else:
                if edge.rings and self.bell is not None:
                    self.bell.ring(edge.rings)
                return answer

    def command(self, call: Call) -> Command:
        """What is sent for a call."""
        key = (call.script, call.shard)
        head = self._heads.get(key)
        if head is None:
            tag = self.place.tag(call.shard)
            names = [f"{tag}:{name}".encode() for name in call.script.keys]
            head = self._heads[key] = (b"EVALSHA", call.script.sha.encode(), len(names), *names)
        return (*head, *call.args)

    def close(self) -> None:
        """Close the connections; what is being carried out goes on to its end."""
        if self._pid == os.getpid():
            self.servants.close()
            self.lines.close()


class Edge:
    """Carries out the steps of one plan."""

    def __init__(self, session: RedisSession, began: float, allowed: float, *, again: bool, urgent: bool, wait: int) -> None:
        self._session = session
        self._lines = session.lines
        self._until = began + allowed
        self._each = max(1.0, allowed / TRIES)
        self._again = again
        self._urgent = urgent
        self._wait = wait
        self.rings: set[str] = set()
        self.done = False  # something has been carried out already
        self._refused: Exception | None = None  # for good, by one of the servers

    def do(self, step: Step) -> Any:
        """Carry out one step."""
        if type(step) is Call:
            return self._all([step])[0]
        if type(step) is Calls:
            return self._all(step.calls)
        if type(step) is Ring:
            self.rings.add(step.kind)
            return None
        if type(step) is Again:
            return self._again
        if type(step) is Now:
            plans = self._session.plans
            return self._all([Call(plans.say.now, (plans.now(),))])[0]
        raise TypeError(f"this store has no way to carry out {step!r}")

    def _all(self, calls: Sequence[Call]) -> list[Any]:
        answers: list[Any] = [None] * len(calls)
        left, pause = list(range(len(calls))), 0.01
        while left:
            again = self._send(calls, left, answers)
            if again:  # refused for now, without having been carried out
                if time.monotonic() + pause > self._until:
                    raise answers[again[0]]
                self._lines.router.forget()
                time.sleep(pause)
                pause = min(0.3, pause * 2)
            left = again
        return answers

    def _post(self, line: Line, calls: Sequence[Call]) -> None:
        commands = [self._session.command(call) for call in calls]
        if self._wait:
            commands.append((b"WAIT", self._wait, int(self._each * 500)))
        line.send(commands)

    def _timeout(self) -> float:
        return max(0.05, min(self._each, self._until - time.monotonic()))

    def _collect(self, line: Line, calls: Sequence[Call], which: Sequence[int], answers: list[Any]) -> list[int]:
        """Read the answers of one server, and give the line back; those that are to be sent again."""
        timeout = self._timeout()
        unknown: list[int] = []
        again: list[int] = []
        refused: Exception | None = None
        for n in which:
            answer = answers[n] = line.receive(timeout)
            if isinstance(answer, Exception):
                if isinstance(answer, exceptions.NoScriptError):
                    unknown.append(n)
                elif not_now(answer) or self._moved(answer):
                    again.append(n)
                else:
                    refused = refused or answer
            else:
                self.done = True
        if self._wait:
            reached = line.receive(timeout)
            if not (refused or unknown or again) and (isinstance(reached, Exception) or reached < self._wait):
                raise StoreUnavailable(
                    f"The write reached the primary of {self._lines.place.where}, but only {reached} of the {self._wait} replicas "
                    "that wait asks for: it is there, and may be lost in a failover. See to the replicas with `dray doctor`."
                )
        if unknown and not refused:
            for script in {calls[n].script for n in unknown}:
                line.load(script, timeout)
            self._post(line, [calls[n] for n in unknown])
            return again + self._collect(line, calls, unknown, answers)
        if any(isinstance(answers[n], exceptions.ReadOnlyError) for n in again):
            self._lines.discard(line)  # it was the primary once: the next one is somewhere else
        else:
            self._lines.give(line)
        self._refused = self._refused or refused
        return again

    def _moved(self, error: Exception) -> bool:
        return self._lines.place.kind == "cluster" and isinstance(error, exceptions.AskError)

    def _send(self, calls: Sequence[Call], which: Sequence[int], answers: list[Any]) -> list[int]:
        """Send calls to their servers, which work at the same time; those that are to be sent again. Raises what a server refused
        for good, once all have answered."""
        router = self._lines.router
        shares: dict[Address, list[int]] = {}
        for n in which:
            shares.setdefault(self._lines.address(calls[n].shard), []).append(n)
        lines: list[tuple[Line, list[int]]] = []
        again: list[int] = []
        trouble: BaseException | None = None
        try:  # all of them before anything is sent: else a part would be carried out and nobody know
            for address, mine in sorted(shares.items()):  # in one order, or two threads might wait for each other's lines
                lines.append((self._lines.take(address, self._until, urgent=self._urgent), mine))
        except BaseException:
            for line, _ in lines:
                self._lines.give(line)
            raise
        for at, (line, mine) in enumerate(lines):
            try:
                self._post(line, [calls[n] for n in mine])
            except BaseException as error:
                trouble = error
                for unused, _ in lines[at:]:
                    self._lines.discard(unused)
                del lines[at:]
                break
        for line, mine in lines:
            if trouble is not None and not isinstance(trouble, Exception):
                self._lines.discard(line)
                continue
            try:
                again += self._collect(line, calls, mine, answers)
            except BaseException as error:
                self._lines.discard(line)
                trouble = trouble or error
        if trouble is not None:
            router.forget()
            raise trouble
        if self._refused is not None:
            raise self._refused
        return again
