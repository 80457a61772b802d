"""The demo: one process reads a novel and two files of notes, another answers from them.

`make demo` runs it. The second process is started fresh: all that it knows is in one file.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.tree import Tree

from lmos import Session, load_model
from lmos.reading.answers import Answer
from lmos.search.retriever import Retrieval

TEXTS = Path(__file__).parent / "texts"
NOVEL = "the-hound-of-the-baskervilles.txt"
DIARY = "diary.md"
HOUSEHOLD = "household.md"

QUESTIONS = (
    "What is the code of the garage door?",
    "What is Nadia Brook allergic to?",
    "What did Uncle Walter hide under the cellar floor?",
    "What is Farida Nasser's e-mail address?",
    "How much is the milk round now?",
    "Which button restarts the boiler?",
    "When does the piano tuner come?",
    "Who feeds the hens next week?",
    "Where does the key hang now?",
    "What does Noor do for a living?",
    "Which hotel does Sir Henry Baskerville stay at in London?",
    "What is the name of Dr. Mortimer's dog?",
    "Who won the chess tournament?",
)
_TRIAL_TOKENS = 1024

console = Console(highlight=False)


def write(store: Path) -> None:
    """Process one: create a store and add a novel and two files of notes."""
    session = Session.create(store)
    for name in (NOVEL, DIARY, HOUSEHOLD):
        text = (TEXTS / name).read_text(encoding="utf-8")
        total = len(session.model.encode(text))
        start = time.perf_counter()
        bar = Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} tokens"),
            TimeElapsedColumn(),
            console=console,
        )
        with bar:
            task = bar.add_task(name, total=total)
            source = session.add(name, text, progress=partial(bar.advance, task))
        seconds = time.perf_counter() - start
        speed = source.num_tokens / seconds
        console.print(f"  {source.num_tokens:,} tokens in {seconds:.1f} s, {speed:,.0f} a second")
    session.close()


def ask(store: Path) -> None:
    """Process two: open the store and ask."""
    session = Session.open(store, read_only=True)
    answers = []
    for number, question in enumerate(QUESTIONS):
        answer = session.ask(question).complete()
        answers.append(answer)
        said = answer.text if answer.is_found else "nothing found"
        console.print(f"\n[bold]{question}[/bold]\n  → {said} [dim]({answer.confidence:.0%})[/dim]")
        for other in answer.differing:
            console.print(f"    but {other.citation.source} also says: {other.text}")
        for citation in answer.citations[:2]:
            place = f"{citation.source} bytes {citation.start_byte}–{citation.end_byte}"
            console.print(
                f"    [dim]{place}:[/dim] {' '.join(citation.text.split())}", soft_wrap=True
            )
        if number == 0:
            console.print(_walk(session, answer.retrieval))
    console.print(_figures(session, store, answers))
    session.close()


def _walk(session: Session, retrieval: Retrieval) -> Tree:
    tree = Tree("    the walk, the best of every level")
    for level in retrieval.walk:
        branch = tree.add(
            f"level {level.level}: {level.num_candidates} candidates, {len(level.kept)} kept"
        )
        for node_id, score in level.kept[:1]:
            node = session.store.nodes([node_id])[0]
            text = session.store.text(node_id.source_id, node.byte_span).decode(errors="replace")
            branch.add(f"{score:6.2f}  {' '.join(text.split())[:50]}…")
    return tree


def _figures(session: Session, store: Path, answers: list[Answer]) -> Table:
    tokens = sum(source.num_tokens for source in session.sources())
    first = sorted(answer.timing.get("first_token", answer.timing["total"]) for answer in answers)
    reading = _seconds_to_read(session, tokens)
    table = Table(title="\nwhat it takes", title_justify="left", show_header=False)
    table.add_row("tokens in the store", f"{tokens:,}")
    table.add_row("bytes on disk per token, text included", f"{store.stat().st_size / tokens:.0f}")
    table.add_row("time to first token, median", f"{1000 * first[len(first) // 2]:.0f} ms")
    table.add_row("reading everything again, same model", f"{1000 * reading:,.0f} ms")
    table.add_row("ratio", f"1 / {reading / first[len(first) // 2]:.0f}")
    return table


def _seconds_to_read(session: Session, num_tokens: int) -> float:
    """Forward passes over as many tokens in short windows, from a trial: a lower bound."""
    # lmos goes first: it says how torch's threads wait for each other.
    import torch

    model = session.model
    ids_BT = torch.randint(2, model.vocab_size, (1, _TRIAL_TOKENS))
    start = time.perf_counter()
    with torch.no_grad():
        model.forward(model.embed(ids_BT))
    return (time.perf_counter() - start) * num_tokens / _TRIAL_TOKENS


def main() -> None:
    """Run both processes, or the one that is named."""
    if len(sys.argv) == 3:
        {"write": write, "ask": ask}[sys.argv[1]](Path(sys.argv[2]))
        return
    model = load_model()
    parameters = sum(weights.numel() for weights in model.module.parameters())
    console.print(
        f"lmos with {model.name}, {parameters / 1e6:.1f} million parameters, on the CPU\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "demo.lmos"
        for step, title in (
            ("write", "process one reads"),
            ("ask", "process two, started fresh, answers"),
        ):
            console.rule(title, align="left")
            subprocess.run([sys.executable, __file__, step, str(store)], check=True)


if __name__ == "__main__":
    main()
