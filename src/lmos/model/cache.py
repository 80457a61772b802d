"""Models that were made from other files, kept in the user's cache folder: whole, or not there.

Knows folders, locks and sizes. Does not know how a model is made.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmos.errors import ModelError

CACHE_VARIABLE = "LMOS_CACHE"
COMPLETE_FILE = "complete.json"
WEIGHTS_FILE = "model.safetensors"
_CHUNK_BYTES = 1 << 20


def cache_folder() -> Path:
    """`$LMOS_CACHE`, or `lmos` in the folder that the platform has for caches.

    Raises:
        ModelError: The user has no home folder.
    """
    given = os.environ.get(CACHE_VARIABLE)
    try:
        if given:
            return Path(given).expanduser().absolute()
        return _platform_folder().expanduser() / "lmos"
    except RuntimeError as error:
        raise ModelError(
            f"there is no cache folder: {error}; name one in {CACHE_VARIABLE}"
        ) from error


def _platform_folder() -> Path:
    if sys.platform == "darwin":
        return Path("~/Library/Caches")
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or "~/AppData/Local")
    # The specification of XDG has relative paths ignored.
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return named if named.is_absolute() else Path("~/.cache")


def entry_folder(key: str) -> Path:
    """Where the model of this key is, or would be."""
    return cache_folder() / "models" / key


def is_whole(folder: Path) -> bool:
    """Whether a folder holds every file that it was completed with, at its size."""
    sizes = read_about(folder).get("sizes")
    if not isinstance(sizes, dict) or WEIGHTS_FILE not in sizes:
        return False
    try:
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except OSError:
        return False


def read_about(folder: Path) -> dict[str, Any]:
    """What was noted when the model in a folder was completed; nothing for any other folder."""
    try:
        about = json.loads((folder / COMPLETE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def make_entry(key: str, make: Callable[[Path], None], name: str) -> Path:
    """The folder of the model of a key, made now if it is not there or not whole.

    Processes that want the same model wait for the one that makes it. One that is killed leaves a
    draft, which the next one removes.

    Args:
        key: Of the model.
        make: Writes the model into an empty folder.
        name: What the model is called, wherever its folder is.

    Raises:
        ModelError: The cache folder cannot be written; or what `make` raises.
    """
    entry = entry_folder(key)
    if is_whole(entry):
        return entry
    from filelock import FileLock

    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(entry.parent / f"{key}.lock"):
            if not is_whole(entry):
                _make(entry, make, name)
    except OSError as error:
        raise ModelError(
            f"{name} is prepared once, in {entry.parent}, which cannot be written: "
            f"{error.strerror or error}; name another folder in {CACHE_VARIABLE}"
        ) from error
    return entry


def _make(entry: Path, make: Callable[[Path], None], name: str) -> None:
    for left in entry.parent.glob(f"{entry.name}.*.part"):
        shutil.rmtree(left, ignore_errors=True)
    draft = entry.parent / f"{entry.name}.{uuid.uuid4().hex[:8]}.part"
    try:
        draft.mkdir()
        make(draft)
        _complete(draft, name)
        if entry.exists():
            shutil.rmtree(entry)
        draft.rename(entry)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _complete(draft: Path, name: str) -> None:
    """Have the files on the disk, then say that they are all."""
    files = sorted(draft.iterdir())
    for file in files:
        with file.open("rb+") as opened:
            os.fsync(opened.fileno())
    about = {
        "name": name,
        "sizes": {file.name: file.stat().st_size for file in files},
        "weights_sha256": hash_file(draft / WEIGHTS_FILE),
    }
    with (draft / COMPLETE_FILE).open("w", encoding="utf-8") as opened_marker:
        opened_marker.write(json.dumps(about, indent=2) + "\n")
        opened_marker.flush()
        os.fsync(opened_marker.fileno())


def hash_file(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as opened:
        while chunk := opened.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
