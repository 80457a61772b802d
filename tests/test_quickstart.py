"""Commands start without torch's compiler, and find the real one when they need it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

WITHOUT = """
import sys
import lmos.cli.opening
from lmos.cli.quickstart import without_compiler

import torch
with without_compiler(), torch.device("meta"):
    torch.nn.Embedding(2, 2)
heavy = ("torch._dynamo", "torch.distributed.tensor")
assert not [name for name in heavy if name in sys.modules]
assert torch.distributed.is_available()

import gc
from lmos.cli.quickstart import without_collection
assert gc.isenabled()
assert gc.get_freeze_count() > 100_000
with without_collection():
    assert not gc.isenabled()
assert gc.isenabled()

from transformers.masking_utils import TransformGetItemToIndex
with TransformGetItemToIndex():
    assert sys.modules["torch._dynamo"].__file__
"""
WITH = """
import torch
from lmos.cli.quickstart import without_compiler

def double(x):
    return 2 * x

with without_compiler():
    assert torch.compiler.disable(double) is double
    import torch._dynamo.exc
    assert issubclass(torch._dynamo.exc.Unsupported, Exception)
    assert torch.compiler.disable(double) is not double
assert torch._dynamo.__file__
"""


@pytest.mark.parametrize("script", [WITHOUT, WITH])
def test_the_compiler_is_imported_when_it_is_used_and_not_before(script: str) -> None:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "3000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_threads_spin_for_a_short_time_unless_the_user_says_otherwise(
    given: dict[str, str], spins: str
) -> None:
    script = "import lmos, os; print(os.environ.get('GOMP_SPINCOUNT'))"
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    others = {name: value for name, value in os.environ.items() if name not in names}
    shown = subprocess.run(
        [sys.executable, "-c", script], env=others | given, capture_output=True, check=True
    )
    assert shown.stdout.decode().strip() == spins
