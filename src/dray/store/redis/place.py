"""Where a Redis store is: its URL, taken apart."""

from __future__ import annotations

import difflib
import re
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from msgspec import Struct

from dray.errors import ConfigurationError
from dray.store.urls import check_signs, shown

NAMESPACE = "dray"
SCHEMES = {
    "redis": ("single", False), "rediss": ("single", True), "valkey": ("single", False), "valkeys": ("single", True),
    "redis+sentinel": ("sentinel", False), "rediss+sentinel": ("sentinel", True), "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}  # fmt: skip
PORTS = {"single": 6379, "sentinel": 26379, "cluster": 6379}
OPTIONS = (
    "namespace", "timeout", "wait", "shards", "risk", "sentinel_username", "sentinel_password", "ssl_ca_certs", "ssl_certfile",
    "ssl_keyfile", "ssl_cert_reqs",
)  # fmt: skip
SHARDS = 8  # of a cluster, unless the URL says otherwise
MOST_SHARDS = 1024
RISKS = ("eviction", "persistence")
CERT_REQS = ("none", "optional", "required")
FORM = {
    "single": "redis://user:password@host:6379/0",
    "sentinel": "redis+sentinel://host1:26379,host2:26379,host3:26379/name-of-the-primary/0",
    "cluster": "redis+cluster://host1:6379,host2:6379,host3:6379",
}


class Place(Struct, frozen=True):
    """A server, or several that are one, and a namespace there."""

    url: str  # as it was given
    kind: str  # single, sentinel or cluster
    hosts: tuple[tuple[str, int], ...]
    tls: bool = False
    username: str | None = None
    password: str | None = None
    db: int = 0
    service: str = ""  # what the sentinels call the primary
    namespace: str = NAMESPACE
    shards: int = 1
    timeout: float = 15.0  # seconds that a call may take
    wait: int = 0  # replicas that must have a write before it is answered
    risks: frozenset[str] = frozenset()  # what is accepted
    extra: dict[str, str] = {}  # of TLS, and for the sentinels

    @property
    def where(self) -> str:
        """The place, for people: without a password."""
        scheme = self.url.partition(":")[0].lower()
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        path = "" if self.kind == "cluster" else f"/{self.service}/{self.db}" if self.service else f"/{self.db}"
        return f"{scheme}://{hosts}{path}" + (f" (namespace {self.namespace})" if self.namespace != NAMESPACE else "")

    def tag(self, shard: int) -> str:
        """The hash tag of a shard: what all its keys begin with, so that they are in one slot of a cluster."""
        return f"{{{self.namespace}}}" if self.kind != "cluster" else f"{{{self.namespace}:{shard}}}"


def place_of(url: str) -> Place:
    """Take a URL apart. Raises ConfigurationError.

    `redis://user:password@host:6379/0`, `rediss://…` over TLS, `valkey://…` and `valkeys://…` as well;
    `redis+sentinel://host,host/name/0`; `redis+cluster://host,host`. Options: `namespace` (default: dray), `timeout` (seconds for a
    call, 15), `wait` (replicas that must have a write before it is answered, 0), `shards` (over how many parts the jobs of a
    cluster are spread, 8; it cannot be changed later), `risk=eviction,persistence` (start although jobs may be lost in that way).
    """
    parts = _split(url)
    kind, tls = SCHEMES[parts.scheme.lower()]
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    wrong = sorted(set(options) - set(OPTIONS))
    if wrong:
        close = difflib.get_close_matches(wrong[0], OPTIONS, 1)
        raise ConfigurationError(
            f"{', '.join(wrong)} in {shown(url)!r} is no option of a Redis store"
            + (f"; did you mean {close[0]}?" if close else f"; it has {', '.join(OPTIONS)}.")
        )
    login, _, hosts = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    service, db = _path(kind, parts.path, url)
    namespace = options.pop("namespace", NAMESPACE)
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,100}", namespace):
        raise ConfigurationError(
            f"namespace={namespace!r} in {shown(url)!r} is not 1 to 100 letters, digits or _ . : -, such as dray."
        )
    risks = frozenset(filter(None, options.pop("risk", "").split(",")))
    if risks - set(RISKS):
        raise ConfigurationError(f"risk={','.join(sorted(risks))} in {shown(url)!r} is not one of {', '.join(RISKS)}, or both.")
    shards = _whole(url, options, "shards", SHARDS, 1, MOST_SHARDS) if kind == "cluster" else 1
    if kind != "cluster" and options.pop("shards", None) is not None:
        raise ConfigurationError(f"shards in {shown(url)!r} is an option of redis+cluster:// only.")
    for name in sorted(options):
        if (name.startswith("sentinel_") and kind != "sentinel") or (name.startswith("ssl_") and not tls):
            needed = "redis+sentinel:// only" if name.startswith("sentinel_") else "rediss:// only, which is over TLS"
            raise ConfigurationError(f"{name} in {shown(url)!r} is an option of {needed}.")
    if options.get("ssl_cert_reqs", "none") not in CERT_REQS:
        raise ConfigurationError(
            f"ssl_cert_reqs={options['ssl_cert_reqs']!r} in {shown(url)!r} is not one of {', '.join(CERT_REQS)}."
        )
    return Place(
        url, kind, _hosts(hosts, kind, url), tls, unquote(username) or None, unquote(password) or None, db, service, namespace,
        shards, _number(url, options, "timeout", 15.0, 1.0, 3600.0), _whole(url, options, "wait", 0, 0, 100), risks,
        {name: value for name, value in options.items() if name in OPTIONS},
    )  # fmt: skip


