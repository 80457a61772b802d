"""Places in stores as clients name them: `lmos://STORE/SOURCE#START-END`, in bytes.

Text in, text out. Knows neither stores nor protocols.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from lmos.errors import QueryError
from lmos.nodes import Span

SCHEME = "lmos://"
_SPAN = re.compile(r"#(\d+)-(\d+)$")


@dataclass(frozen=True)
class Place:
    """A source, or some bytes of one.

    Attributes:
        store: Its name.
        source: Its name.
        span: In bytes of the source; `None` for all of it.
    """

    store: str
    source: str
    span: Span | None = None

    @property
    def url(self) -> str:
        """Of the source."""
        return f"{SCHEME}{quote(self.store, safe='')}/{quote(self.source, safe='/')}"

    @property
    def id(self) -> str:
        """Of the place itself."""
        return self.url if self.span is None else f"{self.url}#{self.span.start}-{self.span.stop}"

    @classmethod
    def parse(cls, text: str, stores: Sequence[str]) -> Place:
        """What an id stands for; where there is one store only, a source's name will do too.

        Raises:
            QueryError: It is no id.
        """
        text = text.strip()
        if not text.startswith(SCHEME) and len(stores) == 1:
            return cls(stores[0], text)
        match = _SPAN.search(text)
        store, slash, source = text[: match and match.start()].removeprefix(SCHEME).partition("/")
        span = None if match is None else Span(int(match[1]), int(match[2]))
        is_whole = text.startswith(SCHEME) and store and slash and source
        if not is_whole or (span is not None and span.start >= span.stop):
            raise QueryError(
                f"expected an id as search and sources return them, like "
                f"{SCHEME}STORE/SOURCE#START-END, got {text!r}"
            )
        return cls(unquote(store), unquote(source), span)
