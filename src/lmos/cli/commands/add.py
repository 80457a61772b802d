"""`lmos add`: text into a store.

What it is given is read in `inputs`, and added in `adding`.
"""

from __future__ import annotations

import sys
import time as clock
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lmos.cli import parameters
from lmos.cli.choosing import Taking, file_options, tell_notes, tell_skipped
from lmos.cli.failures import FAILED, INTERRUPTED
from lmos.cli.inputs import STDIN, Inputs, find_inputs, keeping_piped_text, read_stdin
from lmos.cli.keys import KeyChoice, key_option
from lmos.cli.moments import moment
from lmos.cli.options import ModelChoice, json_option, model_options, store_argument, wait_option
from lmos.cli.show.helping import HelpfulCommand
from lmos.cli.show.output import count, note, print_json, printable, progress_bar, size
from lmos.cli.stores import require_store

if TYPE_CHECKING:
    from lmos.cli.adding import Outcome
    from lmos.store.keys import Key


@click.command(
    cls=HelpfulCommand, short_help="Add files, folders, pages of the web or standard input."
)
@store_argument
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--source", metavar="NAME", help="Name of the source.  [default: the path]")
@click.option(
    "--time",
    type=moment,
    metavar="TIME",
    help="When the text is from.  [default: of the file; now for -]",
)
@click.option(
    "--label",
    "labels",
    type=parameters.label,
    metavar="KEY=VALUE",
    multiple=True,
    help="A label of the sources; repeatable.",
)
@click.option("--append", is_flag=True, help="Extend the source instead of replacing its text.")
@click.option(
    "--ray",
    metavar="ADDRESS",
    help="Compress with a Ray cluster, or local for one here.",
)
@key_option
@wait_option
@file_options
@model_options
@json_option
def add(
    store: Path,
    paths: tuple[str, ...],
    source: str | None,
    time: float | None,
    labels: tuple[tuple[str, str], ...],
    append: bool,
    ray: str | None,
    key: KeyChoice,
    wait: float,
    taking: Taking,
    model: ModelChoice,
    as_json: bool,
) -> None:
    r"""Add files, folders, pages of the web, or - for standard input, to STORE.

    \b
    Example:
      lmos add life.lmos notes/ letter.txt --label author=me
      lmos add life.lmos report.pdf mail.mbox https://example.org/page.html
      git log | lmos add life.lmos - --source "git log"
      echo "Sold the blue bicycle." | lmos add life.lmos - --source diary --append

    A file becomes a source named by its path: relative to the current folder if it lies below it,
    else absolute; a message of a mailbox one like mail.mbox#Lunch. Of a source that is there, only
    what changed is compressed. Folders give every file of a known format, hidden ones excepted:
    text, code, PDF, Office, HTML, EPUB, e-mail, tables and more. TIME is an
    ISO 8601 date or time (local unless it has an offset), or @ and seconds since 1970.

    A file that cannot be read is skipped and named; the exit status is then 1. Each source is added
    whole or not at all. See also lmos sync and lmos watch.
    """
    require_store(store)
    _require_fitting(paths, ray, append=append)
    inputs = _named_inputs(paths, source, taking, append=append)
    for problem in inputs.problems:
        tell_skipped(problem)
    tell_notes(inputs.files)

    from lmos.cli.adding import Settings

    secret = key.key_of(store)
    start = clock.perf_counter()
    done: list[Outcome] = []
    settings = Settings(time, dict(labels), append, taking.reading)
    total = sum(file.num_bytes for file in inputs.files)
    skip = partial(taking.skip, inputs.problems)
    try:
        with (
            keeping_piped_text(store, inputs, is_private=secret is not None),
            _opened(store, model, secret, ray, wait) as iter_outcomes,
            progress_bar("adding", total) as advance,
        ):
            for outcome in iter_outcomes(inputs.files, settings, skip, advance):
                done.append(outcome)
                if not as_json and outcome.action != "unchanged":
                    tokens = count(outcome.num_tokens, "token")
                    # Not click.echo, which would write across the progress bar.
                    print(f"{outcome.action} {printable(outcome.source)} ({tokens})", flush=True)
    except KeyboardInterrupt:
        done_of_all = f"{len(done)} of {count(len(inputs.files), 'source')} done"
        click.echo(f"interrupted; nothing half-written, {done_of_all}", err=True)
        sys.exit(INTERRUPTED)
    seconds = clock.perf_counter() - start
    if as_json:
        print_json(
            {
                "sources": [asdict(outcome) for outcome in done],
                "skipped": inputs.num_other,
                "empty": inputs.num_empty,
                "problems": inputs.problems,
                "seconds": seconds,
            }
        )
    note(_summary([outcome.action for outcome in done], inputs, taking, seconds))
    if inputs.problems:
        sys.exit(FAILED)


@contextmanager
def _opened(
    store: Path, model: ModelChoice, key: Key | None, ray: str | None, wait: float
) -> Iterator[Callable[..., Iterator[Outcome]]]:
    """What adds files: this process, or a Ray cluster for it."""
    if ray is not None:
        from lmos.cli.scaling import iter_scaled_outcomes

        yield partial(iter_scaled_outcomes, store, ray, model, key, wait)
    else:
        from lmos.cli.adding import iter_outcomes
        from lmos.cli.opening import open_session

        with open_session(store, model, key, read_only=False, wait=wait) as session:
            yield partial(iter_outcomes, session)


def _require_fitting(paths: Sequence[str], ray: str | None, *, append: bool) -> None:
    if "" in paths:
        raise click.UsageError("expected a path, got an empty one; . is the current folder")
    if ray is not None and (append or STDIN in paths):
        raise click.UsageError("--ray: expected files and folders to add, got --append or -")


def _named_inputs(
    paths: Sequence[str], source: str | None, taking: Taking, *, append: bool
) -> Inputs:
    """What there is to add, each under the name that the user wants."""
    if source is not None and not source.strip():
        raise click.UsageError("--source: expected a name, got an empty one")
    if STDIN in paths:
        if len(paths) > 1:
            raise click.UsageError("expected - alone or paths, got both")
        if source is None:
            raise click.UsageError("standard input needs a name: give --source NAME")
        return read_stdin(source, taking.reading)
    inputs = find_inputs(paths, taking.choice, taking.reading, strict=taking.strict)
    if source is None:
        return inputs
    num_files = len(inputs.files) + len(inputs.problems)
    if num_files > 1 and not append:
        raise click.UsageError(
            f"--source: expected one text, got {num_files}; add --append to join them"
        )
    return replace(inputs, files=[replace(file, name=source) for file in inputs.files])


def _summary(actions: Sequence[str], inputs: Inputs, taking: Taking, seconds: float) -> str:
    num_bytes = sum(file.num_bytes for file in inputs.files)
    parts = [
        f"{actions.count(action):,} {action}"
        for action in ("added", "updated", "appended", "unchanged")
        if action in actions
    ]
    if inputs.num_other:
        parts.append(f"{inputs.num_other:,} skipped ({taking.why_left_out})")
    if inputs.num_empty:
        parts.append(f"{inputs.num_empty:,} skipped (empty)")
    if inputs.problems:
        parts.append(f"{len(inputs.problems):,} skipped (cannot be added, see above)")
    return f"{', '.join(parts) or 'nothing to add'}: {size(num_bytes)} in {seconds:.1f} s"
