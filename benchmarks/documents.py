"""Are files read, and is what a place names found there? Files of a folder, each read twice.

Once as `lmos add` reads it, and once by the library of its format alone, or the standard library:
every stretch of the text is looked for in the page, slide, row, message or line that its place
names. Knows formats and folders; knows neither models nor stores.
"""

from __future__ import annotations

import csv
import email
import email.policy
import html.parser
import io
import json
import posixpath
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import click

from benchmarks.report import markdown_table, save_json
from lmos.documents.base import Document, Reading
from lmos.documents.files import read_sent
from lmos.documents.formats import is_known, reader_of
from lmos.errors import DataError
from lmos.text.encodings import decode
from lmos.text.kinds import HEAD_BYTES

Check = Callable[[str, str], bool]
"""A place and the text that comes from there -> is it there?"""
_MAX_BYTES = 32_000_000
_DETECTING = Reading(encoding="detect")


@dataclass(frozen=True)
class Outcome:
    """What became of a file.

    Attributes:
        path: Of the file.
        kind: Of its reader.
        result: `read`, `empty`, `refused`, or `wrong`.
        places: That were looked up.
        reason: Why it was refused, or what is wrong with it.
    """

    path: Path
    kind: str
    result: str
    places: int = 0
    reason: str = ""


def outcome_of(path: Path) -> Outcome:
    """Read a file, and look every place of it up."""
    data = path.read_bytes()
    kind = reader_of(path, data[:HEAD_BYTES]).kind
    try:
        documents, _ = read_sent(path.name, data, _DETECTING)
    except DataError as error:
        is_clear = "got a broken one" not in str(error)
        return Outcome(path, kind, "refused" if is_clear else "broken", reason=str(error))
    except Exception as error:
        return Outcome(path, kind, "wrong", reason=f"{type(error).__name__}: {error}")
    if not any(document.text.strip() for document in documents):
        return Outcome(path, kind, "empty")
    if kind == "JSON" and documents[0].key is not None:
        kind = "an export of chats"
    places = list(_iter_stretches(documents))
    try:
        check = CHECKS[kind](data)
        faults = [label for label, text in places if not check(label, text)]
    except Exception as error:
        return Outcome(
            path, kind, "wrong", reason=f"not read twice: {type(error).__name__}: {error}"
        )
    if faults:
        reason = f"{len(faults)} of {len(places)} places, as {faults[0]!r}"
        return Outcome(path, kind, "wrong", len(places), reason)
    return Outcome(path, kind, "read", len(places))


def _iter_stretches(documents: Iterable[Document]) -> Iterator[tuple[str, str]]:
    """Places with their text; the whole text for a document without places."""
    for document in documents:
        data = document.text.encode()
        starts = [mark.start_byte for mark in document.places]
        if not starts or (starts[0] > 0 and not document.key):
            yield "", data[: starts[0] if starts else len(data)].decode()
        for mark, stop in zip(document.places, [*starts[1:], len(data)], strict=False):
            yield mark.label, data[mark.start_byte : stop].decode()


def letters(text: Any) -> str:
    """What two ways to read a text must agree on: its letters and digits."""
    return "".join(filter(str.isalnum, str(text).casefold()))


def _parts(found: dict[str, str]) -> Check:
    """Stretches that stand in the part of their place."""
    parts = {label: letters(text) for label, text in found.items()}
    return lambda label, text: letters(text) in parts.get(label, "")


def _values(found: dict[str, list[Any]]) -> Check:
    """Rows and records: everything in them stands in the stretch, one after the other."""

    def check(label: str, text: str) -> bool:
        rest = letters(text)
        for value in map(letters, map(_shown, found[label])):
            if value not in rest:
                return False
            rest = rest[rest.index(value) + len(value) :]
        return True

    return check


def _shown(value: Any) -> str:
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return "" if value is None else str(int(value) if is_whole else value)


def _text(data: bytes) -> str:
    return decode(data, "detect")[0].removeprefix("\ufeff")


