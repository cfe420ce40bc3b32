"""From the connection that a caller has to a session that runs plans inside the caller's transaction."""

from __future__ import annotations

from typing import Any

from dray.store.protocol import Bound, Store


def bound(store: Store, connection: Any) -> Bound:
    """A session over `connection`. Raises WrongDatabase, NotSupported."""
    kinds = {base.__module__.partition(".")[0] for base in type(connection).__mro__}
    if "sqlalchemy" in kinds:
        from dray.integrations.sqlalchemy import bound_sqlalchemy

        return bound_sqlalchemy(store, connection)
    return store.bound(connection)
