"""Rows whose passages are read as embeddings keep everything else of the row."""

from __future__ import annotations

import torch

from recipes.embeddings.slots import Slots, shorten
from recipes.embeddings.train import loss_of
from recipes.reader.packing import Row

HEAD, TEXT, ASKED = 3, 10, 4
LONG = Row(
    ids=tuple(range(HEAD + TEXT + 2 * ASKED)),
    branch=(*[0] * (HEAD + TEXT), *[1] * ASKED, *[2] * ASKED),
    places=(*range(HEAD + TEXT), *range(13, 17), *range(13, 17)),
    is_said=(*[False] * 16, True, False, False, False, True),
    kind="squad",
)


def test_a_short_row_has_an_embedding_for_every_four_tokens() -> None:
    short = shorten(LONG, HEAD, 4)
    assert (short.text, short.slots, short.groups) == (range(3, 13), (3, 4, 5), (0, 1, 2))
    assert short.row.ids == (0, 1, 2, 0, 0, 0, *range(13, 21))
    assert short.row.branch == (*[0] * 6, *[1] * ASKED, *[2] * ASKED)
    assert short.row.places == (*range(6), *range(6, 10), *range(6, 10))
    assert short.row.is_said == (*[False] * 9, True, False, False, False, True)


def test_some_groups_of_a_short_row_may_stay_text() -> None:
    short = shorten(LONG, HEAD, 4, kept=(0, 2))
    assert (short.slots, short.groups) == ((7,), (1,))
    assert short.row.ids == (0, 1, 2, 3, 4, 5, 6, 0, 11, 12, *range(13, 21))
    assert short.row.places == (*range(10), *range(10, 14), *range(10, 14))
    assert shorten(LONG, HEAD, 4, kept=range(3)).row == LONG


def test_embeddings_begin_near_the_rarest_tokens_of_their_groups() -> None:
    torch.manual_seed(0)
    ids_T = torch.tensor([5, 30_000, 9, 7, 12, 8, 3, 20_000])
    tokens_TD, states_TD = torch.randn(8, 6), torch.randn(8, 6)
    made_SD = Slots(6, 4, sharpness=9.0)(ids_T, tokens_TD, states_TD)
    torch.testing.assert_close(made_SD, tokens_TD[[1, 7]])
    even_SD = Slots(6, 4, sharpness=0.0)(ids_T, tokens_TD, states_TD)
    torch.testing.assert_close(even_SD, tokens_TD.view(2, 4, 6).mean(1))


def test_what_counts_and_the_order_of_tokens_and_their_states_can_be_learned() -> None:
    torch.manual_seed(0)
    slots, tokens_TD, states_TD = Slots(6, 4), torch.randn(5, 6), torch.randn(5, 6)
    ids_T = torch.tensor([3, 900, 20, 4, 7])
    slots(ids_T, tokens_TD, states_TD)[0].sum().backward()
    for weight in slots.parameters():
        assert weight.grad is not None
        assert weight.grad.abs().sum() > 0
    assert slots(ids_T, tokens_TD, states_TD).shape == (2, 6)


def test_a_last_group_that_is_short_is_made_of_its_own_tokens() -> None:
    torch.manual_seed(0)
    ids_T, tokens_TD = torch.tensor([3, 900, 20, 4, 7]), torch.randn(5, 6)
    made_SD = Slots(6, 4)(ids_T, tokens_TD, torch.zeros(5, 6))
    torch.testing.assert_close(made_SD[1], tokens_TD[4])


def test_the_loss_is_least_where_the_teacher_and_what_is_wanted_agree() -> None:
    teacher_MV = torch.tensor([[9.0, 0.0, 0.0], [0.0, 9.0, 0.0]]).repeat(1, 20)
    wanted_M = torch.tensor([0, 1])
    agreeing, opposite = (loss_of(x, teacher_MV, wanted_M) for x in (teacher_MV, -teacher_MV))
    assert agreeing < opposite
    uniform = loss_of(torch.zeros(2, 60), teacher_MV, wanted_M)
    assert agreeing < uniform < opposite
