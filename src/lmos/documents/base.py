"""What a reader of files is given and what it returns, and the text that grows with its places.

Knows bytes and texts. Knows neither any format nor where a file lies.
"""

from __future__ import annotations

import abc
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from lmos.errors import DataError
from lmos.nodes import PlaceMark
from lmos.text.encodings import decode
from lmos.text.files import MEGABYTE, plain_text, shown_size

DEFAULT_MAX_BYTES = 32 * MEGABYTE
# What no text in UTF-8 can hold, and what no text should.
_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
_BLANKS = re.compile(r"\s+")


@dataclass(frozen=True)
class Reading:
    """How files are read.

    Attributes:
        max_bytes: Most bytes in a file, and of the text that is made of it.
        encoding: Of text that is not UTF-8, or `detect`; `None` refuses such text.
    """

    max_bytes: int = DEFAULT_MAX_BYTES
    encoding: str | None = None


@dataclass(frozen=True)
class Document:
    """A text out of a file.

    Attributes:
        text: All of it.
        places: Where in the file each stretch comes from, in order.
        key: Which of several documents in the file it is; `None` where there is one.
        time: When it is from, in seconds since the epoch, if the file says so.
        labels: What else the file says about it.
    """

    text: str
    places: tuple[PlaceMark, ...] = ()
    key: str | None = None
    time: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Original:
    """The bytes of a file that is read.

    Attributes:
        name: Its last part, with the suffix.
        data: All of it.
        reading: How it is read.
        notes: What is to be told of how it was read.
    """

    name: str
    data: bytes
    reading: Reading
    notes: list[str] = field(default_factory=list)

    def plain(self) -> str:
        """Its text as it is, byte for byte where it is UTF-8.

        Raises:
            DataError: It is not plain text.
        """
        return self._noted(plain_text(self.data, self.reading.encoding))

    def decode(self) -> str:
        """Its text, if it is text, without a mark of byte order.

        Raises:
            DataError: It is not.
        """
        return self._noted(decode(self.data, self.reading.encoding)).removeprefix("\ufeff")

    def _noted(self, found: tuple[str, str | None]) -> str:
        text, note = found
        if note is not None and note not in self.notes:
            self.notes.append(note)
        return text


class AbstractReader(abc.ABC):
    """Reads one format.

    A message of a `DataError` need not name the file; a library that fails may raise whatever it
    likes. Both become one sentence with the name of the file.

    Attributes:
        kind: What such a file is called, as in "a PDF document".
        suffixes: By which it is known, in lower case.
        is_quick: Whether reading it twice costs less than keeping its text.
    """

    kind: str
    suffixes: tuple[str, ...]
    is_quick: bool = False

    @abc.abstractmethod
    def read(self, original: Original) -> list[Document]:
        """The documents in a file, in its order.

        Raises:
            DataError: It cannot be read; says why.
        """


class Composer:
    """A text that grows piece by piece, and where each came from.

    Args:
        max_bytes: Most bytes that it may have.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pieces: list[str] = []
        self._marks: list[PlaceMark] = []
        self._num_bytes = 0

    @property
    def is_blank(self) -> bool:
        """Whether nothing can be read yet."""
        return not any(map(str.strip, self._pieces))

    def add(self, text: str, label: str | None = None) -> None:
        """Put text behind the rest.

        Args:
            text: May be empty.
            label: Of the place that it comes from; `None` for that of the text before it.

        Raises:
            DataError: That is too much.
        """
        if not text:
            return
        if label is not None and (not self._marks or self._marks[-1].label != clean(label)):
            self._marks.append(PlaceMark(self._num_bytes, clean(label)))
        text = clean(text)
        self._pieces.append(text)
        self._num_bytes += len(text.encode())
        if self._num_bytes > self._max_bytes:
            raise DataError(
                f"more than {shown_size(self._max_bytes)} of text; split it, or raise --max-mb"
            )

    def document(
        self,
        key: str | None = None,
        time: float | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Document:
        """All of it."""
        return Document("".join(self._pieces), tuple(self._marks), key, time, labels or {})


def clean(text: str) -> str:
    """Text without half characters and NULs, which a file may hold but a store cannot."""
    return _UNWRITABLE.sub("\ufffd", text) if _UNWRITABLE.search(text) else text


def one_line(text: str) -> str:
    """Text on one line, without spaces around it."""
    return _BLANKS.sub(" ", text).strip()


def iter_keys(titles: Sequence[str]) -> Iterator[str]:
    """Titles as keys of documents in one file: short, on one line, each of them once."""
    seen: dict[str, int] = {}
    for title in titles:
        key = one_line(clean(title)).replace("/", "-").replace("#", "-")[:80].strip() or "untitled"
        seen[key] = seen.get(key, 0) + 1
        yield key if seen[key] == 1 else f"{key} ({seen[key]})"


@contextmanager
def needing(kind: str) -> Iterator[None]:
    """Turn a library that is missing into what to do about it.

    Raises:
        DataError: Names the library.
    """
    try:
        yield
    except ImportError as error:
        raise DataError(
            f'{kind} is read by {error.name}, which is not installed: pip install "lmos[files]"'
        ) from error
