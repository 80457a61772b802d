"""The session: the verbs together, on a file, across processes."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from building import assert_same_content, prose
from conftest import LLAMA, new_llama
from lmos.errors import (
    ConfigError,
    DataError,
    ModelError,
    QueryError,
    SourceNotFound,
    StoreExists,
    StoreMismatch,
    StoreNotFound,
)
from lmos.model.base import BaseModel
from lmos.model.confidence import Calibration
from lmos.search.retriever import Retrieval, RetrievalConfig
from lmos.session import Session, UntrainedWarning, load_model, make_manifest
from lmos.store.memory import MemoryStore
from lmos.upkeep.reencoding import reencode

DIARY = "Monday: rain — déjà vu. The code of the blue bicycle is 4812.\n" + prose(300)
BOOK = prose(400, seed=4)
QUESTION = "What is the code of the blue bicycle?"
CONFIG = RetrievalConfig(budget=120, beam=12)
RATIOS = (16, 4, 2)


@pytest.fixture(scope="module")
def model_folder(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that says that it was trained."""
    folder = tmp_path_factory.mktemp("model")
    model = new_llama(tokenizer_folder, is_endless=True)
    model.is_trained = True
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(model_folder: Path) -> BaseModel:
    return load_model(str(model_folder))


@pytest.fixture
def session(tmp_path: Path, model: BaseModel) -> Iterator[Session]:
    with Session.create(tmp_path / "life.lmos", model, RATIOS) as session:
        yield session


def summary(retrieval: Retrieval) -> list[list[Any]]:
    """A retrieval as plain values."""
    return [
        [hit.source.name, *hit.node.id, *hit.byte_span, hit.is_text, hit.score, hit.weight]
        for hit in retrieval.hits
    ]


# The verbs


def test_what_is_added_is_found_and_answered_from(session: Session) -> None:
    diary = session.add("diary", DIARY, time=1.0, metadata={"kind": "diary"})
    book = session.add("book", BOOK, time=2.0)
    assert session.sources() == [diary, book]
    assert diary.metadata == {"kind": "diary"}
    assert diary.num_bytes == len(DIARY.encode())
    answer = session.ask(QUESTION, CONFIG, max_new_tokens=8)
    assert answer.text == ""
    pieces = list(answer)
    assert answer.text == "".join(pieces)
    assert list(answer) == []
    assert {"retrieve", "total"} <= set(answer.timing)
    assert answer.retrieval == session.retrieve(QUESTION, CONFIG)
    assert session.ask(QUESTION, CONFIG, max_new_tokens=8).complete().text == answer.text
    assert session.verify() == []


def test_citations_are_the_bytes_of_their_source_best_first(session: Session) -> None:
    texts = {"diary": DIARY, "book": BOOK}
    for name, text in texts.items():
        session.add(name, text)
    wide = replace(CONFIG, budget=2000, max_texts=16, text_mass=1.0, strategy="tree")
    for config in (wide, RetrievalConfig(level=2), replace(wide, strategy="flat")):
        retrieval = session.retrieve(QUESTION, config)
        citations = session.cite(retrieval)
        assert len(retrieval.hits) >= len(citations) > 2
        for citation in citations:
            raw = texts[citation.source].encode()[citation.start_byte : citation.end_byte]
            assert citation.text.encode() == raw
        assert [c.score for c in citations] == sorted((c.score for c in citations), reverse=True)
        assert sum(citation.weight for citation in citations) == pytest.approx(1)


def say(model: BaseModel, monkeypatch: pytest.MonkeyPatch, text: str, log_odds: float) -> None:
    """Make the model say a text, each token likelier than all others by these odds, every time."""
    assert model.end_id is not None
    waiting = cycle([*model.encode(f" {text}").ids, model.end_id])

    def step(x_BTD: Tensor, cache: Any) -> tuple[Tensor, Any]:
        logits_V = torch.zeros(model.vocab_size)
        logits_V[next(waiting)] = math.log(model.vocab_size - 1) + log_odds
        return logits_V, None

    monkeypatch.setattr(model, "step", step)


