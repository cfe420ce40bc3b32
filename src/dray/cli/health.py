"""`dray health`: asks a worker how it is; for scripts, and for probes that run a command."""

from __future__ import annotations

import time
from pathlib import Path

import click

from dray.cli import output
from dray.cli.options import json_option
from dray.config import settings
from dray.errors import ConfigurationError

PATHS = {"live": "/livez", "ready": "/readyz", "started": "/startupz"}


@click.command()
@click.argument("what", type=click.Choice(list(PATHS)), default="ready")
@click.option("--port", type=click.IntRange(1, 65_535), metavar="PORT", help="Its --health-port. [DRAY_HEALTH_PORT]")
@click.option("--host", metavar="HOST", help="Where that is. [DRAY_HEALTH_HOST, 127.0.0.1]")
@click.option("--file", metavar="PATH", help="Look at its --health-file instead of asking. [DRAY_HEALTH_FILE]")
@click.option("--age", metavar="TIME", default="15s", show_default=True, help="How old the file may be.")
@click.option("--timeout", metavar="TIME", default="5s", show_default=True, help="How long to wait for the answer.")
@json_option
def health(what: str, port: int | None, host: str | None, file: str | None, age: str, timeout: str, as_json: bool) -> int:
    """Ask a worker on this machine whether it is well; exit code 1 if not.

    WHAT is `ready` (it takes jobs; default), `live` (it is not stuck) or `started`. The worker must run with --health-port, or
    with --health-file.
    """
    from dray.model.duration import seconds

    found = {name: one.value for name, one in settings({"health_port": port, "health_host": host, "health_file": file}).items()}
    if file is not None or (found["health_port"] is None and found["health_file"] is not None):
        well, report = look(Path(found["health_file"]), seconds(age, "--age"))
    elif found["health_port"] is not None:
        well, report = ask(found["health_host"], found["health_port"], PATHS[what], seconds(timeout, "--timeout"))
    else:
        raise ConfigurationError(
            "Where is the worker to be asked? Give --port or --file, or set DRAY_HEALTH_PORT or DRAY_HEALTH_FILE as for the worker."
        )
    if as_json:
        output.emit(report)
        return int(not well)
    for name, check in report["checks"].items():
        click.echo(f"{'ok' if check['ok'] else 'FAILING':7} {name}: {check['said']}")
    return int(not well)


def look(file: Path, most: float) -> tuple[bool, dict[str, dict[str, dict[str, object]]]]:
    """Whether the file was touched not too long ago, and what was found."""
    from dray.model.duration import human

    try:
        age = max(0.0, time.time() - file.stat().st_mtime)
    except OSError as error:
        return answer("file", False, f"{file} cannot be seen: {error.strerror}")
    return answer("file", age <= most, f"{file} was touched {human(round(age, 1))} ago, at most {human(most)}")


def ask(host: str, port: int, path: str, timeout: float) -> tuple[bool, dict[str, dict[str, dict[str, object]]]]:
    """Whether the worker says so, and what it found."""
    import http.client
    import json

    where = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    connection = http.client.HTTPConnection(where, port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        report = json.loads(response.read())
        return response.status == 200, {"checks": dict(report["checks"])}
    except (OSError, http.client.HTTPException) as error:
        return answer("answer", False, f"nobody answers at {where}, port {port}: {error}")
    except (ValueError, KeyError, TypeError):
        return answer("answer", False, f"what answers at {where}, port {port} is no worker of Dray")
    finally:
        connection.close()


def answer(name: str, well: bool, said: str) -> tuple[bool, dict[str, dict[str, dict[str, object]]]]:
    """In the form that the worker answers in."""
    return well, {"checks": {name: {"ok": well, "said": said}}}


COMMANDS = (health,)
