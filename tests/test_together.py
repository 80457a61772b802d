"""Threads that decode at once: one pass for all, and each gets its own answer or its own error."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from conftest import new_llama
from lmos.model.base import BaseModel
from lmos.model.together import Row, Together
from lmos.model.turns import Turns

PATIENCE_SECONDS = 60.0
PROMPTS = ("Who?", "A question that is longer than the others.", "When?\nAnswer:", "x")


@pytest.fixture
def model(tokenizer_folder: Path) -> BaseModel:
    model = new_llama(tokenizer_folder)
    model.share(Turns(1))
    return model


def wait_until(is_so: object) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.001)


def prompts(model: BaseModel) -> list[Tensor]:
    with torch.no_grad():
        return [model.embed(torch.tensor(model.encode(text).ids)) for text in PROMPTS]


def tokens(model: BaseModel, prompt_TD: Tensor, count: int) -> list[int]:
    return [chosen.token_id for chosen in model.generate(prompt_TD, count)]


@contextmanager
def counted(model: BaseModel) -> Iterator[list[int]]:
    """The rows of each pass."""
    sizes: list[int] = []
    assert model._together is not None
    plain = model._together._step

    def step(rows: Sequence[Row]) -> Any:
        sizes.append(len(rows))
        return plain(rows)

    model._together._step = step
    yield sizes
    model._together._step = plain


def test_answers_that_are_decoded_together_are_those_of_each(model: BaseModel) -> None:
    lengths = (12, 3, 7, 12)
    asked = list(zip(prompts(model), lengths, strict=True))
    alone = [tokens(new_llama_like(model), *each) for each in asked]
    with counted(model) as sizes, ThreadPoolExecutor(len(asked)) as threads:
        together = list(threads.map(lambda each: tokens(model, *each), asked))
    assert together == alone
    assert max(sizes) > 1
    # Each token but the first of an answer is one row of one pass.
    assert sum(sizes) == sum(lengths) - len(lengths)


def new_llama_like(model: BaseModel) -> BaseModel:
    """The same weights, not shared."""
    copy = model.copy()
    assert copy._together is None
    return copy


def test_an_error_stays_with_its_own_row() -> None:
    turns = Turns(1)

    def step(rows: Sequence[Row]) -> list[int]:
        if any(row.item < 0 for row in rows):
            raise ValueError("no")
        return [10 * row.item for row in rows]

    together = Together(turns, step)
    with ThreadPoolExecutor(4) as threads:
        with turns.take(is_short=False):
            futures = [threads.submit(together.step, each, None) for each in (1, -1, 3, 4)]
            wait_until(lambda: together.num_waiting == 4)
        with pytest.raises(ValueError, match="no"):
            futures[1].result(PATIENCE_SECONDS)
        assert [f.result(PATIENCE_SECONDS) for f in futures if f is not futures[1]] == [10, 30, 40]
    assert together.step(5, None) == 50


def test_all_who_wait_are_served_by_one_pass() -> None:
    turns, sizes = Turns(1), []

    def step(rows: Sequence[Row]) -> list[int]:
        sizes.append(len(rows))
        return [row.item for row in rows]

    together = Together(turns, step)
    with ThreadPoolExecutor(8) as threads:
        with turns.take(is_short=True):
            futures = [threads.submit(together.step, each, None) for each in range(8)]
            wait_until(lambda: together.num_waiting == 8)
        assert [future.result(PATIENCE_SECONDS) for future in futures] == list(range(8))
    assert sizes == [8]


def test_short_work_waits_for_one_long_at_most() -> None:
    turns, order = Turns(1), []

    def work(name: str) -> None:
        with turns.take(is_short=name.startswith("short")):
            order.append(name)

    names = ["long 1", "long 2", "long 3", "short 1", "short 2"]
    with ThreadPoolExecutor(len(names)) as threads, turns.take(is_short=True):
        for count, name in enumerate(names, 1):
            threads.submit(work, name)
            wait_until(lambda count=count: sum(map(len, turns._queues)) == count)
    assert order == ["long 1", "short 1", "long 2", "short 2", "long 3"]


def test_cores_are_divided_among_those_who_compute() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        turns, inside, may_end = Turns(2), threading.Event(), threading.Event()

        def work() -> int:
            with turns.take(is_short=False):
                inside.set()
                assert may_end.wait(PATIENCE_SECONDS)
                return torch.get_num_threads()

        with ThreadPoolExecutor(2) as threads:
            with turns.take(is_short=False), turns.take(is_short=False):
                assert torch.get_num_threads() == 2
                second = threads.submit(work)
                assert inside.wait(PATIENCE_SECONDS)
                third = threads.submit(work)
                wait_until(lambda: sum(map(len, turns._queues)) == 1)
            # The third gets the place that became free; the second still has its own.
            wait_until(lambda: not any(turns._queues))
            may_end.set()
            assert (second.result(), third.result()) == (1, 1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
