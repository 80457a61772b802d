"""A quicker start: imports transformers and loads models without what no command needs then.

Both mark functions for torch's compiler, and transformers asks whether a model can be shared among
machines. Each brings in modules of torch that take as long to import as a question takes to answer,
and no command that opens a store needs them. Meanwhile the garbage collector would look again and
again through half a million objects that all stay. Importing this file imports transformers, so it
has to come before anything of `lmos.model`. Knows no models.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_LIBRARY = "transformers"
_PARTS = ("modeling_utils", "modeling_layers", "masking_utils", "generation.utils")
"""What every model imports."""
_COMPILER = "torch._dynamo"
_INDEXING = f"{_COMPILER}._trace_wrapped_higher_order_op"


class _StandIn(ModuleType):
    """A module with a few names of its own; whoever asks for more gets the real one."""

    def __init__(self, name: str, own: Mapping[str, Any]) -> None:
        super().__init__(name)
        vars(self).update(own)

    def __getattr__(self, name: str) -> Any:
        # Whoever imports from a package asks for its path first.
        is_package = self.__name__ != _INDEXING
        if name.startswith("__") and not (is_package and name == "__path__"):
            raise AttributeError(name)
        _put_back()
        return getattr(importlib.import_module(self.__name__), name)


def _put_back() -> None:
    for name in (_COMPILER, _INDEXING):
        if isinstance(sys.modules.get(name), _StandIn):
            del sys.modules[name]


def _unmarked(function: Any = None, *_: Any, **__: Any) -> Any:
    """A decorator, or what makes one, that changes nothing."""
    return _unmarked if function is None else function


class _TransformGetItemToIndex:
    """The one class that transformers takes from the compiler, imported when it is used."""

    def __new__(cls) -> Any:
        _put_back()
        return importlib.import_module(_INDEXING).TransformGetItemToIndex()


@contextmanager
def without_compiler() -> Iterator[None]:
    """Inside the `with` the compiler is imported only for more than marks.

    Later uses find the real one. Does nothing where it is there already, or where this is one of
    several processes that train together.
    """
    if _COMPILER not in sys.modules and "WORLD_SIZE" not in os.environ:
        marks = ("disable", "allow_in_graph", "assume_constant_result")
        own: dict[str, dict[str, Any]] = {
            _COMPILER: dict.fromkeys(marks, _unmarked),
            _INDEXING: {"TransformGetItemToIndex": _TransformGetItemToIndex},
        }
        sys.modules.update((name, _StandIn(name, own[name])) for name in own)
    try:
        yield
    finally:
        _put_back()


@contextmanager
def without_collection() -> Iterator[None]:
    """Inside the `with` no garbage is collected."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@without_collection()
def import_transformers() -> None:
    """Import transformers as if torch had neither a compiler nor clusters, if it is not there."""
    if _LIBRARY in sys.modules or "WORLD_SIZE" in os.environ:
        return
    import torch

    is_available = torch.distributed.is_available
    torch.distributed.is_available = lambda: False
    try:
        with without_compiler():
            # It remembers the answer of the first call.
            importlib.import_module(f"{_LIBRARY}.utils").is_torch_distributed_available()
            for name in _PARTS:
                importlib.import_module(f"{_LIBRARY}.{name}")
    finally:
        torch.distributed.is_available = is_available
    gc.freeze()  # Modules stay; no later collection looks at them.


import_transformers()
