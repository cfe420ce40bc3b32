"""What the demonstration's own servers share: they say which port they got, and end when their parent does."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING

from dray.demo.settings import HOST

if TYPE_CHECKING:
    from starlette.applications import Starlette

READY = "ready on port"


def announce(port: int) -> None:
    """Tell the parent, by a line on standard output, that connections are served on `port`."""
    print(f"{READY} {port}", flush=True)


def end_with_parent() -> None:
    """Interrupt this process when standard input, a pipe held by the parent, is closed: by purpose or by its death."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 512):
            continue
        os.kill(os.getpid(), signal.SIGINT)

    if not sys.stdin.isatty():
        threading.Thread(target=watch, name="parent", daemon=True).start()


def listen(port: int) -> socket.socket:
    """A socket bound to `port` on the loopback; 0 takes any free one."""
    # The protocol is named because asyncio switches off Nagle's delay (40 ms here) only where it stands.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((HOST, port))
    return sock


def serve(app: Starlette, port: int) -> None:
    """Serve an ASGI application on `port` (0: any free one) until interrupted."""
    import uvicorn

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            announce(sock.getsockname()[1])

    sock = listen(port)
    end_with_parent()
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2, backlog=2048)
    try:
        Announcing(config).run(sockets=[sock])
    except KeyboardInterrupt:
        return
