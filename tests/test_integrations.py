"""LlamaIndex, Haystack, llm and vLLM over a store of a tiny model; the real packages."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import torch

from commands import output
from lmos.errors import ConfigError
from lmos.integrations.vllm import chat_request, decode_tensor, embeds_request, encode_tensor
from lmos.model.base import BaseModel
from lmos.reading.generation import prompt_embeddings
from lmos.session import Session

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
FACT = "The lock of the blue bicycle opens with 4812."
QUESTION = "What opens the blue bicycle?"


@pytest.fixture
def life(tiny_llama: BaseModel, tmp_path: Path) -> Path:
    tiny_llama.save_pretrained(tmp_path / "model")
    output("new", tmp_path / "life.lmos", "--model", tmp_path / "model")
    output("add", tmp_path / "life.lmos", "-", "--source", "notes.md", stdin=FACT)
    return tmp_path / "life.lmos"


def test_llamaindex_gets_nodes_with_scores(life: Path, tiny_llama: BaseModel) -> None:
    pytest.importorskip("llama_index.core")
    from lmos.integrations.llamaindex import LmosRetriever

    with Session.open(life, tiny_llama) as session:
        (found,) = LmosRetriever(session).retrieve(QUESTION)
    assert found.node.get_content() == FACT
    assert found.node.metadata["source"] == "notes.md"
    assert found.score is not None


@pytest.mark.filterwarnings("ignore::lmos.session.UntrainedWarning")
def test_a_haystack_pipeline_retrieves_and_is_saved(life: Path) -> None:
    pytest.importorskip("haystack")
    from haystack import Pipeline

    from lmos.integrations.haystack import LmosRetriever

    pipeline = Pipeline()
    pipeline.add_component("memory", LmosRetriever(path=str(life)))
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=["lmos.integrations.haystack"])
    for each in (pipeline, again):
        (document,) = each.run({"memory": {"query": QUESTION}})["memory"]["documents"]
        assert document.content == FACT
        assert document.meta["source"] == "notes.md"


@pytest.mark.filterwarnings("ignore::lmos.session.UntrainedWarning")
def test_llm_loads_fragments(life: Path) -> None:
    pytest.importorskip("llm")
    from lmos.integrations.llm import load_fragments, register_fragment_loaders

    loaders = {}
    register_fragment_loaders(lambda prefix, loader: loaders.update({prefix: loader}))
    (fragment,) = loaders["lmos"](f"{life}:{QUESTION}")
    assert str(fragment) == FACT
    assert fragment.source.endswith(f"notes.md#0-{len(FACT)}")
    with pytest.raises(ConfigError, match=r"STORE:QUESTION"):
        load_fragments("none.lmos:Who?")


def test_a_chat_request_holds_the_passages(life: Path, tiny_llama: BaseModel) -> None:
    with Session.open(life, tiny_llama) as session:
        body = chat_request(session, QUESTION, "some-model", max_tokens=64)
    assert body == json.loads(json.dumps(body))
    assert (body["model"], body["max_tokens"]) == ("some-model", 64)
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert f"[1] notes.md\n{FACT}" in body["messages"][1]["content"]
    assert body["messages"][1]["content"].endswith(QUESTION)


def test_embeddings_reach_the_server_as_they_are(life: Path, tiny_llama: BaseModel) -> None:
    with Session.open(life, tiny_llama) as session:
        body = embeds_request(session, QUESTION, "some-model", max_tokens=64)
        hits = session.retrieve(QUESTION).hits
        expected_TD = prompt_embeddings(tiny_llama, session.store, hits, QUESTION)
    assert body == json.loads(json.dumps(body))
    assert torch.equal(decode_tensor(body["prompt_embeds"]), expected_TD)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_tensor_survives_its_encoding(dtype: torch.dtype) -> None:
    tensor_TD = torch.randn(7, 5, generator=torch.Generator().manual_seed(0)).to(dtype).T
    again_TD = decode_tensor(encode_tensor(tensor_TD))
    assert again_TD.dtype == dtype
    assert torch.equal(again_TD, tensor_TD)


FRAMEWORKS = {
    "langchain": "langchain_core",
    "llamaindex": "llama_index.core",
    "haystack": "haystack",
    "llm": "llm",
}
DOCUMENT = Path(__file__).parent.parent / "docs" / "integrations.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text("utf-8"), re.M | re.S)


@pytest.mark.filterwarnings("ignore::lmos.session.UntrainedWarning")
@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_code_in_the_document_runs(
    number: int, life: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, package in FRAMEWORKS.items():
        if f"lmos.integrations.{name} " in BLOCKS[number]:
            pytest.importorskip(package)
    monkeypatch.chdir(life.parent)
    exec(compile(BLOCKS[number], f"{DOCUMENT.name}, block {number + 1}", "exec"), {})
    assert FACT in capsys.readouterr().out
