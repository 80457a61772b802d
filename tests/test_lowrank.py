"""Low-rank weights: what peft wrote computes the same without peft, and only while it is on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from conftest import new_llama
from lmos.errors import ModelError
from lmos.model.base import BaseModel
from lmos.model.lowrank import CONFIG_FILE, WEIGHTS_FILE, LowRank

IDS = torch.tensor([[5, 6, 7, 8, 9]])


@pytest.fixture(scope="module")
def folder(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that peft wrote, none of them zero."""
    base = tmp_path_factory.mktemp("base")
    new_llama(tokenizer_folder).save_pretrained(base)
    model = BaseModel.from_pretrained(base)
    model.add_lora(2)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, weight in model.module.named_parameters():
            if ".lora_" in name:
                weight.copy_(0.2 * torch.randn(weight.shape, generator=generator))
    folder = tmp_path_factory.mktemp("lora")
    model.save_adapter(folder)
    torch.save(model.forward(model.embed(IDS)).detach(), folder / "expected.pt")
    return folder


def test_it_computes_what_peft_computes(folder: Path, tokenizer_folder: Path) -> None:
    model = new_llama(tokenizer_folder)
    plain = model.forward(model.embed(IDS))
    reader = LowRank(model.module, folder)
    assert model.forward(model.embed(IDS)).equal(plain)
    with reader.on():
        expected = torch.load(folder / "expected.pt")
        torch.testing.assert_close(model.forward(model.embed(IDS)), expected)
    assert model.forward(model.embed(IDS)).equal(plain)
    reader.remove()
    with reader.on():
        assert model.forward(model.embed(IDS)).equal(plain)


def test_answers_are_read_with_it_and_nothing_else_is(folder: Path, tokenizer_folder: Path) -> None:
    model = new_llama(tokenizer_folder)
    before_V, _ = model.step(model.embed(IDS), None)
    hidden = model.forward(model.embed(IDS))
    base_hash = model.base_hash
    model.load_reader(folder)
    after_V, _ = model.step(model.embed(IDS), None)
    assert not torch.allclose(before_V, after_V, atol=1e-3)
    assert model.forward(model.embed(IDS)).equal(hidden)
    assert model.base_hash == base_hash


def copied(folder: Path, to: Path, **options: object) -> Path:
    values = json.loads((folder / CONFIG_FILE).read_text())
    (to / CONFIG_FILE).write_text(json.dumps({**values, **options}))
    save_file(load_file(folder / WEIGHTS_FILE), to / WEIGHTS_FILE)
    return to


def test_another_kind_of_lora_is_refused(
    folder: Path, tokenizer_folder: Path, tmp_path: Path
) -> None:
    model = new_llama(tokenizer_folder)
    with pytest.raises(ModelError, match="another kind"):
        LowRank(model.module, copied(folder, tmp_path, use_dora=True))


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
def test_half_a_folder_is_refused(
    name: str, folder: Path, tokenizer_folder: Path, tmp_path: Path
) -> None:
    copied(folder, tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        LowRank(new_llama(tokenizer_folder).module, tmp_path)


def test_weights_of_another_shape_are_refused(
    folder: Path, tokenizer_folder: Path, tmp_path: Path
) -> None:
    copied(folder, tmp_path)
    tensors = load_file(folder / WEIGHTS_FILE)
    for change in (lambda x: x[:, :-1].contiguous(), None):
        name = next(key for key in sorted(tensors) if key.endswith("lora_A.weight"))
        if change is None:
            tensors[name.replace("layers", "storeys")] = tensors.pop(name)
        else:
            tensors[name] = change(tensors[name])
        save_file(tensors, tmp_path / WEIGHTS_FILE)
        with pytest.raises(ModelError, match=r"does not fit|lacks"):
            LowRank(new_llama(tokenizer_folder).module, tmp_path)
