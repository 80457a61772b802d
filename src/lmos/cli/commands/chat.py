"""`lmos chat`: a talk in which what is told is remembered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lmos.cli.keys import KeyChoice, key_option
from lmos.cli.options import (
    ModelChoice,
    answer_options,
    json_option,
    model_options,
    retrieval_options,
    store_argument,
    wait_option,
)
from lmos.cli.show.helping import HelpfulCommand, option
from lmos.cli.show.output import is_interactive, note
from lmos.cli.stores import require_store
from lmos.cli.turns import iter_turns
from lmos.errors import LmosError
from lmos.settings import WHEN


@click.command(cls=HelpfulCommand, short_help="Talk; what you tell is remembered.")
@store_argument
@click.option(
    "--source",
    default="chat",
    show_default=True,
    metavar="NAME",
    help="Add what you tell to this source.",
)
@option(
    "--when",
    group="Answer",
    is_rare=True,
    type=click.Choice(WHEN),
    default=WHEN[0],
    show_default=True,
    help="Look up every question, none, or those that the model is sure it cannot answer without; "
    "the others it answers in its own words.",
)
@answer_options
@retrieval_options
@key_option
@wait_option
@model_options
@json_option
def chat(
    store: Path,
    source: str,
    when: str,
    answering: dict[str, Any],
    retrieval: dict[str, Any],
    key: KeyChoice,
    wait: float,
    model: ModelChoice,
    as_json: bool,
) -> None:
    r"""Talk with everything in STORE, one line a turn: tell it something, or ask.

    \b
    Example:
      lmos chat life.lmos
      echo "The bicycle is Eva's now." | lmos chat life.lmos --source diary
      echo "Who has the blue bicycle?" | lmos chat life.lmos --json

    A statement is added to a source, so that this talk and all later ones find it. A question is
    answered; neither it nor the answer is stored. A line is a question if it ends with a question
    mark, or begins like one in English. /ask TEXT and /tell TEXT leave no doubt, /help explains,
    and /quit or Ctrl-D leaves. With --json every turn is one line of JSON.

    Exit status: 0 when the talk has ended, whatever was found.
    """
    require_store(store)

    from lmos.cli.opening import open_shared_session
    from lmos.cli.talk import Talk
    from lmos.search.retriever import RetrievalConfig

    config = RetrievalConfig(**retrieval)
    with open_shared_session(store, model, key.key_of(store), wait) as session:
        talk = Talk(session, source, config, answering | {"when": when}, as_json=as_json)
        if is_interactive():
            note(f"what you tell is remembered in the source {source!r}; /help explains")
        try:
            for turn in iter_turns():
                try:
                    talk.take(turn)
                except LmosError as error:
                    what = "answered" if turn.is_question else "remembered"
                    click.echo(f"error: {error}\nthis turn is not {what}", err=True)
        except KeyboardInterrupt:
            click.echo(err=True)
