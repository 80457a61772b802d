"""Waits until something in a folder changes. Done by watchfiles, imported where it is used.

Knows the disk. Knows neither stores nor what is done about a change.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event

from lmos.errors import ConfigError, DataError
from lmos.text.files import shown
from lmos.upkeep.folders import Choice

_QUIET_MILLISECONDS = 400
_LONGEST_MILLISECONDS = 5_000


def iter_changes(folder: Path, choice: Choice, stop: Event | None = None) -> Iterator[None]:
    """Once at the start, and then after each burst of changes in a folder, until it is stopped.

    What changes while a change is dealt with is not missed: the first look comes after the watch
    has begun.

    Args:
        folder: Must be there.
        choice: Changes of files that are not taken are passed over.
        stop: Ends it when it is set.

    Raises:
        ConfigError: The library is not installed.
        DataError: The folder is gone.
    """
    try:
        import watchfiles
    except ImportError as error:
        raise ConfigError(
            'watching a folder needs watchfiles; install it with: pip install "lmos[files]"'
        ) from error

    def is_hidden(path: Path) -> bool:
        return path.is_relative_to(real) and choice.leaves_out(path.relative_to(real))

    real = folder.resolve()
    changes = watchfiles.watch(
        real,
        watch_filter=lambda _, path: not is_hidden(Path(path)),
        debounce=_LONGEST_MILLISECONDS,
        step=_QUIET_MILLISECONDS,
        stop_event=stop,
        rust_timeout=500,
        yield_on_timeout=True,
        raise_interrupt=True,
    )
    is_first = True
    for changed in changes:
        if not real.is_dir():
            raise DataError(f"{shown(folder)}: the folder that was watched is gone")
        if changed or is_first:
            is_first = False
            yield
