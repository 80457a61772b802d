"""Files of every format: what becomes their text, which places it has, and what bad ones say."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lmos.documents.base import Document, Original, Reading
from lmos.documents.files import look_at, read_again
from lmos.documents.formats import READERS, file_name_of, name_of, reader_of
from lmos.documents.pdfs import mended
from lmos.errors import DataError
from lmos.nodes import Span
from lmos.store.places import iter_faults, place_of
from lmos.text.encodings import decode
from originals import (
    PAGES,
    anthropic_export,
    bomb,
    message,
    notebook,
    openai_export,
    write_book,
    write_mailbox,
    write_pdf,
    write_sheets,
    write_slides,
    write_word,
)

ROOT = Path(__file__).parent.parent


def read(name: str, data: bytes | str | Path, reading: Reading | None = None) -> list[Document]:
    """The documents of a file; the places of each are in order."""
    if isinstance(data, Path):
        data = data.read_bytes()
    original = Original(
        name, data.encode() if isinstance(data, str) else data, reading or Reading()
    )
    documents = reader_of(Path(name), original.data).read(original)
    for document in documents:
        assert list(iter_faults(document.places, len(document.text.encode()))) == []
    return documents


def placed(document: Document) -> list[tuple[str | None, str]]:
    """Each stretch of a text with its place, without white space around it."""
    data = document.text.encode()
    starts = [mark.start_byte for mark in document.places]
    stops = [*starts[1:], len(data)]
    return [
        (place_of(document.places, Span(start, stop)), data[start:stop].decode().strip())
        for start, stop in zip(starts, stops, strict=True)
    ]


# Each format


def test_markdown_is_as_it_is_and_its_front_matter_says_more() -> None:
    text = "---\ntitle: Fox\ndate: 2024-05-01\ntags: [garden, night]\nn: {a: 1}\n---\nIt sleeps."
    (document,) = read("a.md", text)
    assert document.text == text
    assert document.places == ()
    assert document.labels == {"title": "Fox", "date": "2024-05-01", "tags": "garden, night"}
    assert document.time is not None
    for plain in ("# Fox\n---\na: b\n---\n", "---\n: : :\n---\n", "---\nno end", "---\n- a\n---\n"):
        (document,) = read("a.md", plain)
        assert (document.text, document.labels, document.time) == (plain, {}, None)


def test_a_date_that_cannot_be_is_none() -> None:
    (document,) = read("a.md", "---\ndate: someday\ncreated: 2024-05-01T08:30:00Z\n---\ntext")
    assert document.time == 1714552200.0


def test_source_code_is_as_it_is_and_each_line_is_a_place() -> None:
    text = "def é():\n\n    return 1\r\nlast"
    (document,) = read("a.py", text)
    assert document.text == text
    assert placed(document) == [
        ("line 1", "def é():"),
        ("line 3", "return 1"),
        ("line 4", "last"),
    ]
    assert place_of(document.places, Span(3, 20)) == "line 1–3"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'Item,Price\nTea,3\n"Coffee, black","4\n5"\n'),
        ("a.csv", 'Item;Price\nTea;3\n"Coffee, black";4 5\n'),
        ("a.tsv", "Item\tPrice\r\nTea\t3\r\nCoffee, black\t4 5\r\n"),
        ("a.csv", '\ufeffItem,Price\n\nTea,3\n"Coffee, black",4 5\n'),
    ],
)
def test_rows_of_a_table_name_their_columns(name: str, text: str) -> None:
    (document,) = read(name, text)
    lines = ["- Item: Tea; Price: 3", "- Item: Coffee, black; Price: 4 5"]
    assert document.text.splitlines() == lines
    first = 3 if "\n\n" in text else 2
    assert placed(document) == list(zip([f"row {first}", f"row {first + 1}"], lines, strict=True))


def test_a_table_without_names_is_told_by_its_values() -> None:
    assert read("a.csv", "1,2\n3,\n")[0].text == "- 1; 2\n- 3\n"
    assert read("a.csv", "Item,Price\n")[0].text == "- Item; Price\n"


def test_json_is_told_record_by_record() -> None:
    text = (
        '{"shop": "Eva\'s", "orders": [{"item": "tea", "to": {"city": "Bern"}}, {"n": [1, 2.5]}]}'
    )
    (document,) = read("a.json", text)
    assert placed(document) == [
        ("shop", "shop: Eva's"),
        ("orders[0]", "item: tea\nto.city: Bern"),
        ("orders[1]", "n: 1, 2.5"),
    ]
    assert [place for place, _ in placed(read("a.json", '["a", {"b": null, "c": true}]')[0])] == [
        "[0]",
        "[1]",
    ]


def test_lines_of_json_are_places_whatever_the_suffix() -> None:
    text = '{"a": 1}\n\n{"a": "\\ud800"}\n'
    for name in ("a.jsonl", "a.json"):
        assert placed(read(name, text)[0]) == [("line 1", "a: 1"), ("line 3", "a: \ufffd")]


def test_of_an_openai_export_the_shown_branch_is_told_with_its_times() -> None:
    first, second = read("conversations.json", openai_export())
    assert (first.key, second.key) == ("The fox", "The fox (2)")
    assert first.time == 1714552000.5
    assert first.text == (
        "# The fox\n\nUser (2024-05-01 08:30): Where is the fox?\n\n"
        "Assistant (2024-05-01 08:31): Under the bridge.\n\n"
    )
    assert [mark.label for mark in first.places] == [
        "turn 1, 2024-05-01 08:30 UTC",
        "turn 2, 2024-05-01 08:31 UTC",
    ]
    assert second.text == "# The fox\n\nUser: Who has the piano?\n\n"


def test_an_anthropic_export() -> None:
    (document,) = read("conversations.json", anthropic_export())
    assert document.key == "A-B"
    assert document.time == 1714552140.0
    assert "Assistant (2024-05-01 08:31): Under the bridge." in document.text
    assert len(document.places) == 2


def test_a_page_is_what_is_seen_of_its_main_part() -> None:
    page = """<html><head><title>Shop</title></head><body><nav>menu</nav><main>
        <h1 id="top">Rules<button>x</button></h1><p>First <b>bold</b>,<i> it</i>.<br>Second
        line.</p><ul><li><p>one</p><li>two<ul><li>deep</ul></ul>
        <h2><a name="prices"></a>Prices ¶</h2><table><caption>Cost</caption>
        <tr><th>Item<th>Price<tr><td>Tea<td>3</table><pre>a\n  b</pre>
        <script>x()</script><!-- c --><div hidden>no</div>tail</main><footer>f</footer>"""
    (document,) = read("a.html", page)
    assert document.text == (
        "# Rules\n\nFirst bold, it.\nSecond line.\n\n- one\n- two\n- deep\n\n"
        "## Prices\n\nCost\n- Item: Tea; Price: 3\n\n```\na\n  b\n```\n\ntail\n"
    )
    assert [place for place, _ in placed(document)] == ["#top", "#prices"]


def test_elements_of_a_page_may_end_as_in_xml() -> None:
    page = '<html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><p><a id="x"/>Gone.</p>'
    assert read("a.xhtml", page)[0].text == "Gone.\n"


@pytest.mark.parametrize("declared", ['<meta charset="iso-8859-1">', '<?xml encoding="latin-1"?>'])
def test_a_page_is_read_as_it_declares(declared: str) -> None:
    page = f"{declared}<title>Café</title><p>Le café."
    assert read("a.html", page.encode("latin-1"))[0].text == "# Café\n\nLe café.\n"
    assert read("a.html", page.encode())[0].text == "# Café\n\nLe café.\n"


def test_a_message_has_headers_labels_and_a_time(tmp_path: Path) -> None:
    mail = message("Re: Lunch  again", "See you.\nHugo", Cc="eva@example.org")
    mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="menu.pdf")
    (document,) = read("a.eml", mail.as_bytes())
    assert document.text == (
        "From: Greta <greta@example.org>\nTo: hugo@example.org\nCc: eva@example.org\n"
        "Date: Wed, 01 May 2024 08:30:00 +0000\nSubject: Re: Lunch again\n\n"
        "See you.\nHugo\n\nAttachments: menu.pdf\n"
    )
    assert document.time == 1714552200.0
    assert document.labels["from"] == "Greta <greta@example.org>"
    assert document.labels["subject"] == "Re: Lunch again"


def test_a_message_of_html_alone_is_read_as_a_page() -> None:
    mail = message("Lunch", "")
    mail.set_content("<p>See <b>you</b>.</p><script>x</script>", subtype="html")
    assert read("a.eml", mail.as_bytes())[0].text.endswith("\n\nSee you.\n")


def test_messages_of_a_mailbox_are_documents_called_by_their_subjects(tmp_path: Path) -> None:
    mails = [message(subject, f"Text {subject}\nFrom here on.") for subject in ("A/B", "A-B", "")]
    documents = read("a.mbox", write_mailbox(tmp_path / "a.mbox", *mails))
    assert [document.key for document in documents] == ["A-B", "A-B (2)", "untitled"]
    assert [document.places[0].label for document in documents] == [
        f"message {number}" for number in (1, 2, 3)
    ]
    assert all(document.text.endswith("\nFrom here on.\n") for document in documents)


def test_a_notebook_has_cells_and_what_they_printed() -> None:
    (document,) = read("a.ipynb", notebook())
    assert placed(document) == [
        ("cell 1", "# Prices\nTea and coffee."),
        ("cell 2", "```python\ntotal(3, 4.5)\n```"),
        ("cell 2, output", "7.5"),
        ("cell 3", "```python\n1 / 0\n```"),
        ("cell 3, output", "red\n\nZeroDivisionError: no"),
    ]


def test_subtitles_are_what_is_said_with_the_times() -> None:
    srt = (
        "1\r\n00:00:01,000 --> 00:00:02,000\r\n<i>Where is\r\nthe fox?</i>\r\n\r\n"
        "2\r\n00:01:05,500 --> 00:01:06,000\r\n{\\an8}Under the bridge.\r\n"
    )
    cues = [("00:00:01", "Where is the fox?"), ("00:01:05", "Under the bridge.")]
    assert placed(read("a.srt", srt)[0]) == cues
    vtt = (
        "WEBVTT\n\nNOTE no cue\n\n00:01.000 --> 00:02.000 align:start\n<v.loud Eva>Where &amp; "
        "<00:01.500>when?\n\n01:00:03.000 --> 01:00:04.000\nNow.\n\n"
        "01:00:04.000 --> 01:00:05.000\nNow.\n"
    )
    assert placed(read("a.vtt", vtt)[0]) == [
        ("00:00:01", "Eva: Where & when?"),
        ("01:00:03", "Now."),
    ]


def test_times_of_subtitles_may_lack_zeros() -> None:
    vtt = (
        "WEBVTT\n\nid-0\n0:0:3.54 --> 0:0:7.23\n<v Eva>Morning.</v>\n\n0:1:5.2 --> 1:2:7.9\nNow.\n"
    )
    assert placed(read("a.vtt", vtt)[0]) == [("00:00:03", "Eva: Morning."), ("00:01:05", "Now.")]


def test_a_pdf_has_pages(tmp_path: Path) -> None:
    pages = [PAGES[0], "", PAGES[1]]
    for name in ("a.pdf", "a", "a.txt"):
        (document,) = read(name, write_pdf(tmp_path / "a.pdf", pages))
        assert placed(document) == [("page 1", PAGES[0]), ("page 3", PAGES[1])]


def test_a_pdf_that_only_forbids_to_print_is_read(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "a.pdf", PAGES, encrypt=_locked("", "owner"))
    assert PAGES[1] in read("a.pdf", path)[0].text


def _locked(user: str, owner: str) -> object:
    from reportlab.lib.pdfencrypt import StandardEncryption

    return StandardEncryption(user, owner, canPrint=0)


def test_words_that_were_parted_at_ends_of_lines_are_whole() -> None:
    text = "an exam-\nple, well-\nKnown, state-of-the-\nart, 3-\n4"
    assert mended(text) == "an example\n, well-\nKnown, state-of-the-\nart, 3-\n4"


def test_a_word_document_has_paragraphs_and_tables(tmp_path: Path) -> None:
    (document,) = read("a.docx", write_word(tmp_path / "a.docx"))
    assert placed(document) == [
        ("paragraph 1", "# The garden"),
        ("paragraph 2", "The fox sleeps under the bridge."),
        ("paragraph 3", "- Water the roses"),
        ("table 1, row 2", "- Plant: Rose; Row: 7"),
        ("paragraph 4", "Greta sold the piano."),
    ]


def test_slides_have_titles_and_notes(tmp_path: Path) -> None:
    (document,) = read("a.pptx", write_slides(tmp_path / "a.pptx"))
    assert placed(document) == [
        ("slide 1", "# Plans\n- Sell the piano"),
        ("slide 2", "# Costs\n- Tea is 3"),
        ("slide 2, notes", "Ask Hugo first."),
    ]


def test_sheets_have_rows(tmp_path: Path) -> None:
    (document,) = read("a.xlsx", write_sheets(tmp_path / "a.xlsx"))
    assert placed(document) == [
        ("sheet Costs", "# Costs"),
        ("sheet Costs, row 2", "- Item: Tea; Price: 3"),
        ("sheet Costs, row 4", "- Item: Coffee; Price: 4.5; strong"),
        ("sheet Notes", "# Notes"),
        ("sheet Notes, row 1", "- The fox sleeps.; 42"),
    ]


def test_a_book_has_parts(tmp_path: Path) -> None:
    path = write_book(tmp_path / "a.epub", ("I. The fox", "It sleeps."), ("", ""), ("II", "Gone."))
    (document,) = read("a.epub", path)
    assert placed(document) == [
        ("part 1, I. The fox", "# I. The fox\n\nIt sleeps."),
        ("part 2, II", "# II\n\nGone."),
    ]


# Bad files


def _zip(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return buffer.getvalue()


BAD: dict[str, tuple[str, Callable[[Path], bytes], str]] = {
    "scan": ("a.pdf", lambda folder: write_pdf(folder / "x", [""]).read_bytes(), "was scanned"),
    "locked": (
        "a.pdf",
        lambda folder: write_pdf(folder / "x", PAGES, encrypt=_locked("secret", "x")).read_bytes(),
        "encrypted; take the password off",
    ),
    "broken": ("a.pdf", lambda _: b"%PDF-1.7\nnothing", "expected a PDF document, got a broken"),
    "bomb": ("a.docx", lambda _: bomb(), "unpacks to 1,000.0 MB, expected at most 256.0 MB"),
    "half": (
        "a.xlsx",
        lambda folder: write_sheets(folder / "x.xlsx").read_bytes()[:3000],
        "expected an Excel workbook, got a broken archive",
    ),
    "other": ("a.pptx", lambda _: _zip(a="b"), "expected a PowerPoint presentation, got a broken"),
    "no book": ("a.epub", lambda _: _zip(a="b"), "expected an EPUB book, but it does not say"),
    "old": ("a.docx", lambda _: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "with a password"),
    "json": ("a.json", lambda _: b'{"a": \n nothing}', "line 2: expected JSON"),
    "deep": ("a.json", lambda _: b"[" * 100_000, "expected JSON, got a broken one (RecursionError"),
    "lines": ("a.jsonl", lambda _: b'{"a": 1}\nb\n', "line 2: expected JSON"),
    "notebook": ("a.ipynb", lambda _: b"{}", "found no cells"),
    "mail": ("a.eml", lambda _: b"Hello.", "expected an e-mail"),
    "mailbox": ("a.mbox", lambda _: b"Hello.", "found no line that begins with From"),
    "subtitles": ("a.srt", lambda _: b"Hello.", "expected subtitles"),
    "latin": ("a.csv", lambda _: "Café,1".encode("latin-1"), "add --encoding cp1252"),
    "binary": ("a.py", lambda _: bytes(range(256)), "binary"),
    "much": ("a.txt", lambda _: b"x" * 40_000_000, "expected at most 32 MB, got 40.0 MB"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_says_what_is_wrong(tmp_path: Path, kind: str) -> None:
    name, make, expected = BAD[kind]
    path = tmp_path / name
    path.write_bytes(make(tmp_path))
    with pytest.raises(DataError) as refused:
        look_at(name, path, Reading())
    assert str(refused.value).startswith(f"{path}: ")
    assert expected in str(refused.value)
    assert str(refused.value).count(str(path)) == 1


def test_text_that_grows_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    rows = "Name of the item," * 9 + "n\n" + "1,2,3,4,5,6,7,8,9,10\n" * 400
    names = ",".join(f"{'long' * 9} {number}" for number in range(10))
    with pytest.raises(DataError, match="more than 20 kB of text"):
        read("a.csv", names + "\n" + rows, Reading(max_bytes=20_000))


@pytest.mark.parametrize(
    ("library", "name", "make"),
    [
        ("pypdf", "a.pdf", lambda path: write_pdf(path, PAGES)),
        ("docx", "a.docx", write_word),
        ("pptx", "a.pptx", write_slides),
        ("openpyxl", "a.xlsx", write_sheets),
        ("selectolax.lexbor", "a.html", lambda path: path.write_text("<p>Hi") and path),
        ("selectolax.lexbor", "a.epub", lambda path: write_book(path, ("I", "Gone."))),
    ],
)
def test_a_missing_library_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    library: str,
    name: str,
    make: Callable[[Path], Path],
) -> None:
    path = make(tmp_path / name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(DataError, match=r'not installed: pip install "lmos\[files\]"'):
        look_at(name, path, Reading())


# Encodings


@pytest.mark.parametrize(
    ("text", "encoding", "named", "told"),
    [
        ("Le café.", "utf-8", "latin-1", None),
        ("Le café.", "latin-1", "latin-1", "read as latin-1"),
        ("Le café.", "latin-1", "detect", "read as cp1252"),
        ("Привет, как дела? Всё хорошо.", "cp1251", "detect", "read as cp1251"),
        ("日本語の文章です。これはテストです。", "shift_jis", "detect", "read as shift-jis"),
        ("Le café.", "utf-16", "detect", "read as utf-16"),
        ("Le café.", "utf-16-le", "utf-16-le", "read as utf-16-le"),
        ("日本語", "iso2022_jp", "iso2022_jp", "read as iso2022_jp"),
    ],
)
def test_text_is_read_as_told_or_as_detected(
    text: str, encoding: str, named: str, told: str | None
) -> None:
    assert decode(text.encode(encoding), named) == (text, told)


def test_what_is_not_in_the_named_encoding_is_refused() -> None:
    with pytest.raises(DataError, match="expected ascii, got byte 0xe9 at offset 6"):
        decode("Le café.".encode("latin-1"), "ascii")


def test_plain_text_keeps_its_bytes_and_tells_how_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("Le café.\r\n".encode("latin-1"))
    ((file, text),) = look_at("a.txt", path, Reading(encoding="latin-1"))
    assert text == "Le café.\r\n"
    assert file.notes == ("read as latin-1",)
    path.write_bytes(b"\xef\xbb\xbfBegin\r\n")
    assert look_at("a.txt", path, Reading())[0][1] == "\ufeffBegin\r\n"


# Names, and all formats


@pytest.mark.parametrize(
    ("file_name", "key"),
    [
        ("a/b.md", None),
        ("a.mbox", "Lunch"),
        ("c#/conversations.json", "The fox (2)"),
        ("a#b.md", None),
    ],
)
def test_the_name_of_a_source_leads_back_to_its_file(file_name: str, key: str | None) -> None:
    assert file_name_of(name_of(file_name, key)) == file_name


def test_a_text_that_was_not_kept_is_read_again(tmp_path: Path) -> None:
    path = write_mailbox(tmp_path / "a.mbox", message("A", "one"), message("B", "two"))
    files = [replace(file, text=None) for file, _ in look_at("x/a.mbox", path, Reading())]
    assert [file.name for file in files] == ["x/a.mbox#A", "x/a.mbox#B"]
    assert "two" in read_again(files[1], Reading())
    write_mailbox(tmp_path / "b.mbox", message("A", "one")).replace(path)
    with pytest.raises(DataError, match="in its file no more"):
        read_again(files[1], Reading())


def test_every_format_is_in_the_page_about_files() -> None:
    page = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
    suffixes = [suffix for reader in READERS for suffix in reader.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    for reader in READERS:
        assert f"`{reader.suffixes[0]}`" in page, reader.kind
