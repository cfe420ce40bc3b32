"""The line between a supervisor and its worker processes: one JSON object per line."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import Any


class Line:
    """One end of it. `say` may be called by any thread."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._buffer = b""
        self._lock = threading.Lock()

    def say(self, **message: Any) -> bool:
        """Send; whether the other end is still there."""
        data = json.dumps(message).encode() + b"\n"
        with self._lock, contextlib.suppress(OSError):
            self.connection.sendall(data)
            return True
        return False

    def hear(self) -> list[dict[str, Any]] | None:
        """Wait for messages; None at the end."""
        try:
            data = self.connection.recv(1 << 16)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [json.loads(line) for line in lines if line]

    def close(self) -> None:
        """Hang up."""
        self.connection.close()
