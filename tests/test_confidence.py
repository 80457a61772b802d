"""Confidence: numbers about an answer, and what is made of them."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmos.errors import ModelError
from lmos.model.confidence import (
    CALIBRATION_FILE,
    Calibration,
    Evidence,
    SecondReading,
    confidence_of,
    find_words,
)

PASSAGE = "The code of the blue\nbicycle is 4812. It stands in the shed."
SURE = Evidence.gather(
    "What is the code?", "4812", [-0.1, -0.3], -5.0, [3.0, 1.0, 0.0], [PASSAGE, "Rain."]
)
CALIBRATION = Calibration({"min_log_probability": 2.0, "best_score": 0.5}, -1.0, 0.4, "hash")


def test_a_second_reading_is_evidence_and_none_is_as_if_it_had_said_the_same() -> None:
    passages = ["The train leaves at 9:40."]
    once = Evidence.gather("When?", "9:40", [-0.1], -5.0, [], passages)
    again = SecondReading(False, [-1.0, -30.0], -0.5)
    twice = Evidence.gather("When?", "9:40", [-0.1], -5.0, [], passages, again)
    assert (once.alone_share, once.alone_mean_log_probability) == (1, -0.1)
    assert once.alone_unknown_log_probability == -5.0
    assert (twice.alone_share, twice.alone_mean_log_probability) == (0, -10.5)
    assert twice.alone_unknown_log_probability == -0.5


def test_evidence_says_what_was_seen() -> None:
    assert SURE.mean_log_probability == pytest.approx(-0.2)
    assert SURE.min_log_probability == -0.3
    assert SURE.unknown_log_probability == -5.0
    assert (SURE.best_score, SURE.runner_up_gap, SURE.median_gap) == (3.0, 2.0, 2.0)
    weights = [math.exp(score) / sum(map(math.exp, (3, 1, 0))) for score in (3, 1, 0)]
    assert SURE.score_entropy == pytest.approx(-sum(w * math.log(w) for w in weights))
    # "the", "code" and "is", of what, is, the, code.
    assert SURE.question_share == 3 / 4
    assert SURE.name_share == 1
    assert SURE.quoted_share == 1


@pytest.mark.parametrize(
    ("question", "share"),
    [
        ("When does the train to Tampa leave?", 0.0),
        ("When does the train to Pemter leave?", 1.0),
        ("Does Ada or Pemter have 12 trains?", 1 / 3),
        ("Pemter?", 1.0),
        ("when is it?", 1.0),
    ],
)
def test_names_are_looked_for_in_the_passages(question: str, share: float) -> None:
    passages = ["At 9:40 the train departs for Pemter.", "It rained."]
    evidence = Evidence.gather(question, "9:40", [-0.1], -5.0, [1.0], passages)
    assert evidence.name_share == pytest.approx(share)


def test_evidence_of_nothing_is_finite() -> None:
    empty = Evidence.gather("?!", "", [], -math.inf, [], [])
    assert all(math.isfinite(value) for value in asdict(empty).values())
    assert confidence_of(empty, None) < 1e-6


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("4812", (32, 36)),
        ("BLUE  bicycle", (16, 28)),
        ("481", None),
        ("icycle", None),
        ("shed.", (55, 60)),
        ("", None),
        (" ", None),
    ],
)
def test_words_are_found_whole_whatever_their_case_and_gaps(
    words: str, place: tuple[int, int] | None
) -> None:
    assert find_words(words, PASSAGE) == place


def test_the_guess_falls_with_doubt() -> None:
    unsure = replace(SURE, mean_log_probability=-1.0)
    says_unknown = replace(SURE, unknown_log_probability=-0.1)
    assert 0.8 < confidence_of(SURE, None) < 0.83
    assert confidence_of(unsure, None) < confidence_of(SURE, None)
    assert confidence_of(says_unknown, None) < 0.1


@given(st.dictionaries(st.sampled_from([f.name for f in fields(Evidence)]), st.floats(-1e9, 1e9)))
def test_a_confidence_is_a_probability(weights: dict[str, float]) -> None:
    assert 0 <= Calibration(weights, 0.0, 0.5, "hash").confidence(SURE) <= 1


def test_a_calibration_weighs_the_evidence() -> None:
    expected = 1 / (1 + math.exp(-(-1.0 - 0.6 + 1.5)))
    assert confidence_of(SURE, CALIBRATION) == pytest.approx(expected)


def test_a_calibration_is_read_as_it_was_saved(tmp_path: Path) -> None:
    assert Calibration.load(tmp_path) is None
    CALIBRATION.save(tmp_path)
    assert Calibration.load(tmp_path) == CALIBRATION


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "upgrade lmos"),
        ({"weights": {"mood": 1.0}}, "mood"),
        ({"weights": [1.0]}, "cannot be read"),
        ({"bias": "high"}, "cannot be read"),
    ],
)
def test_a_calibration_that_does_not_fit_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    CALIBRATION.save(tmp_path)
    path = tmp_path / CALIBRATION_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=message):
        Calibration.load(tmp_path)
