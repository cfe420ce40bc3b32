"""`dray doctor`: what is wrong, and how to correct it."""

from __future__ import annotations

import click
import msgspec

from dray.cli import output
from dray.cli.options import app_of, app_option, file_of, is_file, store_options, store_url
from dray.errors import StoreUnavailable
from dray.wording import count

SIGNS = {"ok": ("✓", "green"), "note": ("•", "yellow"), "wrong": ("✗", "red")}
FOUND_WRONG = 1


@click.command()
@click.option("--deep", is_flag=True, help="Also count every job, and read every page of a file; takes time on a large store.")
@click.option("--quiet", "-q", is_flag=True, help="Leave out what is in order.")
@app_option
@store_options
def doctor(deep: bool, quiet: bool, app: str | None, url: str | None, as_json: bool) -> int:
    """Look for what is wrong, and say how to correct it.

    In the store (the file; or the server, its sessions and the tables), the workers, the queues and the schedules.

    Exits with 1 if something is wrong. With --app (or DRAY_APP) it also knows which tasks the code has.
    """
    from dray.doctor import WRONG, examine
    from dray.store.open import redacted

    code = app_of(app)
    chosen = store_url(url)
    path = file_of(chosen) if is_file(chosen) else None
    if path is not None and not path.exists():
        raise StoreUnavailable(f"There is no store at {path} yet; `dray migrate` makes it, or name another one with --url.")
    findings = examine(path, chosen, app_tasks=None if code is None else set(code.tasks), deep=deep)
    bad = sum(finding.level == WRONG for finding in findings)
    if as_json:
        told = [msgspec.to_builtins(finding) for finding in findings]
        output.emit({"store": str(path or redacted(chosen)), "wrong": bad, "findings": told})
        return FOUND_WRONG if bad else 0
    for finding in findings:
        if quiet and finding.level == "ok":
            continue
        sign, style = SIGNS[finding.level]
        output.prose(finding.message, f"{click.style(sign, fg=style, bold=True)} ", 2)
        if finding.fix:
            output.prose(finding.fix, f"    {click.style('→', fg='cyan')} ", 6)
        if finding.command:
            click.echo(f"      {click.style(finding.command, fg='cyan')}")
    verdict = f"{count(bad, 'thing')} wrong" if bad else "Nothing is wrong"
    notes = sum(finding.level == "note" for finding in findings)
    click.echo()
    click.echo(click.style(f"{verdict}; {count(notes, 'note')}, {len(findings)} checks.", fg="red" if bad else "green", bold=True))
    return FOUND_WRONG if bad else 0


COMMANDS = (doctor,)
