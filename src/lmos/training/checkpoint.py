"""Checkpoints: where a training stands, in one file that is whole or not there.

Knows files. Does not know what the values in them mean.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from lmos.errors import DataError

CHECKPOINT_FILE = "checkpoint.pt"
_KEYS = {"step", "weights", "optimizers", "state", "metrics", "seconds"}


def save_checkpoint(folder: Path, checkpoint: Mapping[str, Any]) -> None:
    """Write `checkpoint.pt`; until the new one is on the disk, the old one stays."""
    assert checkpoint.keys() == _KEYS
    part = folder / f"{CHECKPOINT_FILE}.part"
    with part.open("wb") as file:
        torch.save(dict(checkpoint), file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / CHECKPOINT_FILE)


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Read what `save_checkpoint` wrote, or `None` if there is none.

    Raises:
        DataError: The file is damaged, or not one of these.
    """
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return None
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what its readers raise: many kinds
        reason = str(error).strip().split("\n")[0]
        raise DataError(
            f"{path} is damaged and was not used ({reason}); put back a copy of it, or delete it "
            "to start from the first step"
        ) from error
    if not isinstance(checkpoint, dict) or checkpoint.keys() != _KEYS:
        raise DataError(f"{path} is not a checkpoint of this version; start in another folder")
    return checkpoint


def write_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Replace a folder by what `write` puts into a new one; an interrupted one is never seen."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    write(part)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
