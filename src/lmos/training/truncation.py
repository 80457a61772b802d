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
from lmos.tree.levels import LevelCompressor
from lmos.tree.reuse import WindowNodes
from lmos.tree.segments import WindowContent


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
    compressor = LevelCompressor(model, manifest)
    levels: list[LevelPatch] = []
    for number, live in enumerate(live_nodes(patch, places), 1):
        level = patch.levels[number - 1]
        if number == 1:
            indices, made = _from_text(compressor, patch, live)
        else:
            indices, made = _from_nodes(compressor, manifest, levels[-1], number, live)
        if indices:
            embeddings_ND = torch.cat([nodes.embeddings_SD for nodes in made])
            keys_NK = torch.cat([nodes.keys_SK for nodes in made])
            level = replace(
                level,
                embeddings=_put(level.embeddings, indices, embeddings_ND),
                keys=_put(level.keys, indices, keys_NK),
            )
        levels.append(level)
    return replace(patch, levels=tuple(levels))


def _put(all_NW: Tensor, indices: list[int], new_MW: Tensor) -> Tensor:
    places_M = torch.tensor(indices, device=all_NW.device)
    return all_NW.index_copy(0, places_M, new_MW.to(all_NW.dtype))


def _from_text(
    compressor: LevelCompressor, patch: SourcePatch, live: set[int]
) -> tuple[list[int], list[WindowNodes]]:
    """The nodes of the windows of text that hold a live one."""
    contents: list[WindowContent] = []
    indices: list[int] = []
    token = first = 0
    for window in patch.windows:
        numbers = range(first, first + window.num_nodes)
        if live & set(numbers):
            children = [patch.levels[0].children[number] for number in numbers]
            spans = tuple(Span(span.start - token, span.stop - token) for span in children)
            contents.append((window.token_ids, spans))
            indices += numbers
        token += len(window.token_ids)
        first += window.num_nodes
    return indices, compressor.text(contents) if contents else []


def _from_nodes(
    compressor: LevelCompressor, manifest: Manifest, below: LevelPatch, level: int, live: set[int]
) -> tuple[list[int], list[WindowNodes]]:
    """The nodes of the windows of nodes that hold a live one."""
    window, ratio = manifest.windows[level - 1], manifest.ratios[level - 1]
    size = window // ratio
    numbers = sorted({index // size for index in live})
    windows = [slice(number * window, (number + 1) * window) for number in numbers]
    items = [WindowNodes(below.embeddings[each], below.keys[each]) for each in windows]
    indices = [number * size + place for number in numbers for place in range(size)]
    return indices, compressor.nodes(items, level) if items else []
