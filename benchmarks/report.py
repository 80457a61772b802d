"""Means with confidence intervals, and tables of them. Knows no task."""

from __future__ import annotations

import json
import math
import platform
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.2f}–{self.high:.2f})"


@dataclass(frozen=True)
class Share:
    """How many of `total` came out right."""

    right: int
    total: int

    @property
    def mean(self) -> float:
        """In `0..1`; 0 when nothing was asked."""
        return self.right / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval."""
        if not self.total:
            return (0.0, 1.0)
        z, n, p = 1.96, self.total, self.mean
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return (max(0.0, middle - half), min(1.0, middle + half))

    def __add__(self, other: Share) -> Share:
        return Share(self.right + other.right, self.total + other.total)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.mean:.3f} ({low:.2f}–{high:.2f})"


def area_under_curve(positives: Sequence[float], negatives: Sequence[float]) -> Estimate:
    """AUROC: how often a positive outranks a negative, ties half; Hanley and McNeil's interval."""
    n, m = len(positives), len(negatives)
    if not n or not m:
        return Estimate(0.5, 0.0, 1.0)
    ranked = sorted(negatives)
    wins = sum(bisect_left(ranked, value) + bisect_right(ranked, value) for value in positives)
    area = wins / (2 * n * m)
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (n - 1) * (first - area**2) + (m - 1) * (second - area**2)
    half = 1.96 * math.sqrt(max(0.0, variance) / (n * m))
    return Estimate(area, max(0.0, area - half), min(1.0, area + half))


def gap_closed(zero: Share, full: Share, ours: Share) -> Estimate | None:
    """`(ours − zero) / (full − zero)`, with a parametric bootstrap's 95 % interval.

    `None` where full is not better than zero: there is no gap to close.
    """
    if full.mean <= zero.mean:
        return None
    rng = np.random.default_rng(0)
    draws = [rng.binomial(each.total, each.mean, 2000) / each.total for each in (zero, full, ours)]
    gaps = draws[1] - draws[0]
    low, high = np.quantile((draws[2] - draws[0])[gaps > 0] / gaps[gaps > 0], [0.025, 0.975])
    mean = (ours.mean - zero.mean) / (full.mean - zero.mean)
    return Estimate(mean, float(low), float(high))


def share(flags: Sequence[bool]) -> Share:
    """Count the true ones."""
    return Share(sum(flags), len(flags))


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as GitHub shows it."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def environment() -> dict[str, Any]:
    """When and on what a figure was taken."""
    return {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
    }


def save_json(
    path: Path | None,
    benchmark: str,
    model: str,
    settings: Mapping[str, Any],
    cells: Sequence[Mapping[str, Any]],
) -> None:
    """Write a result: what was measured, how, where and when; nothing without a path.

    Args:
        path: Its folder is made.
        benchmark: Name of the command.
        model: As the user named it.
        settings: What else shaped the figures.
        cells: One object a row of the tables, with its labels and its figures.
    """
    if path is None:
        return
    result = {
        "benchmark": benchmark,
        "model": model,
        **environment(),
        "settings": settings,
        "cells": cells,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2, default=str) + "\n", encoding="utf-8")
