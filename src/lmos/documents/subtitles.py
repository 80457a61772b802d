"""Subtitles, SubRip and WebVTT -> what is said, with the times."""

from __future__ import annotations

import html
import re

from lmos.documents.base import AbstractReader, Composer, Document, Original, one_line
from lmos.errors import DataError

# Some programs leave out zeros: 0:0:3.5.
_TIMES = re.compile(
    r"(?:(\d+):)?(\d\d?):(\d\d?)[.,]\d{1,3}\s+-->\s+(?:\d+:)?\d\d?:\d\d?[.,]\d{1,3}"
)
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_TAG = re.compile(r"</?[^>\n]*>|\{\\[^}]*\}")


class SubtitleReader(AbstractReader):
    """Cues with times; a voice of WebVTT becomes `Name: ` before what it says."""

    kind = "subtitles"
    suffixes = (".srt", ".vtt")

    def read(self, original: Original) -> list[Document]:
        """One document, a line for each cue; the time at which it begins is its place."""
        composer, last = Composer(original.reading.max_bytes), ""
        for block in re.split(r"\n\s*\n", original.decode().replace("\r\n", "\n")):
            match = _TIMES.search(block)
            if match is None:
                continue
            hours, minutes, seconds = match.groups(default="0")
            words = one_line(_spoken(block[match.end() :].partition("\n")[2]))
            # Captions that roll up say each line again.
            if words and words != last:
                composer.add(f"{words}\n", f"{int(hours):02}:{minutes:>02}:{seconds:>02}")
            last = words
        if composer.is_blank:
            raise DataError("expected subtitles, found no line like 00:00:01,000 --> 00:00:02,000")
        return [composer.document()]


def _spoken(text: str) -> str:
    return html.unescape(_TAG.sub("", _VOICE.sub(r"\1: ", text)))