def _split(url: str) -> SplitResult:
    scheme, _, rest = url.strip().partition(":")
    kind = SCHEMES[scheme.lower()][0]
    if not rest.startswith("//"):
        raise ConfigurationError(f"{shown(url)!r} lacks the slashes of a URL; write {FORM[kind]}.")
    check_signs(url)
    try:
        return urlsplit(url.strip())
    except ValueError as error:
        raise ConfigurationError(
            f"{shown(url)!r} cannot be read ({error}); write {FORM[kind]} (an IPv6 address in square brackets)."
        ) from None


def _path(kind: str, path: str, url: str) -> tuple[str, int]:
    steps = [unquote(step) for step in path.split("/") if step]
    service = ""
    if kind == "sentinel":
        if not steps:
            raise ConfigurationError(f"{shown(url)!r} does not say what the sentinels call the primary; write {FORM[kind]}.")
        service = steps.pop(0)
    if kind == "cluster" and steps not in ([], ["0"]):
        raise ConfigurationError(f"{shown(url)!r} names a database, and a cluster has only one; write {FORM[kind]}.")
    if len(steps) > 1 or (steps and not (steps[0].isascii() and steps[0].isdigit())):
        raise ConfigurationError(f"{'/'.join(steps)!r} in {shown(url)!r} is not the number of a database; write {FORM[kind]}.")
    return service, int(steps[0]) if steps else 0


def _hosts(text: str, kind: str, url: str) -> tuple[tuple[str, int], ...]:
    found = []
    for one in (text or "localhost").split(","):
        matched = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+))(?::(\d{1,5}))?", one)
        port = int(matched[3]) if matched and matched[3] else PORTS[kind]
        if not matched or not 0 < port < 65536:
            raise ConfigurationError(
                f"The port in {shown(url)!r} cannot be read: {one!r} is not a host with a port from 1 to 65535; write {FORM[kind]} "
                "(an IPv6 address in square brackets)."
            )
        found.append((matched[1] or matched[2], port))
    if kind == "single" and len(found) > 1:
        raise ConfigurationError(
            f"{shown(url)!r} names several servers; write redis+sentinel:// or redis+cluster:// if that is what they are."
        )
    return tuple(found)


def _number(url: str, options: dict[str, str], name: str, usual: float, least: float, most: float) -> float:
    text = options.pop(name, str(usual))
    try:
        value = float(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise ConfigurationError(f"{name}={text!r} in {shown(url)!r} is not a number from {least:g} to {most:g}.")
    return value


def _whole(url: str, options: dict[str, str], name: str, usual: int, least: int, most: int) -> int:
    text = options.get(name, str(usual))
    value = _number(url, options, name, usual, least, most)
    if not value.is_integer():
        raise ConfigurationError(f"{name}={text!r} in {shown(url)!r} is not a whole number.")
    return int(value)
