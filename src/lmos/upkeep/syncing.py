"""Makes a store equal to a folder, one transaction a change.

Knows plans and how a store is changed. What there is to do is planned in `folders`.

Example:
    with Session.open("life.lmos") as session:
        for step in sync(session, "notes"):
            print(step.action, step.name)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from lmos.documents.base import Reading
from lmos.documents.files import read_again
from lmos.errors import StoreError
from lmos.nodes import Source
from lmos.session import Session
from lmos.store import AbstractStore
from lmos.text.files import TextFile, digest_of
from lmos.tree.builder import Progress
from lmos.upkeep.folders import Choice, FolderTexts, Plan, Step, plan_sync, read_folder


def sync(
    session: Session,
    folder: str | Path,
    choice: Choice | None = None,
    *,
    reading: Reading | None = None,
    even_drastic: bool = False,
) -> Iterator[Step]:
    """Make a store equal to a folder; each step is durable when it is yielded.

    Files that cannot be read are left as the store has them; `folders.read_folder` names them.

    Args:
        session: Open for writing.
        folder: Sources that do not lie in it stay as they are.
        choice: Which files are taken; by default all of a known format.
        reading: How they are read.
        even_drastic: Go on even if most of what the store has from the folder would go.

    Raises:
        DataError: There is no such folder, or a file has become unreadable meanwhile.
        StoreError: Most of what the store has from the folder would go; nothing was changed.
    """
    reading = reading or Reading()
    texts = read_folder(Path(folder), choice or Choice(), reading)
    store = session.store
    with store.writing():
        plan = plan_for(store, texts)
        if plan.is_drastic and not even_drastic:
            raise StoreError(
                f"{folder}: most of what the store has from there is gone; nothing was changed"
            )
        for step in plan.steps:
            carry_out(step, store, lambda: session, reading)
            yield step


def plan_for(store: AbstractStore, texts: FolderTexts) -> Plan:
    """What there is to do until a store is equal to a folder."""
    return plan_sync(texts, store.sources(), lambda source: _digest(store, source))


def labels_for(file: TextFile, before: Source | None) -> dict[str, str]:
    """The labels that a source gets: those of the file over those that it has; empty for none new.

    Args:
        file: What it is made of.
        before: The source as it is, if there is one.
    """
    had = {} if before is None or not file.labels else before.metadata
    return {**had, **file.labels}


def _digest(store: AbstractStore, source: Source) -> bytes:
    return digest_of(store.text(source.source_id), store.places(source.source_id))


def carry_out(
    step: Step,
    store: AbstractStore,
    session: Callable[[], Session],
    reading: Reading,
    progress: Progress = lambda _: None,
) -> Source | None:
    """Do one step, in one transaction.

    Args:
        step: Of a plan for this store.
        store: Open for writing.
        session: Of the store; called only where text is to be compressed.
        reading: How files are read.
        progress: Told the number of tokens as they are compressed.

    Returns:
        The source as it is now; `None` if it was forgotten.

    Raises:
        DataError: The file has changed since it was looked at, and cannot be read any more.
    """
    if step.file is None:
        store.delete_source(step.name)
        return None
    if step.old_name is not None:
        return store.relabel_source(step.old_name, step.name, time=step.file.time)
    return session().add(
        step.name,
        read_again(step.file, reading),
        time=step.file.time,
        metadata=labels_for(step.file, store.find_source(step.name)),
        places=step.file.places,
        progress=progress,
    )
