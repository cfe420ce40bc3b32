"""The search grammar, one for the command line, the API and the dashboard: text to filter and back, and what could come next.

    state:failed,cancelled queue:mail task:send_* args.user.id:42 tag:vip error:Timeout age:>5m -worker:web-1 "free text"

Words stand side by side and must all hold; several values with commas between them are any of these; a hyphen in front means the
opposite; quotes hold together what has blanks or commas in it (a backslash stands before quotes and backslashes there). In names,
* stands for any characters and ? for one. Everything that is no known key with a colon is looked for in the arguments and errors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from dray.errors import ConfigurationError
from dray.model.filter import EXAMPLES, KEYS, Filter, Term, check, matches
from dray.model.job import State

if TYPE_CHECKING:
    from dray.insight import Insight

__all__ = ["KEYS", "Filter", "Suggestion", "complete", "matches", "parse", "to_text", "word"]

_KEY = re.compile(r'(-?)([a-z]+)((?:\.[^\s:",.]+)*):')
_BARE = re.compile(r"[^\s,]+")
_WORD = re.compile(r"\S+")
_PLAIN = re.compile(r'[^\s,"]+')
MOST = 30  # suggestions at once


# -- text to filter


def parse(what: Filter | str) -> Filter:
    """The filter that a text means; a filter is given back as it is. Raises ConfigurationError."""
    if isinstance(what, Filter):
        return what
    if not what.isprintable() and ("\0" in what or any("\ud800" <= sign <= "\udfff" for sign in what)):
        raise ConfigurationError(f"{what!r} has signs in it that are no text (a NUL, or half of a surrogate pair); leave them out.")
    return _Reader(what).filter()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.terms: list[Term] = []
        self.states: frozenset[State] | None = None
        self.words: list[str] = []  # bare ones in a row: they are looked for as they stand

    def filter(self) -> Filter:
        while True:
            self.at += len(self.text[self.at :]) - len(self.text[self.at :].lstrip())
            if self.at == len(self.text):
                self._end_words()
                return Filter(states=self.states, terms=tuple(self.terms))
            match = _KEY.match(self.text, self.at)
            if match and (match[2] in KEYS or match[2] == "tenant") and (match[2] == "args" or not match[3]):
                self._end_words()
                self.at = match.end()
                self._term(match[2], tuple(match[3].split(".")[1:]), bool(match[1]))
            elif self.text[self.at] == '"':
                self._end_words()
                self._add(Term("text", (self._quoted(),)))
            else:
                word = _WORD.match(self.text, self.at)
                assert word is not None, "there is something"
                self.words.append(word[0])
                self.at = word.end()

    def _end_words(self) -> None:
        if self.words:
            self._add(Term("text", (" ".join(self.words),)))
            self.words = []

    def _add(self, term: Term) -> None:
        check(term)
        self.terms.append(term)

    def _term(self, key: str, path: tuple[str, ...], without: bool) -> None:
        values = [self._value()]
        while self.text[self.at : self.at + 1] == ",":
            self.at += 1
            values.append(self._value())
        if key == "tenant":
            raise ConfigurationError(
                f"tenant:{values[0]} cannot be looked for, because no tenant is kept with jobs; tag them, and look for the tag."
            )
        if key == "state":
            self._state(values, without)
        else:
            self._add(Term(key, tuple(values), path, without))

    def _state(self, values: list[str], without: bool) -> None:
        try:
            named = frozenset(State(value) for value in values)
        except ValueError:
            raise ConfigurationError(f"state:{','.join(values)} is no state; the states are {', '.join(State)}.") from None
        meant = frozenset(State) - named if without else named
        self.states = meant if self.states is None else self.states & meant

    def _value(self) -> str:
        if self.text[self.at : self.at + 1] == '"':
            return self._quoted()
        match = _BARE.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match[0]

    def _quoted(self) -> str:
        found: list[str] = []
        start = self.at
        self.at += 1
        while self.at < len(self.text):
            sign = self.text[self.at]
            self.at += 1
            if sign == '"':
                return "".join(found)
            if sign == "\\" and self.text[self.at : self.at + 1] in ('"', "\\"):
                sign = self.text[self.at]
                self.at += 1
            found.append(sign)
        raise ConfigurationError(f'The quote that begins with {self.text[start : start + 20]!r} has no end; add a ".')


# -- filter to text


def to_text(what: Filter) -> str:
    """The text that means this filter: `parse` reads an equal one from it (the fields for code become terms)."""
    parts = []
    if what.states is not None:
        if what.states:
            parts.append(f"state:{','.join(state for state in State if state in what.states)}")
        else:
            parts.append(f"state:{State.READY} -state:{State.READY}")
    terms = what.every()
    for term in terms:
        if term.key == "text":
            parts += [_quote(value) for value in term.values]
            continue
        name = ".".join((term.key, *term.path))
        parts.append(f"{'-' if term.without else ''}{name}:{','.join(map(_value_text, term.values))}")
    return " ".join(parts)


def word(key: str, value: str) -> str:
    """A word of a search: what `value` names stays together, even if it has blanks in it."""
    return f"{key}:{value}" if not re.search(r'[\s"]', value) else f"{key}:{_quote(value)}"


def _value_text(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else _quote(value)


def _quote(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# -- what could come next


class Suggestion(Struct, frozen=True):
    """`text` takes the place of what stands between `start` and the cursor; `label` says what it is."""

    text: str
    label: str
    start: int


def complete(text: str, cursor: int, insight: Insight) -> list[Suggestion]:
    """What the word up to `cursor` could become: keys, or the values of a key that the store knows without looking at jobs.
    Never raises ConfigurationError. Raises StoreError."""
    start = _start(text[: max(0, cursor)])
    begun = text[start : max(0, cursor)]
    hyphen = "-" if begun.startswith("-") else ""
    key, colon, values = begun[len(hyphen) :].partition(":")
    if not colon:
        return [Suggestion(f"{hyphen}{name}:", label, start) for name, label in KEYS.items() if name.startswith(key)]
    done, comma, value = values.rpartition(",")
    head = f"{hyphen}{key}:{done}{comma}"
    value = value.removeprefix('"')
    if key == "state":
        return [Suggestion(head + state, "", start) for state in State if state.startswith(value)]
    if key in _NAMES:
        names = sorted({*_NAMES[key](insight)})
        first = [name for name in names if name.startswith(value)]
        rest = [name for name in names if value and value in name and name not in first]
        return [Suggestion(head + _value_text(name), "", start) for name in (first + rest)[:MOST]]
    if key in KEYS and not values:
        return [Suggestion(f"{head}{EXAMPLES[key]}", KEYS[key], start)]
    return []


def _start(text: str) -> int:
    """Where the last word of a text begins; blanks between quotes are part of it."""
    start, quoted = 0, False
    for at, sign in enumerate(text):
        if sign == '"':
            quoted = not quoted
        elif sign.isspace() and not quoted:
            start = at + 1
    return start


def _queues(insight: Insight) -> Iterable[str]:
    return insight.counts()


def _tasks(insight: Insight) -> Iterable[str]:
    """Those that workers know, and those of schedules."""
    for node in insight.workers():
        yield from _said(node.info, "tasks")
    for row in insight.schedules():
        yield row.task


def _said(info: Any, key: str) -> list[str]:
    found = info.get(key) if isinstance(info, dict) else None
    return [str(name) for name in found] if isinstance(found, list | tuple) else []


_NAMES: dict[str, Callable[[Insight], Iterable[str]]] = {
    "queue": _queues, "task": _tasks, "worker": lambda insight: [node.name for node in insight.workers()],
    "schedule": lambda insight: [row.name for row in insight.schedules()],
}  # fmt: skip
