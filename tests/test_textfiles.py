"""Files with text, and those that only look so: one sentence says what they are."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pytest

from lmos.errors import DataError
from lmos.text.files import read_text, require_path


def zipped(*names: str, first: tuple[str, str] | None = None) -> bytes:
    """A ZIP file; the first member is stored as it is."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        if first is not None:
            file.writestr(*first, compress_type=zipfile.ZIP_STORED)
        for name in names:
            file.writestr(name, "some text " * 50)
    return buffer.getvalue()


KINDS = {
    "a PDF document; convert it first, e.g. with pdftotext": b"%PDF-1.7\n%\xe2\xe3\xcf",
    "a Word document (docx)": zipped("[Content_Types].xml", "_rels/.rels", "word/document.xml"),
    "an Excel workbook (xlsx)": zipped("[Content_Types].xml", "xl/workbook.xml"),
    "a PowerPoint presentation (pptx)": zipped("[Content_Types].xml", "ppt/presentation.xml"),
    "an EPUB book": zipped("a.xhtml", first=("mimetype", "application/epub+zip")),
    "an OpenDocument file": zipped(
        "content.xml", first=("mimetype", "application/vnd.oasis.opendocument.text")
    ),
    "a ZIP archive; unpack it": zipped("a.txt", "b.txt"),
    "a gzip archive": gzip.compress(b"text"),
    "text in UTF-16; add --encoding utf-16": "Le café".encode("utf-16"),
    "text in UTF-32": "Le café".encode("utf-32"),
    "an RTF document": b"{\\rtf1\\ansi Hello}",
    "a PNG picture": b"\x89PNG\r\n\x1a\n\0",
    "an SQLite database or a context store": b"SQLite format 3\0" + bytes(100),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_no_text_is_called_by_its_kind(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "letter.txt"
    path.write_bytes(KINDS[kind])
    with pytest.raises(DataError) as refused:
        read_text(path, 10_000)
    assert str(refused.value).startswith(f"{path}: expected plain text, got {kind}")


@pytest.mark.parametrize("text", ["PK is a name.", "%PDF is a mark", "{rtf}", "<html>é</html>", ""])
def test_text_that_speaks_of_kinds_is_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "letter.txt"
    path.write_text(text, encoding="utf-8")
    assert read_text(path, 100) == text


def test_addresses_of_the_web_are_named_as_they_were_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for address in ("https://example.org//a", "http://example.org", "file:///etc/hosts"):
        with pytest.raises(
            DataError, match=f"^{address}: .*expected a file, a folder, or an address"
        ):
            require_path(address)
    for path in ("a.txt", "c://a", "C:\\a", "notes: a.md", "-"):
        require_path(path)
    Path("https:").mkdir()
    Path("https:/a").write_text("text")
    require_path("https://a")
    with pytest.raises(DataError, match="got an empty one"):
        require_path("")
