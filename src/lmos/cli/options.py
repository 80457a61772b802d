"""Arguments and options that several commands share, each as a decorator.

Knows names, help and defaults as text; the values are checked by those who use them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from lmos.cli import parameters

_Command = TypeVar("_Command", bound=Callable[..., None])

# Those of RetrievalConfig, which only the commands that retrieve import.
RETRIEVAL_DEFAULTS: dict[str, Any] = {
    "strategy": "tree",
    "scorer": "cached",
    "budget": 384,
    "level": 0,
    "max_texts": 16,
    "text_mass": 0.3,
    "hops": 1,
    "max_embeddings": 0,
    "top_c": 16,
    "beam": 1024,
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
    """

    name: str | None
    adapter: str | None
    trust_remote_code: bool
    device: str = "auto"
    dtype: str = "float32"

    @property
    def loading(self) -> dict[str, Any]:
        """How to load it, by the names of `lmos.load_model`."""
        return {
            "trust_remote_code": self.trust_remote_code,
            "device": self.device,
            "dtype": self.dtype,
        }


def store_argument(command: _Command) -> _Command:
    """The path of the store."""
    return click.argument("store", type=click.Path(path_type=Path))(command)


def json_option(command: _Command) -> _Command:
    """Whether to print for machines."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")(
        command
    )


def explain_option(command: _Command) -> _Command:
    """Whether to show the walk."""
    text = "Show the walk down the tree, level by level."
    return click.option("--explain", is_flag=True, help=text)(command)


def model_options(command: Callable[..., None]) -> Callable[..., None]:
    """Which model reads and writes the store; passed on as one `ModelChoice`, `model`."""

    @click.option(
        "--model",
        metavar="MODEL",
        help="A shipped model, a folder, or a name on the Hugging Face Hub.  "
        "[default: the store's own; lmos-small for a new store]",
    )
    @click.option("--adapter", metavar="FOLDER", help="Adapter, if it is not beside the model.")
    @click.option("--trust-remote-code", is_flag=True, help="Run code that comes with the model.")
    @click.option(
        "--device",
        default="auto",
        show_default=True,
        help="Where to compute: cpu, cuda, cuda:1, ...; auto is a GPU if there is one.",
    )
    @click.option(
        "--dtype",
        type=click.Choice(["float32", "bfloat16", "auto"]),
        default="float32",
        show_default=True,
        help="Of the model's weights while it computes; auto is the one they were saved in.",
    )
    @functools.wraps(command)
    def with_model(
        *args: Any,
        model: str | None,
        adapter: str | None,
        trust_remote_code: bool,
        device: str,
        dtype: str,
        **options: Any,
    ) -> None:
        choice = ModelChoice(model, adapter, trust_remote_code, device, dtype)
        command(*args, model=choice, **options)

    return with_model


def retrieval_options(command: Callable[..., None]) -> Callable[..., None]:
    """How to walk; passed on as one dictionary, `retrieval`, by the names of `RetrievalConfig`."""

    @_retrieval_option(
        "strategy",
        "tree: from the roots down. flat: score every node of the wanted level. index: those that "
        "an index over that level finds (pip install 'lmos[ann]').",
        type=click.Choice(["tree", "flat", "index"]),
    )
    @_retrieval_option(
        "scorer",
        "cached: stored attention keys. paper: a forward pass over the candidates.",
        type=click.Choice(["cached", "paper"]),
    )
    @_retrieval_option("budget", "Most positions that the passages may take in the model.")
    @_retrieval_option(
        "level", "0 opens the best passages to their text, 1 and above stop at embeddings."
    )
    @_retrieval_option("max_texts", "Most passages that are read as text.")
    @_retrieval_option(
        "text_mass",
        "Passages are read as text, best first, until their weights reach this share of all.",
        type=float,
        metavar="SHARE",
    )
    @_retrieval_option("max_embeddings", "Most passages beside them that stay embeddings.")
    @_retrieval_option(
        "hops", "Searches in turn; 2 also finds what the best passages of the first lead to."
    )
    @_retrieval_option("top_c", "Nodes kept at each level for each retrieval token.")
    @_retrieval_option("beam", "Nodes kept at each level in all, if that is more.")
    @_retrieval_option(
        "since",
        "Ask only sources of this time and later (ISO 8601, or seconds since 1970).",
        type=parameters.moment,
        metavar="TIME",
    )
    @_retrieval_option(
        "until", "Ask only sources before this time.", type=parameters.moment, metavar="TIME"
    )
    @_retrieval_option(
        "where",
        "Ask only sources with this label; repeatable, all must be there.",
        type=parameters.label,
        metavar="KEY=VALUE",
        multiple=True,
        callback=_as_labels,
    )
    @functools.wraps(command)
    def with_retrieval(*args: Any, **options: Any) -> None:
        retrieval = {name: options.pop(name) for name in RETRIEVAL_DEFAULTS}
        command(*args, retrieval=retrieval, **options)

    return with_retrieval


def _retrieval_option(
    name: str, text: str, **kind: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    kind = kind or {"type": int, "metavar": "N"}
    default = RETRIEVAL_DEFAULTS[name]
    flag = f"--{name.replace('_', '-')}"
    return click.option(flag, name, default=default, show_default=True, help=text, **kind)


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

    @click.option(
        "--max-new-tokens",
        type=click.IntRange(min=1),
        default=32,
        show_default=True,
        metavar="N",
        help="Longest answer, in tokens.",
    )
    @click.option(
        "--temperature",
        type=click.FloatRange(min=0),
        default=0.0,
        show_default=True,
        metavar="X",
        help="0 says what is likeliest; more says other things too.",
    )
    @click.option(
        "--seed", default=0, show_default=True, metavar="N", help="Of answers with a temperature."
    )
    @functools.wraps(command)
    def with_answering(
        *args: Any, max_new_tokens: int, temperature: float, seed: int, **options: Any
    ) -> None:
        answering = {"max_new_tokens": max_new_tokens, "temperature": temperature, "seed": seed}
        command(*args, answering=answering, **options)

    return with_answering
