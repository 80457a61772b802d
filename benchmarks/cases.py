"""Small inputs with the right value: a note or two, a question, and what must be answered.

One JSON object a line: `kind`; `sources` with `name`, `text` and perhaps `time`; `question`;
`right`, the answers that count, or null where nothing must be claimed; perhaps `citation_includes`
or `citation_excludes`, a text that the first citation must or must not hold.
"""

from __future__ import annotations

import json
import string
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from benchmarks.options import data_option
from benchmarks.report import save_json
from benchmarks.stores import new_session
from benchmarks.tallies import Tallies
from lmos.errors import DataError
from lmos.model.base import BaseModel
from lmos.model.released import DEFAULT_MODEL
from lmos.reading.answers import Answer
from lmos.search.retriever import RetrievalConfig
from lmos.session import load_model

_ARTICLES = ("a ", "an ", "the ")


def read_cases(path: Path) -> list[dict[str, Any]]:
    """The cases of a file.

    Raises:
        DataError: A line is not a case.
    """
    cases = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            case = json.loads(line)
            case["kind"], case["question"], case["right"], case["sources"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"expected a case in line {number} of {path}: {error!r}") from error
        cases.append(case)
    return cases


def is_right(answer: Answer, case: dict[str, Any]) -> bool:
    """Whether what is claimed is one of the right answers, and cited from the right place."""
    if case["right"] is None:
        return not answer.is_found
    said = _plain(answer.text)
    if not answer.is_found or said not in [_plain(right) for right in case["right"]]:
        return False
    cited = answer.citations[0].text if answer.citations else ""
    excluded = case.get("citation_excludes")
    return case.get("citation_includes", "") in cited and (not excluded or excluded not in cited)


def _plain(answer: str) -> str:
    """Without case, outer punctuation and a leading article."""
    plain = answer.casefold().strip(string.punctuation.replace("%", "") + string.whitespace)
    for article in _ARTICLES:
        plain = plain.removeprefix(article)
    return plain


def ask_case(model: BaseModel, case: dict[str, Any], config: RetrievalConfig) -> Answer:
    """The answer from a store that holds the sources of the case and nothing else."""
    session = new_session(model)
    for source in case["sources"]:
        time = source.get("time")
        day = None if time is None else datetime.fromisoformat(time).replace(tzinfo=UTC)
        session.add(source["name"], source["text"], time=None if day is None else day.timestamp())
    return session.ask(case["question"], config).complete()


@click.command()
@data_option("A file of cases, JSON Lines.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Folder or name.")
@click.option(
    "--json", "json_path", type=click.Path(path_type=Path), help="Where to write figures."
)
def cases(data: Path, model: str, json_path: Path | None) -> None:
    """Small inputs, one question each: right, and wrong but claimed, by kind."""
    base, tallies = load_model(model), Tallies()
    for case in read_cases(data):
        answer = ask_case(base, case, RetrievalConfig())
        right = is_right(answer, case)
        flags = {"right": right, "wrong_and_claimed": answer.is_found and not right}
        for kind in (case["kind"], "all"):
            tallies.add({"kind": kind}, 0, **flags)
        if not right:
            said = answer.text if answer.is_found else f"({answer.text})"
            click.echo(f"{case['question']} → {said!r}, expected {case['right']}")
    click.echo()
    click.echo(tallies.table())
    save_json(json_path, "cases", model, {"data": data.name}, tallies.cells())
