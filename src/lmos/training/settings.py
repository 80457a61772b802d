"""Settings in JSON: an object in, its values out, checked by name and kind.

Knows no setting by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmos.errors import ConfigError


def require_options(value: Any, kinds: Mapping[str, type], place: str) -> dict[str, Any]:
    """An object whose keys are known and whose values are of their kind.

    Args:
        value: As read from JSON.
        kinds: Of each value that there may be, by its name.
        place: Where it is from, for messages.

    Raises:
        ConfigError: It is none; the message says what was expected where.
    """
    if not isinstance(value, dict):
        raise ConfigError(f"{place}: expected an object, got {value!r}")
    for name, entry in value.items():
        if name not in kinds:
            raise ConfigError(f"{place}: expected one of {', '.join(sorted(kinds))}, got {name!r}")
        kind = kinds[name]
        is_number = isinstance(entry, int) and not isinstance(entry, bool)
        if not (isinstance(entry, kind) or (kind is float and is_number)) or (
            kind is int and not is_number
        ):
            raise ConfigError(f"{place}: {name}: expected {_KINDS[kind]}, got {entry!r}")
    return dict(value)


_KINDS = {
    str: "text",
    float: "a number",
    int: "a whole number",
    dict: "an object",
    bool: "a truth",
    list: "a list",
}
