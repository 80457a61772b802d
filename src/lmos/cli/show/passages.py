"""Passages that were retrieved, for people and for machines.

Knows citations. Does not know how they were found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from lmos.cli.show.output import printable
from lmos.nodes import ScoreParts
from lmos.reading.citations import Citation
from lmos.reading.telling import clock_time, path_of
from lmos.tree.headings import without_headings

_MAX_CHARS = 600


def passage_json(citation: Citation) -> dict[str, Any]:
    """A citation as JSON keeps it; scores are unrounded."""
    return {
        "source": citation.source,
        "time": citation.time,
        "start_byte": citation.start_byte,
        "end_byte": citation.end_byte,
        "place": citation.place,
        "text": citation.text,
        "headings": list(citation.headings),
        "columns": citation.columns,
        "level": citation.level,
        "score": citation.score,
        **parts_json(citation.parts),
        "weight": citation.weight,
        "path": [
            {"level": step.level, "index": step.index, "score": step.score}
            for step in citation.path
        ],
    }


def parts_json(parts: ScoreParts | None) -> dict[str, float]:
    """What a score comes from, if it is joined from two."""
    return {} if parts is None else parts._asdict()


def draw_passages(
    citations: Sequence[Citation],
    most: int | None = None,
    is_answer_marked: bool = True,
    *,
    is_explained: bool = False,
) -> RenderableType:
    """Passages one below the other, numbered, best first.

    Args:
        citations: Best first.
        most: How many to draw; the others are counted.
        is_answer_marked: Whether to mark those that hold the answer; nobody claims a guess.
        is_explained: Whether to say what each score comes from.
    """
    parts: list[RenderableType] = []
    for number, citation in enumerate(citations[:most], 1):
        is_marked = is_answer_marked and citation.has_answer
        parts.append(_heading(number, citation, is_marked=is_marked, is_explained=is_explained))
        parts.append(Padding(_body(citation), (0, 0, 0, 4), expand=False))
    if len(citations) > len(parts) // 2:
        parts.append(Text(f"    and {len(citations) - len(parts) // 2} more", style="dim"))
    return Group(*parts)


def _heading(number: int, citation: Citation, *, is_marked: bool, is_explained: bool) -> Text:
    read = "text" if citation.level == 0 else f"embedding of level {citation.level}"
    return Text.assemble(
        (f"{number:>2}  ", "dim"),
        (printable(path_of(citation.source, citation.headings)), "bold"),
        (f", {printable(citation.place)}," if citation.place is not None else "", "bold"),
        (f" {citation.start_byte}–{citation.end_byte}", "bold"),
        (f"  {clock_time(citation.time)}" if citation.time is not None else "", "dim"),
        (f"  score {citation.score:.2f}", "dim"),
        (f"  {citation.weight:.0%}  {read}", "dim"),
        ("  ← the answer" if is_marked else "", "bold"),
        (_drawn_parts(citation) if is_explained else "", "dim"),
    )


def _drawn_parts(citation: Citation) -> str:
    if citation.parts is None:
        return ""
    attention, lexical = citation.parts
    return f"\n    attention {attention:.2f}, words {lexical:.2f}"


def _body(citation: Citation) -> Text:
    """The passage without the headings that stand in its path; above a row, its columns."""
    shown = printable(without_headings(citation.text, citation.headings)).strip()
    shown = shown if len(shown) <= _MAX_CHARS else shown[:_MAX_CHARS].rstrip() + " …"
    if citation.columns is None:
        return Text(shown)
    return Text.assemble((printable(citation.columns), "dim"), "\n", shown)
