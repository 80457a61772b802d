"""A reader that is saved is half as large; of several, the mean."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from lmos.model.lowrank import CONFIG_FILE, WEIGHTS_FILE
from recipes.reader.save import BASE, main


def an_adapter(folder: Path, value: float) -> str:
    folder.mkdir()
    save_file(
        {"a": torch.full((2, 3), value), "b": torch.full((4,), -value)}, folder / WEIGHTS_FILE
    )
    (folder / CONFIG_FILE).write_text(json.dumps({"base_model_name_or_path": "x", "r": 2}))
    return str(folder)


def test_the_mean_of_several_trainings_is_written(tmp_path: Path) -> None:
    one, other = (an_adapter(tmp_path / name, x) for name, x in (("one", 1.0), ("other", 2.0)))
    out = tmp_path / "out"
    done = CliRunner().invoke(main, ["--adapter", one, "--adapter", other, "--out", str(out)])
    assert done.exit_code == 0, done.output
    weights = load_file(out / WEIGHTS_FILE)
    assert {x.dtype for x in weights.values()} == {torch.bfloat16}
    assert torch.equal(weights["a"].float(), torch.full((2, 3), 1.5))
    assert torch.equal(weights["b"].float(), torch.full((4,), -1.5))
    assert json.loads((out / CONFIG_FILE).read_text()) == {"base_model_name_or_path": BASE, "r": 2}
