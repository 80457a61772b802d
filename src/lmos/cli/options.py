"""Arguments and options that several commands share, each as a decorator.

Knows names, help and defaults as text; the values are checked by those who use them.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import click

from lmos.cli import parameters
from lmos.cli.moments import moment
from lmos.cli.show.helping import option
from lmos.settings import DTYPES, MAX_NEW_TOKENS, RetrievalConfig

_Command = TypeVar("_Command", bound=Callable[..., None])

# How the values of some settings are written; those of the others follow from their defaults.
_KINDS: dict[str, dict[str, Any]] = {
    "since": {"type": moment},
    "text_mass": {"type": float},
    "until": {"type": moment},
    "where": {"type": parameters.label, "multiple": True},
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
        help="Wait at most this long while another process writes to STORE.",
    )(command)


def model_options(command: Callable[..., None]) -> Callable[..., None]:
    """Which model reads and writes the store; passed on as one `ModelChoice`, `model`."""

    @option(
        "--model",
        group="Model",
        metavar="MODEL",
        help="Use this model: smollm2-135m-instruct, a folder, a GGUF file, or a name on the "
        "Hugging Face Hub.  "
        "[default: the store's own; for a new store smollm2-135m-instruct]",
    )
    @option(
        "--adapter",
        group="Model",
        is_rare=True,
        metavar="FOLDER",
        help="Take the adapter from this folder, if it is not beside the model.",
    )
    @option(
        "--reader",
        group="Model",
        is_rare=True,
        metavar="FOLDER",
        help="Answer with the LoRA weights in this folder, in peft's format; none answers with the "
        "model as it is.  "
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
        help="Compute here, such as on cpu or cuda:1.  [default: a GPU if there is one]",
    )
    @option(
        "--dtype",
        group="Model",
        is_rare=True,
        type=click.Choice(DTYPES),
        default=DTYPES[0],
        show_default=True,
        help="Compute with weights of this type; auto is the one that they were saved in where the "
        "device is fast with it, else float32.",
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
    told = [each for each in fields(RetrievalConfig) if each.metadata["help"]]

    @functools.wraps(command)
    def with_retrieval(*args: Any, **options: Any) -> None:
        retrieval = {each.name: options.pop(each.name) for each in told}
        command(*args, retrieval=retrieval, **options)

    decorated: Callable[..., None] = with_retrieval
    shown = sorted(told, key=lambda each: bool(each.metadata["is_rare"]))
    for each in reversed(shown):
        decorated = _retrieval_option(each)(decorated)
    return decorated


def _retrieval_option(setting: Field[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    told, default = setting.metadata, setting.default
    if told.get("choices"):
        kind: dict[str, Any] = {"type": click.Choice(told["choices"])}
    else:
        kind = {"type": type(default), "metavar": told.get("metavar", "N")}
    kind |= _KINDS.get(setting.name, {})
    if kind.get("multiple"):
        kind["callback"] = _as_labels
    else:
        kind |= {"default": default, "show_default": default is not None}
    flag = f"--{setting.name.replace('_', '-')}"
    return option(
        flag, setting.name, group="Search", is_rare=told["is_rare"], help=told["help"], **kind
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
        default=MAX_NEW_TOKENS,
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
