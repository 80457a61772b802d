"""Truncated back-propagation: of a long context, only the paths to some places keep gradients.

Takes a tree that was built without gradients and compresses a few of its windows again. Knows trees
and the compressor; does not know questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lmos.model.base import BaseModel
from lmos.nodes import Span
from lmos.store import LevelPatch, Manifest, SourcePatch
from lmos.tree.compressor import Compressor
from lmos.tree.keys import node_keys
from lmos.tree.levels import pad_windows, rounded


def live_nodes(patch: SourcePatch, places: Sequence[Span]) -> list[set[int]]:
    """By level, the nodes that stand for text at some places, and the children of such nodes.

    Args:
        patch: The whole tree of a source.
        places: Bytes of its text.
    """
    paths = [
        {
            index
            for index, span in enumerate(level.byte_spans)
            if any(span.start < place.stop and span.stop > place.start for place in places)
        }
        for level in patch.levels
    ]
    live = [set(path) for path in paths]
    for below, path, level in zip(live, paths[1:], patch.levels[1:], strict=False):
        below.update(child for index in path for child in range(*level.children[index]))
    return live


def with_gradients(
    model: BaseModel, manifest: Manifest, patch: SourcePatch, places: Sequence[Span]
) -> SourcePatch:
    """Give the nodes on the paths to some places, and their children, their gradients back.

    The windows that hold such a node are compressed again, with gradients. What they take from
    other windows is a constant, and so are all other nodes and their keys; the values stay as they
    were.

    Args:
        model: The one that built the tree.
        manifest: The one that it was built by.
        patch: The whole tree of a source, without gradients.
        places: Bytes of its text.
    """
    compressor = Compressor(model, manifest.mask_mode, manifest.output_mode)
    dtype = getattr(torch, manifest.dtype)
    levels: list[LevelPatch] = []
    for number, live in enumerate(live_nodes(patch, places), 1):
        level = patch.levels[number - 1]
        if number == 1:
            indices, nodes_ND = _from_text(model, compressor, patch, live)
        else:
            items_ND = levels[-1].embeddings
            indices, nodes_ND = _from_nodes(compressor, manifest, items_ND, number, live)
        if indices:
            nodes_ND = rounded(nodes_ND, dtype)
            keys_NK = rounded(node_keys(model, nodes_ND, number, manifest.scoring_layer), dtype)
            level = replace(
                level,
                embeddings=_put(level.embeddings, indices, nodes_ND),
                keys=_put(level.keys, indices, keys_NK),
            )
        levels.append(level)
    return replace(patch, levels=tuple(levels))


def _put(all_NW: Tensor, indices: list[int], new_MW: Tensor) -> Tensor:
    places_M = torch.tensor(indices, device=all_NW.device)
    return all_NW.index_copy(0, places_M, new_MW.to(all_NW.dtype))


def _from_text(
    model: BaseModel, compressor: Compressor, patch: SourcePatch, live: set[int]
) -> tuple[list[int], Tensor]:
    """The nodes of the windows of text that hold a live one."""
    contents = []
    indices: list[int] = []
    sizes = []
    token = first = 0
    for window in patch.windows:
        numbers = range(first, first + window.num_nodes)
        if live & set(numbers):
            children = [patch.levels[0].children[number] for number in numbers]
            spans = tuple(Span(span.start - token, span.stop - token) for span in children)
            contents.append((window.token_ids, spans))
            indices += numbers
            sizes.append(len(numbers))
        token += len(window.token_ids)
        first += window.num_nodes
    if not indices:
        return [], torch.empty(0)
    ids_BT, spans_BT = (part.to(model.device) for part in pad_windows(contents))
    nodes_BSD = compressor.compress(model.embed(ids_BT), spans_BT, max(sizes), level=1)
    parts = [nodes_SD[:size] for nodes_SD, size in zip(nodes_BSD, sizes, strict=True)]
    return indices, torch.cat(parts)


def _from_nodes(
    compressor: Compressor, manifest: Manifest, items_ND: Tensor, level: int, live: set[int]
) -> tuple[list[int], Tensor]:
    """The nodes of the windows of nodes that hold a live one."""
    window, ratio = manifest.windows[level - 1], manifest.ratios[level - 1]
    size = window // ratio
    numbers = sorted({index // size for index in live})
    if not numbers:
        return [], torch.empty(0)
    x_BTD = torch.stack([items_ND[number * window : (number + 1) * window] for number in numbers])
    order_T = torch.arange(window, device=items_ND.device)
    spans_BT = order_T.div(ratio, rounding_mode="floor").expand(len(numbers), -1)
    nodes_BSD = compressor.compress(x_BTD, spans_BT, size, level)
    indices = [number * size + place for number in numbers for place in range(size)]
    return indices, nodes_BSD.flatten(0, 1)
