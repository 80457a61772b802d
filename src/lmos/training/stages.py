"""Stages of a training as data: what counts in each, how long it lasts, when it ends early.

Reads them from JSON and writes them to it. Knows configs; does not train.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from lmos.errors import ConfigError
from lmos.training.losses import CompressionConfig

_MEMORY = 0.9
_KINDS = {
    str: "text",
    float: "a number",
    int: "a whole number",
    dict: "an object",
    bool: "a truth",
    list: "a list",
}


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: For people.
        share: Of the steps, relative to the other stages.
        objective: Weights and sizes of the losses.
        until: Metrics and the value that the running mean of each must pass: the stage ends when
            all have, and the steps that it leaves go to those after it. Empty: it lasts for its
            share.
    """

    name: str
    share: float = 1.0
    objective: CompressionConfig = field(default_factory=CompressionConfig)
    until: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.share < float("inf"):
            raise ConfigError(f"share of stage {self.name}: expected more than 0, got {self.share}")


DEFAULT_STAGES = (
    Stage(
        "warm-up",
        0.15,
        CompressionConfig(
            contexts=2,
            reconstructions=48,
            routing_weight=0.1,
            answer_weight=0.0,
            reconstruction_weight=1.0,
        ),
    ),
    Stage("routing", 0.35, CompressionConfig()),
    Stage(
        "reading",
        0.5,
        CompressionConfig(
            contexts=2,
            readings=12,
            distractors=3,
            answer_weight=1.0,
            reconstructions=8,
            embedding_share=0.1,
            on_policy_share=0.25,
        ),
    ),
)
"""See into embeddings first, then find, then read what was found."""


class StageProgress:
    """Which stage a training is in; advances on steps and on measured metrics.

    Args:
        stages: In order.
        num_steps: Of the whole training.
    """

    def __init__(self, stages: Sequence[Stage], num_steps: int) -> None:
        if not stages:
            raise ConfigError("stages: expected at least one, got none")
        self._stages = tuple(stages)
        self._num_steps = num_steps
        self.number = 0
        self._means: dict[str, float] = {}
        self._stop = self._stop_from(0)

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take in the metrics of a step and how many steps are done with it."""
        stage = self._stages[self.number]
        for name in stage.until.keys() & metrics.keys():
            # A mean that starts at nothing: one lucky step does not end a stage.
            self._means[name] = _MEMORY * self._means.get(name, 0.0) + (1 - _MEMORY) * metrics[name]
        has_passed = bool(stage.until) and all(
            self._means.get(name, 0.0) > least for name, least in stage.until.items()
        )
        if self.number + 1 < len(self._stages) and (has_passed or step >= self._stop):
            self.number += 1
            self._means = {}
            self._stop = self._stop_from(step)

    def _stop_from(self, step: int) -> int:
        """The steps done when the current stage, begun at `step`, has had its share of the rest."""
        shares = [stage.share for stage in self._stages[self.number :]]
        return step + max(1, round((self._num_steps - step) * shares[0] / sum(shares)))

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"number": self.number, "stop": self._stop, "means": dict(self._means)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.number, self._stop = state["number"], state["stop"]
        self._means = dict(state["means"])


def stages_to_json(stages: Sequence[Stage]) -> list[dict[str, Any]]:
    """The stages as plain values; `stages_from_json` reads them."""
    return [asdict(stage) for stage in stages]


def read_stages(text: str) -> tuple[Stage, ...]:
    """The stages that a user names: some of the default ones, or those of a JSON file.

    Args:
        text: Names such as `routing,reading`, or the path of a file.

    Raises:
        ConfigError: There is no such stage or file, or a value in the file is not as expected.
    """
    known = {stage.name: stage for stage in DEFAULT_STAGES}
    names = text.split(",")
    if set(names) <= known.keys():
        return tuple(known[name] for name in names)
    path = Path(text)
    if not path.is_file():
        raise ConfigError(
            f"stages: expected names among {', '.join(known)}, or a JSON file, got {text}"
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"stages: {path} cannot be read: {error}") from error
    return stages_from_json(values, str(path))


def stages_from_json(values: Any, place: str) -> tuple[Stage, ...]:
    """Read what `stages_to_json` made.

    Args:
        values: A list of objects; what an object leaves out has its default.
        place: Where they are from, for messages.

    Raises:
        ConfigError: A value is not as expected.
    """
    if not isinstance(values, list) or not values:
        raise ConfigError(f"{place}: expected a list of stages, got {type(values).__name__}")
    return tuple(
        _stage(value, f"{place}, stage {number}") for number, value in enumerate(values, 1)
    )


def _stage(value: Any, place: str) -> Stage:
    options = _require_options(
        value, {"name": str, "share": float, "objective": dict, "until": dict}, place
    )
    if "name" not in options:
        raise ConfigError(f"{place}: expected a name")
    until = options.get("until", {})
    _require_options(until, dict.fromkeys(until, float), f"{place}, until")
    defaults = CompressionConfig()
    kinds = {entry.name: type(getattr(defaults, entry.name)) for entry in fields(defaults)}
    losses = _require_options(options.pop("objective", {}), kinds, f"{place}, objective")
    return Stage(**options, objective=CompressionConfig(**losses))


def _require_options(value: Any, kinds: Mapping[str, type], place: str) -> dict[str, Any]:
    """An object whose keys are known and whose values are of their kind."""
    if not isinstance(value, dict):
        raise ConfigError(f"{place}: expected an object, got {value!r}")
    for name, entry in value.items():
        if name not in kinds:
            raise ConfigError(f"{place}: expected one of {', '.join(sorted(kinds))}, got {name!r}")
        kind = kinds[name]
        is_number = isinstance(entry, int) and not isinstance(entry, bool)
        if not (isinstance(entry, kind) or (kind is float and is_number)) or (
            kind is int and not is_number
        ):
            raise ConfigError(f"{place}: {name}: expected {_KINDS[kind]}, got {entry!r}")
    return dict(value)
