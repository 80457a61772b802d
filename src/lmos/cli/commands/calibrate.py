"""`lmos calibrate`: teach a model how far to trust its own answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lmos.cli.options import ModelChoice, json_option
from lmos.cli.show.helping import HelpfulCommand
from lmos.cli.show.output import print_json, progress_bar, results
from lmos.cli.show.trainings import data_options
from lmos.settings import CALIBRATION_TEXTS, FALSE_SHARE


@click.command(cls=HelpfulCommand, short_help="Fit how sure a model may be of its answers.")
@click.argument("model")
@data_options
@click.option(
    "--adapter",
    metavar="FOLDER",
    help="Take the adapter from this folder, if it is not beside the model.",
)
@click.option(
    "--trust-remote-code", is_flag=True, help="Run Python code that comes with the model."
)
@click.option(
    "--texts",
    default=CALIBRATION_TEXTS,
    show_default=True,
    metavar="N",
    help="Ask the model about N texts, 24 questions about each.",
)
@click.option(
    "--false-share",
    default=FALSE_SHARE,
    show_default=True,
    metavar="X",
    help="Let at most this share of the questions without an answer pass as answered.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    metavar="N",
    help="Draw texts and questions from this seed; the same one draws the same.",
)
@json_option
def calibrate(
    model: str,
    data: dict[str, Any],
    adapter: str | None,
    trust_remote_code: bool,
    texts: int,
    false_share: float,
    seed: int,
    as_json: bool,
) -> None:
    r"""Fit how sure MODEL, a folder, may be of its answers; do it after training.

    \b
    Example:
      lmos calibrate runs/mine/model --data texts/

    Asks it about texts that training left out, half of the questions without an answer there, and
    writes lmos_calibration.json beside the adapter. Weights stay as they are, and so do stores.
    What is printed was measured on answers that the curve was not fitted to.
    """
    from dataclasses import asdict

    from lmos.cli.opening import load_model
    from lmos.errors import ModelError
    from lmos.model.released import resolve_model
    from lmos.training.calibration import CalibrationConfig
    from lmos.training.calibration import calibrate as run
    from lmos.training.data import DataConfig, read_data
    from lmos.training.unanswerable import HalfAnsweredSampler

    config = CalibrationConfig(num_texts=texts, false_share=false_share, seed=seed)
    folder = Path(adapter or resolve_model(model))
    if not folder.is_dir():
        raise ModelError(f"expected a model or adapter folder to write to, got {folder}")
    base_model = load_model(ModelChoice(model, adapter, trust_remote_code), default=model)
    if not base_model.is_trained:
        raise ModelError(f"expected a trained model, got {model}; train it first: lmos train")
    held_out = read_data(DataConfig(**data), held_out=True)
    sampler = HalfAnsweredSampler(held_out.passages, held_out.questions)
    with progress_bar("asking", texts) as progress:
        calibration, report = run(base_model, sampler, config, progress)
    calibration.save(folder)
    if as_json:
        print_json({"folder": str(folder), "threshold": calibration.threshold, **asdict(report)})
        return
    console = results()
    console.print(
        f"{report.num_questions} answers: AUROC {report.auroc:.3f}, Brier {report.brier:.3f}\n"
        f"taken for found: {report.false_share:.1%} of the questions without an answer, "
        f"{report.found_share:.1%} of the right answers\n"
        f"written to {folder}",
        soft_wrap=True,
    )
