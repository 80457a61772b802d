"""Stores as the commands find them: is there one, who writes to it, and what to say if so.

Imports nothing heavy, so that a wrong path is told at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lmos.cli.show.output import printable
from lmos.errors import StoreNotFound

if TYPE_CHECKING:
    from lmos.store.writer import Patience


def require_store(path: Path) -> None:
    """Check that there is something at the path.

    Raises:
        StoreNotFound: Says how to make a store.
    """
    if not path.exists():
        name = click.format_filename(path)
        raise StoreNotFound(f"there is no context store at {name}; make one: lmos new {name}")


def patience(seconds: float) -> Patience:
    """Wait so long for another writer, and say so on standard error."""
    from lmos.store.writer import Patience

    return Patience(seconds, lambda message: click.echo(printable(message), err=True))
