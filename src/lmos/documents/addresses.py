"""Addresses of the web -> the bytes that are there, what they are, and when they were changed.

Only http and https, no more bytes than wanted, and no longer than a while. Knows networks; knows
no format.
"""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import PurePosixPath
from urllib.parse import quote, unquote, urlsplit

from lmos.errors import DataError
from lmos.text.files import shown_size

_ADDRESS = re.compile(r"https?://[^/\s]", re.IGNORECASE)
_SECONDS = 30
_HEADERS = {
    "User-Agent": "Mozilla/5.0 (compatible; lmos)",
    "Accept": "text/html,application/xhtml+xml,application/pdf,text/*;q=0.9,*/*;q=0.5",
}


@dataclass(frozen=True)
class Page:
    """What was found at an address.

    Attributes:
        data: All of it.
        media_type: As in `text/html`; empty where nobody said.
        name: What a file of it would be called.
        time: When it was changed last, if that was said.
    """

    data: bytes
    media_type: str
    name: str
    time: float | None


def is_address(text: str) -> bool:
    """Whether a text is the address of a page."""
    return _ADDRESS.match(text) is not None


def fetch(address: str, max_bytes: int) -> Page:
    """What is at an address.

    Raises:
        DataError: It cannot be had, or is too large.
    """
    request = urllib.request.Request(_spelled(address), headers=_HEADERS)
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:
            data = response.read(max_bytes + 1)
            headers = response.headers
            found = urlsplit(response.url)
    except urllib.error.HTTPError as error:
        raise DataError(f"{address}: the server says {error.code} {error.reason}") from error
    except (urllib.error.URLError, HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(
            f"{address}: cannot be reached ({reason}); is there a network? A page that was saved "
            "can be added as a file"
        ) from error
    if found.scheme not in ("http", "https"):
        raise DataError(f"{address}: leads to {found.scheme}, expected http or https")
    if len(data) > max_bytes:
        raise DataError(
            f"{address}: expected at most {shown_size(max_bytes)}, got more; raise --max-mb"
        )
    name = PurePosixPath(unquote(found.path)).name or "index.html"
    return Page(data, headers.get_content_type(), name, _time(headers.get("Last-Modified")))


def _spelled(address: str) -> str:
    """An address as it is sent: without a fragment, and in ASCII."""
    bare = address.partition("#")[0]
    return quote(bare, safe="%/:=&?~#+!$,;'@()*[]")


def _time(date: str | None) -> float | None:
    try:
        return None if date is None else parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError):
        return None
