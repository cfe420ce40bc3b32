"""Where a PostgreSQL store is: its URL, taken apart."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from msgspec import Struct

from dray.errors import ConfigurationError

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
    parts = urlsplit(url)
    try:
        _ = parts.port if "," not in parts.netloc else None
    except ValueError as error:
        raise ConfigurationError(
            f"The port in {shown(url)!r} cannot be read ({error}); write postgresql://host:5432/database."
        ) from None
    if parts.fragment:
        raise ConfigurationError(f"There is a # in {shown(url)!r}; in a password write it as %23.")
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
        raise ConfigurationError(
            f"{', '.join(wrong)} in {shown(url)!r} is no option of a PostgreSQL store; it has schema, pooler and timeout, and the "
            "connection parameters of libpq."
        )
    query = urlencode(options, quote_via=quote)
    dsn = f"postgresql://{parts.netloc}{parts.path}" + (f"?{query}" if query else "")
    return Place(url, dsn, schema, pooler, seconds)


def shown(url: str) -> str:
    """A URL without its password."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    hidden = user.partition(":")[0] + (":***" if ":" in user else "")
    return url.replace(parts.netloc, f"{hidden}{at}{host}", 1) if at else url


