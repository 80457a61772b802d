"""Haystack: a component that retrieves from a store. Needs `pip install 'lmos[haystack]'`.

Knows Haystack's classes, sessions, and how a pipeline is saved: by the path of the store.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from lmos.integrations.passages import find_passages, metadata_of, missing, place_of
from lmos.session import Session

try:
    from haystack import Document, component, default_from_dict, default_to_dict
except ImportError as error:
    raise missing("haystack-ai", "haystack") from error


@component
class LmosRetriever:
    """Passages of a store as documents, best first.

    Args:
        path: Of the store; opened for reading when it is first asked.
        top_k: Most documents.
    """

    def __init__(self, path: str, top_k: int = 5) -> None:
        self.path = str(path)
        self.top_k = top_k

    @component.output_types(documents=list[Document])
    def run(self, query: str, top_k: int | None = None) -> dict[str, list[Document]]:
        """Retrieve.

        Args:
            query: Any question.
            top_k: Most documents, this time.
        """
        found = find_passages(self._session, query, self.top_k if top_k is None else top_k)
        return {
            "documents": [
                Document(
                    id=place_of(each), content=each.text, meta=metadata_of(each), score=each.score
                )
                for each in found
            ]
        }

    def to_dict(self) -> dict[str, Any]:
        """What a saved pipeline holds of it."""
        value: dict[str, Any] = default_to_dict(self, path=self.path, top_k=self.top_k)
        return value

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        """The component that a saved pipeline held."""
        return default_from_dict(cls, data)

    @cached_property
    def _session(self) -> Session:
        return Session.open(self.path, read_only=True)
