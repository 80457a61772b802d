"""The base model: the same numbers as transformers, and what lmos adds to them."""

from __future__ import annotations

import json
import math
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from architectures import ARCHITECTURES, TEXT, UNUSABLE, write_tokenizer
from building import generated_ids
from lmos.errors import ConfigError, ModelError
from lmos.model.base import BaseModel
from lmos.model.confidence import CALIBRATION_FILE, Calibration
from lmos.model.selfcheck import check_model
from lmos.session import load_model

NUM_ITEMS = 12
WINDOW = 5  # of the sliding layers in `architectures`
SLIDING = ("mistral", "gemma3")


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="session")
def model_folders(
    tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    folders = {}
    for name, config in ARCHITECTURES.items():
        folders[name] = tmp_path_factory.mktemp(name)
        BaseModel.from_config(config, tokenizer_folder, seed=1).save_pretrained(folders[name])
    return folders


@pytest.fixture(params=list(ARCHITECTURES))
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(architecture: str, model_folders: dict[str, Path]) -> BaseModel:
    return BaseModel.from_pretrained(model_folders[architecture])


@pytest.fixture
def llama_folder(model_folders: dict[str, Path]) -> Path:
    return model_folders["llama"]


@pytest.fixture
def llama(llama_folder: Path) -> BaseModel:
    return BaseModel.from_pretrained(llama_folder)


def plain_model(folder: Path, attention: str = "eager") -> Any:
    module: Any = AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation=attention, dtype=torch.float32
    )
    return module.eval()


