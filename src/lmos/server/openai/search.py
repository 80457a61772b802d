"""Search of a vector store: a query in, passages of a store out, best first.

Knows the bodies of OpenAI's clients and how a session retrieves. Generates nothing.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel

from lmos.nodes import Source
from lmos.reading.citations import Citation
from lmos.server.access import Allowed
from lmos.server.names import NAME_PATTERN
from lmos.server.openai.citing import file_id
from lmos.server.openai.filters import FilteredConfig
from lmos.server.openai.shapes import SearchRequest
from lmos.server.stores import PROBLEMS
from lmos.session import Session

router = APIRouter(prefix="/v1", tags=["openai"], responses=PROBLEMS)
_TOKENS_EACH = 512


class Content(BaseModel):
    """A piece of a result."""

    type: str = "text"
    text: str


class Found(BaseModel):
    """A passage that was found."""

    file_id: str
    filename: str
    score: float
    attributes: dict[str, str]
    content: list[Content]
    start_byte: int
    end_byte: int


class SearchPage(BaseModel):
    """All results."""

    object: str = "vector_store.search_results.page"
    search_query: list[str]
    data: list[Found]
    has_more: bool = False
    next_page: str | None = None


@router.post("/vector_stores/{vector_store_id}/search", operation_id="search_vector_store")
async def search_vector_store(
    vector_store_id: Annotated[str, Path(pattern=NAME_PATTERN, description="Of the store.")],
    body: SearchRequest,
    access: Allowed,
) -> SearchPage:
    """Find passages of a store. Scores are shares of the best one's, which is 1."""
    queries = [body.query] if isinstance(body.query, str) else body.query
    most = body.max_num_results
    config = FilteredConfig(budget=most * _TOKENS_EACH, max_texts=most, filters=body.filters)

    def find(session: Session) -> list[tuple[Source, Citation]]:
        found: dict[tuple[str, int, int], tuple[Source, Citation]] = {}
        with session.store.snapshot():
            for query in queries:
                for citation in session.cite(session.retrieve(query, config)):
                    source = session.store.source(citation.source)
                    place = (citation.source, citation.start_byte, citation.end_byte)
                    if place not in found or found[place][1].score < citation.score:
                        found[place] = (source, citation)
        return sorted(found.values(), key=lambda pair: -pair[1].score)[:most]

    results = await access.serving.read(access.to_read(vector_store_id), find)
    best = results[0][1].score if results else 0.0
    options = body.ranking_options
    least = (options.score_threshold if options is not None else None) or 0.0
    told = [_found(source, citation, best) for source, citation in results]
    return SearchPage(search_query=queries, data=[each for each in told if each.score >= least])


def _found(source: Source, citation: Citation, best: float) -> Found:
    values: dict[str, Any] = {"start_byte": citation.start_byte, "end_byte": citation.end_byte}
    return Found(
        file_id=file_id(source.source_id),
        filename=source.name,
        score=math.exp(citation.score - best),
        attributes=dict(source.metadata),
        content=[Content(text=citation.text)],
        **values,
    )
