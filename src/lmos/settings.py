"""Settings: every choice by its name, every default and every limit, each in one place.

The command line, the benchmarks and the classes that work with a setting take it from here. Knows
names, numbers and what people are told of them; imports no torch, so that `lmos --help` answers at
once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from lmos.errors import ConfigError
from lmos.nodes import Source

# Of a store, kept in its manifest.
DEFAULT_RATIOS = (32, 4, 4)
DEFAULT_WINDOW = 256
SEGMENTERS = ("unit", "sentence", "fixed", "surprise", "attention")
MASK_MODES = ("window", "strict")
OUTPUT_MODES = ("residual", "mean", "paper")

# Of a model while it computes.
ANSWER_MASS = 0.9999
"""See `RetrievalConfig.text_mass`."""
DTYPES = ("auto", "float32", "bfloat16")

# Of a search and an answer.
STRATEGIES = ("hybrid", "tree", "flat", "index")
MAX_NEW_TOKENS = 128
WHEN = ("always", "never", "uncertain")
"""When a turn of a talk is looked up in the store; else the model answers in its own words."""

# Of a training and a calibration.
PASSAGE_SHARE = 0.4
EXAMPLE_SHARE = 0.5
CHECKPOINT_EVERY = 50
CALIBRATION_TEXTS = 40
FALSE_SHARE = 0.04


def require_choice(name: str, value: str, *choices: str) -> None:
    """Check that a value is one of those that there are.

    Raises:
        ConfigError: It is none; the message names them.
    """
    if value not in choices:
        raise ConfigError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")


@dataclass(frozen=True)
class Compression:
    """How a window becomes embeddings; anything but the default is for research, see `lmos.paper`.

    Attributes:
        mask_mode: `window`: an item sees what stands before it in its window. `strict`: what stands
            before it in its span.
        output_mode: `residual`: an embedding is made of the means of its span and the compression
            token's state. `mean`: of the means alone. `paper`: it is the token's state alone.
    """

    mask_mode: str = MASK_MODES[0]
    output_mode: str = OUTPUT_MODES[0]

    def __post_init__(self) -> None:
        require_choice("mask", self.mask_mode, *MASK_MODES)
        require_choice("output", self.output_mode, *OUTPUT_MODES)


DEFAULT_COMPRESSION = Compression()


def _setting(
    default: Any, text: str = "", *, least: float | None = None, is_rare: bool = True, **shown: Any
) -> Any:
    """A field with its limit and what an option of the command line says of it.

    Args:
        default: Its value.
        text: The help of its option; a setting without one is for Python alone.
        least: Its smallest value.
        is_rare: Whether `--help-all` alone lists the option.
        **shown: `choices` or `metavar` of the option.
    """
    told = {"least": least, "help": text, "is_rare": is_rare, **shown}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=told)
    return field(default=default, metadata=told)


@dataclass(frozen=True)
class RetrievalConfig:
    """How to walk and how much to return.

    Attributes:
        strategy: `tree`: from the roots down. `flat`: every node of the wanted level is scored.
            `index`: those that an index over the keys of the wanted level finds; needs faiss.
            `hybrid`: from the roots down, and to leaves that share words with the question.
        top_c: Nodes kept at each level for each retrieval token.
        beam: Nodes kept at each level in all, if that is more.
        max_found: Of the wanted level the beam keeps at most so many: far more than are read.
        lexical_weight: Of shared words beside the attention, with `hybrid`; 0 is attention alone.
        level: Granularity: 0 opens the best nodes down to their text; 1 and above stop at
            embeddings of that level.
        budget: Positions that the result takes at most: tokens of text plus embeddings.
        max_texts: At most so many nodes are opened to text.
        text_mass: Nodes are opened to text, best first, until their weights, normalised over the
            kept, reach this share of all: one where one stands out, many where many matter alike.
            `None` is 1, so as many as are wanted, and `ANSWER_MASS` when a question is answered: a
            small model reads better what is not among much else.
        max_embeddings: At most so many of the others stay embeddings, when `level` is 0.
        margin: Neighbours on each side into which the sentences of an opened node are followed, so
            that one that was cut is read whole, and the reply to what somebody asks in a talk with
            it. With 0 only its words are whole.
        since: Earliest time of a source, in seconds since the epoch; `None` for any.
        until: Sources of this time and later are left out. One without a time is left out by
            either limit.
        where: Labels that a source must have, with these values.

    Raises:
        ConfigError: A value is out of range; the message says what was expected.
    """

    strategy: str = _setting(
        "hybrid",
        "tree walks from the roots down; flat scores every node of the wanted level; index scores "
        "those that an index over that level finds (pip install 'lmos[ann]'); hybrid walks, and "
        "goes where words of the question stand too.",
        choices=STRATEGIES,
    )
    top_c: int = _setting(16, "Keep N nodes at each level for each retrieval token.", least=1)
    beam: int = _setting(
        1024, "Keep N nodes at each level in all, if that is more than --top-c keeps.", least=0
    )
    max_found: int = _setting(256, least=0)
    lexical_weight: float = _setting(
        1.0,
        "With hybrid, count shared words so much beside the attention; 0 is attention alone.",
        least=0,
        metavar="X",
    )
    level: int = _setting(
        0,
        "Stop at this level: 0 opens the best passages to their text, 1 and above are embeddings.",
        least=0,
    )
    budget: int = _setting(384, "The passages take at most N positions in the model.", least=1)
    max_texts: int = _setting(5, "At most N passages are read as text.", least=0)
    text_mass: float | None = _setting(
        None,
        "Passages are read as text, best first, until their weights reach this share of all: 1 "
        f"for all, and for answers {ANSWER_MASS} unless said otherwise.",
        metavar="SHARE",
    )
    max_embeddings: int = _setting(0, "At most N more passages are read as embeddings.", least=0)
    margin: int = _setting(1, least=0)
    since: float | None = _setting(
        None,
        "Ask only sources of this time or later: 2024-05, 2024-05-17T08:30.",
        is_rare=False,
        metavar="TIME",
    )
    until: float | None = _setting(
        None,
        "Ask only sources before this time; 2024-05 is the first of May.",
        is_rare=False,
        metavar="TIME",
    )
    where: Mapping[str, str] = _setting(
        {}, "Ask only sources with this label; repeatable.", is_rare=False, metavar="KEY=VALUE"
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if each.metadata.get("choices"):
                require_choice(each.name, value, *each.metadata["choices"])
            least = each.metadata.get("least")
            if least is not None and not least <= value < math.inf:
                what = "a number of at least" if isinstance(value, float) else "at least"
                raise ConfigError(f"{each.name}: expected {what} {least}, got {value}")
        if self.text_mass is not None and not 0 < self.text_mass <= 1:
            raise ConfigError(
                f"text_mass: expected a share above 0 and up to 1, got {self.text_mass}"
            )
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ConfigError(f"until: expected a time after {self.since:g}, got {self.until:g}")

    def admits(self, source: Source) -> bool:
        """Whether the walk may enter the tree of a source."""
        if any(source.metadata.get(key) != value for key, value in self.where.items()):
            return False
        if source.time is None:
            return self.since is None and self.until is None
        is_too_early = self.since is not None and source.time < self.since
        is_too_late = self.until is not None and source.time >= self.until
        return not is_too_early and not is_too_late

    def admitted_ids(self, store: Any) -> frozenset[int] | None:
        """Sources whose trees the walk may enter; `None` for all.

        Args:
            store: A store, of which only `sources()` is asked.
        """
        if self.since is None and self.until is None and not self.where:
            return None
        return frozenset(source.source_id for source in store.sources() if self.admits(source))


@dataclass(frozen=True)
class Rates:
    """Peak learning rates of a training.

    Attributes:
        learning_rate: For norms, biases and scalars, in units of their own root mean square at
            the start where that is not zero.
        embedding_learning_rate: For embeddings, in the same units; one that starts at zero takes
            the size of the token embeddings.
        matrix_learning_rate: For the hidden matrices, which Muon updates.
        lora_learning_rate: For LoRA weights, as it is: they start at zero.
        weight_decay: Decoupled, on hidden matrices only.

    Raises:
        ConfigError: A rate is negative or no number.
    """

    learning_rate: float = _setting(
        1.5e-3, "Train norms and scalars at this peak rate, in units of their size."
    )
    embedding_learning_rate: float = _setting(
        0.008, "Train embeddings at this peak rate, in the same units."
    )
    matrix_learning_rate: float = _setting(
        0.001, "Train the hidden matrices at this peak rate (Muon)."
    )
    lora_learning_rate: float = _setting(2e-4, "Train LoRA weights at this peak rate (AdamW).")
    weight_decay: float = _setting(0.01)

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < math.inf:
                raise ConfigError(f"{name}: expected a number ≥ 0, got {value}")
