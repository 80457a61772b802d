"""Kinds of values on the command line: ratios, labels, sizes; times are in `moments`.

Text in, values out, or a usage error that shows what was expected. Knows no commands.
"""

from __future__ import annotations

import math
import re

import click

NO_LIMIT = -1
_MAX_SEED = 2**63 - 1
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMG]?)B?", re.IGNORECASE)
_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3}


def ratio_list(text: str) -> tuple[int, ...]:
    """`16,4,4` to whole numbers; whether they are in range is for the manifest to say."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"expected whole numbers like 16,4,4, got {text!r}") from None


def temperature(text: str) -> float:
    """A number from 0 on; neither infinite nor none."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise click.BadParameter(f"expected a number from 0 on, like 0.7, got {text!r}")
    return value


def seed(text: str) -> int:
    """A whole number that random generators take."""
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value <= _MAX_SEED:
        raise click.BadParameter(f"expected a whole number from 0 to 2^63 - 1, got {text!r}")
    return value


def label(text: str) -> tuple[str, str]:
    """`key=value` to both; the value may be empty or hold further `=`."""
    key, equals, value = text.partition("=")
    if not key.strip() or not equals:
        raise click.BadParameter(f"expected key=value, got {text!r}")
    return key.strip(), value


def byte_limit(text: str) -> int:
    """`1200`, `500MB`, `2 GB` to bytes, `none` to `NO_LIMIT`."""
    if text.strip().lower() == "none":
        return NO_LIMIT
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise click.BadParameter(f"expected a size like 500MB, or none, got {text!r}")
    return int(float(match[1]) * _UNITS[match[2].upper()])
