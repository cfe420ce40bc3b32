"""Style sheets and scripts, straight from the package. Their URL holds a hash of them all, so they may be kept for ever; modules
find each other by relative names under the same hash."""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

FOLDER = Path(__file__).parent / "static"
TYPES = {
    ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}  # fmt: skip
FOR_EVER = "public, max-age=31536000, immutable"


@cache
def files() -> dict[str, bytes]:
    """All files, by their path."""
    found = sorted(path for path in FOLDER.rglob("*") if path.suffix in TYPES)
    return {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in found}


@cache
def digest() -> str:
    """Of all of them together."""
    total = hashlib.sha256()
    for name, content in files().items():
        total.update(f"{name}\0{len(content)}\0".encode() + content)
    return total.hexdigest()[:12]


@cache
def packed(name: str) -> bytes:
    """One, compressed."""
    return gzip.compress(files()[name], 9, mtime=0)


async def serve(request: Request) -> Response:
    """GET /static/HASH/NAME."""
    name: str = request.path_params["name"]
    if name not in files():
        return Response("There is no such file.\n", 404, media_type="text/plain")
    current = request.path_params["digest"] == digest()
    headers = {
        "etag": f'"{digest()}"', "vary": "accept-encoding",
        "cache-control": FOR_EVER if current else "no-cache",  # an old page's URL: it gets today's file, and keeps it not
    }  # fmt: skip
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    content = files()[name]
    if "gzip" in request.headers.get("accept-encoding", ""):
        content, headers["content-encoding"] = packed(name), "gzip"
    return Response(content, media_type=TYPES[Path(name).suffix], headers=headers)
