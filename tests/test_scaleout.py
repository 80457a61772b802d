"""Compression on a Ray cluster of two workers: the store is the one that a single process makes."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from building import assert_same_content, prose, small_manifest
from commands import failure, output, texts_in, values
from lmos.errors import ConfigError
from lmos.model.base import BaseModel
from lmos.session import Session, load_model
from lmos.store.memory import MemoryStore
from lmos.tree.builder import SourceText
from lmos.upkeep.scaleout import LOCAL, CompressorPool

NAMES = [f"text {number}" for number in range(12)]
TEXTS = {name: prose(150 + 20 * number, seed=number) for number, name in enumerate(NAMES)}
SOURCES = [SourceText(name, text.encode()) for name, text in TEXTS.items()]


@pytest.fixture
def model_folder(tiny_llama: BaseModel, tmp_path: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_llama, "is_trained", True)  # every test shares this model
        tiny_llama.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_worker_dies_and_the_store_is_as_if_one_process_had_made_it(model_folder: Path) -> None:
    pytest.importorskip("ray")
    model = load_model(str(model_folder))
    alone, together = MemoryStore(small_manifest(model)), MemoryStore(small_manifest(model))
    with Session(model, alone) as session:
        for name, text in TEXTS.items():
            session.add(name, text, time=1.0)
    with CompressorPool(LOCAL, alone.manifest, str(model_folder), num_workers=2) as pool:
        first, second = pool.process_ids()
        assert len({first, second, os.getpid()}) == 3
        done = []
        for source, patch in pool.patches(SOURCES):
            together.put_source(source.name, patch, time=1.0)
            done.append(source.name)
            if len(done) == 3:
                os.kill(second, signal.SIGKILL)
        assert done == NAMES
        assert second not in pool.process_ids()
    assert_same_content(alone, together)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_files_are_added_once_and_what_did_not_change_is_skipped(
    model_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    folder, store = tmp_path / "texts", tmp_path / "life.lmos"
    folder.mkdir()
    for name in NAMES[:4]:
        (folder / f"{name}.txt").write_text(TEXTS[name])
    output("new", store, "--model", model_folder)
    added = values("add", store, folder, "--ray", LOCAL)
    assert [source["action"] for source in added["sources"]] == ["added"] * 4
    (folder / f"{NAMES[1]}.txt").write_text("Something else. " * 30)
    again = values("add", store, folder, "--ray", LOCAL)
    assert sorted(source["action"] for source in again["sources"]) == ["unchanged"] * 3 + [
        "updated"
    ]
    assert texts_in(store) == {str(path): path.read_text() for path in sorted(folder.iterdir())}


def test_without_ray_the_message_says_what_to_install(
    tiny_llama: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'lmos\[ray\]'"):
        CompressorPool(LOCAL, small_manifest(tiny_llama), "model")


def test_a_cluster_takes_files_only(tmp_path: Path) -> None:
    store = tmp_path / "life.lmos"
    output("new", store)
    message = failure("add", store, "-", "--source", "a", "--ray", LOCAL, code=2, stdin="text")
    assert "--ray: expected files and folders" in message
