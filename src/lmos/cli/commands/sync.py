"""`lmos sync`: a store as a folder is now.

What there is to do is planned in `lmos.upkeep.folders` and done in `lmos.upkeep.syncing`.
"""

from __future__ import annotations

import sys
import time as clock
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lmos.cli.choosing import Taking, file_options, tell_notes, tell_skipped
from lmos.cli.failures import FAILED, INTERRUPTED
from lmos.cli.keys import KeyChoice, key_option
from lmos.cli.options import ModelChoice, json_option, model_options, store_argument, wait_option
from lmos.cli.show.helping import HelpfulCommand
from lmos.cli.show.output import count, is_interactive, printable
from lmos.cli.stores import patience, require_store
from lmos.documents.addresses import is_address
from lmos.errors import DataError
from lmos.text.files import require_path
from lmos.upkeep.folders import FolderTexts, Plan, read_folder

if TYPE_CHECKING:
    from lmos.cli.mirroring import Report


@click.command(cls=HelpfulCommand, short_help="Make a store equal to a folder.")
@store_argument
@click.argument("folder")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask, even if most would be forgotten.")
@key_option
@wait_option
@file_options
@model_options
@json_option
def sync(
    store: Path,
    folder: str,
    dry_run: bool,
    yes: bool,
    key: KeyChoice,
    wait: float,
    taking: Taking,
    model: ModelChoice,
    as_json: bool,
) -> None:
    r"""Make STORE equal to FOLDER: what is new is added, what is gone is forgotten.

    \b
    Example:
      lmos sync life.lmos notes/ --dry-run
      lmos sync life.lmos notes/
      lmos sync life.lmos notes/ --exclude drafts --exclude '*.tmp.md'

    A file that changed is updated, one that was renamed or moved within FOLDER is renamed without
    being compressed again. Only sources that would come from FOLDER are touched: those whose name
    is the path of a file in it that is taken. Names are relative to the current folder, so call it
    from the same one each time. Files are named, taken and skipped as lmos add does.

    If most would be forgotten, as when FOLDER is empty, it asks first; --yes is needed where there
    is no terminal. Each change is done whole or not at all, so it can be interrupted and called
    again.
    """
    require_store(store)
    texts = _looked_at(folder, taking)
    start = clock.perf_counter()

    from lmos.cli.mirroring import Report

    report = Report(texts, as_json, dry_run)
    if dry_run:
        from lmos.store.sqlite import SQLiteStore
        from lmos.upkeep.syncing import plan_for

        with SQLiteStore.open(store, read_only=True, key=key.key_of(store)) as opened:
            plan = plan_for(opened, texts)
        for step in plan.steps:
            report.tell(step)
        report.end(plan, clock.perf_counter() - start)
    else:
        _make_equal(store, key, folder, report, taking, model, wait, yes=yes)
    if report.problems:
        sys.exit(FAILED)


def _make_equal(
    store: Path,
    key: KeyChoice,
    folder: str,
    report: Report,
    taking: Taking,
    model: ModelChoice,
    wait: float,
    *,
    yes: bool,
) -> None:
    from lmos.cli.mirroring import loading_once, make_equal
    from lmos.store.sqlite import SQLiteStore

    start = clock.perf_counter()
    with SQLiteStore.open_shared(store, patience(wait), key.key_of(store)) as opened:
        try:
            plan = make_equal(
                opened,
                report,
                taking,
                loading_once(opened, model),
                lambda plan: yes or _ask(plan, folder),
            )
        except KeyboardInterrupt:
            num_steps = 0 if report.plan is None else len(report.plan.steps)
            done = f"{len(report.done)} of {count(num_steps, 'change')} done"
            click.echo(f"interrupted; nothing half-written, {done}", err=True)
            sys.exit(INTERRUPTED)
    report.end(plan, clock.perf_counter() - start)


def _looked_at(folder: str, taking: Taking) -> FolderTexts:
    if not folder:
        raise click.UsageError("expected a folder, got an empty path; . is the current folder")
    if is_address(folder) and not Path(folder).exists():
        raise DataError(f"{folder}: expected a folder; lmos add takes pages of the web")
    require_path(folder)
    if Path(folder).is_file():
        raise click.UsageError(f"{folder}: expected a folder, got a file; lmos add takes files")
    texts = read_folder(Path(folder), taking.choice, taking.reading)
    if taking.strict and texts.problems:
        raise DataError(f"{texts.problems[0].message}\nnothing was changed")
    for problem in texts.problems:
        tell_skipped(problem.message)
    tell_notes(texts.files)
    return texts


def _ask(plan: Plan, folder: str) -> bool:
    """Ask before most of what a store has from a folder goes."""
    num_forgotten = sum(step.action == "forget" for step in plan.steps)
    what = f"{count(num_forgotten, 'source')} of {num_forgotten + _num_kept(plan):,}"
    if not is_interactive():
        raise DataError(
            f"{printable(folder)}: {what} would be forgotten, nothing was changed. Look with "
            "--dry-run, and if that is what you want, add --yes"
        )
    click.confirm(f"Forget {what} from {printable(folder)} for good?", abort=True, err=True)
    return True


def _num_kept(plan: Plan) -> int:
    return plan.num_unchanged + sum(step.action in ("rename", "update") for step in plan.steps)