def test_an_answer_ends_with_its_confidence(
    session: Session, model: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.add("diary", "It rained. The code of the blue bicycle is 4812.")
    say(model, monkeypatch, "4812", log_odds=2.0)
    answer = session.ask(QUESTION, CONFIG)
    pieces = iter(answer)
    next(pieces)
    assert (answer.confidence, answer.is_found, answer.evidence) == (0.0, False, None)
    list(pieces)
    assert answer.text == "4812"
    assert answer.is_found
    assert answer.confidence == pytest.approx(1 / (1 + math.exp(-2.0)), rel=0.01)
    assert answer.evidence is not None
    assert answer.evidence.quoted_share == 1
    marked = [citation for citation in answer.citations if citation.has_answer]
    assert marked == [c for c in answer.citations if "4812" in c.text]
    assert marked[0].text == "The code of the blue bicycle is 4812."


def test_an_answer_below_the_threshold_is_not_found(
    session: Session, model: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.add("diary", "It rained. The code of the blue bicycle is 4812.")
    for bias, is_found in ((-1.0, False), (1.0, True)):
        calibration = Calibration({}, bias, threshold=0.5, adapter_hash=model.adapter_hash)
        monkeypatch.setattr(model, "calibration", calibration)
        say(model, monkeypatch, "4812", log_odds=2.0)
        answer = session.ask(QUESTION, CONFIG).complete()
        assert (answer.text, answer.is_found) == ("4812", is_found)
        assert answer.confidence == pytest.approx(1 / (1 + math.exp(-bias)))


@pytest.mark.parametrize("text", ["not found", "Not found.", ""])
def test_a_reader_that_knows_no_answer_found_none(
    session: Session, model: BaseModel, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    session.add("diary", "The key was not found. It rained.")
    say(model, monkeypatch, text, log_odds=9.0)
    answer = session.ask(QUESTION, CONFIG).complete()
    assert (answer.text, answer.is_found) == (text, False)
    assert not any(citation.has_answer for citation in answer.citations)


def test_sixty_appends_are_one_add(session: Session, tmp_path: Path, model: BaseModel) -> None:
    words = DIARY.split(" ")
    parts = [" ".join(words[n::60]) for n in range(60)]
    for part in parts:
        source = session.append("log", part, time=7.0)
    whole = session.store.text(source.source_id).decode()
    assert whole.split() == " ".join(parts).split()
    with Session.create(tmp_path / "other.lmos", model, RATIOS) as other:
        other.add("log", whole, time=7.0)
        assert_same_content(session.store, other.store)
        assert session.sources()[0].level_counts[1] > 0
        assert [row[:7] for row in summary(session.retrieve(QUESTION, CONFIG))] == [
            row[:7] for row in summary(other.retrieve(QUESTION, CONFIG))
        ]


def test_a_long_text_is_added_in_parts_and_whole_or_not_at_all(
    session: Session, model: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = prose(700, seed=5)
    monkeypatch.setattr("lmos.session._PART_CHARS", 500)
    session.add("long", text, time=1.0, metadata={"kind": "book"})
    with Session(model, MemoryStore(session.store.manifest)) as whole:
        monkeypatch.setattr("lmos.session._PART_CHARS", 10**6)
        whole.add("long", text, time=1.0, metadata={"kind": "book"})
        assert_same_content(session.store, whole.store)
    monkeypatch.setattr("lmos.session._PART_CHARS", 500)
    done: list[int] = []

    def stop(num_tokens: int) -> None:
        done.append(num_tokens)
        if len(done) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.add("other", text, progress=stop)
    assert [source.name for source in session.sources()] == ["long"]
    assert session.verify() == []


def test_an_append_keeps_labels_and_starts_a_line_only_where_there_is_none(
    session: Session,
) -> None:
    session.append("log", "one", time=1.0)
    session.add("log", "one", time=1.0, metadata={"kind": "log"})
    session.append("log", "two\n", time=2.0)
    source = session.append("log", "three", time=3.0)
    session.append("log", " four", time=4.0)
    assert session.store.text(source.source_id) == b"one\ntwo\nthree four"
    assert source.metadata == {"kind": "log"}
    assert source.time == 3.0


def test_adding_the_same_again_compresses_nothing(session: Session) -> None:
    first = session.add("diary", DIARY, time=1.0)
    told: list[int] = []
    assert session.add("diary", DIARY, time=1.0, progress=told.append) == first
    assert told == []
    session.add("diary", DIARY + "More.", progress=told.append)
    assert 0 < sum(told) < first.num_tokens / 2


def test_what_is_forgotten_is_gone(session: Session, tmp_path: Path) -> None:
    secret = "The zebra hides in Timbuktu."
    session.add("diary", DIARY)
    session.add("secret", secret)
    session.forget("secret")
    assert [source.name for source in session.sources()] == ["diary"]
    retrieval = session.retrieve("Where is the zebra?", RetrievalConfig(beam=10_000))
    assert {hit.source.name for hit in retrieval.hits} == {"diary"}
    session.close()
    assert secret.encode() not in (tmp_path / "life.lmos").read_bytes()
    with (
        Session.open(tmp_path / "life.lmos", session.model) as again,
        pytest.raises(SourceNotFound),
    ):
        again.forget("secret")


def test_forgetting_what_is_not_there_names_what_is_alike(session: Session) -> None:
    session.add("diary", DIARY)
    with pytest.raises(SourceNotFound, match="diary"):
        session.forget("dairy")


@pytest.mark.parametrize("question", ["", "  \n"])
def test_an_empty_question_is_refused(session: Session, question: str) -> None:
    for ask in (session.retrieve, session.ask):
        with pytest.raises(QueryError, match="empty"):
            ask(question)


def test_a_question_longer_than_the_window_is_refused(session: Session) -> None:
    with pytest.raises(QueryError, match="add long text to the store instead"):
        session.ask("why? " * 400)


@pytest.mark.parametrize(("name", "text"), [("", "x"), (" ", "x"), ("a", ""), ("a", " \n")])
def test_an_empty_name_or_text_is_refused(session: Session, name: str, text: str) -> None:
    for verb in (session.add, session.append):
        with pytest.raises(DataError, match="expected"):
            verb(name, text)
    assert session.sources() == []


def test_an_answer_without_room_is_refused_when_it_is_asked_for(session: Session) -> None:
    session.add("diary", DIARY)
    with pytest.raises(ConfigError, match="max_new_tokens"):
        session.ask(QUESTION, CONFIG, max_new_tokens=10_000)


def test_a_store_without_text_answers_from_nothing(session: Session) -> None:
    answer = session.ask(QUESTION, max_new_tokens=4).complete()
    assert answer.citations == ()
    assert (answer.confidence, answer.is_found) == (0.0, False)


# Across processes

CHILD = """
import json, sys
from lmos import RetrievalConfig, Session
path, question, budget, beam = sys.argv[1:]
with Session.open(path, read_only=True) as session:
    config = RetrievalConfig(budget=int(budget), beam=int(beam))
    answer = session.ask(question, config, max_new_tokens=8).complete()
    hits = [
        [hit.source.name, *hit.node.id, *hit.byte_span, hit.is_text, hit.score, hit.weight]
        for hit in answer.retrieval.hits
    ]
    print(json.dumps([hits, answer.text]))
"""


def test_another_process_finds_and_answers_the_same(session: Session, tmp_path: Path) -> None:
    session.add("diary", DIARY)
    session.add("book", BOOK)
    session.append("diary", "Sunday: sun.")
    answer = session.ask(QUESTION, CONFIG, max_new_tokens=8).complete()
    session.close()
    arguments = [str(tmp_path / "life.lmos"), QUESTION, str(CONFIG.budget), str(CONFIG.beam)]
    child = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    hits, text = json.loads(child.stdout)
    assert text == answer.text
    ours = summary(answer.retrieval)
    assert [row[:7] for row in hits] == [row[:7] for row in ours]
    for mine, other in zip(ours, hits, strict=True):
        assert mine[7:] == pytest.approx(other[7:], rel=1e-4)


def test_a_store_opens_again_with_the_model_that_its_manifest_names(
    session: Session, tmp_path: Path, model_folder: Path
) -> None:
    assert session.store.manifest.base_model == str(model_folder)
    session.add("diary", DIARY)
    before = summary(session.retrieve(QUESTION, CONFIG))
    session.close()
    with Session.open(tmp_path / "life.lmos") as again:
        assert summary(again.retrieve(QUESTION, CONFIG)) == before
        again.append("diary", "More.")
        assert again.verify() == []


# What is refused


def another_base(folder: Path) -> BaseModel:
    return new_llama(folder, seed=2)


def another_adapter(folder: Path) -> BaseModel:
    model = new_llama(folder)
    model.is_trained = True
    model.adapter.retrieval_RD.data[0, 0] += 1
    return model


def another_layer(folder: Path) -> BaseModel:
    model = new_llama(folder)
    model.new_adapter(scoring_layer=0)
    return model


@pytest.mark.parametrize(
    ("make_model", "differing"),
    [
        (another_base, ["the model", "base_hash", "adapter_hash"]),
        (another_adapter, ["adapter_hash"]),
        (another_layer, ["scoring_layer", "key_width", "adapter_hash"]),
    ],
)
def test_another_model_is_refused_naming_what_differs(
    session: Session,
    tmp_path: Path,
    tokenizer_folder: Path,
    make_model: Callable[[Path], BaseModel],
    differing: list[str],
) -> None:
    session.close()
    with pytest.raises(StoreMismatch) as caught:
        Session.open(tmp_path / "life.lmos", make_model(tokenizer_folder))
    lines = str(caught.value).splitlines()
    named = {line.split(":")[0].strip() for line in lines[1:-1]}
    assert named == set(differing)
    assert "new store" in lines[-1]
    # The refusal lets go of the file.
    Session.open(tmp_path / "life.lmos").close()


def test_a_model_without_an_adapter_is_warned_of(tokenizer_folder: Path, tmp_path: Path) -> None:
    new_llama(tokenizer_folder).save_pretrained(tmp_path / "plain")
    with pytest.warns(UntrainedWarning, match="not trained to compress and retrieve"):
        model = load_model(str(tmp_path / "plain"))
    assert make_manifest(model).adapter_hash == "untrained heads"


def test_a_store_from_before_there_were_heads_goes_on_as_it_was(
    tokenizer_folder: Path, tmp_path: Path
) -> None:
    path, folder = tmp_path / "life.lmos", tmp_path / "plain"
    BaseModel.from_config(LLAMA, tokenizer_folder, seed=1).save_pretrained(folder)
    model = BaseModel.from_pretrained(folder)
    with Session.create(path, model.with_attention_keys(), RATIOS) as before:
        before.add("diary", DIARY)
        expected = summary(before.retrieve(QUESTION, CONFIG))
    with pytest.warns(UntrainedWarning, match=r"lmos reencode STORE --model .*plain"):
        again = Session.open(path, model)
    with again:
        assert summary(again.retrieve(QUESTION, CONFIG)) == expected
        again.append("diary", "More.")
        assert again.verify(deep=20) == []
    assert model.adapter.heads is not None
    reencode(path, model)
    with Session.open(path, model) as anew:
        assert anew.store.manifest.adapter_hash == "untrained heads"
        assert anew.store.manifest.key_width == model.node_key_width


def test_a_model_that_is_nowhere_is_refused() -> None:
    with pytest.raises(ModelError):
        load_model("./no-such-folder")


def test_paths_that_do_not_fit_are_refused(
    session: Session, tmp_path: Path, model: BaseModel
) -> None:
    with pytest.raises(StoreExists):
        Session.create(tmp_path / "life.lmos", model)
    with pytest.raises(StoreNotFound):
        Session.open(tmp_path / "other.lmos", model)


@pytest.mark.parametrize(
    "options",
    [
        {"ratios": ()},
        {"ratios": (1,)},
        {"ratios": (16, 1)},
        {"ratios": (512,)},
        {"ratios": (2,) * 9},
        {"window": 1},
        {"window": 1000},
        {"segmenter": "words"},
    ],
)
def test_a_manifest_out_of_range_is_refused(model: BaseModel, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        make_manifest(model, **options)
