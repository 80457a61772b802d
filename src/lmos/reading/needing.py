"""Needing: is a turn of a talk looked up in the store, or answered in the model's own words?

Asks the reader itself, without any passage. Knows the model and the turns; knows neither stores nor
how passages are found.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from lmos.model.base import BaseModel
from lmos.model.formats import Turn
from lmos.model.prompts import UNKNOWN_ANSWER
from lmos.reading.generation import AnswerStream, embed_ids

_LEAST_UNKNOWN = -0.03
"""Logarithm of the probability of "not found" from which on a turn needs the store; measured by
`python -m benchmarks when`."""
_SLOT = "\x1dslot\x1d"


def needs_store(model: BaseModel, question: str, turns: Sequence[Turn] = ()) -> bool:
    """Whether the reader is all but certain that it cannot answer without passages.

    It was taught to say so where passages do not hold the answer of a question. Told no passage
    and no question, but something else, it is less certain.
    """
    return is_sure_unknown(unknown_log_probability(model, question, turns))


def is_sure_unknown(log_probability: float) -> bool:
    """Whether "not found" is likely enough for a turn that needs the store."""
    return log_probability >= _LEAST_UNKNOWN


@torch.no_grad()
def unknown_log_probability(model: BaseModel, question: str, turns: Sequence[Turn] = ()) -> float:
    """How likely the reader says that it does not know when it is given no passage; natural log."""
    prompt = model.format
    ids = prompt.prompt_ids(question, [], turns)
    num_unknown = len(prompt.answer_ids(UNKNOWN_ANSWER))
    tokens = model.generate(embed_ids(model, ids).float(), num_unknown, prompt.stop_ids)
    stream = AnswerStream(model, tokens)
    for _ in stream:
        pass
    return stream.unknown_log_probability


@torch.no_grad()
def own_prompt(model: BaseModel, said: str, turns: Sequence[Turn] = ()) -> Float[Tensor, "T D"]:
    """A talk as the model read it before it was taught to read passages.

    Args:
        model: Base model.
        said: By the user.
        turns: What was said before, and the answers.
    """
    texts = [*(text for turn in turns for text in turn), said]
    roles = ["user", "assistant"] * len(turns) + ["user"]
    frame = model.render_chat([{"role": role, "content": _SLOT} for role in roles])
    if frame is None:
        ids = model.format.tail_ids(said, turns)
    else:
        first, *rest = frame.split(_SLOT)
        ids = list(model.encode_control(first))
        for text, after in zip(texts, rest, strict=True):
            ids += [*model.encode(text).ids, *model.encode_control(after)]
    return embed_ids(model, ids).float()


def speak(
    model: BaseModel,
    said: str,
    turns: Sequence[Turn],
    max_new_tokens: int,
    temperature: float,
    seed: int,
) -> AnswerStream:
    """What the model says of itself, without passages and without the reader's weights.

    Args:
        model: Base model.
        said: By the user.
        turns: What was said before, and the answers.
        max_new_tokens: It says at most so many tokens.
        temperature: 0 is greedy and deterministic.
        seed: Of the sampling.

    Raises:
        ConfigError: There is no room for the talk and so many tokens.
    """
    prompt_TD = own_prompt(model, said, turns)
    return AnswerStream(model, model.speak(prompt_TD, max_new_tokens, temperature, seed))
