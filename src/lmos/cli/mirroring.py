"""Makes a store equal to a folder, and tells it step by step.

Knows open stores, plans and terminals. Does not know which command asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from lmos.cli.adding import Meter
from lmos.cli.choosing import Taking
from lmos.cli.opening import session_of
from lmos.cli.options import ModelChoice
from lmos.cli.show.output import note, print_json, printable, progress_bar
from lmos.errors import DataError
from lmos.session import Session
from lmos.store import AbstractStore
from lmos.store.sqlite import SQLiteStore
from lmos.upkeep.folders import FolderTexts, Plan, Step
from lmos.upkeep.syncing import carry_out, plan_for

_DONE = {"rename": "renamed", "update": "updated", "add": "added", "forget": "forgot"}


def loading_once(store: AbstractStore, model: ModelChoice) -> Callable[[], Session]:
    """A session of the store, made when it is first called: without text to compress, never."""
    return cache(partial(session_of, store, model))


def make_equal(
    store: SQLiteStore,
    report: Report,
    taking: Taking,
    session: Callable[[], Session],
    agree: Callable[[Plan], bool],
) -> Plan:
    """Make a store equal to what a folder holds, each change in one transaction.

    Args:
        store: Opened to be shared.
        report: Of the folder; told each step.
        taking: How files are read, and what happens to those that cannot be.
        session: Of the store; called only where text is to be compressed.
        agree: Asked before most of what the store has from there is forgotten; others may write
            meanwhile.

    Returns:
        What was to be done; nothing of it was, if that was not agreed to.
    """
    plan, version = plan_for(store, report.texts), store.version
    if plan.is_drastic and not agree(plan):
        return plan
    with store.writing() if plan.steps else nullcontext():
        if store.version != version:
            was_drastic, plan = plan.is_drastic, plan_for(store, report.texts)
            if plan.is_drastic and not was_drastic and not agree(plan):
                return plan
        report.plan = plan
        _carry_out(plan, store, report, taking, session)
    return plan


def _carry_out(
    plan: Plan,
    store: SQLiteStore,
    report: Report,
    taking: Taking,
    session: Callable[[], Session],
) -> None:
    if not plan.steps:
        return
    sources = store.sources()
    total = sum(_work(step) for step in plan.steps)
    with progress_bar("syncing", total) as advance:
        for step in plan.steps:
            meter = Meter(_work(step), sources, advance)
            try:
                carry_out(step, store, session, taking.reading, meter.add_tokens)
            except DataError as error:
                taking.skip(report.problems, error)
            else:
                report.tell(step)
            meter.finish()


@dataclass
class Report:
    """What was done, or would be, told step by step.

    Attributes:
        texts: Of the folder.
        as_json: Whether for machines, at the end.
        is_dry: Whether nothing is done.
        done: The steps so far.
        problems: What was skipped, and why.
        plan: What there is to do, once that is known.
        on_one_line: Whether JSON takes one line.
    """

    texts: FolderTexts
    as_json: bool
    is_dry: bool
    done: list[Step] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    plan: Plan | None = None
    on_one_line: bool = False

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
            print_json({"steps": steps, **numbers, **rest}, on_one_line=self.on_one_line)
        summary = ", ".join(f"{number:,} {what}" for what, number in numbers.items())
        note(f"nothing was changed; it would be: {summary}" if self.is_dry else summary)


def _work(step: Step) -> int:
    """Bytes to compress, at most."""
    return step.file.num_bytes if step.file is not None and step.old_name is None else 0


def _step_json(step: Step) -> dict[str, Any]:
    renamed = {} if step.old_name is None else {"old_name": step.old_name}
    return {"action": step.action, "source": step.name, **renamed}
