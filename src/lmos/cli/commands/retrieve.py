"""`lmos retrieve`: the passages that a question needs, without an answer."""

from __future__ import annotations

import time as clock
from pathlib import Path
from typing import Any

import click

from lmos.cli.keys import KeyChoice, key_option
from lmos.cli.options import (
    ModelChoice,
    explain_option,
    json_option,
    model_options,
    question_argument,
    retrieval_options,
    store_argument,
)
from lmos.cli.show.helping import HelpfulCommand
from lmos.cli.show.output import note, print_json, results
from lmos.cli.stores import require_store


@click.command(cls=HelpfulCommand, short_help="Find the passages for a question.")
@store_argument
@question_argument
@retrieval_options
@explain_option
@key_option
@model_options
@json_option
def retrieve(
    store: Path,
    question: str,
    retrieval: dict[str, Any],
    explain: bool,
    key: KeyChoice,
    model: ModelChoice,
    as_json: bool,
) -> None:
    r"""Find the passages of STORE that QUESTION needs, best first.

    \b
    Example:
      lmos retrieve life.lmos "Who has the blue bicycle?"
      lmos retrieve life.lmos "Who has the blue bicycle?" --level 2 --explain
      lmos retrieve life.lmos "Who has it?" --since 2024-05-01 --where author=me
      lmos retrieve life.lmos "Who has it?" --json | jq '.citations[0].text'

    The percentage is a passage's share of the attention over all that were found. STORE is not
    changed.
    """
    require_store(store)

    from lmos.cli.opening import open_session, warn_without_words
    from lmos.cli.show.passages import draw_passages, passage_json
    from lmos.cli.show.walks import draw_walk, walk_json
    from lmos.search.retriever import RetrievalConfig

    config = RetrievalConfig(**retrieval)
    console = results()
    with (
        open_session(store, model, key.key_of(store), read_only=True) as session,
        session.store.snapshot(),
    ):
        warn_without_words(session, config.strategy)
        start = clock.perf_counter()
        found = session.retrieve(question, config)
        seconds = clock.perf_counter() - start
        citations = session.cite(found)
        walk = {"walk": walk_json(session.store, found)} if explain else {}
        drawn = draw_walk(session.store, found, console.width) if explain else None
    if as_json:
        passages = [passage_json(citation) for citation in citations]
        print_json({"citations": passages, "timing": {"retrieve": seconds}, **walk})
        return
    if drawn is not None:
        console.print(drawn)
        console.print()
    console.print(draw_passages(citations, is_explained=explain))
    note(f"{len(citations)} passages in {seconds:.2f} s")
