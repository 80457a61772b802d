"""`lmos train` from a folder of text to a model that answers."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from architectures import ARCHITECTURES
from commands import failure, output, run
from lmos.model.base import BaseModel

PROSE = "The old ferry crossed the river at dawn. Nobody on the quay had slept. " * 60
TINY = {
    "contexts": 1,
    "min_windows": 1,
    "max_windows": 1,
    "questions": 4,
    "readings": 2,
    "distractors": 1,
    "reconstructions": 2,
}
SETTINGS = ("--steps", 4, "--checkpoint-every", 2, "--seed", 3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name in ("ferry.txt", "quay.md", "dawn.txt"):
        (folder / name).write_text(PROSE)
    passages = ["The ferry is called Swan.", "Its captain is Eva."]
    asked = {"context": passages, "question": "Who is the captain?", "answer": "Eva", "gold": [1]}
    (folder / "mine.jsonl").write_text(json.dumps(asked) + "\n")
    return folder


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stages") / "stages.json"
    path.write_text(json.dumps([{"name": name, "objective": TINY} for name in ("find", "read")]))
    return path


def save_base(name: str, tokenizer_folder: Path, folder: Path) -> Path:
    config = {**ARCHITECTURES[name], "max_position_embeddings": 512}
    BaseModel.from_config(config, tokenizer_folder, seed=0).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def base(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_base("qwen3", tokenizer_folder, tmp_path_factory.mktemp("qwen3"))


def test_a_model_is_trained_and_used(base: Path, data: Path, stages: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    before = BaseModel.from_pretrained(base).base_hash
    result = run(
        "train", "--base", base, "--data", data, "--out", out, "--stages", stages, *SETTINGS
    )
    assert result.exit_code == 0, result.output
    assert str(out / "model") in result.stdout
    assert "step 4 of 4: loss" in result.stderr
    assert {path.name for path in out.iterdir()} == {
        "checkpoint.pt",
        "curves.svg",
        "metrics.jsonl",
        "model",
        "run.json",
    }
    told = json.loads((out / "run.json").read_text())
    assert told["base_hash"] == before
    assert [stage["name"] for stage in told["stages"]] == ["find", "read"]
    assert told["stages"][0]["objective"]["contexts"] == 1
    assert told["data"]["examples"] == 1
    (row,) = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    assert row["step"] == 4
    assert 1 < row["stage"] < 2
    trained = BaseModel.from_pretrained(out / "model")
    assert trained.is_trained
    assert trained.base_hash != before
    assert trained.adapter.config.depth is None
    heads = trained.adapter.heads
    assert heads is not None
    untrained = BaseModel.from_pretrained(base).adapter.heads
    assert untrained is not None
    assert not torch.equal(heads.own.weight, untrained.own.weight)
    torch.testing.assert_close(heads.gate_V, untrained.gate_V, rtol=0.3, atol=0.3)
    store = tmp_path / "life.lmos"
    output("new", store, "--model", out / "model", "--ratio", "8,3")
    output("add", store, data / "ferry.txt")
    assert "ferry.txt" in output("retrieve", store, "river")
    assert output("ask", store, "Who slept?", "--budget", 100) is not None
    assert not run("ask", store, "Who slept?", "--budget", 100).stderr.startswith("warning")


def test_attention_keys_are_trained_where_a_layer_is_named(
    base: Path, data: Path, stages: Path, tmp_path: Path
) -> None:
    command = ("train", "--base", base, "--data", data, "--out", tmp_path, "--stages", stages)
    output(*command, "--scoring-layer", 1, *SETTINGS)
    trained = BaseModel.from_pretrained(tmp_path / "model")
    assert trained.adapter.heads is None
    assert trained.scoring_layer == 1


def test_a_run_goes_on_only_when_told_to(
    base: Path, data: Path, stages: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = ("train", "--base", base, "--data", data, "--out", out, "--stages", stages, *SETTINGS)
    assert "no run in" in failure(*command, "--resume")
    output(*command)
    kept = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert "go on with it by --resume" in failure(*command)
    differing = failure(*command, "--passage-share", 0.5, "--resume")
    assert "passage_share: the run has 0.4, you gave 0.5" in differing
    assert kept == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    output(*command, "--resume")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--base", "nowhere/at/all"), "no model folder at nowhere/at/all"),
        (("--data", "nowhere"), "not a folder"),
        (("--stages", "reeding"), "expected names among warm-up, routing, reading"),
        (("--steps", 0), "num_steps: expected at least 1"),
        (("--passage-share", 2), "passage_share: expected 0 to 1, got 2"),
        (("--learning-rate", -1), "learning_rate: expected a number"),
        (("--scoring-layer", 9), "scoring layer below 3"),
        (("--device", "nowhere"), "device 'nowhere' cannot be used"),
        (("--lora-rank", 0), "rank: expected a number ≥ 1, got 0"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_written(
    base: Path, data: Path, tmp_path: Path, options: tuple[object, ...], message: str
) -> None:
    out = tmp_path / "run"
    said = failure("train", "--base", base, "--data", data, "--out", out, *options)
    assert message in said
    assert not out.exists()


def test_full_and_lora_exclude_each_other(base: Path, data: Path, tmp_path: Path) -> None:
    options = ("--full", "--lora-rank", 4)
    said = failure(
        "train", "--base", base, "--data", data, "--out", tmp_path / "a", *options, code=2
    )
    assert "expected --full or --lora-rank, got both" in said


# LoRA


@pytest.fixture(scope="module")
def lora_run(
    base: Path, data: Path, stages: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("lora") / "run"
    command = ("train", "--base", base, "--data", data, "--out", out, "--stages", stages, *SETTINGS)
    output(*command, "--lora-rank", 2, "--lora-learning-rate", 0.05)
    return out


def test_lora_weights_are_trained_and_used(
    base: Path, data: Path, lora_run: Path, tmp_path: Path
) -> None:
    folder = lora_run / "model"
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "lmos_adapter.json",
        "lmos_adapter.safetensors",
    }
    weights = load_file(folder / "adapter_model.safetensors")
    assert all(weight.any() for name, weight in weights.items() if "lora_A" in name)
    # The paths of values and outputs end in the layer that scores, the second of three.
    assert any(weight.any() for name, weight in weights.items() if "lora_B" in name)
    assert BaseModel.from_pretrained(folder).base_hash == BaseModel.from_pretrained(base).base_hash
    store = tmp_path / "life.lmos"
    output("new", store, "--model", folder, "--ratio", "8,3")
    output("add", store, data / "ferry.txt")
    asked = run("ask", store, "Who slept?", "--budget", 100)
    assert asked.exit_code == 0, asked.output
    assert "warning" not in asked.stderr
    elsewhere = tmp_path / "elsewhere.lmos"
    output("new", elsewhere, "--model", base, "--adapter", folder, "--ratio", "8,3")


def test_peft_reads_the_lora_weights(base: Path, lora_run: Path) -> None:
    plain = BaseModel.from_pretrained(base)
    ids_BT = torch.arange(2, 12)[None]
    with torch.no_grad():
        before_BTV = plain.logits(plain.forward(plain.embed(ids_BT)))
        ours = BaseModel.from_pretrained(lora_run / "model")
        ours_BTV = ours.logits(ours.forward(ours.embed(ids_BT)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = PeftModel.from_pretrained(
                AutoModelForCausalLM.from_pretrained(base), str(lora_run / "model")
            )
        theirs_BTV = theirs(input_ids=ids_BT).logits
    torch.testing.assert_close(ours_BTV, theirs_BTV, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(before_BTV, ours_BTV, rtol=1e-3, atol=1e-3)


def test_lora_weights_are_trained_on(
    data: Path, stages: Path, lora_run: Path, tmp_path: Path
) -> None:
    command = ("train", "--base", lora_run / "model", "--data", data, "--stages", stages, *SETTINGS)
    assert "leave --full and --lora-rank out" in failure(*command, "--out", tmp_path, "--full")
    output(*command, "--out", tmp_path / "run")
    first, second = (
        load_file(folder / "model" / "adapter_model.safetensors")
        for folder in (lora_run, tmp_path / "run")
    )
    assert first.keys() == second.keys()
    assert any((first[name] != second[name]).any() for name in first)


def test_an_adapter_is_refused_by_another_base_model(
    tokenizer_folder: Path, data: Path, lora_run: Path, tmp_path: Path
) -> None:
    other = save_base("llama", tokenizer_folder, tmp_path / "llama")
    store = tmp_path / "life.lmos"
    said = failure("new", store, "--model", other, "--adapter", lora_run / "model")
    assert "the adapter does not fit" in said
    config = {**ARCHITECTURES["qwen3"], "max_position_embeddings": 512}
    twin = tmp_path / "twin"
    BaseModel.from_config(config, tokenizer_folder, seed=5).save_pretrained(twin)
    said = failure("new", store, "--model", twin, "--adapter", lora_run / "model")
    assert "was trained on another base model" in said
    assert not store.exists()


def test_an_adapter_whose_base_model_has_gone_says_so(lora_run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(lora_run / "model", tmp_path / "model"))
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "base_model_name_or_path": "/nowhere/at/all"}))
    said = failure("new", tmp_path / "life.lmos", "--model", folder)
    assert "names the base model '/nowhere/at/all', which is not there" in said
    path.write_text("{")
    assert "cannot be read" in failure("new", tmp_path / "life.lmos", "--model", folder)


def test_large_models_are_trained_by_lora_unless_told_otherwise(
    base: Path, data: Path, stages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmos.training.run._MOST_IN_FULL", 1000)
    command = ("train", "--base", base, "--data", data, "--stages", stages, "--steps", 1)
    output(*command, "--out", tmp_path / "lora")
    output(*command, "--out", tmp_path / "full", "--full")
    assert (tmp_path / "lora" / "model" / "adapter_config.json").exists()
    assert not (tmp_path / "full" / "model" / "adapter_config.json").exists()


BASES_WITHOUT: dict[str, tuple[Callable[[Path], object], str]] = {
    "weights": (lambda base: (base / "model.safetensors").unlink(), "no weights in"),
    "config": (lambda base: (base / "config.json").unlink(), "no config.json in"),
    "tokenizer": (lambda base: (base / "tokenizer.json").unlink(), "tokenizer"),
    "whole weights": (lambda base: (base / "model.safetensors").write_bytes(b""), "does not load"),
}


@pytest.mark.parametrize("piece", list(BASES_WITHOUT))
def test_a_base_without_a_piece_is_refused(
    piece: str, base: Path, data: Path, tmp_path: Path
) -> None:
    remove, message = BASES_WITHOUT[piece]
    folder = Path(shutil.copytree(base, tmp_path / "base"))
    remove(folder)
    said = failure("train", "--base", folder, "--data", data, "--out", tmp_path / "run")
    assert message in said
    assert not (tmp_path / "run").exists()
