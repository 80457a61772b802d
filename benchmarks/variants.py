"""The rows of the ablation: what each changes, one thing at a time.

Knows the names of settings; knows neither training nor how a row is measured.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from lmos.model.base import BaseModel
from lmos.paper import MEANS_ALONE, STRICT_MASK, TOKEN_ALONE, JointScorer
from lmos.search.scorers import AbstractScorer, CachedScorer
from lmos.settings import DEFAULT_RATIOS


@dataclass(frozen=True)
class Variant:
    """What one row changes.

    Attributes:
        group: Of rows that change the same thing.
        name: Of the change.
        ratios: Of every level.
        modes: For `make_manifest`.
        adapter: For `BaseModel.new_adapter`.
        losses: For `CompressionConfig`.
        walk: For `RetrievalConfig`; needs no training of its own.
        scorer: In the place of stored keys; needs none either.
    """

    group: str
    name: str
    ratios: tuple[int, ...] = DEFAULT_RATIOS
    modes: Mapping[str, Any] = field(default_factory=dict)
    adapter: Mapping[str, Any] = field(default_factory=dict)
    losses: Mapping[str, Any] = field(default_factory=dict)
    walk: Mapping[str, Any] = field(default_factory=dict)
    scorer: type[AbstractScorer] = CachedScorer

    @property
    def training(self) -> str:
        """Rows with the same one share a training."""
        changes = (self.modes, self.adapter, self.losses)
        return repr((self.ratios, *(sorted(change.items()) for change in changes)))


_ROWS = (
    Variant("baseline", "32, 4, 4; window; unit; residual; layer at 60 %"),
    Variant("ratio", "4, 4, 4", (4, 4, 4)),
    Variant("ratio", "8, 4, 4", (8, 4, 4)),
    Variant("ratio", "16, 4, 4", (16, 4, 4)),
    Variant("depth", "1 level", (32,)),
    Variant("depth", "2 levels", (32, 4)),
    Variant("depth", "4 levels", (32, 4, 4, 4)),
    Variant("mask", "strict", modes={"compression": STRICT_MASK}),
    Variant("segmentation", "sentence", modes={"segmenter": "sentence"}),
    Variant("segmentation", "fixed", modes={"segmenter": "fixed"}),
    Variant("segmentation", "surprise", modes={"segmenter": "surprise"}),
    Variant("segmentation", "attention", modes={"segmenter": "attention"}),
    Variant("output", "means alone", modes={"compression": MEANS_ALONE}),
    Variant("output", "the token's own state", modes={"compression": TOKEN_ALONE}),
    Variant("scorer", "joint", scorer=JointScorer),
    Variant("losses", "no routing", losses={"routing_weight": 0.0}),
    Variant("losses", "no reconstruction", losses={"reconstruction_weight": 0.0}),
    Variant("losses", "no answers", losses={"answer_weight": 0.0}),
    Variant("retrieval tokens", "1", adapter={"num_retrieval_tokens": 1}),
    Variant("retrieval tokens", "4", adapter={"num_retrieval_tokens": 4}),
    Variant("walk", "top 1, no beam", walk={"top_c": 1, "beam": 0}),
    Variant("walk", "top 16, no beam", walk={"beam": 0}),
    Variant("walk", "beam 64", walk={"beam": 64}),
    Variant("walk", "flat", walk={"strategy": "flat"}),
)

_LAYERS = "scoring layer"
GROUPS = (*dict.fromkeys(row.group for row in _ROWS), _LAYERS)


def make_rows(model: BaseModel) -> list[Variant]:
    """All rows; each layer of the model that does not score in the baseline scores in one."""
    layers = [layer for layer in range(model.num_layers) if layer != model.default_scoring_layer]
    last = model.num_layers - 1
    return [
        *_ROWS,
        *(Variant(_LAYERS, f"{n} of 0 to {last}", adapter={"scoring_layer": n}) for n in layers),
    ]


def choose_rows(groups: Collection[str], model: BaseModel) -> list[Variant]:
    """The baseline and the rows of these groups, or all.

    Args:
        groups: Names; empty for all.
        model: The base model, whose layers are tried.
    """
    rows = make_rows(model)
    return [row for row in rows if not groups or row.group in ("baseline", *groups)]
