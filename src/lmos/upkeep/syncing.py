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

from lmos.errors import StoreError
from lmos.nodes import Source
from lmos.session import Session
from lmos.store import AbstractStore
from lmos.text.files import MEGABYTE, read_text
from lmos.tree.builder import Progress
from lmos.upkeep.folders import Choice, Step, plan_sync, read_folder

DEFAULT_MAX_BYTES = 32 * MEGABYTE


def sync(
    session: Session,
    folder: str | Path,
    choice: Choice | None = None,
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
    even_drastic: bool = False,
) -> Iterator[Step]:
    """Make a store equal to a folder; each step is durable when it is yielded.

    Files that cannot be read are left as the store has them; `folders.read_folder` names them.

    Args:
        session: Open for writing.
        folder: Sources that do not lie in it stay as they are.
        choice: Which files are taken; by default all with a suffix of text.
        max_bytes: Most bytes in a file.
        even_drastic: Go on even if most of what the store has from the folder would go.

    Raises:
        DataError: There is no such folder, or a file has become unreadable meanwhile.
        StoreError: Most of what the store has from the folder would go; nothing was changed.
    """
    texts = read_folder(Path(folder), choice or Choice(), max_bytes)
    store = session.store
    with store.writing():
        plan = plan_sync(texts, store.sources(), lambda source: store.text(source.source_id))
        if plan.is_drastic and not even_drastic:
            raise StoreError(
                f"{folder}: most of what the store has from there is gone; nothing was changed"
            )
        for step in plan.steps:
            carry_out(step, store, lambda: session, max_bytes)
            yield step


def carry_out(
    step: Step,
    store: AbstractStore,
    session: Callable[[], Session],
    max_bytes: int,
    progress: Progress = lambda _: None,
) -> Source | None:
    """Do one step, in one transaction.

    Args:
        step: Of a plan for this store.
        store: Open for writing.
        session: Of the store; called only where text is to be compressed.
        max_bytes: Most bytes in a file.
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
    text = read_text(step.file.path, max_bytes)
    return session().add(step.name, text, time=step.file.time, progress=progress)
