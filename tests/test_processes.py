"""Training in two processes takes the steps that it takes in one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lmos.training.checkpoint import load_checkpoint

ROOT = Path(__file__).parent.parent
# A linear map on batches drawn by number; every other batch leaves one weight without a gradient.
PROGRAM = """
import sys
from pathlib import Path
import torch
from lmos.training.loop import LoopConfig, run_loop
from lmos.training.processes import Processes

torch.manual_seed(0)
module, inputs = torch.nn.Linear(4, 2), torch.randn(200, 4)
module.register_parameter("never", torch.nn.Parameter(torch.ones(2)))

def objective(batch):
    rows = inputs[batch * 4 : batch * 4 + 4]
    weight, bias = module.weight, module.bias
    output = rows @ weight.T + (bias if batch % 2 else 0)
    loss = (torch.nn.functional.dropout(output, 0.1) - rows.sum(-1, keepdim=True)).square().mean()
    return loss * (float("nan") if batch == int(sys.argv[2]) else 1), {f"part_{batch % 2}": batch}

config = LoopConfig(num_steps=12, warmup_steps=2, batches=2, log_every=3, bf16=False)
run_loop(module, objective, config, Path(sys.argv[1]), processes=Processes("cpu"))
"""


def run_processes(count: int, folder: Path, nan_batch: int = -1) -> list[str]:
    """What each of the processes says on standard error."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        **os.environ,
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT / "src"),
    }
    children = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder), str(nan_batch)],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    return [child.communicate(timeout=120)[1] for child in children]


def rows_of(folder: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    run_processes(1, tmp_path / "one")
    run_processes(2, tmp_path / "two")
    one, two = rows_of(tmp_path / "one"), rows_of(tmp_path / "two")
    assert len(one) == 4
    assert {"part_0", "part_1"} <= one[0].keys()
    for expected, row in zip(one, two, strict=True):
        assert row == pytest.approx(expected, abs=2e-4)
    first, second = load_checkpoint(tmp_path / "one"), load_checkpoint(tmp_path / "two")
    assert first is not None
    assert second is not None
    for name, weight in first["weights"].items():
        torch.testing.assert_close(second["weights"][name], weight, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_all_processes_stop_at_a_loss_that_is_no_number(tmp_path: Path) -> None:
    said = run_processes(2, tmp_path, nan_batch=13)
    for each in said:
        assert "step 6 was not taken: the loss of batch 13 is nan" in each
