"""Trained LoRA weights to a reader adapter: `python -m recipes.reader.save --help` says how.

In bfloat16, which halves the size, and with the base model's name in place of a folder.
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
@click.option("--adapter", type=Path, required=True, help="What recipes.reader.train wrote.")
@click.option("--out", type=Path, required=True, help="Folder of the reader.")
def main(adapter: Path, out: Path) -> None:
    """Write a reader adapter."""
    out.mkdir(parents=True, exist_ok=True)
    weights = {name: x.to(torch.bfloat16) for name, x in load_file(adapter / WEIGHTS_FILE).items()}
    save_file(weights, out / WEIGHTS_FILE)
    options = json.loads((adapter / CONFIG_FILE).read_text(encoding="utf-8"))
    options["base_model_name_or_path"] = BASE
    (out / CONFIG_FILE).write_text(json.dumps(options, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
