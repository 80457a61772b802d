"""bAbI stories scattered through books: the task of BABILong, with its own stories and books.

One sample is one question with the sentences before it, each put between two sentences of the
haystack at a place drawn evenly, in the story's order; one sample, one store, and no sample sees
another's sentences. A token is 4.5 characters of haystack.

Where this differs from the standard protocol, which reads a text of its own for every sample: the
samples of a seed and length share the stretch of books. The haystack is a row of sources ("pages"
of about 2,048 tokens, in time order), compressed once. A sample takes a copy of that store and
gives the pages that its sentences fall on their new text, so a page's tree is compressed with the
story in it, as it would have been from the start, and the rest is not compressed again. Sentences
are not marked, moved to the edge of a window or kept in a source of their own.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import torch

from benchmarks.babi import Story, find_tasks, read_stories
from benchmarks.dense import load_dense
from benchmarks.haystack import CHARS_PER_TOKEN, cut_haystack, read_books
from benchmarks.options import common_options, data_option, retrieval_options, ways_options
from benchmarks.reading import Asked
from benchmarks.report import save_json
from benchmarks.stores import Place
from benchmarks.tallies import Tallies
from benchmarks.ways import WAYS, Reader, tally_questions
from lmos.model.base import BaseModel
from lmos.nodes import Span
from lmos.search.retriever import RetrievalConfig
from lmos.session import Session, load_model, make_manifest
from lmos.settings import DTYPES
from lmos.store.memory import MemoryStore
from lmos.tree.builder import SourceText, TreeBuilder
from lmos.tree.segments import iter_units

TASKS = ("qa1", "qa2", "qa3", "qa4", "qa5")
PAGE_TOKENS = 2048
_UNIT_BYTES = 256


@dataclass(frozen=True)
class Haystack:
    """Books as pages of sentences, and the store that holds them."""

    pages: tuple[tuple[str, ...], ...]
    store: MemoryStore


def page_name(number: int) -> str:
    """Name of the source of a page."""
    return f"page {number}"


def cut_pages(text: str) -> tuple[tuple[str, ...], ...]:
    """Sentences, page by page; one empty page of an empty text."""
    pages: list[list[str]] = [[]]
    size = 0
    for unit in iter_units(text, _UNIT_BYTES):
        if size >= PAGE_TOKENS * CHARS_PER_TOKEN:
            pages.append([])
            size = 0
        pages[-1].append(unit)
        size += len(unit)
    return tuple(map(tuple, pages))


def build_haystack(model: BaseModel, text: str) -> Haystack:
    """Compress the books, once for many stories."""
    pages = cut_pages(text)
    store = MemoryStore(make_manifest(model))
    texts = {number: "".join(page) for number, page in enumerate(pages)}
    put_pages(model, store, {number: text for number, text in texts.items() if text.strip()})
    return Haystack(pages, store)


def put_pages(model: BaseModel, store: MemoryStore, texts: dict[int, str]) -> None:
    """Give pages these texts; the windows of many pages share a forward pass."""
    builder = TreeBuilder(model, store.manifest)
    numbers = list(texts)
    for start in range(0, len(numbers), 64):
        some = numbers[start : start + 64]
        sources = [SourceText(page_name(number), texts[number].encode()) for number in some]
        with torch.no_grad():
            patches = builder.build(store, sources)
        for number, patch in zip(some, patches, strict=True):
            store.put_source(page_name(number), patch, time=float(number))


def scatter(
    rng: random.Random, pages: Sequence[Sequence[str]], sentences: Sequence[str]
) -> tuple[dict[int, str], list[Place]]:
    """Put sentences between those of the pages, in order, at places drawn evenly.

    Returns:
        The new text of each page that changes, by number, and where each sentence went.
    """
    slots = [(number, index) for number, page in enumerate(pages) for index in range(len(page) + 1)]
    chosen = sorted(rng.choices(range(len(slots)), k=len(sentences)))
    by_page: dict[int, list[tuple[int, str]]] = {}
    for slot, sentence in zip(chosen, sentences, strict=True):
        number, index = slots[slot]
        by_page.setdefault(number, []).append((index, sentence))
    texts, places = {}, []
    for number, additions in by_page.items():
        texts[number], spans = _with_sentences(pages[number], additions)
        places += [Place(page_name(number), span) for span in spans]
    return texts, places


def _with_sentences(
    page: Sequence[str], additions: Sequence[tuple[int, str]]
) -> tuple[str, list[Span]]:
    """A page's text with sentences put before the units of these numbers, and their bytes."""
    parts: list[str] = []
    spans = []
    waiting = list(additions)
    for index in range(len(page) + 1):
        while waiting and waiting[0][0] == index:
            if parts and not parts[-1][-1].isspace():
                parts.append(" ")
            sentence = waiting.pop(0)[1]
            start = sum(len(part.encode()) for part in parts)
            spans.append(Span(start, start + len(sentence.encode())))
            parts.append(sentence + " ")
        parts += page[index : index + 1]
    return "".join(parts), spans


