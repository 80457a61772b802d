"""Trained LoRA weights to a reader adapter: `python -m recipes.reader.save --help` says how.

In bfloat16, which halves the size, and with the base model's name in place of a folder. Of several
trainings that began with the same weights, the mean is written: it is often better than each
("model soups", arXiv 2203.05482).
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import torch
from safetensors.torch import load_file, save_file

from lmos.model.lowrank import CONFIG_FILE, WEIGHTS_FILE

BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"


@click.command()
@click.option(
    "--adapter",
    "adapters",
    type=Path,
    required=True,
    multiple=True,
    help="What recipes.reader.train wrote; repeat it for the mean of several.",
)
@click.option("--out", type=Path, required=True, help="Folder of the reader.")
def main(adapters: tuple[Path, ...], out: Path) -> None:
    """Write a reader adapter."""
    loaded = [load_file(adapter / WEIGHTS_FILE) for adapter in adapters]
    weights = {
        name: torch.stack([each[name].float() for each in loaded]).mean(0).to(torch.bfloat16)
        for name in loaded[0]
    }
    out.mkdir(parents=True, exist_ok=True)
    save_file(weights, out / WEIGHTS_FILE)
    options = json.loads((adapters[0] / CONFIG_FILE).read_text(encoding="utf-8"))
    options["base_model_name_or_path"] = BASE
    (out / CONFIG_FILE).write_text(json.dumps(options, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