def some_ids(num_rows: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(2, 300, (num_rows, NUM_ITEMS), generator=generator)


def causal(num_rows: int = 2, length: int = NUM_ITEMS) -> Tensor:
    return torch.ones(num_rows, length, length, dtype=torch.bool).tril()


def with_item_changed(x_BTD: Tensor, item: int) -> Tensor:
    """Turned around: a constant added would be invisible behind a layer norm."""
    changed_BTD = x_BTD.clone()
    changed_BTD[:, item] = x_BTD[:, item].flip(-1)
    return changed_BTD


# The same numbers as transformers


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_hidden_states_and_logits_are_those_of_transformers(
    model: BaseModel, architecture: str, model_folders: dict[str, Path], attention: str
) -> None:
    plain, ids_BT = plain_model(model_folders[architecture], attention), some_ids()
    with torch.no_grad():
        expected = plain(input_ids=ids_BT, output_hidden_states=True)
        x_BTD = model.embed(ids_BT)
        positions_BT = torch.arange(NUM_ITEMS).expand(2, -1)
        for mask_BTT, positions in (
            (None, None),
            (causal(), None),
            (None, positions_BT),
            (causal(), positions_BT),
        ):
            hidden_BTD = model.forward(x_BTD, mask_BTT, positions)
            torch.testing.assert_close(hidden_BTD, expected.hidden_states[-1], rtol=0, atol=2e-5)
            torch.testing.assert_close(
                model.logits(hidden_BTD), expected.logits, rtol=1e-4, atol=1e-4
            )


def test_captured_queries_and_keys_give_the_models_own_attention(
    model: BaseModel, architecture: str, model_folders: dict[str, Path]
) -> None:
    plain, ids_BT = plain_model(model_folders[architecture]), some_ids()
    with torch.no_grad():
        expected = plain(input_ids=ids_BT, output_attentions=True).attentions
        for layer in range(model.num_layers):
            state = model.attention(model.embed(ids_BT), causal(), None, layer)
            probabilities_BHTT = attend(state.queries_BHTd, state.keys_BGTd, state.scaling, layer)
            if has_window(model, layer):
                probabilities_BHTT = attend(
                    state.queries_BHTd, state.keys_BGTd, state.scaling, layer, WINDOW
                )
            torch.testing.assert_close(
                probabilities_BHTT.sum(-1), torch.ones(2, model.num_heads, NUM_ITEMS)
            )
            torch.testing.assert_close(probabilities_BHTT, expected[layer], rtol=0, atol=1e-5)


def has_window(model: BaseModel, layer: int) -> bool:
    kinds = getattr(model.module.config, "layer_types", None)
    if kinds is None:
        return getattr(model.module.config, "sliding_window", None) is not None
    return bool(kinds[layer] == "sliding_attention")


def attend(
    queries_BHTd: Tensor, keys_BGTd: Tensor, scaling: float, layer: int, window: int = NUM_ITEMS
) -> Tensor:
    """Attention in five lines: head by head, row by row."""
    batch, num_heads, length, _ = queries_BHTd.shape
    weights = torch.zeros(batch, num_heads, length, length)
    for b, h, t in torch.cartesian_prod(*map(torch.arange, (batch, num_heads, length))).tolist():
        seen = slice(max(0, t + 1 - window), t + 1)
        keys_Td = keys_BGTd[b, h // (num_heads // keys_BGTd.shape[1]), seen]
        weights[b, h, t, seen] = (keys_Td @ queries_BHTd[b, h, t] * scaling).softmax(-1)
    return weights


def test_greedy_generation_is_that_of_transformers(
    model: BaseModel, architecture: str, model_folders: dict[str, Path]
) -> None:
    plain = plain_model(model_folders[architecture], "sdpa")
    ids_BT = torch.tensor([model.encode(TEXT).ids])
    expected = plain.generate(
        ids_BT, max_new_tokens=9, do_sample=False, eos_token_id=None, pad_token_id=1
    )
    ids = generated_ids(model, model.embed(ids_BT)[0], 9)
    assert ids == expected[0, ids_BT.shape[1] :].tolist()


# Masks and positions


def test_a_hidden_item_changes_nothing_elsewhere(model: BaseModel) -> None:
    x_BTD, mask_BTT = model.embed(some_ids()).detach(), causal()
    mask_BTT[:, :, 4] = False
    mask_BTT[:, 4, 4] = True
    changed_BTD = with_item_changed(x_BTD, 4)
    others = [item for item in range(NUM_ITEMS) if item != 4]
    with torch.no_grad():
        before, after = (model.forward(x, mask_BTT) for x in (x_BTD, changed_BTD))
        keys = [model.attention(x, mask_BTT, None, 1).keys_BGTd for x in (x_BTD, changed_BTD)]
    assert torch.equal(before[:, others], after[:, others])
    assert torch.equal(keys[0][:, :, others], keys[1][:, :, others])
    assert not torch.equal(before[:, 4], after[:, 4])


def test_masks_need_not_be_causal(model: BaseModel) -> None:
    x_BTD = model.embed(some_ids()).detach()
    everything = torch.ones(2, NUM_ITEMS, NUM_ITEMS, dtype=torch.bool)
    changed_BTD = with_item_changed(x_BTD, 3)
    with torch.no_grad():
        before, after = (model.forward(x, everything) for x in (x_BTD, changed_BTD))
    assert not torch.allclose(before[:, 0], after[:, 0])


def test_two_segments_in_one_pass_are_two_passes(model: BaseModel) -> None:
    x_BTD, half = model.embed(some_ids()).detach(), NUM_ITEMS // 2
    mask_BTT = causal()
    mask_BTT[:, half:, :half] = False
    positions_BT = torch.arange(half).repeat(2).expand(2, -1)
    with torch.no_grad():
        together = model.forward(x_BTD, mask_BTT, positions_BT)
        apart = torch.cat([model.forward(x_BTD[:, :half]), model.forward(x_BTD[:, half:])], dim=1)
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=2e-5)


def test_positions_alone_do_not_cut_the_window(llama: BaseModel) -> None:
    x_BTD = llama.embed(some_ids()).detach()
    positions_BT = torch.arange(NUM_ITEMS // 2).repeat(2).expand(2, -1)
    with torch.no_grad():
        expected = llama.forward(x_BTD, causal(), positions_BT)
        assert torch.equal(llama.forward(x_BTD, None, positions_BT), expected)


@pytest.mark.parametrize("name", SLIDING)
def test_sliding_layers_measure_their_window_in_positions(
    name: str, model_folders: dict[str, Path]
) -> None:
    model = BaseModel.from_pretrained(model_folders[name])
    x_BTD = model.embed(some_ids()).detach()
    changed_BTD = with_item_changed(x_BTD, 0)
    near = torch.zeros(2, NUM_ITEMS, dtype=torch.long)
    far = torch.arange(NUM_ITEMS).expand(2, -1) * WINDOW
    with torch.no_grad():
        keys = [model.attention(x, causal(), near, 1).keys_BGTd for x in (x_BTD, changed_BTD)]
        assert not torch.allclose(keys[0][:, :, -1], keys[1][:, :, -1])
        keys = [model.attention(x, causal(), far, 1).keys_BGTd for x in (x_BTD, changed_BTD)]
        assert torch.equal(keys[0][:, :, 1:], keys[1][:, :, 1:])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_rows_that_see_nothing_stay_finite(
    architecture: str, model_folders: dict[str, Path], dtype: torch.dtype
) -> None:
    model = BaseModel.from_pretrained(model_folders[architecture], dtype=dtype)
    mask_BTT = causal()
    mask_BTT[1, 6:] = False
    mask_BTT[1, :, 6:] = False
    x_BTD = model.embed(some_ids()).detach().requires_grad_()
    hidden_BTD = model.forward(x_BTD, mask_BTT)
    torch.autograd.backward(hidden_BTD.float().square().mean())
    assert torch.isfinite(hidden_BTD).all()
    assert x_BTD.grad is not None
    assert torch.isfinite(x_BTD.grad).all()


# Attention of one layer


def test_layers_above_are_not_run(llama: BaseModel) -> None:
    ran: list[int] = []
    for index, layer in enumerate(llama.module.model.layers):
        layer.register_forward_pre_hook(lambda *_, index=index: ran.append(index))
    llama.attention(llama.embed(some_ids()), None, None, layer=1)
    assert ran == [0, 1]


def test_attention_has_the_shapes_that_the_model_names(model: BaseModel) -> None:
    layer = model.scoring_layer
    state = model.attention(model.embed(some_ids()), None, None, layer)
    assert state.queries_BHTd.shape == (2, model.num_heads, NUM_ITEMS, model.head_width)
    assert state.keys_BGTd.shape == (2, model.num_kv_heads, NUM_ITEMS, model.head_width)
    assert model.key_width == model.num_kv_heads * model.head_width
    assert layer == {3: 2, 4: 2}[model.num_layers]


def test_threads_hear_their_own_pass_only(llama: BaseModel) -> None:
    heard: dict[int, Tensor] = {}

    def listen(row: int) -> None:
        with torch.no_grad():
            for _ in range(10):
                x_BTD = llama.embed(some_ids(4)[row : row + 1])
                heard[row] = llama.attention(x_BTD, None, None, layer=row % 3).keys_BGTd

    threads = [threading.Thread(target=listen, args=(row,)) for row in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for row in range(4):
        x_BTD = llama.embed(some_ids(4)[row : row + 1])
        assert torch.equal(heard[row], llama.attention(x_BTD, None, None, row % 3).keys_BGTd)


def test_a_layer_that_does_not_exist_is_refused(llama: BaseModel) -> None:
    with pytest.raises(ConfigError, match=r"0\.\.2"):
        llama.attention(llama.embed(some_ids()), None, None, layer=3)


# Gradients


def test_gradients_reach_inputs_adapter_and_weights(model: BaseModel) -> None:
    model.new_adapter()
    adapter = model.adapter
    x_BTD = torch.cat([model.embed(some_ids(1)), adapter.retrieval_RD[None]], dim=1)
    x_BTD = x_BTD + adapter.compression_LD[1] + adapter.level_LD[2]
    x_BTD.retain_grad()
    hidden_BTD = model.forward(x_BTD) * adapter.residual_D
    state = model.attention(x_BTD, causal(1, x_BTD.shape[1]), None, model.scoring_layer)
    keys_BHTd = state.keys_BGTd.repeat_interleave(model.num_heads // model.num_kv_heads, dim=1)
    scores_BHT = (state.queries_BHTd[:, :, -1:] * keys_BHTd).sum(-1) * state.scaling
    scores_BT = (adapter.head_weights_RH[0, :, None] * scores_BHT).sum(1)
    scores_BT = scores_BT * adapter.log_temperature.exp()
    # Parameters that only the compressor and the scorers read have tests of their own there.
    others = (adapter.pool_RD, adapter.skip_D, adapter.query_map_RQK, adapter.query_offset_Q)
    rest = sum(parameter.sum() for parameter in others)
    torch.autograd.backward(hidden_BTD.square().mean() + scores_BT.mean() + rest)
    assert x_BTD.grad is not None
    assert bool((x_BTD.grad.abs().sum(-1) > 0).all())
    for name, parameter in model.as_module().named_parameters():
        is_beyond = name.startswith("base.lm_head") or name.startswith("base.embed_out")
        assert is_beyond or parameter.grad is not None, name


def test_only_lora_and_adapter_learn_once_lora_is_there(llama: BaseModel) -> None:
    llama.add_lora(rank=2)
    x_BTD = torch.cat([llama.embed(some_ids(1)), llama.adapter.retrieval_RD[None]], dim=1)
    torch.autograd.backward(llama.forward(x_BTD).square().mean())
    learning = [n for n, p in llama.as_module().named_parameters() if p.grad is not None]
    assert "adapter.retrieval_RD" in learning
    assert all(".lora_" in name for name in learning if name.startswith("base."))
    assert any(".lora_" in name for name in learning)


def test_autocast_keeps_gradients(model: BaseModel) -> None:
    x_BTD = model.embed(some_ids()).detach().requires_grad_()
    mask_BTT = causal()
    mask_BTT[1, :, 0] = False
    with torch.autocast("cpu", torch.bfloat16):
        hidden_BTD = model.forward(x_BTD, mask_BTT)
        state = model.attention(x_BTD, mask_BTT, None, model.scoring_layer)
        loss = hidden_BTD.float().square().mean() + state.keys_BGTd.float().square().mean()
    torch.autograd.backward(loss)
    assert torch.isfinite(loss)
    assert x_BTD.grad is not None
    assert torch.isfinite(x_BTD.grad).all()
    with torch.no_grad():
        exact = model.forward(x_BTD, mask_BTT)
    assert (hidden_BTD.float() - exact)[0].abs().mean() < 0.1 * exact[0].abs().mean()


def test_recomputed_layers_give_the_same_gradients(model: BaseModel) -> None:
    mask_BTT, grads = causal(), []
    mask_BTT[:, 6:, :3] = False
    for module in model.module.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for _ in range(2):
        x_BTD = model.embed(some_ids()).detach().requires_grad_()
        state = model.attention(x_BTD, mask_BTT, None, model.scoring_layer)
        loss = model.forward(x_BTD, mask_BTT).square().mean() + state.keys_BGTd.square().mean()
        torch.autograd.backward(loss)
        grads.append(x_BTD.grad)
        model.module.activation_checkpointing_enable()
        model.module.train()
    torch.testing.assert_close(grads[0], grads[1])


# Generation


def test_stop_ids_end_a_generation_and_are_not_part_of_it(llama: BaseModel) -> None:
    x_TD = llama.embed(some_ids(1))[0]
    ids = generated_ids(llama, x_TD, 8)
    assert generated_ids(llama, x_TD, 8, stop_ids=[ids[3]]) == ids[: ids.index(ids[3])]


def test_sampling_follows_its_seed(llama: BaseModel) -> None:
    x_TD = llama.embed(some_ids(1))[0]
    once, again, other = (
        generated_ids(llama, x_TD, 8, temperature=2.0, seed=seed) for seed in (1, 1, 2)
    )
    assert once == again != other


@pytest.mark.parametrize("temperature", [0.0, 2.0])
def test_chosen_tokens_come_with_the_probabilities_of_one_forward_pass(
    llama: BaseModel, temperature: float
) -> None:
    x_TD = llama.embed(some_ids(1))[0]
    chosen = list(llama.generate(x_TD, 5, temperature=temperature))
    ids = torch.tensor([token.token_id for token in chosen])
    with torch.no_grad():
        logits_TV = llama.logits(llama.forward(torch.cat([x_TD, llama.embed(ids)])[None]))[0]
    expected_TV = logits_TV[len(x_TD) - 1 : -1].log_softmax(-1)
    found_TV = torch.stack([token.log_probabilities_V for token in chosen])
    torch.testing.assert_close(found_TV, expected_TV, rtol=1e-3, atol=1e-4)


def test_a_stream_leaves_the_callers_gradients_on(llama: BaseModel) -> None:
    stream = llama.generate(llama.embed(some_ids(1))[0], 2)
    next(stream)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("num_items", "options"),
    [
        (0, {"max_new_tokens": 2}),
        (NUM_ITEMS, {"max_new_tokens": 0}),
        (NUM_ITEMS, {"max_new_tokens": 128 - NUM_ITEMS + 1}),
        (NUM_ITEMS, {"max_new_tokens": 2, "temperature": -1.0}),
    ],
)
def test_generations_that_cannot_be_are_refused_before_they_start(
    llama: BaseModel, num_items: int, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError):
        llama.generate(llama.embed(some_ids(1))[0, :num_items], **options)


# Facts, hashes and files


def test_embedding_scale_is_the_root_mean_square_of_all_embeddings(model: BaseModel) -> None:
    table = model.embed(torch.arange(300)[None]).detach()
    assert math.isclose(model.embedding_scale, float(table.square().mean().sqrt()), rel_tol=1e-5)


def test_hashes_outlive_files_and_precision(
    model: BaseModel, architecture: str, model_folders: dict[str, Path], tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path)
    again = BaseModel.from_pretrained(tmp_path)
    half = BaseModel.from_pretrained(model_folders[architecture], dtype=torch.bfloat16)
    assert model.base_hash == again.base_hash == half.base_hash
    assert model.tokenizer_hash == again.tokenizer_hash
    assert model.adapter_hash == again.adapter_hash == half.adapter_hash == "untrained heads"
    assert not again.is_trained


def test_the_order_of_tensors_in_a_file_does_not_matter(
    llama: BaseModel, llama_folder: Path, tmp_path: Path
) -> None:
    llama.save_pretrained(tmp_path)
    tensors = load_file(llama_folder / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    names = sorted(tensors, reverse=True)
    parts = {f"model-0000{i + 1}-of-00002.safetensors": names[i::2] for i in range(2)}
    for file, part in parts.items():
        save_file({name: tensors[name] for name in part}, tmp_path / file, {"format": "pt"})
    weight_map = {name: file for file, part in parts.items() for name in part}
    index = {"metadata": {}, "weight_map": weight_map}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert BaseModel.from_pretrained(tmp_path).base_hash == llama.base_hash


def test_a_changed_weight_changes_the_hash(llama: BaseModel) -> None:
    before = llama.base_hash
    with torch.no_grad():
        llama.module.model.layers[1].mlp.up_proj.weight[3, 4] += 0.1
    assert llama.base_hash != before


def test_another_vocabulary_changes_the_tokenizer_hash(llama: BaseModel, tmp_path: Path) -> None:
    llama.save_pretrained(tmp_path)
    path = tmp_path / "tokenizer.json"
    content = json.loads(path.read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["A"], vocabulary["B"] = vocabulary["B"], vocabulary["A"]
    path.write_text(json.dumps(content))
    assert BaseModel.from_pretrained(tmp_path).tokenizer_hash != llama.tokenizer_hash


def test_random_weights_follow_their_seed(tokenizer_folder: Path) -> None:
    config, state = ARCHITECTURES["llama"], torch.get_rng_state()
    once, again, other = (BaseModel.from_config(config, tokenizer_folder, s) for s in (1, 1, 2))
    assert once.base_hash == again.base_hash != other.base_hash
    assert torch.equal(state, torch.get_rng_state())


def test_a_trained_adapter_and_lora_come_back(model: BaseModel, tmp_path: Path) -> None:
    base_hash, x_BTD = model.base_hash, model.embed(some_ids()).detach()
    model.new_adapter(num_retrieval_tokens=3, scoring_layer=1)
    model.add_lora(rank=2)
    with torch.no_grad():
        for parameter in model.as_module().parameters():
            if parameter.requires_grad:
                parameter.add_(0.05)
    model.is_trained = True
    model.save_pretrained(tmp_path)
    again = BaseModel.from_pretrained(tmp_path)
    assert again.is_trained
    assert again.scoring_layer == 1
    assert again.base_hash == model.base_hash == base_hash
    assert again.adapter_hash == model.adapter_hash != "untrained"
    assert again.adapter.retrieval_RD.shape[0] == 3
    with torch.no_grad():
        assert torch.equal(again.forward(x_BTD), model.forward(x_BTD))


def test_an_adapter_may_live_in_a_folder_of_its_own(
    llama: BaseModel, llama_folder: Path, tmp_path: Path
) -> None:
    llama.add_lora(rank=1)
    llama.is_trained = True
    llama.save_adapter(tmp_path)
    assert not (tmp_path / "config.json").exists()
    again = BaseModel.from_pretrained(llama_folder, adapter=tmp_path)
    assert again.adapter_hash == llama.adapter_hash


def test_a_calibration_lives_with_the_adapter_that_it_was_fitted_for(
    llama: BaseModel, llama_folder: Path, tmp_path: Path
) -> None:
    llama.is_trained = True
    llama.calibration = Calibration({"best_score": 1.0}, 0.5, 0.25, llama.adapter_hash)
    llama.save_adapter(tmp_path)
    again = BaseModel.from_pretrained(llama_folder, adapter=tmp_path)
    assert again.calibration == llama.calibration
    stale = (tmp_path / CALIBRATION_FILE).read_bytes()
    llama.adapter.retrieval_RD.data[0, 0] += 1
    llama.save_adapter(tmp_path)
    assert BaseModel.from_pretrained(llama_folder, adapter=tmp_path).calibration is None
    (tmp_path / CALIBRATION_FILE).write_bytes(stale)
    with pytest.raises(ModelError, match="fit it again"):
        BaseModel.from_pretrained(llama_folder, adapter=tmp_path)


def test_lora_is_added_once(llama: BaseModel) -> None:
    with pytest.raises(ConfigError, match="rank"):
        llama.add_lora(rank=0)
    llama.add_lora(rank=1)
    with pytest.raises(ConfigError, match="already"):
        llama.add_lora(rank=1)


# What cannot be used


@pytest.mark.parametrize("name", list(UNUSABLE))
def test_architectures_that_cannot_be_reproduced_are_refused(
    name: str, tokenizer_folder: Path
) -> None:
    config, reason = UNUSABLE[name]
    with pytest.raises(ModelError, match=reason):
        BaseModel.from_config(config, tokenizer_folder, seed=0)


@pytest.mark.parametrize(
    ("method", "broken", "reason"),
    [
        ("_mask_arguments", lambda *_: {}, "does not keep to a mask"),
        ("logits", lambda model, hidden: hidden @ torch.ones(32, 300), "its own logits differ"),
        ("step", lambda model, x, cache: (torch.ones(300), None), "token by token"),
        ("forward", lambda model, x, *_: x * math.nan, "not finite"),
        ("forward", lambda model, *_: 1 / 0, "does not run on embeddings: division by zero"),
    ],
)
def test_the_trial_run_notices(
    monkeypatch: pytest.MonkeyPatch,
    tokenizer_folder: Path,
    method: str,
    broken: Any,
    reason: str,
) -> None:
    model = BaseModel.from_config(ARCHITECTURES["llama"], tokenizer_folder, seed=0)
    monkeypatch.setattr(BaseModel, method, broken)
    with pytest.raises(ModelError, match=reason):
        model._guarded(lambda: check_model(model))


def test_ignored_positions_are_noticed(monkeypatch: pytest.MonkeyPatch, llama: BaseModel) -> None:
    honest = BaseModel.forward
    monkeypatch.setattr(BaseModel, "forward", lambda self, x, mask, _: honest(self, x, mask))
    with pytest.raises(ModelError, match="ignores position ids"):
        check_model(llama)


def test_a_tokenizer_without_offsets_is_refused(
    monkeypatch: pytest.MonkeyPatch, llama_folder: Path
) -> None:
    slow = type("Slow", (), {"from_pretrained": lambda *_, **__: SimpleNamespace(is_fast=False)})
    monkeypatch.setattr("lmos.model.base.AutoTokenizer", slow())
    with pytest.raises(ModelError, match=r"no offsets.*tokenizer\.json"):
        BaseModel.from_pretrained(llama_folder)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model folder at .*nowhere"):
        BaseModel.from_pretrained(tmp_path / "nowhere")


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json"):
        BaseModel.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "model.safetensors").unlink(), "no weights"),
        (
            lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
            "safetensors are needed.*save_pretrained",
        ),
        (lambda f: (f / "model.safetensors").write_bytes(b"broken"), "does not load"),
        (lambda f: (f / "config.json").write_text("{"), "no model config"),
        (lambda f: [p.unlink() for p in f.glob("tokenizer*")], "no tokenizer"),
        (lambda f: (f / "adapter_config.json").write_text("{}"), "adapter_config"),
        (
            lambda f: save_file(
                {"model.norm.weight": torch.ones(32)}, f / "model.safetensors", {"format": "pt"}
            ),
            "lacks .* weights",
        ),
    ],
)
def test_incomplete_folders_say_what_is_missing(
    llama: BaseModel, tmp_path: Path, change: Any, message: str
) -> None:
    llama.save_pretrained(tmp_path)
    change(tmp_path)
    with pytest.raises(ModelError, match=message):
        BaseModel.from_pretrained(tmp_path)


def test_a_model_that_is_no_causal_lm_is_refused(llama: BaseModel, tmp_path: Path) -> None:
    llama.save_pretrained(tmp_path)
    config = {"model_type": "t5", "vocab_size": 300, "d_model": 32, "num_layers": 2}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="causal LM"):
        BaseModel.from_pretrained(tmp_path)


