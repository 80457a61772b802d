"""The pretrained base, where its package is installed, and tiny GGUF files."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter
from tokenizers import pre_tokenizers

from lmos.model.released import PACKAGED_MODELS, resolve_model

PRETRAINED = "smollm2-135m-instruct"
VOCAB_SIZE = 300
TEMPLATE = "{% for message in messages %}<|turn|>{{ message['content'] }}{% endfor %}<|turn|>"
_WIDTH, _INNER_WIDTH, _KEY_WIDTH, _NUM_HEADS, _NUM_LAYERS = 32, 48, 16, 4, 2
_ENDS = ["<|end|>", "<|turn|>"]


def pretrained_folder() -> Path:
    """Skips the test where the package is not installed."""
    try:
        metadata.distribution(PACKAGED_MODELS[PRETRAINED].package.partition("==")[0])
    except metadata.PackageNotFoundError:
        pytest.skip(f"{PRETRAINED} is not installed")
    return Path(resolve_model(PRETRAINED))


def weights() -> dict[str, np.ndarray]:
    """Random, by their names in a GGUF file."""
    dice = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {"token_embd": (VOCAB_SIZE, _WIDTH)}
    for layer in range(_NUM_LAYERS):
        for name, shape in {
            "attn_q": (_WIDTH, _WIDTH),
            "attn_k": (_KEY_WIDTH, _WIDTH),
            "attn_v": (_KEY_WIDTH, _WIDTH),
            "attn_output": (_WIDTH, _WIDTH),
            "ffn_gate": (_INNER_WIDTH, _WIDTH),
            "ffn_up": (_INNER_WIDTH, _WIDTH),
            "ffn_down": (_WIDTH, _INNER_WIDTH),
            "attn_norm": (_WIDTH,),
            "ffn_norm": (_WIDTH,),
        }.items():
            shapes[f"blk.{layer}.{name}"] = shape
    shapes["output_norm"] = (_WIDTH,)
    return {
        f"{name}.weight": (0.3 * dice.standard_normal(shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


def write_gguf(path: Path, architecture: str = "llama") -> Path:
    """A llama of two layers with a byte-level vocabulary of digits that stand alone."""
    writer = GGUFWriter(path, architecture)
    writer.add_context_length(128)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(_NUM_LAYERS)
    writer.add_feed_forward_length(_INNER_WIDTH)
    writer.add_head_count(_NUM_HEADS)
    writer.add_head_count_kv(_NUM_HEADS // 2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(VOCAB_SIZE)
    _add_tokenizer(writer)
    for name, values in weights().items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(writer: GGUFWriter) -> None:
    tokens = [*_ENDS, *sorted(pre_tokenizers.ByteLevel.alphabet()), "th", "12"]
    tokens += [f"unused {number}" for number in range(VOCAB_SIZE - len(tokens))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(_ENDS) + [1] * (VOCAB_SIZE - len(_ENDS)))
    writer.add_token_merges(["t h", "1 2"])
    writer.add_eos_token_id(0)
    writer.add_eot_token_id(1)
    writer.add_chat_template(TEMPLATE)
