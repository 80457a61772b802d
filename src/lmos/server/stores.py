"""REST for stores and what they hold: make, add, list, forget, verify, export.

Each route says what it does in lmos' own verbs. Knows bodies and sessions.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, File, Form, Path, Query, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import FiniteFloat

from lmos.documents.base import Document, Reading
from lmos.documents.formats import name_of
from lmos.nodes import Source, Span
from lmos.server.access import Access, Allowed
from lmos.server.names import NAME_PATTERN
from lmos.server.problems import Problem, ProblemReply
from lmos.server.shapes import (
    MAX_NAME_CHARS,
    AddedFile,
    Deleted,
    NewStore,
    NewText,
    SourceList,
    SourceShape,
    SourceText,
    StoreList,
    StoreStatus,
    TreeReply,
    VerifyReply,
)
from lmos.server.trees import text_of, tree_of
from lmos.session import Session
from lmos.store.archive import write_archive
from lmos.text.files import require_content

ZIP = "application/zip"
MAX_TEXT_BYTES = 1_000_000
_COPY_BYTES = 1 << 16
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ProblemReply, "description": "The request cannot be served."},
    "5XX": {"model": ProblemReply, "description": "The server cannot serve it now."},
}

StoreName = Annotated[str, Path(pattern=NAME_PATTERN, description="Of the store.")]
NamedSource = Annotated[
    str, Query(min_length=1, max_length=MAX_NAME_CHARS, description="Name of the source.")
]
Deep = Annotated[int, Query(ge=0, le=1_000, description="Windows to compress again and compare.")]

router = APIRouter(prefix="/stores", tags=["stores"], responses=PROBLEMS)


@router.get("", operation_id="list_stores")
async def list_stores(access: Allowed) -> StoreList:
    """The stores that this key may read."""
    return StoreList(stores=access.names())


@router.post("", status_code=201, operation_id="create_store")
async def create_store(body: NewStore, access: Allowed) -> StoreStatus:
    """Make an empty store for the model of this server."""
    name = access.to_write(body.name)
    await access.serving.change_files(name, lambda pool: pool.create(name, body.max_bytes))
    return await _status(access, name)


@router.get("/{store}", operation_id="store_status")
async def store_status(store: StoreName, access: Allowed) -> StoreStatus:
    """What a store holds, in numbers."""
    return await _status(access, access.to_read(store))


@router.delete("/{store}", operation_id="delete_store")
async def delete_store(store: StoreName, access: Allowed) -> Deleted:
    """Remove a store with all that it holds, for good."""
    name = access.to_write(store)
    await access.serving.change_files(name, lambda pool: pool.delete(name))
    return Deleted(deleted=name)


@router.get("/{store}/sources", operation_id="list_sources")
async def list_sources(
    store: StoreName,
    access: Allowed,
    after: Annotated[int, Query(ge=0, description="Ids above this one.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> SourceList:
    """Sources, oldest first."""
    found = await access.serving.read(access.to_read(store), lambda session: session.sources())
    rest = [source for source in found if source.source_id > after]
    told = rest[:limit]
    return SourceList(
        sources=[SourceShape.model_validate(source) for source in told],
        total=len(found),
        next_after=told[-1].source_id if len(rest) > limit else None,
    )


@router.post("/{store}/sources", operation_id="add_text")
async def add_text(store: StoreName, body: NewText, access: Allowed) -> SourceShape:
    """Add a source, or give an existing one a new text; durable when this returns."""

    def add(session: Session) -> Source:
        return session.add(body.name, body.text, time=body.time, metadata=body.metadata)

    return await _changed(access, store, add, len(body.text))


@router.post("/{store}/sources/append", operation_id="append_text")
async def append_text(store: StoreName, body: NewText, access: Allowed) -> SourceShape:
    """Put text behind what a source holds, or make the source; durable when this returns."""

    def append(session: Session) -> Source:
        return session.append(body.name, body.text, time=body.time, metadata=body.metadata)

    return await _changed(access, store, append, len(body.text))


@router.post("/{store}/files", operation_id="add_file")
async def add_file(
    store: StoreName,
    access: Allowed,
    file: Annotated[
        UploadFile, File(description="Text, PDF, DOCX, HTML and more, known by the suffix.")
    ],
    name: Annotated[str | None, Form(min_length=1, max_length=MAX_NAME_CHARS)] = None,
    time: Annotated[FiniteFloat | None, Form()] = None,
) -> AddedFile:
    """Add a file as a source of its name, or each document of it, such as the mails of a mailbox.

    Nothing is added of a file that cannot be read. Citations of what was not plain text have a
    `place`, such as a page.
    """
    data, file_name = await file.read(), file.filename or "file"
    config = access.serving.config
    reading = Reading(max_bytes=config.max_body_bytes)

    def add(session: Session) -> AddedFile:
        documents, notes = config.read_file(file_name, data, reading)
        told = [each for each in documents if each.text.strip()]
        if not told:
            require_content(file_name, documents[0].text)
        sources = [_add_document(session, name or file_name, each, time) for each in told]
        shapes = [SourceShape.model_validate(source) for source in sources]
        return AddedFile(sources=shapes, notes=notes)

    added = await access.serving.change(access.to_write(store), add)
    access.serving.metrics.count_characters(len(data))
    return added


def _add_document(session: Session, name: str, document: Document, time: float | None) -> Source:
    return session.add(
        name_of(name, document.key),
        document.text,
        time=document.time if time is None else time,
        metadata=document.labels,
        places=document.places,
    )


@router.delete("/{store}/sources", operation_id="forget_source")
async def forget_source(store: StoreName, name: NamedSource, access: Allowed) -> Deleted:
    """Remove a source and everything that was made of it, for good."""
    await access.serving.change(access.to_write(store), lambda session: session.forget(name))
    return Deleted(deleted=name)


@router.get("/{store}/text", operation_id="source_text")
async def source_text(
    store: StoreName,
    source: NamedSource,
    access: Allowed,
    start_byte: Annotated[int, Query(ge=0, lt=2**62)] = 0,
    end_byte: Annotated[int | None, Query(ge=0, lt=2**62)] = None,
) -> SourceText:
    """A stretch of a source's text, of at most a megabyte; where citations lead."""
    most = start_byte + MAX_TEXT_BYTES
    span = Span(start_byte, max(start_byte, min(most if end_byte is None else end_byte, most)))
    return await access.serving.read(
        access.to_read(store), lambda session: text_of(session.store, source, span)
    )


