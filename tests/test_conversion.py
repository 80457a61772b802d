"""GGUF files: the same numbers as transformers, or a reason why not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from bases import weights, write_gguf
from lmos.errors import ModelError
from lmos.model.base import BaseModel
from lmos.model.conversion import convert_gguf


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny model.gguf")


@pytest.fixture(scope="module")
def folder(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("converted")
    convert_gguf(file, folder)
    return folder


def test_weights_are_those_of_the_file_in_bfloat16(folder: Path) -> None:
    tensors, written = load_file(folder / "model.safetensors"), weights()
    assert len(tensors) == len(written)
    for ours, theirs in {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.layers.1.mlp.down_proj.weight": "blk.1.ffn_down.weight",
        "model.layers.0.self_attn.v_proj.weight": "blk.0.attn_v.weight",
        "model.norm.weight": "output_norm.weight",
    }.items():
        assert torch.equal(tensors[ours], torch.from_numpy(written[theirs]).bfloat16())


def test_the_model_is_the_one_that_transformers_makes_of_the_file(file: Path, folder: Path) -> None:
    theirs = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32
    )
    ours = BaseModel.from_pretrained(folder)
    ids_BT = torch.arange(2, 22)[None]
    with torch.no_grad():
        expected = theirs(ids_BT).logits
        got = ours.logits(ours.forward(ours.embed(ids_BT)))
    assert torch.nn.functional.cosine_similarity(got, expected, dim=-1).min() > 0.999


def test_the_folder_is_an_ordinary_one(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert config["dtype"] == "bfloat16"
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert "quantization_config" not in config
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.is_fast
    assert tokenizer.model_max_length == 128


def test_all_tokens_that_end_are_known_and_special(folder: Path) -> None:
    model = BaseModel.from_pretrained(folder)
    assert model.stop_ids == {0, 1}
    assert model.encode_control("a<|turn|>") == [*model.encode("a").ids, 1]
    assert {0, 1}.isdisjoint(model.encode("a<|turn|><|end|>").ids)
    assert model.render_chat([{"role": "user", "content": "hi"}]) == "<|turn|>hi<|turn|>"


def test_digits_stand_alone_where_they_did_in_training(folder: Path) -> None:
    model = BaseModel.from_pretrained(folder)
    assert model.encode("12").byte_ends == (1, 2)
    assert model.encode("th").byte_ends == (2,)


def test_a_conversion_is_quiet(
    file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    convert_gguf(file, tmp_path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("num_bytes", [4, 30, 2000, -1000, -1])
def test_a_file_that_is_cut_off_is_refused(file: Path, tmp_path: Path, num_bytes: int) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(file.read_bytes()[:num_bytes])
    with pytest.raises(ModelError, match=r"cut\.gguf is damaged or cut off.*again"):
        convert_gguf(cut, tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"GGU"])
def test_what_is_no_gguf_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.gguf").write_bytes(content)
    with pytest.raises(ModelError, match=r"a\.gguf is no GGUF file"):
        convert_gguf(tmp_path / "a.gguf", tmp_path)


def test_an_architecture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "a.gguf", architecture="jais")
    with pytest.raises(ModelError, match=r"cannot be converted.*jais"):
        convert_gguf(file, tmp_path)


def test_a_missing_package_is_named(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ModelError, match="pip install gguf"):
        convert_gguf(file, tmp_path)


def test_a_folder_that_cannot_be_written_is_named(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot be written to .*nowhere"):
        convert_gguf(file, tmp_path / "nowhere")