def test_an_adapter_of_another_base_model_is_refused(
    llama: BaseModel, tokenizer_folder: Path, tmp_path: Path
) -> None:
    llama.save_adapter(tmp_path)
    other = BaseModel.from_config(ARCHITECTURES["llama"], tokenizer_folder, seed=9)
    with pytest.raises(ModelError, match=f"trained on another base model, {llama.name} "):
        other.load_adapter(tmp_path)


def test_an_adapter_from_before_bases_were_named_says_its_hash(
    llama: BaseModel, tokenizer_folder: Path, tmp_path: Path
) -> None:
    llama.save_adapter(tmp_path)
    path = tmp_path / "lmos_adapter.json"
    header = json.loads(path.read_text())
    del header["trained_on_name"]
    path.write_text(json.dumps(header))
    llama.load_adapter(tmp_path)
    other = BaseModel.from_config(ARCHITECTURES["llama"], tokenizer_folder, seed=9)
    with pytest.raises(ModelError, match=rf"another base model \(weights {llama.base_hash[:12]}"):
        other.load_adapter(tmp_path)


def test_an_adapter_of_another_shape_is_refused(
    llama: BaseModel, tokenizer_folder: Path, tmp_path: Path
) -> None:
    config = {**ARCHITECTURES["llama"], "num_attention_heads": 8}
    BaseModel.from_config(config, tokenizer_folder, seed=0).save_adapter(tmp_path)
    with pytest.raises(ModelError, match="does not fit"):
        llama.load_adapter(tmp_path)


