"""Names of stores <-> files in the folder that is served.

A name cannot lead out of the folder. Knows paths; opens no store.
"""

from __future__ import annotations

import re
from pathlib import Path

from lmos.errors import ConfigError

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
SUFFIX = ".lmos"
_NAME = re.compile(NAME_PATTERN)


def is_store_name(name: str) -> bool:
    """Whether a store may have this name: letters, digits and `-_.`, beginning with no sign."""
    # `$` alone would let a newline end it.
    return _NAME.fullmatch(name) is not None


def require_store_name(name: str) -> None:
    """Check that a store may have this name.

    Raises:
        ConfigError: It may not.
    """
    if not is_store_name(name):
        raise ConfigError(
            f"{name[:80]!r} is no name of a store: expected up to 64 letters, digits and -_. that "
            "begin with a letter or a digit"
        )


def path_of(folder: Path, name: str) -> Path:
    """Where a store lies, whether there is one or not.

    Raises:
        ConfigError: It is no name of a store.
    """
    require_store_name(name)
    return folder / f"{name}{SUFFIX}"


def store_names(folder: Path) -> list[str]:
    """The stores that there are, in order of their names."""
    names = (path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}"))
    return sorted(filter(is_store_name, names))
