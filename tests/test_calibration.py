"""Calibration: questions without an answer, and a curve that is fitted to right and wrong ones."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from commands import failure, run, values
from conftest import new_llama
from lmos.errors import ConfigError, DataError
from lmos.model.base import BaseModel
from lmos.model.confidence import CALIBRATION_FILE, Calibration, Evidence
from lmos.training.calibration import (
    CalibrationConfig,
    Judged,
    area_under_roc,
    fit_calibration,
    fit_logistic,
)
from lmos.training.corpus import Document, PassageSampler, is_held_out
from lmos.training.questions import PassageQuestion
from lmos.training.unanswerable import HalfAnsweredSampler

PROSE = "The old ferry crossed the river at dawn. Nobody on the quay had slept. " * 60
# Words enough that what is asked in vain is not told by chance.
WORDS = " ".join(a + b for a in ("bar", "cor", "del") for b in ("ade", "ino", "une", "ist"))
PASSAGES = PassageSampler([Document("a.txt", PROSE + WORDS)])
ARTICLE = [
    PassageQuestion(
        "tower", f"Passage {number} says {number * 111}.", ((f"Q{number}?", f"A{number}"),)
    )
    for number in range(8)
]


# Questions without an answer


@pytest.mark.parametrize("seed", range(12))
def test_half_of_the_questions_about_books_have_no_answer(seed: int) -> None:
    sampler = HalfAnsweredSampler(PASSAGES, [])
    drawn = sampler.sample(random.Random(seed), num_chars=2000, num_questions=12)
    answered = [asked for asked in drawn.asked if asked.answer is not None]
    assert 3 <= len(answered) <= 9
    assert 3 <= len(drawn.asked) - len(answered) <= 9
    for asked in answered:
        assert str(asked.answer).lower() in drawn.text.lower()
    rest = drawn.text
    assert sampler.sample(random.Random(seed), num_chars=2000, num_questions=12) == drawn
    assert len(rest) > 1500


def test_a_fact_that_is_asked_for_in_vain_is_told_nowhere() -> None:
    sampler = HalfAnsweredSampler(PASSAGES, [])
    for seed in range(20):
        drawn = sampler.sample(random.Random(seed), num_chars=500, num_questions=8)
        sentences = [sentence.lower() for sentence in re.split(r"(?<!Dr)[.?!]\s", drawn.text)]
        for asked in drawn.asked:
            words = {word.strip("?'s").lower() for word in asked.question.split()[1:]}
            if asked.answer is None:
                for sentence in sentences:
                    assert not all(word in sentence for word in words if len(word) > 3), asked


def test_near_misses_are_told_and_answer_nothing() -> None:
    lengths = []
    for share in (0.0, 1.0):
        sampler = HalfAnsweredSampler(PASSAGES, [], near_miss_share=share)
        drawn = [sampler.sample(random.Random(seed), 500, 12) for seed in range(20)]
        lengths.append(sum(len(re.findall(r"[.?!](?:\s|$)", each.text)) for each in drawn))
        num_asked = sum(len(each.asked) for each in drawn)
        assert 200 < num_asked < 280
        assert sum(asked.answer is None for each in drawn for asked in each.asked) > 80
    assert lengths[1] > lengths[0] + 150


def test_half_of_the_questions_about_articles_are_about_passages_left_out() -> None:
    sampler = HalfAnsweredSampler(PASSAGES, ARTICLE, passage_share=1.0)
    drawn = sampler.sample(random.Random(1), num_chars=60, num_questions=6)
    assert {asked.answer is None for asked in drawn.asked} == {True, False}
    for asked in drawn.asked:
        number = asked.question[1:-1]
        assert (f"Passage {number} says" in drawn.text) == (asked.answer is not None)


# The curve


def judged_answers(num_texts: int, seed: int = 0) -> list[Judged]:
    """Answers that are right as often as a curve over two of the numbers says."""
    rng = random.Random(seed)
    judged = []
    for number in range(num_texts * 20):
        gap, tokens, noise = rng.gauss(0, 2), rng.gauss(-1, 1), rng.gauss(0, 50)
        evidence = Evidence(tokens, 0.0, -3.0, noise, gap, *[0.0] * 8)
        chance = torch.tensor(1.5 * gap + 2.0 * tokens + 1.0).sigmoid().item()
        is_right = rng.random() < chance
        has_answer, is_given = is_right or rng.random() < 0.3, is_right or rng.random() < 0.9
        judged.append(Judged(evidence, number // 20, has_answer, is_given, is_right))
    return judged


def test_a_logistic_curve_is_found_again() -> None:
    generator = torch.Generator().manual_seed(0)
    x_NF = torch.randn(20_000, 3, generator=generator, dtype=torch.float64)
    x_NF = x_NF * torch.tensor([1.0, 10.0, 0.1]) + torch.tensor([0.0, 5.0, -3.0])
    weights_F = torch.tensor([1.5, -0.1, 0.0], dtype=torch.float64)
    y_N = (torch.rand(20_000, generator=generator) < (x_NF @ weights_F + 0.3).sigmoid()).double()
    found_F, bias = fit_logistic(x_NF, y_N)
    torch.testing.assert_close(found_F[:2], weights_F[:2], rtol=0.08, atol=0.01)
    assert abs(bias + float(found_F[2]) * -3.0 - 0.3) < 0.1


def test_a_curve_orders_answers_and_its_confidence_is_their_share() -> None:
    judged = judged_answers(100)
    calibration, report = fit_calibration(judged, 0.05, "hash")
    assert report.num_questions == 2000
    assert report.auroc > 0.75
    fresh = judged_answers(100, seed=1)
    sure = [(calibration.confidence(one.evidence), one.is_right) for one in fresh]
    for low, high in ((0.0, 0.2), (0.2, 0.4), (0.4, 0.7)):
        inside = [
            (confidence, is_right) for confidence, is_right in sure if low < confidence < high
        ]
        mean = sum(confidence for confidence, _ in inside) / len(inside)
        share = sum(is_right for _, is_right in inside) / len(inside)
        assert share == pytest.approx(mean, abs=0.06)


@pytest.mark.parametrize("false_share", [0.02, 0.1, 0.5, 0.99])
def test_the_threshold_lets_no_more_pass_than_allowed(false_share: float) -> None:
    judged = judged_answers(50)
    calibration, report = fit_calibration(judged, false_share, "hash")
    assert report.false_share <= false_share
    assert report.false_share > false_share - 0.02 or calibration.threshold == 0
    assert 0 <= report.found_share <= 1


def test_answers_that_are_all_alike_teach_nothing() -> None:
    for is_right in (True, False):
        judged = [replace(one, is_right=is_right) for one in judged_answers(5)]
        with pytest.raises(DataError, match="some right answers and some wrong"):
            fit_calibration(judged, 0.05, "hash")


def test_the_area_under_the_curve_counts_pairs() -> None:
    scores_N = torch.tensor([0.1, 0.4, 0.4, 0.8], dtype=torch.float64)
    is_positive_N = torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    assert area_under_roc(scores_N, is_positive_N) == 3.5 / 4


@pytest.mark.parametrize(
    "options",
    [
        {"num_texts": 4},
        {"num_questions": 1},
        {"min_chars": 9, "max_chars": 8},
        {"false_share": 0.0},
    ],
)
def test_a_config_out_of_range_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        CalibrationConfig(**options)  # type: ignore[arg-type]


# The command


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short texts and few questions for the command."""
    small = partial(CalibrationConfig, num_questions=4, min_chars=100, max_chars=200)
    monkeypatch.setattr("lmos.training.calibration.CalibrationConfig", small)


