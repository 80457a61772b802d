"""Teach the reader to read embeddings: `python -m recipes.embeddings.train --help` says how.

The reader that ships reads a passage as text, and is not changed. A copy of it learns to say the
same from embeddings of that passage, one for every few tokens: cross-entropy of the answers, and
the divergence from what the reader says of the text. Questions of SQuAD, and sentences to go on
with, which is a reconstruction. At first much of a passage stays text, and many sentences are asked
for; after half of the time all of it is embeddings. Resumable: run the same command again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

from lmos.model.prompts import UNKNOWN_ANSWER
from lmos.training.questions import read_squad
from recipes.checkpoints import Checkpoints
from recipes.embeddings.slots import Slots, shorten
from recipes.reader.forward import Flat, ReaderPass
from recipes.reader.packing import Row, batches, pack
from recipes.reader.samples import Asked, Sample
from recipes.reader.sources import Passages
from recipes.reader.train import make_format

MAX_LEN = 520
_GO_ON = 'How does the sentence go on that begins with "{}"?'
_GIVEN, _MORE = 4, 26
_TEACHER_TOKENS = 32


def with_reconstruction(rng: random.Random, sample: Sample, share: float) -> Sample:
    """A sample that also asks how some sentences go on."""
    asked = list(sample.asked)
    for passage in sample.passages:
        words = passage.text.split(" ")
        if len(words) > 2 * _GIVEN and rng.random() < share:
            begin, rest = " ".join(words[:_GIVEN]), " ".join(words[_GIVEN : _GIVEN + _MORE])
            asked.append(Asked(_GO_ON.format(begin), rest))
    return replace(sample, asked=tuple(asked))


def iter_rows(
    draw: Callable[[random.Random], Sample | None],
    to_row: Callable[[Sample], Row | None],
    rng: random.Random,
    share: Callable[[], float],
) -> Iterator[Row]:
    """Rows for ever."""
    while True:
        sample = draw(rng)
        row = None if sample is None else to_row(with_reconstruction(rng, sample, share()))
        if row is not None:
            yield row


def logits_of_answers(run: ReaderPass, flat: Flat, x_ND: Tensor) -> Tensor:
    """Of every token that is said, what the pass expects there."""
    (told_M,) = flat.said_N.nonzero(as_tuple=True)
    return run.logits(run.hidden(flat, x_ND)[told_M - 1])


def loss_of(logits_MV: Tensor, teacher_MV: Tensor, wanted_M: Tensor) -> Tensor:
    """Cross-entropy of what is wanted, and the divergence from a teacher over its likeliest tokens.

    Args:
        logits_MV: Of the reader that learns.
        teacher_MV: Of the reader that knows.
        wanted_M: Tokens.
    """
    norm_M = logits_MV.logsumexp(-1)
    entropy = (norm_M - logits_MV.gather(1, wanted_M[:, None])[:, 0]).mean()
    best_MK, tokens_MK = teacher_MV.topk(_TEACHER_TOKENS)
    known_MK = best_MK.log_softmax(-1)
    learned_MK = logits_MV.gather(1, tokens_MK) - norm_M[:, None]
    divergence_M = (known_MK.exp() * (known_MK - learned_MK)).sum(-1)
    return entropy + divergence_M.mean()


class Pair:
    """The reader of text, and the reader of embeddings that learns from it."""

    def __init__(self, text: Any, short: Any, slots: Slots, head: int, dtype: torch.dtype) -> None:
        self._text, self._short = ReaderPass(text, dtype), ReaderPass(short, dtype)
        self._slots, self._head = slots, head

    @torch.no_grad()
    def read_text(self, rows: Sequence[Row]) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of the answers, and all inputs and last states."""
        flat = self._text.flatten(rows)
        x_ND = self._text.embed(flat.ids_N)
        states_ND = self._text.hidden(flat, x_ND)
        (told_M,) = flat.said_N.nonzero(as_tuple=True)
        return self._text.logits(states_ND[told_M - 1]), x_ND, states_ND.float()

    def read_short(
        self,
        rows: Sequence[Row],
        x_ND: Tensor,
        states_ND: Tensor,
        control: str = "",
        kept: Sequence[Collection[int]] | None = None,
    ) -> Tensor:
        """Logits of the answers, read from embeddings.

        Args:
            rows: Long ones.
            x_ND: Their inputs.
            states_ND: Their last states.
            control: "empty" leaves the embeddings out, "shuffled" takes those of another row.
            kept: Of each row, groups that are read as text.
        """
        kept = [()] * len(rows) if kept is None else kept
        shorts = [
            shorten(row, self._head, self._slots.ratio, some)
            for row, some in zip(rows, kept, strict=True)
        ]
        made, places, start, short_start = [], [], 0, 0
        for row, short in zip(rows, shorts, strict=True):
            there = slice(start + short.text.start, start + short.text.stop)
            ids_T = torch.tensor(row.ids[short.text.start : short.text.stop], device=x_ND.device)
            made_SD = self._slots(ids_T, x_ND[there], states_ND[there])
            made.append(made_SD[list(short.groups)])
            places += [short_start + place for place in short.slots]
            start, short_start = start + len(row), short_start + len(short.row)
        if control == "empty":
            made = [each_SD * 0 for each_SD in made]
        if control == "shuffled":
            made = [_resized(made[number - 1], len(each)) for number, each in enumerate(made)]
        flat = self._short.flatten([short.row for short in shorts])
        short_ND = self._short.embed(flat.ids_N).index_copy(
            0, torch.tensor(places, dtype=torch.long, device=x_ND.device), torch.cat(made)
        )
        return logits_of_answers(self._short, flat, short_ND)


