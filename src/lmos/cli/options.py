"""Arguments and options that several commands share, each as a decorator.

Knows names, help and defaults as text; the values are checked by those who use them.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from lmos.cli import parameters
from lmos.cli.moments import moment
from lmos.cli.show.helping import option

_Command = TypeVar("_Command", bound=Callable[..., None])

# Those of RetrievalConfig, which only the commands that retrieve import.
RETRIEVAL_DEFAULTS: dict[str, Any] = {
    "strategy": "hybrid",
    "scorer": "cached",
    "budget": 384,
    "level": 0,
    "max_texts": 5,
    "text_mass": 1.0,
    "max_embeddings": 0,
    "top_c": 16,
    "beam": 1024,
    "lexical_weight": 1.0,
    "since": None,
    "until": None,
    "where": {},
}


@dataclass(frozen=True)
class ModelChoice:
    """The model that the user named, if any.

    Attributes:
        name: Of a shipped model, a folder or a name on the Hub; `None` for the store's own.
        adapter: Folder of the adapter; `None` for the store's own, or that in the model's folder.
        trust_remote_code: Whether Python code that comes with the model may run.
        device: Where it computes; `auto` is a GPU if there is one.
        dtype: Of its weights.
        reader: Folder of the weights that answer; `None` for those that ship for the model.
    """

    name: str | None
    adapter: str | None
    trust_remote_code: bool
    device: str = "auto"
    dtype: str = "auto"
    reader: str | None = None

    @property
    def loading(self) -> dict[str, Any]:
        """How to load it, by the names of `lmos.load_model`."""
        return {
            "trust_remote_code": self.trust_remote_code,
            "device": self.device,
            "dtype": self.dtype,
            "reader": self.reader,
        }


def store_argument(command: _Command) -> _Command:
    """The path of the store."""
    return click.argument("store", type=click.Path(path_type=Path))(command)


def json_option(command: _Command) -> _Command:
    """Whether to print for machines."""
    text = "Print JSON, for machines."
    return option("--json", "as_json", group="Output", is_flag=True, help=text)(command)


def question_argument(command: Callable[..., None]) -> Callable[..., None]:
    """The question, in quotes or as separate words; passed on as one text, `question`."""

    @click.argument("words", nargs=-1, required=True, metavar="QUESTION")
    @functools.wraps(command)
    def with_question(*args: Any, words: tuple[str, ...], **rest: Any) -> None:
        # Where the locale is not UTF-8, Python hands over the bytes of a terminal that is.
        question = os.fsencode(" ".join(words)).decode(errors="surrogateescape")
        command(*args, question=question, **rest)

    return with_question


def explain_option(command: _Command) -> _Command:
    """Whether to show the walk."""
    text = "Show the walk down the tree, level by level."
    return option("--explain", group="Output", is_flag=True, help=text)(command)


def wait_option(command: _Command) -> _Command:
    """How many seconds to wait for another process that writes to the store."""
    return option(
        "--wait",
        type=parameters.duration,
        default="30",
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for another writer.",
    )(command)


def model_options(command: Callable[..., None]) -> Callable[..., None]:
    """Which model reads and writes the store; passed on as one `ModelChoice`, `model`."""

    @option(
        "--model",
        group="Model",
        metavar="MODEL",
        help="smollm2-135m-instruct, lmos-small, a folder, a GGUF file, or a name on the Hugging "
        "Face Hub.  [default: the store's own; for a new store the first]",
    )
    @option(
        "--adapter",
        group="Model",
        is_rare=True,
        metavar="FOLDER",
        help="The folder of the adapter, if it is not beside the model.",
    )
    @option(
        "--reader",
        group="Model",
        is_rare=True,
        metavar="FOLDER",
        help="LoRA weights that answer, in peft's format; none answers with the model as it is.  "
        "[default: those that ship for the model]",
    )
    @option(
        "--trust-remote-code",
        group="Model",
        is_rare=True,
        is_flag=True,
        help="Run Python code that comes with the model.",
    )
    @option(
        "--device",
        group="Model",
        default="auto",
        metavar="NAME",
        help="Where to compute, such as cpu or cuda:1.  [default: a GPU if there is one]",
    )
    @option(
        "--dtype",
        group="Model",
        is_rare=True,
        type=click.Choice(["float32", "bfloat16", "auto"]),
        default="auto",
        show_default=True,
        help="The type of the weights while the model computes; auto is the one they were "
        "saved in where the device is fast with it, else float32.",
    )
    @functools.wraps(command)
    def with_model(
        *args: Any,
        model: str | None,
        adapter: str | None,
        reader: str | None,
        trust_remote_code: bool,
        device: str,
        dtype: str,
        **options: Any,
    ) -> None:
        choice = ModelChoice(model, adapter, trust_remote_code, device, dtype, reader)
        command(*args, model=choice, **options)

    return with_model


def retrieval_options(command: Callable[..., None]) -> Callable[..., None]:
    """How to walk; passed on as one dictionary, `retrieval`, by the names of `RetrievalConfig`."""

    @_retrieval_option(
        "since",
        "Ask only sources of this time or later: 2024-05, 2024-05-17T08:30.",
        is_rare=False,
        type=moment,
        metavar="TIME",
    )
    @_retrieval_option(
        "until",
        "Ask only sources before this time; 2024-05 is the first of May.",
        is_rare=False,
        type=moment,
        metavar="TIME",
    )
    @_retrieval_option(
        "where",
        "Ask only sources with this label; repeatable.",
        is_rare=False,
        type=parameters.label,
        metavar="KEY=VALUE",
        multiple=True,
        callback=_as_labels,
    )
    @_retrieval_option(
        "strategy",
        "tree walks from the roots down; flat scores every node of the wanted level; index scores "
        "those that an index over that level finds (pip install 'lmos[ann]'); hybrid walks, and "
        "goes where words of the question stand too.",
        type=click.Choice(["tree", "flat", "index", "hybrid"]),
    )
    @_retrieval_option(
        "scorer",
        "cached compares stored attention keys; paper runs the model over the candidates.",
        type=click.Choice(["cached", "paper"]),
    )
    @_retrieval_option("budget", "The passages take at most N positions in the model.")
    @_retrieval_option(
        "level", "0 opens the best passages to their text; 1 and above stop at embeddings."
    )
    @_retrieval_option("max_texts", "At most N passages are read as text.")
    @_retrieval_option(
        "text_mass",
        "Passages are read as text, best first, until their weights reach this share of all.",
        type=float,
        metavar="SHARE",
    )
    @_retrieval_option("max_embeddings", "At most N passages beside them stay embeddings.")
    @_retrieval_option("top_c", "Keep N nodes at each level for each retrieval token.")
    @_retrieval_option("beam", "Keep N nodes at each level in all, if that is more.")
    @_retrieval_option(
        "lexical_weight",
        "With hybrid, how much shared words count beside the attention; 0 is attention alone.",
        type=float,
        metavar="X",
    )
    @functools.wraps(command)
    def with_retrieval(*args: Any, **options: Any) -> None:
        retrieval = {name: options.pop(name) for name in RETRIEVAL_DEFAULTS}
        command(*args, retrieval=retrieval, **options)

    return with_retrieval


def _retrieval_option(
    name: str, text: str, *, is_rare: bool = True, **kind: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    kind = kind or {"type": int, "metavar": "N"}
    default = RETRIEVAL_DEFAULTS[name]
    flag = f"--{name.replace('_', '-')}"
    return option(
        flag,
        name,
        group="Search",
        is_rare=is_rare,
        default=default,
        show_default=default != {},
        help=text,
        **kind,
    )


def _as_labels(
    context: click.Context, option: click.Parameter, pairs: tuple[tuple[str, str], ...]
) -> dict[str, str]:
    labels: dict[str, str] = {}
    for key, value in pairs:
        if labels.setdefault(key, value) != value:
            raise click.BadParameter(
                f"{key}: expected one value, got {labels[key]!r} and {value!r}", context, option
            )
    return labels


def answer_options(command: Callable[..., None]) -> Callable[..., None]:
    """How to answer; passed on as one dictionary, `answering`, by the names of `Session.ask`."""

    @option(
        "--max-new-tokens",
        group="Answer",
        type=click.IntRange(min=1),
        default=128,
        show_default=True,
        metavar="N",
        help="The answer has at most N tokens.",
    )
    @option(
        "--temperature",
        group="Answer",
        is_rare=True,
        type=parameters.temperature,
        default="0",
        show_default=True,
        metavar="X",
        help="0 always gives the likeliest answer; the larger, the more varied.",
    )
    @option(
        "--seed",
        group="Answer",
        is_rare=True,
        type=parameters.seed,
        default="0",
        show_default=True,
        metavar="N",
        help="With a temperature, the same seed gives the same answer.",
    )
    @functools.wraps(command)
    def with_answering(
        *args: Any, max_new_tokens: int, temperature: float, seed: int, **options: Any
    ) -> None:
        answering = {"max_new_tokens": max_new_tokens, "temperature": temperature, "seed": seed}
        command(*args, answering=answering, **options)

    return with_answering
