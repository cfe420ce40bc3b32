"""A real SMTP server that keeps each mail it accepts as an .eml file: `python -m dray.demo.mailbox FOLDER [PORT]`.

A mail is filed under its Message-ID; one that comes again with the same id is kept too, as `NAME~2.eml`, so that
deliveries can be told apart from distinct mails.
"""

from __future__ import annotations

import asyncio
import re
import sys
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from dray.demo.child import announce, end_with_parent, listen

MESSAGE_ID = re.compile(rb"^message-id:\s*<([^>@\s]+)", re.IGNORECASE | re.MULTILINE)


class Filing:
    """Files what the SMTP server hands over. One event loop runs it, so that no two mails are filed at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.copies: dict[str, int] = {}

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # the name aiosmtpd asks for
        content: bytes = envelope.content
        found = MESSAGE_ID.search(content[:8192])
        name = re.sub(r"[^\w.-]", "_", found[1].decode("ascii", "replace")) if found else f"anonymous-{id(envelope):x}"
        copy = self.copies[name] = self.copies.get(name, 0) + 1
        suffix = "" if copy == 1 else f"~{copy}"
        (self.folder / f"{name}{suffix}.eml").write_bytes(content)
        return "250 OK: filed"


def received(folder: Path, prefix: str = "") -> dict[str, int]:
    """How often each mail came whose Message-ID starts with `prefix`: {local part of the id: deliveries}."""
    counts: dict[str, int] = {}
    for path in folder.glob(f"{prefix}*.eml"):
        name = path.stem.partition("~")[0]
        counts[name] = counts.get(name, 0) + 1
    return counts


def read(path: Path) -> EmailMessage:
    """A filed mail, parsed."""
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


async def serve(folder: Path, port: int) -> None:
    from aiosmtpd.smtp import SMTP

    sock = listen(port)
    filing = Filing(folder)
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(filing, hostname="mail.dray.demo", enable_SMTPUTF8=True), sock=sock, backlog=512
    )
    announce(sock.getsockname()[1])
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    end_with_parent()
    try:
        asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
    except KeyboardInterrupt:
        sys.exit(0)
