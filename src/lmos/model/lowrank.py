"""Low-rank weights beside a frozen model, as peft writes them, that can be switched on and off.

For use, not for training, and without peft, whose import takes longer than an answer. One thread
may compute with the weights while another does without. Knows modules and files; does not know what
the weights were trained for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from lmos.errors import ModelError
from lmos.model.fingerprint import hash_tensors

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"

_on: ContextVar[LowRank | None] = ContextVar("lmos_low_rank", default=None)


class LowRank:
    """LoRA weights on the linear layers of a model; off until they are switched on.

    Attributes:
        hash: SHA-256 of the weights.
    """

    def __init__(self, module: nn.Module, folder: Path) -> None:
        """Read what peft's `save_pretrained` wrote and put it beside the layers of a model.

        Raises:
            ModelError: A file is missing, or does not fit the model.
        """
        options, tensors = _read(folder)
        self.hash = hash_tensors(tensors, torch.float32)
        self._handles: list[Any] = []
        scale = float(options["lora_alpha"]) / float(options["r"])
        for name in sorted(key.removesuffix(_DOWN) for key in tensors if key.endswith(_DOWN)):
            down_RD, up_DR = tensors.get(name + _DOWN), tensors.get(name + _UP)
            layer = _find(module, name.removeprefix(_PREFIX))
            if layer is None or down_RD is None or up_DR is None:
                raise ModelError(f"{folder} has weights for {name}, which the model lacks")
            weight = layer.weight
            if (up_DR.shape[0], down_RD.shape[1]) != tuple(weight.shape):
                raise ModelError(
                    f"{folder} does not fit the model: {name} has {tuple(weight.shape)}, expected "
                    f"{(up_DR.shape[0], down_RD.shape[1])}"
                )
            down_RD = down_RD.to(weight.device, weight.dtype)
            up_DR = (scale * up_DR).to(weight.device, weight.dtype)
            self._handles.append(layer.register_forward_hook(self._hook(down_RD, up_DR)))

    @contextmanager
    def on(self) -> Iterator[None]:
        """Have the model compute with the weights inside the `with`, in this thread only."""
        token = _on.set(self)
        try:
            yield
        finally:
            _on.reset(token)

    def remove(self) -> None:
        """Take the weights away from the model."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _hook(self, down_RD: Tensor, up_DR: Tensor) -> Any:
        def add(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            return output + (inputs[0] @ down_RD.T) @ up_DR.T if _on.get() is self else None

        return add


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        options = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        tensors = load_file(folder / WEIGHTS_FILE)
        if options.get("use_dora") or options.get("use_rslora") or options.get("bias") != "none":
            raise ModelError(f"{folder} has another kind of LoRA than the plain one; train it anew")
        float(options["lora_alpha"]), float(options["r"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(f"{folder} cannot be read as LoRA weights: {error!r}") from error
    return options, {name: value.float() for name, value in tensors.items()}


def _find(module: nn.Module, name: str) -> nn.Linear | None:
    try:
        layer = module.get_submodule(name)
    except AttributeError:
        return None
    # peft, if it is there, has put its own layer around the linear one.
    layer = getattr(layer, "base_layer", layer)
    return layer if isinstance(layer, nn.Linear) else None
