"""The entrance: `dray demo`, or `make demo`. Reads the arguments, prepares the folder, and lets the story run."""

from __future__ import annotations

import argparse
import fcntl
import importlib.util
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from dray.demo import settings

NEEDED = {  # module: distribution
    "starlette": "starlette",
    "uvicorn": "uvicorn",
    "jinja2": "jinja2",
    "python_multipart": "python-multipart",
    "httpx": "httpx",
    "aiosmtpd": "aiosmtpd",
    "PIL": "pillow",
    "fpdf": "fpdf2",
    "av": "av",
}
MARKER = ".dray-demo"


class FolderRefused(Exception):
    """The folder cannot be used."""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="dray demo",
        description="A sign-up with a mail, a report, pictures and a slow partner: inline, and with Dray.",
    )

    def option(name: str, kind: type | Callable[[str], object], default: object, metavar: str, text: str) -> None:
        made.add_argument(name, type=kind, default=default, metavar=metavar, help=text)

    made.add_argument("--once", action="store_true", help="run everything without a person, check it all, and end")
    option("--data", Path, Path("demo-data"), "DIR", "its folder, emptied at each start (default: ./demo-data)")
    option("--requests", positive, 150, "N", "sign-ups in each of the two ways (default: 150)")
    option("--visitors", positive, 24, "N", "how many visitors sign up at the same time (default: 24)")
    option("--port", int, 0, "N", "the site's port (default: any free one)")
    option("--seed", int, 1, "N", "what the partner's failures are drawn from (default: 1)")
    return made


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def missing() -> list[str]:
    """The distributions of the extra `demo` that are not installed."""
    return [name for module, name in NEEDED.items() if importlib.util.find_spec(module) is None]


@contextmanager
def own_folder(path: Path) -> Iterator[Path]:
    """The folder, empty but for a marker that is locked while the demonstration runs.

    Only a folder that carries the marker is emptied. Raises `FolderRefused` if it holds anything else, or is in use.
    """
    marker = path / MARKER
    try:
        if path.exists() and not marker.exists() and any(path.iterdir()):
            raise FolderRefused(f"{path} holds files that are not the demonstration's: choose another with --data")
        path.mkdir(parents=True, exist_ok=True)
        marker.touch()
    except OSError as error:
        raise FolderRefused(f"{path} cannot be used ({error.strerror}): choose another folder with --data") from error
    with marker.open() as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderRefused(f"another demonstration runs in {path}: choose another folder with --data") from None
        for entry in path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry.name != MARKER:
                entry.unlink()
        yield path


def end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration. Gives 0 if all is right, 1 if something is wrong, 2 for wrong arguments."""
    arguments = parser().parse_args(argv)
    if lacking := missing():
        print(f"The demonstration needs {', '.join(lacking)}: install dray[demo].", file=sys.stderr)
        return 1
    if not 0 <= arguments.port <= 65535:
        print(f"--port must be 0 to 65535, not {arguments.port}.", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, end)
    path: Path = arguments.data.absolute()
    for name in [name for name in os.environ if name.startswith("DRAY_")]:
        del os.environ[name]  # what somebody has set for a worker of their own is not meant for this one
    os.environ[settings.DATA] = str(path)
    os.environ["DRAY_URL"] = settings.store_url()
    from dray.demo import story
    from dray.demo.services import ServiceFailed

    try:
        with own_folder(path):
            return story.tell(
                arguments.once, arguments.visitors, arguments.requests, arguments.port, arguments.seed
            )
    except (FolderRefused, ServiceFailed) as error:
        print(f"{error}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
