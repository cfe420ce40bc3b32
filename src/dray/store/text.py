"""Texts as stores can keep them."""

from __future__ import annotations


def encodable(text: str) -> str:
    r"""What people or their code said, as UTF-8 can say it: lone surrogates are written out.

    >>> encodable("b\ud800")
    'b\\ud800'
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
