"""Gives memory that is free back to the system, where the C library keeps it.

glibc keeps what large tensors leave behind in its heap, in pieces that later ones do not fit into:
over hours of adding, a process would seem to need more and more. Knows nothing of models.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache


def trim() -> None:
    """Give free memory back; does nothing where the C library is not glibc.

    Takes some milliseconds, and what is needed again has to be asked for again.
    """
    if (give_back := _malloc_trim()) is not None:
        give_back(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
