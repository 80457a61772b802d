"""PDF -> the text of its pages. Pictures of text hold none, which is said; pypdf does the work."""

from __future__ import annotations

import io
import logging
import re
from typing import TYPE_CHECKING

from lmos.documents.base import AbstractReader, Composer, Document, Original, needing
from lmos.errors import DataError

if TYPE_CHECKING:
    from pypdf import PdfReader as Pages

# A word that was parted at the end of a line; not one that has another hyphen.
_PARTED = re.compile(r"(?<![\w-])([^\W\d_]{2,})-\n([^\W\d_]+)(?![\w-])")


class PdfReader(AbstractReader):
    """Documents that were written, not scanned."""

    kind = "a PDF document"
    suffixes = (".pdf",)

    def read(self, original: Original) -> list[Document]:
        """One document; each page is a place."""
        with needing("PDF"):
            import pypdf

        # What it complains of is repaired by it, or raised.
        logging.getLogger("pypdf").setLevel(logging.CRITICAL)
        pages = pypdf.PdfReader(io.BytesIO(original.data))
        if pages.is_encrypted and not _is_opened(pages):
            raise DataError("encrypted; take the password off first, e.g. with qpdf --decrypt")
        composer = Composer(original.reading.max_bytes)
        for number, page in enumerate(pages.pages, 1):
            text = mended(page.extract_text()).strip()
            composer.add(f"{text}\n\n" if text else "", f"page {number}")
        if composer.is_blank:
            count = len(pages.pages)
            raise DataError(
                f"no text on {'its page' if count == 1 else f'its {count:,} pages'}; if it was "
                "scanned, make text of the pictures first, e.g. with ocrmypdf"
            )
        return [composer.document()]


def _is_opened(pages: Pages) -> bool:
    """Whether it opens without a password, as those do that only forbid to print."""
    from pypdf.errors import DependencyError

    try:
        return bool(pages.decrypt(""))
    except DependencyError as error:
        raise DataError(f'encrypted; {error}: pip install "lmos[files]"') from error


def mended(text: str) -> str:
    """Words in one piece that were parted at the ends of lines."""
    return _PARTED.sub(_joined, text.replace("\r\n", "\n"))


def _joined(match: re.Match[str]) -> str:
    first, second = match.groups()
    return f"{first}{second}\n" if second.islower() else match.group()
