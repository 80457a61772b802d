"""Line charts as SVG: several series over one axis, with intervals.

Knows numbers, not what they say.
Written by hand: a chart is some twenty lines of SVG, small enough to be kept beside the text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

_WIDTH, _HEIGHT = 640, 320
_LEFT, _TOP, _RIGHT, _BOTTOM = 56, 34, 190, 42
_COLOURS = (
    "#1f5fa8", "#d1495b", "#3a7d44", "#b5651d", "#6a4c93",
    "#00798c", "#8d6a9f", "#7f7f7f", "#c2a83e", "#2f2f2f",
)  # fmt: skip
_LOG_FROM = 8.0
"""An axis whose ends differ by this factor is logarithmic."""


class Point(NamedTuple):
    """A figure at one place of the axis; `low` and `high` are its interval."""

    x: float
    y: float
    low: float
    high: float


class _Frame(NamedTuple):
    """From values to places on the sheet."""

    first: float
    last: float
    top: float
    is_log: bool

    def across(self, x: float) -> float:
        first, last, value = self.first, self.last, max(x, self.first)
        if self.is_log:
            first, last, value = math.log(first), math.log(last), math.log(value)
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (value - first) / ((last - first) or 1)

    def down(self, y: float) -> float:
        bottom = _HEIGHT - _BOTTOM
        return bottom - (bottom - _TOP) * min(max(y, 0.0), self.top) / self.top


def draw_chart(title: str, x_label: str, series: Mapping[str, Sequence[Point]]) -> str:
    """An SVG with a line for each series; the value axis starts at 0.

    Args:
        title: Above the chart.
        x_label: Below it.
        series: At least one point in all.
    """
    points = [point for line in series.values() for point in line]
    xs = sorted({point.x for point in points})
    highest = max(point.high for point in points)
    least = next((x for x in xs if x > 0), 1.0)
    is_log = xs[-1] / least >= _LOG_FROM
    # Zero has no place on a logarithmic axis; it is drawn a step before the first that has.
    first = xs[0] if xs[0] > 0 or not is_log else least / 4
    frame = _Frame(first, xs[-1], 1.0 if highest <= 1 else highest * 1.05, is_log)
    parts = [*_axes(frame, xs, title, x_label)]
    for number, (name, line) in enumerate(series.items()):
        parts += _line(frame, name, sorted(line), number)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif" font-size="11">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _axes(frame: _Frame, xs: Sequence[float], title: str, x_label: str) -> list[str]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = [
        f'<text x="{_LEFT}" y="18" font-size="13" font-weight="bold">{escape(title)}</text>',
        f'<path d="M{_LEFT},{_TOP}V{bottom}H{right}" fill="none" stroke="#999"/>',
        f'<text x="{(_LEFT + right) / 2:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">'
        f"{escape(x_label)}</text>",
    ]
    for part in range(5):
        value = frame.top * part / 4
        y = frame.down(value)
        parts.append(f'<path d="M{_LEFT},{y:.1f}H{right}" stroke="#eee"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for x in xs:
        parts.append(
            f'<text x="{frame.across(x):.1f}" y="{bottom + 15}" text-anchor="middle">'
            f"{_short(x)}</text>"
        )
    return parts


def _line(frame: _Frame, name: str, line: Sequence[Point], number: int) -> list[str]:
    colour = _COLOURS[number % len(_COLOURS)]
    places = " ".join(f"{frame.across(p.x):.1f},{frame.down(p.y):.1f}" for p in line)
    parts = [f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="1.6"/>']
    for point in line:
        x = f"{frame.across(point.x):.1f}"
        ends = f"M{x},{frame.down(point.low):.1f}V{frame.down(point.high):.1f}"
        parts.append(f'<path d="{ends}" stroke="{colour}" stroke-opacity="0.4"/>')
        parts.append(f'<circle cx="{x}" cy="{frame.down(point.y):.1f}" r="2.6" fill="{colour}"/>')
    y = _TOP + 16 * number + 6
    left = _WIDTH - _RIGHT + 16
    parts.append(f'<path d="M{left},{y}h16" stroke="{colour}" stroke-width="2"/>')
    parts.append(f'<text x="{left + 22}" y="{y + 4}">{escape(name)}</text>')
    return parts


def _short(x: float) -> str:
    """1000 as 1k, 10000000 as 10M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if x >= size:
            return f"{x / size:g}{letter}"
    return f"{x:g}"