@pytest.fixture(scope="module")
def model_folder(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    model = new_llama(tokenizer_folder, max_position_embeddings=1024)
    model.is_trained = True
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one text that training leaves out."""
    folder = tmp_path_factory.mktemp("data")
    name = next(f"{number}.txt" for number in range(1000) if is_held_out(f"{number}.txt"))
    (folder / name).write_text(PROSE)
    return folder


def test_a_model_that_answers_nothing_right_is_refused(model_folder: Path, data: Path) -> None:
    error = failure("calibrate", model_folder, "--data", data, "--texts", 5)
    assert "got 0 right; train the model first" in error
    assert not (model_folder / CALIBRATION_FILE).exists()


def test_a_calibration_is_written_beside_the_adapter(
    model_folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A random model is never right: let it be graded by the length of what it says.
    graded = "lmos.training.calibration.is_same"
    monkeypatch.setattr(graded, lambda said, wanted: len(said) % 2 == 0)
    report = values("calibrate", model_folder, "--data", data, "--texts", 5)
    assert report["folder"] == str(model_folder)
    assert 0 <= report["auroc"] <= 1
    written = json.loads((model_folder / CALIBRATION_FILE).read_text())
    assert written["threshold"] == report["threshold"]
    model = BaseModel.from_pretrained(model_folder)
    assert model.calibration == Calibration.load(model_folder)
    shown = run("calibrate", model_folder, "--data", data, "--texts", 5)
    assert shown.exit_code == 0
    assert f"AUROC {report['auroc']:.3f}" in shown.stdout


def test_what_cannot_be_calibrated_is_refused(
    model_folder: Path, data: Path, tokenizer_folder: Path, tmp_path: Path
) -> None:
    new_llama(tokenizer_folder).save_pretrained(tmp_path / "plain")
    error = failure("calibrate", tmp_path / "plain", "--data", data)
    assert "expected a trained model" in error
    assert "expected a model or adapter folder" in failure("calibrate", "none", "--data", data)
    assert "held-out split" in failure("calibrate", model_folder, "--data", tmp_path)
