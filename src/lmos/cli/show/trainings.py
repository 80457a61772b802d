"""What the commands that train share: options of the loop, and a bar while it runs.

Knows names, help and defaults; the values are checked by those who use them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lmos.cli.show.helping import option
from lmos.cli.show.output import note, notes
from lmos.settings import CHECKPOINT_EVERY, Rates

_Command = TypeVar("_Command", bound=Callable[..., None])
_NOTE_EVERY = 10


def data_options(command: Callable[..., None]) -> Callable[..., None]:
    """Where the data is; passed on as one dictionary, `data`, by the names of `DataConfig`."""

    @click.option(
        "--data",
        type=click.Path(path_type=Path),
        required=True,
        metavar="FOLDER",
        help="Read texts (.txt, .md) and questions (.jsonl, SQuAD, FairytaleQA) in this folder.",
    )
    @option(
        "--exclude",
        is_rare=True,
        multiple=True,
        metavar="GLOB",
        help="Leave out files with names like this; repeatable.",
    )
    @option(
        "--skip-folder",
        is_rare=True,
        multiple=True,
        metavar="NAME",
        help="Leave out folders of this name; repeatable.",
    )
    @functools.wraps(command)
    def with_data(
        *args: Any, data: Path, exclude: tuple[str, ...], skip_folder: tuple[str, ...], **rest: Any
    ) -> None:
        folders = {"folder": data, "exclude": exclude, "skip_folders": skip_folder}
        command(*args, data=folders, **rest)

    return with_data


def run_options(command: _Command) -> _Command:
    """The run's folder, its seed, and whether it goes on."""
    for decorate in (
        click.option("--resume", is_flag=True, help="Go on with the run that the folder holds."),
        click.option(
            "--seed",
            default=0,
            show_default=True,
            metavar="N",
            help="Draw the data from this seed; the same one draws the same.",
        ),
        option(
            "--checkpoint-every",
            is_rare=True,
            default=CHECKPOINT_EVERY,
            show_default=True,
            metavar="N",
            help="Write a checkpoint every N steps.",
        ),
        click.option(
            "--out",
            type=click.Path(path_type=Path),
            required=True,
            metavar="FOLDER",
            help="Write checkpoint, metrics and curves to this new folder, the model to OUT/model.",
        ),
    ):
        command = decorate(command)
    return command


def rate_options(command: _Command) -> _Command:
    """Peak learning rates, by the names of `Rates`."""
    for each in reversed([each for each in fields(Rates) if each.metadata["help"]]):
        command = option(
            f"--{each.name.replace('_', '-')}",
            is_rare=True,
            default=each.default,
            show_default=True,
            metavar="X",
            help=each.metadata["help"],
        )(command)
    return command


@contextmanager
def training_bar(num_steps: int) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """Call what it yields after each step: a bar on a terminal, else a line every ten steps."""
    console = notes()
    if not console.is_terminal:
        yield lambda step, metrics: _note_step(step, num_steps, metrics)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("training", total=num_steps)
        yield lambda step, metrics: bar.update(
            task, completed=step, description=f"loss {metrics['loss']:.3f}"
        )


def _note_step(step: int, num_steps: int, metrics: Mapping[str, float]) -> None:
    if step % _NOTE_EVERY == 0 or step == num_steps:
        note(f"step {step} of {num_steps}: loss {metrics['loss']:.3f}")