def check_plain(data: bytes) -> Check:
    """The text is that of the file."""
    whole = decode(data, "detect")[0]
    return lambda label, text: text == whole


def check_code(data: bytes) -> Check:
    """A line is that line."""
    lines = decode(data, "detect")[0].split("\n")
    return lambda label, text: (
        text.strip("\n")
        == (lines[int(label.removeprefix("line ")) - 1] if label else "").strip("\n")
    )


def check_table(data: bytes) -> Check:
    """A row holds the cells of that row, by whichever mark they are parted."""
    text = _text(data)
    checks = [
        _values(
            {
                f"row {number}": row
                for number, row in enumerate(
                    csv.reader(io.StringIO(text, newline=""), delimiter=mark), 1
                )
            }
        )
        for mark in ",;\t|"
    ]
    return lambda label, text: any(check(label, text) for check in checks)


def check_json(data: bytes) -> Check:
    """A record holds the values that its path leads to."""
    whole = json.loads(_text(data))

    def check(label: str, text: str) -> bool:
        leaves = list(_iter_leaves(whole))
        inside = [
            value for path, value in leaves if re.match(rf"{re.escape(label)}(?:[.[]|$)", path)
        ]
        if not label:
            inside = [value for _, value in leaves]
        return bool(inside) and _values({label: inside})(label, text)

    return check


def check_json_lines(data: bytes) -> Check:
    """The same for the lines of a file."""
    lines = _text(data).split("\n")
    return _values(
        {
            f"line {number}": [value for _, value in _iter_leaves(json.loads(line))]
            for number, line in enumerate(lines, 1)
            if line.strip()
        }
    )


