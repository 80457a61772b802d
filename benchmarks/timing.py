"""Times and their spread: percentiles and bootstrap intervals. Knows no task."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

_DRAWS = 1000


@contextmanager
def timed(seconds: list[float]) -> Iterator[None]:
    """Append the seconds that the block takes."""
    start = time.perf_counter()
    yield
    seconds.append(time.perf_counter() - start)


def percentile(values: Sequence[float], percent: float) -> float:
    """Below it are so many percent of the values."""
    return float(np.percentile(np.array(values), percent))


def interval(
    *samples: Sequence[float], of: Callable[..., float], seed: int = 0
) -> tuple[float, float]:
    """95 % bootstrap interval of a figure of one or more samples, drawn independently."""
    rng = np.random.default_rng(seed)
    arrays = [np.array(sample) for sample in samples]
    draws = [of(*(rng.choice(sample, len(sample)) for sample in arrays)) for _ in range(_DRAWS)]
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)
