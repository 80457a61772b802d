"""The bodies of REST: what is sent and what comes back, as OpenAPI describes it.

Made of the nouns of lmos by their names. Knows no routes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from lmos.reading.answers import Answer
from lmos.search.retriever import RetrievalConfig
from lmos.server.names import NAME_PATTERN

MAX_QUESTION_CHARS = 20_000
MAX_NAME_CHARS = 1_000

SourceName = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)]


class _Read(BaseModel):
    """Made from an object of lmos."""

    model_config = ConfigDict(from_attributes=True)


class _Sent(BaseModel):
    """Sent by a client; a field that is not known is a mistake."""

    model_config = ConfigDict(extra="forbid")


class NewStore(_Sent):
    """A store to be made."""

    name: str = Field(pattern=NAME_PATTERN, examples=["life"])
    max_bytes: int | None = Field(
        default=None, ge=0, le=2**62, description="Its file may not grow beyond."
    )


class StoreList(BaseModel):
    """The stores that a key may read."""

    stores: list[str]


class StoreStatus(BaseModel):
    """What a store holds, in numbers."""

    store: str
    version: int = Field(description="Grows with every change.")
    model: str
    ratios: list[int]
    sources: int
    tokens: int
    text_bytes: int
    nodes: list[int] = Field(description="At level 1, 2, ...")
    roots: int
    file_bytes: int
    max_bytes: int | None


class Deleted(BaseModel):
    """What was removed."""

    deleted: str


class NewText(_Sent):
    """A text to be added, or to be put behind what a source holds."""

    name: SourceName = Field(examples=["diary"])
    text: str = Field(min_length=1, examples=["The code of the garage door is 5830."])
    time: FiniteFloat | None = Field(
        default=None, description="Seconds since the epoch; by default now."
    )
    metadata: dict[str, str] | None = Field(default=None, description="Labels.")


class SourceShape(_Read):
    """A source."""

    source_id: int
    name: str
    time: float | None
    metadata: dict[str, str]
    num_bytes: int
    num_tokens: int
    level_counts: list[int] = Field(description="Nodes at level 1, 2, ...")


class AddedFile(BaseModel):
    """What became of a file."""

    sources: list[SourceShape] = Field(description="One for each document in the file.")
    notes: list[str] = Field(description="What is to be known of how it was read.")


class SourceList(BaseModel):
    """Sources, oldest first."""

    sources: list[SourceShape]
    total: int
    next_after: int | None = Field(description="`after` for the next ones; null for none.")


class SourceText(BaseModel):
    """A stretch of a source, moved to whole characters."""

    source: str
    start_byte: int
    end_byte: int
    text: str


class Turn(_Sent):
    """A question that was asked before, and its answer."""

    question: str = Field(max_length=MAX_QUESTION_CHARS)
    answer: str = Field(max_length=MAX_QUESTION_CHARS)


class SearchOptions(_Sent):
    """How to retrieve; what is left out is as it is on the command line."""

    strategy: Literal["hybrid", "tree", "flat"] = "hybrid"
    level: int = Field(default=0, ge=0, le=16, description="0 is text, 1 and above are embeddings.")
    budget: int = Field(default=384, ge=1, le=65_536, description="Most positions of the passages.")
    max_texts: int = Field(default=5, ge=0, le=1_000)
    text_mass: float | None = Field(default=None, gt=0, le=1)
    max_embeddings: int = Field(default=0, ge=0, le=1_000)
    top_c: int = Field(default=16, ge=1, le=65_536)
    beam: int = Field(default=1024, ge=0, le=65_536)
    lexical_weight: float = Field(default=1.0, ge=0, le=1_000)
    since: FiniteFloat | None = Field(default=None, description="Earliest time of a source.")
    until: FiniteFloat | None = Field(default=None, description="Before this time.")
    where: dict[str, str] = Field(default={}, description="Labels that a source must have.")

    def to_config(self) -> RetrievalConfig:
        """The same for `lmos`.

        Raises:
            ConfigError: Two of them contradict each other.
        """
        return RetrievalConfig(**self.model_dump())


class RetrieveRequest(_Sent):
    """What to find."""

    question: str = Field(max_length=MAX_QUESTION_CHARS, examples=["garage door"])
    turns: list[Turn] = Field(default=[], max_length=64)
    search: SearchOptions = SearchOptions()
    explain: bool = Field(default=False, description="Tell the walk down the tree, level by level.")
    max_kept: int = Field(
        default=64, ge=1, le=1_000, description="Of each level, nodes that are told."
    )


class AskRequest(_Sent):
    """What to answer."""

    question: str = Field(max_length=MAX_QUESTION_CHARS, examples=["What opens the garage?"])
    turns: list[Turn] = Field(default=[], max_length=64)
    search: SearchOptions = SearchOptions()
    max_new_tokens: int = Field(default=128, ge=1)
    temperature: float = Field(default=0.0, ge=0, le=10)
    seed: int = Field(default=0, ge=0, lt=2**63)
    stream: bool = Field(
        default=False, description="Server-sent events: passages, then text in pieces, then answer."
    )


class StepShape(_Read):
    """A node on the way down, and its score."""

    level: int
    index: int
    score: float


class PartsShape(_Read):
    """What a score comes from."""

    attention: float
    lexical: float


class Passage(_Read):
    """A passage: whole sentences, exact to the byte."""

    source: str
    time: float | None
    start_byte: int
    end_byte: int
    place: str | None = Field(
        description="Where in its original it comes from, as in page 12; null for plain text."
    )
    text: str
    headings: list[str]
    columns: str | None
    level: int = Field(description="0 if it was read as text.")
    score: float
    weight: float
    parts: PartsShape | None
    path: list[StepShape] = Field(description="From the root down.")
    has_answer: bool = Field(description="Whether the answer stands in it, word for word.")


class NodeShape(BaseModel):
    """A node of a tree."""

    source_id: int
    source: str
    level: int
    index: int
    start_byte: int
    end_byte: int
    first_child: int = Field(description="Of the level below; at level 1, of the tokens.")
    end_child: int = Field(description="Just after the last child.")


class WalkNode(NodeShape):
    """A node that a level of a walk kept."""

    score: float
    lexical: float | None = Field(description="Words shared with the question, in nats.")
    is_on_path: bool = Field(description="Whether it led to a passage.")


class WalkLevel(BaseModel):
    """What happened at one level of a walk."""

    level: int
    num_candidates: int
    num_kept: int
    kept: list[WalkNode] = Field(description="Best first, at most `max_kept`.")


class DifferingAnswer(BaseModel):
    """What another passage answers, where it says something else."""

    answer: str
    is_earlier: bool | None = Field(
        description="Whether it was said before the answer that was given; null if nothing tells."
    )
    citation: Passage

    @classmethod
    def all_of(cls, answer: Answer) -> list[DifferingAnswer]:
        """Those of a complete answer."""
        return [
            cls(
                answer=other.text,
                is_earlier=other.is_earlier,
                citation=Passage.model_validate(other.citation),
            )
            for other in answer.differing
        ]


class RetrieveReply(BaseModel):
    """What was found, best first."""

    passages: list[Passage]
    reason: str | None = Field(description="Why nothing was found; null if something was.")
    walk: list[WalkLevel] | None = Field(description="From the top; null unless `explain`.")


class UsageShape(BaseModel):
    """Tokens that an answer took."""

    prompt_tokens: int
    completion_tokens: int


class AskReply(BaseModel):
    """An answer."""

    answer: str = Field(description="A guess unless `is_found`.")
    is_found: bool
    confidence: float
    is_calibrated: bool = Field(
        description="Whether `confidence` is the chance of being right; else only larger is better."
    )
    reason: str | None = Field(description="Why there was nothing to answer from.")
    citations: list[Passage]
    differing: list[DifferingAnswer] = Field(
        description="What other passages say, where they say something else."
    )
    timing: dict[str, float] = Field(description="Seconds by step.")
    usage: UsageShape


class VerifyReply(BaseModel):
    """What is wrong with a store."""

    ok: bool
    faults: list[str]


class TreeLevel(BaseModel):
    """Nodes of one level of a source's tree."""

    level: int
    num_nodes: int
    start: int = Field(description="Index of the first node that is told.")
    nodes: list[NodeShape]


class TreeReply(BaseModel):
    """The tree of a source, from the top."""

    source: SourceShape
    levels: list[TreeLevel]


class Health(BaseModel):
    """Whether the server serves."""

    status: str
    version: str


def as_json(value: BaseModel) -> dict[str, Any]:
    """A body as JSON has it."""
    return value.model_dump(mode="json")
