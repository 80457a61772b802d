"""Shapes and types are checked at run time; one tiny tokenizer and one tiny Llama for all tests."""

from __future__ import annotations

import gc
from pathlib import Path

from jaxtyping import install_import_hook

install_import_hook("lmos", "typechecks.typechecked")

# What imports lmos comes after the hook.
import pytest  # noqa: E402
import torch  # noqa: E402

from architectures import ARCHITECTURES, write_tokenizer  # noqa: E402
from lmos.model.base import BaseModel  # noqa: E402
from lmos.store import keys  # noqa: E402

# Keys are slow to derive on purpose; `test_encryption.py` also makes one at the full cost.
keys.SCRYPT["n"] = 1 << 10

# What is imported by now stays, so no collection need look at it.
gc.freeze()

LLAMA = {**ARCHITECTURES["llama"], "max_position_embeddings": 512}


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="session")
def tiny_llama(tokenizer_folder: Path) -> BaseModel:
    """Random weights, an adapter without a zero in it. Shared: tests leave it as it is."""
    return new_llama(tokenizer_folder)


@pytest.fixture(scope="session")
def endless_llama(tokenizer_folder: Path) -> BaseModel:
    """The same, whose answers go on as long as they may."""
    return new_llama(tokenizer_folder, is_endless=True)


@pytest.fixture(scope="session")
def keyed_llama(tokenizer_folder: Path) -> BaseModel:
    """The same with attention keys in the place of retrieval heads."""
    return new_llama(tokenizer_folder, has_heads=False)


def new_llama(
    tokenizer_folder: Path,
    seed: int = 1,
    *,
    has_heads: bool = True,
    is_endless: bool = False,
    **changes: object,
) -> BaseModel:
    model = BaseModel.from_config({**LLAMA, **changes}, tokenizer_folder, seed)
    if not is_endless:
        # Random weights hardly ever come to an end: let one token in twelve end an answer.
        ends = [model.end_id, *range(7, model.module.config.vocab_size, 12)]
        model.module.generation_config.eos_token_id = ends
    if not has_heads:
        model.new_adapter()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.adapter.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model
