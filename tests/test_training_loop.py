"""The loop: what is resumed is exact, what would spoil the weights is refused, nothing is lost."""

from __future__ import annotations

import json
import xml.etree.ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lmos.errors import ConfigError, DataError
from lmos.settings import Rates
from lmos.training.checkpoint import CHECKPOINT_FILE, load_checkpoint, write_folder
from lmos.training.curves import CURVES_FILE, write_curves
from lmos.training.loop import METRICS_FILE, LoopConfig, run_loop
from lmos.training.optimizers import make_optimizers, schedule
from lmos.training.processes import mean_metrics
from lmos.training.runfolder import record_run, require_folder

Change = Callable[[int, Tensor], Tensor]
CONFIG = LoopConfig(
    num_steps=40,
    rates=Rates(embedding_learning_rate=0.3),
    warmup_steps=2,
    checkpoint_every=10,
    log_every=4,
    bf16=False,
)


class Counter:
    """State of a curriculum: how often it was told of a step."""

    def __init__(self) -> None:
        self.count = 0

    def state_dict(self) -> dict[str, int]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.count = state["count"]

    def update(self, step: int, metrics: Any) -> None:
        self.count += 1


def train_regression(
    folder: Path, config: LoopConfig = CONFIG, change: Change = lambda batch, loss: loss
) -> tuple[nn.Module, Counter]:
    """A linear map, learned through dropout; the loss of each batch goes through `change`."""
    torch.manual_seed(0)
    module, inputs = nn.Sequential(nn.Dropout(0.2), nn.Linear(4, 1)), torch.randn(400, 4)
    counter = Counter()

    def objective(batch: int) -> tuple[Tensor, dict[str, float]]:
        rows = inputs[batch * 4 : batch * 4 + 4]
        loss = (module(rows) - rows.sum(-1, keepdim=True)).square().mean()
        return change(batch, loss), {"batch": float(batch)}

    run_loop(module, objective, config, folder, state=counter, on_metrics=counter.update)
    return module, counter


def stop_at(last: int) -> Change:
    def change(batch: int, loss: Tensor) -> Tensor:
        if batch == last:
            raise KeyboardInterrupt
        return loss

    return change


def rows_of(folder: Path) -> list[dict[str, float]]:
    lines = (folder / METRICS_FILE).read_text().splitlines()
    return [{n: v for n, v in json.loads(line).items() if n != "seconds"} for line in lines]


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path) -> None:
    whole, counted = train_regression(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_regression(tmp_path / "parts", change=stop_at(27))
    # A kill may also cut the last line of the metrics.
    with (tmp_path / "parts" / METRICS_FILE).open("a") as file:
        file.write('{"step": 2')
    resumed, counted_again = train_regression(tmp_path / "parts")
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)
    assert rows_of(tmp_path / "parts") == rows_of(tmp_path / "whole")
    assert counted.count == counted_again.count == 40
    rows = rows_of(tmp_path / "whole")
    assert [row["step"] for row in rows] == list(range(4, 41, 4))
    assert rows[-1]["loss"] + rows[-2]["loss"] < rows[0]["loss"] + rows[1]["loss"]


def test_what_is_written_with_a_checkpoint_is_there_when_the_checkpoint_is(tmp_path: Path) -> None:
    module = nn.Linear(4, 1)
    steps: list[float] = []
    seen = []

    def write() -> None:
        seen.append(len(steps))
        if seen == [10, 20, 30, 40]:
            raise KeyboardInterrupt

    def run() -> None:
        run_loop(
            module,
            lambda batch: (module(torch.ones(1, 4)).square().mean(), {}),
            CONFIG,
            tmp_path,
            on_checkpoint=write,
            progress=lambda step, metrics: steps.append(step),
        )

    with pytest.raises(KeyboardInterrupt):
        run()
    run()
    # The last ten steps are taken again, so that what was cut short is written whole.
    assert steps == [*range(1, 41), *range(31, 41)]
    assert seen[-1] == 50


def test_several_batches_of_a_step_are_one_larger_batch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    inputs = torch.randn(40, 4)

    def trained(batches: int) -> Tensor:
        torch.manual_seed(1)
        module = nn.Linear(4, 1)

        def objective(batch: int) -> tuple[Tensor, dict[str, float]]:
            size = 8 // batches
            return module(inputs[batch * size : batch * size + size]).square().mean(), {}

        config = LoopConfig(num_steps=5, warmup_steps=0, batches=batches, bf16=False)
        run_loop(module, objective, config, tmp_path / str(batches))
        return module.weight

    torch.testing.assert_close(trained(1), trained(4))
    assert rows_of(tmp_path / "1")[0] == pytest.approx(rows_of(tmp_path / "4")[0])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_and_keeps_the_checkpoint(
    tmp_path: Path, value: float
) -> None:
    with pytest.raises(DataError, match="step 27 was not taken: the loss of batch 27 is"):
        train_regression(tmp_path, change=lambda batch, loss: loss * (value if batch == 27 else 1))
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint["step"] == 20
    assert all(torch.isfinite(weight).all() for weight in checkpoint["weights"].values())


