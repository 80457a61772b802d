"""`lmos chat`: a talk that is remembered, turn by turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lmos.cli.options import (
    ModelChoice,
    answer_options,
    json_option,
    model_options,
    retrieval_options,
    store_argument,
)
from lmos.cli.output import is_interactive, note, print_json, printable
from lmos.cli.stores import require_store
from lmos.cli.turns import QUIT, iter_turns
from lmos.errors import LmosError


@click.command(short_help="Talk; every turn is remembered.")
@store_argument
@click.option("--source", default="chat", show_default=True, help="Source that the talk extends.")
@answer_options
@retrieval_options
@model_options
@json_option
def chat(
    store: Path,
    source: str,
    answering: dict[str, Any],
    retrieval: dict[str, Any],
    model: ModelChoice,
    as_json: bool,
) -> None:
    r"""Talk with everything in STORE, one line a turn, and remember every turn.

    \b
    Example:
      lmos chat life.lmos
      echo "Who has the blue bicycle?" | lmos chat life.lmos --json

    Each turn is added to a source, so the next ones find it, in this talk and in all later ones.
    /quit, Ctrl-D or Ctrl-C leaves. With --json every turn is one line of JSON.
    """
    require_store(store)

    from lmos.cli.answers import answer_json, stream
    from lmos.cli.opening import open_session
    from lmos.prompts import UNKNOWN_ANSWER
    from lmos.retriever import RetrievalConfig

    config = RetrievalConfig(**retrieval)
    with open_session(store, model, read_only=False) as session:
        if is_interactive():
            note(f"every turn is remembered in the source {source!r}; {QUIT} leaves")
        try:
            for question in iter_turns():
                try:
                    answer = session.ask(question, config, **answering)
                    if as_json:
                        answer.complete()
                    else:
                        stream(answer)
                    # A guess that is remembered would be found as a fact.
                    said = answer.text if answer.is_found else UNKNOWN_ANSWER
                    session.append(source, f"User: {question}\nAssistant: {said}\n")
                except LmosError as error:
                    click.echo(f"error: {error}\nthis turn is not remembered", err=True)
                    continue
                if as_json:
                    print_json({"question": question, **answer_json(answer)}, on_one_line=True)
                else:
                    names = dict.fromkeys(citation.source for citation in answer.citations)
                    note(f"from {', '.join(map(printable, names)) or 'nothing: no sources yet'}")
        except KeyboardInterrupt:
            click.echo(err=True)
