"""Samples to rows: a context and its questions side by side, each question blind to the others.

All questions of a sample share the forward pass over its passages. Knows the reader's format;
knows no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from lmos.model.formats import PromptFormat
from recipes.reader.samples import Sample


@dataclass(frozen=True)
class Row:
    """One sample as token ids.

    Attributes:
        ids: The context, then every question with its answer.
        branch: 0 in the context, else the number of the question, from 1.
        places: Position of each token as the model counts.
        is_said: Whether the token is part of an answer, or ends one.
        kind: Of the sample.
    """

    ids: tuple[int, ...]
    branch: tuple[int, ...]
    places: tuple[int, ...]
    is_said: tuple[bool, ...]
    kind: str

    def __len__(self) -> int:
        return len(self.ids)


def pack(sample: Sample, prompt: PromptFormat, stop_id: int, max_len: int) -> Row | None:
    """A sample as a row; questions that do not fit are left out, `None` if none fits."""
    ids = list(prompt.context_ids(sample.passages))
    context_len = len(ids)
    branch, places, is_said = [0] * context_len, list(range(context_len)), [False] * context_len
    for number, asked in enumerate(sample.asked, 1):
        question = prompt.tail_ids(asked.question, asked.turns)
        answer = [*prompt.answer_ids(asked.answer), stop_id]
        if len(ids) + len(question) + len(answer) > max_len or len(answer) > 48:
            continue
        ids += [*question, *answer]
        length = len(question) + len(answer)
        branch += [number] * length
        places += range(context_len, context_len + length)
        is_said += [False] * len(question) + [True] * len(answer)
    if len(ids) == context_len:
        return None
    return Row(tuple(ids), tuple(branch), tuple(places), tuple(is_said), sample.kind)


def batches(rows: Iterable[Row], max_tokens: int, pool: int = 48) -> Iterator[list[Row]]:
    """Rows of like length together, at most so many tokens a batch with padding."""
    waiting: list[Row] = []
    for row in rows:
        waiting.append(row)
        if len(waiting) == pool:
            yield from _grouped(waiting, max_tokens)
            waiting = []
    if waiting:
        yield from _grouped(waiting, max_tokens)


def _grouped(rows: list[Row], max_tokens: int) -> list[list[Row]]:
    groups: list[list[Row]] = []
    for row in sorted(rows, key=len):
        if groups and len(row) * (len(groups[-1]) + 1) <= max_tokens:
            groups[-1].append(row)
        else:
            groups.append([row])
    order = torch.randperm(len(groups), generator=torch.Generator().manual_seed(len(rows[0])))
    return [groups[number] for number in order.tolist()]
