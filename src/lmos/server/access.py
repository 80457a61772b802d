"""Who asks, and what they may do: a key in a request -> an access to stores.

A store that a key does not open is refused in the same words whether it is there or not. Knows
requests and keys; opens no store.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from lmos.errors import ConfigError
from lmos.server.keys import ANY_STORE, ApiKey
from lmos.server.names import require_store_name
from lmos.server.problems import Problem
from lmos.server.serving import Serving
from lmos.server.watching import tell

_bearer = HTTPBearer(auto_error=False, description="A key of `lmos keys add`.")


def serving_of(request: Request) -> Serving:
    """The parts of the server that a request came to."""
    serving: Serving = request.app.state.serving
    return serving


def require_key(
    request: Request,
    sent: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> ApiKey | None:
    """The key of a request; `None` where none is needed.

    Raises:
        Problem: There is none, or it is not known.
    """
    keys = serving_of(request).keys
    if keys is None:
        return None
    if sent is None:
        raise Problem(401, "expected the header Authorization: Bearer KEY", code="missing_api_key")
    try:
        key = keys.find(sent.credentials)
    except ConfigError as error:
        tell("keys_unreadable", reason=str(error))
        raise Problem(
            503, "the server cannot read its keys; its log says more", code="no_keys"
        ) from error
    if key is None:
        raise Problem(401, "this API key is not known here", code="invalid_api_key")
    request.state.key = key.key_id
    return key


class Access:
    """What the sender of a request may do."""

    def __init__(
        self,
        request: Request,
        serving: Annotated[Serving, Depends(serving_of)],
        key: Annotated[ApiKey | None, Depends(require_key)],
    ) -> None:
        self.serving = serving
        self._request = request
        self._key = key

    @property
    def only_store(self) -> str | None:
        """The store of a key that opens one alone."""
        return None if self._key is None or self._key.store == ANY_STORE else self._key.store

    @property
    def can_write(self) -> bool:
        """Whether it may change the stores that it opens."""
        return self._key is None or self._key.can_write

    def names(self) -> list[str]:
        """The stores that it may read."""
        return [name for name in self.serving.pool.names() if self._opens(name)]

    def to_read(self, store: str) -> str:
        """A store that it may read.

        Raises:
            Problem: It may not.
            ConfigError: This is no name of a store.
        """
        require_store_name(store)
        self._request.state.store = store
        if not self._opens(store):
            raise Problem(
                403, f"this API key does not open the store {store!r}", code="wrong_store"
            )
        return store

    def to_write(self, store: str) -> str:
        """A store that it may change.

        Raises:
            Problem: It may not.
            ConfigError: This is no name of a store.
        """
        self.to_read(store)
        if not self.can_write:
            raise Problem(
                403, "this API key may read, not write; use one made with --write", code="read_only"
            )
        return store

    def _opens(self, store: str) -> bool:
        return self._key is None or self._key.opens(store)


Allowed = Annotated[Access, Depends(Access)]
"""The access of a request, as a parameter of a route."""
