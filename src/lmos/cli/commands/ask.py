"""`lmos ask`: an answer from the store, with the passages that it was generated from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmos.cli.failures import FAILED
from lmos.cli.keys import KeyChoice, key_option
from lmos.cli.options import (
    ModelChoice,
    answer_options,
    explain_option,
    json_option,
    model_options,
    question_argument,
    retrieval_options,
    store_argument,
)
from lmos.cli.show.helping import HelpfulCommand
from lmos.cli.show.output import note, notes, print_json, results
from lmos.cli.stores import require_store

if TYPE_CHECKING:
    from rich.console import RenderableType

    from lmos.reading.answers import Answer

_SHOWN_PASSAGES = 6


@click.command(cls=HelpfulCommand, short_help="Answer a question, with citations.")
@store_argument
@question_argument
@answer_options
@retrieval_options
@explain_option
@key_option
@model_options
@json_option
def ask(
    store: Path,
    question: str,
    answering: dict[str, Any],
    retrieval: dict[str, Any],
    explain: bool,
    key: KeyChoice,
    model: ModelChoice,
    as_json: bool,
) -> None:
    r"""Answer QUESTION from STORE, and cite the passages that the answer was made from.

    \b
    Example:
      lmos ask life.lmos "What is the code of the blue bicycle?"
      lmos ask life.lmos where does the fox sleep --explain
      lmos ask life.lmos "Who sold it?" --since 2024-05-01 --where author=me
      lmos ask life.lmos "Who sold the bicycle?" --json | jq -r .answer

    An answer that the model is not sure enough of is a guess: it goes to standard error, beside the
    passages that come closest, and the exit status is 1. With --json it goes to standard output
    too, and is_found is false. STORE is not changed.
    """
    require_store(store)

    from lmos.cli.opening import open_session, warn_without_words
    from lmos.cli.show.answers import answer_json, complete, say, sureness
    from lmos.cli.show.walks import draw_walk, walk_json
    from lmos.search.retriever import RetrievalConfig

    config = RetrievalConfig(**retrieval)
    with open_session(store, model, key.key_of(store), read_only=True) as session:
        with session.store.snapshot():
            warn_without_words(session, config.strategy)
            answer = session.ask(question, config, **answering)
            console = results()
            walk = {"walk": walk_json(session.store, answer.retrieval)} if explain else {}
            drawn = draw_walk(session.store, answer.retrieval, console.width) if explain else None
        complete(answer)
    if as_json:
        print_json({**answer_json(answer), **walk})
    else:
        say(answer)
        _show_evidence(answer, drawn)
        if answer.reason is None:
            found, total = answer.timing["retrieve"], answer.timing["total"]
            sure = f"{sureness(answer)}; " if answer.is_found else ""
            note(f"{sure}retrieved in {found:.2f} s, {total:.2f} s in all")
    if not answer.is_found:
        sys.exit(FAILED)


def _show_evidence(answer: Answer, walk: RenderableType | None) -> None:
    """What the answer was generated from; beside a mere guess, where notes go."""
    from lmos.cli.show.passages import draw_passages

    console = results() if answer.is_found else notes()
    is_explained = walk is not None
    passages = draw_passages(
        answer.citations, _SHOWN_PASSAGES, answer.is_found, is_explained=is_explained
    )
    for part in (walk, passages):
        if part is not None and answer.retrieval.hits:
            console.print()
            console.print(part)