def hide_story(
    model: BaseModel, haystack: Haystack, story: Story, rng: random.Random
) -> tuple[Session, Asked]:
    """A store of its own for one story, and its question."""
    texts, places = scatter(rng, haystack.pages, story.sentences)
    store = haystack.store.copy()
    put_pages(model, store, texts)
    golds = tuple(places[gold] for gold in story.golds)
    return Session(model, store), Asked(story.question, story.answer, golds)


def iter_samples(
    model: BaseModel, haystack: Haystack, stories: Sequence[Story], rng: random.Random
) -> Iterator[tuple[Session, Asked, Session]]:
    """Each story's store and question, and the store of the story before it."""
    last = hide_story(model, haystack, stories[-1], rng)[0]
    for story in stories:
        session, asked = hide_story(model, haystack, story, rng)
        yield session, asked, last
        last = session


@click.command()
@data_option("Folder of bAbI files (qa1_*_test.txt, ...).")
@click.option(
    "--books",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help="Haystack: a .txt file or folder.",
)
@click.option("--pattern", default="*_test.txt", show_default=True, help="Which split.")
@click.option(
    "--task",
    "tasks",
    multiple=True,
    default=tuple(f"qa{n}" for n in range(1, 6)),
    show_default=True,
)
@click.option(
    "--tokens", multiple=True, type=click.IntRange(0), default=(4_000, 64_000), show_default=True
)
@click.option(
    "--samples", default=100, show_default=True, help="Questions for each task, length and seed."
)
@click.option(
    "--dtype", type=click.Choice(DTYPES), default="float32", show_default=True, help="Of weights."
)
@retrieval_options(budget=1024, margin=0, max_texts=32, text_mass=0.8, max_embeddings=0)
@ways_options
@common_options
def babilong(
    data: Path,
    books: Path,
    pattern: str,
    tasks: tuple[str, ...],
    tokens: tuple[int, ...],
    samples: int,
    dtype: str,
    model: str,
    seeds: int,
    config: RetrievalConfig,
    ways: tuple[str, ...],
    dense: str | None,
    json_path: Path | None,
) -> None:
    """Stories scattered through books: exact match, and the supporting facts that were read."""
    torch.manual_seed(0)
    stories = {task: read_stories(path) for task, path in find_tasks(data, pattern, tasks).items()}
    base, dense_model, text = load_model(model, dtype=dtype), load_dense(dense), read_books(books)
    settings = {
        "stories": pattern,
        "books": books.name,
        "seeds": seeds,
        "samples": samples,
        "dtype": dtype,
        "config": vars(config),
    }
    tallies = Tallies()
    for num_tokens in tokens:
        for seed in range(seeds):
            rng = random.Random(f"{seed} {num_tokens}")
            haystack = build_haystack(base, cut_haystack(rng, text, num_tokens))
            for task in tasks:
                drawn = rng.sample(stories[task], min(samples, len(stories[task])))
                for session, asked, other in iter_samples(base, haystack, drawn, rng):
                    reader = Reader(session, config, rng, other, dense_model)
                    labels = {"tokens": num_tokens, "task": task}
                    tally_questions(tallies, reader, [asked], labels, seed, ways or WAYS)
                save_json(json_path, "babilong", model, settings, tallies.cells())
        for figure in ("exact_match", "gold_read"):
            click.echo(f"\n{figure}, {num_tokens} tokens, {seeds} × {samples} questions a task\n")
            click.echo(tallies.pivot(figure, "read with", "task", tokens=num_tokens))
