"""A folder of files: which it has, what they are called in a store, how the two differ.

Knows the disk, and a store as the list of its sources. Does not know models, nor how a store is
changed: what is to be done is a plan, for others to carry out.

One file has one name, however its path is typed: relative to the current folder if it lies below
that, else absolute; with `/` between the parts, and links to folders followed.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

from lmos.documents.base import Reading
from lmos.documents.files import look_at
from lmos.documents.formats import file_name_of, is_known
from lmos.errors import DataError
from lmos.nodes import Source
from lmos.text.files import TextFile, shown

_MANY = 10
_KEPT_BYTES = 256_000_000
"""So much of the texts that are costly to read is kept until they are added."""

# Of a file: its time and size when it was looked at, and its texts or what is wrong with it.
Looks = dict[Path, tuple[tuple[float, int], "tuple[tuple[TextFile, bool], ...] | DataError"]]


@dataclass(frozen=True)
class Choice:
    """Which files of a folder are taken; hidden ones never are.

    A pattern is that of a path below the folder, or of a file or folder in it: `drafts`, `*.org`,
    `2023/*.md`. `*` stands for any characters, `/` among them, `?` for one, `[ab]` for a or b.

    Attributes:
        include: Only files like one of these, whatever their suffix; if empty, those whose suffix
            is of a format in `documents.formats`.
        exclude: No files like one of these.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes(self, path: PurePath) -> bool:
        """Whether a file is taken.

        Args:
            path: Below the folder.
        """
        if self.leaves_out(path):
            return False
        if self.include:
            return _is_like(path, self.include)
        return is_known(path)

    def leaves_out(self, path: PurePath) -> bool:
        """Whether nothing is taken of a file or folder, whatever it is."""
        return any(part.startswith(".") for part in path.parts) or _is_like(path, self.exclude)

    @property
    def expected(self) -> str:
        """What files are taken, for messages."""
        what = (
            f"like {', '.join(self.include)}"
            if self.include
            else "of a known format, such as .txt, .md, .pdf or .docx"
        )
        return f"{what}, without {', '.join(self.exclude)}" if self.exclude else what


@dataclass(frozen=True)
class Problem:
    """A file or folder that cannot be read.

    Attributes:
        path: Where it is, links to folders followed.
        message: What is wrong, with the path as the user knows it.
    """

    path: Path
    message: str


@dataclass(frozen=True)
class FolderTexts:
    """What a folder holds.

    Attributes:
        folder: Absolute, its links followed.
        choice: Which files were taken.
        files: With text, by path.
        problems: What was to be taken and cannot be read.
        num_other: Files that were not to be taken.
        num_empty: Files with nothing in them.
    """

    folder: Path
    choice: Choice
    files: tuple[TextFile, ...]
    problems: tuple[Problem, ...]
    num_other: int
    num_empty: int

    def covers(self, name: str) -> bool:
        """Whether a source of that name would come from a file that is taken from here."""
        path = _path_of(file_name_of(name))
        return path.is_relative_to(self.folder) and self.choice.takes(path.relative_to(self.folder))

    def may_hold(self, name: str) -> bool:
        """Whether a source's file is, or may be, among what cannot be read."""
        path = _path_of(file_name_of(name))
        return any(path.is_relative_to(each.path) for each in self.problems)


@dataclass(frozen=True)
class Step:
    """One change of a store, to be one transaction.

    Attributes:
        action: `rename`, `update`, `add` or `forget`.
        name: Of the source, afterwards.
        file: With its text; `None` where it is forgotten.
        old_name: Of a source that is renamed.
    """

    action: str
    name: str
    file: TextFile | None = None
    old_name: str | None = None


@dataclass(frozen=True)
class Plan:
    """What makes a store equal to a folder.

    Attributes:
        steps: In an order that can be broken off after any of them.
        num_unchanged: Sources that have the text of their file already.
        is_drastic: Whether most of what the store has from the folder would go, as it would if
            the folder was not what the user thinks it is.
    """

    steps: tuple[Step, ...]
    num_unchanged: int
    is_drastic: bool


def source_name(path: Path) -> str:
    """The one name of a file, however its path is typed; see above."""
    return _name_of(real_path(path))


def real_path(path: Path) -> Path:
    """Where a file is: absolute, with links to folders followed, but not one that it is itself."""
    return _real_folder(path.parent) / path.name


def read_folder(
    folder: Path, choice: Choice, reading: Reading, looks: Looks | None = None
) -> FolderTexts:
    """Look at every file under a folder.

    Args:
        folder: Links to folders in it are not followed.
        choice: Which files to take.
        reading: How they are read.
        looks: What was seen of files before, by the time of their last change; files that have not
            changed since are not read again. Grows.

    Raises:
        DataError: There is no such folder.
    """
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise DataError(f"{shown(folder)}: expected a folder, there is {found}")
    real = _real_folder(folder)
    files, problems = [], []
    num_other = num_empty = num_kept = 0
    for path, problem in _iter_paths(folder):
        below = path.relative_to(folder)
        if problem is not None:
            if not choice.leaves_out(below):
                problems.append(Problem(real / below, problem))
            continue
        if not choice.takes(below):
            num_other += 1
            continue
        try:
            texts = _looked_at(_name_of(real / below), path, reading, looks)
        except DataError as error:
            problems.append(Problem(real / below, str(error)))
            continue
        for file, is_blank in texts:
            num_kept += 0 if file.text is None else file.num_bytes
            if is_blank:
                num_empty += 1
            else:
                files.append(file if num_kept < _KEPT_BYTES else replace(file, text=None))
    return FolderTexts(real, choice, tuple(files), tuple(problems), num_other, num_empty)


