"""The user's own examples: JSONL in, contexts with questions out.

One object a line: `{"context": ["a passage", ...], "question": "...", "answer": "...", "gold":
[0]}`, where `gold` holds the indices of the passages that are needed for the answer; other keys are
left alone. Knows text; does not know tokens.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmos.errors import DataError
from lmos.nodes import Span
from lmos.training.contexts import AbstractSampler, Context, GoldQuestion
from lmos.tree.segments import iter_units

EXAMPLE_SUFFIX = ".jsonl"
_UNIT_BYTES = 256


@dataclass(frozen=True)
class Example:
    """A question about a few passages.

    Attributes:
        context: The passages.
        question: As a user would ask it.
        answer: What the model is taught to say.
        gold: Indices of the passages that are needed, ascending.
        place: File and line, for messages.
    """

    context: tuple[str, ...]
    question: str
    answer: str
    gold: tuple[int, ...]
    place: str


def read_examples(path: Path) -> list[Example]:
    """Read a file of examples; empty lines are skipped.

    Raises:
        DataError: The file cannot be read, or a line is not an example: which, and why.
    """
    examples = []
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    examples.append(_example(line, f"{path}, line {number}"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text: {error}") from error
    if not examples:
        raise DataError(f"{path} holds no example; expected one JSON object a line")
    return examples


def _example(line: str, place: str) -> Example:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise DataError(f"{place}: expected a JSON object, got {_start(line)} ({error})") from error
    if not isinstance(value, dict):
        raise DataError(f"{place}: expected a JSON object, got {_start(line)}")
    context = value.get("context")
    if not isinstance(context, list) or not context or not all(map(_is_text, context)):
        raise DataError(f"{place}: context: expected a list of texts, got {_start(context)}")
    for name in ("question", "answer"):
        if not _is_text(value.get(name)):
            raise DataError(f"{place}: {name}: expected text, got {_start(value.get(name))}")
    gold = value.get("gold")
    if not isinstance(gold, list) or not gold or not all(type(index) is int for index in gold):
        raise DataError(
            f"{place}: gold: expected the indices of the passages that are needed, "
            f"got {_start(gold)}"
        )
    outside = [index for index in gold if not 0 <= index < len(context)]
    if outside:
        raise DataError(
            f"{place}: gold: expected indices from 0 to {len(context) - 1}, got {outside[0]}"
        )
    question, answer = value["question"].strip(), value["answer"].strip()
    return Example(tuple(context), question, answer, tuple(sorted(set(gold))), place)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _start(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


class ExampleSampler(AbstractSampler):
    """Contexts made of whole examples; those with the same passages are asked about together."""

    def __init__(self, examples: Sequence[Example]) -> None:
        groups: dict[tuple[str, ...], list[Example]] = defaultdict(list)
        for example in examples:
            groups[example.context].append(example)
        self._groups = list(groups.values())

    def sample(self, rng: random.Random, num_chars: int, num_questions: int) -> Context:
        """See `AbstractSampler.sample`. No example comes twice, so a context may be shorter."""
        parts: list[str] = []
        questions: list[GoldQuestion] = []
        offset = num_read = 0
        for group in rng.sample(self._groups, len(self._groups)):
            passages = [" ".join(passage.split()) + "\n" for passage in group[0].context]
            starts = []
            for passage in passages:
                starts.append(offset)
                offset += len(passage.encode())
                num_read += len(passage)
            parts += passages
            questions += [_located(example, passages, starts) for example in group]
            if num_read >= num_chars:
                break
        rng.shuffle(questions)
        return Context("".join(parts), tuple(questions[:num_questions]))


def _located(example: Example, passages: Sequence[str], starts: Sequence[int]) -> GoldQuestion:
    """The question with its gold: the sentences that say the answer, or else whole passages."""
    golds = [
        span
        for index in example.gold
        for span in _places(passages[index], starts[index], example.answer)
    ]
    return GoldQuestion(example.question, example.answer, tuple(golds))


def _places(passage: str, offset: int, answer: str) -> Iterator[Span]:
    stop = offset
    found = []
    for unit in iter_units(passage, _UNIT_BYTES):
        start, stop = stop, stop + len(unit.encode())
        if answer.lower() in unit.lower():
            found.append(Span(start, stop))
    yield from found[:1] or [Span(offset, stop)]


class MixedSampler(AbstractSampler):
    """Draws from one sampler for a share of the contexts, from another for the rest.

    Args:
        first: Drawn from with probability `share`.
        second: For the rest.
        share: 0 to 1.
    """

    def __init__(self, first: AbstractSampler, second: AbstractSampler, share: float) -> None:
        self._first, self._second, self._share = first, second, share

    def sample(self, rng: random.Random, num_chars: int, num_questions: int) -> Context:
        """See `AbstractSampler.sample`."""
        sampler = self._first if rng.random() < self._share else self._second
        return sampler.sample(rng, num_chars, num_questions)
