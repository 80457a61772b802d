"""`lmos pretrain`: a small base model, from scratch or from one that is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lmos.cli.show.helping import HelpfulCommand
from lmos.cli.show.trainings import data_options, rate_options, run_options, training_bar


@click.command(cls=HelpfulCommand, short_help="Make a small base model.")
@data_options
@run_options
@click.option("--base", metavar="MODEL", help="Go on with this model, not from scratch.")
@click.option("--widen", is_flag=True, help="Give that model another head in each layer first.")
@click.option(
    "--mixture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A JSON file with the shares and sizes of tasks that differ from the default.",
)
@click.option("--steps", default=1500, show_default=True, metavar="N", help="Number of steps.")
@rate_options(learning_rate=3e-3, embedding_learning_rate=0.015, matrix_learning_rate=0.01)
def pretrain(
    data: dict[str, Any],
    out: Path,
    base: str | None,
    widen: bool,
    mixture: Path | None,
    steps: int,
    checkpoint_every: int,
    seed: int,
    resume: bool,
    **rates: float,
) -> None:
    r"""Make a small base model that can read from its context.

    The model is OUT/model in the end. A run that was interrupted goes on, exactly, when the same
    command is given with --resume.

    \b
    Example:
      lmos pretrain --data texts/ --out runs/base
      lmos pretrain --base runs/base/model --data texts/ --out runs/b --steps 900
    """
    if widen and base is None:
        raise click.UsageError("--widen: expected --base MODEL with it, the model to widen")

    from lmos.training.config import PretrainConfig, read_mixture
    from lmos.training.data import DataConfig
    from lmos.training.loop import LoopConfig
    from lmos.training.optimizers import Rates
    from lmos.training.run import pretrain as run

    loop = LoopConfig(
        num_steps=steps,
        rates=Rates(**rates),
        checkpoint_every=checkpoint_every,
        seed=seed,
    )
    with training_bar(steps) as progress:
        run(
            DataConfig(**data),
            out,
            PretrainConfig() if mixture is None else read_mixture(mixture),
            loop,
            base=base,
            is_widened=widen,
            resume=resume,
            progress=progress,
        )
    click.echo(f"the base model is in {out / 'model'}")