def _looked_at(
    name: str, path: Path, reading: Reading, looks: Looks | None
) -> tuple[tuple[TextFile, bool], ...]:
    """The texts of a file, and of each whether it is blank; from `looks` if they are there."""
    stamp = _stamp(path)
    if looks is not None and path in looks and looks[path][0] == stamp:
        known = looks[path][1]
        if isinstance(known, DataError):
            raise known
        return known
    try:
        found = tuple((file, not text.strip()) for file, text in look_at(name, path, reading))
    except DataError as error:
        if looks is not None:
            looks[path] = stamp, error
        raise
    if looks is not None:
        looks[path] = stamp, tuple((replace(file, text=None), blank) for file, blank in found)
    return found


def _stamp(path: Path) -> tuple[float, int]:
    try:
        status = path.stat()
    except OSError:
        return 0.0, -1
    return status.st_mtime, status.st_size


def plan_sync(
    texts: FolderTexts, sources: Sequence[Source], digest_of: Callable[[Source], bytes]
) -> Plan:
    """What there is to do until a store has the files of a folder and nothing else from there.

    A file that is new and has the text of a source whose file is gone is that file, renamed.
    Sources whose file cannot be read stay as they are; so do all that do not lie in the folder.

    Args:
        texts: Of the folder.
        sources: All of the store.
        digest_of: SHA-256 of the text and the places of one, as `text.files` makes it; asked for
            only where sizes agree.
    """
    known = {source.name: source for source in sources if texts.covers(source.name)}
    names = {file.name for file in texts.files}
    new = [file for file in texts.files if file.name not in known]
    gone = [
        source
        for source in known.values()
        if source.name not in names and not texts.may_hold(source.name)
    ]
    old = [file for file in texts.files if file.name in known]
    changed = [file for file in old if not _has_text(known[file.name], file, digest_of)]
    old_names = dict(_iter_renamed(new, gone, digest_of))
    kept = set(old_names.values())
    forgotten = [source.name for source in gone if source.name not in kept]
    renamed = [file for file in new if file.name in old_names]
    added = [file for file in new if file.name not in old_names]
    steps = (
        *(Step("rename", file.name, file, old_names[file.name]) for file in renamed),
        *(Step("update", file.name, file) for file in changed),
        *(Step("add", file.name, file) for file in added),
        *(Step("forget", name) for name in forgotten),
    )
    is_much = len(forgotten) >= _MANY and len(forgotten) > len(known) / 2
    return Plan(steps, len(old) - len(changed), bool(forgotten) and (is_much or not texts.files))


def names_like(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that a pattern stands for; one that is a name itself stands for that alone."""
    names = list(names)
    if pattern in names:
        return [pattern]
    return [name for name in names if fnmatchcase(name, pattern)]


def _iter_paths(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """Every file under a folder, by path, then what cannot be listed and why; none is hidden."""
    failed: list[tuple[Path, str]] = []

    def fail(error: OSError) -> None:
        path = Path(os.fsdecode(error.filename or folder))
        failed.append((path, f"{shown(path)}: {error.strerror or error}"))

    for parent, folders, names in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from ((Path(parent, name), None) for name in sorted(names) if name[0] != ".")
    yield from failed


def _iter_renamed(
    new: Iterable[TextFile], gone: Sequence[Source], digest_of: Callable[[Source], bytes]
) -> Iterator[tuple[str, str]]:
    """The new and the old name of each file that was renamed."""
    sizes = {file.num_bytes for file in new}
    old_names: dict[bytes, list[str]] = defaultdict(list)
    for source in gone:
        if source.num_bytes in sizes:
            old_names[digest_of(source)].append(source.name)
    for file in new:
        same = old_names[file.digest]
        if same:
            # Of several copies, one that kept its own name in another folder.
            is_moved = [PurePath(name).name == PurePath(file.name).name for name in same]
            yield file.name, same.pop(is_moved.index(True) if any(is_moved) else 0)


def _has_text(source: Source, file: TextFile, digest_of: Callable[[Source], bytes]) -> bool:
    return source.num_bytes == file.num_bytes and digest_of(source) == file.digest


def _is_like(path: PurePath, patterns: Iterable[str]) -> bool:
    """Whether a path, a folder that it lies in, or the name of either is like a pattern."""
    wholes = [PurePath(*path.parts[:stop]).as_posix() for stop in range(1, len(path.parts) + 1)]
    return any(
        fnmatchcase(text, wanted)
        for pattern in patterns
        for wanted in _spellings(pattern)
        for text in (*wholes, *path.parts)
    )


def _spellings(pattern: str) -> tuple[str, ...]:
    """A pattern as it is compared: `drafts/` is a folder, `**/` any folders or none."""
    bare = pattern.removeprefix("./").rstrip("/")
    return bare, bare.replace("**/", "")


def _real_folder(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _name_of(real: Path) -> str:
    current = _real_folder(Path())
    return (real.relative_to(current) if real.is_relative_to(current) else real).as_posix()


def _path_of(name: str) -> Path:
    """Where the file of a source would be, relative names being below the current folder."""
    return Path(os.path.normpath(_real_folder(Path()) / name))
