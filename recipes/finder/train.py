"""Train the retrieval heads: `python -m recipes.finder.train --base FOLDER --data DIR --out FILE`.

Minutes on two cores: the base model is frozen, and of it only the token embeddings are used.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import torch
from bm25s import BM25
from bm25s.tokenization import tokenize
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from lmos.model.heads import HeadsConfig, RetrievalHeads, pad_questions
from lmos.model.masks import PADDING
from lmos.model.tokens import TextTokenizer
from lmos.training.words import WordBank
from lmos.tree.levels import pad_windows
from lmos.tree.segments import SegmentConfig
from recipes.finder.texts import (
    Asked,
    Text,
    group_by_kind,
    make_fact_text,
    read_dialogs,
    read_fairytales,
    read_meetings,
    read_notes,
    read_squad,
)

SHARES = {
    "squad": 0.62,
    "fairytale": 0.06,
    "meeting": 0.08,
    "notes": 0.1,
    "facts": 0.06,
    "dialog": 0.08,
}
RUN = 12
"""Windows of one text that stand together in a batch."""


@dataclass
class Batch:
    """Windows and the questions whose answers stand in them."""

    windows: list[tuple[Text, int]]
    asked: list[tuple[Asked, list[tuple[int, int]]]]
    """Of each question, the row and the span of every leaf that answers it."""


def draw_batch(groups: dict[str, list[Text]], rng: random.Random, num_runs: int) -> Batch:
    """Runs of windows of several texts."""
    kinds = [kind for kind in SHARES if kind in groups]
    weights = [SHARES[kind] for kind in kinds]
    batch = Batch([], [])
    for kind in rng.choices(kinds, weights, k=num_runs):
        text = rng.choice(groups[kind])
        start = rng.randrange(max(1, len(text.windows) - RUN + 1))
        rows = {}
        for number in range(start, min(start + RUN, len(text.windows))):
            rows[number] = len(batch.windows)
            batch.windows.append((text, number))
        first = text.first_leaves[start]
        last = text.first_leaves[start + len(rows) - 1] + len(
            text.windows[start + len(rows) - 1].spans
        )
        places = [
            (rows[number], span)
            for number in rows
            for span in range(len(text.windows[number].spans))
        ]
        if not text.asked:
            batch.asked += cloze(text, places, first, rng)
            continue
        for asked in text.asked:
            golds = [places[gold - first] for gold in asked.golds if first <= gold < last]
            if golds:
                batch.asked.append((asked, golds))
    return batch


def cloze(
    text: Text, places: Sequence[tuple[int, int]], first: int, rng: random.Random
) -> list[tuple[Asked, list[tuple[int, int]]]]:
    """Leaves in the place of questions: what they answer is said beside them."""
    found = []
    for place in rng.sample(range(1, len(places) - 1), min(8, len(places) - 2)):
        row, span = places[place]
        window = text.windows[text.first_leaves.index(first) + row - places[0][0]]
        piece = window.spans[span]
        ids = window.token_ids[piece.start : piece.stop]
        kept = tuple(each for each in ids if rng.random() < 0.7) or ids
        found.append((Asked(kept, ()), [places[place - 1], places[place + 1]]))
    return found


def batch_loss(
    heads: RetrievalHeads, embeddings_VD: Tensor, batch: Batch, lift_weight: float, drop: float
) -> tuple[Tensor, float]:
    """InfoNCE over the leaves of the batch, and over groups of 4 and 16 of them."""
    ids_BT, spans_BT = pad_windows([text.windows[n].content for text, n in batch.windows])
    num_spans = int(spans_BT.max()) + 1
    num_spans += -num_spans % 16
    x_BTD = embeddings_VD[ids_BT]
    keys_BSK = heads.leaf_keys(x_BTD, ids_BT, drop_tokens(spans_BT, drop), num_spans)
    real_BS = torch.zeros(keys_BSK.shape[:2], dtype=torch.bool)
    for row, (text, number) in enumerate(batch.windows):
        real_BS[row, : len(text.windows[number].spans)] = True
    question_ids_QT, real_QT = pad_questions([asked.ids for asked, _ in batch.asked])
    x_QTD = embeddings_VD[question_ids_QT]
    is_kept_QT = real_QT & (torch.rand(real_QT.shape) > drop)
    queries_QK = heads.queries(x_QTD, question_ids_QT, is_kept_QT)
    gold_QBS = torch.zeros(len(batch.asked), *real_BS.shape, dtype=torch.bool)
    for number, (_, golds) in enumerate(batch.asked):
        for row, span in golds:
            gold_QBS[number, row, span] = True
    own, right = info_nce(queries_QK, keys_BSK, real_BS, gold_QBS)
    total = own
    below_BSK, below_BS, below_QBS = keys_BSK, real_BS, gold_QBS
    for _ in range(2):
        batch_size, count = below_BS.shape
        grouped_BS = below_BS.view(batch_size, count // 4, 4)
        sizes = grouped_BS.sum(-1, keepdim=True).clamp(min=1)
        means = (below_BSK * below_BS[..., None]).view(batch_size, count // 4, 4, -1).sum(2) / sizes
        lifted = nn.functional.normalize(heads.lift(means), dim=-1)
        below_QBS = below_QBS.view(len(below_QBS), batch_size, count // 4, 4).any(-1)
        below_BSK, below_BS = lifted, grouped_BS.any(-1)
        total = total + lift_weight * info_nce(queries_QK, below_BSK, below_BS, below_QBS)[0]
    return total, right


def drop_tokens(spans_BT: Tensor, drop: float) -> Tensor:
    """Some tokens as if they were padding."""
    return spans_BT.masked_fill(torch.rand(spans_BT.shape) < drop, PADDING)


def info_nce(
    queries_QK: Tensor, keys_BSK: Tensor, real_BS: Tensor, gold_QBS: Tensor
) -> tuple[Tensor, float]:
    """Mean over questions of -log p(any gold leaf), and the share whose best leaf is gold."""
    scores_QN = (queries_QK @ keys_BSK.flatten(0, 1).T).masked_fill(~real_BS.flatten(), -torch.inf)
    gold_QN = gold_QBS.flatten(1)
    best_N = scores_QN.logsumexp(-1) - scores_QN.masked_fill(~gold_QN, -torch.inf).logsumexp(-1)
    right = gold_QN.gather(1, scores_QN.argmax(-1, keepdim=True)).float().mean()
    return best_N.mean(), float(right)


@torch.no_grad()
def all_keys(heads: RetrievalHeads, embeddings_VD: Tensor, texts: Sequence[Text]) -> list[Tensor]:
    """Keys of all leaves of each text."""
    found = []
    for text in texts:
        keys = []
        for start in range(0, len(text.windows), 16):
            some = text.windows[start : start + 16]
            ids_BT, spans_BT = pad_windows([window.content for window in some])
            count = int(spans_BT.max()) + 1
            keys_BSK = heads.leaf_keys(embeddings_VD[ids_BT], ids_BT, spans_BT, count)
            keys += [k[: len(w.spans)] for k, w in zip(keys_BSK, some, strict=True)]
        found.append(torch.cat(keys))
    return found


@torch.no_grad()
def evaluate(
    heads: RetrievalHeads,
    embeddings_VD: Tensor,
    texts: Sequence[Text],
    num_questions: int,
    weights: Sequence[float] = (1.0,),
) -> dict[str, float]:
    """Share of questions whose leaf, or paragraph, is among the best, over all texts at once."""
    keys_NK = torch.cat(all_keys(heads, embeddings_VD, texts))
    offsets, count = [], 0
    for text in texts:
        offsets.append(count)
        count += text.num_leaves
    pairs = [(n, asked) for n, text in enumerate(texts) for asked in text.asked]
    pairs = random.Random(5).sample(pairs, min(num_questions, len(pairs)))
    ids_QT, real_QT = pad_questions([asked.ids for _, asked in pairs])
    scores_QN = heads.queries(embeddings_VD[ids_QT], ids_QT, real_QT) @ keys_NK.T
    passages = torch.tensor(
        [n * 100_000 + p for n, text in enumerate(texts) for p in text.leaf_passages]
    )
    corpus = [leaf for text in texts for leaf in text.leaf_texts]
    index = BM25()
    index.index(tokenize(corpus, show_progress=False), show_progress=False)
    words = tokenize([asked.text for _, asked in pairs], show_progress=False, return_ids=False)
    lexical_QN = torch.stack([torch.from_numpy(index.get_scores(each).copy()) for each in words])
    ways = {"heads": scores_QN, "bm25": lexical_QN}
    for weight in weights:
        ways[f"sum{weight:g}"] = standard(scores_QN) + weight * standard(lexical_QN)
    result: dict[str, float] = {}
    for way, scores in ways.items():
        order_QN = scores.argsort(-1, descending=True)[:, :200]
        leaf = {1: 0, 5: 0, 20: 0}
        passage = {1: 0, 5: 0}
        for (n, asked), order_N in zip(pairs, order_QN, strict=True):
            golds = {offsets[n] + gold for gold in asked.golds}
            rank = next((r for r, leaf_n in enumerate(order_N.tolist()) if leaf_n in golds), 999)
            seen = list(dict.fromkeys(passages[order_N].tolist()))
            own = n * 100_000 + asked.passage
            place = seen.index(own) if own in seen else 999
            for k in leaf:
                leaf[k] += rank < k
            for k in passage:
                passage[k] += place < k
        result |= {f"{way} leaf@{k}": v / len(pairs) for k, v in leaf.items()}
        result |= {f"{way} passage@{k}": v / len(pairs) for k, v in passage.items()}
    return {name: round(value, 3) for name, value in result.items()}


def standard(scores_QN: Tensor) -> Tensor:
    """Z-scores of each row."""
    return (scores_QN - scores_QN.mean(-1, keepdim=True)) / scores_QN.std(-1, keepdim=True)


@click.command()
@click.option("--base", type=Path, required=True, help="Folder of the converted base model.")
@click.option("--data", type=Path, required=True, help="Folder with the unpacked sets.")
@click.option("--notes", type=Path, required=True, help="Folder of notes written by hand.")
@click.option("--out", type=Path, required=True, help="Safetensors file to write.")
@click.option("--steps", default=2500, help="Batches.")
@click.option("--runs", default=6, help="Runs of twelve windows in a batch.")
@click.option("--rate", default=1e-3, help="Highest learning rate.")
@click.option("--ratio", default=16, help="Tokens in a leaf, about.")
@click.option("--key-width", default=256, help="Numbers in a key.")
@click.option("--threads", default=1, help="Threads of the processor.")
@click.option("--seed", default=0, help="Of everything.")
@click.option("--context/--no-context", default=True, help="Look at neighbours and windows.")
@click.option("--drop", default=0.1, help="Share of tokens that are hidden.")
@click.option("--articles", default=10_000, help="Articles of SQuAD at most.")
def main(
    base: Path,
    data: Path,
    notes: Path,
    out: Path,
    steps: int,
    runs: int,
    rate: float,
    ratio: int,
    key_width: int,
    threads: int,
    seed: int,
    context: bool,
    drop: float,
    articles: int,
) -> None:
    """Train the retrieval heads."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    encode = TextTokenizer(Tokenizer.from_file(str(base / "tokenizer.json"))).encode
    weights = load_file(base / "model.safetensors")
    embeddings_VD = weights["model.embed_tokens.weight"].float()
    del weights
    config = SegmentConfig(256, ratio)
    squad = next((data / "squad").glob("*train*.json"))
    rng = random.Random(seed)
    began = time.monotonic()
    texts = list(read_squad(squad, "train", encode, config))[:articles]
    texts += read_fairytales(data / "fairytaleqa", False, encode, config)
    texts += read_meetings(data / "qmsum" / "train", encode, config)
    texts += read_notes(notes, False, encode, config)
    texts += read_dialogs(data / "sgd_dialog" / "train.jsonl", encode, config, 1600)
    words = WordBank(held_out=False)
    texts += [make_fact_text(rng, words, encode, config) for _ in range(200)]
    dev = {
        "squad": list(read_squad(squad, "dev", encode, config)),
        "meeting": list(read_meetings(data / "qmsum" / "val", encode, config)),
        "notes": list(read_notes(notes, True, encode, config)),
    }
    num_asked, seconds = sum(len(text.asked) for text in texts), time.monotonic() - began
    click.echo(f"{len(texts)} texts, {num_asked} questions, {seconds:.0f} s")
    groups = group_by_kind(texts)
    for group in groups.values():
        group.sort(key=lambda text: len(text.windows))
    heads = RetrievalHeads(HeadsConfig(len(embeddings_VD), embeddings_VD.shape[1], key_width))
    with torch.no_grad():
        mean_D = embeddings_VD.mean(0)
        heads.own.bias.copy_(-(heads.own.weight @ mean_D))
        heads.question.bias.copy_(-(heads.question.weight @ mean_D))
        counts_V = torch.ones(len(embeddings_VD))
        for text in texts:
            for window in text.windows:
                counts_V[list(set(window.token_ids))] += 1
        rarity_V = -(counts_V / counts_V.max()).log()
        heads.gate_V.copy_(rarity_V.clamp(min=0.05).log())
        heads.question_gate_V.copy_(heads.gate_V)
    heads.near.weight.requires_grad_(context)
    heads.window.weight.requires_grad_(context)
    gates = [heads.gate_V, heads.question_gate_V]
    others = [p for p in heads.parameters() if all(p is not gate for gate in gates)]
    optimizer = torch.optim.AdamW(
        [{"params": gates, "lr": rate * 5}, {"params": others, "lr": rate}],
        betas=(0.9, 0.98),
        weight_decay=0.0,
    )
    peaks = [group["lr"] for group in optimizer.param_groups]
    mean_loss = mean_right = 0.0
    began = time.monotonic()
    for step in range(steps + 1):
        if step % 500 == 0:
            click.echo(json.dumps({"step": step, "seconds": round(time.monotonic() - began)}))
            for name, group in dev.items():
                found = evaluate(heads, embeddings_VD, group, 600)
                click.echo(f"  {name} {json.dumps(found)}")
            out.parent.mkdir(parents=True, exist_ok=True)
            save_file({k: v.contiguous() for k, v in heads.state_dict().items()}, out)
        if step == steps:
            break
        for each, peak in zip(optimizer.param_groups, peaks, strict=True):
            each["lr"] = peak * min(1.0, (step + 1) / 50) * max(0.02, 1 - step / steps)
        loss, right = batch_loss(heads, embeddings_VD, draw_batch(groups, rng, runs), 0.3, drop)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        mean_loss = loss.item() if not step else 0.98 * mean_loss + 0.02 * loss.item()
        mean_right = 0.98 * mean_right + 0.02 * right
        if step % 100 == 0:
            click.echo(
                json.dumps(
                    {"step": step, "loss": round(mean_loss, 3), "right": round(mean_right, 3)}
                )
            )


if __name__ == "__main__":
    main()
