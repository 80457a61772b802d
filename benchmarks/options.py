"""Options that benchmarks share, each as a decorator, and the result file they end in.

Knows names, help and defaults; knows no task.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from benchmarks.ways import WAYS
from lmos.model.released import DEFAULT_MODEL
from lmos.search.retriever import RetrievalConfig
from lmos.settings import ANSWER_MASS

Command = Callable[..., None]


def data_option(help_text: str) -> Callable[[Command], Command]:
    """The data, in the format that `help_text` says."""
    kind = click.Path(exists=True, path_type=Path)
    return click.option("--data", type=kind, required=True, help=help_text)


def common_options(command: Command) -> Command:
    """Model, seeds and where the figures go: `model`, `seeds`, `json_path`."""
    for option in (
        click.option(
            "--json", "json_path", type=click.Path(path_type=Path), help="Where to write figures."
        ),
        click.option("--seeds", default=3, show_default=True, type=click.IntRange(1)),
        click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Folder or name."),
    ):
        command = option(command)
    return command


def ways_options(command: Command) -> Command:
    """Which ways to retrieve are measured: `ways`, and `dense`, the name of a dense model."""
    for option in (
        click.option("--dense", help="Model for sentence-transformers: a folder or a name."),
        click.option(
            "--way",
            "ways",
            multiple=True,
            type=click.Choice(WAYS),
            help="Measure this way only; may be given several times.  [default: all]",
        ),
    ):
        command = option(command)
    return command


def retrieval_options(**defaults: Any) -> Callable[[Command], Command]:
    """How to walk and how much to read, passed on as `config`, a `RetrievalConfig`."""
    names = ("beam", "budget", "margin", "max_texts", "text_mass", "max_embeddings")
    start = RetrievalConfig(**{"text_mass": ANSWER_MASS} | defaults)

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def with_config(*args: Any, **options: Any) -> None:
            config = RetrievalConfig(**{name: options.pop(name) for name in names})
            command(*args, config=config, **options)

        wrapped: Command = with_config
        for name in reversed(names):
            flag = f"--{name.replace('_', '-')}"
            wrapped = click.option(flag, default=getattr(start, name), show_default=True)(wrapped)
        return wrapped

    return decorate
