"""`dray config`, `dray completion`: setting it up."""

from __future__ import annotations

import click

from dray.cli import output
from dray.cli.options import json_option
from dray.config import settings


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


COMMANDS = (config, completion)
