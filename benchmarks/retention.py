"""What is left of an answer when the text is read as embeddings.

Short contexts that a model can read whole. The same questions are answered from the text, from
embeddings of level 1, 2 and 3 that cover all of it, and from level 1 with the best leaf opened to
text; for several ratios of level 1 (the levels above keep 4). What has no parent at a level yet is
read at its own. Exact strings are answers with a digit: codes, prices, dates, times.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import torch

from benchmarks.haystack import cut_haystack, read_books
from benchmarks.options import common_options, data_option
from benchmarks.reading import fits, is_right, read, whole_context
from benchmarks.report import Estimate, Share, gap_closed, markdown_table, save_json
from benchmarks.stores import mean_embeddings, new_session, session_with
from benchmarks.tallies import Tallies
from lmos.model.base import BaseModel
from lmos.nodes import Hit
from lmos.search.retriever import RetrievalConfig, Retriever
from lmos.session import Session, load_model
from lmos.store import AbstractStore, SourcePatch
from lmos.training.contexts import Context, GoldQuestion, hide_facts
from lmos.training.families import TRAINING_FAMILIES
from lmos.training.words import WordBank

UPPER_RATIOS = (4, 4)
TEXT = "text"
SOURCE = "context"
_ALL = 1_000_000


def level_hits(session: Session, level: int) -> tuple[Hit, ...]:
    """Embeddings that cover everything: those of a level, and below it what has no parent."""
    store = session.store
    roots = [node_id for node_id in store.root_ids() if node_id.level < level]
    config = RetrievalConfig(level=1, budget=_ALL)
    ids = [*store.level_ids(level), *roots]
    return Retriever(session.model, config).open(store, [(node_id, 0.0) for node_id in ids])


def best_leaf_hits(session: Session, question: str) -> tuple[Hit, ...]:
    """Every leaf as an embedding but the best, which is read as text."""
    config = RetrievalConfig(
        strategy="flat",
        beam=_ALL,
        max_found=_ALL,
        budget=_ALL,
        max_texts=1,
        max_embeddings=_ALL,
    )
    return session.retrieve(question, config).hits


def mean_pooled(model: BaseModel, ratios: tuple[int, ...], text: str) -> Session:
    """A store whose leaves are the plain means of their tokens."""

    def means(patch: SourcePatch) -> torch.Tensor:
        ids = [token for window in patch.windows for token in window.token_ids]
        return mean_embeddings(model, ids, patch.levels[0].children)

    return session_with(model, ratios, SOURCE, text, means)


class Forms:
    """The forms other than its text in which a context can be read, at one ratio."""

    def __init__(self, model: BaseModel, context: Context, ratio: int) -> None:
        ratios = (ratio, *UPPER_RATIOS)
        self._session = new_session(model, ratios)
        self._session.add(SOURCE, context.text)
        self._pooled = mean_pooled(model, ratios, context.text)

    def iter_hits(self, question: str) -> Iterator[tuple[str, AbstractStore, tuple[Hit, ...]]]:
        """Name, store and hits of each form."""
        session, pooled = self._session, self._pooled
        for level in range(1, session.store.manifest.num_levels + 1):
            yield f"level {level}", session.store, level_hits(session, level)
        yield "level 1, best leaf as text", session.store, best_leaf_hits(session, question)
        yield "mean-pool, level 1", pooled.store, level_hits(pooled, 1)


class Retention:
    """Answers from every form of every context, and how much smaller each form is."""

    def __init__(self, model: BaseModel) -> None:
        self._model = model
        self._positions: dict[tuple[Any, str], list[float]] = defaultdict(list)
        self.tallies = Tallies()

    def measure(
        self, context: Context, questions: Sequence[GoldQuestion], ratios: Sequence[int], seed: int
    ) -> None:
        """Ask a context in every form."""
        whole = new_session(self._model)
        num_tokens = whole.add(SOURCE, context.text).num_tokens
        forms = {ratio: Forms(self._model, context, ratio) for ratio in ratios}
        for asked in questions:
            self._ask("–", TEXT, whole.store, whole_context(whole.store), asked, seed)
            for ratio in ratios:
                for form, store, hits in forms[ratio].iter_hits(asked.question):
                    if self._ask(ratio, form, store, hits, asked, seed):
                        size = sum(_num_positions(self._model, store, hit) for hit in hits)
                        self._positions[ratio, form].append(num_tokens / size)

    def cells(self) -> list[dict[str, Any]]:
        """The figures of each form, with its score as a share of the text's."""
        text = self.tallies.total("exact_match", **{"read as": TEXT})
        cells = self.tallies.cells()
        for cell in cells:
            smaller = self._positions.get((cell["k"], cell["read as"]))
            cell["tokens_per_position"] = sum(smaller) / len(smaller) if smaller else 1.0
            score = cell["exact_match"]
            ours = Share(score["right"], score["total"])
            kept = gap_closed(Share(0, text.total), text, ours) if text.total else None
            if kept is not None:
                cell["retention"] = asdict(kept)
        return cells

    def _ask(
        self,
        ratio: Any,
        form: str,
        store: AbstractStore,
        hits: tuple[Hit, ...],
        asked: GoldQuestion,
        seed: int,
    ) -> bool:
        """Whether there was room to read it."""
        if not fits(self._model, store, hits, asked.question):
            return False
        wanted = asked.answer or ""
        right = is_right(read(self._model, store, hits, asked.question), wanted)
        kind = "exact_strings" if any(map(str.isdigit, wanted)) else "words"
        labels = {"k": ratio, "read as": form}
        self.tallies.add(labels, seed, exact_match=right, **{kind: right})
        return True


