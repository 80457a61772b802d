"""Is this a model folder? Questions asked before anything is loaded, in words that help.

Knows file names and configs. Loads nothing.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from lmos.errors import ModelError

LORA_CONFIG_FILE = "adapter_config.json"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_LAYER_KINDS = {"full_attention", "sliding_attention"}


def require_model_files(name: str) -> None:
    """Check a local folder for a config and safe weights; a name on the Hub passes.

    Raises:
        ModelError: There is no such folder, or a file is missing.
    """
    folder = Path(name)
    if not folder.is_dir():
        if not _HUB_NAME.fullmatch(name):
            raise ModelError(f"no model folder at {name}; give one, or a name on the Hub")
        return
    if not (folder / "config.json").is_file():
        raise ModelError(f"no config.json in {name}; expected a folder that save_pretrained wrote")
    if (folder / LORA_CONFIG_FILE).exists():
        raise ModelError(
            f"{name} has LoRA's adapter_config.json beside config.json, and transformers would "
            "load the model that it names; move the LoRA files to a folder of their own"
        )
    if any(folder.glob("*.safetensors")):
        return
    if any(folder.glob("*.bin")):
        raise ModelError(
            f"{name} has only pickled weights (.bin), which can run code; safetensors are needed: "
            "load it once with transformers' AutoModelForCausalLM and call its save_pretrained"
        )
    raise ModelError(f"no weights in {name}; expected model.safetensors")


def base_of_adapter(folder: Path) -> str | None:
    """The base model that a folder with LoRA weights alone names, as peft writes it.

    Returns:
        A name that lmos or the Hub knows, a folder or a GGUF file; `None` for a folder of any other
        kind.

    Raises:
        ModelError: The folder names none, or a folder that is not there.
    """
    path = folder / LORA_CONFIG_FILE
    if not path.is_file() or (folder / "config.json").exists():
        return None
    try:
        name = json.loads(path.read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} cannot be read: {error!r}") from error
    if not isinstance(name, str) or not (Path(name).exists() or _HUB_NAME.fullmatch(name)):
        raise ModelError(
            f"{path} names the base model {name!r}, which is not there; give the model's folder "
            f"as the model and {folder} as its adapter"
        )
    return name


def require_known_layers(config: Any) -> None:
    """Check that every layer attends by position, to everything or within a sliding window.

    Raises:
        ModelError: It has other layers (recurrent, chunked, cross attention), or no positions.
    """
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError("it has an encoder and a decoder; expected a causal LM")
    unknown = set(getattr(config, "layer_types", None) or ()) - _LAYER_KINDS
    if unknown:
        raise ModelError(
            f"it has layers of kind {', '.join(sorted(unknown))}; expected attention in every "
            "layer, full or with a sliding window"
        )
    if getattr(config, "max_position_embeddings", None) is None:
        raise ModelError("its config names no max_position_embeddings (ALiBi or recurrent models)")


def first_line(error: BaseException) -> str:
    """What an error of another library says, in one line."""
    return str(error).strip().split("\n")[0] or type(error).__name__
