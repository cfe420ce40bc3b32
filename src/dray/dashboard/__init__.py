"""The dashboard: pages over a store, in any ASGI or WSGI application or by itself (`dray dashboard`).

`Dray.dashboard()` makes it. It speaks to `dray.insight` only; what it may do is settled in `security`, what it hides in `redact`,
how a page is added in `render`.
"""

from __future__ import annotations

from dray.dashboard.app import make
from dray.dashboard.settings import Role, Settings

__all__ = ["Role", "Settings", "make"]
