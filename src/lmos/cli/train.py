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
@click.option("--steps", default=850, show_default=True, help="Optimiser steps, in all.")
@click.option("--lora-rank", type=int, help="Train LoRA weights; the default trains everything.")
@click.option("--exclude", multiple=True, help="Glob of file names to leave out; can be repeated.")
@click.option("--skip-folder", multiple=True, help="Folder name to leave out; can be repeated.")
@click.option("--seed", default=0, show_default=True)
def train(
    base: str,
    data: Path,
    out: Path,
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
    from lmos.training.objective import CompressionConfig
    from lmos.training.run import DataConfig, routing_first
    from lmos.training.run import train as run

    loop = LoopConfig(
        num_steps=steps,
        embedding_learning_rate=0.02,
        matrix_learning_rate=0.006,
        checkpoint_every=100,
        seed=seed,
    )
    stages = routing_first(CompressionConfig())
    run(DataConfig(data, exclude, skip_folder), base, out, stages, loop, lora_rank=lora_rank)
    click.echo(f"the trained model is in {out / 'model'}")
