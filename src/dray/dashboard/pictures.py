"""Small pictures as SVG, drawn here so that they are there without a script: lines, bars."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

WIDTH, HEIGHT = 96, 22


def spark(values: Sequence[float], label: str = "", kind: str = "") -> Markup:
    """A small line over time, its area filled. `label` says what it shows, for those who cannot see it."""
    if not values:
        return Markup("")
    most = max(values) or 1
    step = WIDTH / max(1, len(values) - 1)
    points = [(round(n * step, 1), round(HEIGHT - 2 - (HEIGHT - 4) * max(0, value) / most, 1)) for n, value in enumerate(values)]
    line = " ".join(f"{x},{y}" for x, y in points)
    return Markup(
        '<svg class="spark {}" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}" preserveAspectRatio="none">'
        '<polygon points="0,{} {} {},{}"/><polyline points="{}"/></svg>'
    ).format(kind, WIDTH, HEIGHT, WIDTH, HEIGHT, label or "trend", HEIGHT, line, points[-1][0], HEIGHT, line)


def lines(series: Sequence[tuple[str, Sequence[float | None]]], label: str = "") -> Markup:
    """Several lines in one picture: what a chart shows where no script draws it. `series`: a kind (for its colour) and values."""
    width, height = 600, 150
    known = [value for _, values in series for value in values if value is not None]
    most = max(known, default=0) or 1
    drawn = []
    for kind, values in series:
        step = width / max(1, len(values) - 1)
        runs: list[list[str]] = [[]]
        for n, value in enumerate(values):
            if value is None:
                runs.append([])
            else:
                runs[-1].append(f"{n * step:.1f},{height - 4 - (height - 8) * value / most:.1f}")
        drawn += [Markup('<polyline class="{}" points="{}"/>').format(kind, " ".join(run)) for run in runs if len(run) > 1]
    return Markup(
        '<svg class="lines" viewBox="0 0 {} {}" role="img" aria-label="{}" preserveAspectRatio="none">{}</svg>'
    ).format(width, height, label, Markup("").join(drawn))


def bar(part: float, label: str = "", kind: str = "") -> Markup:
    """How full something is: 0…1."""
    return Markup(
        '<svg class="bar {}" viewBox="0 0 100 6" role="img" aria-label="{}" preserveAspectRatio="none">'
        '<rect class="track" width="100" height="6" rx="1"/><rect class="fill" width="{}" height="6" rx="1"/></svg>'
    ).format(kind, label or f"{100 * part:.0f} percent", round(100 * min(1.0, max(0.0, part)), 1))
