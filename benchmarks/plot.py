"""Charts of result files: which figure of which benchmark is drawn over what.

Knows what the benchmarks write; knows no SVG.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import click

from benchmarks.charts import Point, draw_chart
from lmos.errors import DataError

RANKS = ("recall@1", "recall@5", "recall@20")


@dataclass(frozen=True)
class Plot:
    """One chart.

    Attributes:
        suffix: Of the file's name, after that of the result.
        title: Above the chart.
        figures: What is drawn; several are places of the axis themselves, by the number after `@`.
        x: The label whose values are the axis.
        series: The label whose values are the lines.
        only: Labels of the cells that count; cells that differ in others are averaged.
    """

    suffix: str
    title: str
    figures: tuple[str, ...]
    x: str
    series: str
    only: Mapping[str, Any] = field(default_factory=dict)


_TREE = {"read with": "tree"}
_EXACT, _READ = ("exact_match",), ("gold_read",)
PLOTS: dict[str, tuple[Plot, ...]] = {
    "facts": (
        Plot("", "Facts in books: exact match", _EXACT, "tokens", "read with"),
        Plot("-read", "Facts in books: the fact is read", _READ, "tokens", "read with"),
    ),
    "babilong": (
        Plot("", "Stories in books: exact match", _EXACT, "tokens", "read with"),
        Plot("-read", "Stories in books: facts read", _READ, "tokens", "read with"),
        Plot("-tasks", "Stories in books: the tree, by task", _EXACT, "tokens", "task", _TREE),
    ),
    "recall": (Plot("", "Question to passage: recall", RANKS, "rank", "ranked by"),),
    "retention": (
        Plot("", "Share of the text's score", ("retention",), "k", "read as"),
        Plot("-exact", "Answers with digits", ("exact_strings",), "k", "read as"),
    ),
    "lifelong": (
        Plot("", "Many sessions: exact match", _EXACT, "sessions", "read with"),
        Plot("-read", "Many sessions: the fact is read", _READ, "sessions", "read with"),
        Plot("-age", "Many sessions: read by the tree, by age", _READ, "sessions", "age", _TREE),
        Plot("-passes", "Perplexity ÷ the first", ("perplexity_ratio",), "passes", "way"),
    ),
    "unknown": (Plot("", "False answers", ("false_answer",), "tokens", "read with"),),
    "speed": (
        Plot("-search", "Seconds of a search, median", ("search_p50",), "tokens", "model"),
        Plot("-bytes", "Bytes on disk a token", ("bytes_per_token",), "tokens", "model"),
    ),
}


def read_result(path: Path) -> dict[str, Any]:
    """A result file as a benchmark wrote it.

    Raises:
        DataError: It is not one.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        known = isinstance(result["cells"], list) and result["benchmark"] in PLOTS
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"expected the result of a benchmark in {path}: {error!r}") from error
    if not known:
        raise DataError(
            f"expected the result of {', '.join(PLOTS)} in {path}, got {result['benchmark']!r}"
        )
    return dict(result)


def series_of(plot: Plot, cells: Sequence[Mapping[str, Any]]) -> dict[str, list[Point]]:
    """The lines of a chart, in the order of the cells; cells at the same place are averaged."""
    places: dict[str, dict[float, list[Point]]] = {}
    for cell in cells:
        if plot.only.items() <= cell.items():
            for point in _iter_points(plot, cell):
                line = places.setdefault(str(cell.get(plot.series, "lmos")), {})
                line.setdefault(point.x, []).append(point)
    return {name: [_mean(points) for points in line.values()] for name, line in places.items()}


def _iter_points(plot: Plot, cell: Mapping[str, Any]) -> Iterator[Point]:
    for figure in plot.figures:
        x = float(figure.split("@")[1]) if "@" in figure else cell.get(plot.x)
        value = cell.get(figure)
        if not isinstance(x, int | float) or value is None:
            continue
        if isinstance(value, Mapping):
            yield Point(x, value["mean"], value["low"], value["high"])
        else:
            yield Point(x, value, value, value)


def _mean(points: Sequence[Point]) -> Point:
    """One point as it is; of several their mean, without an interval."""
    if len(points) == 1:
        return points[0]
    y = fmean(point.y for point in points)
    return Point(points[0].x, y, y, y)


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
def plot(results: tuple[Path, ...], out: Path) -> None:
    """Draw charts of result files as SVG, a file for each chart, into the folder `--out`."""
    read = [(path.stem, read_result(path)) for path in results]
    out.mkdir(parents=True, exist_ok=True)
    for stem, result in read:
        for chart in PLOTS[result["benchmark"]]:
            series = series_of(chart, result["cells"])
            if series:
                path = out / f"{stem}{chart.suffix}.svg"
                path.write_text(draw_chart(chart.title, chart.x, series), encoding="utf-8")
                click.echo(path)
