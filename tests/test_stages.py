"""Stages: plain values in and out, ends by steps or by what was measured."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lmos.errors import ConfigError
from lmos.training.losses import CompressionConfig
from lmos.training.stages import (
    DEFAULT_STAGES,
    Stage,
    StageProgress,
    read_stages,
    stages_from_json,
    stages_to_json,
)


def test_stages_come_back_from_json(tmp_path: Path) -> None:
    stages = (
        *DEFAULT_STAGES,
        Stage("mine", 2.0, CompressionConfig(max_windows=32), {"recall_1": 0.9}),
    )
    path = tmp_path / "stages.json"
    path.write_text(json.dumps(stages_to_json(stages)))
    assert read_stages(str(path)) == stages


def test_the_default_stages_can_be_named() -> None:
    assert [stage.name for stage in DEFAULT_STAGES] == ["warm-up", "routing", "reading"]
    assert read_stages("warm-up,routing,reading") == DEFAULT_STAGES
    assert read_stages("reading") == DEFAULT_STAGES[2:]


def test_the_stages_of_the_documentation_can_be_read() -> None:
    text = (Path(__file__).parent.parent / "docs" / "training.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```json\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    short, long = stages_from_json(json.loads(block), "docs/training.md")
    assert short.until == {"recall_1": 0.9}
    assert long.objective.on_policy_share == 0.3


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "expected a list of stages, got dict"),
        ([], "expected a list of stages"),
        ([3], "stage 1: expected an object, got 3"),
        ([{"share": 1}], "stage 1: expected a name"),
        ([{"name": "a"}, {"name": "b", "steps": 3}], "stage 2: expected one of .*, got 'steps'"),
        ([{"name": "a", "share": "half"}], "share: expected a number, got 'half'"),
        ([{"name": "a", "share": 0}], "share of stage a: expected more than 0, got 0"),
        ([{"name": "a", "until": {"recall_1": True}}], "until: recall_1: expected a number"),
        ([{"name": "a", "objective": {"contexts": 1.5}}], "contexts: expected a whole number"),
        ([{"name": "a", "objective": {"contexts": 0}}], "contexts: expected 1 to inf, got 0"),
        ([{"name": "a", "objective": {"miss_share": 2}}], "miss_share: expected 0 to 1, got 2"),
        ([{"name": "a", "objective": {"min_windows": 99}}], "max_windows: expected at least"),
    ],
)
def test_a_value_that_cannot_be_is_named(value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        stages_from_json(value, "mine.json")


def test_what_is_neither_a_stage_nor_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="names among warm-up, routing, reading, or a JSON file"):
        read_stages("reeding")
    (tmp_path / "broken.json").write_text("[{")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_stages(str(tmp_path / "broken.json"))


def numbers(progress: StageProgress, num_steps: int, recall: float = 0.0) -> list[int]:
    """The stage of each step."""
    seen = []
    for step in range(num_steps):
        seen.append(progress.number)
        progress.update(step + 1, {"recall_1": recall})
    return seen


def test_every_stage_has_its_share_of_the_steps() -> None:
    stages = (Stage("a", 1.0), Stage("b", 3.0), Stage("c", 4.0))
    assert numbers(StageProgress(stages, 16), 16) == [0] * 2 + [1] * 6 + [2] * 8


def test_a_stage_ends_early_once_its_metrics_have_passed() -> None:
    stages = (Stage("a", 1.0, until={"recall_1": 0.8}), Stage("b", 1.0), Stage("c", 1.0))
    assert numbers(StageProgress(stages, 90), 90, recall=0.79).count(0) == 30
    quick = numbers(StageProgress(stages, 90), 90, recall=1.0)
    # The running mean starts at nothing, so it takes a while; the rest shares what is left over.
    assert quick.count(0) == 16
    assert quick.count(1) == quick.count(2) == 37
    # A mean of metrics that are missing has not passed.
    assert numbers(StageProgress((Stage("a", until={"x": 0.1}), Stage("b")), 20), 20, 1.0)[9] == 0


def test_progress_through_the_stages_is_resumed() -> None:
    stages = (Stage("a", 1.0, until={"recall_1": 0.8}), Stage("b", 1.0), Stage("c", 1.0))
    whole, first, second = (StageProgress(stages, 60) for _ in range(3))
    expected = numbers(whole, 60, recall=1.0)
    for step in range(20):
        first.update(step + 1, {"recall_1": 1.0})
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    seen = []
    for step in range(20, 60):
        seen.append(second.number)
        second.update(step + 1, {"recall_1": 1.0})
    assert seen == expected[20:]


def test_no_stage_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one"):
        StageProgress((), 10)
