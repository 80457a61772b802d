"""Simon Willison's `llm`: fragments from a store, `llm -f "lmos:life.lmos:Who came?" "Who came?"`.

Knows llm's hooks and sessions. Installed beside llm, lmos is found by it without more.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lmos.errors import ConfigError

try:
    import llm
except ImportError as error:
    raise ConfigError("llm is not installed; install it with: pip install llm") from error

_PASSAGES = 5


@llm.hookimpl
def register_fragment_loaders(register: Callable[..., None]) -> None:
    """Tell llm of the prefix `lmos`."""
    register("lmos", load_fragments)


def load_fragments(argument: str) -> list[llm.Fragment]:
    """Passages of an lmos store for a question: lmos:life.lmos:"Who came?"."""
    # This docstring is what `llm fragments loaders` shows. llm reports errors in their words.
    # Only now: every start of llm imports this file, and torch takes seconds.
    from lmos.integrations.passages import find_passages, place_of
    from lmos.session import Session

    path, question = _split(argument)
    with Session.open(path, read_only=True) as session:
        found = find_passages(session, question, _PASSAGES)
    return [llm.Fragment(each.text, f"lmos:{path}:{place_of(each)}") for each in found]


def _split(argument: str) -> tuple[Path, str]:
    """At the first colon behind the name of a file."""
    parts = argument.split(":")
    for length in range(1, len(parts)):
        path = Path(":".join(parts[:length])).expanduser()
        if path.is_file():
            return path, ":".join(parts[length:])
    raise ConfigError(f"expected lmos:STORE:QUESTION with the path of a store, got lmos:{argument}")
