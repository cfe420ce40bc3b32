"""Text as PostgreSQL can keep it."""

from __future__ import annotations

from typing import overload

from dray.store.text import keepable


@overload
def storable(text: str) -> str: ...
@overload
def storable(text: None) -> None: ...
@overload
def storable(text: str | None) -> str | None: ...
def storable(text: str | None) -> str | None:
    r"""What people or their code said, as a column of type text can hold it: NUL characters and lone surrogates are written out.

    >>> storable("a\0b\ud800")
    'a\\x00b\\ud800'
    """
    return None if text is None else keepable(text)
