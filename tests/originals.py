"""Small real files of many formats, made by the libraries that people's programs use."""

from __future__ import annotations

import io
import json
import mailbox
import zipfile
from email.message import EmailMessage
from pathlib import Path
from typing import Any

PAGES = ["The fox sleeps under the bridge.", "Greta sold the piano to Hugo.", "The end came late."]


def write_pdf(path: Path, pages: list[str], **options: Any) -> Path:
    """A page for each text."""
    from reportlab.pdfgen.canvas import Canvas

    canvas = Canvas(str(path), invariant=1, **options)
    for page in pages:
        canvas.drawString(72, 700, page)
        canvas.showPage()
    canvas.save()
    return path


def write_word(path: Path) -> Path:
    """A heading, two paragraphs, a list and a table."""
    import docx

    document = docx.Document()
    document.add_heading("The garden", level=1)
    document.add_paragraph("The fox sleeps\nunder the bridge.")
    document.add_paragraph("Water the roses", style="List Bullet")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip(table._cells, ["Plant", "Row", "Rose", "7"], strict=True):
        cell.text = text
    document.add_paragraph("Greta sold the piano.")
    document.save(str(path))
    return path


def write_slides(path: Path) -> Path:
    """Two slides, the second with notes."""
    import pptx

    show = pptx.Presentation()
    for title, body in (("Plans", "Sell the piano"), ("Costs", "Tea is 3")):
        slide = show.slides.add_slide(show.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = body
    slide.notes_slide.notes_text_frame.text = "Ask Hugo first."
    show.save(str(path))
    return path


def write_sheets(path: Path) -> Path:
    """Two sheets; the first has an empty row."""
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Costs"
    for row in (["Item", "Price", None], ["Tea", 3.0, None], [], ["Coffee", 4.5, "strong"]):
        sheet.append(row)
    book.create_sheet("Notes").append(["The fox sleeps.", 42])
    book.save(str(path))
    return path


def write_book(path: Path, *chapters: tuple[str, str]) -> Path:
    """An EPUB with chapters: title and text."""
    names = [f"text/chapter {number}.xhtml" for number in range(len(chapters))]
    items = "".join(
        f'<item id="c{number}" href="{name.replace(" ", "%20")}" '
        'media-type="application/xhtml+xml"/>'
        for number, name in enumerate(names)
    )
    order = "".join(f'<itemref idref="c{number}"/>' for number in range(len(names)))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        archive.writestr(
            "META-INF/container.xml",
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
        )
        archive.writestr(
            "OEBPS/book.opf",
            f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}</manifest>'
            f"<spine>{order}</spine></package>",
        )
        for name, (title, text) in zip(names, chapters, strict=True):
            archive.writestr(
                f"OEBPS/{name}",
                f'<?xml version="1.0" encoding="utf-8"?><html><body><h1>{title}</h1>'
                f"<p>{text}</p></body></html>",
            )
    return path


def message(subject: str, text: str, **more: str) -> EmailMessage:
    """An e-mail from Greta to Hugo."""
    mail = EmailMessage()
    mail["From"], mail["To"] = "Greta <greta@example.org>", "hugo@example.org"
    mail["Date"], mail["Subject"] = "Wed, 01 May 2024 08:30:00 +0000", subject
    for name, value in more.items():
        mail[name] = value
    mail.set_content(text)
    return mail


def write_mailbox(path: Path, *messages: EmailMessage) -> Path:
    """An mbox, as mail programs keep it."""
    box = mailbox.mbox(path)
    for each in messages:
        box.add(each)
    box.close()
    return path


def notebook() -> str:
    """A cell of Markdown, one of code with its output, one that failed."""
    cells: list[dict[str, Any]] = [
        {"cell_type": "markdown", "source": ["# Prices\n", "Tea and coffee."]},
        {
            "cell_type": "code",
            "source": "total(3, 4.5)",
            "outputs": [{"output_type": "execute_result", "data": {"text/plain": ["7.5"]}}],
        },
        {
            "cell_type": "code",
            "source": ["1 / 0"],
            "outputs": [
                {"output_type": "stream", "text": "\x1b[31mred\x1b[0m\n"},
                {"output_type": "error", "ename": "ZeroDivisionError", "evalue": "no"},
            ],
        },
    ]
    return json.dumps({"nbformat": 4, "metadata": {}, "cells": cells})


def openai_export() -> str:
    """Two conversations of the same title; the first was edited, and has a hidden message."""

    def node(parent: str | None, role: str, text: str, time: float | None) -> dict[str, Any]:
        content = {"content_type": "text", "parts": [text]}
        return {
            "parent": parent,
            "message": {"author": {"role": role}, "create_time": time, "content": content},
        }

    first = {
        "root": {"parent": None, "message": None},
        "system": node("root", "system", "You are helpful.", None),
        "old": node("system", "user", "Where is the dog?", 1714552000.0),
        "new": node("system", "user", "Where is the fox?", 1714552200.0),
        "answer": node("new", "assistant", "Under the bridge.", 1714552260.0),
    }
    second = {"only": node(None, "user", "Who has the piano?", None)}
    talk = {"title": "The fox", "create_time": 1714552000.5}
    return json.dumps(
        [
            {**talk, "mapping": first, "current_node": "answer"},
            {**talk, "mapping": second, "current_node": "only"},
            {"title": "Nothing", "mapping": {}, "current_node": None},
        ]
    )


def anthropic_export() -> str:
    """One conversation."""
    messages = [
        {"sender": "human", "text": "Where is the fox?", "created_at": "2024-05-01T08:30:00Z"},
        {
            "sender": "assistant",
            "text": "",
            "content": [{"type": "text", "text": "Under the bridge."}],
            "created_at": "2024-05-01T08:31:00Z",
        },
    ]
    talk = {"uuid": "1", "name": "A/B", "created_at": "2024-05-01T08:29:00Z"}
    return json.dumps([{**talk, "chat_messages": messages}])


def bomb() -> bytes:
    """A small ZIP that unpacks to a gigabyte of zeros, and says so."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", "x")
    data = buffer.getvalue()
    size = (1).to_bytes(4, "little")
    huge = (1_000_000_000).to_bytes(4, "little")
    # The size of the member stands once in its own head and once in the list of members.
    at = data.rindex(b"PK\x01\x02")
    assert data[at + 24 : at + 28] == size
    return data[: at + 24] + huge + data[at + 28 :]