def test_a_gradient_that_is_no_number_is_never_applied(tmp_path: Path) -> None:
    def change(batch: int, loss: Tensor) -> Tensor:
        # The loss is 0, the gradient of its square root is not a number.
        return (loss * 0).sqrt() if batch == 13 else loss

    with pytest.raises(DataError, match="step 13 was not taken: the norm of the gradients"):
        train_regression(tmp_path, change=change)
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint["step"] == 10


def test_a_checkpoint_that_was_cut_is_named_and_not_used(tmp_path: Path) -> None:
    train_regression(tmp_path)
    path = tmp_path / CHECKPOINT_FILE
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"\0" * len(whole)):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"checkpoint\.pt is damaged and was not used"):
            train_regression(tmp_path)
        assert path.read_bytes() == damaged


def test_a_write_that_was_interrupted_leaves_the_checkpoint_before_it(tmp_path: Path) -> None:
    train_regression(tmp_path)
    (tmp_path / f"{CHECKPOINT_FILE}.part").write_bytes(b"half")
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint["step"] == 40


def test_the_checkpoint_of_another_module_is_refused(tmp_path: Path) -> None:
    train_regression(tmp_path)
    other = nn.Linear(3, 1)
    with pytest.raises(DataError, match="of another model"):
        run_loop(other, lambda batch: (other.weight.sum(), {}), CONFIG, tmp_path)


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "model"

    def write(path: Path) -> None:
        path.mkdir()
        (path / "weights").write_text("new")

    def fail(path: Path) -> None:
        write(path)
        raise KeyboardInterrupt

    write_folder(folder, write)
    (folder / "weights").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_folder(folder, fail)
    assert (folder / "weights").read_text() == "old"
    write_folder(folder, write)
    assert (folder / "weights").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_the_schedule_rises_stays_and_falls() -> None:
    factors = [schedule(step, 100, 10) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9:40] == [1.0] * 31
    assert factors[-1] == pytest.approx(0.115)
    assert factors == [*sorted(factors[:40]), *sorted(factors[40:], reverse=True)]


def test_each_kind_of_weight_has_its_rate() -> None:
    embed, layer, tokens = nn.Embedding(9, 4), nn.Linear(4, 4), nn.Linear(4, 3, bias=False)
    layer.add_module("lora_A", nn.Linear(4, 2, bias=False))
    nn.init.constant_(embed.weight, 0.5)
    nn.init.zeros_(tokens.weight)
    module = nn.ModuleDict({"embed": embed, "layers": nn.ModuleList([layer]), "tokens": tokens})
    rates = Rates(0.1, 0.2, 0.3, 0.4)
    adam, muon = make_optimizers(module, rates)
    found = {id(p): g["lr"] for o in (adam, muon) for g in o.param_groups for p in g["params"]}
    peaks = {name: found[id(parameter)] for name, parameter in module.named_parameters()}
    assert peaks["embed.weight"] == pytest.approx(0.2 * 0.5)
    assert peaks["tokens.weight"] == pytest.approx(0.2 * 0.5)
    assert peaks["layers.0.weight"] == 0.3
    assert peaks["layers.0.lora_A.weight"] == 0.4
    assert [id(p) for g in muon.param_groups for p in g["params"]] == [id(layer.weight)]


@pytest.mark.parametrize("options", [{"num_steps": 0}, {"batches": 0}, {"log_every": 0}])
def test_a_loop_that_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(options))}: expected at least 1, got 0"):
        LoopConfig(**{"num_steps": 1} | options)
    with pytest.raises(ConfigError, match="learning_rate"):
        Rates(learning_rate=float("nan"))


def test_means_are_over_the_rows_that_have_a_value() -> None:
    assert mean_metrics([{"a": 1.0}, {"a": 3.0, "b": 5.0}]) == {"a": 2.0, "b": 5.0}


def test_the_curves_show_every_metric(tmp_path: Path) -> None:
    train_regression(tmp_path)
    write_curves(tmp_path)
    svg = xml.etree.ElementTree.parse(tmp_path / CURVES_FILE).getroot()
    space = "{http://www.w3.org/2000/svg}"
    assert {text.text for text in svg.iter(f"{space}text")} >= {"loss", "batch", "40"}
    lines = [line.get("points", "").split() for line in svg.iter(f"{space}polyline")]
    assert [len(points) for points in lines] == [10, 10]


# The folder


def test_a_run_goes_on_with_what_it_was_told(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    require_folder(folder, resume=False)
    settings = {"base": "a", "loop": {"seed": 0}, "stages": [{"share": 1.0}]}
    record_run(folder, settings, resume=False)
    record_run(folder, {**settings, "base": "b"}, resume=True)
    with pytest.raises(ConfigError, match="holds a run already"):
        record_run(folder, settings, resume=False)
    other = {**settings, "stages": [{"share": 2.0}]}
    with pytest.raises(ConfigError, match=r"stages\.1\.share: the run has 1\.0, you gave 2\.0"):
        record_run(folder, other, resume=True)
    assert json.loads((folder / "run.json").read_text()) == settings


def test_a_folder_that_is_not_a_runs_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match="holds other files"):
        require_folder(tmp_path, resume=False)
    with pytest.raises(ConfigError, match="no run in"):
        require_folder(tmp_path, resume=True)
    with pytest.raises(ConfigError, match="is a file"):
        require_folder(tmp_path / "letter.txt", resume=False)
