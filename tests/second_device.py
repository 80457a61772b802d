"""A second device for machines that have none: tensors that refuse to meet those of the CPU.

They are computed on the CPU behind a wrapper that says it is elsewhere. As on a real device, an
operation on tensors of both raises, except for single numbers and for indices.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

NAME = "meta"
_DEVICE = torch.device(NAME)
_MAY_MEET = ("aten::_to_copy", "aten::copy_", "aten::index.", "aten::index_put", "aten::_index_put")


class _Elsewhere(Tensor):
    """A tensor that says it is on the second device; its numbers are in `here`."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor, requires_grad: bool = False) -> _Elsewhere:
        made: _Elsewhere = Tensor._make_wrapper_subclass(
            cls,
            here.shape,
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=_DEVICE,
            requires_grad=requires_grad,
        )
        made.here = here
        return made

    def tolist(self) -> Any:
        return self.here.tolist()

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(func, args, kwargs or {})


class _Construction(TorchFunctionMode):
    """Tensors made of Python numbers, which do not pass by the other mode."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.tensor and "device" in kwargs:
            device = kwargs.pop("device")
            return torch.tensor(*args, **kwargs).to(device)
        if func in (Tensor.__getitem__, Tensor.__setitem__) and isinstance(args[1], list):
            args = (args[0], torch.tensor(args[1]), *args[2:])
        return func(*args, **kwargs)


class _Mode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    leaves = [leaf for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, Tensor)]
    there = [leaf for leaf in leaves if isinstance(leaf, _Elsewhere)]
    others = [leaf for leaf in leaves if not isinstance(leaf, _Elsewhere)]
    assert all(leaf.device != _DEVICE for leaf in others), f"{func}: a tensor without numbers"
    strangers = [leaf for leaf in others if leaf.dim() > 0]
    if there and strangers:
        name = str(func._schema.name) + "." + str(func._schema.overload_name)
        if not name.startswith(_MAY_MEET):
            raise RuntimeError(f"{name}: tensors on two devices: {NAME} and cpu")
    target = kwargs.get("device")
    if target is not None and torch.device(target) == _DEVICE:
        kwargs = {**kwargs, "device": torch.device("cpu")}
        is_there = True
    else:
        is_there = bool(there) and target is None
    plain_args, plain_kwargs = tree_map(
        lambda leaf: leaf.here if isinstance(leaf, _Elsewhere) else leaf, (args, kwargs)
    )
    result = func(*plain_args, **plain_kwargs)
    if "out" in kwargs:
        return kwargs["out"]
    if func._schema.is_mutable and args and isinstance(args[0], Tensor):
        return args[0] if isinstance(result, Tensor) else result
    if not is_there:
        return result
    return tree_map(lambda leaf: _Elsewhere(leaf) if type(leaf) is Tensor else leaf, result)


@contextmanager
def second_device() -> Iterator[str]:
    """Its name, good for `.to` and `device=` inside the block."""
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with _Mode(), _Construction():  # type: ignore[no-untyped-call]
            yield NAME
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)
