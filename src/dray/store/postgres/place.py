"""Where a PostgreSQL store is: its URL, taken apart."""

from __future__ import annotations

import difflib
import re
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from msgspec import Struct

from dray.errors import ConfigurationError
from dray.store.urls import check_signs
from dray.store.urls import shown as shown

SCHEMA = "dray"
POOLERS = ("auto", "none", "session", "transaction")
#: parameters of libpq that a URL may have, beside those of Dray
LIBPQ = frozenset({
    "host", "hostaddr", "port", "dbname", "user", "password", "passfile", "require_auth", "channel_binding", "connect_timeout",
    "client_encoding", "application_name", "fallback_application_name", "keepalives", "keepalives_idle", "keepalives_interval",
    "keepalives_count", "tcp_user_timeout", "sslmode", "requiressl", "sslnegotiation", "sslcompression", "sslcert", "sslkey",
    "sslpassword", "sslcertmode", "sslrootcert", "sslcrl", "sslcrldir", "sslsni", "requirepeer", "ssl_min_protocol_version",
    "ssl_max_protocol_version", "gssencmode", "krbsrvname", "gsslib", "gssdelegation", "service", "target_session_attrs",
    "load_balance_hosts",
})  # fmt: skip


class Place(Struct, frozen=True):
    """A database, and a schema in it."""

    url: str  # as it was given
    dsn: str  # what the driver is given: without the parameters that are Dray's own
    schema: str = SCHEMA
    pooler: str = "auto"
    timeout: float = 30.0  # seconds that a call may take

    @property
    def where(self) -> str:
        """The place, for people: without a password."""
        parts = urlsplit(self.dsn)
        host = parts.netloc.rpartition("@")[2]
        name = parts.path.lstrip("/")
        return f"postgresql://{host}/{name}" + (f" (schema {self.schema})" if self.schema != SCHEMA else "")


def place_of(url: str) -> Place:
    """Take a URL apart: `postgresql://user:password@host:5432/database?schema=dray`. Raises ConfigurationError.

    `schema`: where the tables are (default: dray). `pooler`: what stands between: `none`, `session`, `transaction` (as PgBouncer
    calls its modes) or `auto`, which finds out. `timeout`: seconds that a call may take, 30. The other parameters are libpq's.
    """
    _check_form(url)
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    schema = options.pop("schema", SCHEMA)
    pooler = options.pop("pooler", "auto")
    timeout = options.pop("timeout", "30")
    if not schema or len(schema.encode()) > 63 or "\0" in schema:
        raise ConfigurationError(
            f"schema={schema!r} in {shown(url)!r} is not the name of a schema; use up to 63 bytes, such as dray."
        )
    if pooler not in POOLERS:
        raise ConfigurationError(f"pooler={pooler!r} in {shown(url)!r} is not one of {', '.join(POOLERS)}.")
    try:
        seconds = float(timeout)
    except ValueError:
        seconds = -1.0
    if not 1.0 <= seconds <= 3600.0:
        raise ConfigurationError(f"timeout={timeout!r} in {shown(url)!r} is not a number of seconds from 1 to 3600.")
    wrong = sorted(set(options) - LIBPQ)
    if wrong:
        close = difflib.get_close_matches(wrong[0], (*LIBPQ, "schema", "pooler", "timeout"), 1)
        raise ConfigurationError(
            f"{', '.join(wrong)} in {shown(url)!r} is no option of a PostgreSQL store"
            + (f"; did you mean {close[0]}?" if close else "; it has schema, pooler, timeout, and the parameters of libpq.")
        )
    query = urlencode(options, quote_via=quote)
    dsn = f"postgresql://{parts.netloc}{parts.path}" + (f"?{query}" if query else "")
    return Place(url, dsn, schema, pooler, seconds)


def _check_form(url: str) -> None:
    """Raises ConfigurationError for what the driver would misread, or not read at all."""
    rest = url.partition(":")[2]
    if not rest.startswith("//"):
        raise ConfigurationError(f"{shown(url)!r} lacks the slashes of a URL; write postgresql://user@host:5432/database.")
    check_signs(url)
    authority = re.split(r"[/?#]", rest[2:], maxsplit=1)[0]
    host = authority.rpartition("@")[2]
    for one in host.split(","):
        port = one.rpartition("]")[2].partition(":")[2]
        if one.startswith("[") != ("]" in one) or (port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536)):
            raise ConfigurationError(
                f"The port in {shown(url)!r} cannot be read: {one!r} is not a host with a port from 1 to 65535; write "
                "postgresql://user@host:5432/database (an IPv6 address in square brackets)."
            )
