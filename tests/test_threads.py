"""Threads share a model: what one computes does not reach into what another does."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from conftest import new_llama
from lmos.model.base import BaseModel
from lmos.model.lowrank import LowRank

IDS = torch.tensor([[5, 6, 7, 8, 9]])


def lora(tokenizer_folder: Path, folder: Path) -> Path:
    """LoRA weights that change what the model computes."""
    new_llama(tokenizer_folder).save_pretrained(folder / "base")
    model = BaseModel.from_pretrained(folder / "base")
    model.add_lora(2)
    with torch.no_grad():
        for name, weight in model.module.named_parameters():
            if ".lora_B" in name:
                weight.fill_(0.2)
    model.save_adapter(folder / "lora")
    return folder / "lora"


def elsewhere(work: object, *arguments: object) -> Tensor:
    """The same in another thread."""
    with ThreadPoolExecutor(1) as thread:
        result: Tensor = thread.submit(work, *arguments).result()  # type: ignore[arg-type]
    return result


def test_weights_that_are_on_in_one_thread_are_off_in_others(
    tokenizer_folder: Path, tmp_path: Path
) -> None:
    model = new_llama(tokenizer_folder)
    x_BTD = model.embed(IDS)
    plain = model.forward(x_BTD)
    reader = LowRank(model.module, lora(tokenizer_folder, tmp_path))
    with reader.on():
        assert not model.forward(x_BTD).equal(plain)
        assert elsewhere(model.forward, x_BTD).equal(plain)


def test_a_pass_that_is_cut_short_cuts_no_other(tokenizer_folder: Path) -> None:
    model = new_llama(tokenizer_folder)
    x_BTD = model.embed(IDS)
    whole, cut = model.forward(x_BTD), model.forward(x_BTD, depth=1)
    has_begun, may_go_on = threading.Event(), threading.Event()

    def wait(*_: object) -> None:
        if threading.current_thread() is not threading.main_thread():
            has_begun.set()
            assert may_go_on.wait(60)

    handle = model._layers()[0].register_forward_hook(wait)
    with ThreadPoolExecutor(1) as thread:
        half_way = thread.submit(model.forward, x_BTD, depth=1)
        assert has_begun.wait(60)
        assert model.forward(x_BTD).equal(whole)
        may_go_on.set()
        assert half_way.result().equal(cut)
    handle.remove()
    assert model.forward(x_BTD).equal(whole)
