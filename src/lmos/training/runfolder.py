"""The folder of a run: who may write to it, and what the run that it holds was told.

Knows `run.json` and plain values. Does not know what is trained.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmos.errors import ConfigError

RUN_FILE = "run.json"
# What may differ when a run goes on: names of the same weights and of the same data.
_FREE = {"base", "data.folder"}


def require_folder(folder: Path, *, resume: bool) -> None:
    """Check that a run may begin in a folder, or go on in it. Nothing is written.

    Raises:
        ConfigError: A new run would meet other files, or there is no run to go on with.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"out: expected a folder, {folder} is a file")
    if resume and not (folder / RUN_FILE).is_file():
        raise ConfigError(f"there is no run in {folder} to resume; leave --resume out to begin one")
    if resume or not folder.exists() or not any(folder.iterdir()):
        return
    if (folder / RUN_FILE).exists():
        raise ConfigError(
            f"{folder} holds a run already; go on with it by --resume, or choose another folder"
        )
    raise ConfigError(f"out: expected a new or an empty folder, {folder} holds other files")


def record_run(folder: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
    """Write what a run was told as `run.json`, or check that it goes on with the same.

    Args:
        folder: See `require_folder`, which is called again.
        settings: Plain values.
        resume: Whether the run is there.

    Raises:
        ConfigError: See `require_folder`; or a setting differs, and which.
    """
    require_folder(folder, resume=resume)
    text = json.dumps(settings, indent=2, ensure_ascii=False) + "\n"
    path = folder / RUN_FILE
    if not resume:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return
    try:
        before = _flat(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read ({error}); begin in another folder") from error
    now = _flat(json.loads(text))
    differences = [
        f"  {name}: the run has {before.get(name)!r}, you gave {now.get(name)!r}"
        for name in sorted(before.keys() | now.keys())
        if name not in _FREE and before.get(name) != now.get(name)
    ]
    if differences:
        raise ConfigError(
            f"the run in {folder} was begun with other settings:\n"
            + "\n".join(differences)
            + "\nGive the same ones, or begin in another folder."
        )


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Nested values under dotted names."""
    items = (
        values.items()
        if isinstance(values, dict)
        else enumerate(values, 1)
        if isinstance(values, list)
        else None
    )
    if items is None:
        return {prefix: values}
    flat: dict[str, Any] = {}
    for name, value in items:
        flat |= _flat(value, f"{prefix}.{name}" if prefix else str(name))
    return flat