def test_a_scoring_layer_beyond_the_model_is_refused(llama: BaseModel) -> None:
    with pytest.raises(ModelError, match="scoring layer below 3"):
        llama.new_adapter(scoring_layer=3)


def test_an_ordinary_model_of_transformers_can_be_wrapped(model_folders: dict[str, Path]) -> None:
    for folder in (model_folders["llama"], model_folders["gpt2"]):
        theirs, tokenizer = plain_model(folder, "sdpa"), AutoTokenizer.from_pretrained(folder)
        ours, expected = BaseModel(theirs, tokenizer, "mine"), BaseModel.from_pretrained(folder)
        x_BTD = expected.embed(some_ids()).detach()
        assert ours.base_hash == expected.base_hash
        assert ours.name == "mine"
        assert BaseModel(plain_model(folder, "sdpa"), tokenizer).name == str(folder)
        assert torch.equal(ours.forward(x_BTD), expected.forward(x_BTD))
        ours.attention(x_BTD, None, None, layer=1)
        assert not tokenizer.backend_tokenizer.encode_special_tokens


def test_an_ordinary_model_that_cannot_be_used_is_refused(tokenizer_folder: Path) -> None:
    config = AutoConfig.for_model(**UNUSABLE["falcon"][0])
    module = AutoModelForCausalLM.from_config(config)
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    with pytest.raises(ModelError, match=r"mine .* cannot be used: .* 0 call"):
        BaseModel(module, tokenizer, "mine")


