"""Curves: the metrics of a run as one SVG, a panel for each.

Knows the metrics file and a little SVG. Does not know what the metrics mean.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from lmos.training.loop import METRICS_FILE

CURVES_FILE = "curves.svg"
_WIDTH, _HEIGHT = 280, 150
_LEFT, _TOP, _RIGHT, _BOTTOM = 48, 26, 10, 20
_COLUMNS = 4
_NOT_DRAWN = ("step", "seconds")

Points = Sequence[tuple[float, float]]


def write_curves(folder: Path) -> None:
    """Draw `metrics.jsonl` of a run's folder as `curves.svg` beside it."""
    lines = (folder / METRICS_FILE).read_text(encoding="utf-8").splitlines()
    (folder / CURVES_FILE).write_text(draw_curves([json.loads(line) for line in lines]))


def draw_curves(rows: Sequence[dict[str, float]]) -> str:
    """An SVG of every metric against the step."""
    names = [
        name for name in dict.fromkeys(n for row in rows for n in row) if name not in _NOT_DRAWN
    ]
    panels = []
    for number, name in enumerate(names):
        down, right = divmod(number, _COLUMNS)
        offset = f"translate({right * _WIDTH},{down * _HEIGHT})"
        points = [(row["step"], row[name]) for row in rows if name in row]
        panels.append(f'<g transform="{offset}">{_panel(name, points)}</g>')
    width = _WIDTH * min(_COLUMNS, max(1, len(names)))
    height = _HEIGHT * -(-len(names) // _COLUMNS)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="11">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(panels) + "\n</svg>\n"
    )


def _panel(name: str, points: Points) -> str:
    """One curve with its frame, its name and the ends of its axes."""
    steps, values = [step for step, _ in points], [value for _, value in points]
    first, last, low, high = min(steps), max(steps), min(values), max(values)
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def place(step: float, value: float) -> str:
        x = _LEFT + (right - _LEFT) * (step - first) / ((last - first) or 1)
        y = bottom - (bottom - _TOP) * (value - low) / ((high - low) or 1)
        return f"{x:.1f},{y:.1f}"

    line = " ".join(place(step, value) for step, value in points)
    return (
        f'<text x="{_LEFT}" y="{_TOP - 8}" font-weight="bold">{escape(name)}</text>'
        f'<path d="M{_LEFT},{_TOP}V{bottom}H{right}" fill="none" stroke="#999"/>'
        f'<polyline points="{line}" fill="none" stroke="#1f5fa8" stroke-width="1.5"/>'
        f'<text x="{_LEFT - 4}" y="{_TOP + 8}" text-anchor="end">{high:.3g}</text>'
        f'<text x="{_LEFT - 4}" y="{bottom}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{_LEFT}" y="{bottom + 14}">{first:g}</text>'
        f'<text x="{right}" y="{bottom + 14}" text-anchor="end">{last:g}</text>'
    )
