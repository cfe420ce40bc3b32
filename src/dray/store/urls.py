"""URLs of stores, for people."""

from __future__ import annotations

import re
from urllib.parse import quote

from dray.errors import ConfigurationError


def shown(url: str) -> str:
    """A URL without its passwords; also one that is wrongly written."""
    url = re.sub(r"(?<=://)([^:@/]*):.*@", r"\1:***@", url, count=1, flags=re.DOTALL)
    return re.sub(r"([?&](?:\w*password)=)[^&#]*", r"\1***", url)


def check_signs(url: str) -> None:
    """Raises ConfigurationError for signs in the URL of a server that end a part of it where nobody meant to."""
    rest = url.partition("://")[2]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    stray = next((sign for sign in "/?#" if sign in rest.rpartition("@")[0]), None)
    if "@" not in authority and stray is not None and re.search(r":(?!\d+$)", authority):
        code = quote(stray, safe="")
        raise ConfigurationError(f"There is a {stray} in the user or password of {shown(url)!r}; write it as {code} there.")
    if authority.count("@") > 1:
        raise ConfigurationError(f"There are several @ in {shown(url)!r}; in a user or password write it as %40.")
    if re.search(r"%(?![0-9A-Fa-f]{2})", authority):
        raise ConfigurationError(f"There is a % in {shown(url)!r} that begins no code such as %40; write the sign itself as %25.")
    if "#" in rest:
        raise ConfigurationError(f"There is a # in {shown(url)!r}, which ends a URL; write it as %23.")
