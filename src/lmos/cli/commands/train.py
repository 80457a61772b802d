"""`lmos train`: teach a model to compress and retrieve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lmos.cli.show.helping import HelpfulCommand, option
from lmos.cli.show.trainings import data_options, rate_options, run_options, training_bar
from lmos.settings import EXAMPLE_SHARE, PASSAGE_SHARE, Rates


@click.command(cls=HelpfulCommand, short_help="Teach a model to compress and retrieve.")
@click.option(
    "--base",
    required=True,
    metavar="MODEL",
    help="Train this model: smollm2-135m-instruct, a folder, a GGUF file, or a name on the Hugging "
    "Face Hub.",
)
@data_options
@run_options
@click.option(
    "--lora-rank",
    type=int,
    metavar="N",
    help="Train LoRA weights of this rank beside the frozen model.",
)
@click.option(
    "--full",
    is_flag=True,
    help="Train all weights. That is the default for models of at most 100 million parameters; "
    "larger ones get --lora-rank 16.",
)
@click.option(
    "--stages",
    default="warm-up,routing,reading",
    show_default=True,
    metavar="NAMES|FILE",
    help="Go through these stages, or through those of your own in a JSON file.",
)
@click.option(
    "--steps",
    default=400,
    show_default=True,
    metavar="N",
    help="Take N steps in all stages together.",
)
@option(
    "--batches",
    is_rare=True,
    default=1,
    show_default=True,
    metavar="N",
    help="Average N batches in a step; several processes share them.",
)
@option(
    "--passage-share",
    is_rare=True,
    default=PASSAGE_SHARE,
    show_default=True,
    metavar="X",
    help="Make this share of the contexts of real passages with questions.",
)
@option(
    "--example-share",
    is_rare=True,
    default=EXAMPLE_SHARE,
    show_default=True,
    metavar="X",
    help="Make this share of the contexts of the examples in .jsonl files, if there are any.",
)
@option(
    "--scoring-layer",
    is_rare=True,
    type=int,
    metavar="N",
    help="Score nodes by the attention keys of this layer, counted from 0.  "
    "[default: by heads over token embeddings]",
)
@option(
    "--gradient-checkpointing",
    is_rare=True,
    is_flag=True,
    help="Run layers again in the backward pass, to save memory.",
)
@click.option(
    "--device",
    metavar="NAME",
    help="Train here, such as on cpu or cuda:1.  [default: a GPU if there is one]",
)
@rate_options
def train(
    base: str,
    data: dict[str, Any],
    out: Path,
    lora_rank: int | None,
    full: bool,
    stages: str,
    steps: int,
    batches: int,
    passage_share: float,
    example_share: float,
    scoring_layer: int | None,
    gradient_checkpointing: bool,
    device: str | None,
    checkpoint_every: int,
    seed: int,
    resume: bool,
    **rates: float,
) -> None:
    r"""Teach a model to compress, retrieve and answer.

    The data folder holds text, from which tasks are cut, and, if you have them, examples of your
    own in .jsonl files, one a line, where gold says which passages the answer needs:

    \b
      {"context": ["a", "b"], "question": "Who?", "answer": "Eva", "gold": [0]}

    The trained model is OUT/model; use it with `lmos new STORE --model OUT/model`. A run that was
    interrupted goes on, exactly, when the same command is given with --resume. Several processes
    share the work under `accelerate launch -m lmos.cli train ...`.

    \b
    Example:
      lmos train --base ./my-model --data texts/ --out runs/mine
      lmos train --base ./my-model --data texts/ --out runs/mine --resume
    """
    if full and lora_rank is not None:
        raise click.UsageError("expected --full or --lora-rank, got both")

    from lmos.training.data import DataConfig
    from lmos.training.loop import LoopConfig
    from lmos.training.run import TrainConfig
    from lmos.training.run import train as run
    from lmos.training.stages import read_stages

    loop = LoopConfig(
        num_steps=steps,
        rates=Rates(**rates),
        batches=batches,
        checkpoint_every=checkpoint_every,
        seed=seed,
    )
    config = TrainConfig(
        base=base,
        data=DataConfig(**data),
        stages=read_stages(stages),
        loop=loop,
        lora_rank=lora_rank,
        full=full,
        passage_share=passage_share,
        example_share=example_share,
        scoring_layer=scoring_layer,
        gradient_checkpointing=gradient_checkpointing,
    )
    with training_bar(steps) as progress:
        run(config, out, resume=resume, device=device, progress=progress)
    click.echo(f"the trained model is in {out / 'model'}; next, fit its confidence: lmos calibrate")
