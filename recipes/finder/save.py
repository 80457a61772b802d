"""Trained heads to a memory adapter: `python -m recipes.finder.save --heads FILE --out FOLDER`."""

from __future__ import annotations

from pathlib import Path

import click
from safetensors.torch import load_file

from lmos.model.base import BaseModel
from lmos.model.heads import HeadsConfig

DEPTH = 8


@click.command()
@click.option("--base", default="smollm2-135m-instruct", help="Name or folder of the base model.")
@click.option("--heads", type=Path, required=True, help="What recipes.finder.train wrote.")
@click.option("--out", type=Path, required=True, help="Folder of the adapter.")
def main(base: str, heads: Path, out: Path) -> None:
    """Write a memory adapter."""
    model = BaseModel.from_pretrained(base)
    weights = load_file(heads)
    shape = HeadsConfig(model.vocab_size, model.embedding_width, weights["own.weight"].shape[0])
    model.new_adapter(num_retrieval_tokens=1, depth=DEPTH, has_prefix=True, heads=shape)
    assert model.adapter.heads is not None
    model.adapter.heads.load_state_dict(weights)
    model.is_trained = True
    model.save_adapter(out)


if __name__ == "__main__":
    main()
