"""Models in memory: one for all the stores that are bound to it.

Knows manifests and how a model is loaded. Knows no stores.
"""

from __future__ import annotations

import warnings
from threading import Lock

from lmos.errors import StoreMismatch
from lmos.model.base import BaseModel
from lmos.model.turns import Turns
from lmos.server.settings import LoadModel
from lmos.session import UntrainedWarning


class ModelShelf:
    """Loads each model once. Threads that compute with them queue for the same cores.

    Args:
        load: From a name and the folder of an adapter to a model.
        default: Name of the model of new stores.
        max_models: Most that are kept.
    """

    def __init__(self, load: LoadModel, default: str, max_models: int) -> None:
        self.default_name = default
        self._load = load
        self._max_models = max_models
        self._models: dict[tuple[str, str | None], BaseModel] = {}
        self._turns = Turns()
        self._lock = Lock()

    def default(self) -> BaseModel:
        """The model of new stores.

        Raises:
            ModelError: It cannot be loaded.
        """
        return self.of(self.default_name, None)

    def of(self, name: str, adapter: str | None) -> BaseModel:
        """The model that a store names.

        Raises:
            ModelError: It cannot be loaded.
            StoreMismatch: There is no room for another.
        """
        with self._lock:
            known = self._models.get((name, adapter))
            if known is not None:
                return known
            if len(set(map(id, self._models.values()))) >= self._max_models:
                raise StoreMismatch(
                    f"this server keeps {self._max_models} models in memory, and the store needs "
                    "another one; serve it elsewhere, or encode it for a model that is served"
                )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UntrainedWarning)
                model = self._load(name, adapter)
            model.share(self._turns)
            # What a store that it writes will call it, too.
            for names in ((name, adapter), (model.name, model.adapter_folder)):
                self._models[names] = model
            return model
