"""Tiny configs, one for each family of models, and a tiny tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

VOCAB_SIZE = 300
END_TOKEN = "<|end|>"
PAD_TOKEN = "<|pad|>"
TEXT = "The quick brown fox jumps over the lazy dog, and the dog sleeps on."

_SMALL: dict[str, Any] = {"vocab_size": VOCAB_SIZE, "hidden_size": 32}
_LLAMA_LIKE: dict[str, Any] = {
    **_SMALL,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 1,
}

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {**_LLAMA_LIKE, "model_type": "llama"},
    "qwen3": {**_LLAMA_LIKE, "model_type": "qwen3", "head_dim": 16},
    "mistral": {**_LLAMA_LIKE, "model_type": "mistral", "sliding_window": 5},
    "gemma3": {
        **_LLAMA_LIKE,
        "model_type": "gemma3_text",
        "num_hidden_layers": 4,
        "head_dim": 16,
        "query_pre_attn_scalar": 16,
        "sliding_window": 5,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
    },
    "phi3": {**_LLAMA_LIKE, "model_type": "phi3"},
    "gpt2": {
        "model_type": "gpt2",
        "vocab_size": VOCAB_SIZE,
        "n_embd": 32,
        "n_layer": 3,
        "n_head": 4,
        "n_positions": 128,
        "initializer_range": 0.3,
        "bos_token_id": 0,
        "eos_token_id": 0,
    },
    "gpt_neox": {**_LLAMA_LIKE, "model_type": "gpt_neox", "num_key_value_heads": 4},
    "olmo2": {**_LLAMA_LIKE, "model_type": "olmo2"},
    "granite": {
        **_LLAMA_LIKE,
        "model_type": "granite",
        "logits_scaling": 4.0,
        "embedding_multiplier": 3.0,
        "attention_multiplier": 0.2,
    },
}

UNUSABLE: dict[str, tuple[dict[str, Any], str]] = {
    "gemma2": ({**_LLAMA_LIKE, "model_type": "gemma2", "head_dim": 16}, "softcapping"),
    "gpt_oss": (
        {
            **_LLAMA_LIKE,
            "model_type": "gpt_oss",
            "head_dim": 16,
            "num_local_experts": 2,
            "num_experts_per_tok": 1,
        },
        "sinks",
    ),
    "bloom": (
        {**_SMALL, "model_type": "bloom", "n_layer": 2, "n_head": 4},
        "max_position_embeddings",
    ),
    "mamba": ({**_SMALL, "model_type": "mamba", "num_hidden_layers": 2}, "linear_attention"),
    "codegen": (
        {
            "model_type": "codegen",
            "vocab_size": VOCAB_SIZE,
            "n_embd": 32,
            "n_layer": 2,
            "n_head": 4,
            "rotary_dim": 4,
        },
        "0 call transformers' attention interface",
    ),
    "falcon": ({**_LLAMA_LIKE, "model_type": "falcon"}, "cannot be replaced"),
    "llama4": (
        {
            **_LLAMA_LIKE,
            "model_type": "llama4_text",
            "head_dim": 8,
            "num_local_experts": 2,
            "intermediate_size_mlp": 48,
            "attention_chunk_size": 16,
        },
        "chunked_attention",
    ),
}


def write_tokenizer(folder: Path) -> Path:
    """Train a byte-level BPE on a sentence and save it."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=train_tokenizer([TEXT] * 8),
        eos_token=END_TOKEN,
        pad_token=PAD_TOKEN,
        model_max_length=128,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.save_pretrained(folder)
    return folder


def train_tokenizer(texts: list[str]) -> Tokenizer:
    """A byte-level BPE, its two special tokens first; digits stand in pairs."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\d{1,2}"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[END_TOKEN, PAD_TOKEN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
