"""The paper read literally: a store made so is used like any other, also by the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from building import assert_same_content, prose
from commands import output, values
from lmos import paper
from lmos.errors import ConfigError
from lmos.model.base import BaseModel
from lmos.session import Session
from lmos.settings import Compression

RATIOS = (8, 4)
TEXT = prose(120)


def test_a_store_keeps_what_it_was_compressed_by(tiny_llama: BaseModel, tmp_path: Path) -> None:
    path = tmp_path / "paper.lmos"
    with Session.create(path, tiny_llama, RATIOS, compression=paper.LITERAL) as session:
        session.add("a", TEXT[:200], time=0.0)
        manifest = session.store.manifest
    assert (manifest.mask_mode, manifest.output_mode) == ("strict", "paper")
    with (
        Session.open(path, tiny_llama, scorer=paper.JointScorer(tiny_llama)) as session,
        Session.create(tmp_path / "b", tiny_llama, RATIOS, compression=paper.LITERAL) as at_once,
        Session.create(tmp_path / "c", tiny_llama, RATIOS) as usual,
    ):
        session.add("a", TEXT)
        assert session.retrieve("Who sleeps?").hits
        assert session.ask("Who sleeps?", max_new_tokens=2).complete().citations
        at_once.add("a", TEXT, time=0.0)
        usual.add("a", TEXT, time=0.0)
        assert_same_content(session.store, at_once.store)
        with pytest.raises(AssertionError):
            assert_same_content(session.store, usual.store)


def test_the_command_line_goes_on_with_such_a_store(tiny_llama: BaseModel, tmp_path: Path) -> None:
    tiny_llama.save_pretrained(tmp_path / "model")
    (tmp_path / "b.txt").write_text(prose(60, seed=2))
    path = tmp_path / "paper.lmos"
    model = BaseModel.from_pretrained(tmp_path / "model")
    Session.create(path, model, RATIOS, compression=paper.LITERAL).close()
    output("add", path, tmp_path / "b.txt")
    assert output("verify", path, "--deep") is not None
    assert values("status", path)["mask"] == "strict"


def test_a_mode_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match="mask: expected one of window, strict, got 'open'"):
        Compression(mask_mode="open")
    with pytest.raises(ConfigError, match="output: expected one of residual, mean, paper"):
        Compression(output_mode="sum")
