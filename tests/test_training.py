"""Training: true generators, a loop that resumes exactly, losses that reach the model."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from lmos.errors import DataError
from lmos.model.base import BaseModel
from lmos.session import make_manifest
from lmos.training.alignment import align_scores
from lmos.training.compression import CompressionObjective
from lmos.training.contexts import ContextSampler, hide_facts, quote_questions
from lmos.training.corpus import Document, PassageSampler, is_held_out, read_documents
from lmos.training.data import DataConfig, read_data
from lmos.training.facts import make_facts
from lmos.training.families import HELD_OUT_FAMILIES, TRAINING_FAMILIES
from lmos.training.losses import CompressionConfig
from lmos.training.questions import PassageQuestion, read_fairytaleqa, read_squad
from lmos.training.routing import info_nce
from lmos.training.staying import Staying
from lmos.training.words import HELD_OUT_WORDS, WordBank
from lmos.tree.keys import query_room

PROSE = "The old ferry crossed the river at dawn. Nobody on the quay had slept. " * 60


@pytest.fixture
def passages() -> PassageSampler:
    return PassageSampler([Document("a.txt", PROSE), Document("b.txt", PROSE[::-1])])


@pytest.mark.parametrize("families", [TRAINING_FAMILIES, HELD_OUT_FAMILIES])
def test_a_fact_states_its_answer_and_no_two_answer_the_same_question(families: object) -> None:
    assert isinstance(families, tuple)
    facts = make_facts(random.Random(0), WordBank(held_out=False), families, 200)
    assert len({fact.key for fact in facts}) == 200
    for fact in facts:
        assert fact.answer.lower() in fact.statement.lower()
        assert "{" not in fact.statement + fact.question + fact.answer


def test_training_and_benchmark_draw_different_words() -> None:
    rng = random.Random(0)
    training, benchmark = WordBank(held_out=False), WordBank(held_out=True)
    for kind in ("place", "city", "job", "food", "animal", "nickname", "subject"):
        seen = {training.draw(rng, kind) for _ in range(300)}
        assert not seen & {benchmark.draw(rng, kind) for _ in range(300)}, kind


def test_wild_words_are_drawn_from_the_training_side_only() -> None:
    wild = ["lantern", "sorrow", "drifting", "tartan", "quickly", "meadowed", "harrowed"]
    rng = random.Random(0)
    words = WordBank(held_out=False, wild=wild)
    drawn = {words.draw(rng, "food") for _ in range(2000)} & set(wild)
    assert drawn == {word for word in wild if not is_held_out(word, HELD_OUT_WORDS)}


def test_a_hidden_fact_lies_where_its_gold_span_says() -> None:
    context = hide_facts(
        random.Random(1), PROSE, WordBank(held_out=True), TRAINING_FAMILIES, num_facts=20
    )
    text = context.text.encode()
    assert len(context.questions) == 20
    for question in context.questions:
        statement = text[question.golds[0].start : question.golds[0].stop].decode()
        assert statement.endswith(".")
        assert question.answer
        assert question.answer.lower() in statement.lower()
    without = context.text
    for question in context.questions:
        statement = text[question.golds[0].start : question.golds[0].stop].decode()
        without = without.replace(statement + " ", "", 1)
    assert without.split() == PROSE.split()


def test_a_quoted_question_names_words_of_its_sentence() -> None:
    text = "Ünder the bridge slept nineteen pigeons. The mayor counted every lantern twice. " * 3
    questions = quote_questions(random.Random(0), text, 6)
    assert questions
    for question in questions:
        sentence = text.encode()[question.golds[0].start : question.golds[0].stop].decode()
        assert sum(word.strip(".?") in sentence for word in question.question.split()) >= 2


def test_questions_about_passages_point_to_the_sentence_of_the_answer(
    passages: PassageSampler,
) -> None:
    passage = "Ravens nest early. The tower was built in 1312 by monks. Bells came later."
    question = PassageQuestion("tower", passage, (("When was it built?", "1312"),))
    sampler = ContextSampler(passages, [question], passage_share=1.0)
    context = sampler.sample(random.Random(0), num_chars=60, num_questions=4)
    asked = [q for q in context.questions if q.answer]
    assert asked
    for found in asked:
        sentence = context.text.encode()[found.golds[0].start : found.golds[0].stop].decode()
        assert sentence.strip() == "The tower was built in 1312 by monks."


def test_a_file_is_held_out_by_its_name_alone(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number}.txt").write_text("text")
    kept = {document.name for document in read_documents(tmp_path, held_out=False)}
    held = {document.name for document in read_documents(tmp_path, held_out=True)}
    assert kept | held == {f"{number}.txt" for number in range(200)}
    assert not kept & held
    assert 2 <= len(held) <= 25
    left = read_documents(tmp_path, held_out=False, exclude=["1*"])
    assert not any(document.name.startswith("1") for document in left)


def test_data_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a folder"):
        read_data(DataConfig(tmp_path / "missing"))
    with pytest.raises(DataError, match="no text file"):
        read_data(DataConfig(tmp_path))
    (tmp_path / "train-v1.1.json").write_text('{"data": [{"title": "x"}]}')
    with pytest.raises(DataError, match=r"SQuAD v1\.1 JSON"):
        read_squad(tmp_path / "train-v1.1.json", held_out=False)
    with pytest.raises(DataError, match="section-stories"):
        read_fairytaleqa(tmp_path, held_out=False)


def new_model(tokenizer_folder: Path) -> BaseModel:
    config = {
        "model_type": "llama",
        "vocab_size": 600,
        "hidden_size": 256,
        "intermediate_size": 64,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "head_dim": 64,
        "attention_bias": True,
        "tie_word_embeddings": True,
        "max_position_embeddings": 512,
        "rope_parameters": {"rope_type": "default", "rope_theta": 100_000.0},
        "bos_token_id": None,
        "eos_token_id": 0,
    }
    model = BaseModel.from_config(config, tokenizer_folder, seed=0)
    model.new_adapter(scoring_layer=0)
    return model


def test_aligned_scores_measure_likeness(tokenizer_folder: Path) -> None:
    model = new_model(tokenizer_folder)
    align_scores(model)
    ids_N1 = torch.arange(100, 160)[:, None]
    positions_N1 = torch.full_like(ids_N1, query_room(model))
    with torch.no_grad():
        alone = torch.ones(60, 1, 1, dtype=torch.bool)
        state = model.attention(model.embed(ids_N1), alone, positions_N1, 0)
        queries_NQ = state.queries_BHTd[:, :, 0].flatten(1) - model.adapter.query_offset_Q
        scores_NN = (
            queries_NQ @ model.adapter.query_map_RQK[0] @ state.keys_BGTd[:, :, 0].flatten(1).T
        )
    assert (scores_NN.argmax(1) == torch.arange(60)).float().mean() > 0.9


def test_the_loss_of_compression_reaches_the_adapter_and_the_base(
    tokenizer_folder: Path, passages: PassageSampler
) -> None:
    model = new_model(tokenizer_folder)
    manifest = make_manifest(model, (8, 4), window=64)
    config = CompressionConfig(
        contexts=2, min_windows=4, max_windows=6, questions=6, readings=4, reconstructions=4
    )
    objective = CompressionObjective(
        model, manifest, ContextSampler(passages, []), config, Staying(model, passages, 0), seed=0
    )
    loss, metrics = objective(0)
    assert loss.isfinite()
    assert {
        "routing",
        "answers",
        "reconstruction",
        "staying",
        "recall_1",
        "recall_2",
    } <= metrics.keys()
    torch.autograd.backward(loss)
    unused = {"adapter.head_weights_RH"}  # of the paper's scorer, which training does not use
    for name, parameter in model.as_module().named_parameters():
        assert name in unused or parameter.grad is not None, name
    again, _ = objective(0)
    torch.testing.assert_close(again, loss, rtol=1e-4, atol=1e-4)


def test_info_nce_asks_for_every_gold_sentence_by_any_of_its_nodes() -> None:
    generator = torch.Generator().manual_seed(0)
    scores_QRN = torch.randn(3, 2, 7, generator=generator, requires_grad=True)
    golds = [[[0], [3, 4]], [[6]], [[1, 2], [2], [5]]]
    gold_QGN = torch.zeros(3, 3, 7, dtype=torch.bool)
    for query, groups in enumerate(golds):
        for number, nodes in enumerate(groups):
            gold_QGN[query, number, nodes] = True
    loss = info_nce(scores_QRN, gold_QGN)
    naive = []
    for query, groups in enumerate(golds):
        right = {node for nodes in groups for node in nodes}
        terms = []
        for token in range(2):
            exp_N = scores_QRN[query, token].exp()
            wrong = sum(exp_N[node] for node in range(7) if node not in right)
            for nodes in groups:
                found = exp_N[nodes].sum()
                terms.append(-(found / (found + wrong)).log())
        naive.append(torch.stack(terms).mean())
    torch.testing.assert_close(loss, torch.stack(naive).mean())
    torch.autograd.backward(loss)
    assert scores_QRN.grad is not None
    assert scores_QRN.grad.isfinite().all()
