"""EPUB -> the text of its chapters, in the order in which they are read."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from urllib.parse import unquote
from xml.etree import ElementTree

from lmos.documents.archives import open_archive
from lmos.documents.base import AbstractReader, Composer, Document, Original
from lmos.documents.webpages import decode_page, first_heading, write_page
from lmos.errors import DataError

_CONTAINER = "META-INF/container.xml"
_LOCKED = "META-INF/encryption.xml"
_PAGES = ("application/xhtml+xml", "text/html", "application/xml")


class BookReader(AbstractReader):
    """Books without a lock."""

    kind = "an EPUB book"
    suffixes = (".epub",)

    def read(self, original: Original) -> list[Document]:
        """One document; the parts of the book are places, by number and heading."""
        composer, number = Composer(original.reading.max_bytes), 0
        with open_archive(original, self.kind) as archive:
            for name in _iter_parts(archive):
                page = decode_page(Original(name, archive.read(name), original.reading))
                part = Composer(original.reading.max_bytes)
                write_page(page, part)
                if part.is_blank:
                    continue
                number += 1
                heading = first_heading(page)
                label = f"part {number}, {heading}" if heading else f"part {number}"
                write_page(page, composer, label)
                composer.add("\n")
            if composer.is_blank and _LOCKED in archive.namelist():
                raise DataError("its text is encrypted (DRM); only its shop's reader opens it")
        return [composer.document()]


def _iter_parts(archive: zipfile.ZipFile) -> Iterator[str]:
    """Names of the pages that are read one after the other."""
    try:
        container = ElementTree.fromstring(archive.read(_CONTAINER))
        package_name = _all(container, "rootfile")[0].attrib["full-path"]
        package = ElementTree.fromstring(archive.read(package_name))
    except (KeyError, IndexError, ElementTree.ParseError) as error:
        raise DataError(
            f"expected an EPUB book, but it does not say what it holds: {error}"
        ) from None
    items = {item.get("id"): item for item in _all(package, "item")}
    there = set(archive.namelist())
    for reference in _all(package, "itemref"):
        item = items.get(reference.get("idref"))
        if item is None or item.get("media-type") not in _PAGES:
            continue
        path = posixpath.join(posixpath.dirname(package_name), unquote(item.get("href", "")))
        if (name := posixpath.normpath(path)) in there:
            yield name


def _all(element: ElementTree.Element, tag: str) -> list[ElementTree.Element]:
    """Elements of a name, whatever its namespace."""
    return [each for each in element.iter() if each.tag.rpartition("}")[2] == tag]
