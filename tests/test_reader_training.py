"""The pass that trains the reader is the model's own; prose around lines changes no answer."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from lmos.model.formats import ReadPassage
from recipes.reader.forward import ReaderPass, answer_losses
from recipes.reader.packing import Row
from recipes.reader.samples import Asked, Sample
from recipes.reader.scattered import Scattered

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

CONTEXT, STORY = 270, "Olaf walked to the pier."


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=61,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    options = LoraConfig(r=3, lora_alpha=6, target_modules="all-linear")
    model = get_peft_model(LlamaForCausalLM(config), options)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2)
    return model


def make_row(rng: random.Random, context: int, lengths: tuple[int, ...]) -> Row:
    size = context + sum(lengths)
    branch = [0] * context + [n for n, each in enumerate(lengths, 1) for _ in range(each)]
    places = [*range(context), *(context + i for each in lengths for i in range(each))]
    said = [False] * context + [i >= each - 3 for each in lengths for i in range(each)]
    ids = [rng.randrange(61) for _ in range(size)]
    return Row(tuple(ids), tuple(branch), tuple(places), tuple(said), "squad")


def gradient(model: Any, losses_M: torch.Tensor) -> torch.Tensor:
    model.zero_grad()
    torch.autograd.backward(losses_M.mean())
    return torch.cat([each.grad.flatten() for each in model.parameters() if each.requires_grad])


def test_losses_and_gradients_are_those_of_each_question_read_alone(model: Any) -> None:
    rng = random.Random(1)
    rows = [make_row(rng, CONTEXT, (9, 7)), make_row(rng, 20, (8,))]
    losses_M, is_best_M, numbers_M = answer_losses(
        ReaderPass(model, torch.float32, is_compiled=False), rows
    )
    mine = gradient(model, losses_M)
    wanted, best = [], []
    for row in rows:
        for number in range(1, max(row.branch) + 1):
            kept = [i for i, each in enumerate(row.branch) if each in (0, number)]
            ids = torch.tensor([[row.ids[i] for i in kept]])
            logits_TV = model(input_ids=ids).logits[0]
            told = [place for place, i in enumerate(kept) if row.is_said[i]]
            logits_MV = logits_TV[[place - 1 for place in told]]
            answer_M = ids[0, told]
            wanted.append(torch.nn.functional.cross_entropy(logits_MV, answer_M, reduction="none"))
            best.append(logits_MV.argmax(-1) == answer_M)
    torch.testing.assert_close(losses_M, torch.cat(wanted), rtol=1e-4, atol=1e-4)
    assert torch.equal(is_best_M, torch.cat(best))
    assert numbers_M.tolist() == [1] * 3 + [2] * 3 + [1001] * 3
    torch.testing.assert_close(mine, gradient(model, torch.cat(wanted)), rtol=1e-3, atol=1e-5)


def test_lines_keep_their_order_and_prose_does_not_name_whom_is_asked_for() -> None:
    lines = ("Olaf took the tunic.", STORY, "Olaf dropped the tunic.")
    sample = Sample(
        tuple(ReadPassage(line, "log.txt", 5.0) for line in lines),
        (Asked("Where is Olaf?", "pier"),),
    )
    book = [f"In the year {n} Olaf slept." for n in range(80)] + ["It rained."] * 80
    scattered = Scattered([(lambda rng: sample, 1.0)], [book])
    drawn = [scattered.draw(random.Random(n)) for n in range(30)]
    for each in drawn:
        assert each is not None
        text = "\n".join(passage.text for passage in each.passages)
        places = [text.index(line) for line in lines]
        assert places == sorted(places)
        assert "slept" not in text
        assert {passage.source for passage in each.passages} == {"log.txt"}
        assert each.asked == sample.asked
    assert any("It rained." in passage.text for each in drawn if each for passage in each.passages)
