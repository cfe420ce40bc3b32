"""One SQL statement, one file; a dialect is a folder of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


class Sentences:
    """The statements of one dialect, as attributes named like their files. `fit` is applied to each."""

    def __init__(self, folder: Path, fit: Callable[[str], str] = str) -> None:
        for file in folder.glob("*.sql"):
            setattr(self, file.stem, fit(file.read_text(encoding="utf-8").strip()))

    def __getattr__(self, name: str) -> str:
        raise AttributeError(f"this dialect has no sentence {name!r}")
