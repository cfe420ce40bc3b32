"""`dray bench`: a quick measurement on this machine, in a temporary file, each figure beside SQLite's own."""

from __future__ import annotations

import click

from dray.cli import output


@click.command()
@click.option(
    "--jobs", type=click.IntRange(100, 1_000_000), default=20_000, show_default=True, metavar="N", help="How many jobs in bulk.",
)  # fmt: skip
@click.option(
    "--folder", type=click.Path(exists=True, file_okay=False, writable=True), metavar="DIR",
    help="Where to make the temporary file: the disk to measure. [the current folder]",
)  # fmt: skip
@click.option(
    "--synchronous", type=click.Choice(["full", "normal"]), default="full", show_default=True,
    help="full survives a power cut; normal may lose the last moments before one.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with stable keys, for scripts.")
def bench(jobs: int, folder: str | None, synchronous: str, as_json: bool) -> None:
    """Measure this machine, beside bare SQLite."""
    from dray.cli.measure import measure

    results = []

    def work(report: object) -> None:
        assert callable(report)
        for at, result in enumerate(measure(folder or ".", jobs, synchronous), 1):
            results.append(result)
            report(at)

    output.progress(4, "measuring", work)
    if as_json:
        output.emit({
            "synchronous": synchronous, "jobs": jobs,
            "results": {
                r.name: {"per_second": round(r.ours), "bare_per_second": round(r.bare), "ratio": round(r.ratio, 2)} for r in results
            },
        })  # fmt: skip
        return
    rows = [(r.what, f"{r.ours:,.0f}/s", f"{r.bare:,.0f}/s", f"{r.ratio:.2f} ×") for r in results]
    output.table(("what", "dray", "bare sqlite", "time"), rows, right=("dray", "bare sqlite", "time"))
    output.say(f"synchronous={synchronous}; time: of Dray, in times that of bare SQLite with the same durability.", "bright_black")


COMMANDS = (bench,)
