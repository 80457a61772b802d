"""In-context learning from a store: a query and six examples, of which two are relevant.

The protocol of arXiv 2409.01495. Every example is a source of its own; each is ranked by its best
leaf in a flat scan, and the best two are read. Episodes come from the rule-based generator with
held-out words, or from a file in FOLIO's format: two examples of other stories are relevant, four
from a file of another task (JSONL with `question` and `answer`, as GSM8K has) are not.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import torch

from benchmarks.lexical import LexicalIndex
from benchmarks.options import common_options
from benchmarks.reading import fits, is_right, read, whole_context
from benchmarks.report import Estimate, gap_closed, markdown_table, save_json
from benchmarks.stores import Leaves, new_session
from benchmarks.tallies import Tallies
from benchmarks.ways import rank_mean_pool
from lmos.errors import DataError
from lmos.model.base import BaseModel
from lmos.nodes import Hit
from lmos.search.retriever import RetrievalConfig, Retriever
from lmos.session import Session, load_model
from lmos.training.classification import Episode, make_episode
from lmos.training.words import WordBank
from lmos.tree.keys import query_room

ZERO, FULL, OURS = "0-shot", "full context", "ours, text"
_NUM_IRRELEVANT = 4


def read_lines(path: Path, fields: Sequence[str]) -> list[dict[str, Any]]:
    """The objects of a JSONL file.

    Raises:
        DataError: A line is no object with these fields; the message names it.
    """
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            rows.append({field: row[field] for field in fields})
        except (ValueError, KeyError, TypeError) as error:
            wanted = ", ".join(fields)
            raise DataError(f"{path}:{number}: expected JSON with {wanted}: {error!r}") from error
    return rows


def folio_question(row: dict[str, Any]) -> str:
    """Premises and conclusion of FOLIO, as they are asked."""
    premises = row["premises"]
    text = premises if isinstance(premises, str) else " ".join(premises)
    return f"{text} Is it true, false or uncertain that {row['conclusion']}"


def iter_folio(
    rng: random.Random, rows: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]], count: int
) -> Iterator[Episode]:
    """Episodes whose relevant examples are of other stories than the query."""
    for row in rng.sample(rows, min(count, len(rows))):
        relevant = rng.sample([each for each in rows if each["premises"] != row["premises"]], 2)
        examples = [(f"{folio_question(each)} Answer: {each['label']}", True) for each in relevant]
        for other in rng.sample(others, _NUM_IRRELEVANT):
            final = str(other["answer"]).split("####")[-1].strip()
            examples.append((f"{other['question']} Answer: {final}", False))
        rng.shuffle(examples)
        yield Episode(
            tuple(text for text, _ in examples),
            tuple(number for number, (_, is_relevant) in enumerate(examples) if is_relevant),
            folio_question(row),
            str(row["label"]),
        )


def iter_rules(rng: random.Random, count: int) -> Iterator[Episode]:
    """Episodes of made-up rules, in words that training never draws."""
    words = WordBank(held_out=True)
    for _ in range(count):
        yield make_episode(rng, words, num_irrelevant=_NUM_IRRELEVANT)


class EpisodeStore:
    """The examples of an episode in a store."""

    def __init__(self, model: BaseModel, episode: Episode) -> None:
        self.session: Session = new_session(model)
        self._examples = episode.examples
        self._numbers: dict[int, int] = {}
        for number, example in enumerate(episode.examples):
            source = self.session.add(f"example {number}", example, time=float(number))
            self._numbers[source.source_id] = number
        self._leaves = Leaves(model, self.session.store)

    def rank(self, way: str, query: str, rng: random.Random) -> list[int]:
        """Numbers of the examples, best first."""
        if way == "random":
            return rng.sample(range(len(self._examples)), len(self._examples))
        if way == "BM25":
            return LexicalIndex(self._examples).rank(query, len(self._examples))
        ids = self._leaves.ids
        if way == "mean-pool":
            numbers = rank_mean_pool(self.session, self._leaves, query, len(ids))
            ranked = [ids[number] for number in numbers]
        else:
            config = RetrievalConfig(strategy="flat", level=1, beam=len(ids))
            walk = self.session.retrieve(query, config).walk
            ranked = [node_id for node_id, _ in walk[-1].kept]
        return list(dict.fromkeys(self._numbers[node_id.source_id] for node_id in ranked))

    def texts(self, numbers: Sequence[int]) -> tuple[Hit, ...]:
        """These examples whole, in time order."""
        hits = whole_context(self.session.store)
        return tuple(hit for hit in hits if self._numbers[hit.source.source_id] in numbers)

    def embeddings(self, numbers: Sequence[int]) -> tuple[Hit, ...]:
        """The leaves of these examples as embeddings, in time order."""
        ids = [each for each in self._leaves.ids if self._numbers[each.source_id] in numbers]
        config = RetrievalConfig(level=1, budget=len(ids) + 1)
        retriever = Retriever(self.session.model, config)
        return retriever.open(self.session.store, [(node_id, 0.0) for node_id in ids])


def measure(
    model: BaseModel, episode: Episode, tallies: Tallies, seed: int, rng: random.Random
) -> None:
    """Answer one episode in every way."""
    kept = EpisodeStore(model, episode)
    store, everything = kept.session.store, range(len(episode.examples))
    wanted = set(episode.relevant)

    def count(way: str, hits: Sequence[Hit], found: Sequence[int] | None = None) -> None:
        right = is_right(read(model, store, hits, episode.query), episode.answer)
        tallies.add({"read with": way}, seed, exact_match=right)
        if found is not None:
            tallies.add({"read with": way}, seed, set_found=set(found) == wanted)

    count(ZERO, ())
    if fits(model, store, kept.texts(everything), episode.query):
        count(FULL, kept.texts(everything))
    for way in ("ours", "BM25", "mean-pool", "random"):
        best = kept.rank(way, episode.query, rng)[: len(wanted)]
        count(f"{way}, text", kept.texts(best), best)
        if way == "ours":
            count("ours, embeddings", kept.embeddings(best), best)
    count("oracle retrieval", kept.texts(episode.relevant), episode.relevant)
    count("everything, embeddings", kept.embeddings(everything))


def add_gaps(tallies: Tallies) -> list[dict[str, Any]]:
    """The cells, each with the gap that it closes."""
    zero, full = (tallies.total("exact_match", **{"read with": way}) for way in (ZERO, FULL))
    cells = tallies.cells()
    for cell in cells:
        ours = tallies.total("exact_match", **{"read with": cell["read with"]})
        closed = gap_closed(zero, full, ours)
        if closed is not None and cell["read with"] not in (ZERO, FULL):
            cell["gap_closed"] = asdict(closed)
    return cells


@click.command()
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSONL in FOLIO's format.  [default: made-up rules]",
)
@click.option(
    "--others",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSONL with question and answer, for the irrelevant examples; needed with --data.",
)
@click.option("--episodes", default=300, show_default=True, help="For each seed.")
@common_options
def icl(
    data: Path | None,
    others: Path | None,
    episodes: int,
    model: str,
    seeds: int,
    json_path: Path | None,
) -> None:
    """Six examples, two relevant: 0-shot, full context, ours; the gap closed and the set found."""
    torch.manual_seed(0)
    if (data is None) != (others is None):
        raise click.UsageError("expected --data and --others together, or neither")
    base, tallies = load_model(model), Tallies()
    num_too_long = 0
    for seed in range(seeds):
        rng = random.Random(seed)
        drawn = iter_rules(rng, episodes)
        if data is not None and others is not None:
            rows = read_lines(data, ("premises", "conclusion", "label"))
            drawn = iter_folio(rng, rows, read_lines(others, ("question", "answer")), episodes)
        for episode in drawn:
            if len(base.encode(episode.query).ids) > query_room(base):
                num_too_long += 1
                continue
            measure(base, episode, tallies, seed, rng)
    cells = add_gaps(tallies)
    click.echo(tallies.table())
    gaps = [
        [cell["read with"], str(Estimate(**cell["gap_closed"]))]
        for cell in cells
        if "gap_closed" in cell
    ]
    click.echo()
    if gaps:
        click.echo(markdown_table(["read with", "gap closed"], gaps))
    else:
        click.echo("no gap to close: full context is not better than 0-shot, or does not fit")
    if num_too_long:
        click.echo(f"{num_too_long} queries were left out: longer than {query_room(base)} tokens")
    settings = {
        "data": data.name if data else "made-up rules",
        "seeds": seeds,
        "episodes": episodes,
        "queries_too_long": num_too_long,
    }
    save_json(json_path, "icl", model, settings, cells)
