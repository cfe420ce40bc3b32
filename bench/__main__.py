"""`python -m bench [--quick] [--json FILE] [NAME …]`"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench import crowd, drain, enqueue, idle, latency, stages
from bench.report import Report

ALL = {
    "single": enqueue.single,
    "producers": enqueue.producers,
    "bulk": enqueue.bulk,
    "drain": drain.drains,
    "ten_ms": drain.ten_ms,
    "behind": drain.behind,
    "pickup": latency.pickup,
    "kill": latency.after_kill,
    "crowd": crowd.crowd,
    "idle": idle.idle,
    "imports": idle.imports,
    "stages": stages.stages,
}


def main() -> int:
    """Measure; exit 1 if a bar was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Every figure beside the bare engine's of the same run.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(ALL)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, to see that it works")
    parser.add_argument("--json", type=Path, default=Path("bench/results/latest.json"), help="where to write the figures")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in ALL]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(ALL)}")
    report = Report()
    print("SQLite, synchronous=FULL; `bare` is the engine without Dray, measured in this run.\n")
    for name in options.names or ALL:
        ALL[name](report, options.quick)
    report.write(options.json)
    missed = [figure for figure in report.figures if figure.ok is False]
    print(f"\n{len(report.figures)} figures, {len(missed)} below their bar; written to {options.json}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
