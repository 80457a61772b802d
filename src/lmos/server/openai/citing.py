"""Citations of an answer as OpenAI's clients read them, and what only lmos says of an answer.

Knows answers and the fields of the clients. Knows no routes.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request

from lmos.reading.answers import Answer
from lmos.reading.citations import Citation
from lmos.server.asking import Asked
from lmos.server.shapes import DifferingAnswer, Passage, as_json


def told_citations(answer: Answer) -> list[Citation]:
    """Those that hold the answer word for word; if none does, all that it was generated from."""
    if not answer.is_found:
        return []
    holding = [citation for citation in answer.citations if citation.has_answer]
    return holding or list(answer.citations)


def url_citations(asked: Asked, store: str, request: Request) -> list[dict[str, Any]]:
    """Annotations of a chat message; each address leads to the passage, for a key of the store."""
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": 0,
                "end_index": len(asked.text),
                "title": citation.source,
                "url": _address(citation, store, request),
            },
        }
        for citation in told_citations(asked.answer)
    ]


def file_citations(asked: Asked, store: str) -> list[dict[str, Any]]:
    """Annotations of a response; the bytes of the passage beside the fields of the clients."""
    ids = {hit.source.name: hit.source.source_id for hit in asked.answer.retrieval.hits}
    return [
        {
            "type": "file_citation",
            "file_id": file_id(ids[citation.source]),
            "filename": citation.source,
            "index": len(asked.text),
            "store": store,
            "start_byte": citation.start_byte,
            "end_byte": citation.end_byte,
            "place": citation.place,
            "quote": citation.text,
        }
        for citation in told_citations(asked.answer)
    ]


def file_id(source_id: int) -> str:
    """How a source is called where clients expect the id of a file."""
    return f"file-{source_id}"


def about(answer: Answer, store: str, ignored: list[str]) -> dict[str, Any]:
    """What only lmos says: was it found, how sure is it, and from what."""
    return {
        "store": store,
        "is_found": answer.is_found,
        "confidence": answer.confidence,
        "is_calibrated": answer.is_calibrated,
        "reason": answer.reason,
        "citations": [as_json(Passage.model_validate(each)) for each in answer.citations],
        "differing": [as_json(each) for each in DifferingAnswer.all_of(answer)],
        "ignored": sorted(set(ignored)),
    }


def metadata_of(answer: Answer, store: str, sent: dict[str, str] | None) -> dict[str, str]:
    """The same in short, beside what the client sent."""
    return {
        **(sent or {}),
        "lmos_store": store,
        "lmos_is_found": "true" if answer.is_found else "false",
        "lmos_confidence": f"{answer.confidence:.4f}",
    }


def finish_reason(answer: Answer, max_new_tokens: int) -> str:
    """Why it ended: of itself, or because it may not be longer."""
    return "length" if answer.num_tokens >= max_new_tokens else "stop"


def _address(citation: Citation, store: str, request: Request) -> str:
    place = {
        "source": citation.source,
        "start_byte": citation.start_byte,
        "end_byte": citation.end_byte,
    }
    return f"{request.base_url}stores/{quote(store)}/text?{urlencode(place)}"
