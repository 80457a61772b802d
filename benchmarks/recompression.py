"""A context that is compressed again and again: what each pass costs.

Two ways. `revised`: the source is edited and edited back, as often as that, so that windows are
compressed anew from its text, as in use. `recompressed`: its leaves are read and written again, one
for one, without a look at the text; nothing in lmos does that, and it shows how far embeddings
carry.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.reading import answer_loss, is_right, read
from benchmarks.retention import SOURCE, level_hits
from benchmarks.stores import new_session, session_with
from benchmarks.tallies import Tallies
from lmos.model.base import BaseModel
from lmos.session import Session
from lmos.settings import DEFAULT_RATIOS
from lmos.store import SourcePatch
from lmos.training.contexts import Context
from lmos.tree.compressor import Compressor

_GROUP = 16
_NOTE = "A note that was taken back.\n"


def revise(model: BaseModel, text: str, times: int) -> Session:
    """A store whose source was edited at its start and edited back so often."""
    session = new_session(model)
    session.add(SOURCE, text, time=0.0)
    for _ in range(times):
        session.add(SOURCE, _NOTE + text)
        session.add(SOURCE, text)
    return session


@torch.no_grad()
def rewrite(model: BaseModel, nodes_ND: Float[Tensor, "N D"], times: int) -> Float[Tensor, "N D"]:
    """Nodes compressed so often at ratio 1, in windows of 16."""
    compressor = Compressor(model)
    for _ in range(times):
        windows = []
        for x_TD in torch.split(nodes_ND, _GROUP):
            spans_1T = torch.arange(len(x_TD))[None]
            windows.append(compressor.compress(x_TD[None], spans_1T, len(x_TD), level=2)[0])
        nodes_ND = torch.cat(windows)
    return nodes_ND


def recompress(model: BaseModel, text: str, times: int) -> Session:
    """A store whose leaves were compressed again so often."""

    def leaves(patch: SourcePatch) -> Tensor:
        return rewrite(model, patch.levels[0].embeddings, times)

    return session_with(model, DEFAULT_RATIOS, SOURCE, text, leaves)


WAYS = {"revised": revise, "recompressed": recompress}


@dataclass
class Losses:
    """Losses of answers read from a context's leaves, by way and number of passes."""

    by_place: dict[tuple[str, int], list[float]]
    tallies: Tallies

    def measure(self, model: BaseModel, context: Context, times: Sequence[int], seed: int) -> None:
        """Ask a context after every number of passes."""
        for way, make in WAYS.items():
            for count in times:
                session = make(model, context.text, count)
                hits = level_hits(session, 1)
                for asked in context.questions:
                    question, answer = asked.question, asked.answer or ""
                    right = is_right(read(model, session.store, hits, question), answer)
                    self.tallies.add({"way": way, "passes": count}, seed, exact_match=right)
                    loss = answer_loss(model, session.store, hits, question, answer)
                    self.by_place.setdefault((way, count), []).append(loss)

    def cells(self) -> list[dict[str, Any]]:
        """Accuracy and perplexity of answers, and the perplexity over that of the first count."""
        cells = self.tallies.cells()
        first: dict[str, float] = {}
        for cell in cells:
            losses = self.by_place[cell["way"], cell["passes"]]
            cell["perplexity"] = math.exp(sum(losses) / len(losses))
            start = first.setdefault(cell["way"], cell["perplexity"])
            cell["perplexity_ratio"] = cell["perplexity"] / start
        return cells
