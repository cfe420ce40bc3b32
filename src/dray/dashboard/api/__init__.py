"""The JSON API under `/api/v1`: all that the pages can do, for programs. `table` says how an operation is added."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from dray.dashboard.api import acting, bulk, jobs, numbers, places, scaling, system
from dray.dashboard.api.serve import Api
from dray.dashboard.api.table import OPERATIONS

if TYPE_CHECKING:
    from starlette.datastructures import URLPath

    from dray.dashboard.house import House

__all__ = ["MODULES", "OPERATIONS", "routes"]

#: Those with operations: they are in the table once they are imported.
MODULES = (jobs, acting, bulk, places, numbers, scaling, system)


class Everything(BaseRoute):
    """All paths under a prefix, whatever is in them: a pattern of Starlette's would stop at a line break."""

    def __init__(self, api: Api, prefix: str) -> None:
        self.api = api
        self.prefix = prefix

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the request is for the API."""
        path: str = scope["path"]
        root = scope.get("root_path", "")
        path = path[len(root) :] if path.startswith(root) else path
        if scope["type"] != "http" or not path.startswith(f"{self.prefix}/"):
            return Match.NONE, {}
        rest = path[len(self.prefix) + 1 :]
        return Match.FULL, {"path_params": {**scope.get("path_params", {}), "path": rest}, "endpoint": self.api}

    def url_path_for(self, name: str, /, **path_params: object) -> URLPath:
        """Nothing of the API has a name."""
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer it."""
        await self.api(scope, receive, send)


def routes(house: House | None = None, prefix: str = "") -> list[BaseRoute]:
    """The API as one route, which answers everything under `prefix` ("": where it is mounted). Without `house`, that of the
    application's state."""
    return [Everything(Api(house), prefix)]
