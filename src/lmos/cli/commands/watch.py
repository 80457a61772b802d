"""`lmos watch`: a store stays equal to a folder for as long as it runs.

Waiting is in `lmos.upkeep.watching`; each time, what `lmos sync` does is done.
"""

from __future__ import annotations

import time as clock
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lmos.cli.choosing import Taking, file_options, tell_notes, tell_skipped
from lmos.cli.keys import KeyChoice, key_option
from lmos.cli.options import ModelChoice, json_option, model_options, store_argument, wait_option
from lmos.cli.show.helping import HelpfulCommand
from lmos.cli.show.output import note, printable
from lmos.cli.stores import patience, require_store
from lmos.errors import DataError, StoreLocked
from lmos.text.files import require_path

if TYPE_CHECKING:
    from lmos.store.keys import Key


@click.command(cls=HelpfulCommand, short_help="Keep a store equal to a folder.")
@store_argument
@click.argument("folder")
@click.option("--yes", is_flag=True, help="Go on even if most would be forgotten.")
@key_option
@wait_option
@file_options
@model_options
@json_option
def watch(
    store: Path,
    folder: str,
    yes: bool,
    key: KeyChoice,
    wait: float,
    taking: Taking,
    model: ModelChoice,
    as_json: bool,
) -> None:
    r"""Make STORE equal to FOLDER, and keep it so until Ctrl-C.

    \b
    Example:
      lmos watch life.lmos notes/
      lmos watch life.lmos papers/ --include '*.pdf'

    At the start, and whenever files in FOLDER change, it does what lmos sync does. So it can be
    ended and started again at any time; nothing is half-written. Between changes others may write
    to STORE. If most would be forgotten, as when FOLDER is emptied, nothing is changed and it is
    told, unless --yes is given. With --json, what was done is one object a line.
    """
    require_store(store)
    if not folder:
        raise click.UsageError("expected a folder, got an empty path; . is the current folder")
    require_path(folder)
    if not Path(folder).is_dir():
        raise DataError(f"{printable(folder)}: expected a folder")
    try:
        _watch(store, Path(folder), yes, key.key_of(store), wait, taking, model, as_json=as_json)
    except KeyboardInterrupt:
        note("ended; nothing half-written")


def _watch(
    store: Path,
    folder: Path,
    yes: bool,
    key: Key | None,
    wait: float,
    taking: Taking,
    model: ModelChoice,
    *,
    as_json: bool,
) -> None:
    from lmos.cli.mirroring import Report, loading_once, make_equal
    from lmos.store.sqlite import SQLiteStore
    from lmos.upkeep.folders import Looks, Plan, read_folder
    from lmos.upkeep.watching import iter_changes

    looks: Looks = {}
    told: set[str] = set()
    noted: set[bytes] = set()

    def agree(plan: Plan) -> bool:
        if not yes:
            click.echo(
                f"nothing was changed: most of what the store has from {printable(str(folder))} "
                "would be forgotten. If that is what you want, call lmos sync, or add --yes",
                err=True,
            )
        return yes

    with SQLiteStore.open_shared(store, patience(wait), key) as opened:
        session = loading_once(opened, model)
        note(f"watching {printable(str(folder))}; Ctrl-C ends it")
        for _ in iter_changes(folder, taking.choice):
            start = clock.perf_counter()
            texts = read_folder(folder, taking.choice, taking.reading, looks)
            problems = {problem.message for problem in texts.problems}
            if problems and taking.strict:
                raise DataError(min(problems))
            for problem in sorted(problems - told):
                tell_skipped(problem)
            tell_notes(file for file in texts.files if file.digest not in noted)
            told, noted = problems, {file.digest for file in texts.files}
            report = Report(texts, as_json, is_dry=False, on_one_line=True)
            try:
                plan = make_equal(opened, report, taking, session, agree)
            except StoreLocked as error:
                click.echo(f"{error}; tried again after the next change", err=True)
                continue
            if plan.steps:
                report.end(plan, clock.perf_counter() - start)