def _resized(x_SD: Tensor, length: int) -> Tensor:
    return x_SD.repeat(-(-length // len(x_SD)), 1)[:length]


@torch.no_grad()
def evaluate(
    pair: Pair, rows: Sequence[Row], max_tokens: int, unknown: Sequence[int]
) -> dict[str, float]:
    """Share of answers of which every token is the likeliest: from text, embeddings, controls.

    Args:
        pair: Of readers.
        rows: Long ones.
        max_tokens: Of a batch.
        unknown: How an answer begins that says that there is none; those are counted apart.
    """
    right: dict[str, list[bool]] = {}
    unknown_U = torch.tensor(unknown)
    for batch in batches(rows, max_tokens, pool=len(rows)):
        logits_MV, x_ND, states_ND = pair.read_text(batch)
        wanted_M, numbers_M = _wanted(batch)
        found = {"text": logits_MV}
        for control in ("", "empty", "shuffled"):
            if control != "shuffled" or len(batch) > 1:
                found[control or "embeddings"] = pair.read_short(batch, x_ND, states_ND, control)
        for name, each_MV in found.items():
            is_best_M = each_MV.argmax(-1).cpu() == wanted_M
            for number in set(numbers_M.tolist()):
                is_none = torch.equal(wanted_M[numbers_M == number][: len(unknown)], unknown_U)
                kind = "unknown" if is_none else "exact"
                is_right = bool(is_best_M[numbers_M == number].all())
                right.setdefault(f"{kind}_{name}", []).append(is_right)
    shares = {name: round(sum(each) / len(each), 4) for name, each in sorted(right.items())}
    return {**shares, "asked": len(right["exact_text"])}


def _wanted(rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
    """Tokens that are said, and of each the number of its question, as `Flat` counts them."""
    said = [
        (row.ids[place], number * 1000 + row.branch[place])
        for number, row in enumerate(rows)
        for place, is_said in enumerate(row.is_said)
        if is_said
    ]
    wanted_M, numbers_M = torch.tensor(said).unbind(1)
    return wanted_M, numbers_M


def _load(base: Path, device: str) -> Any:
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).to(device)


@click.command()
@click.option("--base", type=Path, required=True, help="Folder of the converted base model.")
@click.option("--reader", type=Path, required=True, help="Folder of the reader that ships.")
@click.option("--squad", type=Path, required=True, help="SQuAD's training file.")
@click.option("--out", type=Path, required=True, help="Receives checkpoints and the log.")
@click.option("--ratio", default=4, help="Tokens to an embedding.")
@click.option("--hours", default=2.0, help="Hours of training in all.")
@click.option("--rate", default=5e-4, help="Highest learning rate.")
@click.option("--rank", default=32, help="Of the low-rank weights.")
@click.option("--sharpness", default=1.0, help="How much a group's rare tokens count, at first.")
@click.option("--mixed", default=0.6, help="Share of a passage that stays text, at first.")
@click.option("--reconstruct", default=0.5, help="Share of the sentences to go on with, at first.")
@click.option("--batch-tokens", default=2048, help="Tokens of a step, as text.")
@click.option("--threads", default=2, help="Threads of the processor.")
@click.option("--bfloat16", is_flag=True, help="Multiply in bfloat16, where the machine has it.")
@click.option("--device", default="cpu", help="Where to train.")
@click.option("--seed", default=0, help="Of everything.")
@click.option("--save-minutes", default=8.0, help="Minutes between checkpoints.")
@click.option("--evaluate-minutes", default=24.0, help="Minutes between evaluations.")
def main(
    base: Path,
    reader: Path,
    squad: Path,
    out: Path,
    ratio: int,
    hours: float,
    rate: float,
    rank: int,
    sharpness: float,
    mixed: float,
    reconstruct: float,
    batch_tokens: int,
    threads: int,
    bfloat16: bool,
    device: str,
    seed: int,
    save_minutes: float,
    evaluate_minutes: float,
) -> None:
    """Teach a copy of the reader to read embeddings."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    run = Checkpoints(out)
    done = run.progress
    tokenizer = AutoTokenizer.from_pretrained(base)
    text: Any = PeftModel.from_pretrained(_load(base, device), reader)
    merged: Any = PeftModel.from_pretrained(_load(base, device), reader).merge_and_unload()
    short: Any
    if run.state is None:
        options = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
        short = get_peft_model(merged, options)
    else:
        short = PeftModel.from_pretrained(merged, run.adapter, is_trainable=True)
    slots = Slots(text.config.hidden_size, ratio, sharpness).to(device)
    if run.state is not None:
        slots.load_state_dict(run.state["slots"])
    learned = [each for each in short.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(
        [{"params": learned, "times": 1.0}, {"params": [*slots.parameters()], "times": 2.0}],
        lr=rate,
        betas=(0.9, 0.98),
        weight_decay=0.0,
        fused=True,
    )
    learned += slots.parameters()
    if run.state is not None:
        optimizer.load_state_dict(run.state["optimizer"])

    prompt, stop_id = make_format(tokenizer), int(tokenizer.eos_token_id)
    dtype = torch.bfloat16 if bfloat16 else torch.float32
    pair = Pair(text, short, slots, len(prompt.head_ids()), dtype)
    unknown = prompt.answer_ids(UNKNOWN_ANSWER)

    def to_row(sample: Sample) -> Row | None:
        return pack(sample, prompt, stop_id, MAX_LEN)

    found = list(read_squad(squad, held_out=False))
    titles = list(dict.fromkeys(each.title for each in found))
    kept = set(titles[:-20])
    train = Passages([e for e in found if e.title in kept], "squad", is_extractive=True)
    rest = Passages([e for e in found if e.title not in kept], "squad", is_extractive=True)
    dev_rng = random.Random(1)
    dev_rows = iter_rows(rest.draw, to_row, dev_rng, lambda: 0.0)
    dev = [next(dev_rows) for _ in range(72)]

    rng = random.Random(f"{seed} {done.step}")

    def ahead() -> float:
        return max(0.0, 1 - 2 * done.of(hours))

    def some_text(row: Row) -> frozenset[int]:
        share = rng.random() * 2 * mixed * ahead()
        return frozenset(n for n in range(len(row) // ratio) if rng.random() < share)

    rows = iter_rows(train.draw, to_row, rng, lambda: reconstruct * max(0.2, ahead()))

    def save() -> None:
        run.save(short, slots=slots.state_dict(), optimizer=optimizer.state_dict())

    run.note(**evaluate(pair, dev, batch_tokens, unknown))
    saved = evaluated = clock = began = time.monotonic()
    tokens_then, mean_loss = done.tokens, 0.0
    for batch in batches(rows, batch_tokens):
        progress = done.of(hours)
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = (
                rate * group["times"] * min(1.0, (done.step + 1) / 30) * max(0.02, 1 - progress)
            )
        wanted_M, numbers_M = _wanted(batch)
        text_MV, x_ND, states_ND = pair.read_text(batch)
        short_MV = pair.read_short(batch, x_ND, states_ND, kept=[*map(some_text, batch)])
        loss = loss_of(short_MV, text_MV, wanted_M.to(short_MV.device))
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        done.step += 1
        done.tokens += sum(map(len, batch))
        done.asked += len(set(numbers_M.tolist()))
        now = time.monotonic()
        done.spent, clock = done.spent + now - clock, now
        mean_loss = loss.item() if mean_loss == 0 else 0.97 * mean_loss + 0.03 * loss.item()
        if done.step % 10 == 0:
            speed = round((done.tokens - tokens_then) / (now - began))
            run.note(loss=round(mean_loss, 4), asked=done.asked, tokens=done.tokens, speed=speed)
        if now - saved > save_minutes * 60:
            save()
            saved = time.monotonic()
        if now - evaluated > evaluate_minutes * 60:
            run.note(**evaluate(pair, dev, batch_tokens, unknown))
            evaluated = clock = time.monotonic()
    save()
    run.note(**evaluate(pair, dev, batch_tokens, unknown))


if __name__ == "__main__":
    main()
