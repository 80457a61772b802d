"""Normal form: a text as the reader reads it, with nothing in it that cannot be seen.

For reading only: offsets and citations are those of the text as it was added. Knows no tokenizer.
"""

from __future__ import annotations

import re
import unicodedata

_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_UNSEEN = re.compile("[\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_JOINER = re.compile(
    # Between letters of Latin, Greek or Cyrillic a joiner says nothing; in Persian or Hindi, and in
    # 👩‍🔬, it does.
    "(?<![\u0590-\U0010ffff])[\u200c\u200d]+|[\u200c\u200d]+(?![\u0590-\U0010ffff])"
)
_SPACES = re.compile(r"(?<=\S)[^\S\n]+")
_TRAILING = re.compile(r"[^\S\n]+$", re.MULTILINE)
_INDENT = re.compile(r"^[^\S\n]+", re.MULTILINE)


def readable(text: str) -> str:
    """A text as the reader reads it; of two that look the same, the same.

    Composed characters (NFC), no soft hyphens, marks of direction or byte order, or characters
    without width; one space where there were several, and none at the ends of lines. The indent of
    a line stays, in spaces: it may say to what it belongs.

    Example:
        >>> readable("Cafe\\u0301 \\u00a0 au\\u00ad lait\\ufeff \\r\\n")
        'Café au lait\\n'
    """
    text = _LINE_ENDS.sub("\n", text)
    text = _JOINER.sub("", _UNSEEN.sub("", text))
    text = _TRAILING.sub("", unicodedata.normalize("NFC", text))
    text = _INDENT.sub(lambda match: " " * len(match.group().expandtabs(4)), text)
    return _SPACES.sub(" ", text)
