"""A GGUF file becomes a model folder as transformers writes it, in bfloat16.

Knows transformers' reader of GGUF files and what it leaves out. Knows neither names nor caches.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from lmos.errors import ModelError
from lmos.model.pretrained import first_line

_NOT_OF_THE_COPY = {"quantization_config", "_name_or_path", "_model_name_or_path"}
_MAGIC = b"GGUF"
# Vocabularies of bytes whose merges were learned with every digit alone. llama.cpp cuts them so;
# transformers knows the others, and would leave digits together in these.
_DIGITS_ALONE = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}


def convert_gguf(file: Path, folder: Path) -> None:
    """Write config, weights, tokenizer and the tokens that end a text into an empty folder.

    Quantised weights are those that llama.cpp computes with, rounded to bfloat16.

    Raises:
        ModelError: It is no GGUF file, is cut off, has an architecture that transformers does not
            read, or it cannot be written.
    """
    fields = _read_fields(file)
    with _quiet():
        module, tokenizer = _load(file)
    if fields.get("tokenizer.ggml.pre") in _DIGITS_ALONE:
        _cut_digits(tokenizer)
    tokenizer.model_max_length = module.config.max_position_embeddings
    module.generation_config.eos_token_id = _stop_ids(fields) or None
    try:
        _write(module, tokenizer, folder)
    except Exception as error:
        raise ModelError(f"{file.name} cannot be written to {folder}: {error}") from error


def _read_fields(file: Path) -> dict[str, Any]:
    """The values, without lists, that a GGUF file begins with; its tensors must be there too."""
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise ModelError(f"GGUF files need the package gguf: pip install gguf ({error})") from error
    with file.open("rb") as opened:
        start = opened.read(len(_MAGIC))
    if start != _MAGIC:
        raise ModelError(
            f"{file} is no GGUF file: expected that it begins with GGUF, got {start!r}"
        )
    try:
        fields = GGUFReader(file).fields
        return {name: field.contents() for name, field in fields.items() if len(field.data) == 1}
    except Exception as error:
        raise ModelError(
            f"{file} is damaged or cut off ({first_line(error)}); copy or download it again"
        ) from error


def _load(file: Path) -> tuple[Any, Any]:
    where: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True}
    # Newer versions of transformers would leave some architectures quantised.
    kind = getattr(transformers, "GgufConfig", None)
    options = {} if kind is None else {"quantization_config": kind(dequantize=True)}
    try:
        module = AutoModelForCausalLM.from_pretrained(
            file.parent, dtype=torch.bfloat16, **where, **options
        )
        return module, AutoTokenizer.from_pretrained(file.parent, **where)
    except Exception as error:
        raise ModelError(
            f"{file} cannot be converted: {first_line(error)}; expected a causal LM of an "
            "architecture that transformers reads from GGUF files"
        ) from error


def _cut_digits(tokenizer: Any) -> None:
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )


def _stop_ids(fields: dict[str, Any]) -> list[int]:
    """The tokens that end a text and, in some files, a turn of a talk."""
    names = ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id")
    return sorted({int(fields[name]) for name in names if name in fields})


def _write(module: Any, tokenizer: Any, folder: Path) -> None:
    config = module.config.to_dict() | {"architectures": [type(module).__name__]}
    config = {name: config[name] for name in config if name not in _NOT_OF_THE_COPY}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    module.generation_config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    is_tied = module.config.tie_word_embeddings
    tensors = {
        name: tensor.contiguous()
        for name, tensor in module.state_dict().items()
        if not (is_tied and name == "lm_head.weight")
    }
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings that only transformers can act on, and bars that cannot be turned off."""
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_verbosity(level)
