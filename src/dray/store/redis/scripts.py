"""One verb, one script; what several of them need is in `lua/lib`.

A script says in its first lines which keys it uses (`--@ keys: …`) and what of the library (`--@ use: …`). All keys that a script
may touch are declared to the server, none is made up inside: so a cluster can refuse a script before it has written anything.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

FOLDER = Path(__file__).parent / "lua"
HEADER = re.compile(r"^--@ (keys|use): (.*)\n", re.MULTILINE)


class Script:
    """One of them: its text as the server gets it, its digest, and the names of its keys."""

    __slots__ = ("keys", "name", "sha", "text")

    def __init__(self, name: str, text: str, keys: tuple[str, ...]) -> None:
        self.name = name
        self.text = text
        self.keys = keys
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def __repr__(self) -> str:
        return f"Script({self.name!r})"


class Scripts:
    """All scripts, as attributes named like their files."""

    def __init__(self) -> None:
        self.all: list[Script] = []
        library = {file.stem: _Part(file) for file in (FOLDER / "lib").glob("*.lua")}
        for file in sorted(FOLDER.glob("*.lua")):
            script = _assembled(_Part(file), library)
            self.all.append(script)
            setattr(self, script.name, script)

    def __getattr__(self, name: str) -> Script:
        raise AttributeError(f"there is no script {name!r}")


class _Part:
    def __init__(self, file: Path) -> None:
        text = file.read_text(encoding="utf-8")
        said: dict[str, list[str]] = {"keys": [], "use": []}
        for what, names in HEADER.findall(text):
            said[what] += names.split()
        self.name = file.stem
        self.keys = said["keys"]
        self.uses = said["use"]
        self.text = "\n".join(line for line in HEADER.sub("", text).splitlines() if line.strip() and not line.startswith("--"))


def _assembled(part: _Part, library: dict[str, _Part]) -> Script:
    parts: list[_Part] = []

    def collect(one: _Part) -> None:
        for name in one.uses:
            if library[name] not in parts:
                collect(library[name])
        if one not in parts:
            parts.append(one)

    collect(part)
    keys = tuple(dict.fromkeys(key for one in parts for key in one.keys))
    names = ", ".join(f"k_{key}" for key in keys)
    given = ", ".join(f"KEYS[{n}]" for n in range(1, len(keys) + 1))
    head = [f"local {names} = {given}"] if keys else []
    return Script(part.name, "\n".join([*head, *(one.text for one in parts)]) + "\n", keys)
