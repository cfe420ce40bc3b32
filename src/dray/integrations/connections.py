"""From the connection that a caller has to a session that runs plans inside the caller's transaction."""

from __future__ import annotations

from typing import Any

from dray.errors import NotSupported
from dray.store.protocol import Bound, Store


def bound(store: Store, connection: Any) -> Bound:
    """A session over `connection`. Raises WrongDatabase, NotSupported."""
    kinds = {base.__module__.partition(".")[0] for base in type(connection).__mro__}
    if "sqlalchemy" in kinds:
        from dray.integrations.sqlalchemy import bound_sqlalchemy

        return bound_sqlalchemy(store, connection)
    if "django" in kinds:
        return store.bound(driver_under_django(connection))
    return store.bound(connection)


def driver_under_django(connection: Any) -> Any:
    """The driver's connection under `django.db.connection` (or another of `django.db.connections`), which connects if need be.
    Raises NotSupported."""
    if not hasattr(connection, "ensure_connection"):
        kind = type(connection)
        raise NotSupported(
            f"bind() was given a {kind.__module__}.{kind.__qualname__}; of Django it takes `django.db.connection`, or another of "
            "`django.db.connections`."
        )
    connection.ensure_connection()
    return connection.connection
