"""What users' code wrote, made harmless to look at: cut, its control and direction characters shown, data as nested lists."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from markupsafe import Markup, escape

LONGEST = 400  # characters of one text in a tree
MOST = 300  # values in a tree
WIDEST = 60  # entries of one list or object
DEEPEST = 12
NOTHING = Markup("")

# What would be invisible, or turn the text around it: controls, zero-width characters, direction marks, lone surrogates.
STRANGE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb]"
)


def _shown(found: re.Match[str]) -> Markup:
    point = ord(found[0])
    name = unicodedata.name(found[0], "a control character")
    return Markup('<span class="strange" title="{}">U+{:04X}</span>').format(name.lower(), point)


def text(value: Any, most: int = LONGEST) -> Markup:
    """Any text: cut after `most` characters (0: not at all), what is invisible in it made visible, kept apart from the text around
    it whatever its direction."""
    whole = value if isinstance(value, str) else "" if value is None else str(value)
    cut = whole if not most or len(whole) <= most else whole[:most]
    parts, end = [], 0
    for found in STRANGE.finditer(cut):
        parts += [escape(cut[end : found.start()]), _shown(found)]
        end = found.end()
    parts.append(escape(cut[end:]))
    more = f'<span class="cut" title="{len(whole):,} characters">…</span>' if len(cut) < len(whole) else ""
    return Markup('<bdi>{}</bdi>').format(Markup("").join(parts)) + Markup(more)


def brief(value: Any, most: int = 120) -> Markup:
    """Arguments on one line: user_id=42 template="hello"."""
    if not isinstance(value, dict):
        return text(_short(value), most)
    parts: list[Markup] = []
    left = most
    for name, one in value.items():
        if left <= 0:
            parts.append(Markup('<span class="soft">…</span>'))
            break
        shown = _short(one)
        parts.append(Markup('<span class="arg"><span class="key">{}</span>={}</span>').format(text(str(name), 40), text(shown, 60)))
        left -= len(str(name)) + min(60, len(shown))
    return Markup(" ").join(parts)


def _short(value: Any) -> str:
    if isinstance(value, dict):
        keys = ", ".join(str(key) for key in list(value)[:9])
        return f"{{{keys[:40]}{', …' if len(keys) > 40 or len(value) > 9 else ''}}}"
    if isinstance(value, list | tuple):
        return f"[{len(value)}]"
    if isinstance(value, str):
        return f'"{value[:200]}"' if len(value) <= 200 else f'"{value[:200]}'
    return {None: "null", True: "true", False: "false"}.get(value, "") if value is None or isinstance(value, bool) else str(value)


def html(value: Any, all_at: str = "") -> Markup:
    """Data as nested lists that fold. Past a few hundred values, and in long texts, it is cut: `all_at` is the URL of all of it."""
    maker = _Tree(all_at)
    return Markup('<div class="tree">{}</div>').format(maker.node(value, 0))


class _Tree:
    def __init__(self, all_at: str) -> None:
        self._all_at = all_at
        self._left = MOST

    def node(self, value: Any, depth: int, label: Markup = NOTHING) -> Markup:
        self._left -= 1
        if isinstance(value, dict):
            return self._branch("{", "}", [(str(key), one) for key, one in value.items()], depth, label)
        if isinstance(value, list | tuple):
            return self._branch("[", "]", [(str(n), one) for n, one in enumerate(value)], depth, label)
        return label + self._leaf(value)

    def _leaf(self, value: Any) -> Markup:
        if isinstance(value, str):
            return self._text(value)
        if value is None or isinstance(value, bool):
            return Markup('<span class="v word">{}</span>').format({None: "null", True: "true", False: "false"}[value])
        return Markup('<span class="v number">{}</span>').format(value)

    def _text(self, value: str) -> Markup:
        shown = Markup('<span class="v string">“{}”</span>').format(text(value))
        if len(value) > LONGEST:
            shown += Markup(" ") + self._all()
        return shown

    def _all(self) -> Markup:
        return Markup('<a href="{}">show all</a>').format(self._all_at) if self._all_at else Markup("")

    def _branch(self, opening: str, closing: str, entries: list[tuple[str, Any]], depth: int, label: Markup) -> Markup:
        kind = "key" if opening == "{" else "index"
        if not entries:
            return label + Markup('<span class="v">{}{}</span>').format(opening, closing)
        if depth >= DEEPEST or self._left <= 0:
            inside = Markup('<span class="soft">{}{:,} inside{}</span> {}')
            return label + inside.format(opening, len(entries), closing, self._all())
        rows = []
        for name, value in entries[:WIDEST]:
            if self._left <= 0:
                break
            before = Markup('<span class="{}">{}</span> ').format(kind, text(name, 80))
            rows.append(Markup("<li>{}</li>").format(self.node(value, depth + 1, before)))
        if len(rows) < len(entries):
            rows.append(Markup('<li class="soft">and {:,} more {}</li>').format(len(entries) - len(rows), self._all()))
        listed = Markup('<ul>{}</ul>').format(Markup("").join(rows))
        if depth == 0:
            return listed
        noun = "keys" if kind == "key" else "items"
        opened = Markup(" open") if depth < 3 and len(entries) <= 12 else Markup("")
        n = f"{opening}{len(entries):,} {noun if len(entries) != 1 else noun[:-1]}{closing}"
        return Markup('<details{}><summary>{}<span class="soft">{}</span></summary>{}</details>').format(opened, label, n, listed)
