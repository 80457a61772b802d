"""How many windows an early edit of a long text compresses again, for several ways to cut it.

A sentence is put in near the start; a window must be compressed when no window of the text as it
was has the same tokens. Only the tokenizer is used, no model.
"""

from __future__ import annotations

import functools
import random
import statistics
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from tokenizers import Tokenizer

from benchmarks.report import markdown_table, save_json
from lmos.model.released import DEFAULT_MODEL, resolve_model
from lmos.model.tokens import TextTokenizer, Tokens
from lmos.tree.segments import SegmentConfig, iter_units, iter_windows

WINDOW = 256
Windows = list[tuple[int, ...]]
Encode = Callable[[str], Tokens]
Cut = Callable[[str, Encode], Windows]

_SENTENCES = (
    "It rained. ",
    "Nobody had seen the cat since Thursday, which was odd. ",
    "He said nothing. She did not ask again, and the fire went out. ",
)


def cut_by_count(text: str, encode: Encode) -> Windows:
    """Every 256 tokens, wherever that is."""
    ids = [token for unit in iter_units(text, WINDOW) for token in encode(unit).ids]
    return [tuple(ids[start : start + WINDOW]) for start in range(0, len(ids), WINDOW)]


def cut_by_sentence(text: str, encode: Encode) -> Windows:
    """What stores do: as many whole sentences as fit."""
    return [window.token_ids for window in iter_windows(text, encode, SegmentConfig(WINDOW))]


def cut_by_content(least: int, usual: int) -> Cut:
    """After a sentence whose hash says so, as FastCDC does with bytes.

    Args:
        least: Tokens that a window has before its first possible end.
        usual: From here on one sentence of 4 ends a window, before one of 16.
    """

    def cut(text: str, encode: Encode) -> Windows:
        windows: Windows = [()]
        for unit in iter_units(text, WINDOW):
            ids = encode(unit).ids
            if len(windows[-1]) + len(ids) > WINDOW:
                windows.append(())
            windows[-1] += ids
            one_of = 16 if len(windows[-1]) < usual else 4
            if len(windows[-1]) >= least and zlib.crc32(unit.encode()) % one_of == 0:
                windows.append(())
        return [window for window in windows if window]

    return cut


WAYS: dict[str, Cut] = {
    "every 256 tokens": cut_by_count,
    "whole sentences": cut_by_sentence,
    "by content, 64 to 256": cut_by_content(64, 160),
    "by content, 128 to 256": cut_by_content(128, 192),
}


def edited_texts(text: str, num_edits: int, seed: int) -> list[str]:
    """The text with one more sentence, somewhere in its first tenth."""
    rng = random.Random(seed)
    texts = []
    for number in range(num_edits):
        place = text.index(". ", int(len(text) * rng.uniform(0.0, 0.1))) + 2
        texts.append(text[:place] + _SENTENCES[number % len(_SENTENCES)] + text[place:])
    return texts


def num_recomputed(before: Windows, after: Windows) -> int:
    """Windows of the edited text that the text had nowhere before."""
    known = set(before)
    return sum(window not in known for window in after)


def measure(name: str, texts: Sequence[str], encode: Encode) -> dict[str, Any]:
    """One way to cut: windows of the first text, and how many each other text recomputes."""
    before, *after = (WAYS[name](text, encode) for text in texts)
    recomputed = [num_recomputed(before, windows) for windows in after]
    return {
        "cut": name,
        "windows": len(before),
        "tokens in a window": round(statistics.mean(map(len, before))),
        "recomputed, mean": round(statistics.mean(recomputed), 1),
        "median": round(statistics.median(recomputed), 1),
        "most": max(recomputed),
    }


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True),
    default=Path("examples/texts/the-hound-of-the-baskervilles.txt"),
    show_default=True,
    help="A long text.",
)
@click.option("--num-edits", default=32, show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path))
def edits(data: Path, num_edits: int, seed: int, json_path: Path | None) -> None:
    """Count the windows that an insertion early in a long text compresses again."""
    path = Path(resolve_model(DEFAULT_MODEL)) / "tokenizer.json"
    encode = functools.cache(TextTokenizer(Tokenizer.from_file(str(path))).encode)
    text = data.read_text(encoding="utf-8")
    texts = [text, *edited_texts(text, num_edits, seed)]
    cells = [measure(name, texts, encode) for name in WAYS]
    click.echo(markdown_table(list(cells[0]), [list(map(str, cell.values())) for cell in cells]))
    settings = {"data": data.name, "num_edits": num_edits, "seed": seed, "window": WINDOW}
    save_json(json_path, "edits", DEFAULT_MODEL, settings, cells)
