"""E-mail: a message of an `.eml` file, or every message of an `mbox`, a document each.

Knows the standard library's parser. Attachments are named and not read.
"""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from email.message import EmailMessage
from email.utils import parsedate_to_datetime

from lmos.documents.base import (
    AbstractReader,
    Composer,
    Document,
    Original,
    clean,
    iter_keys,
    one_line,
)
from lmos.documents.webpages import write_page
from lmos.errors import DataError

_SHOWN = ("From", "To", "Cc", "Date", "Subject")
_LABELS = ("From", "To", "Subject")
_MAX_LABEL = 200
_BEGIN = re.compile(rb"(?:\A|(?<=\n))From [^\n]*\d\d:\d\d[^\n]*\r?\n")
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)


class MessageReader(AbstractReader):
    """One message."""

    kind = "an e-mail"
    suffixes = (".eml",)

    def read(self, original: Original) -> list[Document]:
        """Its headers and its text."""
        message = _parsed(original.data)
        if not any(name in message for name in _SHOWN):
            raise DataError("expected an e-mail, found no From, Date or Subject")
        return [_document(message, Composer(original.reading.max_bytes))]


class MailboxReader(AbstractReader):
    """Messages one after the other, each begun by a line `From `."""

    kind = "a mailbox (mbox)"
    suffixes = (".mbox", ".mbx")

    def read(self, original: Original) -> list[Document]:
        """A document for each message, called by its subject; its number is its place."""
        messages = [_parsed(data) for data in _iter_messages(original.data)]
        if not messages:
            raise DataError("expected a mailbox, found no line that begins with From and a date")
        found = []
        keys = iter_keys([_header(message, "Subject") for message in messages])
        for number, (message, key) in enumerate(zip(messages, keys, strict=True), 1):
            composer = Composer(original.reading.max_bytes)
            found.append(_document(message, composer, key, f"message {number}"))
        return found


def _iter_messages(data: bytes) -> Iterator[bytes]:
    places = list(_BEGIN.finditer(data))
    stops = [*(place.start() for place in places[1:]), len(data)]
    for place, stop in zip(places, stops, strict=False):
        yield _QUOTED_FROM.sub(rb"\1", data[place.end() : stop])


def _parsed(data: bytes) -> EmailMessage:
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def _document(
    message: EmailMessage, composer: Composer, key: str | None = None, label: str | None = None
) -> Document:
    headers = [(name, _header(message, name)) for name in _SHOWN]
    lines = "".join(f"{name}: {value}\n" for name, value in headers if value)
    composer.add(f"{lines}\n", label)
    _write_body(message, composer)
    attached = [part.get_filename() or "" for part in message.iter_attachments()]
    if any(attached):
        composer.add(f"\nAttachments: {', '.join(filter(None, attached))}\n")
    labels = {
        name.lower(): value
        for name, value in headers
        if name in _LABELS and value and len(value) <= _MAX_LABEL
    }
    return composer.document(key, _time(message), labels)


def _write_body(message: EmailMessage, composer: Composer) -> None:
    body = message.get_body(("plain", "html"))
    if body is None:
        return
    try:
        text = str(body.get_content())
    except (LookupError, AttributeError):
        # An encoding that nobody knows, or a message that is not what it says.
        payload = body.get_payload(decode=True)
        text = payload.decode(errors="replace") if isinstance(payload, bytes) else ""
    if body.get_content_type() == "text/html":
        write_page(text, composer)
    else:
        composer.add(text.replace("\r\n", "\n").strip("\n") + "\n")


def _header(message: EmailMessage, name: str) -> str:
    try:
        return clean(one_line(str(message.get(name, ""))))
    except (ValueError, IndexError, AttributeError):
        # The parser of the standard library trips over some broken headers.
        return ""


def _time(message: EmailMessage) -> float | None:
    try:
        return parsedate_to_datetime(_header(message, "Date")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
