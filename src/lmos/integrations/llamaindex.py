"""LlamaIndex: a retriever over a store. Needs `pip install 'lmos[llamaindex]'`.

Knows LlamaIndex's classes and sessions.
"""

from __future__ import annotations

from lmos.integrations.passages import find_passages, metadata_of, missing, place_of
from lmos.search.retriever import RetrievalConfig
from lmos.session import Session

try:
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
except ImportError as error:
    raise missing("llama-index-core", "llamaindex") from error


class LmosRetriever(BaseRetriever):
    """Passages of a store as nodes with scores, best first.

    Args:
        session: Open, for reading at least.
        k: Most passages.
        config: How to search.
    """

    def __init__(self, session: Session, k: int = 5, config: RetrievalConfig | None = None) -> None:
        super().__init__()
        self._session = session
        self._k = k
        self._config = config

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        found = find_passages(self._session, query_bundle.query_str, self._k, self._config)
        return [
            NodeWithScore(
                node=TextNode(id_=place_of(each), text=each.text, metadata=metadata_of(each)),
                score=each.score,
            )
            for each in found
        ]
