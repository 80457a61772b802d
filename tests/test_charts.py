"""Charts of results: points where they belong, and files that are not results refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.charts import Point, draw_chart
from benchmarks.plot import PLOTS, Plot, series_of
from test_benchmarks import run

SVG = "{http://www.w3.org/2000/svg}"


def share(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.1, "high": mean + 0.1}


def circles(svg: str) -> list[tuple[float, float]]:
    root = ElementTree.fromstring(svg)
    return [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in root.iter(f"{SVG}circle")]


def test_a_higher_value_stands_higher_and_a_later_one_further_right() -> None:
    points = [Point(x, y, y, y) for x, y in ((1, 0.0), (2, 1.0), (4, 0.5))]
    places = circles(draw_chart("t", "x", {"a": points}))
    across, down = zip(*places, strict=True)
    assert list(across) == sorted(across)
    assert down[0] > down[2] > down[1]
    assert down[2] == pytest.approx((down[0] + down[1]) / 2)


def test_a_wide_axis_is_logarithmic_and_zero_stands_before_it() -> None:
    points = [Point(x, 0.5, 0.4, 0.6) for x in (0, 1_000, 10_000, 100_000)]
    across = [x for x, _ in circles(draw_chart("t", "x", {"a": points}))]
    assert across[2] - across[1] == pytest.approx(across[3] - across[2], abs=0.2)
    assert across[0] < across[1]


def test_names_with_markup_stay_text() -> None:
    svg = draw_chart("a < b", "x", {"c & d": [Point(1, 2, 2, 2)]})
    texts = [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    assert {"a < b", "c & d"} <= set(texts)


def test_cells_at_one_place_are_averaged_and_those_of_other_labels_left_out() -> None:
    cells = [
        {"tokens": 4, "read with": "tree", "task": "qa1", "exact_match": share(0.4)},
        {"tokens": 4, "read with": "tree", "task": "qa2", "exact_match": share(0.8)},
        {"tokens": 4, "read with": "BM25", "task": "qa1", "exact_match": share(0.1)},
        {"figure": "exact_match", "degradation": 1.0},
    ]
    plot = Plot("", "t", ("exact_match",), "tokens", "read with")
    series = series_of(plot, cells)
    assert series["tree"][0].y == pytest.approx(0.6)
    assert series["BM25"] == [Point(4, 0.1, 0.0, 0.2)]
    only = Plot("", "t", ("exact_match",), "tokens", "task", {"read with": "tree"})
    assert list(series_of(only, cells)) == ["qa1", "qa2"]


def test_ranks_are_places_of_the_axis() -> None:
    cells: list[dict[str, Any]] = [
        {"ranked by": "tree", "recall@1": share(0.2), "recall@5": share(0.5), "recall@20": share(1)}
    ]
    (plot,) = PLOTS["recall"]
    assert [point.x for point in series_of(plot, cells)["tree"]] == [1, 5, 20]


def test_results_are_drawn_into_files_of_their_names(tmp_path: Path) -> None:
    cells = [{"k": k, "read as": "level 1", "retention": share(0.5)} for k in (2, 4)]
    result = {"benchmark": "retention", "cells": [{"k": "–", "read as": "text"}, *cells]}
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(result))
    assert run("plot", path, "--out", tmp_path / "charts").exit_code == 0
    (drawn,) = (tmp_path / "charts").iterdir()
    assert drawn.name == "mine.svg"
    assert len(circles(drawn.read_text(encoding="utf-8"))) == 2


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"benchmark": "nothing", "cells": []}'])
def test_a_file_that_is_no_result_is_an_error_and_nothing_is_drawn(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "result.json"
    path.write_text(text)
    outcome = run("plot", path, "--out", tmp_path / "charts")
    assert outcome.exit_code == 1
    assert str(path) in outcome.stderr
    assert not (tmp_path / "charts").exists()
