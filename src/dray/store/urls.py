"""URLs of stores, for people."""

from __future__ import annotations

import re


def shown(url: str) -> str:
    """A URL without its passwords; also one that is wrongly written."""
    url = re.sub(r"(?<=://)([^:@/]*):.*@", r"\1:***@", url, count=1, flags=re.DOTALL)
    return re.sub(r"([?&](?:\w*password)=)[^&#]*", r"\1***", url)
