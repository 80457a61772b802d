"""Text as it is: Markdown, whose front matter says more about it, and source code, line by line.

Nothing is changed, so that the bytes of a citation are those of the file. Knows no other format.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from typing import Any

import yaml

from lmos.documents.base import AbstractReader, Document, Original, clean, one_line
from lmos.nodes import PlaceMark

_FRONT = re.compile(r"\ufeff?---[ \t]*\r?\n(.*?\n)(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_DATES = ("date", "created", "updated", "time")
_MAX_LABEL = 200


class PlainReader(AbstractReader):
    """Text that says nothing about itself."""

    kind = "plain text"
    suffixes = (".txt", ".text", ".rst", ".org", ".adoc", ".asciidoc", ".tex", ".log")
    is_quick = True

    def read(self, original: Original) -> list[Document]:
        """The text as it is."""
        return [Document(original.plain())]


class MarkdownReader(AbstractReader):
    """Markdown, whose front matter in YAML may say when it is from, and more."""

    kind = "Markdown"
    suffixes = (".md", ".markdown", ".mdx", ".qmd", ".rmd")
    is_quick = True

    def read(self, original: Original) -> list[Document]:
        """The text as it is; time and labels from its front matter."""
        text = original.plain()
        values = _front_matter(text)
        times = (_seconds(values[key]) for key in _DATES if key in values)
        time = next((each for each in times if each is not None), None)
        return [Document(text, time=time, labels=dict(_iter_labels(values)))]


class CodeReader(AbstractReader):
    """Source code and files of settings."""

    kind = "source code"
    suffixes = tuple(
        f".{name}"
        for name in (
            "py pyi js mjs cjs ts jsx tsx c h cc cpp cxx hpp hh cs java kt kts scala go rs swift "
            "rb php pl pm lua r jl hs ml mli ex exs erl clj lisp el dart zig nim d pas f90 f95 sql "
            "sh bash zsh fish ps1 bat css scss less vue svelte proto graphql cmake mk tf nix toml "
            "yaml yml ini cfg conf properties xml xsd bib po"
        ).split()
    )
    is_quick = True

    def read(self, original: Original) -> list[Document]:
        """The text as it is; each line is a place."""
        text = original.plain()
        return [Document(text, tuple(_iter_lines(text)))]


def _iter_lines(text: str) -> Iterator[PlaceMark]:
    start = 0
    for number, line in enumerate(text.split("\n"), 1):
        if line:
            yield PlaceMark(start, f"line {number}")
        start += len(line.encode()) + 1


def _front_matter(text: str) -> dict[str, Any]:
    match = _FRONT.match(text)
    if match is None:
        return {}
    try:
        values = yaml.safe_load(match[1])
    except (yaml.YAMLError, ValueError):
        # It is text all the same, and says so itself.
        return {}
    return (
        {str(key).lower(): value for key, value in values.items()} if type(values) is dict else {}
    )


def _iter_labels(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        simple = value if isinstance(value, list) else [value]
        if all(isinstance(each, str | int | float | datetime.date) for each in simple):
            label = clean(one_line(", ".join(map(str, simple))))
            if label and len(label) <= _MAX_LABEL and key.strip():
                yield clean(key), label


def _seconds(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        value = datetime.datetime.combine(value, datetime.time())
    try:
        return value.timestamp() if isinstance(value, datetime.datetime) else None
    except (ValueError, OverflowError):
        return None
