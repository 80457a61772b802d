"""`lmos sync`: a store as a folder is now.

What there is to do is planned in `lmos.upkeep.folders` and done in `lmos.upkeep.syncing`.
"""

from __future__ import annotations

import sys
import time as clock
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmos.cli.choosing import Taking, file_options, tell_skipped
from lmos.cli.failures import FAILED, INTERRUPTED
from lmos.cli.options import ModelChoice, json_option, model_options, store_argument, wait_option
from lmos.cli.show.helping import HelpfulCommand
from lmos.cli.show.output import count, is_interactive, note, print_json, printable, progress_bar
from lmos.cli.stores import patience, require_store
from lmos.errors import DataError
from lmos.text.files import require_path
from lmos.upkeep.folders import FolderTexts, Plan, Step, plan_sync, read_folder

if TYPE_CHECKING:
    from lmos.store.sqlite import SQLiteStore

_DONE = {"rename": "renamed", "update": "updated", "add": "added", "forget": "forgot"}


@click.command(cls=HelpfulCommand, short_help="Make a store equal to a folder.")
@store_argument
@click.argument("folder")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask, even if most would be forgotten.")
@wait_option
@file_options
@model_options
@json_option
def sync(
    store: Path,
    folder: str,
    dry_run: bool,
    yes: bool,
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
    report = _Report(texts, as_json, dry_run)
    if dry_run:
        from lmos.store.sqlite import SQLiteStore

        with SQLiteStore.open(store, read_only=True) as opened:
            plan = _plan(opened, texts)
        for step in plan.steps:
            report.tell(step)
        report.end(plan, clock.perf_counter() - start)
    else:
        _make_equal(store, folder, report, taking, model, wait, yes=yes)
    if report.problems:
        sys.exit(FAILED)


def _make_equal(
    store: Path,
    folder: str,
    report: _Report,
    taking: Taking,
    model: ModelChoice,
    wait: float,
    *,
    yes: bool,
) -> None:
    from lmos.store.sqlite import SQLiteStore

    start = clock.perf_counter()
    with SQLiteStore.open_shared(store, patience(wait)) as opened:
        plan, version = _plan(opened, report.texts), opened.version
        is_agreed = yes or not plan.is_drastic
        if not is_agreed:
            # Others may write while the user thinks.
            _ask(plan, folder)
        with opened.writing() if plan.steps else nullcontext():
            if opened.version != version:
                plan = _plan(opened, report.texts)
                if plan.is_drastic and is_agreed and not yes:
                    _ask(plan, folder)
            try:
                _carry_out(plan, opened, report, taking, model)
            except KeyboardInterrupt:
                done = f"{len(report.done)} of {count(len(plan.steps), 'change')} done"
                click.echo(f"interrupted; nothing half-written, {done}", err=True)
                sys.exit(INTERRUPTED)
    report.end(plan, clock.perf_counter() - start)


def _plan(store: SQLiteStore, texts: FolderTexts) -> Plan:
    return plan_sync(texts, store.sources(), lambda source: store.text(source.source_id))


def _carry_out(
    plan: Plan, store: SQLiteStore, report: _Report, taking: Taking, model: ModelChoice
) -> None:
    if not plan.steps:
        return

    from lmos.cli.adding import Meter
    from lmos.cli.opening import session_of
    from lmos.upkeep.syncing import carry_out

    # Without text to compress no model is loaded.
    session = cache(partial(session_of, store, model))
    sources = store.sources()
    total = sum(_work(step) for step in plan.steps)
    with progress_bar("syncing", total) as advance:
        for step in plan.steps:
            meter = Meter(_work(step), sources, advance)
            try:
                carry_out(step, store, session, taking.max_bytes, meter.add_tokens)
            except DataError as error:
                taking.skip(report.problems, error)
            else:
                report.tell(step)
            meter.finish()


@dataclass
class _Report:
    """What was done, or would be, told step by step."""

    texts: FolderTexts
    as_json: bool
    is_dry: bool
    done: list[Step] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.problems += [problem.message for problem in self.texts.problems]

    def tell(self, step: Step) -> None:
        """One more step is done."""
        self.done.append(step)
        if self.as_json:
            return
        verb = f"would {step.action}" if self.is_dry else _DONE[step.action]
        names = printable(step.name)
        if step.old_name is not None:
            names = f"{printable(step.old_name)} to {names}"
        # Not click.echo, which would write across the progress bar.
        print(f"{verb} {names}", flush=True)

    def end(self, plan: Plan, seconds: float) -> None:
        """All is done."""
        actions = Counter(step.action for step in self.done)
        numbers = {
            "added": actions["add"],
            "updated": actions["update"],
            "renamed": actions["rename"],
            "forgotten": actions["forget"],
            "unchanged": plan.num_unchanged,
            "skipped": len(self.problems),
        }
        if self.as_json:
            steps = [_step_json(step) for step in self.done]
            rest = {"problems": self.problems, "dry_run": self.is_dry, "seconds": seconds}
            print_json({"steps": steps, **numbers, **rest})
        summary = ", ".join(f"{number:,} {what}" for what, number in numbers.items())
        note(f"nothing was changed; it would be: {summary}" if self.is_dry else summary)


def _looked_at(folder: str, taking: Taking) -> FolderTexts:
    if not folder:
        raise click.UsageError("expected a folder, got an empty path; . is the current folder")
    require_path(folder)
    if Path(folder).is_file():
        raise click.UsageError(f"{folder}: expected a folder, got a file; lmos add takes files")
    texts = read_folder(Path(folder), taking.choice, taking.max_bytes)
    if taking.strict and texts.problems:
        raise DataError(f"{texts.problems[0].message}\nnothing was changed")
    for problem in texts.problems:
        tell_skipped(problem.message)
    return texts


def _ask(plan: Plan, folder: str) -> None:
    """Ask before most of what a store has from a folder goes."""
    num_forgotten = sum(step.action == "forget" for step in plan.steps)
    what = f"{count(num_forgotten, 'source')} of {num_forgotten + _num_kept(plan):,}"
    if not is_interactive():
        raise DataError(
            f"{printable(folder)}: {what} would be forgotten, nothing was changed. Look with "
            "--dry-run, and if that is what you want, add --yes"
        )
    click.confirm(f"Forget {what} from {printable(folder)} for good?", abort=True, err=True)


def _num_kept(plan: Plan) -> int:
    return plan.num_unchanged + sum(step.action in ("rename", "update") for step in plan.steps)


def _work(step: Step) -> int:
    """Bytes to compress, at most."""
    return step.file.num_bytes if step.file is not None and step.old_name is None else 0


def _step_json(step: Step) -> dict[str, Any]:
    renamed = {} if step.old_name is None else {"old_name": step.old_name}
    return {"action": step.action, "source": step.name, **renamed}
