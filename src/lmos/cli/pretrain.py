"""`lmos pretrain`: a small base model from scratch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lmos.cli.trainings import data_options, run_options, training_bar


@click.command(short_help="Make a small base model.")
@data_options
@run_options
@click.option("--steps", default=1500, show_default=True, metavar="N", help="Optimiser steps.")
def pretrain(
    data: dict[str, Any], out: Path, steps: int, checkpoint_every: int, seed: int, resume: bool
) -> None:
    r"""Make a small base model that can read from its context.

    The model is OUT/model in the end. A run that was interrupted goes on, exactly, when the same
    command is given with --resume.

    \b
    Example:
      lmos pretrain --data texts/ --out runs/base
    """
    from lmos.training.data import DataConfig
    from lmos.training.loop import LoopConfig
    from lmos.training.optimizers import Rates
    from lmos.training.pretrain import PretrainConfig
    from lmos.training.run import pretrain as run

    loop = LoopConfig(
        num_steps=steps,
        rates=Rates(matrix_learning_rate=0.01, embedding_learning_rate=0.015),
        checkpoint_every=checkpoint_every,
        seed=seed,
    )
    with training_bar(steps) as progress:
        run(DataConfig(**data), out, PretrainConfig(), loop, resume=resume, progress=progress)
    click.echo(f"the base model is in {out / 'model'}")
