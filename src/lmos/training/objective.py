"""The objective of compression and retrieval: contexts in, one differentiable loss out.

A step builds trees with the same builder that a session uses, asks the questions with the same
retrieval tokens, and reads what was found with the same model: routing + answers + reconstruction.
Knows neither optimisers nor files.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from lmos.builder import SourceText, TreeBuilder
from lmos.errors import ConfigError
from lmos.excerpts import cut_excerpt
from lmos.model import BaseModel
from lmos.nodes import Span
from lmos.prompts import UNKNOWN_ANSWER, answer_text, question_after, question_before
from lmos.scorers import query_room, query_vectors
from lmos.store import Manifest, SourcePatch
from lmos.store.memory import MemoryStore
from lmos.training.contexts import AbstractSampler, Context, GoldQuestion
from lmos.training.rows import Row, read_rows
from lmos.training.truncation import with_gradients

_AT_LEAST_ONE = ("contexts", "min_windows", "questions", "readings", "reconstructions")
_MAX_GOLDS = 12
_REACH_BYTES = 80
_WRONG_LATENT_SHARE = 0.2


@dataclass(frozen=True)
class CompressionConfig:
    """One stage of training.

    Attributes:
        contexts: In a step.
        min_windows: Windows of text in the shortest context.
        max_windows: In the longest.
        questions: For each context.
        readings: Questions of a step that are read and answered.
        distractors: Most wrong passages that are read along.
        reconstructions: Level-1 nodes of a step that are decoded back to their text.
        routing_weight: Of the InfoNCE loss of every level.
        answer_weight: Of the answers' loss.
        reconstruction_weight: Of the decoded tokens' loss.
        base_weight: Of the base model's own tasks, so that they are not forgotten.
        distill_weight: Of the divergence from what the same model says to the full text, where a
            reading has the gold passage as embeddings; on top of the answers' weight.
        on_policy_share: Readings of just what the model's own scores bring up, by a flat scan over
            the leaves; where that lacks a gold passage the answer is that it is unknown. The other
            readings have the gold passage and the wrong ones that score highest.
        miss_share: Of those others, readings that are not given the gold passage and must say so.
        embedding_share: Readings that get the gold passage as embeddings, not as text.
        queue: Keys of earlier steps that serve as more negatives, for each level.
        hop_share: Questions with several gold sentences that are searched with one of them, as in a
            search that follows another.
        random_ratio_share: Steps with a random ratio at every level.
        full_gradient_windows: Contexts of more windows of text keep their gradients only in the
            windows on the paths to gold passages and one hop below, see `truncation`.
    """

    contexts: int = 5
    min_windows: int = 5
    max_windows: int = 10
    questions: int = 12
    readings: int = 8
    distractors: int = 5
    reconstructions: int = 24
    routing_weight: float = 1.0
    answer_weight: float = 0.3
    reconstruction_weight: float = 0.3
    base_weight: float = 0.5
    distill_weight: float = 0.0
    on_policy_share: float = 0.0
    miss_share: float = 0.12
    embedding_share: float = 0.2
    queue: int = 0
    hop_share: float = 0.0
    random_ratio_share: float = 0.25
    full_gradient_windows: int = 16

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = 1 if name in _AT_LEAST_ONE else 0
            most = 1.0 if name.endswith("_share") else float("inf")
            if not least <= value <= most:
                raise ConfigError(f"{name}: expected {least} to {most:g}, got {value}")
        if self.max_windows < self.min_windows:
            raise ConfigError(
                f"max_windows: expected at least min_windows {self.min_windows}, "
                f"got {self.max_windows}"
            )


@dataclass(frozen=True)
class _Level:
    """All nodes of one level of a step's contexts; where they are from stays on the CPU."""

    context_N: Tensor
    start_N: Tensor
    stop_N: Tensor
    embeddings_ND: Tensor
    keys_NK: Tensor

    def is_gold(self, context: int, golds: Sequence[Span]) -> Bool[Tensor, "G N"]:
        """Which nodes stand for text of which gold sentence."""
        start_G1, stop_G1 = torch.tensor(golds)[:, :, None].unbind(1)
        overlaps_GN = (self.start_N < stop_G1) & (self.stop_N > start_G1)
        return overlaps_GN & (self.context_N == context)

    def sentences(self, context: Context, index: int, reach: int) -> Span:
        """The text of a node and the rest of its sentences, `reach` bytes away at most."""
        text = context.text.encode()
        own = Span(int(self.start_N[index]), int(self.stop_N[index]))
        start = max(0, own.start - reach)
        excerpt = cut_excerpt(text[start : own.stop + reach], start, len(text))
        return excerpt.sentences_around(own)


