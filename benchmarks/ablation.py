"""One thing changed at a time: short trainings of the same budget from the same base model.

Every row starts from the base model's weights and a fresh adapter, sees the same contexts in the
same order, and is asked the same questions. Such trainings are far from done: rows tell what is
learned fast, not what is best in the end. Rows that differ in the walk alone share a training.
"""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import click
import torch

from benchmarks.facts import make_trial
from benchmarks.haystack import read_books
from benchmarks.options import data_option
from benchmarks.reading import is_read, is_right
from benchmarks.report import save_json
from benchmarks.stores import new_session
from benchmarks.tallies import Tallies
from benchmarks.variants import GROUPS, Variant, choose_rows
from benchmarks.ways import Reader
from lmos.model.base import BaseModel
from lmos.model.released import DEFAULT_MODEL, resolve_model
from lmos.search.retriever import RetrievalConfig
from lmos.session import make_manifest
from lmos.training.alignment import align_scores
from lmos.training.compression import CompressionObjective
from lmos.training.contexts import ContextSampler
from lmos.training.data import DataConfig, TrainingData, read_data
from lmos.training.families import TRAINING_FAMILIES
from lmos.training.loop import LoopConfig, run_loop
from lmos.training.losses import CompressionConfig
from lmos.training.staying import Staying

LOSSES = CompressionConfig(
    contexts=2, min_windows=4, max_windows=6, questions=12, readings=8, reconstructions=12
)
"""A step that two cores take in about a second."""
WARMUP_STEPS = 10


def train_row(base: str, data: TrainingData, row: Variant, num_steps: int, seed: int) -> BaseModel:
    """A fresh adapter on the base model, trained as the row says."""
    model = BaseModel.from_pretrained(resolve_model(base))
    model.new_adapter(seed=seed, **row.adapter)
    align_scores(model, seed)
    objective = CompressionObjective(
        model,
        make_manifest(model, row.ratios, **row.modes),
        ContextSampler(data.passages, data.questions),
        replace(LOSSES, **row.losses),
        Staying(model, data.passages, seed),
        seed,
    )
    loop = LoopConfig(num_steps, warmup_steps=min(WARMUP_STEPS, num_steps), seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        run_loop(model.as_module(), objective, loop, Path(folder))
    return model


@dataclass(frozen=True)
class Exam:
    """What every row is asked: facts in stretches of books."""

    books: str
    tokens: int
    facts: int
    stores: int

    def ask(self, model: BaseModel, row: Variant, tallies: Tallies, seed: int) -> None:
        """Exact match, and whether the fact was read, ranked first and kept at each level."""
        rng = random.Random(seed)
        config = RetrievalConfig(**row.walk)
        labels = {"changed": row.group, "to": row.name}
        for _ in range(self.stores):
            session = new_session(model, row.ratios, row.scorer(model), **row.modes)
            trial = make_trial(
                session, self.books, TRAINING_FAMILIES, rng, self.tokens, self.facts, self.facts
            )
            reader = Reader(session, config, rng)
            for asked in trial.questions:
                reading = reader.answer("tree", asked)
                assert reading is not None
                right = is_right(reading.answer, asked.answer)
                found = is_read(reading.hits, asked.golds[0])
                kept = reader.are_kept(asked, reading.kept or ())
                tallies.add(labels, seed, gold_read=found, gold_kept=kept, exact_match=right)


@click.command()
@data_option("Folder to train on, as for `lmos train`.")
@click.option(
    "--books",
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help="Haystack to be asked about, not among the data: a .txt file or folder.",
)
@click.option("--base", default=DEFAULT_MODEL, show_default=True, help="Folder or name.")
@click.option(
    "--group",
    "groups",
    multiple=True,
    type=click.Choice(GROUPS),
    help="Only these rows, beside the baseline.  [default: all]",
)
@click.option("--steps", default=50, show_default=True, type=click.IntRange(1))
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(1))
@click.option("--tokens", default=4_000, show_default=True, help="In a haystack.")
@click.option("--facts", "num_facts", default=32, show_default=True, help="In a haystack.")
@click.option("--stores", default=4, show_default=True, help="Haystacks for each row and seed.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Where figures go.")
def ablation(
    data: Path,
    books: Path,
    base: str,
    groups: tuple[str, ...],
    steps: int,
    seeds: int,
    tokens: int,
    num_facts: int,
    stores: int,
    json_path: Path | None,
) -> None:
    """Short trainings, one thing changed at a time, and what each finds and answers."""
    torch.manual_seed(0)
    rows = choose_rows(groups, BaseModel.from_pretrained(resolve_model(base)))
    training, exam = read_data(DataConfig(data)), Exam(read_books(books), tokens, num_facts, stores)
    settings = {"data": data.name, "books": books.name, "steps": steps, "seeds": seeds}
    tallies = Tallies()
    for seed in range(seeds):
        models: dict[str, BaseModel] = {}
        for row in rows:
            if row.training not in models:
                models[row.training] = train_row(base, training, row, steps, seed)
            exam.ask(models[row.training], row, tallies, seed)
            click.echo(f"seed {seed}: {row.group}, {row.name}", err=True)
            save_json(json_path, "ablation", base, settings, tallies.cells())
    click.echo(tallies.table())
