"""Hides what nobody should read: in arguments, results, options, errors and logs, before they reach a page, the API or an export.

A pattern without a dot is a name (`password`, `*token*`), looked for at any depth and without regard to case. One with dots is a
path, wherever it begins (`card.number`, `users.*.email`); positions in lists are numbers. In text, what stands after such a name
and `=` or `:` is hidden.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import translate
from typing import Any

DEFAULT = (
    "password", "passwd", "pwd", "*_password", "password_*", "secret", "*_secret", "secret_*", "*token*", "api_key", "*_api_key",
    "apikey", "authorization", "cookie", "set-cookie", "private_key", "card.number", "card_number", "cvc", "cvv", "ssn", "iban",
)  # fmt: skip

MARK = "•••"
DEEPEST = 60  # levels of data; what lies deeper is hidden, for nobody reads it
LONGEST = 120  # characters of a name in text
MOST = 5000  # names in text that are remembered

# Names are tried once, from where they begin, so that a long word costs no more than its length.
NAME = re.compile(r"""(?<![\w.\-])(?P<name>[\w.\-]++)["']?\s{0,2}(?:=>|=|:)\s{0,2}(?:Bearer\s|Basic\s)?\s{0,2}""")
# A value as it stands in text: in quotes (the text may be cut before they close), or up to a blank, a comma or a bracket.
VALUE = re.compile(r""""(?:[^"\\]|\\.)*+(?:"|\\?\Z)|'(?:[^'\\]|\\.)*+(?:'|\\?\Z)|[^\s,;&)\]}'"]+""", re.DOTALL)


class Redactor:
    """Knows the patterns."""

    def __init__(self, patterns: Iterable[str] = DEFAULT) -> None:
        names = [pattern.lower() for pattern in patterns if "." not in pattern]
        self._name = re.compile("|".join(translate(name) for name in names) or r"(?!)")
        self._paths = [tuple(re.compile(translate(part)) for part in one.lower().split(".")) for one in patterns if "." in one]
        self._asked: dict[str, bool] = {}  # names in texts come again and again

    def hides(self, path: tuple[str, ...]) -> bool:
        """Whether what lies there is hidden: by the name of any part of the path, or by a path in it."""
        low = tuple(part.lower() for part in path)
        return any(self._name.match(part) for part in low) or any(self._lies_in(low, rule) for rule in self._paths)

    def _lies_in(self, path: tuple[str, ...], rule: tuple[re.Pattern[str], ...]) -> bool:
        return any(
            all(part.match(step) for part, step in zip(rule, path[begin:], strict=False))
            for begin in range(len(path) - len(rule) + 1)
        )

    def value(self, data: Any, path: tuple[str, ...] = (), longest: int | None = None) -> Any:
        """A copy without what is hidden. Texts are cut after `longest` characters, for where they are not shown whole anyway."""
        if len(path) > DEEPEST:
            return MARK
        if isinstance(data, Mapping):
            below = ((key, (*path, str(key)), one) for key, one in data.items())
            return {key: MARK if self.hides(there) else self.value(one, there, longest) for key, there, one in below}
        if isinstance(data, list | tuple):
            if not self._paths:
                return [self.value(one, (*path, ""), longest) for one in data]
            return [MARK if self._at(path, n) else self.value(one, (*path, str(n)), longest) for n, one in enumerate(data)]
        if isinstance(data, str):
            return self.text(data if longest is None else data[:longest])
        return data

    def _at(self, path: tuple[str, ...], n: int) -> bool:
        low = (*(part.lower() for part in path), str(n))
        return any(self._lies_in(low, rule) for rule in self._paths)

    def text(self, text: str) -> str:
        """The same for a text: `password=hunter2` becomes `password=•••`."""
        if "=" not in text and ":" not in text:
            return text
        parts: list[str] = []
        place = at = 0
        while found := NAME.search(text, at):
            at = found.end()  # what looks like its value may be another name: `declined: password=…`
            if self._secret(found["name"]) and (value := VALUE.match(text, at)):
                quote = value[0][0] if value[0][0] in "\"'" else ""
                parts += (text[place:at], quote, MARK, quote)
                place = at = value.end()
        return "".join((*parts, text[place:]))

    def _secret(self, name: str) -> bool:
        name = name[-LONGEST:]
        known = self._asked.get(name)
        if known is None:
            if len(self._asked) > MOST:
                self._asked.clear()
            known = bool(self._name.match(name.rpartition(".")[2].lower())) or self.hides(tuple(name.split(".")))
            self._asked[name] = known
        return known

    def restored(self, edited: Any, original: Any) -> Any:
        """What somebody made of a redacted copy: where the mark was left standing, the original is meant."""
        if edited == MARK:
            return original
        if isinstance(edited, dict):
            known = original if isinstance(original, dict) else {}
            return {key: self.restored(one, known.get(key)) if key in known else one for key, one in edited.items()}
        if isinstance(edited, list):
            old = original if isinstance(original, list) else []
            return [self.restored(one, old[n]) if n < len(old) else one for n, one in enumerate(edited)]
        if isinstance(edited, str) and isinstance(original, str) and MARK in edited and edited == self.text(original):
            return original
        return edited
