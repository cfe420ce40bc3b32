"""Where the processes of the demonstration find one another: a folder and two ports, handed down by environment."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

DATA = "DEMO_DATA"
SMTP_PORT = "DEMO_SMTP_PORT"
PARTNER_PORT = "DEMO_PARTNER_PORT"
HOST = "127.0.0.1"
MEDIA = Path(__file__).parent / "media"


def data() -> Path:
    """The demonstration's folder (default ./demo-data)."""
    return Path(os.environ.get(DATA, "demo-data")).absolute()


def database() -> Path:
    """The one SQLite file: the application's tables and Dray's, so that both can commit together."""
    return data() / "demo.db"


def store_url() -> str:
    """The same file as a Dray URL: sqlite:// and an absolute path."""
    return f"sqlite:///{quote(str(database()))}"


def smtp_port() -> int:
    """The port of the local SMTP server (`DEMO_SMTP_PORT`; 1025, the custom for test servers, if unset)."""
    return int(os.environ.get(SMTP_PORT, "1025"))


def partner_url() -> str:
    """The address of the partner's API (`DEMO_PARTNER_PORT`; 8025 if unset)."""
    return f"http://{HOST}:{os.environ.get(PARTNER_PORT, '8025')}"


def folder(name: str) -> Path:
    """A folder below the demonstration's, made if it is missing."""
    path = data() / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is seen whole or not at all, whoever is killed meanwhile; a second run replaces it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    partial.write_bytes(content)
    partial.replace(path)
