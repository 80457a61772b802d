"""CSV and TSV -> a line for each row, with the names of its columns."""

from __future__ import annotations

import csv
import io

from lmos.documents.base import AbstractReader, Composer, Document, Original
from lmos.documents.rows import iter_lines

_SAMPLE_CHARS = 20_000
_MARKS = ",;\t|"


class DelimitedReader(AbstractReader):
    """Fields between commas, semicolons, tabs or bars; which of them is seen from the text."""

    kind = "a table (CSV)"
    suffixes = (".csv", ".tsv", ".tab")

    def read(self, original: Original) -> list[Document]:
        """One document; each row is a place."""
        text = original.decode()
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=_mark_of(text))
        composer = Composer(original.reading.max_bytes)
        for number, line in iter_lines(rows):
            composer.add(f"{line}\n", f"row {number}")
        return [composer.document()]


def _mark_of(text: str) -> str:
    """What stands between fields: the mark that is found as often in each of the first lines."""
    lines = [line for line in text[:_SAMPLE_CHARS].splitlines() if line.strip()][:20]
    counts = {
        mark: [len(next(csv.reader([line], delimiter=mark), [])) for line in lines]
        for mark in _MARKS
    }
    even = [mark for mark in _MARKS if counts[mark] and min(counts[mark]) == max(counts[mark]) > 1]
    most = max(_MARKS, key=lambda mark: sum(counts[mark]))
    return max(even, key=lambda mark: counts[mark][0]) if even else most
