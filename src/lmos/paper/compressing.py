"""What the paper compresses by, where lmos by default does something else.

Each is passed to `Session.create`, as `compression`; the store's manifest keeps it. Knows names of
modes, whose arithmetic is in `model.masks` and `tree.compressor`.
"""

from __future__ import annotations

from lmos.settings import Compression

STRICT_MASK = Compression(mask_mode="strict")
"""Items see their own span and no other, as compression tokens do: the mask read literally."""

TOKEN_ALONE = Compression(output_mode="paper")
"""An embedding is the compression token's final state and nothing else."""

MEANS_ALONE = Compression(output_mode="mean")
"""An embedding is the means of its span and nothing of the compression token: a control."""

LITERAL = Compression(mask_mode="strict", output_mode="paper")
"""Both as the paper has them."""
