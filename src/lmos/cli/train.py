"""`lmos train`: teach a model to compress and retrieve."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Teach a model to compress and retrieve.")
@click.option("--base", required=True, help="Model folder, or a model of the Hugging Face Hub.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of .txt files; SQuAD and FairytaleQA in it are used too.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the run.")
@click.option(
    "--stage",
    type=click.Choice(["routing", "reading"]),
    default="routing",
    show_default=True,
    help="Learn to find, or, with a model that can, to read what was found.",
)
@click.option("--scoring-layer", type=int, help="Whose keys score nodes; default: 60 % of depth.")
@click.option("--steps", default=400, show_default=True, help="Optimiser steps, in all.")
@click.option("--lora-rank", type=int, help="Train LoRA weights; the default trains everything.")
@click.option("--exclude", multiple=True, help="Glob of file names to leave out; can be repeated.")
@click.option("--skip-folder", multiple=True, help="Folder name to leave out; can be repeated.")
@click.option("--seed", default=0, show_default=True)
def train(
    base: str,
    data: Path,
    out: Path,
    stage: str,
    scoring_layer: int | None,
    steps: int,
    lora_rank: int | None,
    exclude: tuple[str, ...],
    skip_folder: tuple[str, ...],
    seed: int,
) -> None:
    r"""Teach a model to compress, retrieve and answer.

    Run it again with the same folder to resume. The model is OUT/model in the end; use it with
    `lmos new STORE --model OUT/model`.

    \b
    Example:
      lmos train --base runs/base/model --data texts/ --out runs/small
    """
    from lmos.training.loop import LoopConfig
    from lmos.training.run import STAGES, DataConfig
    from lmos.training.run import train as run

    loop = LoopConfig(
        num_steps=steps,
        learning_rate=1.5e-3,
        embedding_learning_rate=0.008,
        matrix_learning_rate=0.001,
        checkpoint_every=50,
        seed=seed,
    )
    run(
        DataConfig(data, exclude, skip_folder),
        base,
        out,
        [STAGES[stage]],
        loop,
        lora_rank=lora_rank,
        scoring_layer=scoring_layer,
    )
    click.echo(f"the trained model is in {out / 'model'}")
