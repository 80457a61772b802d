"""Stores as the commands find them: is there one, and what to say if not.

Imports nothing heavy, so that a wrong path is told at once.
"""

from __future__ import annotations

from pathlib import Path

import click

from lmos.errors import StoreNotFound


def require_store(path: Path) -> None:
    """Check that there is something at the path.

    Raises:
        StoreNotFound: Says how to make a store.
    """
    if not path.exists():
        name = click.format_filename(path)
        raise StoreNotFound(f"there is no context store at {name}; make one: lmos new {name}")
