"""The page of a server: its files with their types, and what a browser may do with them.

They hold no data of a store, so they need no key: what the page shows it asks the other routes
for. Knows files and headers. Knows no store.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import PurePath

from fastapi import APIRouter, Response

from lmos.server.problems import Problem

# Told here, because what a machine thinks of `.js` depends on the machine.
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # After an update of lmos, no file of the one before.
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False)


@router.get("/")
async def page() -> Response:
    """The page itself; needs no key."""
    return _file("index.html")


@router.get("/page/{name}")
async def page_file(name: str) -> Response:
    """A file that the page names."""
    return _file(name)


def _file(name: str) -> Response:
    # Only names that are there are opened, so no name leads out of the folder.
    found = {each.name: each for each in files("lmos.server").joinpath("page").iterdir()}
    kind = _TYPES.get(PurePath(name).suffix)
    if name not in found or kind is None:
        raise Problem(404, f"the page has no file {name!r}", code="not_found")
    return Response(found[name].read_bytes(), headers={**HEADERS, "Content-Type": kind})