@router.get("/{store}/tree", operation_id="source_tree")
async def source_tree(
    store: StoreName,
    source: NamedSource,
    access: Allowed,
    level: Annotated[int | None, Query(ge=1, le=16, description="By default all.")] = None,
    start: Annotated[int, Query(ge=0, lt=2**62, description="First index of a level.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1_000, description="Most nodes of a level.")] = 200,
) -> TreeReply:
    """The tree of a source, level by level from the top, with the bytes of every node."""
    levels = None if level is None else [level]
    return await access.serving.read(
        access.to_read(store),
        lambda session: tree_of(session.store, source, levels, start, limit),
    )


@router.post("/{store}/verify", operation_id="verify_store")
async def verify_store(store: StoreName, access: Allowed, deep: Deep = 0) -> VerifyReply:
    """Check every byte, and with `deep` some of the embeddings too."""
    name = access.to_read(store)
    faults = await access.serving.care(name, lambda session: session.verify(deep))
    folder = f"{access.serving.config.folder}/"
    return VerifyReply(ok=not faults, faults=[fault.replace(folder, "") for fault in faults])


@router.get(
    "/{store}/export",
    operation_id="export_store",
    response_class=StreamingResponse,
    responses={200: {"content": {ZIP: {"schema": {"type": "string", "format": "binary"}}}}},
)
async def export_store(store: StoreName, access: Allowed) -> StreamingResponse:
    """The whole store as `lmos export` writes it, as one commit left it; `lmos import` reads it."""
    name = access.to_read(store)
    file = await access.serving.care(name, _archived)
    headers = {"Content-Disposition": f'attachment; filename="{name}.zip"'}
    return StreamingResponse(_pieces_of(file), 200, headers, ZIP)


def _archived(session: Session) -> BinaryIO:
    """The archive of a store, in a file that is gone when it is closed.

    Raises:
        Problem: The store is encrypted; no archive is.
    """
    if session.store.key is not None:
        raise Problem(
            403,
            "this store is encrypted, and an archive is not; whoever has the key writes one with "
            "lmos export --plain",
            code="store_encrypted",
        )
    with tempfile.TemporaryDirectory() as folder:
        path = FilePath(folder, "export.zip")
        write_archive(session.store, path)
        return path.open("rb")


def _pieces_of(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(_COPY_BYTES):
            yield piece


async def _changed(access: Access, store: str, change: Any, num_chars: int) -> SourceShape:
    source = await access.serving.change(access.to_write(store), change)
    access.serving.metrics.count_characters(num_chars)
    return SourceShape.model_validate(source)


async def _status(access: Access, name: str) -> StoreStatus:
    def measure(session: Session) -> StoreStatus:
        store = session.store
        with store.snapshot():
            sources, manifest = store.sources(), store.manifest
            path = access.serving.pool.folder / f"{name}.lmos"
            files = (path, path.with_name(path.name + "-wal"))
            return StoreStatus(
                store=name,
                version=store.version,
                model=FilePath(manifest.base_model).name,
                ratios=list(manifest.ratios),
                sources=len(sources),
                tokens=sum(source.num_tokens for source in sources),
                text_bytes=sum(source.num_bytes for source in sources),
                nodes=[
                    sum(source.level_counts[level] for source in sources)
                    for level in range(manifest.num_levels)
                ],
                roots=len(store.root_ids()),
                file_bytes=sum(file.stat().st_size for file in files if file.exists()),
                max_bytes=manifest.max_bytes,
            )

    return await access.serving.read(name, measure)
