"""What the tools return, as JSON: the shapes of `search` and `fetch` are those of chat connectors.

Knows no stores.
"""

from __future__ import annotations

from pydantic import BaseModel, Field


class FoundPassage(BaseModel):
    """One passage that a search found."""

    id: str = Field(description="Give it to fetch to read the text around the passage.")
    title: str = Field(description="The source and the headings that the passage stands under.")
    url: str = Field(description="The source as a resource.")
    text: str = Field(description="The passage, exactly as it is stored.")


class SearchResults(BaseModel):
    """What a search found, best first."""

    results: list[FoundPassage]


class Document(BaseModel):
    """A stretch of a source's text."""

    id: str
    title: str
    text: str
    url: str
    metadata: dict[str, str] = Field(
        description="store, source, its time and labels; start_byte and end_byte of this text and "
        "num_bytes of the whole source; previous_id and next_id, which fetch what stands before "
        "and behind it."
    )


class CitedPassage(FoundPassage):
    """A passage that an answer was read from."""

    has_answer: bool = Field(description="Whether the answer stands in it word for word.")


class DifferingAnswer(BaseModel):
    """What another passage answers, where it says something else."""

    answer: str
    is_earlier: bool | None = Field(
        description="Whether it was said before the answer that was given; null if nothing tells."
    )
    time: str | None = Field(description="Of its source.")
    citation: FoundPassage


class GivenAnswer(BaseModel):
    """An answer with what it was read from."""

    is_found: bool = Field(description="Whether the memory holds an answer.")
    answer: str | None = Field(description="The answer; null when none was found.")
    confidence: float = Field(description="How likely the answer or guess is right, 0 to 1.")
    guess: str | None = Field(description="What the model would say, though it is not sure enough.")
    reason: str | None = Field(description="Why nothing could be found, where that is known.")
    citations: list[CitedPassage]
    differing: list[DifferingAnswer] = Field(
        description="What other passages answer, where they say something else: a fact may have "
        "changed, so tell both and when each was said."
    )


class Noted(BaseModel):
    """Text that is in a store now."""

    id: str = Field(description="Where it stands.")
    url: str = Field(description="The source as a resource.")
    source: str
    num_tokens: int = Field(description="Of the whole source.")


class Forgotten(BaseModel):
    """A source that is gone for good."""

    store: str
    source: str
    num_bytes: int = Field(description="Bytes of text that it had.")


class ListedSource(BaseModel):
    """A source of a store."""

    id: str = Field(description="Give it to fetch to read the source from its beginning.")
    store: str
    source: str
    time: str | None
    labels: dict[str, str]
    num_tokens: int
    num_bytes: int


class SourceList(BaseModel):
    """Sources, the newest first."""

    sources: list[ListedSource]
    num_left_out: int = Field(description="How many more there are beyond the limit.")
