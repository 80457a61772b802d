"""Counts of right answers and found passages, by what was asked, way of reading and seed.

Knows how to add up and how to print; knows no task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.report import Share, markdown_table, share

Labels = Mapping[str, Any]


class Tallies:
    """Shares under labels such as `{"tokens": 4000, "read with": "tree"}`.

    Rows and columns come out in the order in which they were first added.
    """

    def __init__(self) -> None:
        self._shares: dict[tuple[tuple[str, Any], ...], dict[str, dict[int, Share]]] = {}

    def add(self, labels: Labels, seed: int, **flags: bool | Sequence[bool]) -> None:
        """Count one question: whether it was right, or which of its passages were."""
        figures = self._shares.setdefault(tuple(labels.items()), {})
        for figure, value in flags.items():
            by_seed = figures.setdefault(figure, {})
            new = share([value] if isinstance(value, bool) else value)
            by_seed[seed] = by_seed.get(seed, Share(0, 0)) + new

    def cells(self) -> list[dict[str, Any]]:
        """One object for each row, as it goes into a result file."""
        return [
            {**dict(labels), **{name: _cell(by_seed) for name, by_seed in figures.items()}}
            for labels, figures in self._shares.items()
        ]

    def table(self, **only: Any) -> str:
        """Rows with these labels, which are not printed, and a column for each figure."""
        rows = {
            labels: figures
            for labels, figures in self._shares.items()
            if only.items() <= dict(labels).items()
        }
        shown = list(dict.fromkeys(n for labels in rows for n, _ in labels if n not in only))
        names = list(dict.fromkeys(name for figures in rows.values() for name in figures))
        lines = [
            [
                *(str(dict(labels).get(name, "–")) for name in shown),
                *(_text(figures.get(name, {})) for name in names),
            ]
            for labels, figures in rows.items()
        ]
        return markdown_table([*shown, *(name.replace("_", " ") for name in names)], lines)

    def pivot(self, figure: str, rows: str, columns: str, **only: Any) -> str:
        """One figure, a column for each value of a label, and the plain mean of the columns.

        Rows that differ in other labels only are summed.
        """
        cells: dict[tuple[Any, Any], Share] = {}
        for labels, figures in self._shares.items():
            values = dict(labels)
            if only.items() <= values.items() and figure in figures:
                place = (values[rows], values[columns])
                cells[place] = sum(figures[figure].values(), cells.get(place, Share(0, 0)))
        names = list(dict.fromkeys(column for _, column in cells))
        lines = []
        for row in dict.fromkeys(row for row, _ in cells):
            shares = [cells.get((row, name)) for name in names]
            mean = sum(each.mean for each in shares if each) / sum(map(bool, shares))
            texts = [str(each) if each else "–" for each in shares]
            lines.append([str(row), *texts, f"{mean:.3f}"])
        return markdown_table([rows, *map(str, names), "mean"], lines)

    def total(self, figure: str, **only: Any) -> Share:
        """Over all seeds and all rows with these labels."""
        shares = [
            each
            for labels, figures in self._shares.items()
            if only.items() <= dict(labels).items()
            for each in figures.get(figure, {}).values()
        ]
        return sum(shares, Share(0, 0))


def _cell(by_seed: Mapping[int, Share]) -> dict[str, Any]:
    total = sum(by_seed.values(), Share(0, 0))
    low, high = total.interval
    return {
        "mean": total.mean,
        "low": low,
        "high": high,
        "right": total.right,
        "total": total.total,
        "by_seed": [by_seed[seed].mean for seed in sorted(by_seed)],
    }


def _text(by_seed: Mapping[int, Share]) -> str:
    total = sum(by_seed.values(), Share(0, 0))
    return str(total) if total.total else "–"
