"""The model that ships with lmos, and how a model's name becomes a folder.

Knows paths only.
"""

from __future__ import annotations

from pathlib import Path

DEFAULT_MODEL = "lmos-small"
MODELS_FOLDER = Path(__file__).parent / "models"


def resolve_model(name: str) -> str:
    """The folder of a shipped model; any other name is a path or an id of the Hugging Face Hub."""
    shipped = MODELS_FOLDER / name
    return str(shipped) if "/" not in name and (shipped / "config.json").is_file() else name
