"""A training that ends goes on from where it was saved last."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from recipes.checkpoints import Checkpoints, Progress


def a_model(text: str) -> Any:
    def save_pretrained(folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "adapter_config.json").write_text(text)

    return SimpleNamespace(save_pretrained=save_pretrained)


def test_a_training_begins_with_nothing(tmp_path: Path) -> None:
    begun = Checkpoints(tmp_path / "new" / "run")
    assert begun.state is None
    assert begun.progress == Progress(0, 0.0, 0, 0)
    assert (tmp_path / "new" / "run").is_dir()


def test_what_was_saved_last_is_found_again(tmp_path: Path) -> None:
    begun = Checkpoints(tmp_path)
    for step in (3, 7):
        begun.progress.step, begun.progress.spent = step, step * 100.0
        begun.save(a_model(f"after {step}"), optimizer={"rate": torch.tensor(step)})
    begun.progress.step = 9
    again = Checkpoints(tmp_path)
    assert again.progress == Progress(7, 700.0, 0, 0)
    assert again.state == {"optimizer": {"rate": torch.tensor(7)}}
    assert (again.adapter / "adapter_config.json").read_text() == "after 7"
    assert again.progress.of(hours=1) == pytest.approx(7 / 36)
    assert again.progress.of(hours=0) == 1


def test_a_line_of_the_log_says_how_far_the_training_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = Checkpoints(tmp_path)
    begun.progress.step, begun.progress.spent = 5, 1800.0
    begun.note(loss=0.25)
    (line,) = (tmp_path / "log.jsonl").read_text().splitlines()
    assert json.loads(line) == {"step": 5, "hours": 0.5, "loss": 0.25}
    assert capsys.readouterr().out == line + "\n"
