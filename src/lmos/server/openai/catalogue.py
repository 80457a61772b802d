"""What can be named as a model: the one that reads and writes, and each store that it answers from.

Knows names. Loads nothing.
"""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from lmos.server.access import Access, Allowed
from lmos.server.problems import Problem
from lmos.server.stores import PROBLEMS

router = APIRouter(prefix="/v1", tags=["openai"], responses=PROBLEMS)


class ModelEntry(BaseModel):
    """Something that can be named as a model."""

    id: str
    object: str = "model"
    created: int = 0
    owned_by: str = "lmos"


class ModelList(BaseModel):
    """All of them."""

    object: str = "list"
    data: list[ModelEntry]


@router.get("/models", operation_id="list_models")
async def list_models(access: Allowed) -> ModelList:
    """The model of this server, and the stores that this key may read, to be asked by name."""
    return ModelList(data=_entries(access))


@router.get("/models/{model}", operation_id="get_model")
async def get_model(model: str, access: Allowed) -> ModelEntry:
    """One of them."""
    for entry in _entries(access):
        if entry.id == model:
            return entry
    raise Problem(404, "there is no such model here", code="model_not_found", param="model")


def _entries(access: Access) -> list[ModelEntry]:
    names = [access.serving.models.default_name, *access.names()]
    return [ModelEntry(id=name) for name in dict.fromkeys(names)]