class CompressionObjective:
    """Routing, answers, reconstruction and the base tasks, in one loss.

    Args:
        model: Trained in place.
        manifest: Ratios and modes; its ratios are the usual ones of a step.
        sampler: Where contexts come from.
        config: Weights and sizes.
        base_objective: The base model's own loss for a step.
        seed: Of the data.
    """

    def __init__(
        self,
        model: BaseModel,
        manifest: Manifest,
        sampler: AbstractSampler,
        config: CompressionConfig,
        base_objective: Callable[[int], tuple[Tensor, dict[str, float]]],
        seed: int,
    ) -> None:
        self._model = model
        self._manifest = manifest
        self._sampler = sampler
        self._config = config
        self._base_objective = base_objective
        self._seed = seed
        self._queues: dict[int, deque[Tensor]] = {}

    def __call__(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of one step and its parts."""
        rng = random.Random(self._seed * 1_000_003 + step)
        config = self._config
        manifest = self._draw_manifest(rng)
        contexts = [self._draw_context(rng) for _ in range(config.contexts)]
        patches = self._compress(manifest, contexts)
        levels = [_gather(patches, level) for level in range(manifest.num_levels)]
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
            answers, found = self._answers(rng, contexts, vectors_QRK, levels[0], asked)
            loss = loss + config.answer_weight * answers
            metrics |= found
        if config.reconstruction_weight:
            reconstruction = self._reconstruction(rng, patches)
            loss = loss + config.reconstruction_weight * reconstruction
            metrics["reconstruction"] = reconstruction.item()
        if config.base_weight:
            base_loss, base_metrics = self._base_objective(step)
            loss = loss + config.base_weight * base_loss
            metrics |= {f"base_{name}": value for name, value in base_metrics.items()}
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

    def _routing(
        self,
        vectors_QRK: Tensor,
        levels: Sequence[_Level],
        asked: Sequence[tuple[int, GoldQuestion]],
    ) -> tuple[Tensor, dict[str, float]]:
        """InfoNCE at every level: gold nodes against all others of the step and of the queue."""
        losses, metrics = [], {}
        for number, level in enumerate(levels, 1):
            if len(level.keys_NK) == 0:
                continue
            gold_QGN = _stack([level.is_gold(context, q.golds) for context, q in asked])
            gold_QGN = gold_QGN.to(vectors_QRK.device)
            has_gold_Q = gold_QGN.any(-1).any(-1)
            if not has_gold_Q.any():
                continue
            queue = self._queues.setdefault(number, deque(maxlen=64))
            keys_NK = torch.cat([level.keys_NK, *queue])
            gold_QGN = F.pad(gold_QGN, (0, len(keys_NK) - gold_QGN.shape[2]))[has_gold_Q]
            scores_QRN = vectors_QRK[has_gold_Q].float() @ keys_NK.float().T
            losses.append(info_nce(scores_QRN, gold_QGN))
            best_Q = scores_QRN.detach().amax(1).argmax(1, keepdim=True)
            hits_Q = gold_QGN.any(1).gather(1, best_Q)
            metrics[f"recall_{number}"] = hits_Q.float().mean().item()
            metrics[f"nodes_{number}"] = float(len(keys_NK))
            queue.append(level.keys_NK.detach())
            while sum(map(len, queue)) > self._config.queue:
                queue.popleft()
        return torch.stack(losses).mean(), metrics

    def _answers(
        self,
        rng: random.Random,
        contexts: Sequence[Context],
        vectors_QRK: Tensor,
        leaves: _Level,
        asked: Sequence[tuple[int, GoldQuestion]],
    ) -> tuple[Tensor, dict[str, float]]:
        """Read what the model's own scores bring up, with the gold passage or without it."""
        answerable = [index for index, (_, question) in enumerate(asked) if question.answer]
        chosen = rng.sample(answerable, min(self._config.readings, len(answerable)))
        if not chosen:
            return vectors_QRK.new_zeros(()), {}
        readings = [
            self._reading(rng, contexts, vectors_QRK[index], leaves, *asked[index])
            for index in chosen
        ]
        said = read_rows(self._model, [row for row, _ in readings])
        loss = said.loss()
        metrics = {"answers": loss.item(), "answer_accuracy": said.accuracy()}
        teachers = {number: full for number, (_, full) in enumerate(readings) if full is not None}
        if teachers:
            divergence = said.divergence(teachers, self._model)
            loss = loss + self._config.distill_weight * divergence
            metrics["distillation"] = divergence.item()
        return loss, metrics

    def _reading(
        self,
        rng: random.Random,
        contexts: Sequence[Context],
        vectors_RK: Tensor,
        leaves: _Level,
        context: int,
        question: GoldQuestion,
    ) -> tuple[Row, Row | None]:
        """What the reader is given; and, to learn from, the same with the gold passage as text."""
        gold_GN = leaves.is_gold(context, question.golds)
        with torch.no_grad():
            scores_N = (vectors_RK.float() @ leaves.keys_NK.float().T).amax(0).cpu()
        chosen, is_missed = self._choose(rng, scores_N, gold_GN)
        gold = set(gold_GN.any(0).nonzero()[:, 0].tolist())
        is_latent = rng.random() < self._config.embedding_share
        pieces = [
            _Piece(
                index,
                is_gold=index in gold,
                is_embedding=is_latent if index in gold else rng.random() < _WRONG_LATENT_SHARE,
                reach=0 if is_missed else rng.choice((0, _REACH_BYTES, _REACH_BYTES)),
            )
            for index in sorted(chosen)
        ]
        asked = replace(question, answer=UNKNOWN_ANSWER if is_missed else question.answer)
        row = self._row(contexts, leaves, asked, pieces)
        is_taught = is_latent and self._config.distill_weight > 0
        if not (is_taught and any(piece.is_gold for piece in pieces)):
            return row, None
        opened = [replace(p, is_embedding=p.is_embedding and not p.is_gold) for p in pieces]
        return row, self._row(contexts, leaves, asked, opened)

    def _choose(
        self, rng: random.Random, scores_N: Tensor, gold_GN: Bool[Tensor, "G N"]
    ) -> tuple[list[int], bool]:
        """The leaves that are read, and whether a gold passage is missing among them."""
        gold = gold_GN.any(0).nonzero()[:, 0].tolist()[-_MAX_GOLDS:]
        count = rng.randint(0, self._config.distractors)
        if rng.random() < self._config.on_policy_share:
            found = scores_N.topk(min(count + max(1, len(gold)), len(scores_N))).indices
            is_found_G = gold_GN[:, found].any(1) | ~gold_GN.any(1)
            return found.tolist(), not gold or not bool(is_found_G.all())
        scores_N = scores_N.masked_fill(gold_GN.any(0), -torch.inf)
        wrong = scores_N.topk(min(count, len(scores_N) - 1)).indices.tolist()
        is_missed = rng.random() < self._config.miss_share
        return (wrong, True) if is_missed else ([*wrong, *gold], False)

    def _row(
        self,
        contexts: Sequence[Context],
        leaves: _Level,
        question: GoldQuestion,
        pieces: Sequence[_Piece],
    ) -> Row:
        """The question, the pieces in their order, the question again, the answer."""
        row = Row()
        row.add_text(self._model, question_before(question.question), is_target=False)
        read_until: dict[int, int] = {}
        for piece in pieces:
            if piece.is_embedding:
                embedding_D = leaves.embeddings_ND[piece.index]
                # A wrong passage shall not change so as to be of use to the answer.
                embedding_D = embedding_D if piece.is_gold else embedding_D.detach()
                row.add_embedding(embedding_D + self._model.adapter.level_LD[1])
                continue
            number = int(leaves.context_N[piece.index])
            span = leaves.sentences(contexts[number], piece.index, piece.reach)
            start = max(span.start, read_until.get(number, 0))
            if start < span.stop:
                read_until[number] = span.stop
                text = contexts[number].text.encode()[start : span.stop].decode(errors="ignore")
                row.add_text(self._model, " ".join(text.split()) + "\n", is_target=False)
        row.add_text(self._model, question_after(question.question), is_target=False)
        row.add_text(self._model, answer_text(question.answer or UNKNOWN_ANSWER), is_target=True)
        row.end(self._model)
        return row

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


@dataclass(frozen=True)
class _Piece:
    """A leaf as a reading has it; as text, with so many bytes of its sentences around."""

    index: int
    is_gold: bool
    is_embedding: bool
    reach: int


def info_nce(
    scores_QRN: Float[Tensor, "Q R N"], gold_QGN: Bool[Tensor, "Q G N"]
) -> Float[Tensor, ""]:
    """How far each gold sentence is from being the only one found, in nats.

    A gold sentence is found by any of its nodes; nodes of the other gold sentences neither help nor
    count against it. Mean over retrieval tokens, gold sentences and questions.

    Args:
        scores_QRN: Of every node for every retrieval token.
        gold_QGN: Nodes of each gold sentence; rows without a node are padding.
    """
    is_any_QN = gold_QGN.any(1)
    log_wrong_QR = scores_QRN.masked_fill(is_any_QN[:, None], -torch.inf).logsumexp(-1)
    is_real_QG = gold_QGN.any(-1)
    # A padded row is given all nodes, so that its gradient is a number; it is left out below.
    members_QGN = gold_QGN | ~is_real_QG[..., None]
    log_gold_QRG = (
        scores_QRN[:, :, None].masked_fill(~members_QGN[:, None], -torch.inf).logsumexp(-1)
    )
    losses_QG = F.softplus(log_wrong_QR[..., None] - log_gold_QRG).mean(1)
    losses_Q = (losses_QG * is_real_QG).sum(1) / is_real_QG.sum(1).clamp(min=1)
    return losses_Q.mean()


def _stack(masks: Sequence[Bool[Tensor, "_ N"]]) -> Bool[Tensor, "Q G N"]:
    longest = max(len(mask_GN) for mask_GN in masks)
    return torch.stack([F.pad(mask_GN, (0, 0, 0, longest - len(mask_GN))) for mask_GN in masks])


def _gather(patches: Sequence[SourcePatch], level: int) -> _Level:
    parts = [patch.levels[level] for patch in patches]
    context = [number for number, part in enumerate(parts) for _ in part.byte_spans]
    spans = [span for part in parts for span in part.byte_spans]
    return _Level(
        torch.tensor(context, dtype=torch.long),
        torch.tensor([span.start for span in spans], dtype=torch.long),
        torch.tensor([span.stop for span in spans], dtype=torch.long),
        torch.cat([part.embeddings for part in parts]),
        torch.cat([part.keys for part in parts]),
    )