def _num_positions(model: BaseModel, store: AbstractStore, hit: Hit) -> int:
    if not hit.is_text:
        return 1
    text = store.text(hit.source.source_id, hit.byte_span).decode(errors="replace")
    return len(model.encode(text).ids)


@click.command()
@data_option("Running text around the facts: a .txt file or folder.")
@click.option("--k", "ratios", multiple=True, type=int, default=(2, 4, 8, 16, 32))
@click.option("--tokens", default=200, show_default=True, help="Of running text in a context.")
@click.option("--facts", "num_facts", default=8, show_default=True, help="Facts in a context.")
@click.option("--contexts", default=25, show_default=True, help="For each seed.")
@click.option("--questions", default=4, show_default=True, help="For each context.")
@common_options
def retention(
    data: Path,
    ratios: tuple[int, ...],
    tokens: int,
    num_facts: int,
    contexts: int,
    questions: int,
    model: str,
    seeds: int,
    json_path: Path | None,
) -> None:
    """Answers from text against answers from embeddings of every level, for several ratios."""
    torch.manual_seed(0)
    books, measured = read_books(data), Retention(load_model(model))
    for seed in range(seeds):
        rng = random.Random(seed)
        for _ in range(contexts):
            stretch = cut_haystack(rng, books, tokens)
            context = hide_facts(
                rng, stretch, WordBank(held_out=True), TRAINING_FAMILIES, num_facts
            )
            drawn = rng.sample(context.questions, min(questions, num_facts))
            measured.measure(context, drawn, ratios, seed)
    cells = measured.cells()
    click.echo(measured.tallies.table())
    rows = [
        [
            str(cell["k"]),
            cell["read as"],
            f"{cell['tokens_per_position']:.1f}",
            str(Estimate(**cell["retention"])) if "retention" in cell else "–",
        ]
        for cell in cells
    ]
    click.echo("\n" + markdown_table(["k", "read as", "tokens per position", "retention"], rows))
    settings = {"text": data.name, "tokens": tokens, "facts": num_facts, "seeds": seeds}
    save_json(json_path, "retention", model, settings, cells)
