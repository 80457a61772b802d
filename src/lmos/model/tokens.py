"""Text to token ids with byte offsets, and back.

Knows one trained tokenizer. Knows neither models nor windows, and adds no special tokens.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
from tokenizers import Encoding, Tokenizer

from lmos.errors import ModelError

# Words, numbers, white space, ligatures and scripts that tokenizers treat differently.
_PROBE = "The 3 quick foxes don't JUMP over 1234567!\n\n\tdéjà vu ﬁ Ⅷ  x_y = [0.5]; 世界 مرحبا 🌍"


@dataclass(frozen=True)
class Tokens:
    """A text as a tokenizer reads it.

    Attributes:
        ids: Token ids.
        byte_ends: Where each token ends, in UTF-8 bytes of the text; never decreasing, and the last
            is the length of the text, so that the tokens cover it without gap or overlap.
    """

    ids: tuple[int, ...]
    byte_ends: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.ids)


class TextTokenizer:
    """A tokenizer that also says which bytes each token stands for.

    Special tokens that are spelled out in a text are read as plain text: what a document says
    cannot end a generation.
    """

    def __init__(self, backend: Tokenizer) -> None:
        """Copy a tokenizer; the copy neither truncates nor pads, and none but this one has it.

        Others change a tokenizer while they use it, transformers with every text that it encodes.
        """
        self._backend = _copy(backend)
        self._backend.encode_special_tokens = True

    @cached_property
    def _control_backend(self) -> Tokenizer:
        return _twin(self._backend)

    @cached_property
    def hash(self) -> str:
        """SHA-256, in hex, of the vocabulary and of how a probe text is cut.

        The file format of tokenizers changes with their library; this does not.
        """
        vocabulary = sorted(self._backend.get_vocab(with_added_tokens=True).items())
        probe_ids = self._backend.encode(_PROBE, add_special_tokens=False).ids
        return hashlib.sha256(json.dumps([vocabulary, probe_ids]).encode()).hexdigest()

    def encode(self, text: str) -> Tokens:
        """Token ids of `text` and where each ends.

        A token that ends inside a character is counted up to the end of that character.

        Raises:
            ModelError: The tokenizer drops the text altogether.
        """
        if not text:
            return Tokens((), ())
        encoding = self._backend.encode(text, add_special_tokens=False)
        if not encoding.ids:
            raise ModelError(
                f"the tokenizer makes no tokens of {text[:40]!r}; expected one that keeps all text"
            )
        ids, stops = encoding.ids, [stop for _, stop in encoding.offsets]
        if not self._special_tokens.keys().isdisjoint(ids):
            ids, stops = self._without_special(text, encoding)
        byte_offsets = _byte_offsets(text)
        ends = accumulate((int(byte_offsets[stop]) for stop in stops), max)
        return Tokens(tuple(ids), (*list(ends)[:-1], int(byte_offsets[-1])))

    @cached_property
    def _special_tokens(self) -> dict[int, str]:
        added = self._backend.get_added_tokens_decoder()
        return {number: token.content for number, token in added.items() if token.special}

    def _without_special(self, text: str, encoding: Encoding) -> tuple[list[int], list[int]]:
        """Ids and where they stop, with special tokens that `text` spells out as characters.

        Some vocabularies have their special tokens among the words. What stands for all that they
        lack is special too, and stays.
        """
        ids, stops = [], []
        for number, (start, stop) in zip(encoding.ids, encoding.offsets, strict=True):
            special = self._special_tokens.get(number)
            if special is None or special.casefold() not in text[start:stop].casefold():
                ids.append(number)
                stops.append(stop)
                continue
            for at in range(start, stop):
                part = self._backend.encode(text[at], add_special_tokens=False).ids
                ids += part
                stops += [at + 1] * len(part)
        return ids, stops

    def encode_control(self, text: str) -> list[int]:
        """Token ids in which special tokens that the text spells out are special; for templates."""
        return list(self._control_backend.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, without special tokens."""
        return self._backend.decode(list(ids), skip_special_tokens=True)


def _copy(backend: Tokenizer) -> Tokenizer:
    copy = Tokenizer.from_str(backend.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


_PARTS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")


def _twin(backend: Tokenizer) -> Tokenizer:
    """A copy that shares all but the options, which costs no time."""
    twin = Tokenizer(backend.model)
    for name in _PARTS:
        if (part := getattr(backend, name)) is not None:
            setattr(twin, name, part)
    for _, token in sorted(backend.get_added_tokens_decoder().items()):
        add = twin.add_special_tokens if token.special else twin.add_tokens
        add([token])
    return twin


def _byte_offsets(text: str) -> np.ndarray:
    """Where each character starts in UTF-8 bytes, and last the length of the whole."""
    codes = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    widths = 1 + (codes > 0x7F).astype(np.int64) + (codes > 0x7FF) + (codes > 0xFFFF)
    return np.concatenate([[0], np.cumsum(widths)])