def test_a_model_of_the_hub_is_taken_as_it_was_asked_for(
    llama: BaseModel, llama_folder: Path, tmp_path: Path
) -> None:
    stored = tmp_path / "models--org--tiny"
    shutil.copytree(llama_folder, stored / "snapshots" / ("a" * 40))
    (stored / "refs").mkdir()
    (stored / "refs" / "second").write_text("a" * 40)
    options: dict[str, Any] = {"cache_dir": tmp_path, "local_files_only": True, "token": False}
    model = BaseModel.from_pretrained("org/tiny", revision="second", **options)
    assert model.base_hash == llama.base_hash
    with pytest.raises(ModelError, match="org/tiny"):
        BaseModel.from_pretrained("org/tiny", revision="third", **options)


def test_a_device_map_takes_the_place_of_a_device(llama: BaseModel, llama_folder: Path) -> None:
    model = BaseModel.from_pretrained(llama_folder, device_map={"": "cpu"})
    assert model.base_hash == llama.base_hash
    with pytest.raises(ModelError, match="anywhere"):
        BaseModel.from_pretrained(llama_folder, device_map="anywhere")
    with pytest.raises(ConfigError, match="device and device_map"):
        BaseModel.from_pretrained(llama_folder, device="cpu", device_map="auto")


def test_every_token_that_ends_is_known(llama: BaseModel) -> None:
    assert llama.stop_ids == {llama.end_id}
    llama.module.generation_config.eos_token_id = [5, 7]
    assert llama.stop_ids == {llama.end_id, 5, 7}
    llama.module.generation_config.eos_token_id = 9
    assert llama.stop_ids == {llama.end_id, 9}
    llama.module.generation_config.eos_token_id = None
    assert llama.stop_ids == {llama.end_id}


