"""The adapter: its shapes, its start, its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lmos.errors import ConfigError, ModelError
from lmos.model.adapter import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    Adapter,
    AdapterConfig,
    has_adapter,
    head_mean_map,
)

SHAPE: dict[str, Any] = {
    "embedding_width": 8,
    "num_heads": 4,
    "query_width": 8,
    "key_width": 4,
    "scoring_layer": 1,
    "num_retrieval_tokens": 3,
    "max_levels": 2,
}
CONFIG = AdapterConfig(**SHAPE)


def test_a_fresh_adapter_starts_neutral() -> None:
    adapter = Adapter(CONFIG, embedding_scale=0.5)
    assert adapter.compression_LD.shape == adapter.level_LD.shape == (3, 8)
    assert not adapter.compression_LD.any()
    assert not adapter.level_LD.any()
    assert torch.equal(adapter.residual_D, torch.ones(8))
    assert torch.equal(adapter.head_weights_RH, torch.full((3, 4), 0.25))
    assert adapter.log_temperature.item() == 0


def test_retrieval_tokens_have_the_scale_and_the_seed_that_was_asked_for() -> None:
    wide = AdapterConfig(**{**SHAPE, "embedding_width": 4096, "num_retrieval_tokens": 2})
    adapter = Adapter(wide, embedding_scale=0.5, seed=1)
    assert adapter.retrieval_RD.square().mean().sqrt().item() == pytest.approx(0.5, rel=0.05)
    assert torch.equal(adapter.retrieval_RD, Adapter(wide, 0.5, seed=1).retrieval_RD)
    assert not torch.equal(adapter.retrieval_RD, Adapter(wide, 0.5, seed=2).retrieval_RD)


def test_an_adapter_comes_back_from_its_files(tmp_path: Path) -> None:
    adapter = Adapter(CONFIG, embedding_scale=0.3)
    adapter.trained_on = "abc"
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(torch.rand(parameter.shape))
    assert not has_adapter(tmp_path)
    adapter.save(tmp_path)
    assert has_adapter(tmp_path)
    again = Adapter.load(tmp_path)
    assert again.config == CONFIG
    assert again.trained_on == "abc"
    assert again.hash() == adapter.hash()


def test_a_changed_weight_changes_the_hash() -> None:
    adapter = Adapter(CONFIG)
    before = adapter.hash()
    with torch.no_grad():
        adapter.residual_D[3] += 1e-6
    assert adapter.hash() != before


@pytest.mark.parametrize(
    "values",
    [{"num_retrieval_tokens": 0}, {"scoring_layer": -1}, {"max_levels": 0}, {"key_width": 3}],
)
def test_shapes_that_cannot_be_are_refused(values: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        AdapterConfig(**{**SHAPE, **values})


def test_a_folder_without_an_adapter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no adapter in"):
        Adapter.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ('{"config": {}}', "cannot be read"),
        ('{"format": 1, "config": {}}', "not complete"),
        ('{"format": 1}', "not complete"),
        ('{"format": 99, "config": {}}', "upgrade"),
    ],
)
def test_a_broken_config_is_refused(tmp_path: Path, content: str, message: str) -> None:
    Adapter(CONFIG).save(tmp_path)
    (tmp_path / CONFIG_FILE).write_text(content)
    with pytest.raises(ModelError, match=message):
        Adapter.load(tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"not safetensors"])
def test_broken_weights_are_refused(tmp_path: Path, content: bytes | None) -> None:
    Adapter(CONFIG).save(tmp_path)
    path = tmp_path / WEIGHTS_FILE
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read"):
        Adapter.load(tmp_path)


def test_weights_of_other_shapes_are_refused(tmp_path: Path) -> None:
    Adapter(CONFIG).save(tmp_path)
    tensors = load_file(tmp_path / WEIGHTS_FILE)
    tensors["residual_D"] = torch.ones(9)
    save_file(tensors, tmp_path / WEIGHTS_FILE)
    with pytest.raises(ModelError, match=r"residual_D: expected \(8,\), got \(9,\)"):
        Adapter.load(tmp_path)
    config = json.loads((tmp_path / CONFIG_FILE).read_text())
    config["config"]["embedding_width"] = 9
    (tmp_path / CONFIG_FILE).write_text(json.dumps(config))
    with pytest.raises(ModelError, match="level_LD"):
        Adapter.load(tmp_path)


@pytest.mark.parametrize(("num_heads", "num_key_heads"), [(4, 4), (4, 2), (6, 2), (3, 1)])
def test_the_first_query_map_is_the_mean_of_the_heads(num_heads: int, num_key_heads: int) -> None:
    sizes = {"num_heads": num_heads, "query_width": 5 * num_heads, "key_width": 5 * num_key_heads}
    map_QK = head_mean_map(AdapterConfig(**{**SHAPE, **sizes}))
    generator = torch.Generator().manual_seed(0)
    queries_Hd = torch.randn(num_heads, 5, generator=generator)
    keys_Gd = torch.randn(num_key_heads, 5, generator=generator)
    expected = sum(
        queries_Hd[head] @ keys_Gd[head * num_key_heads // num_heads] / num_heads
        for head in range(num_heads)
    )
    torch.testing.assert_close(queries_Hd.flatten() @ map_QK @ keys_Gd.flatten(), expected)
