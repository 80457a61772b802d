"""`lmos ask`: an answer from the store, with the passages that it was generated from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lmos.cli.options import (
    ModelChoice,
    answer_options,
    explain_option,
    json_option,
    model_options,
    retrieval_options,
    store_argument,
)
from lmos.cli.output import note, print_json, results
from lmos.cli.stores import require_store

_SHOWN_PASSAGES = 6


@click.command(short_help="Answer a question, with citations.")
@store_argument
@click.argument("question")
@answer_options
@retrieval_options
@explain_option
@model_options
@json_option
def ask(
    store: Path,
    question: str,
    answering: dict[str, Any],
    retrieval: dict[str, Any],
    explain: bool,
    model: ModelChoice,
    as_json: bool,
) -> None:
    r"""Answer QUESTION from STORE, then cite the passages that the answer was generated from.

    \b
    Example:
      lmos ask life.lmos "What is the code of the blue bicycle?"
      lmos ask life.lmos "What is the code of the blue bicycle?" --explain
      lmos ask life.lmos "Who sold it?" --since 2024-05-01 --where author=me
      lmos ask life.lmos "What is the code of the blue bicycle?" --json | jq -r .answer

    STORE is not changed; `lmos chat` is for talks that shall be remembered.
    """
    require_store(store)

    from lmos.cli.answers import answer_json, stream
    from lmos.cli.opening import open_session
    from lmos.cli.passages import draw_passages
    from lmos.cli.walks import draw_walk, walk_json
    from lmos.retriever import RetrievalConfig

    config = RetrievalConfig(**retrieval)
    console = results()
    with open_session(store, model, read_only=True) as session:
        with session.store.snapshot():
            answer = session.ask(question, config, **answering)
            walk = {"walk": walk_json(session.store, answer.retrieval)} if explain else {}
            drawn = draw_walk(session.store, answer.retrieval, console.width) if explain else None
        if as_json:
            answer.complete()
            print_json({**answer_json(answer), **walk})
            return
        stream(answer)
        if drawn is not None:
            console.print()
            console.print(drawn)
        console.print()
        console.print(draw_passages(answer.citations, _SHOWN_PASSAGES))
    note(f"retrieved in {answer.timing['retrieve']:.2f} s, {answer.timing['total']:.2f} s in all")
