"""Train the reader adapter: `python -m recipes.reader.train --base FOLDER --data DIR --out DIR`.

Resumable: run the same command again. It ends after `--hours`, counted over all its runs; the
learning rate falls to nothing by then.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from lmos.model.formats import PromptFormat
from lmos.training.questions import read_fairytaleqa, read_squad
from lmos.training.words import WordBank
from recipes.checkpoints import Checkpoints
from recipes.reader.changes import Changes
from recipes.reader.dated import Dated
from recipes.reader.forward import ReaderPass, answer_losses
from recipes.reader.packing import Row, batches, pack
from recipes.reader.pages import Pages, read_pages
from recipes.reader.samples import with_turns
from recipes.reader.scattered import Scattered, read_prose
from recipes.reader.sources import Babi, Draw, Facts, Notes, Passages, Stories, read_notes
from recipes.reader.tables import Tables
from recipes.reader.told import FOLDER, Told
from recipes.reader.values import Values

SHARES = {
    "squad": 0.30,
    "fairytale": 0.03,
    "notes": 0.26,
    "facts": 0.05,
    "pages": 0.06,
    "values": 0.01,
    "stories": 0.02,
    "babi": 0.02,
    "scattered": 0.10,
    "changes": 0.06,
    "tables": 0.05,
    "dated": 0.02,
    "negations": 0.04,
    "told": 0.02,
    "tongues": 0.02,
}
TURN_SHARE = 0.08
MAX_LEN = 640
BABI_TASKS = ("qa1", "qa2", "qa4", "qa5")


def make_format(tokenizer: Any) -> PromptFormat:
    """The reader's format with the tokenizer's own chat template."""

    def plain(text: str) -> list[int]:
        backend.encode_special_tokens = True
        ids: list[int] = backend.encode(text, add_special_tokens=False).ids
        return ids

    def control(text: str) -> list[int]:
        backend.encode_special_tokens = False
        ids: list[int] = backend.encode(text, add_special_tokens=False).ids
        return ids

    def render(messages: Any) -> str:
        text: str = tokenizer.apply_chat_template(
            [dict(message) for message in messages], tokenize=False, add_generation_prompt=True
        )
        return text

    backend = tokenizer.backend_tokenizer
    return PromptFormat(plain, control, render, frozenset({tokenizer.eos_token_id}))


def sources(data: Path, notes: Path, *, held_out: bool) -> dict[str, Draw]:
    """What samples are drawn from, by kind."""
    words = WordBank(held_out=held_out)
    squad = list(read_squad(next((data / "squad").glob("*train*.json")), held_out=held_out))
    titles = list(dict.fromkeys(each.title for each in squad))
    if not held_out:
        titles = titles[:-20]
    kept = set(titles)
    found: dict[str, Draw] = {
        "squad": Passages([e for e in squad if e.title in kept], "squad", is_extractive=True).draw,
        "fairytale": Passages(
            read_fairytaleqa(data / "fairytaleqa", held_out=held_out),
            "fairytale",
            is_extractive=False,
        ).draw,
        "facts": Facts(words).draw,
        "stories": Stories(words).draw,
        "pages": Pages(read_pages(data / "factbook", held_out=held_out)).draw,
        "values": Values(words).draw,
        "changes": Changes().draw,
        "tables": Tables().draw,
        "dated": Dated().draw,
        **{kind: Told(paths, kind).draw for kind, paths in _told().items() if paths},
    }
    if rows := read_notes(notes, held_out=held_out):
        found["notes"] = Notes(rows).draw
    inside = [(Stories(words).draw, 0.4), (Facts(words).draw, 0.35)]
    if not held_out:
        found["babi"] = Babi(data / "babi").draw
        inside.append((Babi(data / "babi", BABI_TASKS).draw, 0.25))
    found["scattered"] = Scattered(inside, read_prose(data / "novels", held_out=held_out)).draw
    return found


def _told() -> dict[str, list[Path]]:
    """Written blocks: negations, other English ones, those of other languages."""
    english = ("copying", "lists", "statements")
    files = sorted(FOLDER.glob("*.txt"))
    return {
        "negations": [each for each in files if each.stem == "negations"],
        "told": [each for each in files if each.stem in english],
        "tongues": [each for each in files if each.stem not in (*english, "negations")],
    }


def iter_rows(
    found: dict[str, Draw], prompt: PromptFormat, stop_id: int, rng: random.Random
) -> Iterator[Row]:
    """Rows for ever, kinds by their shares."""
    kinds = [kind for kind in SHARES if kind in found]
    weights = [SHARES[kind] for kind in kinds]
    while True:
        sample = found[rng.choices(kinds, weights)[0]](rng)
        if sample is None:
            continue
        row = pack(with_turns(rng, sample, TURN_SHARE), prompt, stop_id, MAX_LEN)
        if row is not None:
            yield row


@torch.no_grad()
def evaluate(run: ReaderPass, rows: list[Row], max_tokens: int) -> dict[str, Any]:
    """Loss, and share of answers of which every token is the likeliest, by kind."""
    right: dict[str, list[float]] = defaultdict(list)
    losses: list[float] = []
    for batch in batches(rows, max_tokens, pool=len(rows)):
        losses_N, is_best_N, numbers_N = answer_losses(run, batch)
        losses += losses_N.tolist()
        for number in sorted(set(numbers_N.tolist())):
            kind = batch[number // 1000].kind
            right[kind].append(float(is_best_N[numbers_N == number].all()))
    return {
        "dev_loss": round(sum(losses) / len(losses), 4),
        **{
            f"exact_{kind}": round(sum(each) / len(each), 4) for kind, each in sorted(right.items())
        },
    }


@click.command()
@click.option("--base", type=Path, required=True, help="Folder of the converted base model.")
@click.option(
    "--data",
    type=Path,
    required=True,
    help="Folder with squad, fairytaleqa, babi, factbook, novels.",
)
@click.option("--notes", type=Path, required=True, help="Folder of notes written by hand.")
@click.option("--out", type=Path, required=True, help="Receives checkpoints and the log.")
@click.option("--start", type=Path, help="Adapter to begin from, in place of a new one.")
@click.option("--hours", default=2.0, help="Hours of training in all.")
@click.option("--rate", default=3e-4, help="Highest learning rate.")
@click.option("--rank", default=16, help="Of the low-rank weights.")
@click.option("--batch-tokens", default=1280, help="Tokens of a step, padding included.")
@click.option("--threads", default=2, help="Threads of the processor.")
@click.option("--bfloat16", is_flag=True, help="Multiply in bfloat16, where the machine has it.")
@click.option("--seed", default=0, help="Of everything.")
@click.option("--save-minutes", default=8.0, help="Minutes between checkpoints.")
@click.option("--evaluate-minutes", default=24.0, help="Minutes between evaluations.")
def main(
    base: Path,
    data: Path,
    notes: Path,
    out: Path,
    start: Path | None,
    hours: float,
    rate: float,
    rank: int,
    batch_tokens: int,
    threads: int,
    bfloat16: bool,
    seed: int,
    save_minutes: float,
    evaluate_minutes: float,
) -> None:
    """Train the reader adapter."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    checkpoints = Checkpoints(out)
    done = checkpoints.progress
    tokenizer = AutoTokenizer.from_pretrained(base)
    module: Any = AutoModelForCausalLM.from_pretrained(
        base, dtype=torch.float32, attn_implementation="sdpa"
    )
    if checkpoints.state is None and start is None:
        options = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
        model: Any = get_peft_model(module, options)
    else:
        begun = checkpoints.adapter if checkpoints.state is not None else start
        model = PeftModel.from_pretrained(module, begun, is_trainable=True)
    run = ReaderPass(model, torch.bfloat16 if bfloat16 else torch.float32)
    weights = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    if checkpoints.state is not None:
        optimizer.load_state_dict(checkpoints.state["optimizer"])
    prompt = make_format(tokenizer)
    stop_id = int(tokenizer.eos_token_id)
    rng = random.Random(f"{seed} {done.step}")
    rows = iter_rows(sources(data, notes, held_out=False), prompt, stop_id, rng)
    dev_rng = random.Random(1)
    dev_sources = sources(data, notes, held_out=True)
    dev = [
        row
        for kind, draw in dev_sources.items()
        for sample in (draw(dev_rng) for _ in range(24 if kind in ("squad", "notes") else 10))
        if sample is not None and (row := pack(sample, prompt, stop_id, MAX_LEN)) is not None
    ]

    def save() -> None:
        checkpoints.save(model, optimizer=optimizer.state_dict())

    saved = evaluated = time.monotonic()
    mean_loss, mean_right = 0.0, 0.0
    clock = time.monotonic()
    began, tokens_then = clock, done.tokens
    for batch in batches(rows, batch_tokens):
        progress = done.of(hours)
        if progress >= 1:
            break
        lift = min(1.0, (done.step + 1) / 30)
        for group in optimizer.param_groups:
            group["lr"] = rate * lift * max(0.02, 1 - progress)
        losses_N, is_best_N, numbers_N = answer_losses(run, batch)
        loss = losses_N.mean()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        done.step += 1
        done.tokens += sum(map(len, batch))
        done.asked += len(set(numbers_N.tolist()))
        now = time.monotonic()
        done.spent, clock = done.spent + now - clock, now
        mean_loss = loss.item() if done.step == 1 else 0.97 * mean_loss + 0.03 * loss.item()
        mean_right = 0.97 * mean_right + 0.03 * float(is_best_N.float().mean())
        if done.step % 10 == 0:
            checkpoints.note(
                loss=round(mean_loss, 4),
                right=round(mean_right, 3),
                asked=done.asked,
                tokens=done.tokens,
                speed=round((done.tokens - tokens_then) / (now - began)),
            )
        if now - saved > save_minutes * 60:
            save()
            saved = time.monotonic()
        if now - evaluated > evaluate_minutes * 60:
            checkpoints.note(**evaluate(run, dev, batch_tokens))
            evaluated = clock = time.monotonic()
    save()
    checkpoints.note(**evaluate(run, dev, batch_tokens))


if __name__ == "__main__":
    main()