def _iter_leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _iter_leaves(each, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _iter_leaves(each, f"{path}[{number}]")
    elif value is not None:
        yield path, value if isinstance(value, str) else json.dumps(value)


def check_chats(data: bytes) -> Check:
    """A turn was said by somebody."""
    said = [letters(value) for _, value in _iter_leaves(json.loads(_text(data)))]
    return lambda label, text: any(letters(text.partition(": ")[2]) in each for each in said)


class _Page(html.parser.HTMLParser):
    """The letters of a page, and how many stand before each anchor."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.letters = ""
        self.anchors: dict[str, int] = {"": 0}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.anchors.setdefault(f"#{value}", len(self.letters))

    def handle_data(self, data: str) -> None:
        self.letters += letters(data)

    def holds(self, label: str, text: str) -> bool:
        """Whether lines of a text stand behind an anchor, cells of a row apart."""
        start = self.anchors.get(label)
        pieces = (letters(piece) for piece in re.split(r"\n|; |: ", text))
        return start is not None and all(piece in self.letters[start:] for piece in pieces)


def check_page(data: bytes) -> Check:
    """What stands under an anchor comes behind it in the page."""
    match = re.search(rb"charset\s*=\s*[\"']?([\w-]+)", data[:4096])
    text = data.decode(match[1].decode() if match else "utf-8", errors="replace")
    return _Page(text).holds


def check_book(data: bytes) -> Check:
    """A part stands in one page of the book, behind the parts before it."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        package_name = next(name for name in archive.namelist() if name.endswith(".opf"))
        package = ElementTree.fromstring(archive.read(package_name))
        hrefs = {each.get("id"): each.get("href", "") for each in package.iter()}
        order = [hrefs[each.get("idref")] for each in package.iter() if each.get("idref")]
        folder = posixpath.dirname(package_name)
        names = [posixpath.normpath(posixpath.join(folder, unquote(href))) for href in order]
        pages = [_Page(archive.read(name).decode(errors="replace")) for name in names]
    last = -1

    def check(label: str, text: str) -> bool:
        nonlocal last
        places = range(last + 1, len(pages))
        last = next((at for at in places if pages[at].holds("", text)), len(pages))
        return last < len(pages)

    return check


def check_message(data: bytes) -> Check:
    """Headers and lines of the text stand in the message."""
    return lambda label, text: _message_holds(data, text)


def check_mailbox(data: bytes) -> Check:
    """The same for the message of a number."""
    messages = re.split(rb"(?m)^From [^\n]*\d\d:\d\d[^\n]*\n", data)[1:]
    return lambda label, text: _message_holds(
        messages[int(label.removeprefix("message ")) - 1], text
    )


def _message_holds(data: bytes, text: str) -> bool:
    message = email.message_from_bytes(data, policy=email.policy.default)
    pieces = [data.decode(errors="replace")]
    for part in message.walk():
        payload = part.get_payload(decode=True)
        pieces.append(str(part.get_filename()))
        if isinstance(payload, bytes):
            for name in (part.get_content_charset() or "utf-8", "utf-8"):
                try:
                    pieces.append(payload.decode(name, errors="replace"))
                except LookupError:
                    continue
    for name in message:
        pieces += [str(each) for each in message.get_all(name, [])]
    whole = "".join(f"{letters(piece)}{letters(_Page(piece).letters)}" for piece in pieces)
    lines = [line.removeprefix("Attachments: ") for line in text.split("\n")]
    return all(letters(piece) in whole for line in lines for piece in re.split(r"; |: |, ", line))


def check_notebook(data: bytes) -> Check:
    """A cell or its output."""
    notebook = json.loads(_text(data))
    cells = notebook.get("cells") or [c for s in notebook["worksheets"] for c in s["cells"]]
    colours = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
    found: dict[str, str] = {}
    for number, cell in enumerate(cells, 1):
        source = "".join(cell.get("source", cell.get("input", "")))
        language = notebook.get("metadata", {}).get("kernelspec", {}).get("language", "python")
        found[f"cell {number}"] = (language if cell["cell_type"] == "code" else "") + source
        printed = []
        for output in cell.get("outputs", []):
            printed.append(output.get("text") or output.get("data", {}).get("text/plain") or "")
            printed.append(f"{output.get('ename')}{output.get('evalue')}")
        found[f"cell {number}, output"] = "".join("".join(each) for each in printed)
    parts = {label: letters(colours.sub("", text)) for label, text in found.items()}
    return lambda label, text: all(letters(piece) in parts[label] for piece in text.split("\n\n"))


def check_subtitles(data: bytes) -> Check:
    """Words are said in a cue that begins in that second."""
    cues: dict[str, str] = {}
    for block in re.split(r"\n\s*\n", _text(data).replace("\r\n", "\n")):
        match = re.search(r"((?:\d+:)?\d+:\d+)[.,]\d+\s+-->[^\n]*\n?", block)
        if match:
            label = ":".join(f"{int(each):02}" for each in f"0:{match[1]}".split(":")[-3:])
            cues[label] = cues.get(label, "") + _Page(block[match.end() :]).letters + letters(block)
    return lambda label, text: all(letters(word) in cues[label] for word in text.split())


def check_pdf(data: bytes) -> Check:
    """A page."""
    import pypdf

    pages = pypdf.PdfReader(io.BytesIO(data))
    if pages.is_encrypted:
        pages.decrypt("")
    return _parts({f"page {n}": page.extract_text() for n, page in enumerate(pages.pages, 1)})


def check_word(data: bytes) -> Check:
    """A paragraph, or the cells of a row."""
    import docx
    from docx.table import Table

    paragraphs: dict[str, str] = {}
    rows: dict[str, list[Any]] = {}
    num_tables = 0
    for block in docx.Document(io.BytesIO(data)).iter_inner_content():
        if isinstance(block, Table):
            num_tables += 1
            for number, row in enumerate(block.rows, 1):
                cells = [cell.text for cell in row.cells]
                rows[f"table {num_tables}, row {number}"] = cells
        elif block.text.strip():
            paragraphs[f"paragraph {len(paragraphs) + 1}"] = block.text
    in_paragraph, in_row = _parts(paragraphs), _values(rows)
    return lambda label, text: (in_row if label in rows else in_paragraph)(label, text)


def check_slides(data: bytes) -> Check:
    """Lines stand in the texts of a slide, or of its notes, as the file has them."""
    import pptx

    found = {}
    for number, slide in enumerate(pptx.Presentation(io.BytesIO(data)).slides, 1):
        found[f"slide {number}"] = _drawn(slide)
        if slide.has_notes_slide:
            found[f"slide {number}, notes"] = _drawn(slide.notes_slide)
    return lambda label, text: all(
        letters(piece) in found[label] for piece in re.split(r"\n|; |: ", text)
    )


def _drawn(slide: Any) -> str:
    """Letters of all texts, in the order of the file."""
    return letters("".join(e.text or "" for e in slide._element.iter() if e.tag.endswith("}t")))


def check_sheets(data: bytes) -> Check:
    """The cells of a row."""
    import openpyxl

    try:
        book = openpyxl.load_workbook(io.BytesIO(data), data_only=True)
    except KeyError:
        # A picture is missing, which only this way to open it looks for.
        book = openpyxl.load_workbook(io.BytesIO(data), data_only=True, read_only=True)
    found: dict[str, list[Any]] = {}
    for sheet in book.worksheets:
        title = " ".join(sheet.title.split())
        found[f"sheet {title}"] = [title]
        for number, row in enumerate(sheet.iter_rows(min_row=1, values_only=True), 1):
            found[f"sheet {title}, row {number}"] = [
                str(cell).removesuffix(" 00:00:00") if hasattr(cell, "year") else cell
                for cell in row
            ]
    return _values(found)


CHECKS: dict[str, Callable[[bytes], Check]] = {
    "plain text": check_plain,
    "Markdown": check_plain,
    "source code": check_code,
    "a table (CSV)": check_table,
    "JSON": check_json,
    "JSON Lines": check_json_lines,
    "an export of chats": check_chats,
    "a web page (HTML)": check_page,
    "an e-mail": check_message,
    "a mailbox (mbox)": check_mailbox,
    "a Jupyter notebook": check_notebook,
    "subtitles": check_subtitles,
    "a PDF document": check_pdf,
    "a Word document": check_word,
    "a PowerPoint presentation": check_slides,
    "an Excel workbook": check_sheets,
    "an EPUB book": check_book,
}


def rows_of(outcomes: Iterable[Outcome]) -> list[list[str]]:
    """A row for each kind, in the order of `CHECKS`, and one for all."""
    counts = Counter((each.kind, each.result) for each in outcomes)
    places = Counter[str]()
    for each in outcomes:
        places[each.kind] += each.places
    rows = []
    for kind in (*CHECKS, None):
        kinds = [kind] if kind else list(CHECKS)
        numbers = [
            sum(counts[each, result] for each in kinds)
            for result in ("read", "empty", "refused", "broken", "wrong")
        ]
        if sum(numbers):
            num_places = sum(places[each] for each in kinds)
            rows.append([kind or "all", *map(str, (sum(numbers), *numbers, num_places))])
    return rows


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Its files are read, and those of the folders in it.",
)
@click.option("--json", "json_path", type=click.Path(path_type=Path))
def documents(folder: Path, json_path: Path | None) -> None:
    """Read every file of a folder by its kind, and look its places up in the original."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and is_known(path))
    outcomes = [outcome_of(path) for path in paths if path.stat().st_size <= _MAX_BYTES]
    header = ["kind", "files", "read", "empty", "refused", "broken", "wrong", "places"]
    click.echo(markdown_table(header, rows_of(outcomes)))
    for each in outcomes:
        if each.reason:
            click.echo(f"{each.result}: {each.path.relative_to(folder)}: {each.reason}", err=True)
    cells = [{**vars(each), "path": str(each.path.relative_to(folder))} for each in outcomes]
    save_json(json_path, "documents", "", {"folder": folder.name}, cells)
