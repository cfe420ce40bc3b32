"""What a dashboard is told: who may see it and act, what it hides."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any

from msgspec import Struct

from dray.dashboard.redact import DEFAULT
from dray.errors import ConfigurationError


class Role(IntEnum):
    """What somebody may do; each may also do what the ones before it may."""

    NONE = 0
    READ = 1  # look
    OPERATE = 2  # retry, cancel, pause, resume, run
    ALL = 3  # delete, edit, stop workers

    @property
    def word(self) -> str:
        """As users write it."""
        return self.name.lower()


WORDS = {role.word: role for role in Role}

#: What `access` may answer: a role or its name, whether somebody may do everything, or a role and who it is (for the audit).
Access = Role | str | bool | None | tuple[Role | str | bool | None, str]


class Settings(Struct, frozen=True, kw_only=True):
    """How a dashboard is to be. Without `token`, `user` or `access` only this machine may see it: see `security`."""

    title: str = "Dray"
    prefix: str = ""  # where a proxy has put it, such as "/jobs"; a mount needs none
    read_only: bool = False
    token: str | None = None  # for a Bearer header, or the sign-in page
    user: str | None = None  # with a password: HTTP basic authentication
    password: str | None = None
    #: asked with the `starlette.requests.Request` of every visit; may be a coroutine function
    access: Callable[[Any], Any] | None = None
    redact: tuple[str, ...] = DEFAULT  # see `redact`
    bulk_per_minute: float = 20.0  # bulk actions of one visitor
    session: float = 12 * 3600.0  # seconds that a sign-in is good for

    @property
    def guarded(self) -> bool:
        """Whether visitors must show who they are."""
        return self.token is not None or self.user is not None or self.access is not None

    def signature(self, text: str) -> str:
        """What only who knows the token (or the password) could have written under `text`."""
        key = hashlib.sha256(b"dray dashboard session\0" + str((self.token, self.user, self.password)).encode()).digest()
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def made(options: Mapping[str, Any]) -> Settings:
    """Settings from the options of `Dray.dashboard`. Raises ConfigurationError."""
    unknown = sorted(set(options) - set(Settings.__struct_fields__))
    if unknown:
        known = ", ".join(Settings.__struct_fields__)
        raise ConfigurationError(f"dashboard() has no option {unknown[0]!r}; its options are {known}.")
    given = dict(options)
    given["redact"] = tuple(given.get("redact", DEFAULT))
    if (given.get("user") is None) != (given.get("password") is None):
        raise ConfigurationError("dashboard(): user and password go together; one of them is missing.")
    for name in ("token", "password"):
        if given.get(name) is not None and len(str(given[name])) < 8:
            raise ConfigurationError(f"dashboard(): the {name} has fewer than 8 characters; take a longer one.")
    prefix = str(given.get("prefix") or "").strip("/")
    given["prefix"] = f"/{prefix}" if prefix else ""
    return Settings(**given)


def role_of(answer: Access) -> tuple[Role, str]:
    """The role, and who it is, from what `access` answered. Raises ConfigurationError for something else."""
    name = ""
    if isinstance(answer, tuple):
        answer, name = answer
    if isinstance(answer, Role):
        return answer, name
    if answer is None or isinstance(answer, bool):
        return (Role.ALL if answer else Role.NONE), name
    if isinstance(answer, str) and answer.lower() in WORDS:
        return WORDS[answer.lower()], name
    raise ConfigurationError(
        f"access() of the dashboard answered {answer!r}: use {', '.join(WORDS)}, a dray.dashboard.Role, True, False or None, or "
        "one of these with a name: ('operate', 'alice')."
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address or name."""
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def check_bind(host: str, settings: Settings) -> None:
    """Raises ConfigurationError if others could reach `host` and nobody is asked who they are."""
    if not settings.guarded and not is_loopback(host):
        raise ConfigurationError(
            f"Everybody who can reach {host} could see and change the jobs: give --token (or --user and --password), or leave "
            "--host out, so that only this machine can."
        )
