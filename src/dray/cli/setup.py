"""`dray migrate`, `dray config`, `dray completion`: setting it up."""

from __future__ import annotations

import click

from dray.cli import output
from dray.cli.options import file_of, json_option, schema_of, store_options, store_url
from dray.config import settings


@click.command()
@click.option("--status", "mode", flag_value="status", help="Only say which schema there is, and whether it is up to date.")
@click.option("--sql", "mode", flag_value="sql", help="Only print the SQL that would be run.")
@click.option("--dry-run", "mode", flag_value="dry-run", help="Only name the migrations that would be applied.")
@store_options
def migrate(mode: str | None, url: str | None, as_json: bool) -> None:
    """Make the store, or bring its schema up to date."""
    from dray.store.open import open_store
    from dray.store.sqlite import schema

    chosen = store_url(url)
    path = file_of(chosen)
    before = schema_of(path) if path.exists() else 0
    pending = [step for step in schema.migrations() if step[0] > before]
    if mode is None:
        store = open_store(chosen, migrate=False)
        try:
            schema.migrate(store.session.writer, store.where)
        finally:
            store.close()
    now = before if mode else schema.newest()
    if as_json:
        names = [f"{number:04} {name}" for number, name, _ in pending]
        output.emit({"store": str(path), "schema": now, "newest": schema.newest(), ("pending" if mode else "applied"): names})
    elif mode == "sql":
        click.echo("\n".join(text.rstrip() + "\n" for _, _, text in pending) or "-- up to date", nl=not pending)
    elif mode == "status":
        state = "up to date" if not pending else f"{len(pending)} to apply: dray migrate"
        found = f"schema {before} of {schema.newest()}, {state}" if path.exists() else "there is no store yet: dray migrate"
        click.echo(f"{path}: {found}")
    elif not pending:
        click.echo(f"{path} is up to date (schema {now}).")
    else:
        for number, name, _ in pending:
            click.echo(f"{'would apply' if mode else 'applied'} {number:04} {name}")
        if mode is None:
            click.echo(f"{path} is up to date (schema {now}).")


@click.command()
@json_option
def config(as_json: bool) -> None:
    """Show every setting with its origin."""
    from dray.store.open import redacted

    found = settings()
    shown = {name: redacted(str(one.value)) if name == "url" else one.value for name, one in found.items()}
    if as_json:
        output.emit({name: {"value": shown[name], "origin": one.origin} for name, one in found.items()})
        return
    rows = [
        (name, ("none", "dim") if shown[name] is None else shown[name], (one.origin, "dim" if one.origin == "default" else "cyan"))
        for name, one in found.items()
    ]
    output.table(("setting", "value", "origin"), rows)


HINTS = {
    "bash": "# dray completion bash > ~/.local/share/bash-completion/completions/dray",
    "zsh": "# dray completion zsh > ~/.zfunc/_dray   (a folder in $fpath)",
    "fish": "# dray completion fish > ~/.config/fish/completions/dray.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for a shell.

    Where to put it stands in its last line.
    """
    from click.shell_completion import get_completion_class

    from dray.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None
    made = kind(cli, {}, "dray", "_DRAY_COMPLETE")
    click.echo(made.source_template % made.source_vars())
    click.echo(HINTS[shell])


COMMANDS = (migrate, config, completion)
