"""Books as haystacks, measured in tokens of 4.5 characters whatever the model's tokenizer says.

Knows files and characters.
"""

from __future__ import annotations

import random
from pathlib import Path

from lmos.errors import DataError

CHARS_PER_TOKEN = 4.5


def read_books(path: Path) -> str:
    """One file, or all `.txt` files of a folder one after the other.

    Raises:
        DataError: There is none.
    """
    files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"expected .txt files in {path}, found none")
    return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)


def cut_haystack(rng: random.Random, books: str, num_tokens: int) -> str:
    """A stretch of the books from a random place on.

    Raises:
        DataError: The books are shorter than that.
    """
    num_chars = int(num_tokens * CHARS_PER_TOKEN)
    if len(books) < num_chars:
        raise DataError(
            f"expected books of at least {num_chars} characters for {num_tokens} tokens, got "
            f"{len(books)}; give more books or fewer --tokens"
        )
    start = rng.randrange(len(books) - num_chars + 1)
    return books[start : start + num_chars]
