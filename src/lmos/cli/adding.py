"""Adds files to an open session, one transaction each.

Knows sessions and what files were found. Does not know the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lmos.documents.base import Reading
from lmos.documents.files import read_again
from lmos.errors import DataError
from lmos.nodes import Source
from lmos.session import Session
from lmos.store import AbstractStore
from lmos.text.files import TextFile
from lmos.upkeep.syncing import labels_for

_USUAL_BYTES_PER_TOKEN = 4.0


@dataclass(frozen=True)
class Settings:
    """What holds for every file.

    Attributes:
        time: Seconds since the epoch; `None` for that of each file.
        labels: Replace those of the source unless empty.
        append: Whether a source is extended.
        reading: How files are read.
    """

    time: float | None
    labels: Mapping[str, str]
    append: bool
    reading: Reading


@dataclass(frozen=True)
class Outcome:
    """What became of a file.

    Attributes:
        source: Its name.
        action: `added`, `updated`, `appended` or `unchanged`.
        num_tokens: Of the source, afterwards.
        num_bytes: Of the source, afterwards.
    """

    source: str
    action: str
    num_tokens: int
    num_bytes: int


def iter_outcomes(
    session: Session,
    files: Sequence[TextFile],
    settings: Settings,
    skip: Callable[[DataError], None],
    advance: Callable[[float], None] = lambda _: None,
) -> Iterator[Outcome]:
    """Add file after file; each is durable when its outcome is yielded.

    Args:
        session: Open for writing.
        files: Checked before.
        settings: For all of them.
        skip: Told of a file that has changed since it was checked, and cannot be added any more.
        advance: Told about how many bytes were added; exact at the end of each file.
    """
    known = {source.name: source for source in session.sources()}
    for file in files:
        meter = Meter(file.num_bytes, known.values(), advance)
        try:
            outcome, source = _add(session, file, known.get(file.name), settings, meter)
        except DataError as error:
            skip(error)
        else:
            known[file.name] = source
            meter.finish()
            yield outcome


def _add(
    session: Session, file: TextFile, before: Source | None, settings: Settings, meter: Meter
) -> tuple[Outcome, Source]:
    text = text_of(file, settings)
    if before is not None and is_same(session.store, before, file, text, settings):
        action, source = "unchanged", before
    else:
        change = session.append if settings.append else session.add
        action = "added" if before is None else "appended" if settings.append else "updated"
        source = change(
            file.name,
            text,
            time=time_of(file, before, settings),
            metadata=labels_of(file, before, settings),
            places=file.places,
            progress=meter.add_tokens,
        )
    return Outcome(file.name, action, source.num_tokens, source.num_bytes), source


def text_of(file: TextFile, settings: Settings) -> str:
    """What a file says now.

    Raises:
        DataError: It has changed since it was looked at, and cannot be added any more.
    """
    return read_again(file, settings.reading)


def labels_of(file: TextFile, before: Source | None, settings: Settings) -> dict[str, str]:
    """The labels that a source gets: the user's over the file's; empty to leave it those it has."""
    if settings.append and before is not None:
        return dict(settings.labels)
    if settings.labels:
        return {**file.labels, **settings.labels}
    return labels_for(file, before)


def time_of(file: TextFile, before: Source | None, settings: Settings) -> float | None:
    """The time of a source: the user's, else the file's; one that is extended keeps its own."""
    if settings.time is not None or (settings.append and before is not None):
        return settings.time
    return file.time


def is_same(
    store: AbstractStore, source: Source, file: TextFile, text: str, settings: Settings
) -> bool:
    """Whether a source has the text of a file already and nothing else is to change."""
    if settings.append or settings.labels or settings.time is not None:
        return False
    data = text.encode()
    return (
        len(data) == source.num_bytes
        and store.text(source.source_id) == data
        and store.places(source.source_id) == file.places
    )


class Meter:
    """Tokens of one file as bytes, at the rate of the sources so far; never beyond the file."""

    def __init__(
        self, num_bytes: int, known: Iterable[Source], advance: Callable[[float], None]
    ) -> None:
        known = list(known)
        num_tokens = sum(source.num_tokens for source in known)
        known_bytes = sum(source.num_bytes for source in known)
        self._bytes_per_token = known_bytes / num_tokens if num_tokens else _USUAL_BYTES_PER_TOKEN
        self._left = float(num_bytes)
        self._advance = advance

    def add_tokens(self, num_tokens: int) -> None:
        """So many more are done."""
        step = min(self._left, num_tokens * self._bytes_per_token)
        self._left -= step
        self._advance(step)

    def finish(self) -> None:
        """The file is done."""
        self._advance(self._left)
        self._left = 0.0
