"""Jupyter notebooks -> the text of their cells, the code fenced, and what it printed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from lmos.documents.base import AbstractReader, Composer, Document, Original
from lmos.errors import DataError

_MAX_OUTPUT_CHARS = 10_000
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class NotebookReader(AbstractReader):
    """Notebooks of format 4, and those of format 3 that have one sheet."""

    kind = "a Jupyter notebook"
    suffixes = (".ipynb",)

    def read(self, original: Original) -> list[Document]:
        """One document; each cell is a place, and so is its output."""
        notebook = json.loads(original.decode())
        cells = notebook.get("cells")
        if cells is None:
            cells = [cell for sheet in notebook.get("worksheets", []) for cell in sheet["cells"]]
        if not isinstance(cells, list) or not cells:
            raise DataError("expected a Jupyter notebook, found no cells")
        language = notebook.get("metadata", {}).get("kernelspec", {}).get("language", "python")
        composer = Composer(original.reading.max_bytes)
        for number, cell in enumerate(cells, 1):
            source = _joined(cell.get("source", cell.get("input", ""))).strip("\n")
            if source and cell["cell_type"] == "code":
                source = f"```{language}\n{source}\n```"
            composer.add(f"{source}\n\n" if source.strip() else "", f"cell {number}")
            for output in _iter_outputs(cell):
                composer.add(f"{output}\n\n", f"cell {number}, output")
        return [composer.document()]


def _iter_outputs(cell: dict[str, Any]) -> Iterator[str]:
    for output in cell.get("outputs", []):
        if output["output_type"] == "error":
            text = f"{output.get('ename')}: {output.get('evalue')}"
        else:
            text = _joined(output.get("text") or output.get("data", {}).get("text/plain", ""))
        text = _COLOURS.sub("", text).strip("\n")
        if text.strip():
            is_long = len(text) > _MAX_OUTPUT_CHARS
            yield f"{text[:_MAX_OUTPUT_CHARS]} …" if is_long else text


def _joined(lines: str | list[str]) -> str:
    return lines if isinstance(lines, str) else "".join(lines)
