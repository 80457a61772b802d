"""The bodies that OpenAI's clients send, as far as they mean something here.

Fields that are not named are left aside; what would change the meaning of an answer is refused
where it is read. Knows no stores.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from lmos.server.shapes import MAX_QUESTION_CHARS

Text = Annotated[str, Field(max_length=MAX_QUESTION_CHARS)]


class Part(BaseModel):
    """A part of a message."""

    type: str
    text: Text | None = None


class Message(BaseModel):
    """What somebody said."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Text | list[Part] | None = None


class StreamOptions(BaseModel):
    """What a stream tells beside the answer."""

    include_usage: bool | None = None


class ChatRequest(BaseModel):
    """A talk whose last message is a question."""

    model: str = ""
    messages: list[Message] = Field(min_length=1, max_length=1_000)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    n: int | None = Field(default=None, ge=1)
    user: str | None = Field(default=None, description="The store, if no header names it.")
    tools: list[Any] | None = None
    tool_choice: Any = None
    response_format: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None


class InputItem(BaseModel):
    """What somebody said, as the responses API has it."""

    type: str = "message"
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: Text | list[Part] | None = None


class ResponsesRequest(BaseModel):
    """A question, alone or with the talk before it."""

    model: str = ""
    input: Text | Annotated[list[InputItem], Field(min_length=1, max_length=1_000)]
    instructions: str | None = None
    previous_response_id: str | None = None
    stream: bool | None = None
    store: bool | None = None
    max_output_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    user: str | None = Field(default=None, description="The store, if no header names it.")
    tools: list[Any] | None = None
    tool_choice: Any = None
    metadata: dict[str, str] | None = None


class Comparison(BaseModel):
    """A label, the name (`filename`) or the time of a source, compared with a value."""

    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    key: str
    value: str | bool | float | list[str | float]


class Compound(BaseModel):
    """Several filters together."""

    type: Literal["and", "or"]
    filters: list[Comparison | Compound] = Field(max_length=64)


class RankingOptions(BaseModel):
    """What is left out of the results."""

    ranker: str | None = None
    score_threshold: float | None = Field(default=None, ge=0, le=1)


class SearchRequest(BaseModel):
    """What to find in a store."""

    query: Text | Annotated[list[Text], Field(min_length=1, max_length=16)]
    filters: Comparison | Compound | None = None
    max_num_results: int = Field(default=10, ge=1, le=50)
    ranking_options: RankingOptions | None = None
    rewrite_query: bool | None = None


class EmbeddingsRequest(BaseModel):
    """Texts, each of which gets a key."""

    model: str = ""
    input: Text | Annotated[list[Text], Field(min_length=1, max_length=256)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    input_type: Literal["document", "query"] = Field(
        default="document", description="A text to be found, or a question that finds."
    )
