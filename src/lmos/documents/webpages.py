"""HTML -> what a reader of the page sees of its main part: headings, paragraphs, lists, tables.

Navigation, forms and scripts are left out. Knows elements; knows neither networks nor books.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lmos.documents.base import AbstractReader, Composer, Document, Original, needing, one_line
from lmos.documents.rows import iter_lines
from lmos.text.encodings import decode, is_encoding

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_DECLARED = re.compile(rb"""<(?:meta|\?xml)[^>]*?(?:charset|encoding)\s*=\s*["']?([\w-]+)""", re.I)
_HEAD_BYTES = 4096
_XML = re.compile(r"<\?xml|<html[^>]*\sxmlns=", re.IGNORECASE)
_CLOSED = re.compile(
    r"<(title|script|style|textarea|iframe|a|p|div|span|td|th|li|i|b|em|strong)\b([^<>]*)/>"
)
_LEFT_OUT = (
    "script style noscript template nav footer aside form button select svg head iframe object "
    "canvas audio video dialog".split()
)
_HEADINGS = frozenset(f"h{rank}" for rank in range(1, 7))
_PARAGRAPHS = frozenset(
    "p blockquote ul ol dl figure section article header main hgroup details fieldset hr".split()
)
_LINES = frozenset("div li dt dd figcaption summary address tr caption center body".split())
_IN_ITEMS = ("p", "ul", "ol")
"""In an item of a list these begin a line, and no paragraph."""
_BLOCKS = _PARAGRAPHS | _LINES | _HEADINGS | {"table", "pre"}


class WebPageReader(AbstractReader):
    """Pages as browsers read them, however broken."""

    kind = "a web page (HTML)"
    suffixes = (".html", ".htm", ".xhtml")

    def read(self, original: Original) -> list[Document]:
        """One document; what stands under an anchor has it as its place: `#installation`."""
        composer = Composer(original.reading.max_bytes)
        write_page(decode_page(original), composer)
        return [composer.document()]


def decode_page(original: Original) -> str:
    """The text of a page, in the encoding that it declares unless that is wrong."""
    match = _DECLARED.search(original.data[:_HEAD_BYTES])
    name = match[1].decode() if match is not None else ""
    if name and is_encoding(name) and original.reading.encoding is None:
        return decode(original.data, name)[0].removeprefix("\ufeff")
    return original.decode()


def write_page(text: str, composer: Composer, label: str | None = None) -> None:
    """Put what a page says behind a text.

    Args:
        text: Of the page, as HTML.
        composer: Grows.
        label: Of the place that all of it comes from; `None` for the anchors in it.
    """
    with needing("HTML"):
        from selectolax.lexbor import LexborHTMLParser

    page = LexborHTMLParser(_as_html(text))
    title = page.css_first("title")
    named = "" if title is None else one_line(title.text())
    page.strip_tags(_LEFT_OUT, recursive=True)
    root = _main_part(page.css("main, [role=main]") or page.css("article")) or page.body
    writer = _PageWriter(composer, label)
    if named and (root is None or root.css_first("h1") is None):
        writer.heading(1, named)
    if root is not None:
        writer.write(root)
    writer.end()


def first_heading(text: str) -> str:
    """The first heading of a page, or its title; empty if it has neither."""
    with needing("HTML"):
        from selectolax.lexbor import LexborHTMLParser

    page = LexborHTMLParser(_as_html(text))
    found = page.css_first("h1, h2, h3") or page.css_first("title")
    return "" if found is None else one_line(found.text())


def _as_html(text: str) -> str:
    """A page whose elements may end as those of XML do, which HTML does not know: `<title/>`."""
    return _CLOSED.sub(r"<\1\2></\1>", text) if _XML.search(text[:_HEAD_BYTES]) else text


def _main_part(nodes: list[LexborNode]) -> LexborNode | None:
    """The one that the page is about, if there is just one."""
    return nodes[0] if len(nodes) == 1 else None


class _PageWriter:
    """Walks through elements, and writes line by line."""

    def __init__(self, composer: Composer, label: str | None) -> None:
        self._composer = composer
        self._label = label
        self._anchor: str | None = None
        self._line: list[str] = []
        self._prefix = ""
        self._is_begun = self._is_parted = False
        """Whether there is a line already, and whether a blank one comes before the next."""

    def heading(self, rank: int, text: str) -> None:
        self._part()
        if text:
            self._put(f"{'#' * rank} {text}")
            self._part()

    def write(self, node: LexborNode) -> None:
        """An element and all in it."""
        tag = node.tag or ""
        if tag == "-text":
            self._line.append(node.text_content or "")
        elif tag == "-comment" or "hidden" in node.attributes:
            return
        elif tag == "br":
            self._break()
        elif tag in _HEADINGS:
            self._see_anchor(node)
            self.heading(int(tag[1]), one_line(node.text()).rstrip("¶§ "))
        elif tag == "pre":
            self._part()
            code = node.text().strip("\n")
            self._put(f"```\n{code}\n```" if code.strip() else "")
            self._part()
        elif tag == "table" and _is_plain_table(node):
            self._part()
            self._table(node)
            self._part()
        else:
            self._walk(node, tag)

    def end(self) -> None:
        """Nothing follows."""
        self._break()

    def _walk(self, node: LexborNode, tag: str) -> None:
        if tag in ("section", "article", "div"):
            self._see_anchor(node)
        if node.parent is not None and node.parent.tag == "li" and tag in _IN_ITEMS:
            tag = "div"
        self._open(tag)
        if tag == "li":
            self._prefix = "- "
        child = node.child
        while child is not None:
            self.write(child)
            child = child.next
        self._open(tag)

    def _open(self, tag: str) -> None:
        """A block begins or ends."""
        if tag in _PARAGRAPHS:
            self._part()
        elif tag in _BLOCKS:
            self._break()

    def _see_anchor(self, node: LexborNode) -> None:
        inner = None if node.tag == "div" else node.css_first("a[id], a[name]")
        is_heading = node.tag in _HEADINGS
        name = node.attributes.get("id")
        if not name and is_heading and inner is not None:
            name = inner.attributes.get("id") or inner.attributes.get("name")
        if name and (is_heading or node.css_first("h1, h2, h3, h4, h5, h6") is not None):
            self._anchor = f"#{name}"

    def _table(self, node: LexborNode) -> None:
        caption = node.css_first("caption")
        self._put(one_line(caption.text()) if caption is not None else "")
        rows = [[cell.text() for cell in row.css("th, td")] for row in node.css("tr")]
        for _, line in iter_lines(rows):
            self._put(line)

    def _break(self) -> None:
        """End the line."""
        text = one_line("".join(self._line))
        self._line.clear()
        if text:
            self._put(self._prefix + text)
            self._prefix = ""

    def _part(self) -> None:
        """End the line, and leave one blank before the next."""
        self._break()
        self._is_parted = self._is_begun

    def _put(self, text: str) -> None:
        if text:
            self._composer.add("\n" if self._is_parted else "")
            self._composer.add(f"{text}\n", self._label or self._anchor)
            self._is_begun, self._is_parted = True, False


def _is_plain_table(node: LexborNode) -> bool:
    """Whether it is a table of values, not one by which a page is laid out."""
    inner = node.css("table, ul, ol, h1, h2, h3, pre")
    return all(each.mem_id == node.mem_id for each in inner)
