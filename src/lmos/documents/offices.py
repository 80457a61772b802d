"""Documents, slides and sheets of Office, as saved since 2007 -> their text.

Done by python-docx, python-pptx and openpyxl, each imported where it is used.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from lmos.documents.archives import open_archive
from lmos.documents.base import AbstractReader, Composer, Document, Original, needing, one_line
from lmos.documents.rows import iter_lines

if TYPE_CHECKING:
    from docx.table import Table
    from docx.text.paragraph import Paragraph

_HEADING = re.compile(r"heading (\d)", re.IGNORECASE)


class WordReader(AbstractReader):
    """Paragraphs and tables in their order; without what stands at the edges of pages."""

    kind = "a Word document"
    suffixes = (".docx", ".docm")

    def read(self, original: Original) -> list[Document]:
        """One document; its paragraphs and the rows of its tables are places."""
        open_archive(original, self.kind).close()
        with needing("Word"):
            import docx
            from docx.table import Table

        composer = Composer(original.reading.max_bytes)
        num_paragraphs = num_tables = 0
        for block in docx.Document(io.BytesIO(original.data)).iter_inner_content():
            if isinstance(block, Table):
                num_tables += 1
                _write_table(block, composer, f"table {num_tables}, row")
            elif line := _paragraph_line(block):
                num_paragraphs += 1
                composer.add(f"{line}\n", f"paragraph {num_paragraphs}")
        return [composer.document()]


class SlidesReader(AbstractReader):
    """What stands on slides, and the notes below them."""

    kind = "a PowerPoint presentation"
    suffixes = (".pptx", ".pptm")

    def read(self, original: Original) -> list[Document]:
        """One document; each slide is a place, and so are its notes."""
        open_archive(original, self.kind).close()
        with needing("PowerPoint"):
            import pptx

        composer = Composer(original.reading.max_bytes)
        for number, slide in enumerate(pptx.Presentation(io.BytesIO(original.data)).slides, 1):
            title = slide.shapes.title
            lines = (
                [f"# {one_line(title.text)}"] if title is not None and title.text.strip() else []
            )
            skipped = None if title is None else title.shape_id
            lines += _iter_shape_lines(each for each in slide.shapes if each.shape_id != skipped)
            composer.add("".join(f"{line}\n" for line in lines), f"slide {number}")
            if slide.has_notes_slide and (frame := slide.notes_slide.notes_text_frame) is not None:
                notes = frame.text.strip()
                composer.add(f"{notes}\n" if notes else "", f"slide {number}, notes")
            composer.add("\n")
        return [composer.document()]


class SheetsReader(AbstractReader):
    """The values of cells, as they were last computed."""

    kind = "an Excel workbook"
    suffixes = (".xlsx", ".xlsm")

    def read(self, original: Original) -> list[Document]:
        """One document; each row of each sheet is a place."""
        open_archive(original, self.kind).close()
        with needing("Excel"):
            import openpyxl

        composer = Composer(original.reading.max_bytes)
        with warnings.catch_warnings():
            # Of what it leaves out, which is no text.
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(io.BytesIO(original.data), read_only=True, data_only=True)
            for sheet in book.worksheets:
                title = one_line(sheet.title)
                lines = list(iter_lines(sheet.iter_rows(values_only=True)))
                if lines:
                    composer.add(f"# {title}\n\n", f"sheet {title}")
                for number, line in lines:
                    composer.add(f"{line}\n", f"sheet {title}, row {number}")
                composer.add("\n" if lines else "")
            book.close()
        return [composer.document()]


def _paragraph_line(paragraph: Paragraph) -> str:
    text = one_line(paragraph.text)
    style = (paragraph.style.name or "") if paragraph.style is not None else ""
    if not text:
        return ""
    if match := _HEADING.match(style):
        return f"\n{'#' * min(int(match[1]), 6)} {text}\n"
    if style == "Title":
        return f"# {text}\n"
    return f"- {text}" if style.startswith("List") else text


def _write_table(table: Table, composer: Composer, label: str) -> None:
    rows = [[cell.text for cell in row.cells] for row in table.rows]
    for number, line in iter_lines(rows):
        composer.add(f"{line}\n", f"{label} {number}")


def _iter_shape_lines(shapes: Iterable[Any]) -> Iterator[str]:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _iter_shape_lines(shape.shapes)
        elif getattr(shape, "has_table", False):
            rows = [[cell.text for cell in row.cells] for row in shape.table.rows]
            yield from (line for _, line in iter_lines(rows))
        elif shape.has_text_frame:
            paragraphs = (one_line(each.text) for each in shape.text_frame.paragraphs)
            yield from (f"- {text}" for text in paragraphs if text)
