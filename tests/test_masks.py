"""Masks and positions against ten lines of loops."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lmos.model.masks import PADDING, causal_mask, segmented_mask, segmented_positions, span_means

MODES = st.sampled_from(["window", "strict"])


@st.composite
def span_numbers(draw: st.DrawFn) -> tuple[Tensor, int]:
    """Span numbers `(B, T)` as windows of unequal length have them, padding anywhere, and S."""
    num_items = draw(st.integers(1, 9))
    numbers = st.lists(st.integers(PADDING, 3), min_size=num_items, max_size=num_items)
    rows = draw(st.lists(numbers, min_size=1, max_size=3))
    if draw(st.booleans()):
        rows = [sorted(row, key=lambda number: (number == PADDING, number)) for row in rows]
    return torch.tensor(rows), draw(st.integers(4, 5))


def sees(spans: list[int], num_spans: int, mode: str, row: int, column: int) -> bool:
    """Whether item or compression token `row` sees item or compression token `column`."""
    num_items = len(spans)
    if row == column:
        return True
    if column >= num_items or spans[column] == PADDING:
        return False
    if row >= num_items:
        return spans[column] == row - num_items
    if spans[row] == PADDING or column > row:
        return False
    return mode == "window" or spans[column] == spans[row]


@given(span_numbers(), MODES)
@settings(deadline=None, max_examples=200)
def test_mask_is_the_one_of_the_loops(numbers: tuple[Tensor, int], mode: str) -> None:
    spans_BT, num_spans = numbers
    places = range(spans_BT.shape[1] + num_spans)
    expected = [
        [[sees(spans, num_spans, mode, row, column) for column in places] for row in places]
        for spans in spans_BT.tolist()
    ]
    assert segmented_mask(spans_BT, num_spans, mode).tolist() == expected


@given(span_numbers())
@settings(deadline=None, max_examples=200)
def test_positions_are_those_of_the_loops(numbers: tuple[Tensor, int]) -> None:
    spans_BT, num_spans = numbers
    expected = [
        list(range(len(spans)))
        + [
            max([i for i, s in enumerate(spans) if s == span], default=0)
            for span in range(num_spans)
        ]
        for spans in spans_BT.tolist()
    ]
    assert segmented_positions(spans_BT, num_spans).tolist() == expected


@given(span_numbers())
@settings(deadline=None, max_examples=200)
def test_means_are_those_of_the_loops(numbers: tuple[Tensor, int]) -> None:
    spans_BT, num_spans = numbers
    x_BTD = torch.randn(*spans_BT.shape, 3, generator=torch.Generator().manual_seed(0))
    means_BSD = span_means(x_BTD, spans_BT, num_spans)
    for row, spans in enumerate(spans_BT.tolist()):
        for span in range(num_spans):
            members = [x_BTD[row, item] for item, number in enumerate(spans) if number == span]
            expected = torch.stack(members).mean(0) if members else torch.zeros(3)
            torch.testing.assert_close(means_BSD[row, span], expected)


@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=3))
@settings(deadline=None)
def test_causal_mask_is_the_one_of_the_loops(real: list[list[bool]]) -> None:
    mask_BTT = causal_mask(torch.tensor(real))
    for row, is_real in enumerate(real):
        for i in range(5):
            for j in range(5):
                expected = i == j or (j < i and is_real[i] and is_real[j])
                assert bool(mask_BTT[row, i, j]) == expected
