"""JSON and JSON Lines -> lines `key: value`, record by record.

Exports of chat services are JSON too, and are read in `conversations`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lmos.documents import conversations
from lmos.documents.base import AbstractReader, Composer, Document, Original, one_line
from lmos.errors import DataError


class JsonReader(AbstractReader):
    """One value; the elements of its list, or the values of its object, are places."""

    kind = "JSON"
    suffixes = (".json", ".geojson")

    def read(self, original: Original) -> list[Document]:
        """One document, or one for each conversation if it is an export of them."""
        text = original.decode()
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            begin = [line for line in text.splitlines() if line.strip()][:2]
            if len(begin) > 1 and all(map(_is_json, begin)):
                return JsonLinesReader().read(original)
            raise DataError(f"line {error.lineno}: expected JSON: {error.msg}") from None
        if conversations.are_conversations(value):
            return conversations.read(value, original.reading.max_bytes)
        composer = Composer(original.reading.max_bytes)
        for path, record in _iter_records(value):
            lines = "\n".join(_iter_lines(record, path if not isinstance(record, dict) else ""))
            composer.add(f"{lines}\n\n" if lines else "", path or None)
        return [composer.document()]


class JsonLinesReader(AbstractReader):
    """A value a line."""

    kind = "JSON Lines"
    suffixes = (".jsonl", ".ndjson")

    def read(self, original: Original) -> list[Document]:
        """One document; each line is a place."""
        composer = Composer(original.reading.max_bytes)
        for number, line in enumerate(original.decode().split("\n"), 1):
            if not line.strip():
                continue
            try:
                lines = "\n".join(_iter_lines(json.loads(line), ""))
            except json.JSONDecodeError as error:
                raise DataError(f"line {number}: expected JSON: {error.msg}") from None
            composer.add(f"{lines}\n\n" if lines else "", f"line {number}")
        return [composer.document()]


def _iter_records(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """What is told together, and where it stands: elements of lists that stand high enough."""
    if isinstance(value, list):
        yield from ((f"{path}[{number}]", each) for number, each in enumerate(value))
    elif isinstance(value, dict) and not path:
        for key, each in value.items():
            if isinstance(each, list | dict) and each:
                yield from _iter_records(each, str(key))
            else:
                yield str(key), each
    else:
        yield path, value


def _iter_lines(value: Any, path: str) -> Iterator[str]:
    """`address.city: Bern`, a line for each value; lists of plain values on one line."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _iter_lines(each, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
        for number, each in enumerate(value):
            yield from _iter_lines(each, f"{path}[{number}]")
    elif value is not None and value != []:
        values = value if isinstance(value, list) else [value]
        told = one_line(
            ", ".join(each if type(each) is str else json.dumps(each) for each in values)
        )
        if told:
            yield f"{path}: {told}" if path else told


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
