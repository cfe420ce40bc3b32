"""A screen that looks at the store again and again, in a thread, and says so when the store cannot be reached."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from rich.text import Text
from textual.css.query import NoMatches
from textual.screen import Screen
from textual.widgets import Static

from dray.errors import DrayError
from dray.top.words import line
from dray.wording import short

T = TypeVar("T")

SAID = 8.0  # seconds that a sentence stays
SLOW = 5.0  # seconds without an answer that are worth a word


async def aside(work: Callable[[], T]) -> T:
    """Do something that blocks, without blocking the screen. A thread that hangs does not keep the program from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def answer(result: Any, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def run() -> None:
        result: Any = None
        trouble: BaseException | None = None
        try:
            result = work()
        except Exception as error:
            trouble = error
        try:
            loop.call_soon_threadsafe(answer, result, trouble)
        except RuntimeError:  # the loop is closed: nobody waits any more
            pass

    threading.Thread(target=run, name="dray-top", daemon=True).start()
    return await future


class Watch(Screen[None]):
    """Has a banner (`#banner`) and a line for what is said (`#said`); those who inherit look and show."""

    def __init__(self, interval: float) -> None:
        super().__init__()
        self.interval = interval
        self.held = False
        self._busy: float | None = None  # since when somebody looks
        self._again = False
        self._good = time.monotonic()  # when the store last answered
        self._lost = ""
        self._written: dict[str, Text] = {}
        self._hush: Any = None

    def asked(self) -> Callable[[], Any]:
        """What is to be looked at now; to be called in a thread."""
        raise AssertionError("every screen says what it looks at")

    def found(self, what: Any) -> None:
        """Show it."""
        raise AssertionError("every screen shows what it found")

    def refused(self, error: DrayError) -> bool:
        """What was looked for cannot be had, whatever the store; whether that was dealt with."""
        return False

    def on_mount(self) -> None:
        """Begin."""
        self._home, self._within = asyncio.get_running_loop(), contextvars.copy_context()
        self.set_interval(self.interval, self.tick)
        self.look()

    def on_screen_resume(self) -> None:
        """On top again."""
        self.look()

    def tick(self) -> None:
        """Another look, if it is time."""
        if self.is_current and not self.held:
            self.look(False)

    def look(self, now: bool = True) -> None:
        """Look; `now`: if somebody is looking already, once more after that."""
        if self._busy is not None:
            self._again = self._again or now
            if time.monotonic() - self._busy > SLOW:
                self.banner(f"The store has not answered for {short(time.monotonic() - self._busy)}.")
            return
        self._busy = time.monotonic()
        self.run_worker(self._look(), group="look", exit_on_error=True)

    async def _look(self) -> None:
        try:
            what, error = await aside(self.asked()), None
        except Exception as trouble:
            what, error = None, trouble
        finally:
            self._busy = None
        try:
            self._show(what, error)
        except NoMatches:  # the window is being closed, and its parts are gone
            return
        if self._again:
            self._again = False
            self.look()

    def _show(self, what: Any, error: Exception | None) -> None:
        if error is None:
            self._good = time.monotonic()
            if self._lost:
                self.say("The store is back.")
            self._lost = ""
            self.query_one("#banner", Static).display = False
            self.found(what)
        elif not (isinstance(error, DrayError) and self.refused(error)):
            self._lost = line(error if isinstance(error, DrayError) else f"{type(error).__name__}: {error}")
            self.banner(self._lost)

    def write(self, place: str, text: Text) -> None:
        """Put a text into a part of the screen, unless it is there already."""
        if self._written.get(place) != text:
            self._written[place] = text
            self.query_one(place, Static).update(text)

    def banner(self, trouble: str, lost: bool = True) -> None:
        """Say what is wrong; if the store is lost, also how old the picture is."""
        banner = self.query_one("#banner", Static)
        old = f"What you see is {short(time.monotonic() - self._good)} old; looking again every {short_interval(self.interval)}."
        banner.update(Text(f"✗ {trouble} {old if lost else ''}".rstrip()))
        banner.display = True

    def say(self, sentence: str, bad: bool = False) -> None:
        """A sentence above the keys, for some seconds."""
        said = self.query_one("#said", Static)
        said.update(Text(line(sentence, 1000)))
        said.set_class(bad, "bad")
        said.display = True
        if self._hush is not None:
            self._hush.stop()
        self._hush = self.set_timer(SAID, self.silent)

    def silent(self) -> None:
        """Nothing more is to be said."""
        self.query_one("#said", Static).display = False

    def act(self, work: Callable[[], str]) -> None:
        """Do something to the store, say what came of it, and look again."""

        async def run() -> None:
            try:
                self.say(await aside(work))
            except DrayError as error:
                self.say(str(error), bad=True)
            self.done()
            self.look()

        self.run_worker(run(), group="act")

    def report(self, sentence: str) -> None:
        """`say` for threads."""
        self._home.call_soon_threadsafe(self.say, sentence, context=self._within)

    def done(self) -> None:
        """Something was done to the store."""


def short_interval(seconds: float) -> str:
    """ "1s", "0.5s"."""
    return f"{seconds:g}s"
