"""`lmos pretrain`: a small base model from scratch."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Make a small base model.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of .txt files; SQuAD and FairytaleQA in it are used too.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the run.")
@click.option("--steps", default=800, show_default=True, help="Optimiser steps, in all.")
@click.option("--exclude", multiple=True, help="Glob of file names to leave out; can be repeated.")
@click.option("--skip-folder", multiple=True, help="Folder name to leave out; can be repeated.")
@click.option("--seed", default=0, show_default=True)
def pretrain(
    data: Path,
    out: Path,
    steps: int,
    exclude: tuple[str, ...],
    skip_folder: tuple[str, ...],
    seed: int,
) -> None:
    r"""Make a small base model that can read from its context.

    Run it again with the same folder to resume. The model is OUT/model in the end.

    \b
    Example:
      lmos pretrain --data texts/ --out runs/base
    """
    from lmos.training.loop import LoopConfig
    from lmos.training.pretrain import PretrainConfig
    from lmos.training.run import DataConfig
    from lmos.training.run import pretrain as run

    loop = LoopConfig(num_steps=steps, matrix_learning_rate=0.01, checkpoint_every=100, seed=seed)
    run(DataConfig(data, exclude, skip_folder), out, PretrainConfig(), loop)
    click.echo(f"the base model is in {out / 'model'}")
