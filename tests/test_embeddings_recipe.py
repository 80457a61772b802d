"""Rows whose passages are read as embeddings keep everything else of the row."""

from __future__ import annotations

import torch

from recipes.embeddings.slots import Slots, shorten
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
    assert (short.text, short.slots) == (range(3, 13), range(3, 6))
    assert short.row.ids == (0, 1, 2, 0, 0, 0, *range(13, 21))
    assert short.row.branch == (*[0] * 6, *[1] * ASKED, *[2] * ASKED)
    assert short.row.places == (*range(6), *range(6, 10), *range(6, 10))
    assert short.row.is_said == (*[False] * 9, True, False, False, False, True)


def test_embeddings_begin_as_the_means_of_their_tokens() -> None:
    torch.manual_seed(0)
    tokens_TD, states_TD = torch.randn(8, 6), torch.randn(8, 6)
    made_SD = Slots(6, 4)(tokens_TD, states_TD)
    torch.testing.assert_close(made_SD, tokens_TD.view(2, 4, 6).mean(1))


def test_the_order_of_tokens_and_their_states_can_be_learned() -> None:
    torch.manual_seed(0)
    slots, tokens_TD, states_TD = Slots(6, 4), torch.randn(5, 6), torch.randn(5, 6)
    slots(tokens_TD, states_TD)[0].sum().backward()
    for weight in (slots.place_KDD, slots.state_DD):
        assert weight.grad is not None
        assert weight.grad.abs().sum() > 0
    assert slots(tokens_TD, states_TD).shape == (2, 6)
