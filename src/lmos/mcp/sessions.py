"""Sessions by the name of their store: what a server answers from.

Knows names and who may use a session when. Knows neither protocols nor how stores are opened.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

from lmos.errors import ConfigError, StoreNotFound
from lmos.session import Session


@runtime_checkable
class Sessions(Protocol):
    """Gives sessions by the name of their store. Whoever serves stores in other ways does so too.

    Both kinds of session are this thread's alone until the block ends.
    """

    def names(self) -> Sequence[str]:
        """Of the stores that there are now, in the order in which they are shown."""
        ...

    def reading(self, name: str) -> AbstractContextManager[Session]:
        """A session that is not asked to change its store.

        Raises:
            StoreNotFound: There is none of that name.
            LmosError: It cannot be used now.
        """
        ...

    def writing(self, name: str) -> AbstractContextManager[Session]:
        """A session that may change its store.

        Raises:
            StoreNotFound: There is none of that name.
            LmosError: It cannot be used now.
        """
        ...


class OpenSessions:
    """Sessions that are open all the while, one used at a time: they may share a model.

    Args:
        sessions: By name; `open_shared` stores leave others free to write in between.
    """

    def __init__(self, sessions: Mapping[str, Session]) -> None:
        self._sessions = dict(sessions)
        self._turn = threading.Lock()

    def names(self) -> Sequence[str]:
        """Of the stores, in the order in which they were given."""
        return tuple(self._sessions)

    @contextmanager
    def reading(self, name: str) -> Iterator[Session]:
        """The session of a store, once nobody else uses one.

        Raises:
            StoreNotFound: There is none of that name.
        """
        if name not in self._sessions:
            raise StoreNotFound(
                f"expected one of the stores {', '.join(self.names())}; got {name!r}"
            )
        with self._turn:
            yield self._sessions[name]

    writing = reading


def names_of(paths: Sequence[Path]) -> dict[str, Path]:
    """What each store is called: its file's name without the ending.

    Raises:
        ConfigError: Two have the same name.
    """
    named: dict[str, Path] = {}
    for path in paths:
        name = path.stem
        if name in named:
            raise ConfigError(
                f"expected stores with different names, got {named[name]} and {path}, which are "
                f"both called {name!r}; rename one of them"
            )
        named[name] = path
    return named