def test_a_talk_is_told_as_the_template_says(llama_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(llama_folder)
    llama = BaseModel(plain_model(llama_folder), tokenizer, "mine")
    messages = [{"role": "user", "content": "the dog"}]
    assert llama.render_chat(messages) is None
    tokenizer.chat_template = (
        "{% for message in messages %}{{ message['content'] }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}answer:{% endif %}"
    )
    told = llama.render_chat(messages)
    assert told == "the dog<|end|>answer:"
    end = llama.end_id
    assert llama.encode_control(told) == [
        *llama.encode("the dog").ids,
        end,
        *llama.encode("answer:").ids,
    ]
    assert end not in llama.encode(told).ids
    tokenizer.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(ModelError, match=r"chat template of mine .*roles must alternate"):
        llama.render_chat(messages)


def test_a_device_that_is_not_there_is_refused(llama_folder: Path) -> None:
    for load in (BaseModel.from_pretrained, load_model):
        with pytest.raises(ConfigError, match="no_such_device"):
            load(str(llama_folder), device="no_such_device")


@pytest.mark.filterwarnings("ignore::lmos.session.UntrainedWarning")
def test_a_model_computes_with_the_dtype_that_was_asked_for(
    llama_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = load_model(str(llama_folder), dtype="bfloat16")
    half.save_pretrained(tmp_path / "half")
    assert half.dtype == torch.bfloat16
    assert load_model(str(tmp_path / "half"), dtype="float32").dtype == torch.float32
    assert load_model(str(llama_folder)).dtype == torch.float32
    capabilities = {"avx512_bf16": True}
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: capabilities)
    assert load_model(str(tmp_path / "half"), device="cpu").dtype == torch.bfloat16
    capabilities.clear()
    assert load_model(str(tmp_path / "half"), device="cpu").dtype == torch.float32
    with pytest.raises(ConfigError, match="expected one of auto, float32, bfloat16, got 'int8'"):
        load_model(str(llama_folder), dtype="int8")
