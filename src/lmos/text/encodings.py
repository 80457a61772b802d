"""Bytes -> text: UTF-8, an encoding that was named, or one that is detected, which is then told.

UTF-8 comes first, whatever was named: a text that is UTF-8 is hardly ever anything else. Knows
bytes alone; does not know whose they are.
"""

from __future__ import annotations

import codecs

from lmos.errors import DataError

DETECT = "detect"
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""What a text begins with that says its encoding; that of UTF-32 begins as that of UTF-16 does."""
_SAMPLE_BYTES = 200_000
_USUAL = (
    *("cp1252", "cp1251", "cp1250", "cp1253", "shift_jis", "gb18030"),
    *("euc_jp", "euc_kr", "big5", "koi8_r"),
)
"""What is looked for, by how often it is met."""
_WIDE = ("utf_16_le", "utf_16_be")
_SLACK = 0.01
# Encodings that are valid UTF-8 too hold one of these.
_NOT_IN_UTF8 = (0, 27)


def decode(data: bytes, encoding: str | None) -> tuple[str, str | None]:
    """Text of bytes, and what is to be told of how it was read, if it was not UTF-8.

    Args:
        data: All of the text.
        encoding: Of text that is not UTF-8: a name that Python knows, `detect`, or `None` for none.

    Raises:
        DataError: It is not UTF-8, and not in the encoding either.
    """
    marked = next((name for mark, name in _MARKS.items() if data.startswith(mark)), None)
    if marked is not None:
        return _decoded(data, marked), None if marked == "utf-8-sig" else f"read as {marked}"
    if encoding is None or not any(byte in data for byte in _NOT_IN_UTF8):
        try:
            return data.decode(), None
        except UnicodeDecodeError as error:
            if encoding is None:
                raise _not_utf8(data, error) from None
    if encoding == DETECT:
        encoding = _detected(data)
        if encoding is None:
            raise DataError("no encoding fits its bytes; is it text?")
    assert encoding is not None
    return _decoded(data, encoding), f"read as {encoding}"


def is_encoding(name: str) -> bool:
    """Whether text can be read in an encoding of this name."""
    if name == DETECT:
        return True
    try:
        b"a".decode(name)
    except UnicodeError:
        # It needs more bytes than one.
        return True
    except (LookupError, ValueError):
        return False
    return True


def _decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"expected {encoding}, got byte {data[error.start]:#04x} at offset {error.start}; "
            "name another with --encoding, or --encoding detect"
        ) from None


def _not_utf8(data: bytes, error: UnicodeDecodeError) -> DataError:
    found = _detected(data)
    advice = (
        "add --encoding NAME" if found is None else f"it may be {found}: add --encoding {found}"
    )
    return DataError(
        f"expected UTF-8, got byte {data[error.start]:#04x} at offset {error.start}; {advice}"
    )


def _detected(data: bytes) -> str | None:
    """The likeliest encoding, from the first of the bytes."""
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        return None
    wide = _WIDE if 0 in data else ()
    matches = from_bytes(data[:_SAMPLE_BYTES], cp_isolation=[*_USUAL, *wide])
    best = matches.best()
    if best is None:
        return None
    # Of those that fit as well, the one that is met most often.
    as_good = {
        name
        for match in matches
        if match.chaos <= best.chaos + _SLACK
        for name in match.could_be_from_charset
    }
    usual = next((name for name in _USUAL if name in as_good), best.encoding)
    name = best.encoding if best.coherence and usual not in best.could_be_from_charset else usual
    return str(name).replace("_", "-")
