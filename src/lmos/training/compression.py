"""The objective of compression and retrieval: contexts in, one differentiable loss out.

A step builds trees with the same builder that a session uses, asks the questions with the same
retrieval tokens, and reads what was found with the same model: routing + answers + reconstruction
+ staying.
Knows neither optimisers nor files.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lmos.model.base import BaseModel
from lmos.store import Manifest, SourcePatch
from lmos.store.memory import MemoryStore
from lmos.training.answering import Answering
from lmos.training.contexts import AbstractSampler, Context, GoldQuestion
from lmos.training.losses import CompressionConfig
from lmos.training.routing import Routing, gather_nodes
from lmos.training.rows import Row, read_rows
from lmos.training.staying import Staying
from lmos.training.truncation import with_gradients
from lmos.tree.builder import SourceText, TreeBuilder
from lmos.tree.keys import query_room, query_vectors


class CompressionObjective:
    """Routing, answers, reconstruction, and to stay what the model was, in one loss.

    Args:
        model: Trained in place.
        manifest: Ratios and modes; its ratios are the usual ones of a step.
        sampler: Where contexts come from.
        config: Weights and sizes.
        staying: The loss of what the base model would say otherwise; left out if it has no weight.
        seed: Of the data.
    """

    def __init__(
        self,
        model: BaseModel,
        manifest: Manifest,
        sampler: AbstractSampler,
        config: CompressionConfig,
        staying: Staying | None,
        seed: int,
    ) -> None:
        self._model = model
        self._manifest = manifest
        self._sampler = sampler
        self._config = config
        self._staying = staying
        self._seed = seed
        self._routing = Routing(config.queue)
        self._answering = Answering(model, config)

    def __call__(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of one step and its parts."""
        rng = random.Random(self._seed * 1_000_003 + step)
        config = self._config
        manifest = self._draw_manifest(rng)
        contexts = [self._draw_context(rng) for _ in range(config.contexts)]
        patches = self._compress(manifest, contexts)
        levels = [gather_nodes(patches, level) for level in range(manifest.num_levels)]
        asked = [
            (number, question)
            for number, context in enumerate(contexts)
            for question in context.questions
        ]
        queries = [self._query(rng, contexts[number], question) for number, question in asked]
        vectors_QRK = query_vectors(self._model, queries, manifest.scoring_layer)
        metrics: dict[str, float] = {}
        loss = vectors_QRK.new_zeros(())
        if config.routing_weight:
            routing, metrics = self._routing(vectors_QRK, levels, asked)
            loss = loss + config.routing_weight * routing
            metrics["routing"] = routing.item()
        if config.answer_weight:
            answers, found = self._answering(rng, contexts, vectors_QRK, levels[0], asked)
            loss = loss + config.answer_weight * answers
            metrics |= found
        if config.reconstruction_weight:
            reconstruction = self._reconstruction(rng, patches)
            loss = loss + config.reconstruction_weight * reconstruction
            metrics["reconstruction"] = reconstruction.item()
        if config.stay_weight and self._staying is not None:
            divergence = self._staying(step)
            loss = loss + config.stay_weight * divergence
            metrics["staying"] = divergence.item()
        return loss, metrics

    def _query(self, rng: random.Random, context: Context, question: GoldQuestion) -> list[int]:
        """The tokens that are searched with."""
        text = question.question
        if len(question.golds) > 1 and rng.random() < self._config.hop_share:
            text += " " + context.text.encode()[slice(*rng.choice(question.golds))].decode()
        return list(self._model.encode(text).ids)[: query_room(self._model)]

    def _draw_manifest(self, rng: random.Random) -> Manifest:
        """The usual ratios, or random ones, so that the compressor works at any."""
        if rng.random() >= self._config.random_ratio_share:
            return self._manifest
        first = rng.choice((8, 12, 24, 32))
        others = [rng.choice((2, 4, 8)) for _ in self._manifest.ratios[1:]]
        windows = (self._manifest.windows[0], *[16 for _ in others])
        return replace(self._manifest, ratios=(first, *others), windows=windows)

    def _draw_context(self, rng: random.Random) -> Context:
        num_windows = rng.randint(self._config.min_windows, self._config.max_windows)
        return self._sampler.sample(
            rng, num_windows * self._manifest.windows[0] * 3, self._config.questions
        )

    def _compress(self, manifest: Manifest, contexts: Sequence[Context]) -> list[SourcePatch]:
        """The tree of every context, with gradients throughout or in part."""
        is_long = [self._is_long(manifest, context) for context in contexts]
        with torch.no_grad():
            long = self._build(manifest, contexts, is_long)
        if long:
            # Some versions of torch would go on with weights that were cast without gradients.
            torch.clear_autocast_cache()
        whole = self._build(manifest, contexts, [not each for each in is_long])
        patches = []
        for number, context in enumerate(contexts):
            if number in whole:
                patches.append(whole[number])
            else:
                places = [span for question in context.questions for span in question.golds]
                patches.append(with_gradients(self._model, manifest, long[number], places))
        return patches

    def _is_long(self, manifest: Manifest, context: Context) -> bool:
        limit = self._config.full_gradient_windows
        if self._config.max_windows <= limit:
            return False
        return len(self._model.encode(context.text).ids) > limit * manifest.windows[0]

    def _build(
        self, manifest: Manifest, contexts: Sequence[Context], is_chosen: Sequence[bool]
    ) -> dict[int, SourcePatch]:
        """The trees of the chosen contexts, by their number."""
        numbers = [number for number, chosen in enumerate(is_chosen) if chosen]
        sources = [SourceText(str(number), contexts[number].text.encode()) for number in numbers]
        patches = TreeBuilder(self._model, manifest).build(MemoryStore(manifest), sources)
        return dict(zip(numbers, patches, strict=True))

    def _reconstruction(self, rng: random.Random, patches: Sequence[SourcePatch]) -> Tensor:
        """Decode the tokens of level-1 nodes from their embeddings."""
        places = [
            (patch, index) for patch in patches for index in range(len(patch.levels[0].children))
        ]
        rows = []
        for patch, index in rng.sample(places, min(self._config.reconstructions, len(places))):
            level = patch.levels[0]
            tokens = [token for window in patch.windows for token in window.token_ids]
            row = Row()
            row.add_embedding(level.embeddings[index] + self._model.adapter.level_LD[1])
            row.add_ids(tokens[slice(*level.children[index])], is_target=True)
            rows.append(row)
        return read_rows(self._model, rows).loss()
