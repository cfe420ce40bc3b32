"""Texts as stores can keep them."""

from __future__ import annotations


def encodable(text: str) -> str:
    r"""What people or their code said, as UTF-8 can say it: lone surrogates are written out.

    >>> encodable("b\ud800")
    'b\\ud800'
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def keepable(text: str) -> str:
    r"""The same as every store can keep it: NUL characters are written out too.

    >>> keepable("a\0b\ud800")
    'a\\x00b\\ud800'
    """
    return encodable(text.replace("\0", "\\x00") if "\0" in text else text)
